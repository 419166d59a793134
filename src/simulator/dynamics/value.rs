//! Values of columns, as they are kept, compared and written.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value as Json, json};

use super::guid::Guid;
use super::model::Kind;
use super::number::Number;

/// Digits behind the point that money is shown with.
const MONEY_SHOWN: usize = 4;

/// A value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Value {
    #[default]
    Null,
    Bool(bool),
    /// Whole numbers, and the numbers of options.
    Int(i64),
    Number(Number),
    Text(Box<str>),
    Id(Guid),
    Date(Date),
    /// Seconds since 1970.
    Instant(i64),
    /// A record of a table, by the table's place in the model.
    Reference(usize, Guid),
    /// The options of a multi-select column.
    Options(BTreeSet<i64>),
}

impl Value {
    pub(super) fn text(text: &str) -> Value {
        if text.is_empty() { Value::Null } else { Value::Text(text.into()) }
    }

    pub(super) fn is_null(&self) -> bool {
        *self == Value::Null
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn as_int(&self) -> Option<i64> {
        if let Value::Int(number) = self { Some(*number) } else { None }
    }

    pub(super) fn as_number(&self) -> Option<Number> {
        match self {
            Value::Int(number) => Some(Number::whole(*number)),
            Value::Number(number) => Some(*number),
            Value::Null
            | Value::Bool(_)
            | Value::Text(_)
            | Value::Id(_)
            | Value::Date(_)
            | Value::Instant(_)
            | Value::Reference(..)
            | Value::Options(_) => None,
        }
    }

    /// The record that it is, or points at.
    pub(super) fn as_id(&self) -> Option<Guid> {
        match self {
            Value::Id(id) | Value::Reference(_, id) => Some(*id),
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Number(_)
            | Value::Text(_)
            | Value::Date(_)
            | Value::Instant(_)
            | Value::Options(_) => None,
        }
    }

    pub(super) fn as_reference(&self) -> Option<(usize, Guid)> {
        if let Value::Reference(table, id) = self { Some((*table, *id)) } else { None }
    }

    /// As JSON has it.
    pub(super) fn json(&self, kind: &Kind) -> Json {
        match self {
            Value::Null => Json::Null,
            Value::Bool(flag) => json!(flag),
            Value::Int(number) => json!(number),
            Value::Number(number) => {
                let digits = if matches!(kind, Kind::Money { .. }) { MONEY_SHOWN } else { 0 };
                serde_json::from_str(&number.to_fixed(digits)).unwrap_or_default()
            }
            Value::Text(text) => json!(text),
            Value::Id(id) | Value::Reference(_, id) => json!(id.to_string()),
            Value::Date(date) => json!(date.to_string()),
            Value::Instant(second) => json!(stamp(*second)),
            Value::Options(options) => json!(joined(options)),
        }
    }

    /// The form by which an index finds it; texts without regard to case.
    pub(super) fn key(&self) -> Option<String> {
        match self {
            Value::Null => None,
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Int(number) => Some(number.to_string()),
            Value::Number(number) => Some(number.to_string()),
            Value::Text(text) => Some(fold(text)),
            Value::Id(id) | Value::Reference(_, id) => Some(id.to_string()),
            Value::Date(date) => Some(date.to_string()),
            Value::Instant(second) => Some(second.to_string()),
            Value::Options(options) => Some(joined(options)),
        }
    }

    /// How two values stand to each other; nothing where they cannot be compared.
    pub(super) fn compare(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::Text(a), Value::Text(b)) => Some(fold(a).cmp(&fold(b))),
            (Value::Date(a), Value::Date(b)) => Some(a.cmp(b)),
            (Value::Instant(a), Value::Instant(b)) => Some(a.cmp(b)),
            (Value::Instant(a), Value::Date(b)) => Some(a.cmp(&midnight(*b))),
            (Value::Date(a), Value::Instant(b)) => Some(midnight(*a).cmp(b)),
            (Value::Options(a), Value::Options(b)) => Some(a.cmp(b)),
            _ => match (self.as_number(), other.as_number()) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => Some(self.as_id()?.cmp(&other.as_id()?)),
            },
        }
    }
}

fn midnight(date: Date) -> i64 {
    jiff::tz::TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).map_or(i64::MAX, Timestamp::as_second)
}

fn joined(options: &BTreeSet<i64>) -> String {
    options.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Text as comparisons see it.
pub(super) fn fold(text: &str) -> String {
    text.trim_end().to_lowercase()
}

/// An instant as the service prints it: `2026-01-05T10:11:12Z`.
pub(super) fn stamp(second: i64) -> String {
    match Timestamp::from_second(second) {
        Ok(at) => at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => "9999-12-31T23:59:59Z".to_owned(),
    }
}

/// Reads an instant; what is smaller than a second is dropped.
pub(super) fn parse_instant(text: &str) -> Option<i64> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_millisecond().div_euclid(1000));
    }
    // Without an offset it is UTC.
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    jiff::tz::TimeZone::UTC.to_timestamp(civil).ok().map(Timestamp::as_second)
}

/// Reads a date without a time.
pub(super) fn parse_date(text: &str) -> Option<Date> {
    if text.len() == 10 { text.parse().ok() } else { None }
}

/// An instant with its milliseconds cut, now.
pub(super) fn instant(millis: i64) -> Value {
    Value::Instant(super::super::clock::second(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_keep_whole_seconds() {
        let second = parse_instant("2026-01-05T10:11:12.999Z").unwrap();
        assert_eq!(stamp(second), "2026-01-05T10:11:12Z");
        assert_eq!(parse_instant("2026-01-05T12:11:12+02:00"), Some(second));
        assert_eq!(parse_instant("2026-01-05T10:11:12"), Some(second));
        assert_eq!(parse_instant("yesterday"), None);
        assert_eq!(parse_date("2026-02-30"), None);
    }

    #[test]
    fn text_is_compared_without_case_and_trailing_spaces() {
        assert_eq!(Value::text("Bell ").compare(&Value::text("bELL")), Some(Ordering::Equal));
        assert_eq!(Value::text("a").compare(&Value::Int(1)), None);
        let at = Value::Instant(0);
        let day = Value::Date(parse_date("1970-01-02").unwrap());
        assert_eq!(at.compare(&day), Some(Ordering::Less));
    }
}
