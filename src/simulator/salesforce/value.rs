//! What a field of a record holds, and how Salesforce prints it.

use std::cmp::Ordering;

use jiff::civil::Date;
use serde_json::{Number, Value as Json};

use super::clock::stamp;
use super::id::Id;
use super::model::Kind;

/// From this power of ten on a double is printed as `1.39e+8` (not documented; Java prints `1.39E8`).
const EXPONENT_FROM: usize = 8;

/// One value of one field. Text is never empty: it is null then.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// As it was sent: the scale is a rule of display only.
    Number(Number),
    Text(Box<str>),
    Id(Id),
    Date(Date),
    /// Seconds since 1970.
    DateTime(i64),
    /// Milliseconds since midnight.
    Time(u32),
}

impl Value {
    /// Text as it is saved: trimmed of ASCII white space, null where nothing is left.
    pub(super) fn text(text: &str) -> Value {
        let trimmed = text.trim_matches(|c: char| c <= ' ');
        if trimmed.is_empty() { Value::Null } else { Value::Text(trimmed.into()) }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Id(id) => Some(id.as_str()),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Date(_)
            | Value::DateTime(_)
            | Value::Time(_) => None,
        }
    }

    pub(super) fn as_id(&self) -> Option<Id> {
        if let Value::Id(id) = self { Some(*id) } else { None }
    }

    pub(super) fn as_seconds(&self) -> Option<i64> {
        if let Value::DateTime(at) = self { Some(*at) } else { None }
    }

    pub(super) fn is_true(&self) -> bool {
        matches!(self, Value::Bool(true))
    }

    /// The value as JSON, in the form that the field's type is printed in.
    pub(super) fn json(&self, kind: Kind) -> Json {
        match self {
            Value::Null if kind == Kind::Boolean => Json::Bool(false),
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(number) => Json::Number(printed(number, kind)),
            Value::Text(text) => Json::String(text.to_string()),
            Value::Id(id) => Json::String(id.to_string()),
            Value::Date(date) => Json::String(date.to_string()),
            Value::DateTime(at) => Json::String(stamp(*at)),
            Value::Time(ms) => Json::String(time_of_day(*ms)),
        }
    }

    /// The order that ORDER BY keeps: nulls first, text without regard to case.
    pub(super) fn order(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Text(a), Value::Text(b)) => fold(a).cmp(&fold(b)).then_with(|| a.cmp(b)),
            (Value::Number(a), Value::Number(b)) => double(a).total_cmp(&double(b)),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Id(a), Value::Id(b)) => a.cmp(b),
            (Value::Date(a), Value::Date(b)) => a.cmp(b),
            (Value::DateTime(a), Value::DateTime(b)) => a.cmp(b),
            (Value::Time(a), Value::Time(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::Number(_) => 2,
            Value::Text(_) => 3,
            Value::Id(_) => 4,
            Value::Date(_) => 5,
            Value::DateTime(_) => 6,
            Value::Time(_) => 7,
        }
    }
}

/// Text as comparisons without regard to case see it.
pub(super) fn fold(text: &str) -> String {
    text.to_lowercase()
}

/// A number as a double, which is what Salesforce compares.
pub(super) fn double(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

/// The digits before and behind the point of a number as written, with its sign.
pub(super) fn digits(text: &str) -> (bool, String, String) {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0).clamp(-400, 400);
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (mut whole, mut part) = (whole.to_owned(), part.to_owned());
    for _ in 0..exponent.max(0) {
        whole.push(if part.is_empty() { '0' } else { part.remove(0) });
    }
    for _ in exponent.min(0)..0 {
        part.insert(0, whole.pop().unwrap_or('0'));
    }
    (negative, whole.trim_start_matches('0').to_owned(), part.trim_end_matches('0').to_owned())
}

fn printed(number: &Number, kind: Kind) -> Number {
    let (negative, whole, part) = digits(&number.to_string());
    let sign = if negative { "-" } else { "" };
    let text = if kind == Kind::Int {
        format!("{sign}{}", if whole.is_empty() { "0" } else { &whole })
    } else if whole.len() >= EXPONENT_FROM {
        let all = format!("{whole}{part}");
        let rest = all[1..].trim_end_matches('0');
        let rest = if rest.is_empty() { "0" } else { rest };
        format!("{sign}{}.{rest}E{}", &all[..1], whole.len() - 1)
    } else {
        let whole = if whole.is_empty() { "0" } else { &whole };
        format!("{sign}{whole}.{}", if part.is_empty() { "0" } else { &part })
    };
    text.parse().unwrap_or_else(|_| number.clone())
}

fn time_of_day(ms: u32) -> String {
    let (s, ms) = (ms / 1000, ms % 1000);
    format!("{:02}:{:02}:{:02}.{ms:03}Z", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed_as(text: &str, kind: Kind) -> String {
        Value::Number(text.parse().unwrap()).json(kind).to_string()
    }

    #[test]
    fn numbers_keep_their_digits_and_are_printed_as_java_does() {
        assert_eq!(printed_as("300", Kind::Double), "300.0");
        assert_eq!(printed_as("12.3456789012345678", Kind::Double), "12.3456789012345678");
        assert_eq!(printed_as("139000000", Kind::Double), "1.39e+8");
        assert_eq!(printed_as("-0.50", Kind::Double), "-0.5");
        assert_eq!(printed_as("1.5e1", Kind::Double), "15.0");
        assert_eq!(printed_as("7", Kind::Int), "7");
        assert_eq!(printed_as("0", Kind::Int), "0");
    }

    #[test]
    fn text_is_trimmed_and_empty_text_is_null() {
        assert_eq!(Value::text("  a b \r\n"), Value::Text("a b".into()));
        assert_eq!(Value::text(" \t"), Value::Null);
        assert_eq!(Value::text("\u{a0}"), Value::Text("\u{a0}".into()));
    }

    #[test]
    fn nulls_sort_first_and_case_counts_last() {
        let text = |t: &str| Value::Text(t.into());
        assert_eq!(Value::Null.order(&text("a")), Ordering::Less);
        assert_eq!(text("b").order(&text("A")), Ordering::Greater);
        assert_eq!(time_of_day(45_296_000), "12:34:56.000Z");
    }
}
