//! What an account of Dynamics is reached with: plain data, made from the config by `cli`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::crm::delays::Pace;
use crate::crm::http::Limits;
use crate::crm::secret::Secret;
use crate::crm::signer::{Algorithm, Signer};

/// An account, as the config describes it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The account's name in the config, for messages.
    pub name: Arc<str>,
    /// The environment's address, `https://example.crm.dynamics.com`.
    pub url: String,
    /// Where tokens are asked for.
    pub token_url: String,
    /// The application's id.
    pub client_id: String,
    /// How the app proves that it is who it says.
    pub credentials: Credentials,
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
    /// The most records of a write.
    pub batch: usize,
    /// How often the tables are described again.
    pub describe_every: Duration,
    /// How changes are asked for.
    pub polling: Polling,
    /// From how many waiting records on they are written by one action for many (`many`).
    pub multiple_from: Option<usize>,
    /// How often a record that a plug-in refuses is tried again before it is held.
    pub plugin_retries: u32,
    /// Whether duplicate detection rules count for what we write.
    pub duplicate_detection: bool,
    /// Consent columns whose `true` allows contact; that of all others forbids it.
    pub allows: BTreeSet<Arc<str>>,
    /// Consent columns that are choices: what their options say.
    pub consent_options: BTreeMap<Arc<str>, ConsentOptions>,
    /// Columns with column security that the app may read all the same.
    pub secured: BTreeSet<Arc<str>>,
}

/// What the options of a choice say of consent; the first of each is what is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentOptions {
    /// Those that forbid contact.
    pub out: Vec<i64>,
    /// Those that allow it.
    pub allowed: Vec<i64>,
}

/// How an app proves that it is who it says.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// By a client secret.
    Secret(Secret),
    /// By what it signs with a key whose certificate the app was given.
    Certificate {
        /// The key with its certificate.
        signer: Arc<Signer>,
        /// How it is signed: RS256 names the certificate by SHA-1, PS256 by SHA-256.
        algorithm: Algorithm,
    },
}

/// How changes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polling {
    /// The time from one poll to the next while there are changes and calls are ample.
    pub interval: Duration,
    /// The most that it is widened to, when nothing changes or calls run short.
    pub interval_max: Duration,
    /// How far the query behind a first load goes back before its beginning.
    pub overlap: Duration,
    /// The most rows in a page.
    pub page: usize,
}

/// The most operations that are sent in one batch: the service takes 1,000, and two minutes are its
/// end for each.
pub(super) const BATCH_MAX: usize = 1000;

impl Settings {
    /// The account at `url` in this tenant with these credentials, everything else as it comes.
    pub fn new(name: &str, url: &str, tenant: &str, credentials: (String, Credentials)) -> Self {
        let (client_id, credentials) = credentials;
        Self {
            name: name.into(),
            url: url.trim_end_matches('/').to_owned(),
            token_url: format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"),
            client_id,
            credentials,
            ca_pem: None,
            instance: "campaign".to_owned(),
            external_id_format: "{instance}:{key}".to_owned(),
            limits: Limits::default(),
            pace: Pace::default(),
            connect_timeout: Duration::from_secs(10),
            // The platform ends a message after two minutes.
            answer_timeout: Duration::from_secs(130),
            batch: 100,
            describe_every: Duration::from_mins(10),
            polling: Polling::default(),
            multiple_from: Some(20_000),
            plugin_retries: 3,
            duplicate_detection: false,
            // Its name says that it asks, where all others forbid.
            allows: BTreeSet::from(["followemail".into()]),
            consent_options: BTreeMap::new(),
            secured: BTreeSet::new(),
        }
    }
}

impl Default for Polling {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            interval_max: Duration::from_mins(1),
            // Stamps have whole seconds, and are those of the server that wrote.
            overlap: Duration::from_mins(2),
            // The most that the service gives is 5,000; wide rows are long.
            page: 1000,
        }
    }
}
