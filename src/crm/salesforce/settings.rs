//! What an account of Salesforce is reached with: plain data, made from the config by `cli`.

use std::sync::Arc;
use std::time::Duration;

use crate::crm::delays::Pace;
use crate::crm::http::Limits;
use crate::crm::salesforce::api::WRITES_MAX;
use crate::crm::salesforce::bulk::Bulk;
use crate::crm::secret::Secret;
use crate::crm::signer::Signer;

/// An account, as the config describes it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The account's name in the config, for messages.
    pub name: Arc<str>,
    /// Its My Domain, `https://example.my.salesforce.com`.
    pub url: String,
    /// Where tokens are asked for, where that is not below `url`.
    pub token_url: Option<String>,
    /// The app's consumer key.
    pub client_id: String,
    /// How the app proves that it is who it says.
    pub credentials: Credentials,
    /// The version of the API, pinned: `66.0`.
    pub api_version: String,
    /// A PEM file's content, trusted beside what the system trusts.
    pub ca_pem: Option<Vec<u8>>,
    /// The Campaign instance's name, for external ids.
    pub instance: String,
    /// What an external id holds: `{instance}`, `{mapping}` and `{key}` are replaced.
    pub external_id_format: String,
    /// How fast the account may be called.
    pub limits: Limits,
    /// How repeats follow each other.
    pub pace: Pace,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub answer_timeout: Duration,
    /// The most records of a write; Salesforce takes 200.
    pub batch: usize,
    /// How often the objects are described again.
    pub describe_every: Duration,
    /// How changes are asked for.
    pub polling: Polling,
    /// When and how jobs are used.
    pub bulk: Bulk,
}

/// How an app proves that it is who it says.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// By its consumer secret (client credentials flow): it acts as its run-as user.
    Secret(Secret),
    /// By what it signs (JWT bearer flow): it acts as a user that is named.
    Assertion {
        /// Its private key.
        signer: Arc<Signer>,
        /// The user that it acts as.
        username: String,
        /// The login server that checks it.
        audience: String,
    },
}

/// How changes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polling {
    /// The time from one poll to the next while there are changes and calls are ample.
    pub interval: Duration,
    /// The most that it is widened to, when nothing changes or calls run short.
    pub interval_max: Duration,
    /// How far a poll goes back behind the last one.
    pub overlap: Duration,
    /// How often a pass goes back by `late_commit` instead.
    pub wide_every: Duration,
    /// How far it goes back: how long after its stamp a row may become visible.
    pub late_commit: Duration,
    /// How often Salesforce's log of what changed is read; where an object has none, how often a pass
    /// goes back by `deep_overlap` instead.
    pub deep_every: Duration,
    /// How far that one goes back, for what Salesforce's own maintenance commits.
    pub deep_overlap: Duration,
    /// The most rows in a page.
    pub page: usize,
}

impl Settings {
    /// The account at `url` with these credentials, everything else as it comes.
    pub fn new(name: &str, url: &str, client_id: &str, credentials: Credentials) -> Self {
        Self {
            name: name.into(),
            url: url.trim_end_matches('/').to_owned(),
            token_url: None,
            client_id: client_id.to_owned(),
            credentials,
            // Summer '26: served for three years, and old enough to be everywhere.
            api_version: "66.0".to_owned(),
            ca_pem: None,
            instance: "campaign".to_owned(),
            external_id_format: "{instance}:{key}".to_owned(),
            limits: Limits::default(),
            pace: Pace::default(),
            connect_timeout: Duration::from_secs(10),
            // A query begins to answer within two minutes or not at all.
            answer_timeout: Duration::from_secs(150),
            batch: WRITES_MAX,
            describe_every: Duration::from_mins(10),
            polling: Polling::default(),
            bulk: Bulk::default(),
        }
    }
}

impl Default for Polling {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            interval_max: Duration::from_mins(1),
            // Ordinary transactions end within seconds.
            overlap: Duration::from_secs(30),
            wide_every: Duration::from_mins(5),
            // A call may run for ten minutes, and its rows bear the time at which it wrote them.
            late_commit: Duration::from_mins(15),
            deep_every: Duration::from_hours(1),
            deep_overlap: Duration::from_hours(2),
            // The most that Salesforce gives.
            page: 2000,
        }
    }
}
