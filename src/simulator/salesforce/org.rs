//! One organisation: its records, its clock, its tokens, its quota, and what a test ordered.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value as Json, json};

use super::api::{Cursors, Request};
use super::catalog;
use super::clock::{Clock, Millis, second};
use super::data::{Actor, Data, Via};
use super::draw::Draw;
use super::fault::Faults;
use super::id::Id;
use super::model::{
    CREATED_BY_ID, CREATED_DATE, LAST_MODIFIED_BY_ID, LAST_MODIFIED_DATE, SYSTEM_MODSTAMP,
};
use super::refusal::Refusal;
use super::table::Row;
use super::value::Value;

/// Requests that are remembered.
const LOG_MAX: usize = 200_000;
/// Tokens that are valid at one time; the oldest goes.
const TOKENS_MAX: usize = 1_000;
/// The window of the quota.
const DAY_S: i64 = 86_400;

/// What an organisation is called.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) base_url: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) org: Id,
    /// The integration user, whom the client credentials stand for.
    pub(super) api_user: Id,
    /// A person at the screen.
    pub(super) person: Id,
}

/// Calls a day, and how many are used.
#[derive(Debug)]
pub(super) struct Quota {
    pub(super) max: u64,
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

/// Access tokens and when each was last used.
#[derive(Debug)]
pub(super) struct Tokens {
    valid: BTreeMap<String, i64>,
    /// Seconds without use after which a token expires.
    pub(super) lifetime_s: i64,
}

impl Tokens {
    pub(super) fn add(&mut self, token: String, now: i64) {
        if TOKENS_MAX <= self.valid.len() {
            let oldest = self.valid.iter().min_by_key(|(_, used)| **used);
            if let Some(oldest) = oldest.map(|(token, _)| token.clone()) {
                self.valid.remove(&oldest);
            }
        }
        self.valid.insert(token, now);
    }

    /// Whether a token is valid; it is used by asking.
    pub(super) fn accept(&mut self, token: &str, now: i64) -> bool {
        match self.valid.get_mut(token) {
            Some(used) if now - *used <= self.lifetime_s => {
                *used = now.max(*used);
                true
            }
            Some(_) | None => self.remove(token),
        }
    }

    /// Forgets a token; false, for the caller that asked whether it is valid.
    pub(super) fn remove(&mut self, token: &str) -> bool {
        self.valid.remove(token);
        false
    }

    pub(super) fn expire_all(&mut self) -> usize {
        std::mem::take(&mut self.valid).len()
    }
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
}

impl Logged {
    pub(super) fn json(&self) -> Json {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        json!({
            "n": self.number, "at_ms": self.at, "method": self.method, "path": path,
            "query": query, "status": self.status, "records": self.records, "rows": self.rows,
            "ids": self.ids, "fault": self.fault,
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
    pub(super) quota: Quota,
    pub(super) faults: Faults,
    pub(super) cursors: Cursors,
    pub(super) log: Log,
    /// When the model was changed last, in seconds.
    pub(super) model_changed: i64,
}

impl Org {
    pub(super) fn new(seed: u64, base_url: &str) -> Org {
        let mut draw = Draw::new(seed);
        let names = Names {
            base_url: base_url.to_owned(),
            client_id: format!("3MVG9{}", draw.word(40)),
            client_secret: draw.word(64),
            org: Id::compose("00D", 6_140_273),
            api_user: Id::compose("005", 1),
            person: Id::compose("005", 2),
        };
        let clock = Clock::new();
        let mut org = Org {
            data: Data::new(catalog::model()),
            clock,
            draw,
            tokens: Tokens { valid: BTreeMap::new(), lifetime_s: 7_200 },
            quota: Quota { max: 1_000_000, used: VecDeque::new() },
            faults: Faults::default(),
            cursors: Cursors::default(),
            log: Log::default(),
            model_changed: second(clock.now()),
            names,
        };
        org.furnish();
        org
    }

    /// Empties the organisation; tokens and the clock stay.
    pub(super) fn reset(&mut self) {
        let now = second(self.clock.now());
        self.data = Data::new(catalog::model());
        self.faults = Faults::default();
        self.cursors = Cursors::default();
        self.log = Log::default();
        self.quota = Quota { max: 1_000_000, used: VecDeque::new() };
        self.model_changed = now;
        self.furnish();
    }

    /// The users and the organisation itself, as records that can be read.
    fn furnish(&mut self) {
        let actor = Actor {
            via: Via::User,
            user: self.names.api_user,
            now: self.clock.now(),
            request: None,
        };
        let users = [("Integration User", "integration"), ("Pat Person", "person")];
        for (name, login) in users {
            let values = [
                ("Name", Value::text(name)),
                ("Username", Value::text(&format!("{login}@example.com"))),
                ("Email", Value::text(&format!("{login}@example.com"))),
                ("IsActive", Value::Bool(true)),
            ];
            self.furnish_one("User", &values, actor);
        }
        let values = [
            ("Name", Value::text("Simulated Organisation")),
            ("IsSandbox", Value::Bool(false)),
            ("InstanceName", Value::text("SIM1")),
            ("OrganizationType", Value::text("Developer Edition")),
        ];
        if let Some(object) = self.data.model.find("Organization") {
            // The organisation's id is the one that its tokens begin with.
            while self.data.table_mut(object).next_serial() < 6_140_272 {}
        }
        self.furnish_one("Organization", &values, actor);
        self.data.history.clear();
    }

    fn furnish_one(&mut self, object: &str, values: &[(&str, Value)], actor: Actor) {
        let Some(object) = self.data.model.find(object) else { return };
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
        if let Err(refusal) = self.data.seed(object, row, actor) {
            tracing::error!(code = refusal.code, "the organisation's own record was refused");
        }
    }

    /// The API as the one who changes something.
    pub(super) fn api_actor(&self, request: &Request, now: Millis) -> Actor {
        Actor { via: Via::Api, user: self.names.api_user, now, request: Some(request.number) }
    }
}
