//! Starting a stream.
//!
//! `START_REPLICATION` believes too much: a publication that does not exist is found missing when
//! the first change is decoded, and a position ahead of the slot is accepted and skips what lies
//! between. So what can be asked beforehand is asked.

use std::time::Duration;

use bytes::BytesMut;

use super::StreamError;
use crate::campaign::wire::{Row, Wire, WireError, literal, quoted};
use crate::postgres::{ServerUrl, Socket};
use crate::reconcile::Lsn;

/// What to stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartOptions {
    /// The slot.
    pub slot: String,
    /// The publication.
    pub publication: String,
    /// Up to where everything is durable: nothing that was committed before it is sent. The slot's
    /// own position stands where it is later; [`Lsn::default`] leaves it all to the slot.
    pub from: Lsn,
    /// How often the server is told how far we are while nothing happens, at the least; what keeps
    /// it from hanging up may be more often.
    pub feedback: Duration,
    /// How long to wait between two reads while changes pour in; zero reads at once.
    pub read_delay: Duration,
}

impl StartOptions {
    /// With the usual pace.
    pub fn new(slot: &str, publication: &str, from: Lsn) -> Self {
        Self {
            slot: slot.to_owned(),
            publication: publication.to_owned(),
            from,
            feedback: Duration::from_secs(10),
            read_delay: Duration::from_millis(1),
        }
    }
}

/// Which server it is, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// Chosen when the server's files were made; a copy of them keeps it.
    pub identifier: u64,
    /// Grows at each failover and each point-in-time recovery.
    pub timeline: u32,
    /// The end of the log when we connected.
    pub flushed: Lsn,
    /// The server's major version.
    pub server_version: u32,
}

pub(super) struct Started {
    pub(super) socket: Socket,
    pub(super) inbox: BytesMut,
    pub(super) system: System,
    pub(super) sender_timeout: Option<Duration>,
}

pub(super) async fn start(url: &ServerUrl, options: &StartOptions) -> Result<Started, StreamError> {
    let refused = |error| StreamError::refused_at_start(error, &options.slot);
    let mut wire = Wire::log_in(url).await?;
    let rows = wire.query("IDENTIFY_SYSTEM").await.map_err(refused)?;
    let system = system(&rows, wire.server_version()).map_err(refused)?;
    check_slot(&mut wire, options).await?;
    check_publication(&mut wire, options).await?;
    let setting = "select setting from pg_catalog.pg_settings where name = 'wal_sender_timeout'";
    let rows = wire.query(setting).await.map_err(refused)?;
    let timeout_ms: u64 = cell(&rows, 0).and_then(|text| text.parse().ok()).unwrap_or(0);
    let sender_timeout = (timeout_ms != 0).then(|| Duration::from_millis(timeout_ms));
    let statement = statement(options, wire.server_version());
    let (socket, inbox) = wire.stream(&statement).await.map_err(refused)?;
    Ok(Started { socket, inbox, system, sender_timeout })
}

/// Protocol 1 in text, which every version from 11 on speaks. Messages are asked for where the
/// server can send them.
fn statement(options: &StartOptions, server_version: u32) -> String {
    let StartOptions { slot, publication, from, .. } = options;
    let messages = if 14 <= server_version { ", messages 'true'" } else { "" };
    format!(
        "START_REPLICATION SLOT {} LOGICAL {from} (proto_version '1', publication_names {}{messages})",
        quoted(slot),
        literal(&quoted(publication)),
    )
}

fn system(rows: &[Row], server_version: u32) -> Result<System, WireError> {
    let read = || {
        Some(System {
            identifier: cell(rows, 0)?.parse().ok()?,
            timeline: cell(rows, 1)?.parse().ok()?,
            flushed: cell(rows, 2)?.parse().ok()?,
            server_version,
        })
    };
    let problem = "IDENTIFY_SYSTEM has an answer that cannot be read";
    read().ok_or_else(|| WireError::Protocol(problem.to_owned()))
}

async fn check_slot(wire: &mut Wire, options: &StartOptions) -> Result<(), StreamError> {
    let slot = options.slot.clone();
    let status = if 13 <= wire.server_version() { "wal_status" } else { "null" };
    let query = format!(
        "select plugin, database, active_pid, {status}, database = current_database()
         from pg_catalog.pg_replication_slots where slot_name = {}",
        literal(&slot)
    );
    let rows = wire.query(&query).await;
    let rows = rows.map_err(|error| StreamError::refused_at_start(error, &slot))?;
    if rows.is_empty() {
        return Err(StreamError::SlotMissing { slot });
    }
    if cell(&rows, 0) != Some("pgoutput") {
        let owner = format!("plugin {}", cell(&rows, 0).unwrap_or("none: it is a physical slot"));
        return Err(StreamError::SlotForeign { slot, owner });
    }
    if cell(&rows, 4) != Some("t") {
        let owner = format!("database {}", cell(&rows, 1).unwrap_or("none"));
        return Err(StreamError::SlotForeign { slot, owner });
    }
    if cell(&rows, 3) == Some("lost") {
        return Err(StreamError::SlotLost { slot, source: None });
    }
    match cell(&rows, 2) {
        Some(pid) => Err(StreamError::SlotActive { slot, pid: pid.to_owned() }),
        None => Ok(()),
    }
}

async fn check_publication(wire: &mut Wire, options: &StartOptions) -> Result<(), StreamError> {
    let publication = options.publication.clone();
    let query = format!(
        "select 1 from pg_catalog.pg_publication where pubname = {}",
        literal(&publication)
    );
    let rows = wire.query(&query).await;
    let rows = rows.map_err(|error| StreamError::refused_at_start(error, &options.slot))?;
    if rows.is_empty() {
        return Err(StreamError::PublicationMissing { publication });
    }
    Ok(())
}

/// A cell of the first row.
fn cell(rows: &[Row], column: usize) -> Option<&str> {
    rows.first()?.get(column)?.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_twice_where_the_plugin_parses_them_again() {
        let options = StartOptions::new("truce", r#"it's "ours""#, Lsn(0x1_0000_0002));
        assert_eq!(
            statement(&options, 15),
            "START_REPLICATION SLOT \"truce\" LOGICAL 1/2 (proto_version '1', \
             publication_names '\"it''s \"\"ours\"\"\"', messages 'true')"
        );
        assert!(!statement(&options, 13).contains("messages"));
    }
}
