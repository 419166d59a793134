//! An account: one organisation, reached with one client, whoever asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;
use tokio::time::Instant;

use crate::crm::http::{Call, Calls, Urgency, Usage};
use crate::crm::salesforce::Settings;
use crate::crm::salesforce::api::{Api, Query, Rows};
use crate::crm::salesforce::bulk::Slot;
use crate::crm::salesforce::contention::Contention;
use crate::crm::salesforce::describe::Described;
use crate::peer::PeerError;
use crate::reconcile::RecordId;
use crate::telemetry::metrics;

/// An account of Salesforce. Cheap to share; dropping it ends nothing over there.
pub struct Account {
    pub(super) api: Api,
    pub(super) settings: Settings,
    /// The place of the one job that may be writing.
    pub(super) slot: Slot,
    window: Window,
    contention: Mutex<Contention>,
    edition: OnceLock<Arc<str>>,
}

/// Which organisation answers, and what it allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Org {
    /// Its id: a refresh of a sandbox brings another.
    pub id: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Whether it is a sandbox.
    pub sandbox: bool,
    /// The instance that serves it.
    pub instance: Arc<str>,
    /// Its edition.
    pub edition: Arc<str>,
    /// The version of the API that is spoken.
    pub api_version: String,
    /// The day's calls.
    pub usage: Usage,
}

/// How long records stood between being read and being written: the window in which an edit of
/// the same field by somebody else is lost, as Salesforce has no compare-and-set for many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// How many calls wrote.
    pub writes: u64,
    /// All windows together.
    pub total: Duration,
    /// The longest.
    pub longest: Duration,
}

#[derive(Debug, Default)]
struct Window {
    writes: AtomicU64,
    total_us: AtomicU64,
    longest_us: AtomicU64,
}

impl Account {
    /// An account that has not been called yet.
    pub fn open(settings: Settings) -> Result<Self, PeerError> {
        Ok(Self {
            api: Api::new(&settings)?,
            settings,
            slot: Slot::default(),
            window: Window::default(),
            contention: Mutex::default(),
            edition: OnceLock::new(),
        })
    }

    /// Asks who answers: the cheapest proof that address, credentials and version are right.
    pub async fn inspect(&self) -> Result<Org, PeerError> {
        self.served().await?;
        let statement =
            "SELECT Id, Name, IsSandbox, InstanceName, OrganizationType FROM Organization";
        let (rows, call, urgency) = (Rows::Live, Call::Describe, Urgency::Urgent);
        let query = Query { rows, statement, call, urgency };
        let selected = self.api.query(query, &mut || ()).await?;
        let Some(row) = selected.records.first() else {
            return Err(PeerError::Denied {
                why:
                    "the integration user cannot see its organisation; grant API Enabled and View \
                      Setup and Configuration"
                        .to_owned(),
            });
        };
        let text = |name: &str| row.get(name).and_then(Json::as_str).unwrap_or_default().into();
        drop(self.edition.set(text("OrganizationType")));
        Ok(Org {
            id: text("Id"),
            name: text("Name"),
            sandbox: row.get("IsSandbox").and_then(Json::as_bool).unwrap_or_default(),
            instance: text("InstanceName"),
            edition: text("OrganizationType"),
            api_version: self.settings.api_version.clone(),
            usage: self.usage(),
        })
    }

    /// What an object looks like to the integration user.
    pub async fn describe(&self, object: &str) -> Result<Described, PeerError> {
        if let Some(described) = self.api.describe(object).await? {
            return Ok(described);
        }
        // A version that is not served is answered like an object that is not there.
        self.served().await?;
        Err(PeerError::Unfit {
            why: format!(
                "there is no object `{object}` that the integration user can see; correct the \
                 API name, or grant Read on the object in a permission set"
            ),
        })
    }

    /// Whether the version of the API that is pinned is served.
    async fn served(&self) -> Result<(), PeerError> {
        let version = &self.settings.api_version;
        let versions = self.api.versions().await?;
        if versions.contains(version) {
            return Ok(());
        }
        Err(PeerError::Unfit {
            why: format!(
                "crm.{}.api_version = \"{version}\" is not served by `{}`; the newest there is {}",
                self.settings.name,
                self.settings.url,
                versions.last().map_or("unknown", String::as_str)
            ),
        })
    }

    /// Which organisation answers, by its id; from now on no other may.
    pub async fn organisation(&self) -> Result<String, PeerError> {
        self.api.client.expect(None).await;
        Ok(self.api.client.token().await?.organisation.clone())
    }

    /// As whom we act there.
    pub(super) async fn user(&self) -> Result<String, PeerError> {
        Ok(self.api.client.token().await?.user.clone())
    }

    /// Whether the organisation is a sandbox; `None` where the integration user may not see that.
    pub async fn is_sandbox(&self) -> Result<Option<bool>, PeerError> {
        let statement = "SELECT Id, IsSandbox, OrganizationType FROM Organization";
        let (rows, call, urgency) = (Rows::Live, Call::Describe, Urgency::Urgent);
        match self.api.query(Query { rows, statement, call, urgency }, &mut || ()).await {
            Ok(selected) => {
                let row = selected.records.first();
                let edition = row.and_then(|row| row.get("OrganizationType")?.as_str());
                drop(edition.map(|edition| self.edition.set(edition.into())));
                Ok(row.and_then(|row| row.get("IsSandbox")).and_then(Json::as_bool))
            }
            Err(PeerError::Unfit { why }) => {
                tracing::warn!(account = %self.settings.name, why, "it is not told whether this is a sandbox");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The organisation's edition, where it was asked for by now.
    pub fn edition(&self) -> Option<&str> {
        self.edition.get().map(AsRef::as_ref)
    }

    /// Asks nothing more of the account while this process runs: it is not the one that is meant.
    pub fn bar(&self, why: String) {
        self.api.client.bar(why);
    }

    /// Goes on without asking who answers: it is the organisation of this id, or an error.
    pub async fn assume(&self, organisation: &str) {
        self.api.client.expect(Some(organisation.to_owned())).await;
    }

    /// The server's clock; ours is never asked.
    pub(super) async fn server_now(&self) -> Result<Timestamp, PeerError> {
        if let Some(now) = self.api.client.server_now() {
            return Ok(now);
        }
        self.api.versions().await?;
        self.api.client.server_now().ok_or_else(|| PeerError::Transient {
            doing: "asking for the server's time",
            source: "an answer without a Date header".into(),
        })
    }

    /// The server's clock as of its last answer and the time since; `None` before the first.
    pub fn server_clock(&self) -> Option<Timestamp> {
        self.api.client.server_now()
    }

    /// What the server's clock showed at least, at a moment since the last answer or before it.
    pub(super) fn server_had(&self, at: Instant) -> Option<Timestamp> {
        let now = self.api.client.server_now()?;
        now.checked_sub(SignedDuration::try_from(at.elapsed()).ok()?).ok()
    }

    /// What was called how often.
    pub fn calls(&self) -> &Calls {
        self.api.client.calls()
    }

    /// The day's calls as they stand.
    pub fn usage(&self) -> Usage {
        self.api.client.usage()
    }

    /// The windows between reads and writes so far.
    pub fn windows(&self) -> Windows {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Windows {
            writes: load(&self.window.writes),
            total: Duration::from_micros(load(&self.window.total_us)),
            longest: Duration::from_micros(load(&self.window.longest_us)),
        }
    }

    /// A record was locked by somebody, by way of this parent; says when it may be tried again.
    pub(super) fn locked(&self, record: &RecordId, parent: Option<RecordId>) -> Duration {
        self.api.client.crowded();
        self.contention(|contention| contention.locked(record, parent, Instant::now()))
    }

    /// The records that were locked; a memory that a panic left behind is as good as any.
    pub(super) fn contention<T>(&self, act: impl FnOnce(&mut Contention) -> T) -> T {
        act(&mut self.contention.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts a write that was answered this long after its read was asked for.
    pub(super) fn count_window(&self, window: Duration) {
        metrics::window(&self.settings.name, window);
        let window_us = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
        self.window.writes.fetch_add(1, Ordering::Relaxed);
        self.window.total_us.fetch_add(window_us, Ordering::Relaxed);
        self.window.longest_us.fetch_max(window_us, Ordering::Relaxed);
    }
}
