//! What of a field's values one side can hold and the other cannot: said before a record is held
//! for it.
//!
//! A field that fits is kept in step all the same: what does not go over is one record's value, and
//! most columns are wider than anything in them. So these are warnings, with both lengths, and the
//! key that says what becomes of such a value.

use crate::reconcile::mapping::{Column, Kind};
use crate::reconcile::shape::TooLong;
use crate::reconcile::{Direction, Side, Sides};

/// Digits that a double keeps, whatever scale is declared for it.
const DOUBLE_DIGITS: u8 = 15;

/// Everything that might not go over, for the directions that the field has.
pub(super) fn cautions(
    columns: &Sides<&Column>,
    direction: Direction,
    too_long: TooLong,
) -> Vec<String> {
    let mut told: Vec<String> = [Side::Campaign, Side::Crm]
        .into_iter()
        .filter(|to| direction.allows(*to))
        .filter_map(|to| {
            let (from, to) = (columns[to.other()], columns[to]);
            lengths(from, to, too_long).or_else(|| numbers(from, to))
        })
        .collect();
    told.extend(digits(columns[Side::Crm]));
    told
}

fn lengths(from: &Column, to: &Column, too_long: TooLong) -> Option<String> {
    let (long, short) = (length(&from.kind)?, length(&to.kind)?);
    let short = short.filter(|short| long.is_none_or(|long| *short < long))?;
    let long = long.map_or("text of any length".to_owned(), |long| format!("{long} characters"));
    let becomes = match too_long {
        TooLong::Reject => "what is longer is held, as too_long = \"reject\"; \"cut\" would cut it",
        TooLong::Cut => "what is longer is cut, as too_long = \"cut\"; \"reject\" would hold it",
    };
    Some(format!(
        "`{}` holds {long} and `{}` {short}: {becomes}, or widen `{}`",
        from.name, to.name, to.name
    ))
}

/// How long a text or set may be: `None` where it is neither, and within where it has no limit.
#[expect(clippy::option_option, reason = "no text, or text without a bound, or with one")]
fn length(kind: &Kind) -> Option<Option<usize>> {
    match kind {
        Kind::Text { max, .. } | Kind::Set { max, .. } => Some(*max),
        Kind::Bool
        | Kind::Int { .. }
        | Kind::Decimal { .. }
        | Kind::Date
        | Kind::Time
        | Kind::Instant
        | Kind::Uuid
        | Kind::Reference(_)
        | Kind::Other => None,
    }
}

fn numbers(from: &Column, to: &Column) -> Option<String> {
    let (wide, narrow) = (places(&from.kind)?, places(&to.kind)?);
    let mut lost = Vec::new();
    if narrow.0 < wide.0 {
        lost.push("what is larger is held (too_long does not cut numbers)");
    }
    if narrow.1 < wide.1 {
        lost.push("digits further behind the point are rounded, and no change of them goes over");
    }
    let shown = |(whole, behind): (u32, u8)| match behind {
        0 => format!("{whole} digits"),
        behind => format!("{whole} digits and {behind} behind the point"),
    };
    (!lost.is_empty()).then(|| {
        format!(
            "`{}` holds {} and `{}` {}: {}; widen `{}` if that matters",
            from.name,
            shown(wide),
            to.name,
            shown(narrow),
            lost.join(", and "),
            to.name
        )
    })
}

/// Digits before the point, and behind it.
fn places(kind: &Kind) -> Option<(u32, u8)> {
    match kind {
        Kind::Int { max, .. } => Some((max.checked_ilog10().map_or(1, |power| power + 1), 0)),
        Kind::Decimal { whole, scale } => Some((u32::from(*whole), *scale)),
        Kind::Bool
        | Kind::Text { .. }
        | Kind::Date
        | Kind::Time
        | Kind::Instant
        | Kind::Uuid
        | Kind::Set { .. }
        | Kind::Reference(_)
        | Kind::Other => None,
    }
}

/// A number over there is a double: a scale that it cannot keep goes back and forth.
fn digits(crm: &Column) -> Option<String> {
    let Kind::Decimal { scale, .. } = crm.kind else { return None };
    (DOUBLE_DIGITS < scale).then(|| {
        format!(
            "`{}` ({}) is declared with {scale} digits behind the point, and a number over there \
             keeps {DOUBLE_DIGITS} in all: no value but 0 fits; lower its scale",
            crm.name, crm.type_name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::shape::Case;

    fn column(name: &str, kind: Kind) -> Column {
        Column {
            name: name.into(),
            type_name: "double".into(),
            kind,
            nullable: true,
            required: false,
            unique: false,
            creatable: true,
            updatable: true,
        }
    }

    fn text(max: Option<usize>) -> Kind {
        Kind::Text { max, case: Case::Kept, only: None }
    }

    fn decimal(whole: u8, scale: u8) -> Kind {
        Kind::Decimal { whole, scale }
    }

    fn told(kinds: (Kind, Kind), direction: Direction, too_long: TooLong) -> Vec<String> {
        let (campaign, crm) = (column("slong", kinds.0), column("Short__c", kinds.1));
        cautions(&Sides { campaign: &campaign, crm: &crm }, direction, too_long)
    }

    #[test]
    fn a_longer_text_is_told_with_both_lengths_where_it_may_go_over() {
        let kinds = || (text(Some(128)), text(Some(80)));
        let found = told(kinds(), Direction::Both, TooLong::Reject);
        assert_eq!(
            found,
            [
                "`slong` holds 128 characters and `Short__c` 80: what is longer is held, as too_long \
              = \"reject\"; \"cut\" would cut it, or widen `Short__c`"
            ]
        );
        let found = told(kinds(), Direction::ToCrm, TooLong::Cut);
        assert!(found[0].contains("is cut, as too_long"), "{found:?}");
        assert!(told(kinds(), Direction::ToCampaign, TooLong::Reject).is_empty());
        let found = told((text(None), text(Some(80))), Direction::Both, TooLong::Reject);
        assert!(found[0].contains("text of any length"), "{found:?}");
        assert!(told((text(None), text(None)), Direction::Both, TooLong::Reject).is_empty());
        assert!(told((text(Some(9)), text(Some(9))), Direction::Both, TooLong::Reject).is_empty());
    }

    #[test]
    fn numbers_are_told_by_their_digits_before_and_behind_the_point() {
        let found = told((decimal(10, 4), decimal(8, 2)), Direction::Both, TooLong::Reject);
        assert_eq!(
            found,
            [
                "`slong` holds 10 digits and 4 behind the point and `Short__c` 8 digits and 2 behind \
              the point: what is larger is held (too_long does not cut numbers), and digits \
              further behind the point are rounded, and no change of them goes over; widen \
              `Short__c` if that matters"
            ]
        );
        let small = Kind::Int { min: -32_768, max: 32_767 };
        let large = Kind::Int { min: -99_999_999, max: 99_999_999 };
        let found = told((small.clone(), large.clone()), Direction::Both, TooLong::Reject);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("`Short__c` holds 8 digits and `slong` 5 digits"),
            "{found:?}"
        );
        assert!(told((small, large), Direction::ToCrm, TooLong::Reject).is_empty());
    }

    #[test]
    fn a_scale_that_no_double_keeps_is_told() {
        let found = told((decimal(20, 16), decimal(0, 16)), Direction::ToCampaign, TooLong::Reject);
        let found = found.last().unwrap();
        assert!(
            found.contains("16 digits behind the point") && found.contains("15 in all"),
            "{found}"
        );
        assert!(told((decimal(9, 2), decimal(9, 2)), Direction::Both, TooLong::Reject).is_empty());
    }
}
