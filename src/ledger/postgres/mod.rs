//! The ledger that survives: tables in the schema `truce` of a PostgreSQL database.
//!
//! One session stores, another loads, a third answers people: a page that is being stored keeps
//! nobody from loading, and a long count nobody from either. Stores take turns, so that two of
//! this process cannot stand in each other's way; a commit is one sync of the log.
//!
//! By `benches/ledger.rs` (200,000 links of twelve fields, two cores shared with others; load by
//! record, change, store with a cursor, synced): 26,000 to 30,000 observations a second in batches
//! of 2,000, 16,000 to 24,000 in batches of 50, and 0.6 to 0.8 ms for one alone; with both cores
//! kept busy by others, half of it and less. 870 bytes of WAL for one that changes no queue, 1,100
//! for one that makes its link due. New links with a match key on each side: 20,000 a second.

mod answers;
mod decided;
mod lease;
mod life;
mod line;
mod load;
mod migrate;
mod rows;
mod store;

use std::collections::VecDeque;
use std::sync::{Mutex as Lock, PoisonError};

use jiff::Timestamp;
use tokio::sync::Mutex;

use self::line::{Line, failed, open_session};
use self::store::Statements;
use crate::ledger::{
    Batch, Bearer, Catalog, Counts, Decision, HeldFilter, HeldLink, HeldPage, Kept, Ledger,
    LedgerError, Receipt, StoreError,
};
use crate::peer::Cursor;
use crate::postgres::{ServerUrl, Session};
use crate::reconcile::{Entity, Lane, LinkId, RecordId, Side};

pub use lease::{Leader, LeaseError};
pub use life::{Life, Lived};
pub use migrate::{check_schema, migrate};

/// A ledger in PostgreSQL. Opens its sessions when they are needed, and anew when they are lost.
#[derive(Debug)]
pub struct PostgresLedger {
    url: ServerUrl,
    loads: Line,
    answers: Line,
    stores: Mutex<Option<Stores>>,
    term: Lock<Option<u64>>,
    drawn: Lock<VecDeque<LinkId>>,
}

struct Stores {
    session: Session,
    statements: Statements,
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stores").field("session", &self.session).finish_non_exhaustive()
    }
}

/// Link numbers are drawn this many at a time: a commit for a thousand new links, not one for each.
const BLOCK: usize = 1000;

impl PostgresLedger {
    /// The ledger at this address, whose schema must be this release's: see [`migrate`].
    pub async fn open(url: &ServerUrl) -> Result<Self, LedgerError> {
        check_schema(url).await?;
        Ok(Self {
            url: url.clone(),
            loads: Line::new(url.clone()),
            answers: Line::new(url.clone()),
            stores: Mutex::new(None),
            term: Lock::new(None),
            drawn: Lock::default(),
        })
    }

    /// From now on stores only while this is the term of the lease: see [`Leader`].
    pub fn lead(&self, term: u64) {
        *self.term.lock().unwrap_or_else(PoisonError::into_inner) = Some(term);
    }

    fn take_drawn(&self, count: usize) -> Vec<LinkId> {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let count = count.min(drawn.len());
        drawn.drain(..count).collect()
    }
}

impl PostgresLedger {
    /// The numbers that mappings and fields have; those that are new get some that are not kept.
    pub async fn known(&self, mappings: &[(String, Vec<String>)]) -> Result<Catalog, LedgerError> {
        answers::catalog(&self.url, mappings, answers::New::Forgotten).await
    }
}

impl Ledger for PostgresLedger {
    async fn catalog(&self, mappings: &[(String, Vec<String>)]) -> Result<Catalog, LedgerError> {
        answers::catalog(&self.url, mappings, answers::New::Kept).await
    }

    async fn links_of(&self, bearers: &[Bearer]) -> Result<Vec<Kept>, LedgerError> {
        load::links_of(&self.loads, bearers).await
    }

    async fn links(&self, ids: &[LinkId]) -> Result<Vec<Kept>, LedgerError> {
        load::links(&self.loads, ids).await
    }

    async fn walk(
        &self,
        entity: Entity,
        after: Option<LinkId>,
        limit: usize,
    ) -> Result<Vec<Kept>, LedgerError> {
        load::walk(&self.loads, entity, after, limit).await
    }

    async fn between(
        &self,
        entity: Entity,
        side: Side,
        stretch: (Option<&RecordId>, Option<&RecordId>),
        limit: usize,
    ) -> Result<Vec<Kept>, LedgerError> {
        load::between(&self.loads, (entity, side), stretch, limit).await
    }

    async fn due(
        &self,
        entities: &[Entity],
        lanes: &[Lane],
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Kept>, LedgerError> {
        load::due(&self.loads, (entities, lanes), now, limit).await
    }

    async fn matches(
        &self,
        entity: Entity,
        side: Side,
        keys: &[String],
    ) -> Result<Vec<(String, LinkId)>, LedgerError> {
        load::matches(&self.loads, (entity, side), keys).await
    }

    async fn waiting(&self, bearers: &[Bearer]) -> Result<Vec<LinkId>, LedgerError> {
        load::waiting(&self.loads, bearers).await
    }

    async fn draw(&self, count: usize) -> Result<Vec<LinkId>, LedgerError> {
        let mut taken = self.take_drawn(count);
        if taken.len() < count {
            let missing = count - taken.len();
            let mut block = load::draw(&self.loads, missing.max(BLOCK)).await?;
            taken.extend(block.drain(..missing));
            self.drawn.lock().unwrap_or_else(PoisonError::into_inner).extend(block);
        }
        Ok(taken)
    }

    async fn store(&self, batch: Batch) -> Result<(), StoreError> {
        let term = *self.term.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stores = self.stores.lock().await;
        let open = match stores.take().filter(|open| !open.session.is_closed()) {
            Some(open) => open,
            None => Stores::open(&self.url).await?,
        };
        // Put back before the first statement: who drops this future leaves a session that is in
        // order, as an unfinished transaction is rolled back before anything else.
        let Stores { session, statements } = stores.insert(open);
        store::store(session, statements, &batch, term).await
    }

    async fn cursor(&self, feed: &str) -> Result<Cursor, LedgerError> {
        answers::cursor(&self.loads, feed).await
    }

    async fn fact(&self, name: &str) -> Result<Option<serde_json::Value>, LedgerError> {
        answers::fact(&self.loads, name).await
    }

    async fn facts(&self, prefix: &str) -> Result<Vec<(String, serde_json::Value)>, LedgerError> {
        answers::facts(&self.loads, prefix).await
    }

    async fn counts(&self, due_by: Timestamp) -> Result<Counts, LedgerError> {
        answers::counts(&self.answers, due_by).await
    }

    async fn held(
        &self,
        filter: &HeldFilter,
        page: HeldPage,
    ) -> Result<Vec<HeldLink>, LedgerError> {
        answers::held(&self.answers, filter, page).await
    }

    async fn decisions(&self, link: LinkId, limit: usize) -> Result<Vec<Decision>, LedgerError> {
        decided::decisions(&self.answers, link, limit).await
    }

    async fn receipts(&self, link: LinkId, limit: usize) -> Result<Vec<Receipt>, LedgerError> {
        decided::receipts(&self.answers, link, limit).await
    }

    async fn decisions_since(
        &self,
        since: Timestamp,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Decision)>, LedgerError> {
        decided::decisions_since(&self.answers, since, after, limit).await
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, LedgerError> {
        decided::prune(&self.answers, before).await
    }
}

impl Stores {
    async fn open(url: &ServerUrl) -> Result<Self, LedgerError> {
        let session = open_session(url, store::DOING).await?;
        let statements = Statements::prepare(&session).await;
        let statements = statements.map_err(|error| failed(store::DOING, error))?;
        Ok(Self { session, statements })
    }
}
