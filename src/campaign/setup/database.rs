//! The ledger's database: made marked, and the mark taken away once the database itself remembers
//! that setup made it.
//!
//! A database is not created in a transaction, so between its creation and that memory setup may
//! die, and an empty database would be left that nobody could tell from a DBA's. The mark must come
//! with the creation itself, and must not be in the way of a connection, which `pg_hba.conf` may
//! allow for this name alone: that it is a template, which a DBA's ledger never is.

use tokio_postgres::Client;

use crate::campaign::setup::{Found, Step, Touches};
use crate::campaign::{peer_error, quoted};
use crate::peer::PeerError;

/// How the ledger's database stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseStanding {
    /// It is not there.
    Missing,
    /// Setup made it and died before that was remembered: nothing else was made.
    Unfinished,
    /// It is there.
    There,
}

/// How the ledger's database stands, asked in any database of its server.
pub async fn database_standing(client: &Client, name: &str) -> Result<DatabaseStanding, PeerError> {
    let query = "select datistemplate from pg_database where datname = $1::text";
    let known = client.query_opt(query, &[&name]).await;
    let known = known.map_err(|error| peer_error("looking for the ledger's database", error))?;
    Ok(match known.map(|row| row.get::<_, bool>(0)) {
        None => DatabaseStanding::Missing,
        Some(true) => DatabaseStanding::Unfinished,
        Some(false) => DatabaseStanding::There,
    })
}

/// The step by which a DBA creates the ledger's database; none where it is there.
pub async fn plan_database(client: &Client, name: &str) -> Result<Option<Step>, PeerError> {
    Ok(match database_standing(client, name).await? {
        DatabaseStanding::Missing => Some(create(name, "")),
        DatabaseStanding::Unfinished | DatabaseStanding::There => None,
    })
}

/// The step by which setup creates it, with its mark.
pub fn begin_database(name: &str) -> Step {
    create(name, " is_template true")
}

/// The step that takes the mark away.
pub fn finish_database(name: &str) -> Step {
    Step {
        sql: format!("alter database {} is_template false", quoted(name)),
        undo: String::new(),
        why: "the ledger remembers by now that setup made its database".to_owned(),
        touches: Touches::Nothing,
        found: None,
    }
}

/// What takes the ledger's database away, with its links and tombstones.
pub fn drop_database(name: &str) -> String {
    format!("drop database if exists {}", quoted(name))
}

fn create(name: &str, mark: &str) -> Step {
    Step {
        sql: format!("create database {} encoding 'UTF8' template template0{mark}", quoted(name)),
        undo: drop_database(name),
        why: "the ledger: what was seen of each pair, and what was written".to_owned(),
        touches: Touches::Nothing,
        found: Some(Found::NoDatabase { database: name.to_owned() }),
    }
}
