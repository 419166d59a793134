//! The loops: what the feeds tell goes into the ledger, what the ledger owes goes to the writers.
//!
//! There are no pipelines per direction, no queues between tasks, no echo filter and no retry
//! queue: [`absorb`] takes a page into the ledger, [`settle`] takes due links out of it, decides,
//! keeps what it is about to write, writes, and keeps what came of it. Both may be killed between
//! any two steps. The simulation drives these same functions.

pub mod absorb;
pub mod backfill;
pub mod census;
pub mod clock;
pub mod compared;
pub mod deliver;
pub mod epochs;
pub mod held;
pub mod http;
pub mod kept;
pub mod plan;
pub mod rehearse;
pub mod repair;
pub mod run;
pub mod settle;
pub mod status;
pub mod story;
pub mod time;
pub mod working;

mod asked;
pub(crate) mod error;
mod log;
mod meet;
mod prepare;
mod reasons;
mod resolve;
mod tally;

pub use error::AgentError;
pub use plan::{Linger, Plan, Plans};
pub use time::Clock;

/// What the steps of one CRM account share: where things are kept, what time it is, the mappings.
#[derive(Debug)]
pub struct Desk<'a, L, C> {
    /// The ledger.
    pub ledger: &'a L,
    /// The clock.
    pub clock: &'a C,
    /// The account's mappings.
    pub plans: &'a Plans,
    /// The account's number.
    pub account: usize,
}
