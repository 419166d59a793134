//! Salesforce, simulated: polled for the latest states, written without versions.

#[path = "../salesforce_connector/stage.rs"]
#[expect(dead_code, reason = "the connector's own tests use the rest")]
mod organisation;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use truce::crm::salesforce::{ObjectFeed, ObjectScan};
use truce::peer::{Ask, Cursor, PeerError};
use truce::reconcile::mapping::SideMapping;
use truce::reconcile::{Field, Outcome, RecordId, Shape, Side, Write};

use self::organisation as org;
use crate::stage::{Bad, Stage, Tells, Terms};

struct Salesforce {
    org: org::Stage,
    contacts: SideMapping,
    /// Seconds after noon: the organisation's clock goes when it is told to.
    second: i64,
}

impl Stage for Salesforce {
    type Feed = ObjectFeed;
    type Scan = ObjectScan;

    const TERMS: Terms = Terms {
        side: Side::Crm,
        entity: org::CONTACTS,
        title: org::TITLE,
        long: org::DESCRIPTION,
        email: org::EMAIL,
        consent: org::CONSENT,
        name: Some(org::LAST_NAME),
        tells: Tells::Latest,
        page: Some(5),
    };

    async fn new() -> Self {
        let org = org::Stage::with(|settings| settings.polling.page = 5).await;
        let contact = org.crm.account().describe("Contact").await.unwrap().object();
        let contacts = org::mapping(org::CONTACTS, &contact, &org::CONTACT_FIELDS);
        Self { org, contacts, second: 0 }
    }

    async fn make(&mut self, titles: &[String]) -> Vec<RecordId> {
        let record = |title: &String| json!({ "LastName": "Roe", "Title": title });
        let records: Vec<Json> = titles.iter().map(record).collect();
        let order = json!({ "object": "Contact", "records": records });
        let made = self.org.order("create", order).await;
        made["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().into()).collect()
    }

    async fn edit(&mut self, record: &RecordId, title: &str) {
        self.org.edit(record, json!({ "Title": title })).await;
    }

    async fn delete(&mut self, record: &RecordId) {
        let order = json!({ "object": "Contact", "ids": [&*record.0] });
        self.org.order("delete", order).await;
    }

    async fn opt_out(&mut self, record: &RecordId) {
        self.org.edit(record, json!({ "HasOptedOutOfEmail": true })).await;
    }

    async fn opt_out_again(&mut self, record: &RecordId) {
        self.org.edit(record, json!({ "HasOptedOutOfEmail": true, "Title": "said so" })).await;
    }

    async fn set_email(&mut self, record: &RecordId, email: &str) {
        self.org.edit(record, json!({ "Email": email })).await;
    }

    async fn text(&mut self, record: &RecordId, field: Field) -> Option<String> {
        let name = &self.contacts.field(field).unwrap().name;
        self.org.held(record).await[&**name].as_str().map(ToOwned::to_owned)
    }

    async fn living(&mut self) -> BTreeSet<RecordId> {
        let all = self.org.contacts().await;
        let living = all.iter().filter(|record| record["IsDeleted"] == false);
        living.map(|record| record["Id"].as_str().unwrap().into()).collect()
    }

    async fn traffic(&mut self) -> String {
        self.org.look("counters").await["requests"].to_string()
    }

    async fn pass_time(&mut self) {
        self.second += 10;
        self.org.at(self.second).await;
    }

    async fn bad(&mut self) -> Bad {
        let value = org::text("no address");
        Bad { field: org::EMAIL, value, code: "INVALID_EMAIL_ADDRESS" }
    }

    async fn lose_next_answer(&mut self) {
        let fault = json!({ "count": 1, "kind": "reset", "effect": "after", "method": "PATCH" });
        self.org.order("fail", fault).await;
    }

    fn nobody() -> RecordId {
        "003xx0000000zzzAAA".into()
    }

    fn shapes(&self) -> BTreeMap<Field, Shape> {
        self.contacts.fields.iter().map(|field| (field.field, field.shape.clone())).collect()
    }

    async fn feed(&mut self) -> ObjectFeed {
        self.org.feed()
    }

    async fn feed_after_fall(&mut self, _: &Cursor) -> ObjectFeed {
        self.org.feed()
    }

    async fn scan(&mut self) -> ObjectScan {
        self.org.crm.scan()
    }

    fn ask(&mut self) -> &mut (dyn Ask + Send) {
        &mut self.org.ticks
    }

    async fn write(&mut self, writes: Vec<Write>) -> Result<Vec<Outcome>, PeerError> {
        self.org.write(writes).await
    }

    async fn draw_key(&mut self) -> Option<RecordId> {
        None
    }
}

keeps_every_promise!(Salesforce);
