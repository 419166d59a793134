//! One organisation: its records, its clock, its tokens, its quota, and what a test ordered.

use std::collections::VecDeque;

use serde_json::{Value as Json, json};

use super::api::{Cursors, Request};
use super::bulk::{self, Jobs};
use super::catalog;
use super::clock::{Clock, Millis, second};
use super::concurrency::Concurrency;
use super::data::{Actor, Data, Via};
use super::draw::Draw;
use super::fault::Faults;
use super::id::Id;
use super::model::{
    CREATED_BY_ID, CREATED_DATE, LAST_MODIFIED_BY_ID, LAST_MODIFIED_DATE, SYSTEM_MODSTAMP,
};
use super::refusal::Refusal;
use super::table::Row;
use super::tokens::Tokens;
use super::value::Value;

/// Requests that are remembered.
const LOG_MAX: usize = 200_000;
/// The integration user's name.
const USERNAME: &str = "integration@example.com";
/// The window of the quota.
const DAY_S: i64 = 86_400;

/// What an organisation is called.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) base_url: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) username: String,
    pub(super) password: String,
    /// Appended to the password by those who log in by it.
    pub(super) security_token: String,
    /// Of an approval that somebody gave before: the web flow is not simulated.
    pub(super) refresh_token: String,
    pub(super) org: Id,
    /// The integration user, whom every token stands for.
    pub(super) api_user: Id,
    /// A person at the screen.
    pub(super) person: Id,
}

/// Calls a day, and how many are used.
#[derive(Debug)]
pub(super) struct Quota {
    pub(super) max: u64,
    /// Whether answers tell the app's own use too, in the longer form of the header.
    pub(super) per_app: bool,
    /// Calls of the last day by the second; what a test sets is in the second it was set.
    used: VecDeque<(i64, u64)>,
}

impl Quota {
    /// Calls of the last 24 hours.
    pub(super) fn used(&mut self, now: i64) -> u64 {
        while self.used.front().is_some_and(|(at, _)| *at <= now - DAY_S) {
            self.used.pop_front();
        }
        self.used.iter().map(|(_, count)| count).sum()
    }

    pub(super) fn set_used(&mut self, now: i64, used: u64) {
        self.used = VecDeque::from([(now, used)]);
    }

    /// Counts a call, unless none is left.
    pub(super) fn spend(&mut self, now: i64) -> Result<(), Refusal> {
        if self.max <= self.used(now) {
            let message = "TotalRequests Limit exceeded.";
            return Err(Refusal::new("REQUEST_LIMIT_EXCEEDED", message));
        }
        match self.used.back_mut() {
            Some((at, count)) if *at == now => *count += 1,
            _ => self.used.push_back((now, 1)),
        }
        Ok(())
    }
}

/// The app as whose consumer clients log in, and which flows the organisation allows.
#[derive(Debug)]
pub(super) struct App {
    /// The public key of the registered certificate, which proves assertions.
    pub(super) key: Option<Vec<u8>>,
    pub(super) sandbox: bool,
    pub(super) soap_login: bool,
    pub(super) password_flow: bool,
}

/// One request as the log keeps it.
#[derive(Clone, Debug)]
pub(super) struct Logged {
    pub(super) number: u64,
    pub(super) at: Millis,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) status: u16,
    /// Records that the request carries.
    pub(super) records: usize,
    /// Which it asks for by their ids.
    pub(super) ids: Vec<String>,
    /// Records that the answer carries.
    pub(super) rows: usize,
    pub(super) fault: Option<&'static str>,
    /// What the client calls itself in `Sforce-Call-Options`.
    pub(super) client: Option<String>,
}

impl Logged {
    pub(super) fn json(&self) -> Json {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        json!({
            "n": self.number, "at_ms": self.at, "method": self.method, "path": path,
            "query": query, "status": self.status, "records": self.records, "rows": self.rows,
            "ids": self.ids, "fault": self.fault, "client": self.client,
        })
    }
}

/// The requests, oldest first, bounded.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) requests: VecDeque<Logged>,
    pub(super) count: u64,
}

impl Log {
    pub(super) fn next_number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    pub(super) fn push(&mut self, logged: Logged) {
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
    pub(super) quota: Quota,
    pub(super) concurrency: Concurrency,
    pub(super) faults: Faults,
    pub(super) cursors: Cursors,
    pub(super) bulk: Jobs,
    pub(super) log: Log,
    /// When the model was changed last, in seconds.
    pub(super) model_changed: i64,
    /// From when on deletions are remembered, in seconds, if a test emptied their log.
    pub(super) deleted_since: i64,
}

impl Org {
    pub(super) fn new(seed: u64, base_url: &str) -> Org {
        let mut draw = Draw::new(seed);
        let names = Names {
            base_url: base_url.to_owned(),
            client_id: format!("3MVG9{}", draw.word(40)),
            client_secret: draw.word(64),
            username: USERNAME.to_owned(),
            password: draw.word(16),
            security_token: draw.word(24),
            refresh_token: format!("5Aep861{}", draw.word(80)),
            org: Id::compose("00D", 6_140_273),
            api_user: Id::compose("005", 1),
            person: Id::compose("005", 2),
        };
        let clock = Clock::new();
        let mut org = Org {
            data: Data::new(catalog::model()),
            clock,
            draw,
            tokens: Tokens::default(),
            app: App { key: None, sandbox: false, soap_login: true, password_flow: true },
            quota: Quota { max: 1_000_000, per_app: false, used: VecDeque::new() },
            concurrency: Concurrency::default(),
            faults: Faults::default(),
            cursors: Cursors::default(),
            bulk: Jobs::default(),
            log: Log::default(),
            model_changed: second(clock.now()),
            deleted_since: 0,
            names,
        };
        let grant = org.tokens.next_grant();
        org.tokens.add_refresh(org.names.refresh_token.clone(), grant);
        org.furnish();
        org
    }

    /// Does what is due by the clock: jobs run, held commits are shown.
    pub(super) fn catch_up(&mut self) {
        let now = self.clock.now();
        bulk::advance(self, now);
        self.data.publish(now);
    }

    /// Empties the organisation; tokens and the clock stay.
    pub(super) fn reset(&mut self) {
        let now = second(self.clock.now());
        self.data = Data::new(catalog::model());
        self.faults = Faults::default();
        self.cursors = Cursors::default();
        self.bulk = Jobs::default();
        self.log = Log::default();
        self.quota = Quota { max: 1_000_000, per_app: false, used: VecDeque::new() };
        self.model_changed = now;
        self.deleted_since = 0;
        self.concurrency = Concurrency::default();
        self.furnish();
    }

    /// The users and the organisation itself, as records that can be read.
    fn furnish(&mut self) {
        let users = [("Integration User", USERNAME), ("Pat Person", "person@example.com")];
        for (name, login) in users {
            let values = [
                ("Name", Value::text(name)),
                ("Username", Value::text(login)),
                ("Email", Value::text(login)),
                ("IsActive", Value::Bool(true)),
            ];
            self.furnish_one("User", &values);
        }
        let values = [
            ("Name", Value::text("Simulated Organisation")),
            ("IsSandbox", Value::Bool(false)),
            ("InstanceName", Value::text("SIM1")),
            ("OrganizationType", Value::text("Developer Edition")),
        ];
        if let Some(object) = self.data.model.find_any("Organization") {
            // The organisation's id is the one that its tokens begin with.
            self.data.table_mut(object).skip_serials(6_140_272);
        }
        self.furnish_one("Organization", &values);
        self.data.history.clear();
    }

    fn furnish_one(&mut self, object: &str, values: &[(&str, Value)]) {
        if let Err(refusal) = self.add_own(object, values) {
            tracing::error!(code = refusal.code, "the organisation's own record was refused");
        }
    }

    /// Adds a record of an object that no client writes.
    pub(super) fn add_own(
        &mut self,
        object: &str,
        values: &[(&str, Value)],
    ) -> Result<Id, Refusal> {
        let actor = Actor {
            via: Via::User,
            user: self.names.api_user,
            now: self.clock.now(),
            request: None,
        };
        let Some(object) = self.data.model.find_any(object) else {
            return Err(Refusal::new("INVALID_TYPE", format!("there is no object {object}")));
        };
        let mut row = Row::default();
        let stamp = Value::DateTime(second(actor.now));
        for at in [CREATED_DATE, LAST_MODIFIED_DATE, SYSTEM_MODSTAMP] {
            row.set(at, stamp.clone());
        }
        for at in [CREATED_BY_ID, LAST_MODIFIED_BY_ID] {
            row.set(at, Value::Id(actor.user));
        }
        for (name, value) in values {
            if let Some(at) = self.data.model.object(object).find_any(name) {
                row.set(at, value.clone());
            }
        }
        self.data.seed(object, row, actor)
    }

    /// Makes the organisation a sandbox, or production, in its own record too.
    pub(super) fn set_sandbox(&mut self, sandbox: bool) -> Result<(), Refusal> {
        self.app.sandbox = sandbox;
        let Some(at) = self.data.model.find_any("Organization") else { return Ok(()) };
        let flag = self.data.model.object(at).find_any("IsSandbox");
        let changes = flag.map(|flag| (flag, Value::Bool(sandbox))).into_iter().collect();
        let (user, now) = (self.names.person, self.clock.now());
        let actor = Actor { via: Via::User, user, now, request: None };
        self.data.update(at, self.names.org, changes, actor)
    }

    /// The API as the one who changes something.
    pub(super) fn api_actor(&self, request: &Request, now: Millis) -> Actor {
        Actor { via: Via::Api, user: self.names.api_user, now, request: Some(request.number) }
    }
}
