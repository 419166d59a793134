//! Why a call as a whole came to nothing. A record that is refused is an `Outcome`, not an error.

use std::error::Error;
use std::time::Duration;

/// Why a call as a whole came to nothing, by what the caller does about it.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Worth trying again soon.
    #[error("{doing} did not succeed and will be tried again")]
    Transient {
        /// What was being done, in the gerund.
        doing: &'static str,
        /// Why it did not succeed.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Over a limit of the other side, or over our own budget.
    #[error("told to wait for {after:?}: {why}")]
    Throttled {
        /// How long.
        after: Duration,
        /// Which limit.
        why: String,
    },
    /// The credentials or rights do not suffice; trying again would hammer.
    #[error("{why}")]
    Denied {
        /// What was denied, and what would mend it.
        why: String,
    },
    /// The cursor no longer means anything: everything must be compared.
    #[error("the feed can no longer go on from where it was: {why}")]
    CursorLost {
        /// Why.
        why: String,
    },
    /// The other side is another than it was: restored, cloned, refreshed.
    #[error("{what} changed from {was} to {is}")]
    NewEpoch {
        /// What identifies the side.
        what: &'static str,
        /// What it was.
        was: String,
        /// What it is.
        is: String,
    },
    /// The mapping does not fit what is there; a person must mend the config or the other side.
    #[error("{why}")]
    Unfit {
        /// What does not fit, and what would.
        why: String,
    },
}

impl PeerError {
    /// For what a write is put off by it: the same words each time, as the wait is told beside.
    pub fn reason(&self) -> String {
        match self {
            Self::Throttled { why, .. } => why.clone(),
            Self::Transient { .. }
            | Self::Denied { .. }
            | Self::CursorLost { .. }
            | Self::NewEpoch { .. }
            | Self::Unfit { .. } => self.to_string(),
        }
    }
}
