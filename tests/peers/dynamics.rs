//! Dynamics 365, simulated: change tracking tells the latest states, writes go under versions.

#[path = "../dynamics_connector/stage.rs"]
#[expect(dead_code, reason = "the connector's own tests use the rest")]
mod environment;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use truce::crm::dynamics::{TableFeed, TableScan};
use truce::peer::{Ask, Cursor, PeerError};
use truce::reconcile::mapping::SideMapping;
use truce::reconcile::{Field, Outcome, RecordId, Shape, Side, Write};

use self::environment as env;
use crate::stage::{Bad, Stage, Tells, Terms};

struct Dynamics {
    env: env::Stage,
    contacts: SideMapping,
    /// Seconds that its clock is ahead.
    ahead: i64,
}

impl Stage for Dynamics {
    type Feed = TableFeed;
    type Scan = TableScan;

    const TERMS: Terms = Terms {
        side: Side::Crm,
        entity: env::CONTACTS,
        title: env::TITLE,
        long: env::DESCRIPTION,
        email: env::EMAIL,
        consent: env::CONSENT,
        name: Some(env::LAST_NAME),
        tells: Tells::Latest,
        page: Some(5),
    };

    async fn new() -> Self {
        let env = env::Stage::with(|settings| settings.polling.page = 5).await;
        let contact = env.crm.account().describe("contact").await.unwrap().table();
        let contacts = env::mapping(env::CONTACTS, &contact, &env::CONTACT_FIELDS);
        Self { env, contacts, ahead: 0 }
    }

    async fn make(&mut self, titles: &[String]) -> Vec<RecordId> {
        let record = |title: &String| json!({ "lastname": "Roe", "jobtitle": title });
        let records: Vec<Json> = titles.iter().map(record).collect();
        let made =
            self.env.order("create", json!({ "table": "contact", "records": records })).await;
        made["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().into()).collect()
    }

    async fn edit(&mut self, record: &RecordId, title: &str) {
        self.env.edit(record, json!({ "jobtitle": title })).await;
    }

    async fn delete(&mut self, record: &RecordId) {
        self.env.delete(record).await;
    }

    async fn opt_out(&mut self, record: &RecordId) {
        self.env.edit(record, json!({ "donotbulkemail": true })).await;
    }

    async fn opt_out_again(&mut self, record: &RecordId) {
        self.env.edit(record, json!({ "donotbulkemail": true, "jobtitle": "said so" })).await;
    }

    async fn set_email(&mut self, record: &RecordId, email: &str) {
        self.env.edit(record, json!({ "emailaddress1": email })).await;
    }

    async fn text(&mut self, record: &RecordId, field: Field) -> Option<String> {
        let name = &self.contacts.field(field).unwrap().name;
        self.env.held(record).await[&**name].as_str().map(ToOwned::to_owned)
    }

    async fn living(&mut self) -> BTreeSet<RecordId> {
        let all = self.env.contacts().await;
        all.iter().map(|record| record["contactid"].as_str().unwrap().into()).collect()
    }

    async fn traffic(&mut self) -> String {
        self.env.look("counters").await["requests"].to_string()
    }

    async fn pass_time(&mut self) {
        self.ahead += 10;
        self.env.order("clock", json!({ "offset_s": self.ahead })).await;
    }

    async fn bad(&mut self) -> Bad {
        let value = env::text(&"x".repeat(51));
        Bad { field: env::LAST_NAME, value, code: "0x80044331" }
    }

    async fn lose_next_answer(&mut self) {
        let fault =
            json!({ "count": 1, "kind": "reset", "effect": "after", "path_contains": "$batch" });
        self.env.order("fail", fault).await;
    }

    fn nobody() -> RecordId {
        "00000000-0000-4000-8000-000000000001".into()
    }

    fn shapes(&self) -> BTreeMap<Field, Shape> {
        self.contacts.fields.iter().map(|field| (field.field, field.shape.clone())).collect()
    }

    async fn feed(&mut self) -> TableFeed {
        self.env.feed()
    }

    async fn feed_after_fall(&mut self, _: &Cursor) -> TableFeed {
        self.env.feed()
    }

    async fn scan(&mut self) -> TableScan {
        self.env.crm.scan()
    }

    fn ask(&mut self) -> &mut (dyn Ask + Send) {
        &mut self.env.ticks
    }

    async fn write(&mut self, writes: Vec<Write>) -> Result<Vec<Outcome>, PeerError> {
        self.env.write(writes).await
    }

    async fn draw_key(&mut self) -> Option<RecordId> {
        None
    }
}

keeps_every_promise!(Dynamics);
