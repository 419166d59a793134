//! What must be there before anything is followed: replica identity, publication, slot, and the
//! ledger's database. As data first, then carried out.
//!
//! The order matters. A published table without an identity makes Campaign's own updates fail, so
//! identity comes before publication; a slot cannot get past a change that came before its
//! publication, so the slot comes last; taking it all away goes the other way round. Whole tables
//! only: with a column list or a row filter, Campaign's updates or structure changes fail. What was
//! found is remembered, so that it can be put back exactly.

mod database;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use crate::campaign::catalog::{Form, Identity, Index, Persistence, Table};
use crate::campaign::{literal, peer_error, quoted};
use crate::peer::PeerError;

pub use database::{
    DatabaseStanding, begin_database, database_standing, drop_database, finish_database,
    plan_database,
};

/// What is wanted in Campaign's database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The schema of its tables.
    pub schema: Arc<str>,
    /// Our publication.
    pub publication: Arc<str>,
    /// Our slot.
    pub slot: Arc<str>,
    /// The mapped tables, each once.
    pub tables: Vec<WantedTable>,
}

/// A table that is to be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedTable {
    /// Its name.
    pub name: Arc<str>,
    /// Its key column.
    pub key: Arc<str>,
    /// How its changes are to name their row.
    pub identity: Chosen,
}

/// How changes are to name their row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Chosen {
    /// By the unique index of the key.
    #[default]
    Index,
    /// By the whole old row, which costs log: all of it is logged again at each update.
    Full,
}

/// One statement, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The statement.
    pub sql: String,
    /// The statement that takes it back.
    pub undo: String,
    /// Why it is needed.
    pub why: String,
    /// What it touches, for the locks in its way.
    pub touches: Touches,
    /// What was there before, to be remembered once the step is done.
    pub found: Option<Found>,
}

/// What a step touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touches {
    /// Tables, by oid.
    Tables(Vec<u32>),
    /// All transactions: a slot begins when those that were under way have ended.
    Transactions,
    /// Nothing that others hold.
    Nothing,
}

/// What was there before a step, and is put back when all is taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Found {
    /// A table's identity.
    Identity {
        /// The schema.
        schema: String,
        /// The table.
        table: String,
        /// `default`, `nothing`, `full`, or `using index "…"`.
        was: String,
    },
    /// The publication was not there.
    NoPublication {
        /// Its name.
        publication: String,
    },
    /// The table was not in a publication that was there.
    NotPublished {
        /// The publication.
        publication: String,
        /// The schema.
        schema: String,
        /// The table.
        table: String,
    },
    /// The slot was not there.
    NoSlot {
        /// Its name.
        slot: String,
    },
    /// The ledger's database was not there.
    NoDatabase {
        /// Its name.
        database: String,
    },
}

/// All that was found before setup changed anything: the ledger keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Record {
    /// In the order of the steps.
    pub found: Vec<Found>,
}

impl Record {
    /// Adds what another run found; what was found first stands.
    pub fn merge(&mut self, later: Vec<Found>) {
        for found in later {
            if !self.found.iter().any(|known| known.subject() == found.subject()) {
                self.found.push(found);
            }
        }
    }

    /// The steps that put everything back: slot, publication, identities. The ledger's database is
    /// left out; see [`drop_database`].
    pub async fn undo(&self, client: &Client) -> Result<Vec<Step>, PeerError> {
        let mut steps = Vec::new();
        for found in self.found.iter().rev() {
            steps.extend(put_back(client, found).await?);
        }
        let rank = |step: &Step| match step.touches {
            Touches::Transactions => 0,
            Touches::Nothing => 1,
            Touches::Tables(_) => 2,
        };
        steps.sort_by_key(rank);
        Ok(steps)
    }
}

impl Found {
    /// What it is about, whatever was found.
    fn subject(&self) -> (u8, &str, &str, &str) {
        match self {
            Self::Identity { schema, table, .. } => (0, schema, table, ""),
            Self::NoPublication { publication } => (1, publication, "", ""),
            Self::NotPublished { publication, schema, table } => (2, publication, schema, table),
            Self::NoSlot { slot } => (3, slot, "", ""),
            Self::NoDatabase { database } => (4, database, "", ""),
        }
    }
}

/// The steps that are missing; none where everything is as wanted.
pub async fn plan(client: &Client, wanted: &Wanted) -> Result<Vec<Step>, PeerError> {
    let mut steps = plan_tables(client, wanted).await?;
    steps.extend(plan_slot(client, &wanted.slot).await?);
    Ok(steps)
}

/// The steps as a script for a DBA, each with its reason and what takes it back. It gives up on a
/// lock as soon as we do.
pub fn script(steps: &[Step], lock_timeout: Option<Duration>) -> String {
    let mut lines = Vec::new();
    if let Some(limit) = lock_timeout {
        lines.push(
            "-- a lock that is not had at once makes others queue behind it: try again".into(),
        );
        lines.push(format!("set lock_timeout = {};", limit.as_millis().max(1)));
    }
    for Step { why, sql, undo, touches, .. } in steps {
        lines.push(format!("-- {why}"));
        if *touches == Touches::Transactions && lock_timeout.is_some() {
            lines.push("-- waits until the transactions that are under way have ended".to_owned());
            lines.push("reset lock_timeout;".to_owned());
        }
        lines.push(format!("{sql};"));
        if !undo.is_empty() {
            lines.push(format!("-- taken back by: {undo};"));
        }
    }
    lines.join("\n") + "\n"
}

/// What is there of ours although it was not setup that made it, so that taking back what setup did
/// leaves it: each with the statement that takes it away.
pub async fn left(
    client: &Client,
    wanted: &Wanted,
    record: &Record,
) -> Result<Vec<(String, String)>, PeerError> {
    let known = |found: &Found| record.found.iter().any(|one| one.subject() == found.subject());
    let Wanted { publication, slot, .. } = wanted;
    let there = "select exists (select from pg_replication_slots where slot_name = $1::text),
                        exists (select from pg_publication where pubname = $2::text)";
    let row = client.query_one(there, &[&&**slot, &&**publication]).await;
    let row = row.map_err(|error| peer_error("looking for what is left", error))?;
    let mut left = Vec::new();
    if row.get(0) && !known(&Found::NoSlot { slot: slot.to_string() }) {
        let what = format!("the slot {slot}: the server keeps its log for it until it is dropped");
        left.push((what, drop_slot(slot)));
    }
    if row.get(1) && !known(&Found::NoPublication { publication: publication.to_string() }) {
        let sql = format!("drop publication {}", quoted(publication));
        left.push((format!("the publication {publication}"), sql));
    }
    Ok(left)
}

/// Identity and publication of the tables alone: what can come undone while the agent runs.
pub async fn plan_tables(client: &Client, wanted: &Wanted) -> Result<Vec<Step>, PeerError> {
    let mut tables = Vec::new();
    let mut steps = Vec::new();
    for one in &wanted.tables {
        let table = usable(client, &wanted.schema, one).await?;
        steps.extend(identity_step(&table, one)?);
        tables.push(table);
    }
    steps.extend(publication_steps(client, wanted, &tables).await?);
    Ok(steps)
}

async fn usable(client: &Client, schema: &str, one: &WantedTable) -> Result<Table, PeerError> {
    let unfit = |why: String| PeerError::Unfit { why };
    let name = &one.name;
    let table = Table::read(client, schema, name).await?.ok_or_else(|| {
        unfit(format!("there is no table {schema}.{name}; names are in lower case there"))
    })?;
    if table.form == Form::Other {
        return Err(unfit(format!("{schema}.{name} is no table, so its changes are not logged")));
    }
    match table.persistence {
        Persistence::Logged => Ok(table),
        Persistence::Unlogged | Persistence::Temporary => Err(unfit(format!(
            "{schema}.{name} is not logged, so nobody can follow it; \
             `alter table {schema}.{name} set logged`"
        ))),
    }
}

fn identity_step(table: &Table, one: &WantedTable) -> Result<Option<Step>, PeerError> {
    let wanted = match one.identity {
        Chosen::Full => Identity::Full,
        Chosen::Index => match table.identity_index(&one.key) {
            Some(index) => Identity::Index(Arc::clone(&index.name)),
            None => return Err(PeerError::Unfit { why: no_index(table, &one.key) }),
        },
    };
    if is_as_wanted(table, one) || table.identity == wanted {
        return Ok(None);
    }
    let name = format!("{}.{}", quoted(&table.schema), quoted(&table.name));
    let alter =
        |identity: &Identity| format!("alter table {name} replica identity {}", words(identity));
    Ok(Some(Step {
        sql: alter(&wanted),
        undo: alter(&table.identity),
        why: format!("so that the log tells which row of {} changed", table.name),
        touches: Touches::Tables(vec![table.oid]),
        found: Some(Found::Identity {
            schema: table.schema.as_ref().to_owned(),
            table: table.name.as_ref().to_owned(),
            was: words(&table.identity),
        }),
    }))
}

/// Any index that will do is as good as the one that we would choose.
fn is_as_wanted(table: &Table, one: &WantedTable) -> bool {
    match (&table.identity, one.identity) {
        (Identity::Full, Chosen::Full) => true,
        (Identity::Index(name), Chosen::Index) => {
            let index = table.indexes.iter().find(|index| index.name == *name);
            index.is_some_and(|index| {
                index.columns.len() == 1
                    && index.columns[0].as_ref() == Some(&one.key)
                    && table.unfit_as_identity(index).is_none()
            })
        }
        _ => false,
    }
}

/// Why no index of the key can be the identity, and what would mend it.
pub(crate) fn no_index(table: &Table, key: &str) -> String {
    let over_key: Vec<String> = table
        .indexes
        .iter()
        .filter(|index| index.columns.iter().flatten().any(|column| **column == *key))
        .filter_map(|index| Some(format!("{} {}", index.name, table.unfit_as_identity(index)?)))
        .collect();
    let (schema, name) = (&table.schema, &table.name);
    let why = if over_key.is_empty() { "there is none".to_owned() } else { over_key.join("; ") };
    format!(
        "no unique index of {schema}.{name} over `{key}` alone can be its replica identity ({why}); \
         `create unique index concurrently {name}_id on {schema}.{name} ({key})` with `{key}` not \
         null, or identity = \"full\", which logs every old row whole"
    )
}

/// An identity as `replica identity …` takes it.
fn words(identity: &Identity) -> String {
    match identity {
        Identity::Default { .. } => "default".to_owned(),
        Identity::Nothing | Identity::IndexGone => "nothing".to_owned(),
        Identity::Full => "full".to_owned(),
        Identity::Index(name) => format!("using index {}", quoted(name)),
    }
}

async fn publication_steps(
    client: &Client,
    wanted: &Wanted,
    tables: &[Table],
) -> Result<Vec<Step>, PeerError> {
    let failed = |error| peer_error("looking at the publication", error);
    let publication = quoted(&wanted.publication);
    let name = |table: &Table| format!("{}.{}", quoted(&table.schema), quoted(&table.name));
    let query = "select oid from pg_publication where pubname = $1::text";
    let known = client.query_opt(query, &[&&*wanted.publication]).await.map_err(failed)?;
    let Some(known) = known else {
        let names: Vec<String> = tables.iter().map(name).collect();
        return Ok(vec![Step {
            sql: format!(
                "create publication {publication} for table only {} \
                 with (publish = 'insert, update, delete, truncate')",
                names.join(", only ")
            ),
            undo: format!("drop publication if exists {publication}"),
            why: "which tables are followed: these, whole".to_owned(),
            touches: Touches::Tables(tables.iter().map(|table| table.oid).collect()),
            found: Some(Found::NoPublication {
                publication: wanted.publication.as_ref().to_owned(),
            }),
        }]);
    };
    let oid: u32 = known.get(0);
    let query = "select prrelid from pg_publication_rel where prpubid = $1::oid";
    let members = client.query(query, &[&oid]).await.map_err(failed)?;
    let members: BTreeSet<u32> = members.iter().map(|row| row.get(0)).collect();
    let missing = tables.iter().filter(|table| !members.contains(&table.oid));
    Ok(missing
        .map(|table| Step {
            sql: format!("alter publication {publication} add table only {}", name(table)),
            undo: format!("alter publication {publication} drop table only {}", name(table)),
            why: format!("{} is not followed", table.name),
            touches: Touches::Tables(vec![table.oid]),
            found: Some(Found::NotPublished {
                publication: wanted.publication.as_ref().to_owned(),
                schema: table.schema.as_ref().to_owned(),
                table: table.name.as_ref().to_owned(),
            }),
        })
        .collect())
}

async fn plan_slot(client: &Client, slot: &str) -> Result<Option<Step>, PeerError> {
    let failed = |error| peer_error("looking at the slot", error);
    let query = "select plugin::text, database::text = current_database()
                   from pg_replication_slots where slot_name = $1::text";
    let known = client.query_opt(query, &[&slot]).await.map_err(failed)?;
    if let Some(known) = known {
        let ours = known.get::<_, Option<&str>>(0) == Some("pgoutput")
            && known.get::<_, Option<bool>>(1) == Some(true);
        return if ours {
            Ok(None)
        } else {
            Err(PeerError::Unfit {
                why: format!(
                    "the slot {slot} is another's (its plugin or database); set campaign.slot"
                ),
            })
        };
    }
    let version = client.query_one("select current_setting('server_version_num')::int", &[]).await;
    let failover = version.map_err(failed)?.get::<_, i32>(0) >= 170_000;
    let failover = if failover { ", failover => true" } else { "" };
    let name = literal(slot);
    Ok(Some(Step {
        sql: format!("select pg_create_logical_replication_slot({name}, 'pgoutput'{failover})"),
        undo: drop_slot(slot),
        why: "the place in the log from which we go on, kept by the server".to_owned(),
        touches: Touches::Transactions,
        found: Some(Found::NoSlot { slot: slot.to_owned() }),
    }))
}

fn drop_slot(slot: &str) -> String {
    format!(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = {}",
        literal(slot)
    )
}

/// What puts back what was found; nothing where it is back already.
async fn put_back(client: &Client, found: &Found) -> Result<Option<Step>, PeerError> {
    let step = |sql: String, why: String, touches: Touches| {
        Some(Step { sql, undo: String::new(), why, touches, found: None })
    };
    Ok(match found {
        Found::NoSlot { slot } => {
            step(drop_slot(slot), format!("the slot {slot} was not there"), Touches::Transactions)
        }
        Found::NoPublication { publication } => step(
            format!("drop publication if exists {}", quoted(publication)),
            format!("the publication {publication} was not there"),
            Touches::Nothing,
        ),
        Found::NotPublished { publication, schema, table } => {
            let query = "select 1 from pg_publication_tables
                          where pubname = $1::text and schemaname = $2::text and tablename = $3::text";
            let known = client.query_opt(query, &[publication, schema, table]).await;
            let known = known.map_err(|error| peer_error("looking at the publication", error))?;
            let name = format!("{}.{}", quoted(schema), quoted(table));
            known.and_then(|_| {
                step(
                    format!("alter publication {} drop table only {name}", quoted(publication)),
                    format!("{table} was not in {publication}"),
                    Touches::Nothing,
                )
            })
        }
        Found::Identity { schema, table, was } => {
            let known = Table::read(client, schema, table).await?;
            known.filter(|known| words(&known.identity) != *was).and_then(|known| {
                let name = format!("{}.{}", quoted(schema), quoted(table));
                let index =
                    |index: &Index| words(&Identity::Index(Arc::clone(&index.name))) == *was;
                let gone = was.starts_with("using index") && !known.indexes.iter().any(index);
                let (back, why) = if gone {
                    ("default", " by an index that is gone, so the default comes instead")
                } else {
                    (was.as_str(), "")
                };
                step(
                    format!("alter table {name} replica identity {back}"),
                    format!("the replica identity of {table} was {was}{why}"),
                    Touches::Tables(vec![known.oid]),
                )
            })
        }
        // Dropped by itself, when its own session is closed.
        Found::NoDatabase { .. } => None,
    })
}
