//! What is kept of each link, and how far each feed has come: all that outlives the process.
//!
//! A [`Ledger`] answers questions and takes [`Batch`]es. A batch is stored whole or not at all, so
//! that a cursor never runs ahead of what it carried. Nothing is locked between a load and the
//! store that follows: each link has a version, and who comes second is told to load again.
//!
//! There are two: [`MemoryLedger`] for the simulation and for tests of loops, and
//! [`PostgresLedger`], which is the one that survives. One contract test holds for both.

mod words;
pub use words::{
    Awaited, Batch, Bearer, Catalog, CatalogField, CatalogMapping, Counts, Due, Held, HeldFilter,
    HeldLink, HeldPage, Keep, Kept, Mark, State,
};

mod decision;
pub use decision::{Decision, PUT_OFF, Receipt, Verdict};

mod error;
pub use error::{LedgerError, StoreError};

mod memory;
pub use memory::MemoryLedger;

pub mod stored;

mod postgres;
pub use postgres::{Leader, LeaseError, Life, Lived, PostgresLedger, check_schema, migrate};

use std::future::Future;

use jiff::Timestamp;

use crate::peer::Cursor;
use crate::reconcile::{Entity, Lane, LinkId, RecordId, Side};

/// Where links, cursors, decisions and facts are kept.
pub trait Ledger: Send + Sync {
    /// Gives each mapping and each of its fields its number, drawing one where it is new.
    ///
    /// A number is never used twice: a field that is removed and comes back has its old one, a
    /// renamed field is a new one. Fields are numbered over the whole ledger, from 1.
    fn catalog(
        &self,
        mappings: &[(String, Vec<String>)],
    ) -> impl Future<Output = Result<Catalog, LedgerError>> + Send;

    /// The links that bear any of these records, each once, in the order of their numbers.
    ///
    /// For each record: the live link and all aliases; where there is no live one, the newest
    /// severed one or tombstone besides.
    fn links_of(
        &self,
        bearers: &[Bearer],
    ) -> impl Future<Output = Result<Vec<Kept>, LedgerError>> + Send;

    /// The links with these numbers, each once, in the order of their numbers.
    fn links(&self, ids: &[LinkId]) -> impl Future<Output = Result<Vec<Kept>, LedgerError>> + Send;

    /// A mapping's links after this one, in the order of their numbers, whatever their state.
    fn walk(
        &self,
        entity: Entity,
        after: Option<LinkId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Kept>, LedgerError>> + Send;

    /// A mapping's live links whose records of this side follow the first of these and do not follow
    /// the second, in the order of the records' bytes; `None` is an end that is open.
    fn between(
        &self,
        entity: Entity,
        side: Side,
        stretch: (Option<&RecordId>, Option<&RecordId>),
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Kept>, LedgerError>> + Send;

    /// Links of these mappings and lanes whose time has come: consent first, then the oldest.
    ///
    /// The mappings are named, so that a CRM that is down does not stand before the others; the
    /// lanes, so that consent passes while ordinary writes are as many as may be under way.
    fn due(
        &self,
        entities: &[Entity],
        lanes: &[Lane],
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Kept>, LedgerError>> + Send;

    /// Which links were stored with any of these match keys, whatever has become of them.
    fn matches(
        &self,
        entity: Entity,
        side: Side,
        keys: &[String],
    ) -> impl Future<Output = Result<Vec<(String, LinkId)>, LedgerError>> + Send;

    /// The links that wait for any of these records, in the order of their numbers.
    fn waiting(
        &self,
        bearers: &[Bearer],
    ) -> impl Future<Output = Result<Vec<LinkId>, LedgerError>> + Send;

    /// New link numbers, never given before, rising.
    fn draw(&self, count: usize) -> impl Future<Output = Result<Vec<LinkId>, LedgerError>> + Send;

    /// Stores a batch durably, whole or not at all.
    ///
    /// Each stored link's version rises by one ([`Keep::mark_after`]), and a link that was waiting
    /// for a record whose link changed its identity in this batch becomes due, its version raised.
    /// A decision that repeats the last of its link and field is not stored again, unless a person
    /// took it. Nor is an answer that puts a write off, after one of its link and side that did so for
    /// the same.
    /// After an error that is no conflict nobody knows: store it again, and where it had been
    /// stored that is a conflict, and the links are loaded afresh.
    fn store(&self, batch: Batch) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// How far a feed has come; the start where it is not known.
    fn cursor(&self, feed: &str) -> impl Future<Output = Result<Cursor, LedgerError>> + Send;

    /// A fact by its name.
    fn fact(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<serde_json::Value>, LedgerError>> + Send;

    /// Facts whose names begin so, by name.
    fn facts(
        &self,
        prefix: &str,
    ) -> impl Future<Output = Result<Vec<(String, serde_json::Value)>, LedgerError>> + Send;

    /// How many of everything; of the due, those that are to be looked at by then.
    fn counts(&self, due_by: Timestamp)
    -> impl Future<Output = Result<Counts, LedgerError>> + Send;

    /// What waits for a person, by link and then in the order it was given.
    fn held(
        &self,
        filter: &HeldFilter,
        page: HeldPage,
    ) -> impl Future<Output = Result<Vec<HeldLink>, LedgerError>> + Send;

    /// A link's newest decisions, newest first.
    fn decisions(
        &self,
        link: LinkId,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Decision>, LedgerError>> + Send;

    /// What was answered to a link's newest writes, newest first.
    fn receipts(
        &self,
        link: LinkId,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Receipt>, LedgerError>> + Send;

    /// Decisions from this moment on, in the order in which they were stored, each with its number
    /// in it; the next page is after the last number. For `replay`.
    fn decisions_since(
        &self,
        since: Timestamp,
        after: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(u64, Decision)>, LedgerError>> + Send;

    /// Forgets decisions and answers of before this moment; says how many.
    fn prune(&self, before: Timestamp) -> impl Future<Output = Result<u64, LedgerError>> + Send;
}
