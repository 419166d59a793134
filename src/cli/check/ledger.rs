//! The ledger's server, and what the ledger will take of its disk.

use std::error::Error;

use anyhow::{Context as _, Result};
use tokio_postgres::Client;

use crate::agent::run::told;
use crate::config::Config;
use crate::ledger::{LedgerError, check_schema};
use crate::postgres::{ConnectError, ServerUrl, Session, Settings, connect};

use super::super::finding::{Finding, Findings};
use super::super::lead::shown;
use super::super::schemas::Schemas;

/// What a link of twelve fields takes, measured (DESIGN.md): pages are left half empty.
const LINK_BYTES: u64 = 1_750;

/// What a decision takes with its answer, measured (`ledger/postgres/decided.rs`).
const DECISION_BYTES: u64 = 420;

/// One in so many records is reckoned to change a day.
const CHANGING: u64 = 100;

/// The oldest server that is tried.
const VERSION_MIN: i32 = 11;

/// Looks at the ledger, for so many records of Campaign's where that is known.
pub(super) async fn look(
    url: &ServerUrl,
    config: &Config,
    records: Option<u64>,
    findings: &mut Findings,
) {
    if let Err(error) = check_schema(url).await {
        findings.problem(of_ledger(&error));
        return;
    }
    match standing(url).await {
        Ok(server) => told_of(&server, &shown(url), findings),
        Err(error) => findings.problem(Finding::at("ledger", format!("{error:#}"))),
    }
    if let Some(records) = records {
        let days = config.ledger.decision_keep_days.get().into();
        disk(config.ledger.disk_megabytes_max.get().into(), (records, days), findings);
    }
}

struct Server {
    version: i32,
    standby: bool,
    read_only: bool,
    durable: bool,
    bytes: i64,
}

async fn standing(url: &ServerUrl) -> Result<Server> {
    let session = connect(url, &Settings::default()).await?;
    let query = "
        select current_setting('server_version_num')::int / 10000 as version,
               pg_is_in_recovery() as standby,
               current_setting('default_transaction_read_only')::boolean as read_only,
               current_setting('fsync')::boolean as durable,
               pg_database_size(current_database()) as bytes";
    let row = session.query_one(query, &[]).await.context("looking at the ledger's server")?;
    let server = Server {
        version: row.get("version"),
        standby: row.get("standby"),
        read_only: row.get("read_only"),
        durable: row.get("durable"),
        bytes: row.get("bytes"),
    };
    session.close().await;
    Ok(server)
}

fn told_of(server: &Server, place: &str, findings: &mut Findings) {
    let mut problem = |what: String| findings.problem(Finding::at("ledger", what));
    if server.version < VERSION_MIN {
        problem(format!(
            "{place} is PostgreSQL {}; upgrade it to {VERSION_MIN} or later",
            server.version
        ));
    }
    if server.standby {
        problem(format!("{place} is a standby, where nothing can be kept; name the primary"));
    }
    if server.read_only {
        problem(format!("{place} is read only for us; set default_transaction_read_only = off"));
    }
    if !server.durable {
        findings.warning(Finding::at(
            "ledger",
            "the server runs with fsync = off: what it says is kept is lost with its power, and \
             Campaign's log is let go for it; set fsync = on",
        ));
    }
    let megabytes = server.bytes >> 20;
    let what = format!("{place}, PostgreSQL {}, {megabytes} MB", server.version);
    findings.good(Finding::at("ledger", what));
}

fn disk(max: u64, (records, days): (u64, u64), findings: &mut Findings) {
    let links = records.saturating_mul(LINK_BYTES) >> 20;
    let decided = (records / CHANGING).saturating_mul(days);
    let decisions = decided.saturating_mul(DECISION_BYTES) >> 20;
    let cost = format!(
        "about {records} records of Campaign's make {links} MB of links, and {decisions} MB of \
         decisions where one in {CHANGING} changes a day (decision_keep_days = {days})"
    );
    if links.saturating_add(decisions) <= max {
        findings.good(Finding::at("ledger", cost));
        return;
    }
    findings.warning(Finding::at(
        "ledger",
        format!(
            "{cost}, more than ledger.disk_megabytes_max ({max}), which is an alarm; raise it, \
             where the server's disk has the room, or lower decision_keep_days"
        ),
    ));
}

/// How many records the mapped tables hold, as the server reckons without counting.
pub(super) async fn records(session: &Session, schemas: &Schemas) -> Result<u64> {
    let tables = schemas.tables.values().flatten();
    let oids: Vec<u32> = tables.map(|table| table.oid).collect();
    reckoned(session, &oids).await
}

async fn reckoned(client: &Client, oids: &[u32]) -> Result<u64> {
    let query = "select coalesce(sum(greatest(reltuples, 0)), 0)::bigint from pg_class
                  where oid = any($1::oid[])";
    let row = client.query_one(query, &[&oids]).await.context("looking at the tables' sizes")?;
    Ok(u64::try_from(row.get::<_, i64>(0))?)
}

/// What stands in the way of the ledger; setup mends what is not there yet, and no server.
fn of_ledger(error: &LedgerError) -> Finding {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<ConnectError>() {
            Some(ConnectError::NoDatabase { .. }) => {
                return Finding::at("ledger", told(error)).sql("truce setup");
            }
            Some(unreached) => return Finding::at("ledger", told(unreached)),
            None => cause = error.source(),
        }
    }
    let finding = Finding::at("ledger", told(error));
    match error {
        LedgerError::OlderSchema { .. } => finding.sql("truce setup"),
        LedgerError::Unavailable { .. }
        | LedgerError::Refused { .. }
        | LedgerError::Unreadable { .. }
        | LedgerError::Unstorable { .. }
        | LedgerError::NewerSchema { .. }
        | LedgerError::OtherSchema { .. } => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(act: impl FnOnce(&mut Findings)) -> Vec<String> {
        let mut findings = Findings::default();
        act(&mut findings);
        findings.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_server_that_cannot_keep_a_ledger_is_told_by_each_thing_that_is_wrong() {
        let bad =
            Server { version: 10, standby: true, read_only: true, durable: false, bytes: 8 << 20 };
        let found = told(|findings| told_of(&bad, "truce on localhost", findings));
        let words =
            ["PostgreSQL 10; upgrade", "standby", "read only", "fsync = on", "PostgreSQL 10, 8 MB"];
        assert_eq!(found.len(), words.len(), "{found:?}");
        for (found, words) in found.iter().zip(words) {
            assert!(found.contains(words), "{found}");
        }
        let good = Server { version: 16, standby: false, read_only: false, durable: true, ..bad };
        let found = told(|findings| told_of(&good, "truce on localhost", findings));
        assert_eq!(found, ["ok       ledger: truce on localhost, PostgreSQL 16, 8 MB"]);
    }

    #[test]
    fn more_records_than_the_disk_is_given_for_are_told_with_the_key() {
        let found = told(|findings| disk(20_480, (20_000_000, 30), findings)).concat();
        assert!(
            found.contains("33378 MB of links, and 2403 MB of decisions where one in 100 changes"),
            "{found}"
        );
        assert!(found.contains("more than ledger.disk_megabytes_max"), "{found}");
        let told = |days| told(|findings| disk(20_480, (10_000_000, days), findings)).concat();
        assert!(told(30).starts_with("ok"));
        assert!(told(365).starts_with("warning"), "the log alone makes it so");
    }
}
