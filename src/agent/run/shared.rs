//! What every loop has in hand, and how it goes on after an error.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use crate::agent::clock::AgentClock;
use crate::agent::plan::Plans;
use crate::agent::{AgentError, Desk};
use crate::ledger::LedgerError;
use crate::peer::PeerError;
use crate::reconcile::Entity;
use crate::reconcile::decide::Gate;

use super::health::Health;

/// What every loop has in hand.
#[derive(Debug)]
pub struct Shared<L> {
    /// Where things are kept.
    pub ledger: Arc<L>,
    /// What time it is.
    pub clock: Arc<AgentClock>,
    /// Where each loop says how it is.
    pub health: Arc<Health>,
    /// All mappings.
    pub plans: Arc<Plans>,
    /// Wakes the settling of each account.
    pub wakes: Vec<Notify>,
    /// Wakes the comparing of each account.
    pub compares: Vec<Notify>,
    /// What may be created and deleted now.
    pub gates: watch::Sender<BTreeMap<Entity, Gates>>,
    /// How many links each mapping has, as of a few seconds ago.
    pub totals: watch::Sender<BTreeMap<Entity, u64>>,
    /// How many links of each mapping wait in the ordinary lane, as of a few seconds ago.
    pub waiting: watch::Sender<BTreeMap<Entity, u64>>,
    /// While Campaign's log has more to tell than it has told: when it last had not.
    pub behind: watch::Sender<Option<Timestamp>>,
    /// The most links of a round.
    pub round: usize,
    /// Whether to stop.
    pub stop: watch::Receiver<bool>,
}

/// What may be done to a mapping's records now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gates {
    /// Whether records may be created.
    pub creates: Gate,
    /// Whether deletions may go over.
    pub deletes: Gate,
}

impl<L> Shared<L> {
    /// The desk for a step with these mappings.
    pub fn desk<'a>(&'a self, plans: &'a Plans, account: usize) -> Desk<'a, L, AgentClock> {
        Desk { ledger: &*self.ledger, clock: &*self.clock, plans, account }
    }

    /// Waits until the loops are told to stop.
    pub async fn stopped(&self) {
        let mut stop = self.stop.clone();
        // A sender that is gone has stopped for good.
        drop(stop.wait_for(|stop| *stop).await);
    }

    /// Whether the loops are told to stop.
    pub fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits, unless the loops are told to stop.
    pub async fn rest(&self, delay: Duration) {
        tokio::select! {
            () = self.stopped() => (),
            () = tokio::time::sleep(delay) => (),
        }
    }
}

/// How a loop goes on after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// After this long.
    Wait(Duration),
    /// After this long; somebody must mend something first.
    Mend(Duration),
    /// Not from where it was: everything must be compared.
    Compare,
    /// Not at all: this agent must begin anew.
    Stop,
}

/// The first delay after an error; each further one doubles it.
const DELAY: Duration = Duration::from_millis(200);

/// The longest: a server that comes back is met within this.
const DELAY_MAX: Duration = Duration::from_secs(30);

/// What needs a person is tried again this often.
const MEND_EVERY: Duration = Duration::from_mins(1);

/// What follows from an error, the n-th in a row.
pub fn after(error: &AgentError, failures: u32) -> After {
    let delay = DELAY.saturating_mul(1 << failures.min(16)).min(DELAY_MAX);
    match error {
        AgentError::Peer(error) => match error {
            PeerError::Transient { .. } => After::Wait(delay),
            PeerError::Throttled { after, .. } => After::Wait(*after),
            PeerError::Denied { .. } | PeerError::Unfit { .. } => After::Mend(MEND_EVERY),
            PeerError::CursorLost { .. } => After::Compare,
            PeerError::NewEpoch { .. } => After::Stop,
        },
        AgentError::Ledger(error) => match error {
            LedgerError::Unavailable { .. } => After::Wait(delay),
            LedgerError::Refused { .. }
            | LedgerError::Unreadable { .. }
            | LedgerError::Unstorable { .. } => After::Mend(MEND_EVERY),
            LedgerError::NewerSchema { .. }
            | LedgerError::OtherSchema { .. }
            | LedgerError::OlderSchema { .. } => After::Stop,
        },
        AgentError::Deposed { .. } | AgentError::Died { .. } | AgentError::Outdated { .. } => {
            After::Stop
        }
        AgentError::Contended { .. } => After::Wait(delay),
    }
}

/// An error with its causes, in one line.
pub fn told(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.ends_with(&more) {
            write!(words, ": {more}").expect("a text takes what is written to it");
        }
        cause = error.source();
    }
    words
}

/// Says what stands in a loop's way, once, and what it does next; gives the delay, unless the loop
/// cannot go on here.
pub fn stumble(health: &Health, name: &str, error: &AgentError, failures: u32) -> Option<Duration> {
    let words = told(error);
    health.stumbles(name, &words);
    match after(error, failures) {
        After::Wait(delay) => {
            tracing::warn!(name, error = words, retry_in = ?delay, "a loop stumbled, will retry");
            Some(delay)
        }
        After::Mend(delay) => {
            tracing::error!(name, error = words, retry_in = ?delay, "somebody must mend this");
            Some(delay)
        }
        After::Compare | After::Stop => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transient() -> AgentError {
        PeerError::Transient { doing: "reading", source: "the server is gone".into() }.into()
    }

    #[test]
    fn delays_double_up_to_a_bound() {
        let waits: Vec<After> = [0, 1, 2, 30].map(|n| after(&transient(), n)).into();
        let millis = [200, 400, 800, 30_000].map(|ms| After::Wait(Duration::from_millis(ms)));
        assert_eq!(waits, millis);
    }

    #[test]
    fn a_deposed_leader_stops() {
        assert_eq!(after(&AgentError::Deposed { ours: 1, current: 2 }, 0), After::Stop);
    }

    #[test]
    fn causes_are_told_in_one_line() {
        let words = told(&transient());
        assert_eq!(words, "reading did not succeed and will be tried again: the server is gone");
    }
}
