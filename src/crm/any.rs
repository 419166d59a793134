//! Whichever CRM an account is of: the one place that names them all.
//!
//! Each enum has an arm a CRM and hands on to it. A further CRM is a folder beside the others, an arm in
//! each of these, and what the config says of it.

mod doors;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;

use crate::crm::http::{Calls, Usage};
use crate::crm::{Listed, Told, Wanted, dynamics, salesforce};
use crate::peer::PeerError;
use crate::reconcile::RecordId;
use crate::reconcile::mapping::{Column, Kind};

pub use doors::{DriftWatch, Feed, Peer, Scan, Writer};

/// An account. Cheap to share; dropping it ends nothing over there.
#[derive(Clone)]
pub enum Account {
    /// Of Salesforce.
    Salesforce(Arc<salesforce::Account>),
    /// Of Dynamics.
    Dynamics(Arc<dynamics::Account>),
}

/// What an account says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The organisation's id.
    pub id: Arc<str>,
    /// Whether it is a sandbox, where that is told.
    pub sandbox: Option<bool>,
    /// Its edition, where it has one.
    pub edition: Option<Arc<str>>,
    /// Who it is, for people.
    pub words: String,
    /// The day's calls.
    pub usage: Usage,
}

impl Account {
    /// Asks who answers: the cheapest proof that address and credentials are right.
    pub async fn inspect(&self) -> Result<Greeting, PeerError> {
        match self {
            Self::Salesforce(account) => {
                let org = account.inspect().await?;
                let kind = if org.sandbox { "sandbox" } else { "production" };
                let (id, edition, api) = (&org.id, &org.edition, &org.api_version);
                let words = format!("{} ({edition}, {kind}, {id}), API {api}", org.name);
                let (sandbox, edition) = (Some(org.sandbox), Some(Arc::clone(&org.edition)));
                Ok(Greeting { words, sandbox, edition, usage: org.usage, id: org.id })
            }
            Self::Dynamics(account) => {
                let org = account.inspect().await?;
                let name = if org.name.is_empty() { "an organisation" } else { &org.name };
                let words = format!("{name} ({}), as application user {}", org.id, org.user);
                Ok(Greeting { words, sandbox: None, edition: None, usage: org.usage, id: org.id })
            }
        }
    }

    /// What an object looks like.
    pub async fn describe(&self, object: &str) -> Result<Described, PeerError> {
        match self {
            Self::Salesforce(account) => account.describe(object).await.map(Described::Salesforce),
            Self::Dynamics(account) => account.describe(object).await.map(Described::Dynamics),
        }
    }

    /// The objects that hold records which people look at.
    pub async fn objects(&self) -> Result<Vec<Listed>, PeerError> {
        match self {
            Self::Salesforce(account) => account.objects().await,
            Self::Dynamics(account) => account.objects().await,
        }
    }

    /// How many records these objects have, about; what is not counted is left out.
    pub async fn counts(&self, objects: &[Arc<str>]) -> Result<BTreeMap<Arc<str>, u64>, PeerError> {
        match self {
            Self::Salesforce(account) => account.counts(objects).await,
            Self::Dynamics(account) => account.counts(objects).await,
        }
    }

    /// What people are told of an object's fields.
    pub async fn tell(&self, object: &str) -> Result<Told, PeerError> {
        match self {
            Self::Salesforce(account) => account.tell(object).await,
            Self::Dynamics(account) => account.tell(object).await,
        }
    }

    /// Which organisation answers, by its id; from now on no other may.
    pub async fn organisation(&self) -> Result<String, PeerError> {
        match self {
            Self::Salesforce(account) => account.organisation().await,
            Self::Dynamics(account) => account.organisation().await,
        }
    }

    /// Whether the organisation is a sandbox; `None` where that is not told.
    pub async fn is_sandbox(&self) -> Result<Option<bool>, PeerError> {
        match self {
            Self::Salesforce(account) => account.is_sandbox().await,
            // The Web API does not say it; the organisation's id tells one from the other.
            Self::Dynamics(_) => Ok(None),
        }
    }

    /// The organisation's edition, where it has one and was asked for by now.
    pub fn edition(&self) -> Option<&str> {
        match self {
            Self::Salesforce(account) => account.edition(),
            Self::Dynamics(_) => None,
        }
    }

    /// Asks nothing more of the account while this process runs: it is not the one that is meant.
    pub fn bar(&self, why: String) {
        match self {
            Self::Salesforce(account) => account.bar(why),
            Self::Dynamics(account) => account.bar(why),
        }
    }

    /// Goes on without asking who answers: it is the organisation of this id, or an error.
    pub async fn assume(&self, organisation: &str) {
        match self {
            Self::Salesforce(account) => account.assume(organisation).await,
            Self::Dynamics(account) => account.assume(organisation).await,
        }
    }

    /// The server's clock as of its last answer and the time since; `None` before the first.
    pub fn server_clock(&self) -> Option<Timestamp> {
        match self {
            Self::Salesforce(account) => account.server_clock(),
            Self::Dynamics(account) => account.server_clock(),
        }
    }

    /// What was called how often.
    pub fn calls(&self) -> &Calls {
        match self {
            Self::Salesforce(account) => account.calls(),
            Self::Dynamics(account) => account.calls(),
        }
    }

    /// The day's calls as they stand.
    pub fn usage(&self) -> Usage {
        match self {
            Self::Salesforce(account) => account.usage(),
            Self::Dynamics(account) => account.usage(),
        }
    }
}

/// A description as it comes; may be kept and read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Described {
    /// Of an object of Salesforce.
    Salesforce(salesforce::Described),
    /// Of a table of Dynamics.
    Dynamics(dynamics::Described),
}

impl<'de> Deserialize<'de> for Described {
    /// What is kept names no CRM: its form tells. (An untagged enum would lose numbers that are kept
    /// with every digit.)
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        let known = if json.get("navigations").is_some() {
            serde_json::from_value(json).map(Self::Dynamics)
        } else {
            serde_json::from_value(json).map(Self::Salesforce)
        };
        known.map_err(serde::de::Error::custom)
    }
}

impl Described {
    /// What is described.
    pub fn object(&self) -> Object {
        match self {
            Self::Salesforce(described) => Object::Salesforce(described.object()),
            Self::Dynamics(described) => Object::Dynamics(described.table()),
        }
    }
}

/// An object as our user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// Of Salesforce.
    Salesforce(salesforce::Object),
    /// Of Dynamics.
    Dynamics(dynamics::Table),
}

impl Object {
    /// Its name, in its own letters.
    pub fn name(&self) -> &Arc<str> {
        match self {
            Self::Salesforce(object) => &object.name,
            Self::Dynamics(table) => &table.name,
        }
    }

    /// The column of its own ids.
    pub fn key(&self) -> Arc<str> {
        match self {
            Self::Salesforce(_) => "Id".into(),
            Self::Dynamics(table) => Arc::clone(&table.id),
        }
    }

    /// The column of this name, in any letters.
    pub fn column(&self, name: &str) -> Option<&Column> {
        match self {
            Self::Salesforce(object) => object.column(name),
            Self::Dynamics(table) => table.column(name),
        }
    }

    /// The column of this name as it stands beside one of Campaign's of this kind.
    pub fn column_beside(&self, name: &str, ours: Option<&Kind>) -> Option<Column> {
        match self {
            Self::Salesforce(object) => object.column(name).cloned(),
            Self::Dynamics(table) => table.column_beside(name, ours),
        }
    }

    /// All its columns.
    pub fn columns(&self) -> Vec<&Column> {
        match self {
            Self::Salesforce(object) => object.columns.values().collect(),
            Self::Dynamics(table) => table.columns.values().collect(),
        }
    }

    /// Why a column is not there, with what would mend it.
    pub fn missing(&self, name: &str) -> String {
        match self {
            Self::Salesforce(object) => object.missing(name),
            Self::Dynamics(table) => table.missing(name),
        }
    }

    /// Why a column must not be mapped although it is there.
    pub fn unreadable(&self, name: &str) -> Option<String> {
        match self {
            // What may not be read is not in a description at all.
            Self::Salesforce(_) => None,
            Self::Dynamics(table) => table.unreadable(name),
        }
    }

    /// Why a column does not tell consent; `named` are the options of which the config says what they
    /// say.
    pub fn unfit_consent(&self, name: &str, named: Option<&[i64]>) -> Option<String> {
        match self {
            // What is no checkbox is refused by its kind.
            Self::Salesforce(_) => None,
            Self::Dynamics(table) => table.unfit_consent(name, named),
        }
    }

    /// Whether a column's value is calculated, and changes without its record's time.
    pub fn is_calculated(&self, name: &str) -> bool {
        match self {
            Self::Salesforce(object) => object.is_calculated(name),
            Self::Dynamics(table) => table.is_calculated(name),
        }
    }

    /// Everything that stands against a mapping, each with what would mend it.
    pub fn problems(&self, wanted: &Wanted<'_>) -> Vec<String> {
        match self {
            Self::Salesforce(object) => object.problems(wanted),
            Self::Dynamics(table) => table.problems(wanted),
        }
    }

    /// Why a constant cannot be given to new records.
    pub fn unfit_constant(&self, name: &str, value: &str) -> Option<String> {
        match self {
            Self::Salesforce(object) if name.eq_ignore_ascii_case(salesforce::RECORD_TYPE) => {
                object.record_type(value).err()
            }
            Self::Salesforce(_) | Self::Dynamics(_) => None,
        }
    }

    /// Why an external id field does not hold the longest that it is given.
    pub fn short_external_id(&self, name: &str, longest: usize) -> Option<String> {
        match self {
            Self::Salesforce(object) => object.short_external_id(name, longest),
            Self::Dynamics(table) => table.short_external_id(name, longest),
        }
    }

    /// Why keys that differ by the case of letters only would be one record's.
    pub fn folds_external_ids(&self, name: &str) -> Option<String> {
        match self {
            Self::Salesforce(object) => object.folds_external_ids(name),
            Self::Dynamics(table) => table.folds_external_ids(name),
        }
    }

    /// Why records cannot be asked for by a field.
    pub fn unfilterable(&self, name: &str) -> Option<String> {
        match self {
            Self::Salesforce(object) => object.unfilterable(name),
            Self::Dynamics(table) => table.unfilterable(name),
        }
    }

    /// Why these fields are more than one question can ask for.
    pub fn too_wide<'a>(&self, fields: impl Iterator<Item = &'a str>) -> Option<String> {
        match self {
            Self::Salesforce(object) => object.too_wide(fields),
            Self::Dynamics(table) => table.too_wide(fields),
        }
    }
}

/// A record id in the form that is kept, where the text is one of a CRM's.
pub fn record_id(text: &str) -> Option<RecordId> {
    salesforce::record_id(text).or_else(|| dynamics::record_id(text))
}
