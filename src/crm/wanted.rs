//! What a mapping wants of an object, whichever CRM's it is.

/// The longest stamp: `t`, an epoch of 10 digits, a link of 20, a sequence of 10, and points; and
/// room to grow.
pub(super) const STAMP_LENGTH_MIN: usize = 60;

/// What may be done with an object's records.
#[expect(clippy::struct_excessive_bools, reason = "each is a right of its own")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Read.
    pub query: bool,
    /// Made.
    pub create: bool,
    /// Changed.
    pub update: bool,
    /// Deleted.
    pub delete: bool,
}

/// What a mapping wants of an object.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The field that bears `instance:key`.
    pub external_id: Option<&'a str>,
    /// The field that bears our stamp.
    pub stamp: Option<&'a str>,
    /// What will be done.
    pub rights: Rights,
}
