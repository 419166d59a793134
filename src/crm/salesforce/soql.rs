//! Statements of SOQL: the few shapes that are asked, with literals that cannot break out.

use jiff::Timestamp;

use crate::reconcile::Value;

pub(super) use crate::crm::http::encode;

/// What a `GET` may hold: 16,384 bytes of address, less room for the host, the path and headers.
pub(super) const ENCODED_BYTES_MAX: usize = 12_000;

/// A text as a literal: in quotes, with everything escaped that means something in there.
pub(super) fn text(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('\'');
    for c in value.chars() {
        match c {
            '\'' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            _ => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

/// A point in time as a literal, which has no quotes.
pub(super) fn instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A value as a literal to look records up by; `None` where its kind cannot be looked up by.
pub(super) fn literal(value: &Value) -> Option<String> {
    match value {
        Value::Text(value) => Some(text(value)),
        Value::Record(id) => Some(text(&id.0)),
        Value::Int(n) => Some(n.to_string()),
        Value::Decimal(n) => Some(n.to_string()),
        Value::Date(date) => Some(date.to_string()),
        Value::Instant(at) => Some(instant(*at)),
        Value::Uuid(id) => Some(text(&format!("{id:032x}"))),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Time(_) | Value::Set(_) | Value::Link(_) | Value::Consent(_) => None,
    }
}

/// `field IN (a, b)`.
pub(super) fn within<'a>(field: &str, literals: impl IntoIterator<Item = &'a String>) -> String {
    let list: Vec<&str> = literals.into_iter().map(String::as_str).collect();
    format!("{field} IN ({})", list.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_cannot_break_out_of_their_quotes() {
        assert_eq!(text("O'Brien"), r"'O\'Brien'");
        assert_eq!(text(r"a\' OR Name != '"), r"'a\\\' OR Name != \''");
        assert_eq!(text("a\nb"), r"'a\nb'");
        assert_eq!(text("Ünï 😀"), "'Ünï 😀'");
    }

    #[test]
    fn times_and_numbers_have_no_quotes() {
        let at: Timestamp = "2026-10-31T12:00:00Z".parse().unwrap();
        assert_eq!(literal(&Value::Instant(at)).as_deref(), Some("2026-10-31T12:00:00Z"));
        assert_eq!(literal(&Value::Int(-7)).as_deref(), Some("-7"));
        assert_eq!(literal(&Value::Null), None);
    }
}
