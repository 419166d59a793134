//! Record ids: 15 characters that tell case apart, and the 18-character form that need not.
//!
//! The three more characters say which of the 15 are capitals, five to a character, so that a
//! client that lost the case can be repaired (Salesforce: "What is the difference between 15 and
//! 18 character IDs").

use std::fmt;

/// A record id in its 18-character form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id([u8; 18]);

/// In byte order, so that ids of one object sort as they were made.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CHECKS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

impl Id {
    /// The `serial`-th record of the object whose ids begin with `prefix`, on instance `xx0`.
    pub(super) fn compose(prefix: &str, serial: u64) -> Id {
        let mut id = *b"000xx0000000000000";
        for (place, byte) in prefix.bytes().take(3).enumerate() {
            id[place] = byte;
        }
        let mut rest = serial;
        for place in (6..15).rev() {
            id[place] = DIGITS[usize::try_from(rest % 62).unwrap_or(0)];
            rest /= 62;
        }
        Id::seal(id)
    }

    /// Reads 15 or 18 characters; the 18-character form repairs the case of the others.
    pub(super) fn parse(text: &str) -> Option<Id> {
        let bytes = text.as_bytes();
        if !bytes.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        let mut id = [b'A'; 18];
        match bytes.len() {
            15 => id[..15].copy_from_slice(bytes),
            18 => {
                id.copy_from_slice(bytes);
                repair(&mut id)?;
            }
            _ => return None,
        }
        Some(Id::seal(id))
    }

    /// The three characters that name the object.
    pub(super) fn prefix(&self) -> &str {
        &self.as_str()[..3]
    }

    /// The 15 characters that some messages print.
    pub(super) fn short(&self) -> &str {
        &self.as_str()[..15]
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    fn seal(mut id: [u8; 18]) -> Id {
        for group in 0..3 {
            let capitals = (0..5)
                .filter(|i| id[group * 5 + i].is_ascii_uppercase())
                .fold(0_usize, |bits, i| bits | 1 << i);
            id[15 + group] = CHECKS[capitals];
        }
        Id(id)
    }
}

/// Gives each letter the case that the last three characters tell; none if they tell none.
fn repair(id: &mut [u8; 18]) -> Option<()> {
    for group in 0..3 {
        let check = id[15 + group].to_ascii_uppercase();
        let capitals = CHECKS.iter().position(|c| *c == check)?;
        for i in 0..5 {
            let byte = &mut id[group * 5 + i];
            if capitals >> i & 1 == 0 {
                byte.make_ascii_lowercase();
            } else if byte.is_ascii_alphabetic() {
                byte.make_ascii_uppercase();
            } else {
                return None;
            }
        }
    }
    Some(())
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifteen_characters_get_three_more() {
        let id = Id::parse("003xx000004TmiQ").unwrap();
        assert_eq!(id.as_str(), "003xx000004TmiQAAS");
        assert_eq!(id.short(), "003xx000004TmiQ");
    }

    #[test]
    fn lost_case_is_repaired_and_a_wrong_suffix_refused() {
        let id = Id::parse("003xx000004TmiQAAS").unwrap();
        assert_eq!(Id::parse("003XX000004TMIQAAS"), Some(id));
        assert_eq!(Id::parse("003xx000004tmiqaas"), Some(id));
        assert_eq!(Id::parse("003xx000004TmiQAA9"), None);
        assert_eq!(Id::parse("003xx000004TmiQBAS"), None);
        assert_eq!(Id::parse("003xx000004Tmi"), None);
        assert_eq!(Id::parse("003xx000004Tmi-"), None);
    }

    #[test]
    fn ids_sort_as_they_were_made() {
        let ids: Vec<Id> = [1, 61, 62, 3_843, 3_844, 1_000_000]
            .into_iter()
            .map(|n| Id::compose("003", n))
            .collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| Id::parse(id.as_str()) == Some(*id)));
        assert!(ids.iter().all(|id| Id::parse(id.short()) == Some(*id)));
    }
}
