//! The ledger's schema: numbered steps, each applied once, and a table that says which.

use tokio_postgres::Client;

use super::line::{failed, open_session};
use crate::ledger::LedgerError;
use crate::postgres::ServerUrl;

/// A step. What was released is never edited: a change is another step.
struct Migration {
    version: i32,
    name: &'static str,
    sql: &'static str,
}

const MIGRATIONS: [Migration; 2] = [
    Migration { version: 1, name: "ledger", sql: include_str!("../migrations/0001_ledger.sql") },
    Migration {
        version: 2,
        name: "decisions",
        sql: include_str!("../migrations/0002_decisions.sql"),
    },
];

const DOING: &str = "bring its schema up to date";

/// Brings the schema of a ledger database up to what this release knows; says how many steps it
/// took. Two that come at once take turns.
pub async fn migrate(url: &ServerUrl) -> Result<usize, LedgerError> {
    let mut session = open_session(url, DOING).await?;
    let error = |source| failed(DOING, source);
    let transaction = session.transaction().await.map_err(error)?;
    // Any number would do, as long as all releases use the same.
    let lock = "select pg_advisory_xact_lock(7421095537210551)";
    transaction.query(lock, &[]).await.map_err(error)?;
    let table = "create schema if not exists truce;
                 create table if not exists truce.migration (
                   version integer primary key, name text not null,
                   applied_at timestamptz not null default now());
                 comment on table truce.migration is 'The steps of this schema, once applied.'";
    transaction.batch_execute(table).await.map_err(error)?;
    let found = applied(transaction.client()).await?;
    let missing = missing(&found)?;
    for step in missing {
        transaction.batch_execute(step.sql).await.map_err(error)?;
        let note = "insert into truce.migration (version, name) values ($1, $2)";
        transaction.execute(note, &[&step.version, &step.name]).await.map_err(error)?;
    }
    transaction.commit().await.map_err(error)?;
    session.close().await;
    Ok(missing.len())
}

/// Whether the schema is what this release knows: no older, no newer, not another program's.
pub async fn check_schema(url: &ServerUrl) -> Result<(), LedgerError> {
    let session = open_session(url, DOING).await?;
    let there = "select to_regclass('truce.migration') is not null";
    let there = session.query_one(there, &[]).await.map_err(|source| failed(DOING, source))?;
    let found = if there.get(0) { applied(&session).await? } else { Vec::new() };
    session.close().await;
    if missing(&found)?.is_empty() {
        Ok(())
    } else {
        let found = found.last().map_or(0, |(version, _)| *version);
        Err(LedgerError::OlderSchema { found, known: newest() })
    }
}

async fn applied(client: &Client) -> Result<Vec<(i32, String)>, LedgerError> {
    let sql = "select version, name from truce.migration order by version";
    let rows = client.query(sql, &[]).await.map_err(|source| failed(DOING, source))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The steps that were not applied, once those that were are seen to be ours.
fn missing(found: &[(i32, String)]) -> Result<&'static [Migration], LedgerError> {
    const STEPS: &[Migration] = &MIGRATIONS;
    if let Some((found, _)) = found.last().filter(|(version, _)| *version > newest()) {
        return Err(LedgerError::NewerSchema { found: *found, known: newest() });
    }
    for ((version, name), step) in found.iter().zip(STEPS) {
        if (*version, name.as_str()) != (step.version, step.name) {
            return Err(LedgerError::OtherSchema {
                version: *version,
                found: name.clone(),
                known: step.name.to_owned(),
            });
        }
    }
    Ok(&STEPS[found.len()..])
}

fn newest() -> i32 {
    MIGRATIONS.iter().map(|step| step.version).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_numbered_in_order_and_a_newer_or_foreign_schema_is_refused() {
        let numbers: Vec<i32> = MIGRATIONS.iter().map(|step| step.version).collect();
        assert_eq!(numbers, (1..=newest()).collect::<Vec<_>>());
        assert_eq!(missing(&[]).unwrap().len(), MIGRATIONS.len());
        assert_eq!(missing(&[(1, "ledger".to_owned())]).unwrap().len(), MIGRATIONS.len() - 1);
        let newer = missing(&[(1, "ledger".to_owned()), (900, "later".to_owned())]);
        assert!(matches!(newer, Err(LedgerError::NewerSchema { found: 900, .. })));
        let other = missing(&[(1, "orders".to_owned())]);
        assert!(matches!(other, Err(LedgerError::OtherSchema { version: 1, .. })));
    }
}
