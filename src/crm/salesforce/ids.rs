//! Record ids: 15 characters that tell case apart, or the same with a suffix of three that keeps it.
//!
//! Only the long form is kept and compared; error messages still print the short one.

use crate::reconcile::RecordId;

const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

/// The 18-character form of an id; `None` where the text is no id.
pub fn record_id(text: &str) -> Option<RecordId> {
    let bytes = text.as_bytes();
    if !bytes.iter().all(u8::is_ascii_alphanumeric) {
        return None;
    }
    match bytes.len() {
        15 => Some(RecordId(format!("{text}{}", suffix(bytes)).into())),
        18 => (suffix(&bytes[..15]).as_bytes() == &bytes[15..]).then(|| RecordId::from(text)),
        _ => None,
    }
}

/// The first id in a text, such as an error message, that follows `before`.
pub(super) fn find(text: &str, before: &str) -> Option<RecordId> {
    let after = text.get(text.find(before)? + before.len()..)?.trim_start();
    let end = after.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(after.len());
    record_id(&after[..end])
}

/// One letter for each group of five: its bits say which of the characters are capitals.
fn suffix(id: &[u8]) -> String {
    let letter = |group: &[u8]| {
        let bits =
            group.iter().rev().fold(0, |bits, c| bits << 1 | usize::from(c.is_ascii_uppercase()));
        char::from(LETTERS[bits])
    };
    id.chunks(5).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_id_gets_the_suffix_that_keeps_its_case() {
        let long = RecordId::from("003xx000004TmiQAAS");
        assert_eq!(record_id("003xx000004TmiQ"), Some(long.clone()));
        assert_eq!(record_id("003xx000004TmiQAAS"), Some(long));
        assert_eq!(record_id("012000000000000"), Some("012000000000000AAA".into()));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "003", "003xx000004TmiQAAA", "003xx000004Tmi'", "003xx000004TmiQAASx"] {
            assert_eq!(record_id(text), None, "{text}");
        }
    }

    #[test]
    fn the_owner_of_a_value_is_found_in_the_message() {
        let message =
            "duplicate value found: Ext__c duplicates value on record with id: 003xx000004TmiQ";
        assert_eq!(find(message, "record with id:"), Some("003xx000004TmiQAAS".into()));
        assert_eq!(find("duplicate value found: <unknown>", "record with id:"), None);
    }
}
