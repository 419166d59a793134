//! Record ids: 128 bits, written as 36 lower-case characters.
//!
//! They are ordered as SQL Server orders them, on which the service stands: the last six bytes count
//! first, and of the first three groups the last byte. So the order of rows is not that of their text.

use std::cmp::Ordering;
use std::fmt;

use super::super::draw::Draw;

/// An id, of a record or of a definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Guid(u128);

/// Which bytes count, the most telling first.
const ORDER: [usize; 16] = [10, 11, 12, 13, 14, 15, 8, 9, 7, 6, 5, 4, 3, 2, 1, 0];

impl Ord for Guid {
    fn cmp(&self, other: &Guid) -> Ordering {
        let (ours, theirs) = (self.0.to_be_bytes(), other.0.to_be_bytes());
        ORDER.map(|at| ours[at]).cmp(&ORDER.map(|at| theirs[at]))
    }
}

impl PartialOrd for Guid {
    fn partial_cmp(&self, other: &Guid) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Guid {
    /// The smallest and the largest.
    pub(super) const MIN: Guid = Guid(0);

    /// Reads an id in any case; braces are not part of one.
    pub(super) fn parse(text: &str) -> Option<Guid> {
        let dashes = [8, 13, 18, 23];
        let is_id = text.len() == 36
            && text.bytes().enumerate().all(|(at, byte)| {
                if dashes.contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() }
            });
        if !is_id {
            return None;
        }
        u128::from_str_radix(&text.replace('-', ""), 16).ok().map(Guid)
    }

    /// A new one, in the form of a random id.
    pub(super) fn draw(draw: &mut Draw) -> Guid {
        let bits = (u128::from(draw.next()) << 64) | u128::from(draw.next());
        Guid::version_4(bits)
    }

    /// The id of something that has a name: the same name gives the same id.
    pub(super) fn named(name: &str) -> Guid {
        use sha2::{Digest as _, Sha256};
        let hash = Sha256::digest(name.as_bytes());
        let bits = hash.iter().take(16).fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
        Guid::version_4(bits)
    }

    fn version_4(bits: u128) -> Guid {
        let version = (bits & !(0xf << 76)) | (0x4 << 76);
        Guid((version & !(0x3 << 62)) | (0x2 << 62))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        f.write_str(&parts.join("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_by_their_end_first_and_not_as_text() {
        let order = [
            "ff000000-0000-0000-0000-000000000000",
            "00ff0000-0000-0000-0000-000000000000",
            "000000ff-0000-0000-0000-000000000000",
            "00000000-0001-0000-0000-000000000000",
            "00000000-0000-0000-0100-000000000000",
            "00000000-0000-0000-0000-000000000001",
            "00000000-0000-0000-0000-010000000000",
        ];
        let ids = order.map(|text| Guid::parse(text).unwrap());
        assert!(ids.is_sorted(), "{ids:?}");
        assert!(Guid::MIN < ids[0]);
    }

    #[test]
    fn an_id_is_read_in_any_case_and_written_in_lower_case() {
        let text = "5C2F0000-aaaa-4bbb-8ccc-0123456789ab";
        assert_eq!(Guid::parse(text).unwrap().to_string(), text.to_lowercase());
        for other in ["", "5c2f", "{5c2f0000-aaaa-4bbb-8ccc-0123456789ab}"] {
            assert_eq!(Guid::parse(other), None, "{other}");
        }
        assert_eq!(Guid::draw(&mut Draw::new(1)).to_string().as_bytes()[14], b'4');
    }
}
