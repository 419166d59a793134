//! A row, as far as it was sent.

use std::fmt;

use super::DecodeError;
use super::bytes::Bytes;

/// A row: the values of its columns in the order of the relation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tuple<'a> {
    len: u16,
    datums: Bytes<'a>,
}

/// The value of a column, as the server wrote it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Datum<'a> {
    /// No value.
    Null,
    /// A large value that the statement did not touch, so it was not sent. It is not null: what
    /// was seen of it before still stands.
    Unchanged,
    /// In its type's text form, in UTF-8 unless the database itself has no encoding.
    Text(&'a [u8]),
    /// In its type's binary form, which is sent only to those who ask for it.
    Binary(&'a [u8]),
}

/// The values of a row, one after the other.
#[derive(Clone, Debug)]
pub struct Datums<'a> {
    left: u16,
    datums: Bytes<'a>,
}

impl<'a> Tuple<'a> {
    /// How many columns it has.
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether it has none, as a row of a table without columns.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its values. Walking them costs a few nanoseconds each and allocates nothing, so a caller
    /// that wants some columns walks to the last of those.
    pub fn datums(&self) -> Datums<'a> {
        Datums { left: self.len, datums: self.datums }
    }
}

/// Looks a row over: after that, its values are known to be there.
pub(super) fn read<'a>(bytes: &mut Bytes<'a>) -> Result<Tuple<'a>, DecodeError> {
    let len = bytes.count("number of values")?;
    let before = *bytes;
    for _ in 0..len {
        datum(bytes)?;
    }
    Ok(Tuple { len, datums: before.up_to(bytes) })
}

#[inline]
fn datum<'a>(bytes: &mut Bytes<'a>) -> Result<Datum<'a>, DecodeError> {
    match bytes.u8("kind of a value")? {
        b't' => Ok(Datum::Text(value(bytes)?)),
        b'n' => Ok(Datum::Null),
        b'u' => Ok(Datum::Unchanged),
        b'b' => Ok(Datum::Binary(value(bytes)?)),
        kind => Err(DecodeError::Value { what: "kind of a value", value: i64::from(kind) }),
    }
}

#[inline]
fn value<'a>(bytes: &mut Bytes<'a>) -> Result<&'a [u8], DecodeError> {
    let len = bytes.i32("length of a value")?;
    let known = u32::try_from(len);
    let len = known
        .map_err(|_| DecodeError::Value { what: "length of a value", value: i64::from(len) })?;
    bytes.take(len, "value")
}

impl<'a> Iterator for Datums<'a> {
    type Item = Datum<'a>;

    #[inline]
    fn next(&mut self) -> Option<Datum<'a>> {
        self.left = self.left.checked_sub(1)?;
        // They were looked over in `read`, so none is missing.
        datum(&mut self.datums).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

impl ExactSizeIterator for Datums<'_> {}

impl fmt::Debug for Tuple<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.datums()).finish()
    }
}

/// Shows how long a value is, not what it says: a row may hold anything about a person, and
/// whatever can be printed ends up in a log.
impl fmt::Debug for Datum<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Unchanged => f.write_str("unchanged"),
            Self::Text(bytes) => write!(f, "text of {}", bytes.len()),
            Self::Binary(bytes) => write!(f, "binary of {}", bytes.len()),
        }
    }
}
