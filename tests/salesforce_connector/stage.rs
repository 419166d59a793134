//! A simulated organisation, the connector to it, and a person at the screen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value as Json, json};
use truce::crm::Secret;
use truce::crm::delays::Pace;
use truce::crm::http::Limits;
use truce::crm::salesforce::{
    Account, Credentials, Object, ObjectFeed, Polling, RecordWriter, Salesforce, Settings,
};
use truce::peer::{Ask, Cursor, Feed as _, Notes, Page, PeerError, Writer as _};
use truce::reconcile::mapping::{Column, Kind, SideField, SideMapping};
use truce::reconcile::shape::{Text, TooLong};
use truce::reconcile::{
    Change, Entity, Expected, Field, Lane, LinkId, Observation, Outcome, Position, RecordId, Row,
    Shape, Side, Stamp, Target, Value, Write,
};
use truce::simulator::salesforce::{Options, Running, start};

pub(crate) const CONTACTS: Entity = Entity(1);
pub(crate) const ACCOUNTS: Entity = Entity(2);
pub(crate) const LEADS: Entity = Entity(3);

pub(crate) const LAST_NAME: Field = Field(1);
pub(crate) const EMAIL: Field = Field(2);
pub(crate) const CONSENT: Field = Field(3);
pub(crate) const ACCOUNT: Field = Field(4);
pub(crate) const SCORE: Field = Field(5);
pub(crate) const INTERESTS: Field = Field(6);
pub(crate) const BIRTHDATE: Field = Field(7);
pub(crate) const LAST_VISIT: Field = Field(8);
pub(crate) const MEMBER: Field = Field(9);
pub(crate) const SOURCE: Field = Field(10);
pub(crate) const CALL_AFTER: Field = Field(11);
pub(crate) const TITLE: Field = Field(12);
pub(crate) const DESCRIPTION: Field = Field(13);
pub(crate) const NAME: Field = Field(1);

pub(crate) const CONTACT_FIELDS: [(Field, &[&str]); 13] = [
    (LAST_NAME, &["LastName"]),
    (EMAIL, &["Email"]),
    (CONSENT, &["HasOptedOutOfEmail", "DoNotCall"]),
    (ACCOUNT, &["AccountId"]),
    (SCORE, &["Score__c"]),
    (INTERESTS, &["Interests__c"]),
    (BIRTHDATE, &["Birthdate"]),
    (LAST_VISIT, &["Last_Visit__c"]),
    (MEMBER, &["Member_Number__c"]),
    (SOURCE, &["LeadSource"]),
    (CALL_AFTER, &["Call_After__c"]),
    (TITLE, &["Title"]),
    (DESCRIPTION, &["Description"]),
];

/// Noon of the day on which most stories happen; the organisation's clock stands still there.
pub(crate) const NOON: &str = "2026-10-31T12:00:00Z";

/// Ticks one by one; our clock is a test's own.
pub(crate) struct Ticks {
    pub(crate) next: u64,
    pub(crate) clock: Timestamp,
}

impl Ask for Ticks {
    fn tick(&mut self) -> (Position, Timestamp) {
        self.next += 1;
        (Position { epoch: 1, major: self.next, minor: 0 }, self.clock)
    }
}

/// A CRM's writer notes nothing.
pub(crate) struct NoNotes;

impl Notes for NoNotes {
    async fn note(&self, _: Vec<LinkId>, _: u64) -> Result<(), PeerError> {
        panic!("a CRM has no transactions to note");
    }
}

/// An organisation with the connector's doors to it.
pub(crate) struct Stage {
    pub(crate) running: Running,
    control: reqwest::Client,
    pub(crate) crm: Salesforce,
    pub(crate) writer: RecordWriter,
    pub(crate) ticks: Ticks,
    sequence: u32,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(adjust: impl FnOnce(&mut Settings)) -> Self {
        let running = start(Options::default()).await.unwrap();
        let control = control();
        let order = json!({ "at": NOON, "scale": 0.0 });
        post(&control, &running, "clock", &order).await;
        let mut settings = settings(&running);
        adjust(&mut settings);
        let account = Arc::new(Account::open(settings).unwrap());
        let contact = account.describe("Contact").await.unwrap().object();
        let firm = account.describe("account").await.unwrap().object();
        let lead = account.describe("Lead").await.unwrap().object();
        let mut leads = mapping(LEADS, &lead, &[(LAST_NAME, &["LastName"]), (TITLE, &["Title"])]);
        leads.converts = Some(("ConvertedContactId".into(), CONTACTS));
        let mappings = vec![
            (leads, &lead),
            (mapping(CONTACTS, &contact, &CONTACT_FIELDS), &contact),
            (mapping(ACCOUNTS, &firm, &[(NAME, &["Name"])]), &firm),
        ];
        let org = account.organisation().await.unwrap();
        let crm = Salesforce::with(account, &org, mappings).unwrap();
        let writer = crm.writer();
        let ticks = Ticks { next: 0, clock: NOON.parse().unwrap() };
        Self { running, control, crm, writer, ticks, sequence: 0 }
    }

    pub(crate) fn feed(&self) -> ObjectFeed {
        self.crm.feeds().into_iter().find(|feed| feed.entity() == CONTACTS).unwrap()
    }

    /// Gives an order to the simulator.
    pub(crate) async fn order(&self, route: &str, order: Json) -> Json {
        post(&self.control, &self.running, route, &order).await
    }

    /// Looks at something.
    pub(crate) async fn look(&self, route: &str) -> Json {
        let url = format!("{}/{route}", self.running.control_url);
        let text = self.control.get(url).send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Moves the organisation's clock to so many seconds after noon.
    pub(crate) async fn at(&self, second: i64) {
        let noon: Timestamp = NOON.parse().unwrap();
        let at = noon.checked_add(jiff::SignedDuration::from_secs(second)).unwrap();
        self.order("clock", json!({ "at": at.to_string(), "scale": 0.0 })).await;
    }

    /// The same, and the connector learns of it, which any answer tells.
    pub(crate) async fn tell(&self, second: i64) {
        self.at(second).await;
        self.crm.account().describe("Contact").await.unwrap();
    }

    /// A contact that has been there for long.
    pub(crate) async fn contact(&self, mut fields: Json) -> RecordId {
        let object = fields.as_object_mut().unwrap();
        object.entry("LastName").or_insert(json!("Roe"));
        object.entry("SystemModstamp").or_insert(json!("2026-10-01T00:00:00Z"));
        let made = self.order("seed", json!({ "object": "Contact", "records": [fields] })).await;
        RecordId::from(made["ids"][0].as_str().unwrap())
    }

    /// Edits a contact as a person.
    pub(crate) async fn edit(&self, id: &RecordId, fields: Json) {
        let order = json!({ "object": "Contact", "id": &*id.0, "fields": fields });
        self.order("edit", order).await;
    }

    /// The contact as the organisation holds it.
    pub(crate) async fn held(&self, id: &RecordId) -> Json {
        let all = self.contacts().await;
        all.into_iter().find(|record| record["Id"] == *id.0).unwrap()
    }

    /// All contacts, deleted ones too.
    pub(crate) async fn contacts(&self) -> Vec<Json> {
        self.look("records/Contact").await["records"].as_array().unwrap().clone()
    }

    /// How many requests the organisation has had of this kind.
    pub(crate) async fn requests(&self, kind: &str) -> u64 {
        self.look("counters").await["by_kind"][kind].as_u64().unwrap_or(0)
    }

    pub(crate) async fn write(&mut self, writes: Vec<Write>) -> Result<Vec<Outcome>, PeerError> {
        self.writer.write(writes, &NoNotes, &mut self.ticks).await
    }

    pub(crate) async fn write_one(&mut self, write: Write) -> Outcome {
        self.write(vec![write]).await.unwrap().remove(0)
    }

    /// The next page, which must be there at once.
    pub(crate) async fn page(&mut self, feed: &mut ObjectFeed, after: &Cursor) -> Page {
        feed.page(after, Duration::ZERO, &mut self.ticks).await.unwrap()
    }

    /// Reads and confirms until a pass has ended; tells what was seen.
    pub(crate) async fn pass(
        &mut self,
        feed: &mut ObjectFeed,
        cursor: &mut Cursor,
    ) -> Vec<Observation> {
        let mut seen = Vec::new();
        loop {
            let page = self.page(feed, cursor).await;
            seen.extend(page.observations);
            *cursor = page.cursor;
            feed.confirm(cursor).await.unwrap();
            if !page.more {
                return seen;
            }
        }
    }

    pub(crate) fn set(&mut self, id: &RecordId, row: &[(Field, Value)]) -> Write {
        self.sequence += 1;
        Write {
            link: LinkId(7),
            entity: CONTACTS,
            side: Side::Crm,
            lane: Lane::Ordinary,
            target: Target::Record(id.clone()),
            change: Change::Set(row.iter().cloned().collect::<Row>()),
            expect: BTreeMap::new(),
            stamp: Stamp { epoch: 1, link: LinkId(7), sequence: self.sequence },
            unmodified_since: None,
            opt_in: false,
        }
    }

    pub(crate) fn create(&mut self, across: &str, row: &[(Field, Value)]) -> Write {
        let target = Target::New { key: None, across: across.into(), unless: Vec::new() };
        Write { target, ..self.set(&RecordId::from("none"), row) }
    }
}

/// What the decision saw in a field.
pub(crate) fn expecting(mut write: Write, field: Field, value: Value) -> Write {
    write.expect.insert(field, Expected { value, raw: None });
    write
}

pub(crate) fn text(text: &str) -> Value {
    Value::text(text)
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Settings under which nothing waits.
pub(crate) fn settings(running: &Running) -> Settings {
    let secret = Credentials::Secret(Secret::new(running.client_secret.clone()));
    let mut settings = Settings::new("sales", &running.base_url, &running.client_id, secret);
    settings.ca_pem = Some(running.ca_pem.clone().into_bytes());
    settings.pace =
        Pace { first: Duration::from_millis(1), longest: Duration::from_millis(4), again: 3 };
    settings.limits = Limits { per_second: std::num::NonZeroU32::MAX, ..Limits::default() };
    settings.polling =
        Polling { interval: Duration::ZERO, interval_max: Duration::ZERO, ..Polling::default() };
    settings
}

pub(crate) fn mapping(entity: Entity, object: &Object, fields: &[(Field, &[&str])]) -> SideMapping {
    let column = |name: &&str| object.column(name).unwrap().clone();
    let field = |(field, columns): &(Field, &[&str])| {
        let columns: Vec<Column> = columns.iter().map(column).collect();
        let shape = shape(&columns);
        let name = Arc::clone(&columns[0].name);
        SideField { field: *field, name, columns, shape, zero_is_null: false, writable: true }
    };
    SideMapping {
        entity,
        name: Arc::clone(&object.name),
        table: Arc::clone(&object.name),
        key: "Id".into(),
        external_id: Some("Truce_Id__c".into()),
        stamp: Some("Truce_Stamp__c".into()),
        fields: fields.iter().map(field).collect(),
        match_on: Vec::new(),
        converts: None,
        defaults: BTreeMap::new(),
    }
}

/// The canonical form that the CRM's side alone would have.
fn shape(columns: &[Column]) -> Shape {
    if columns.len() > 1 {
        return Shape::Consent;
    }
    match &columns[0].kind {
        Kind::Bool => Shape::Bool,
        Kind::Int { min, max } => Shape::Int { min: *min, max: *max },
        Kind::Decimal { whole, scale } => Shape::Decimal { whole: *whole, scale: *scale },
        Kind::Text { max, case, .. } => Shape::Text(Text {
            max: max.unwrap_or(255),
            case: *case,
            too_long: TooLong::Reject,
            only: None,
        }),
        Kind::Date => Shape::Date,
        Kind::Time => Shape::Time,
        Kind::Instant => Shape::Instant,
        Kind::Uuid => Shape::Uuid,
        Kind::Set { max, .. } => Shape::Set { max: max.unwrap_or(255) },
        Kind::Reference(_) => Shape::Reference(ACCOUNTS),
        Kind::Other => panic!("`{}` cannot be mapped", columns[0].name),
    }
}

/// Gives an order to a simulator that has no stage yet.
pub(crate) async fn order(running: &Running, route: &str, order: &Json) {
    post(&control(), running, route, order).await;
}

fn control() -> reqwest::Client {
    // Only the first test of the process installs it.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::new()
}

async fn post(client: &reqwest::Client, running: &Running, route: &str, order: &Json) -> Json {
    let url = format!("{}/{route}", running.control_url);
    let answer = client.post(url).json(order).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{route} {order}: {text}");
    serde_json::from_str(&text).unwrap()
}
