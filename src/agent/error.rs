//! Why a step of the loops came to nothing.

use crate::ledger::{LedgerError, StoreError};
use crate::peer::PeerError;

/// Why a step came to nothing, by what the loop does about it.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// One of the two sides did not do what it was asked.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The ledger did not answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Another agent leads.
    #[error("another agent has led since term {current}, and ours was {ours}")]
    Deposed {
        /// Our term.
        ours: u64,
        /// The term there is.
        current: u64,
    },
    /// A CRM that was down when this agent began to lead is not as it was remembered.
    #[error("{what} looks otherwise than it was remembered to")]
    Outdated {
        /// Which account.
        what: String,
    },
    /// The same links kept changing under a step.
    #[error("{links} links changed at each of {tries} tries to store them")]
    Contended {
        /// How many links.
        links: usize,
        /// How many tries.
        tries: u32,
    },
    /// A task of the agent panicked: a bug. What it had kept is resolved by the next leader.
    #[error("a task of the agent died")]
    Died {
        /// How.
        source: tokio::task::JoinError,
    },
}

/// A store that was refused, unless it is to be done again on links loaded afresh.
pub(crate) fn unless_conflict(
    error: StoreError,
) -> Result<Vec<crate::reconcile::LinkId>, AgentError> {
    match error {
        StoreError::Conflict(links) => Ok(links),
        StoreError::Deposed { ours, current } => Err(AgentError::Deposed { ours, current }),
        StoreError::Ledger(error) => Err(error.into()),
    }
}
