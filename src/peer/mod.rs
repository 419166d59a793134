//! The two doors of a system: a feed of observations and a writer.
//!
//! Campaign and each CRM are the same to the agent. A feed gives pages of [`Observation`]s after a
//! cursor; a writer tries each write once and answers each. Neither retries a write, neither
//! remembers anything that the ledger does not: both may be dropped and made again at any point.

mod cursor;
mod error;

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

use crate::reconcile::{Entity, LinkId, Observation, Outcome, Position, RecordId, Skew, Write};

pub use cursor::Cursor;
pub use error::PeerError;

/// Some observations, and where to go on.
#[derive(Clone, Debug)]
pub struct Page {
    /// What was seen, in the side's order.
    pub observations: Vec<Observation>,
    /// Where the next page begins; to be kept in the same transaction as what the page carried.
    pub cursor: Cursor,
    /// Whether more may wait behind this page: where this is not so, the side was asked just now, and
    /// told all that there was.
    pub more: bool,
    /// The side's clock against ours, where this page measured it.
    pub skew: Option<Skew>,
    /// Tables or objects that were emptied or rebuilt, so that the mapping must be compared.
    pub compare: Vec<Entity>,
}

/// A source of observations.
pub trait Feed: Send {
    /// The next page after the cursor; waits for at most `patience` where nothing is there.
    ///
    /// `asked` gives the tick for a read that is about to be asked for: CRM observations are
    /// ordered by it. Cancel-safe: what was not returned is read again.
    fn page(
        &mut self,
        after: &Cursor,
        patience: Duration,
        asked: &mut (dyn Ask + Send),
    ) -> impl Future<Output = Result<Page, PeerError>> + Send;

    /// Tells that everything up to the cursor is durable, so that the side may forget it.
    fn confirm(&mut self, durable: &Cursor) -> impl Future<Output = Result<(), PeerError>> + Send;
}

/// A scan of a whole table or object in the order of its keys, in bounded memory.
pub trait Scan: Send {
    /// The next page of an entity's records whose keys follow `after`, at most `limit`; an empty
    /// page is the end.
    fn scan(
        &mut self,
        entity: Entity,
        after: Option<&RecordId>,
        limit: usize,
        asked: &mut (dyn Ask + Send),
    ) -> impl Future<Output = Result<Vec<Observation>, PeerError>> + Send;

    /// Reads these records afresh; one that is not there is told as gone or missing.
    fn read(
        &mut self,
        entity: Entity,
        records: &[RecordId],
        asked: &mut (dyn Ask + Send),
    ) -> impl Future<Output = Result<Vec<Observation>, PeerError>> + Send;
}

/// A scan that can list records without reading them.
pub trait Outline: Scan {
    /// Which records follow `after` in the order of their keys, at most `limit`; an empty list is
    /// the end.
    fn outline(
        &mut self,
        entity: Entity,
        after: Option<&RecordId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Listed>, PeerError>> + Send;
}

/// A scan that finds without the feed who opted out lately.
pub trait Ahead: Scan {
    /// Which records that say no were changed since then, by the side's own time of change, in the
    /// order of their keys after `after`; an empty list is the end.
    fn opted_out_since(
        &mut self,
        entity: Entity,
        since: Timestamp,
        after: Option<&RecordId>,
    ) -> impl Future<Output = Result<Vec<RecordId>, PeerError>> + Send;
}

/// A record that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub record: RecordId,
    /// Its own time of its last change, as its observations tell when it ended; `None` where the
    /// side keeps none.
    pub modified: Option<Timestamp>,
}

/// What gives ticks and times: the agent's clock, a test's own.
pub trait Ask {
    /// The next tick, larger than all before, with the ledger's epoch for that side; and our clock.
    fn tick(&mut self) -> (Position, Timestamp);
}

/// A writer of one side.
pub trait Writer: Send + Sync {
    /// Tries each write once; answers in the order of the writes.
    ///
    /// A batch holds one write a record. `notes` is handed each Campaign transaction before it
    /// commits, and must have kept it durably when it returns. An error means that nothing was
    /// tried.
    fn write(
        &self,
        writes: Vec<Write>,
        notes: &(impl Notes + Sync),
        asked: &mut (dyn Ask + Send),
    ) -> impl Future<Output = Result<Vec<Outcome>, PeerError>> + Send;

    /// Draws keys for new records, where this side's keys are drawn before the insert (Campaign's
    /// id functions); an empty answer where the side gives them itself.
    fn draw_keys(
        &self,
        entity: Entity,
        count: usize,
    ) -> impl Future<Output = Result<Vec<RecordId>, PeerError>> + Send;

    /// How many writes are best handed over at once while so many wait; 0 is as many as come.
    fn appetite(&self, waiting: u64) -> usize {
        let _ = waiting;
        0
    }

    /// Ends a job that an earlier leader left running ([`Notes::job`]); what it did is told by its
    /// records. Only a side that has jobs is asked.
    fn end_job(&self, job: &str) -> impl Future<Output = Result<(), PeerError>> + Send {
        let _ = job;
        async { Ok(()) }
    }

    /// What became of a transaction whose answer was lost; `None` while it is still under way.
    fn transaction(
        &self,
        xid: u64,
    ) -> impl Future<Output = Result<Option<Ended>, PeerError>> + Send;
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It took effect.
    Committed,
    /// It did not, or the server no longer knows it (then the record is read).
    Aborted,
}

/// Where a writer leaves what must be durable before it goes on.
pub trait Notes {
    /// Keeps that these links' writes are in this transaction.
    fn note(
        &self,
        links: Vec<LinkId>,
        xid: u64,
    ) -> impl Future<Output = Result<(), PeerError>> + Send;

    /// Keeps that this job is about to run by itself over there, or that none does any more: whoever
    /// leads next ends it. Only a side that has jobs tells of any.
    fn job(&self, job: Option<&str>) -> impl Future<Output = Result<(), PeerError>> + Send {
        let _ = job;
        async { Ok(()) }
    }
}
