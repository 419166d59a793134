//! What a field's values look like on both sides: the narrower of the two types.
//!
//! A side's own text is read into a [`Value`] by that side; making it canonical is done here, so
//! that both sides do it alike. What does not fit is told, and cut only where the config says so.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::Timestamp;

use crate::reconcile::{Decimal, Entity, Value};

/// The canonical form of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A flag.
    Bool,
    /// A whole number within these bounds.
    Int {
        /// The smallest that both sides can hold.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// A number rounded to `scale`, with at most `whole` digits before the point.
    Decimal {
        /// Digits before the point.
        whole: u8,
        /// Digits behind it.
        scale: u8,
    },
    /// Text.
    Text(Text),
    /// A calendar date.
    Date,
    /// A time of day, in whole seconds.
    Time,
    /// A point in time, in whole seconds.
    Instant,
    /// A 128-bit identifier.
    Uuid,
    /// A set of names, which one of the sides may keep as text.
    Set {
        /// How long the names with a separator between them may be, counted like text.
        max: usize,
    },
    /// A reference to a record of this entity.
    Reference(Entity),
    /// Consent, over several columns of either side.
    Consent,
}

/// What text may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// How long it may be, as [`text_length`] counts.
    pub max: usize,
    /// Whether case is told apart; where it is not, the canonical form is lower case.
    pub case: Case,
    /// Whether longer text is cut, rather than refused.
    pub too_long: TooLong,
    /// The only values that Campaign's column takes, where it is an enumeration. A restricted picklist
    /// is its writer's business: what it holds may be a value that is no longer given.
    pub only: Option<Arc<[Arc<str>]>>,
}

/// Whether letters' case matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Case {
    /// It does.
    #[default]
    Kept,
    /// It does not: e-mail addresses, which Salesforce stores in lower case.
    Lower,
}

/// What becomes of text that is too long for the narrower side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TooLong {
    /// It is refused, and the field held.
    #[default]
    Reject,
    /// It is cut, because the config says so.
    Cut,
}

/// Why a value has no canonical form. Holds no value, so that it may be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Of another kind than the field's.
    Kind {
        /// What the field holds.
        wanted: &'static str,
    },
    /// Longer than the narrower side can hold.
    TooLong {
        /// Its length, in UTF-16 units.
        length: usize,
        /// The most.
        max: usize,
    },
    /// A number outside of what the narrower side can hold.
    OutOfRange,
    /// Not one of the values that an enumeration takes.
    NotListed,
    /// Holds a character that the other side cannot store.
    Character(char),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind { wanted } => write!(f, "is not {wanted}"),
            Self::TooLong { length, max } => {
                write!(f, "has {length} characters, and the narrower side holds {max}")
            }
            Self::OutOfRange => f.write_str("is a number that the narrower side cannot hold"),
            Self::NotListed => f.write_str("is not among the values of the enumeration"),
            Self::Character(c) => write!(f, "holds {}, which cannot be stored", c.escape_unicode()),
        }
    }
}

impl Shape {
    /// Makes a value canonical for this field.
    pub fn canonical(&self, value: Value) -> Result<Value, Unfit> {
        match (self, value) {
            // A checkbox has no third state, and Campaign's flags are numbers.
            (Self::Bool, Value::Null) => Ok(Value::Bool(false)),
            (_, Value::Null) => Ok(Value::Null),
            (Self::Int { min, max }, Value::Int(n)) if (*min..=*max).contains(&n) => {
                Ok(Value::Int(n))
            }
            (Self::Int { .. }, Value::Int(_)) => Err(Unfit::OutOfRange),
            (Self::Decimal { whole, scale }, Value::Decimal(n)) => decimal(n, *whole, *scale),
            (Self::Decimal { whole, scale }, Value::Int(n)) => {
                decimal(Decimal::new(n.into(), 0), *whole, *scale)
            }
            (Self::Text(text), Value::Text(value)) => text.canonical(&value),
            (Self::Instant, Value::Instant(at)) => Ok(Value::Instant(whole_second(at))),
            (Self::Time, Value::Time(time)) => {
                Ok(Value::Time(time.with().subsec_nanosecond(0).build().unwrap_or(time)))
            }
            (Self::Set { max }, Value::Set(names)) => set(names, *max),
            (Self::Reference(_), value @ (Value::Record(_) | Value::Link(_)))
            | (Self::Bool, value @ Value::Bool(_))
            | (Self::Date, value @ Value::Date(_))
            | (Self::Uuid, value @ Value::Uuid(_))
            | (Self::Consent, value @ Value::Consent(_)) => Ok(value),
            (shape, _) => Err(Unfit::Kind { wanted: shape.noun() }),
        }
    }

    /// What a value of this shape is called in messages.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Bool => "a flag",
            Self::Int { .. } => "a whole number",
            Self::Decimal { .. } => "a number",
            Self::Text(_) => "text",
            Self::Date => "a date",
            Self::Time => "a time of day",
            Self::Instant => "a point in time",
            Self::Uuid => "a uuid",
            Self::Set { .. } => "a set",
            Self::Reference(_) => "a reference",
            Self::Consent => "consent",
        }
    }
}

impl Text {
    fn canonical(&self, text: &str) -> Result<Value, Unfit> {
        // The sides store ends of lines in their own ways.
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        if let Some(c) = text.chars().find(|c| *c == '\0') {
            return Err(Unfit::Character(c));
        }
        let text = match self.case {
            Case::Kept => text,
            Case::Lower => text.to_lowercase(),
        };
        let text = text.trim();
        let length = text_length(text);
        let text = match self.too_long {
            TooLong::Reject if length > self.max => {
                return Err(Unfit::TooLong { length, max: self.max });
            }
            TooLong::Cut if length > self.max => cut(text, self.max),
            TooLong::Reject | TooLong::Cut => text,
        };
        match &self.only {
            Some(only) if !text.is_empty() && only.iter().all(|known| &**known != text) => {
                Err(Unfit::NotListed)
            }
            Some(_) | None => Ok(Value::text(text)),
        }
    }
}

/// How long a text is, in UTF-16 units: PostgreSQL counts characters and Salesforce, like Java, these,
/// which are never fewer. What fits by them fits on both sides.
pub fn text_length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Between the names of a set that is kept as text, on both sides.
pub const SET_SEPARATOR: char = ';';

/// A set whose names were trimmed by the side that read them.
fn set(names: BTreeSet<Arc<str>>, max: usize) -> Result<Value, Unfit> {
    if names.iter().any(|name| name.contains(SET_SEPARATOR)) {
        return Err(Unfit::Character(SET_SEPARATOR));
    }
    let length = names.iter().map(|name| text_length(name) + 1).sum::<usize>().saturating_sub(1);
    if length > max {
        return Err(Unfit::TooLong { length, max });
    }
    Ok(if names.is_empty() { Value::Null } else { Value::Set(names) })
}

/// The longest prefix of at most `max` UTF-16 units that splits no character.
fn cut(text: &str, max: usize) -> &str {
    let mut units = 0;
    let end = text.char_indices().find(|(_, c)| {
        units += c.len_utf16();
        units > max
    });
    end.map_or(text, |(end, _)| text[..end].trim_end())
}

fn decimal(n: Decimal, whole: u8, scale: u8) -> Result<Value, Unfit> {
    let n = n.round(scale);
    if n.whole_digits() > usize::from(whole) {
        return Err(Unfit::OutOfRange);
    }
    Ok(Value::Decimal(n))
}

/// Cuts the fraction of a second, downwards also before 1970.
fn whole_second(at: Timestamp) -> Timestamp {
    let nanos = at.as_nanosecond().rem_euclid(1_000_000_000);
    let nanos = i64::try_from(nanos).expect("less than a second's nanoseconds");
    at.checked_sub(SignedDuration::from_nanos(nanos)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(max: usize, case: Case, too_long: TooLong) -> Shape {
        Shape::Text(Text { max, case, too_long, only: None })
    }

    #[test]
    fn text_is_trimmed_empty_is_null_and_mail_is_lower_case() {
        let shape = text(20, Case::Lower, TooLong::Reject);
        assert_eq!(
            shape.canonical(Value::Text(" Ann@X.org ".into())),
            Ok(Value::text("ann@x.org"))
        );
        assert_eq!(shape.canonical(Value::Text("  ".into())), Ok(Value::Null));
        assert_eq!(shape.canonical(Value::Text("a\0b".into())), Err(Unfit::Character('\0')));
    }

    #[test]
    fn text_too_long_is_refused_or_cut_between_characters() {
        let refused = text(3, Case::Kept, TooLong::Reject).canonical(Value::text("a😀b"));
        assert_eq!(refused, Err(Unfit::TooLong { length: 4, max: 3 }));
        let cut = text(2, Case::Kept, TooLong::Cut).canonical(Value::text("a😀b"));
        assert_eq!(cut, Ok(Value::text("a")));
    }

    #[test]
    fn numbers_round_to_the_narrower_scale_and_must_fit() {
        let shape = Shape::Decimal { whole: 3, scale: 2 };
        let read = |text: &str| Value::Decimal(text.parse().unwrap());
        assert_eq!(shape.canonical(read("1.005")), Ok(read("1.01")));
        assert_eq!(shape.canonical(read("1000")), Err(Unfit::OutOfRange));
        assert_eq!(shape.canonical(Value::Int(7)), Ok(read("7")));
    }

    #[test]
    fn instants_keep_whole_seconds() {
        let read = |text: &str| Value::Instant(text.parse().unwrap());
        let canonical = |text| Shape::Instant.canonical(read(text)).unwrap();
        assert_eq!(canonical("2026-02-28T23:59:59.999Z"), read("2026-02-28T23:59:59Z"));
        assert_eq!(canonical("1969-12-31T23:59:58.5Z"), read("1969-12-31T23:59:58Z"));
    }

    #[test]
    fn canonical_is_canonical_again() {
        let shape = text(5, Case::Lower, TooLong::Cut);
        for raw in ["İstanbul", "  a b  c", "ẞtraße", "\u{1F468}\u{200D}\u{1F469}", "x\r\ny"] {
            let once = shape.canonical(Value::Text(raw.into())).unwrap();
            assert_eq!(shape.canonical(once.clone()), Ok(once), "{raw:?}");
        }
    }

    #[test]
    fn a_set_fits_as_the_text_that_the_narrower_side_keeps() {
        let of = |names: &[&str]| Value::Set(names.iter().map(|name| Arc::from(*name)).collect());
        let shape = Shape::Set { max: 5 };
        assert_eq!(shape.canonical(of(&["ab", "cd"])), Ok(of(&["ab", "cd"])));
        let refused = shape.canonical(of(&["ab", "cd", "e"]));
        assert_eq!(refused, Err(Unfit::TooLong { length: 7, max: 5 }));
        assert_eq!(shape.canonical(of(&["a;b"])), Err(Unfit::Character(';')));
        assert_eq!(shape.canonical(of(&[])), Ok(Value::Null));
    }

    #[test]
    fn a_flag_is_never_null_and_lines_end_in_one_way() {
        assert_eq!(Shape::Bool.canonical(Value::Null), Ok(Value::Bool(false)));
        let shape = text(20, Case::Kept, TooLong::Reject);
        assert_eq!(shape.canonical(Value::text("a\r\nb\rc\nd")), Ok(Value::text("a\nb\nc\nd")));
    }

    #[test]
    fn an_enumeration_takes_its_values_only() {
        let only: Arc<[Arc<str>]> = ["Web".into(), "Phone".into()].into();
        let shape = Shape::Text(Text {
            max: 40,
            case: Case::Kept,
            too_long: TooLong::Reject,
            only: Some(only),
        });
        assert_eq!(shape.canonical(Value::text("Web")), Ok(Value::text("Web")));
        assert_eq!(shape.canonical(Value::text("Fax")), Err(Unfit::NotListed));
        assert_eq!(shape.canonical(Value::Null), Ok(Value::Null));
    }
}
