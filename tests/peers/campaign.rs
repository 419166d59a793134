//! Campaign, on a real PostgreSQL server: followed by its log, written in transactions.

#[path = "../campaign_world/mod.rs"]
mod campaign_world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use truce::campaign::apply::CampaignWriter;
use truce::campaign::capture::CampaignFeed;
use truce::campaign::scan::{CampaignScan, ScanOptions};
use truce::campaign::table::Tables;
use truce::peer::{Ask, Cursor, PeerError, Writer as _};
use truce::postgres::ServerUrl;
use truce::reconcile::{Field, Outcome, RecordId, Shape, Side, Write};

use self::campaign_world as db;
use crate::stage::{Bad, Stage, Tells, Terms};

/// The most observations of a page.
const PAGE: usize = 5;

struct Campaign {
    world: db::World,
    tables: Tables,
    /// Where the writer's answers can be kept from it.
    proxy: ServerUrl,
    mute: Arc<AtomicBool>,
    writer: CampaignWriter,
    lose_next: bool,
    followed: bool,
    made: usize,
    ticks: db::Ticks,
}

impl Campaign {
    async fn sql(&self, statement: String) {
        self.world.sql(&statement).await;
    }

    fn scan_now(&self) -> CampaignScan {
        let url = self.world.campaign.truce.clone();
        CampaignScan::new(url, "public", self.tables.clone(), ScanOptions::default())
    }
}

impl Stage for Campaign {
    type Feed = CampaignFeed;
    type Scan = CampaignScan;

    const TERMS: Terms = Terms {
        side: Side::Campaign,
        entity: db::RECIPIENTS,
        title: db::FIRST_NAME,
        long: db::NOTE,
        email: db::EMAIL,
        consent: db::OPTED_OUT,
        name: None,
        tells: Tells::Every,
        page: Some(PAGE),
    };

    async fn new() -> Self {
        let world = db::World::start().await;
        let tables = world.tables().await;
        let mute = Arc::new(AtomicBool::new(false));
        let proxy = world.behind_proxy(&mute).await;
        let writer = world.writer_on(tables.clone(), &proxy, LOCK_TIMEOUT).await;
        let ticks = db::Ticks::default();
        Self {
            world,
            tables,
            proxy,
            mute,
            writer,
            lose_next: false,
            followed: false,
            made: 0,
            ticks,
        }
    }

    async fn make(&mut self, titles: &[String]) -> Vec<RecordId> {
        let first = self.made + 1;
        self.made += titles.len();
        let row = |(n, title): (usize, &String)| format!("({}, '{title}')", first + n);
        let rows: Vec<String> = titles.iter().enumerate().map(row).collect();
        let rows = rows.join(", ");
        self.sql(format!("insert into nmsrecipient (irecipientid, sfirstname) values {rows}"))
            .await;
        (first..=self.made).map(|key| key.to_string().into()).collect()
    }

    async fn edit(&mut self, record: &RecordId, title: &str) {
        let title = title.replace('\'', "''");
        self.sql(format!(
            "update nmsrecipient set sfirstname = '{title}' where irecipientid = {record}"
        ))
        .await;
    }

    async fn delete(&mut self, record: &RecordId) {
        self.sql(format!("delete from nmsrecipient where irecipientid = {record}")).await;
    }

    async fn opt_out(&mut self, record: &RecordId) {
        self.sql(format!(
            "update nmsrecipient set iblacklistemail = 1 where irecipientid = {record}"
        ))
        .await;
    }

    /// Adobe's own page for it sets the global flag.
    async fn opt_out_again(&mut self, record: &RecordId) {
        self.sql(format!("update nmsrecipient set iblacklist = 1 where irecipientid = {record}"))
            .await;
    }

    async fn set_email(&mut self, record: &RecordId, email: &str) {
        self.sql(format!(
            "update nmsrecipient set semail = '{email}' where irecipientid = {record}"
        ))
        .await;
    }

    async fn text(&mut self, record: &RecordId, field: Field) -> Option<String> {
        let mapped = &self.tables[&db::RECIPIENTS];
        let column = &mapped.mapping.field(field).unwrap().columns[0].name;
        let query = format!(
            "select nullif({column}, '')::text from nmsrecipient where irecipientid = {record}"
        );
        self.world.text(&query).await
    }

    async fn living(&mut self) -> BTreeSet<RecordId> {
        let query = "select string_agg(irecipientid::text, ',') from nmsrecipient
                      where irecipientid <> 0";
        let keys = self.world.text(query).await.unwrap_or_default();
        keys.split(',').filter(|key| !key.is_empty()).map(RecordId::from).collect()
    }

    async fn traffic(&mut self) -> String {
        let superuser = self.world.database.session("campaign").await.unwrap();
        let last = "select max(query_start)::text from pg_stat_activity where usename = 'truce'";
        superuser.query_one(last, &[]).await.unwrap().get(0)
    }

    /// The server's clock is as fine as need be.
    async fn pass_time(&mut self) {}

    async fn bad(&mut self) -> Bad {
        let value = truce::reconcile::Value::text(&"X".repeat(41));
        Bad { field: db::MEMBER, value, code: "22001" }
    }

    async fn lose_next_answer(&mut self) {
        self.lose_next = true;
    }

    fn nobody() -> RecordId {
        "77777777".into()
    }

    fn shapes(&self) -> BTreeMap<Field, Shape> {
        let fields = &self.tables[&db::RECIPIENTS].mapping.fields;
        fields.iter().map(|field| (field.field, field.shape.clone())).collect()
    }

    /// What the log needs is made for the first feed: most promises do without.
    async fn feed(&mut self) -> CampaignFeed {
        if !std::mem::replace(&mut self.followed, true) {
            self.world.set_up().await;
        }
        self.world.feed_on(self.tables.clone(), PAGE)
    }

    async fn feed_after_fall(&mut self, cursor: &Cursor) -> CampaignFeed {
        self.world.feed_after_fall(cursor, PAGE).await
    }

    async fn scan(&mut self) -> CampaignScan {
        self.scan_now()
    }

    fn ask(&mut self) -> &mut (dyn Ask + Send) {
        &mut self.ticks
    }

    async fn write(&mut self, writes: Vec<Write>) -> Result<Vec<Outcome>, PeerError> {
        if !std::mem::take(&mut self.lose_next) {
            return self.writer.write(writes, &db::Noted::default(), &mut self.ticks).await;
        }
        let notes = db::ThenMute(db::Noted::default(), Arc::clone(&self.mute));
        let outcomes = self.writer.write(writes, &notes, &mut self.ticks).await;
        // The lead went with the session; the next process takes it.
        self.mute.store(false, Ordering::SeqCst);
        self.world.end_sessions().await;
        self.writer = self.world.writer_on(self.tables.clone(), &self.proxy, LOCK_TIMEOUT).await;
        outcomes
    }

    async fn draw_key(&mut self) -> Option<RecordId> {
        Some(self.writer.draw_keys(db::RECIPIENTS, 1).await.unwrap().remove(0))
    }
}

/// How long a write waits for another's unique value.
const LOCK_TIMEOUT: Duration = Duration::from_millis(200);

keeps_every_promise!(Campaign);
