//! The simulation's Campaign: a log of every commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use truce::peer::{Ask, Cursor, PeerError, Writer as _};
use truce::reconcile::{Consent, Field, Outcome, RecordId, Row, Shape, Side, Value, Write};

use super::simulation::campaign::{CampaignPeer, blank};
use super::simulation::schema::{BOTH, CONTACT, EMAIL, OUT};
use super::simulation::world::CrmFeed;
use super::{Quiet, printed, shapes, taken};
use crate::stage::{Bad, Stage, Terms};

struct Campaign(Quiet);

impl Campaign {
    fn commit(&self, record: &RecordId, change: impl FnOnce(Row) -> Option<Row>) {
        let mut world = self.0.world();
        let row = world.campaign.rows.get(&(CONTACT, record.clone())).cloned();
        let row = change(row.unwrap_or_else(|| blank(CONTACT)));
        let xid = world.begin();
        world.commit(xid, vec![(CONTACT, record.clone(), row)]);
    }

    fn set(&self, record: &RecordId, field: Field, value: Value) {
        self.commit(record, |mut row| {
            row.insert(field, value);
            Some(row)
        });
    }
}

impl Stage for Campaign {
    type Feed = CampaignPeer;
    type Scan = CampaignPeer;

    const TERMS: Terms = Terms { side: Side::Campaign, ..super::TERMS };

    async fn new() -> Self {
        Self(Quiet::new(CrmFeed::Complete))
    }

    async fn make(&mut self, titles: &[String]) -> Vec<RecordId> {
        let mut made = Vec::new();
        for title in titles {
            let record = self.0.world().draw_key();
            self.set(&record, BOTH, Value::text(title));
            made.push(record);
        }
        made
    }

    async fn edit(&mut self, record: &RecordId, title: &str) {
        self.set(record, BOTH, Value::text(title));
    }

    async fn delete(&mut self, record: &RecordId) {
        self.commit(record, |_| None);
    }

    async fn opt_out(&mut self, record: &RecordId) {
        self.set(record, OUT, Value::Consent(Consent::Out));
    }

    async fn opt_out_again(&mut self, record: &RecordId) {
        self.set(record, OUT, Value::Consent(Consent::Implied));
    }

    async fn set_email(&mut self, record: &RecordId, email: &str) {
        self.set(record, EMAIL, Value::text(email));
    }

    async fn text(&mut self, record: &RecordId, field: Field) -> Option<String> {
        printed(&self.0.world().campaign.rows[&(CONTACT, record.clone())], field)
    }

    async fn living(&mut self) -> BTreeSet<RecordId> {
        self.0.world().campaign.rows.keys().map(|(_, key)| key.clone()).collect()
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
        "k000".into()
    }

    fn shapes(&self) -> BTreeMap<Field, Shape> {
        shapes()
    }

    async fn feed(&mut self) -> CampaignPeer {
        CampaignPeer(Arc::clone(&self.0.world))
    }

    async fn feed_after_fall(&mut self, _: &Cursor) -> CampaignPeer {
        self.feed().await
    }

    async fn scan(&mut self) -> CampaignPeer {
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
        let peer = self.feed().await;
        Some(peer.draw_keys(CONTACT, 1).await.unwrap().remove(0))
    }
}

keeps_every_promise!(Campaign);
