//! One environment: its records, its clock, its tokens, its limits, and what a test ordered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value as Json, json};

use super::super::clock::{Clock, Millis, second};
use super::super::draw::Draw;
use super::catalog;
use super::data::{Actor, Data, Via};
use super::exchange::Request;
use super::fault::Faults;
use super::guid::Guid;
use super::number::Number;
use super::protection::Protection;
use super::value::Value;
use super::write::{self, Changes};

/// Requests that are remembered.
const LOG_MAX: usize = 200_000;
/// Tokens that are valid at one time; the oldest goes.
const TOKENS_MAX: usize = 1_000;
/// The app, as the simulator knows it: an id that nobody else has, and a secret that is none.
const CLIENT_ID: &str = "11111111-2222-3333-4444-555555555555";
const CLIENT_SECRET: &str = "sim-secret";
/// Seconds that a token is good for.
const LIFETIME_S: i64 = 3_599;
/// Days that deletions are remembered for change tracking.
const RETENTION_DAYS: i64 = 7;

/// What an environment is called.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) base_url: String,
    pub(super) tenant: Guid,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) org: Guid,
    pub(super) unit: Guid,
    /// The application user, whom every token stands for.
    pub(super) api_user: Guid,
    /// A person at the screen.
    pub(super) person: Guid,
}

impl Names {
    pub(super) fn token_url(&self) -> String {
        format!("{}/{}/oauth2/v2.0/token", self.base_url, self.tenant)
    }
}

/// A certificate that proves the assertions of the app.
#[derive(Clone, Debug)]
pub(super) struct AppKey {
    pub(super) public: Vec<u8>,
    pub(super) sha1: String,
    pub(super) sha256: String,
    /// Seconds between which it is valid.
    pub(super) valid: (i64, i64),
}

/// What stands in the way of the application user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    #[default]
    Good,
    NotAMember,
    Blocked,
    Disabled,
    Unlicensed,
    NoRole,
    OrganisationDisabled,
}

/// The app.
#[derive(Debug, Default)]
pub(super) struct App {
    pub(super) key: Option<AppKey>,
    pub(super) standing: Standing,
    /// Its secret expired.
    pub(super) secret_expired: bool,
    /// Privileges that its role lacks: table, and `Read`, `Create`, `Write` or `Delete`.
    pub(super) lacks: BTreeSet<(usize, &'static str)>,
}

/// How change tracking answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tracking {
    pub(super) retention_days: i64,
    /// Tokens of this version and older are expired.
    pub(super) expired_upto: i64,
    /// The status of the answer that says so.
    pub(super) expired_status: u16,
    /// The token of a load is that of its first page, so that it is a snapshot.
    pub(super) first_page: bool,
    /// A page repeats the last row of the page before.
    pub(super) repeats: bool,
}

impl Default for Tracking {
    fn default() -> Tracking {
        Tracking {
            retention_days: RETENTION_DAYS,
            expired_upto: 0,
            expired_status: 400,
            first_page: false,
            repeats: false,
        }
    }
}

/// Access tokens, with when each expires.
#[derive(Debug)]
pub(super) struct Tokens {
    valid: BTreeMap<String, i64>,
    pub(super) lifetime_s: i64,
    pub(super) issued: u64,
}

impl Tokens {
    pub(super) fn add(&mut self, token: String, now: i64) {
        self.issued += 1;
        self.valid.retain(|_, until| now < *until);
        if TOKENS_MAX <= self.valid.len() {
            self.valid.pop_first();
        }
        self.valid.insert(token, now + self.lifetime_s);
    }

    pub(super) fn accept(&self, token: &str, now: i64) -> bool {
        self.valid.get(token).is_some_and(|until| now < *until)
    }

    pub(super) fn expire_all(&mut self) -> usize {
        let count = self.valid.len();
        self.valid.clear();
        count
    }
}

/// A request that was answered.
#[derive(Clone, Debug)]
pub(super) struct Logged {
    pub(super) number: u64,
    pub(super) at: Millis,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) status: u16,
    pub(super) kind: String,
    /// Operations: the parts of a batch, the targets of an action.
    pub(super) operations: usize,
    pub(super) rows: usize,
    pub(super) fault: Option<&'static str>,
    pub(super) headers: BTreeMap<String, String>,
}

impl Logged {
    pub(super) fn json(&self) -> Json {
        json!({
            "number": self.number, "at_ms": self.at, "method": self.method,
            "target": self.target, "status": self.status, "kind": self.kind,
            "operations": self.operations, "rows": self.rows, "fault": self.fault,
            "headers": self.headers,
        })
    }
}

/// The requests of clients.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) requests: VecDeque<Logged>,
    pub(super) count: u64,
    /// By kind, also those that are no longer remembered.
    pub(super) kinds: BTreeMap<String, u64>,
    pub(super) operations: u64,
    pub(super) rows: u64,
}

impl Log {
    pub(super) fn next_number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    pub(super) fn push(&mut self, logged: Logged) {
        *self.kinds.entry(logged.kind.clone()).or_default() += 1;
        self.operations += u64::try_from(logged.operations).unwrap_or(0);
        self.rows += u64::try_from(logged.rows).unwrap_or(0);
        if LOG_MAX <= self.requests.len() {
            self.requests.pop_front();
        }
        self.requests.push_back(logged);
    }
}

/// The whole state of the simulator.
#[derive(Debug)]
pub(super) struct Org {
    pub(super) names: Names,
    pub(super) data: Data,
    pub(super) clock: Clock,
    pub(super) draw: Draw,
    pub(super) tokens: Tokens,
    pub(super) app: App,
    pub(super) protection: Protection,
    pub(super) tracking: Tracking,
    pub(super) faults: Faults,
    pub(super) log: Log,
    /// By which columns duplicate detection finds one record in another, by table.
    pub(super) duplicates: BTreeMap<usize, Vec<usize>>,
}

impl Org {
    pub(super) fn new(seed: u64, base_url: &str) -> Org {
        let mut draw = Draw::new(seed);
        let names = Names {
            base_url: base_url.to_owned(),
            tenant: Guid::draw(&mut draw),
            client_id: CLIENT_ID.to_owned(),
            client_secret: CLIENT_SECRET.to_owned(),
            org: Guid::draw(&mut draw),
            unit: Guid::draw(&mut draw),
            api_user: Guid::draw(&mut draw),
            person: Guid::draw(&mut draw),
        };
        let mut org = Org {
            names,
            data: Data::new(catalog::model()),
            clock: Clock::new(),
            draw,
            tokens: Tokens { valid: BTreeMap::new(), lifetime_s: LIFETIME_S, issued: 0 },
            app: App::default(),
            protection: Protection::default(),
            tracking: Tracking::default(),
            faults: Faults::default(),
            log: Log::default(),
            duplicates: BTreeMap::new(),
        };
        org.furnish();
        org
    }

    /// Empties the environment; tokens, the clock and the app's certificate stay.
    pub(super) fn reset(&mut self) {
        self.data = Data::new(catalog::model());
        self.faults = Faults::default();
        self.log = Log { count: self.log.count, ..Log::default() };
        self.protection = Protection::default();
        self.tracking = Tracking::default();
        self.app = App { key: self.app.key.take(), ..App::default() };
        self.furnish();
    }

    /// The users, the team and the currency that every environment has.
    fn furnish(&mut self) {
        let (user, person) = (self.names.api_user, self.names.person);
        let app = Guid::parse(CLIENT_ID).unwrap_or_default();
        self.furnish_one(
            "systemuser",
            user,
            &[
                ("firstname", Value::text("#")),
                ("lastname", Value::text("Integration")),
                ("domainname", Value::text("integration@example.com")),
                ("applicationid", Value::Id(app)),
            ],
        );
        self.furnish_one(
            "systemuser",
            person,
            &[
                ("firstname", Value::text("Pat")),
                ("lastname", Value::text("Person")),
                ("domainname", Value::text("person@example.com")),
            ],
        );
        self.furnish_one("team", Guid::named("team"), &[("name", Value::text("Sales"))]);
        self.furnish_one(
            "transactioncurrency",
            Guid::named("eur"),
            &[
                ("currencyname", Value::text("Euro")),
                ("isocurrencycode", Value::text("EUR")),
                ("currencysymbol", Value::text("€")),
                ("currencyprecision", Value::Int(2)),
                ("exchangerate", Value::Number(Number::whole(1))),
            ],
        );
        let name = Value::text("Simulated Environment");
        self.furnish_one("organization", self.names.org, &[("name", name)]);
        self.furnish_messages();
        self.data.commit();
        let rules = [("contact", "emailaddress1"), ("lead", "emailaddress1"), ("account", "name")];
        self.duplicates.clear();
        for (table, column) in rules {
            if let Some(at) = self.data.model.by_name(table) {
                let column = self.data.model.table(at).find(column);
                self.duplicates.insert(at, column.into_iter().collect());
            }
        }
    }

    /// Which actions there are for which tables: clients look before they use them.
    fn furnish_messages(&mut self) {
        let Some(messages) = self.data.model.by_name("sdkmessage") else { return };
        let tables: Vec<String> =
            self.data.model.tables.iter().map(|table| table.name.clone()).collect();
        for message in ["CreateMultiple", "UpdateMultiple", "UpsertMultiple"] {
            let id = Guid::named(message);
            self.furnish_one("sdkmessage", id, &[("name", Value::text(message))]);
            for table in &tables {
                let filter = Guid::named(&format!("{message} {table}"));
                self.furnish_one(
                    "sdkmessagefilter",
                    filter,
                    &[
                        ("primaryobjecttypecode", Value::text(table)),
                        ("sdkmessageid", Value::Reference(messages, id)),
                    ],
                );
            }
        }
    }

    fn furnish_one(&mut self, table: &str, id: Guid, values: &[(&str, Value)]) {
        let Some(at) = self.data.model.by_name(table) else { return };
        let spec = self.data.model.table(at);
        let mut changes: Changes = values
            .iter()
            .filter_map(|(name, value)| Some((spec.find(name)?, value.clone())))
            .collect();
        changes.insert(super::model::ID, Value::Id(id));
        let now = self.clock.now();
        let actor = Actor { via: Via::User, user: self.names.api_user, now, request: None };
        if let Err(refusal) = write::seed(&mut self.data, &mut self.draw, (at, changes), actor) {
            tracing::error!(code = refusal.code, "the environment's own record was refused");
        }
    }

    /// The API as the one who changes something.
    pub(super) fn api_actor(&self, request: &Request) -> Actor {
        let now = self.clock.now();
        Actor { via: Via::Api, user: self.names.api_user, now, request: Some(request.number) }
    }

    /// Seconds since 1970, by the environment's clock.
    pub(super) fn now(&self) -> i64 {
        second(self.clock.now())
    }
}
