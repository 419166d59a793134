//! Addresses of the Web API: the few shapes that are asked, with literals that cannot break out.

use crate::crm::http::encode;
use crate::reconcile::{RecordId, Value};

/// The version that is spoken; every environment serves it.
pub(super) const ROOT: &str = "/api/data/v9.2";

/// What an address may hold is 32,768; room is left for the host and for proxies that take less.
pub(super) const PATH_BYTES_MAX: usize = 24_000;

/// A record's id, in small letters and without braces; `None` where the text is no GUID.
pub fn record_id(text: &str) -> Option<RecordId> {
    let bare = text.trim().trim_start_matches('{').trim_end_matches('}');
    let parts: Vec<usize> = bare.split('-').map(str::len).collect();
    let hex = bare.bytes().all(|c| c.is_ascii_hexdigit() || c == b'-');
    (hex && parts == [8, 4, 4, 4, 12]).then(|| RecordId::from(bare.to_ascii_lowercase()))
}

/// A text as a literal, in quotes that are doubled within.
pub(super) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// A value as a literal to look records up by; `None` where its kind cannot be looked up by.
pub(super) fn literal(value: &Value) -> Option<String> {
    match value {
        Value::Text(value) => Some(text(value)),
        Value::Record(id) => Some(id.to_string()),
        Value::Int(n) => Some(n.to_string()),
        Value::Decimal(n) => Some(n.to_string()),
        Value::Date(date) => Some(date.to_string()),
        Value::Instant(at) => Some(instant(*at)),
        Value::Uuid(id) => Some(guid(*id)),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Time(_) | Value::Set(_) | Value::Link(_) | Value::Consent(_) => None,
    }
}

/// A point in time, in whole seconds.
pub(super) fn instant(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// 128 bits as a GUID.
pub(super) fn guid(bits: u128) -> String {
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// `a eq 1 or a eq 2`.
pub(super) fn any_of<'a>(column: &str, literals: impl IntoIterator<Item = &'a str>) -> String {
    let terms: Vec<String> =
        literals.into_iter().map(|literal| format!("{column} eq {literal}")).collect();
    terms.join(" or ")
}

/// The path and query of a read of a table's rows.
pub(super) fn query(set: &str, options: &[(&str, &str)]) -> String {
    let options: Vec<String> =
        options.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let (mark, options) = (if options.is_empty() { "" } else { "?" }, options.join("&"));
    format!("{ROOT}/{set}{mark}{options}")
}

/// The path of one row.
pub(super) fn row(set: &str, id: &RecordId) -> String {
    format!("{ROOT}/{set}({id})")
}

/// The path and query of a link that the service gave; it names the host, which is ours to choose.
pub(super) fn followed(link: &str) -> Option<&str> {
    let path = match link.split_once("://") {
        Some((_, rest)) => rest.get(rest.find('/')?..)?,
        None => link,
    };
    path.starts_with("/api/data/").then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_guids_in_small_letters() {
        let id = RecordId::from("5c2f0000-1111-2222-3333-44445555666a");
        for text in
            ["5C2F0000-1111-2222-3333-44445555666A", "{5c2f0000-1111-2222-3333-44445555666a}"]
        {
            assert_eq!(record_id(text), Some(id.clone()));
        }
        for text in [
            "",
            "5c2f",
            "5c2f0000-1111-2222-3333-44445555666g",
            "5c2f00001111222233334444-5555666a",
        ] {
            assert_eq!(record_id(text), None, "{text}");
        }
        assert_eq!(guid(0x5c2f_0000_1111_2222_3333_4444_5555_666a), *id.0);
    }

    #[test]
    fn literals_cannot_break_out_of_their_quotes_nor_of_the_address() {
        assert_eq!(text("O'Brien"), "'O''Brien'");
        let path = query("contacts", &[("$filter", "lastname eq 'a&b'"), ("$top", "1")]);
        assert_eq!(path, "/api/data/v9.2/contacts?$filter=lastname%20eq%20%27a%26b%27&$top=1");
    }

    #[test]
    fn a_link_is_followed_at_our_own_address() {
        let link = "https://h/api/data/v9.2/contacts?$deltatoken=9%21x";
        assert_eq!(followed(link), Some("/api/data/v9.2/contacts?$deltatoken=9%21x"));
        assert_eq!(followed("https://h/elsewhere"), None);
        assert_eq!(followed("https://h"), None);
    }
}
