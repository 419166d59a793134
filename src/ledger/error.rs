//! Why the ledger did not do what it was asked.

use std::error::Error;

use crate::reconcile::LinkId;

/// Why the ledger did not answer.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It cannot be reached, or gave up in the middle: worth trying again.
    #[error("the ledger could not {doing}, and will be asked again")]
    Unavailable {
        /// What it was asked to do.
        doing: &'static str,
        /// Why it did not.
        source: Box<dyn Error + Send + Sync>,
    },
    /// It refused: trying again would change nothing.
    #[error("the ledger refused to {doing}")]
    Refused {
        /// What it was asked to do.
        doing: &'static str,
        /// Its words.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A link is in a form that this release cannot read.
    #[error("link {link} of the ledger cannot be read: {why}; was it stored by a newer release?")]
    Unreadable {
        /// Which.
        link: LinkId,
        /// What is wrong with it.
        why: String,
    },
    /// Something that the ledger cannot hold.
    #[error("the ledger cannot hold {what}")]
    Unstorable {
        /// What.
        what: String,
    },
    /// A newer release has been here.
    #[error(
        "the ledger's schema is at version {found} and this release knows {known}: run the newer \
         release, or restore the ledger from before it"
    )]
    NewerSchema {
        /// The ledger's.
        found: i32,
        /// Ours.
        known: i32,
    },
    /// A migration that was applied is not the one we have under its number.
    #[error(
        "the ledger's migration {version} was applied as `{found}` and is `{known}` here: this is \
         not a ledger of this program"
    )]
    OtherSchema {
        /// Its number.
        version: i32,
        /// Its name there.
        found: String,
        /// Its name here.
        known: String,
    },
    /// The schema is older than this release, and nobody has brought it up.
    #[error("the ledger has no schema of version {known} yet (it has {found}); run `truce setup`")]
    OlderSchema {
        /// The ledger's, 0 for none.
        found: i32,
        /// Ours.
        known: i32,
    },
}

/// Why a batch was not stored. Nothing of it is.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// These links of the batch were stored by another since they were loaded, or bear a record
    /// that another live link bears: load them, and whoever bears their records, and do it again.
    #[error("{} links have changed since they were loaded", .0.len())]
    Conflict(Vec<LinkId>),
    /// Another agent leads now; this one must stop.
    #[error("another agent has led since term {current}, and ours was {ours}")]
    Deposed {
        /// The term we stored under.
        ours: u64,
        /// The term there is.
        current: u64,
    },
    /// The ledger did not answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}
