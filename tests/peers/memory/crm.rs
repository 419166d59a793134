//! The simulation's CRM, with each of its feeds: one that tells all, one that is polled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use truce::peer::{Ask, Cursor, PeerError};
use truce::reconcile::{Consent, Field, Gone, Outcome, RecordId, Shape, Value, Write};

use super::simulation::campaign::blank;
use super::simulation::crm::{CrmPeer, Record};
use super::simulation::schema::{BOTH, CONTACT, EMAIL, OUT};
use super::simulation::world::CrmFeed;
use super::{Quiet, printed, shapes, taken};
use crate::stage::{Bad, Stage, Tells, Terms};

/// A CRM whose feed tells every version, or only the latest.
struct Crm<const EVERY: bool>(Quiet);

impl<const EVERY: bool> Crm<EVERY> {
    fn put(&self, id: &RecordId, change: impl FnOnce(&mut Record)) {
        let mut world = self.0.world();
        let modified = world.crm_second();
        let known = world.crm.records.get(&(CONTACT, id.clone())).cloned();
        let new =
            || Record { row: blank(CONTACT), modified, stamp: None, claims: None, gone: None };
        let mut record = Record { modified, ..known.unwrap_or_else(new) };
        change(&mut record);
        world.put(CONTACT, id, record);
    }

    fn set(&self, id: &RecordId, field: Field, value: Value) {
        self.put(id, |record| {
            record.row.insert(field, value);
        });
    }
}

impl<const EVERY: bool> Stage for Crm<EVERY> {
    type Feed = CrmPeer;
    type Scan = CrmPeer;

    const TERMS: Terms = Terms {
        tells: if EVERY { Tells::Every } else { Tells::Latest },
        // What is polled of a world is one answer.
        page: if EVERY { Some(5) } else { None },
        ..super::TERMS
    };

    async fn new() -> Self {
        Self(Quiet::new(if EVERY { CrmFeed::Complete } else { CrmFeed::Latest }))
    }

    async fn make(&mut self, titles: &[String]) -> Vec<RecordId> {
        let mut made = Vec::new();
        for title in titles {
            let id = self.0.world().draw_id();
            self.set(&id, BOTH, Value::text(title));
            made.push(id);
        }
        made
    }

    async fn edit(&mut self, record: &RecordId, title: &str) {
        self.set(record, BOTH, Value::text(title));
    }

    async fn delete(&mut self, record: &RecordId) {
        self.put(record, |record| record.gone = Some(Gone::Deleted));
    }

    async fn opt_out(&mut self, record: &RecordId) {
        self.set(record, OUT, Value::Consent(Consent::Out));
    }

    async fn opt_out_again(&mut self, record: &RecordId) {
        self.set(record, OUT, Value::Consent(Consent::Out));
    }

    async fn set_email(&mut self, record: &RecordId, email: &str) {
        self.set(record, EMAIL, Value::text(email));
    }

    async fn text(&mut self, record: &RecordId, field: Field) -> Option<String> {
        printed(&self.0.world().crm.records[&(CONTACT, record.clone())].row, field)
    }

    async fn living(&mut self) -> BTreeSet<RecordId> {
        let world = self.0.world();
        let living = world.crm.records.iter().filter(|(_, record)| record.gone.is_none());
        living.map(|((_, id), _)| id.clone()).collect()
    }

    async fn traffic(&mut self) -> String {
        self.0.world().writes.to_string()
    }

    async fn pass_time(&mut self) {
        self.0.pass_time();
    }

    async fn bad(&mut self) -> Bad {
        let owner = self.make(&["owner".to_owned()]).await.remove(0);
        let bad = taken();
        self.set(&owner, bad.field, bad.value.clone());
        bad
    }

    async fn lose_next_answer(&mut self) {
        self.0.lose_next = true;
    }

    fn nobody() -> RecordId {
        "c000".into()
    }

    fn shapes(&self) -> BTreeMap<Field, Shape> {
        shapes()
    }

    async fn feed(&mut self) -> CrmPeer {
        CrmPeer(Arc::clone(&self.0.world))
    }

    async fn feed_after_fall(&mut self, _: &Cursor) -> CrmPeer {
        self.feed().await
    }

    async fn scan(&mut self) -> CrmPeer {
        self.feed().await
    }

    fn ask(&mut self) -> &mut (dyn Ask + Send) {
        &mut self.0.ask
    }

    async fn write(&mut self, writes: Vec<Write>) -> Result<Vec<Outcome>, PeerError> {
        let peer = self.feed().await;
        self.0.write(peer, writes).await
    }

    async fn draw_key(&mut self) -> Option<RecordId> {
        None
    }
}

mod complete {
    keeps_every_promise!(super::Crm<true>);
}

mod latest {
    keeps_every_promise!(super::Crm<false>);
}
