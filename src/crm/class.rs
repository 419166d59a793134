//! What errors are about, in the same words for every CRM.

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// It passes.
    Retry,
    /// Over a limit.
    Quota,
    /// Who asks may not.
    Auth,
    /// Something that it refers to is missing.
    Dependency,
    /// This record's data.
    PermanentRecord,
    /// Every record of the mapping.
    PermanentMapping,
    /// The record is not there any more, or may not be touched.
    Gone,
    /// What we knew is no longer so.
    Stale,
}

impl Class {
    /// Its word, in documents and on the metrics page.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Quota => "quota",
            Self::Auth => "auth",
            Self::Dependency => "dependency",
            Self::PermanentRecord => "permanent-record",
            Self::PermanentMapping => "permanent-mapping",
            Self::Gone => "gone",
            Self::Stale => "stale",
        }
    }
}
