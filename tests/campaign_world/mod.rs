//! A Campaign database on a private server, with mappings of its recipients and accounts.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::unwrap_used,
    reason = "each test file uses a part of this"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use truce::campaign::apply::{CampaignWriter, WriteOptions};
use truce::campaign::capture::{CampaignFeed, FeedOptions};
use truce::campaign::carry_out::{Patience, carry_out};
use truce::campaign::catalog::Table;
use truce::campaign::lead::Leader;
use truce::campaign::setup::{Chosen, Wanted, WantedTable, plan};
use truce::campaign::table::{Mapped, Tables, time_zone};
use truce::peer::{Ask, Cursor, Feed as _, Notes, PeerError};
use truce::postgres::{ServerUrl, Session, Settings, connect};
use truce::reconcile::mapping::{SideField, SideMapping};
use truce::reconcile::shape::{Case, Text, TooLong};
use truce::reconcile::{
    Change, Entity, Expected, Field, Lane, LinkId, Position, RecordId, Row, Shape, Side, Stamp,
    Target, Value, Write,
};
use truce::simulator::database::{Database, DatabaseOptions};
use truce::simulator::database_campaign::CampaignDatabase;

pub const RECIPIENTS: Entity = Entity(1);
pub const ACCOUNTS: Entity = Entity(2);

pub const EMAIL: Field = Field(1);
pub const FIRST_NAME: Field = Field(2);
pub const OPTED_OUT: Field = Field(3);
pub const ACCOUNT: Field = Field(4);
pub const MEMBER: Field = Field(5);
pub const BIRTH: Field = Field(6);
pub const NOTE: Field = Field(7);
pub const QUALITY: Field = Field(8);
pub const NAME: Field = Field(11);
pub const SCORE: Field = Field(12);

pub struct World {
    pub database: Database,
    pub campaign: CampaignDatabase,
    pub owner: Session,
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let options = DatabaseOptions { settings, ..DatabaseOptions::default() };
        let database = Database::start(options).await.unwrap();
        let campaign = database.create_campaign("campaign").await.unwrap();
        let owner = connect(&campaign.owner, &Settings::default()).await.unwrap();
        owner
            .batch_execute(
                "grant select, insert, update, delete on nmsrecipient, cusaccount to truce;
                 grant select on xtkoption to truce;
                 grant usage on sequence xtknewid, nmsrecipientid to truce",
            )
            .await
            .unwrap();
        Self { database, campaign, owner }
    }

    pub async fn sql(&self, statements: &str) {
        self.owner.batch_execute(statements).await.unwrap();
    }

    /// The one text that a query answers with.
    pub async fn text(&self, query: &str) -> Option<String> {
        self.owner.query_one(query, &[]).await.unwrap().get(0)
    }

    pub async fn another_session(&self) -> Session {
        connect(&self.campaign.owner, &Settings::default()).await.unwrap()
    }

    pub async fn tables(&self) -> Tables {
        let zone = time_zone(&self.owner, "public", None).await.unwrap();
        let mut tables = Tables::new();
        for mapping in [recipients(&self.owner).await, accounts(&self.owner).await] {
            let table = Table::read(&self.owner, "public", &mapping.table).await.unwrap().unwrap();
            let mapped = Mapped::new(table, mapping, zone.clone()).unwrap();
            tables.insert(mapped.mapping.entity, Arc::new(mapped));
        }
        tables
    }

    pub async fn writer(&self) -> CampaignWriter {
        self.writer_at(&self.campaign.truce).await
    }

    pub async fn writer_at(&self, url: &ServerUrl) -> CampaignWriter {
        self.writer_with(url, Duration::from_millis(200)).await
    }

    pub async fn writer_with(&self, url: &ServerUrl, lock_timeout: Duration) -> CampaignWriter {
        self.writer_on(self.tables().await, url, lock_timeout).await
    }

    /// A writer that shares its tables with other doors, as in the agent.
    pub async fn writer_on(
        &self,
        tables: Tables,
        url: &ServerUrl,
        lock_timeout: Duration,
    ) -> CampaignWriter {
        let limit = Duration::from_secs(20);
        let leader = Leader::try_lead(url, "public", "truce", limit).await.unwrap().unwrap();
        let options = WriteOptions { rows: 200, keys: 50, lock_timeout };
        CampaignWriter::new(leader, tables, &BTreeMap::new(), options).await.unwrap()
    }
}

async fn recipients(client: &Session) -> SideMapping {
    let text =
        |max| Shape::Text(Text { max, case: Case::Kept, too_long: TooLong::Reject, only: None });
    let whole = Shape::Int { min: i32::MIN.into(), max: i32::MAX.into() };
    let fields = [
        (EMAIL, "email", vec!["semail"], text(128)),
        (FIRST_NAME, "first_name", vec!["sfirstname"], text(80)),
        (OPTED_OUT, "opted_out", vec!["iblacklistemail", "iblacklist"], Shape::Consent),
        (ACCOUNT, "account", vec!["iaccountid"], Shape::Reference(ACCOUNTS)),
        (MEMBER, "member", vec!["smember"], text(40)),
        (BIRTH, "birth", vec!["tsbirth"], Shape::Date),
        (NOTE, "note", vec!["mdata"], text(100_000)),
        (QUALITY, "quality", vec!["iaddrquality"], whole),
    ];
    mapping(client, RECIPIENTS, ("nmsrecipient", "irecipientid"), &fields).await
}

async fn accounts(client: &Session) -> SideMapping {
    let text =
        Shape::Text(Text { max: 160, case: Case::Kept, too_long: TooLong::Reject, only: None });
    let fields = [
        (NAME, "name", vec!["sname"], text),
        (SCORE, "score", vec!["dscore"], Shape::Decimal { whole: 10, scale: 2 }),
    ];
    mapping(client, ACCOUNTS, ("cusaccount", "icusaccountid"), &fields).await
}

async fn mapping(
    client: &Session,
    entity: Entity,
    (table, key): (&str, &str),
    fields: &[(Field, &str, Vec<&str>, Shape)],
) -> SideMapping {
    let known = Table::read(client, "public", table).await.unwrap().unwrap();
    let column = |name: &&str| known.column(name).unwrap().column.clone();
    let field = |(field, name, columns, shape): &(Field, &str, Vec<&str>, Shape)| SideField {
        field: *field,
        name: (*name).into(),
        columns: columns.iter().map(column).collect(),
        shape: shape.clone(),
        zero_is_null: false,
        writable: true,
    };
    SideMapping {
        entity,
        name: table.into(),
        table: table.into(),
        key: key.into(),
        external_id: None,
        stamp: None,
        fields: fields.iter().map(field).collect(),
        match_on: vec![],
        converts: None,
        defaults: BTreeMap::new(),
    }
}

/// Ticks that count up.
#[derive(Default)]
pub struct Ticks(u64);

impl Ask for Ticks {
    fn tick(&mut self) -> (Position, Timestamp) {
        self.0 += 1;
        (Position { epoch: 1, major: self.0, minor: 0 }, Timestamp::UNIX_EPOCH)
    }
}

/// Notes that are kept in memory; what is told to each is for the test to say.
#[derive(Default)]
pub struct Noted {
    pub kept: Mutex<Vec<(Vec<LinkId>, u64)>>,
    pub refuse: bool,
}

impl Notes for Noted {
    async fn note(&self, links: Vec<LinkId>, xid: u64) -> Result<(), PeerError> {
        if self.refuse {
            return Err(PeerError::Denied { why: "the ledger is not there".to_owned() });
        }
        self.kept.lock().unwrap().push((links, xid));
        Ok(())
    }
}

impl Noted {
    pub fn links(&self) -> BTreeSet<u64> {
        self.kept.lock().unwrap().iter().flat_map(|(links, _)| links).map(|link| link.0).collect()
    }

    pub fn last_xid(&self) -> u64 {
        self.kept.lock().unwrap().last().unwrap().1
    }
}

pub fn row(fields: &[(Field, Value)]) -> Row {
    fields.iter().cloned().collect()
}

/// A write to a record that expects these fields to hold these values.
pub fn update(
    entity: Entity,
    key: &str,
    set: &[(Field, Value)],
    expect: &[(Field, Value)],
) -> Write {
    let expected =
        |(field, value): &(Field, Value)| (*field, Expected { value: value.clone(), raw: None });
    Write {
        link: LinkId(key.trim_start_matches('-').parse().unwrap()),
        entity,
        side: Side::Campaign,
        lane: Lane::Ordinary,
        target: Target::Record(RecordId::from(key)),
        change: Change::Set(row(set)),
        expect: expect.iter().map(expected).collect(),
        stamp: Stamp { epoch: 1, link: LinkId(1), sequence: 1 },
        unmodified_since: None,
        opt_in: false,
    }
}

pub fn create(
    entity: Entity,
    key: &RecordId,
    set: &[(Field, Value)],
    unless: &[(Field, Value)],
) -> Write {
    Write {
        target: Target::New {
            key: Some(key.clone()),
            across: RecordId::from("003000000000001AAA"),
            unless: unless.to_vec(),
        },
        ..update(entity, &key.0, set, &[])
    }
}

pub fn delete(entity: Entity, key: &str, expect: &[(Field, Value)]) -> Write {
    Write { change: Change::Delete, ..update(entity, key, &[], expect) }
}

/// What is to be followed: recipients by index, accounts by the whole row.
pub fn wanted() -> Wanted {
    let table = |name: &str, key: &str, identity| WantedTable {
        name: name.into(),
        key: key.into(),
        identity,
    };
    Wanted {
        schema: "public".into(),
        publication: "truce".into(),
        slot: "truce".into(),
        tables: vec![
            table("nmsrecipient", "irecipientid", Chosen::Index),
            table("cusaccount", "icusaccountid", Chosen::Full),
        ],
    }
}

impl World {
    /// Sets the database up as a superuser would.
    pub async fn set_up(&self) {
        let superuser = self.database.session("campaign").await.unwrap();
        let steps = plan(&superuser, &wanted()).await.unwrap();
        carry_out(&superuser, &steps, Patience::default(), |_| {}).await.unwrap();
    }

    pub async fn feed(&self, rows: usize) -> CampaignFeed {
        self.feed_on(self.tables().await, rows)
    }

    pub fn feed_on(&self, tables: Tables, rows: usize) -> CampaignFeed {
        CampaignFeed::new(self.feed_options(rows), tables)
    }

    pub fn feed_options(&self, rows: usize) -> FeedOptions {
        FeedOptions {
            url: self.campaign.truce.clone(),
            schema: "public".into(),
            slot: "truce".into(),
            publication: "truce".into(),
            rows,
            bytes: 8 << 20,
            idle: Duration::from_millis(300),
            idle_bytes: 16 << 20,
            statement_timeout: Duration::from_secs(20),
            feedback: Duration::from_secs(10),
            read_delay: Duration::from_millis(1),
        }
    }
}

/// Passes bytes on, until it is told to let the client's through and keep the answers to itself.
async fn proxy(server: u16, mute: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            let (mut from_server, mut to_server) = server.into_split();
            let (mut from_client, mut to_client) = client.into_split();
            let mute = Arc::clone(&mute);
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = from_server.read(&mut bytes).await {
                    if mute.load(Ordering::SeqCst) {
                        break;
                    }
                    to_client.write_all(&bytes[..n]).await.unwrap();
                }
            });
        }
    });
    port
}

/// Notes, and from then on no answer comes through.
pub struct ThenMute(pub Noted, pub Arc<AtomicBool>);

impl Notes for ThenMute {
    async fn note(&self, links: Vec<LinkId>, xid: u64) -> Result<(), PeerError> {
        self.0.note(links, xid).await?;
        self.1.store(true, Ordering::SeqCst);
        Ok(())
    }
}

impl World {
    /// An address at which no answer comes through once it is mute.
    pub async fn behind_proxy(&self, mute: &Arc<AtomicBool>) -> ServerUrl {
        let port = proxy(self.database.port(), Arc::clone(mute)).await;
        let password = self.database.password();
        let url =
            format!("postgresql://truce:{password}@127.0.0.1:{port}/campaign?sslmode=disable");
        url.parse().unwrap()
    }

    /// The writer of the next process. The server notices a client that is gone when it next reads
    /// from it, so its session is ended.
    pub async fn leading_again(&self) -> CampaignWriter {
        self.end_sessions().await;
        self.writer().await
    }

    /// Ends all sessions of ours, and waits until they are.
    pub async fn end_sessions(&self) {
        let ended = "select pg_terminate_backend(pid, 10000) from pg_stat_activity
                      where usename = 'truce'";
        let superuser = self.database.session("campaign").await.unwrap();
        superuser.query(ended, &[]).await.unwrap();
    }

    /// A feed that streams again after one that was dropped without a word: the server gives the slot
    /// free when it finds the old socket closed.
    pub async fn feed_after_fall(&self, cursor: &Cursor, rows: usize) -> CampaignFeed {
        let mut feed = self.feed(rows).await;
        loop {
            match feed.page(cursor, Duration::ZERO, &mut Ticks::default()).await {
                // Whatever it told is not kept, so it begins again where the cursor is.
                Ok(_) => return feed,
                Err(PeerError::Transient { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}
