//! An account: one environment, reached with one client, whoever asks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::time::Instant;

use crate::crm::dynamics::Settings;
use crate::crm::dynamics::api::{Api, Read};
use crate::crm::dynamics::describe::{Described, describe, lacking};
use crate::crm::dynamics::odata;
use crate::crm::dynamics::outline::Listing;
use crate::crm::http::{Call, Calls, Urgency, Usage};
use crate::peer::PeerError;
use crate::reconcile::Entity;
use crate::telemetry::metrics;

/// An account of Dynamics. Cheap to share; dropping it ends nothing over there.
pub struct Account {
    pub(super) api: Api,
    pub(super) settings: Settings,
    /// The rows of tables that are being counted, in the order of their ids.
    pub(super) listings: Mutex<BTreeMap<Entity, Arc<Listing>>>,
    /// Whether one action for many rows was refused here.
    pub(super) no_multiples: AtomicBool,
}

/// Which organisation answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Org {
    /// Its id: a copy or a reset of an environment brings another.
    pub id: Arc<str>,
    /// Its name, where it is for us to read.
    pub name: Arc<str>,
    /// The application user that we act as.
    pub user: Arc<str>,
    /// The day's calls.
    pub usage: Usage,
}

impl Account {
    /// An account that has not been called yet.
    pub fn open(settings: Settings) -> Result<Self, PeerError> {
        Ok(Self {
            api: Api::new(&settings)?,
            settings,
            listings: Mutex::default(),
            no_multiples: AtomicBool::new(false),
        })
    }

    /// Asks who answers: the cheapest proof that address, credentials and roles are right.
    pub async fn inspect(&self) -> Result<Org, PeerError> {
        let token = self.api.client.token().await?;
        let path = odata::query("organizations", &[("$select", "name")]);
        let urgency = Urgency::Urgent;
        let query = Read { path: &path, prefer: "", call: Call::Describe, urgency };
        // Its name is a courtesy; a role that may not read it is no obstacle.
        let name = match self.api.rows(query, &mut || ()).await {
            Ok(rows) => {
                let row = rows.records.into_iter().next().unwrap_or_default();
                row.get("name").and_then(serde_json::Value::as_str).unwrap_or_default().into()
            }
            Err(PeerError::Denied { .. } | PeerError::Unfit { .. }) => "".into(),
            Err(error) => return Err(error),
        };
        Ok(Org {
            id: token.organisation.as_str().into(),
            name,
            user: token.user.as_str().into(),
            usage: self.usage(),
        })
    }

    /// What a table looks like, that its rows may be read, and what else may not be done with them.
    pub async fn describe(&self, table: &str) -> Result<Described, PeerError> {
        let mut described = self.look_at(table).await?.ok_or_else(|| PeerError::Unfit {
            why: format!(
                "there is no table `{table}`; write its logical name (small letters and singular, \
                 such as `contact`), or publish it"
            ),
        })?;
        let options = [("$select", described.id.as_str()), ("$top", "1")];
        let path = odata::query(&described.set, &options);
        let urgency = Urgency::Urgent;
        let query = Read { path: &path, prefer: "", call: Call::Describe, urgency };
        match self.api.rows(query, &mut || ()).await {
            Ok(_) => {
                described.lacks = lacking(&self.api, &described.name).await?;
                Ok(described)
            }
            // Of this table alone: the others go on.
            Err(PeerError::Denied { why }) => Err(PeerError::Unfit { why }),
            Err(error) => Err(error),
        }
    }

    /// What a table looks like; `None` where there is none.
    pub(super) async fn look_at(&self, table: &str) -> Result<Option<Described>, PeerError> {
        let mut described = describe(&self.api, table).await?;
        for column in described.iter_mut().flat_map(|described| &mut described.columns) {
            column.secured &= !self.settings.secured.contains(column.name.as_str());
        }
        Ok(described)
    }

    /// Which organisation answers, by its id; from now on no other may.
    pub async fn organisation(&self) -> Result<String, PeerError> {
        self.api.client.expect(None).await;
        Ok(self.api.client.token().await?.organisation.clone())
    }

    /// Asks nothing more of the account while this process runs: it is not the one that is meant.
    pub fn bar(&self, why: String) {
        self.api.client.bar(why);
    }

    /// Goes on without asking who answers: it is the organisation of this id, or an error.
    pub async fn assume(&self, organisation: &str) {
        self.api.client.expect(Some(organisation.to_owned())).await;
    }

    /// The server's clock as of its last answer and the time since; `None` before the first.
    pub fn server_clock(&self) -> Option<Timestamp> {
        self.api.client.server_now()
    }

    /// What was called how often.
    pub fn calls(&self) -> &Calls {
        self.api.client.calls()
    }

    /// The day's calls as they stand.
    pub fn usage(&self) -> Usage {
        self.api.client.usage()
    }

    /// Counts a write without a guard that was answered this long after its read was asked for.
    pub(super) fn count_window(&self, read_at: Instant) {
        metrics::window(&self.settings.name, read_at.elapsed());
    }

    /// Whether many rows may be written by one action.
    pub(super) fn takes_multiples(&self) -> bool {
        !self.no_multiples.load(Ordering::Relaxed)
    }

    /// The listings; those that a panic left behind are as good as any.
    pub(super) fn listings<T>(
        &self,
        act: impl FnOnce(&mut BTreeMap<Entity, Arc<Listing>>) -> T,
    ) -> T {
        act(&mut self.listings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
