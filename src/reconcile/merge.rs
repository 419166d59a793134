//! The three-way merge of a single field.

use crate::reconcile::clock;
use crate::reconcile::policy::Fallback;
use crate::reconcile::{Clocks, Interval, Rule, Side, Sides, Value};

/// What three values of one field come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// Both sides hold the same.
    Agreed,
    /// This side alone left the base.
    Moved(Side),
    /// Both sides have left the base, each for a value of its own.
    Conflict,
    /// There is no base: the two sides meet for the first time.
    Met,
}

/// Merges what two sides have made of `base`.
pub fn merge<T: PartialEq>(base: Option<&T>, campaign: &T, crm: &T) -> Merged {
    match base {
        _ if campaign == crm => Merged::Agreed,
        None => Merged::Met,
        Some(base) if crm == base => Merged::Moved(Side::Campaign),
        Some(base) if campaign == base => Merged::Moved(Side::Crm),
        Some(_) => Merged::Conflict,
    }
}

/// Which side's value stands by a rule, with the rule's word; `None` is for a person.
pub fn judge(
    rule: Rule,
    values: Sides<&Value>,
    changed: Sides<Option<Interval>>,
    clocks: &Clocks,
) -> Option<(Side, &'static str)> {
    match rule {
        Rule::Prefer(side) => Some((side, prefer(side))),
        Rule::FillBlank(side) => Some((fill(values, side), "fill_blank")),
        Rule::Newest(fallback) => match clock::later(changed, clocks) {
            Some(side) => Some((side, "newest")),
            None => match fallback {
                Fallback::Prefer(side) => Some((side, "newest_fallback")),
                Fallback::FillBlank(side) => Some((fill(values, side), "newest_fallback")),
                Fallback::Hold => None,
            },
        },
        // Over anything but consent nothing is more restrictive than anything else.
        Rule::MostRestrictive | Rule::Hold => None,
    }
}

fn prefer(side: Side) -> &'static str {
    side.name()
}

fn fill(values: Sides<&Value>, between: Side) -> Side {
    match (values.campaign.is_null(), values.crm.is_null()) {
        (true, false) => Side::Crm,
        (false, true) => Side::Campaign,
        (true, true) | (false, false) => between,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_side_that_moved_wins() {
        check([0, 0, 0], Merged::Agreed);
        check([0, 1, 0], Merged::Moved(Side::Campaign));
        check([0, 0, 1], Merged::Moved(Side::Crm));
        check([0, 1, 1], Merged::Agreed);
        check([0, 1, 2], Merged::Conflict);
        assert_eq!(merge(None, &1, &2), Merged::Met);
        assert_eq!(merge(None, &1, &1), Merged::Agreed);
    }

    #[track_caller]
    fn check([base, campaign, crm]: [u8; 3], expected: Merged) {
        assert_eq!(merge(Some(&base), &campaign, &crm), expected);
    }

    #[test]
    fn a_value_stands_against_no_value() {
        let (blank, text) = (Value::Null, Value::text("x"));
        let rule = Rule::FillBlank(Side::Campaign);
        let judge = |campaign, crm| {
            judge(rule, Sides { campaign, crm }, Sides::default(), &Clocks::default())
        };
        assert_eq!(judge(&blank, &text), Some((Side::Crm, "fill_blank")));
        assert_eq!(judge(&text, &blank), Some((Side::Campaign, "fill_blank")));
        assert_eq!(judge(&text, &Value::text("y")), Some((Side::Campaign, "fill_blank")));
    }
}
