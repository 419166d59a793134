//! What is wrong with Campaign's database before anything runs: for `truce check`.
//!
//! Everything is looked at, also after something failed, so that an administrator gets one list and
//! not one error a run. Nothing is changed. What setup would do is found by planning it.

use std::sync::Arc;

use tokio_postgres::Client;

use crate::campaign::setup::{Chosen, Wanted, WantedTable};
use crate::peer::PeerError;

mod flags;
mod keys;
mod publication;
mod server;
mod tables;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// How it is.
    pub health: Health,
    /// What was found, and what follows from it.
    pub cause: String,
    /// The statement or setting that mends it.
    pub remedy: Option<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// As it should be.
    Good,
    /// It will run, and something is worth knowing.
    Warn,
    /// It would not run, or Campaign would suffer.
    Fail,
}

/// What the config asks of Campaign's database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectations {
    /// The schema of its tables.
    pub schema: Arc<str>,
    /// Our publication.
    pub publication: Arc<str>,
    /// Our slot.
    pub slot: Arc<str>,
    /// How long our writes wait for a lock, in milliseconds.
    pub lock_timeout_ms: u64,
    /// How much of the log the slot may keep before it is an alarm, in bytes.
    pub retained_max: u64,
    /// The mappings.
    pub mappings: Vec<MappingNeeds>,
}

/// What a mapping asks of its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingNeeds {
    /// The mapping's name in the config.
    pub name: Arc<str>,
    /// The table.
    pub table: Arc<str>,
    /// Its key.
    pub key: Arc<str>,
    /// How its changes are to name their row.
    pub identity: Chosen,
    /// All the mapped columns.
    pub columns: Vec<Arc<str>>,
    /// Those that are written.
    pub written: Vec<Arc<str>>,
    /// Those that a new record would be known by.
    pub matched: Vec<Arc<str>>,
    /// Those that stand for a flag on the other side, which holds 0 and 1 only.
    pub flags: Vec<Arc<str>>,
    /// Whether records are made here.
    pub creates: bool,
    /// Whether records are deleted here.
    pub deletes: bool,
    /// What gives keys, where the config says so.
    pub id_function: Option<String>,
    /// Whether consent is mapped, and `iblacklist`, which implies every channel, is not.
    pub misses_blacklist: bool,
}

/// Looks at everything.
pub async fn inspect(client: &Client, wanted: &Expectations) -> Result<Vec<Finding>, PeerError> {
    let mut findings = server::look(client, wanted).await?;
    for mapping in &wanted.mappings {
        findings.extend(tables::look(client, wanted, mapping).await?);
    }
    findings.extend(publication::look(client, wanted).await?);
    Ok(findings)
}

/// Looks at what the log cannot be followed without: the server, our role, the publication, the slot.
pub async fn inspect_source(
    client: &Client,
    wanted: &Expectations,
) -> Result<Vec<Finding>, PeerError> {
    let mut findings = server::look(client, wanted).await?;
    findings.extend(publication::source(client, wanted).await?);
    Ok(findings)
}

/// Looks at the server and at our role only: at what setup cannot make.
pub async fn inspect_server(
    client: &Client,
    wanted: &Expectations,
) -> Result<Vec<Finding>, PeerError> {
    server::look(client, wanted).await
}

impl Expectations {
    /// What setup would be asked for.
    pub fn wanted(&self) -> Wanted {
        let mut tables: Vec<WantedTable> = Vec::new();
        for mapping in &self.mappings {
            match tables.iter_mut().find(|table| table.name == mapping.table) {
                // Two mappings of one table: whole rows serve both.
                Some(table) if mapping.identity == Chosen::Full => table.identity = Chosen::Full,
                Some(_) => {}
                None => tables.push(WantedTable {
                    name: Arc::clone(&mapping.table),
                    key: Arc::clone(&mapping.key),
                    identity: mapping.identity,
                }),
            }
        }
        Wanted {
            schema: Arc::clone(&self.schema),
            publication: Arc::clone(&self.publication),
            slot: Arc::clone(&self.slot),
            tables,
        }
    }
}

impl Finding {
    fn good(what: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { what: what.into(), health: Health::Good, cause: cause.into(), remedy: None }
    }

    fn warn(what: impl Into<String>, cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self { what: what.into(), health: Health::Warn, cause: cause.into(), remedy }
    }

    fn fail(what: impl Into<String>, cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self { what: what.into(), health: Health::Fail, cause: cause.into(), remedy }
    }
}
