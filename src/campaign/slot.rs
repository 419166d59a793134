//! The replication slot, and the server it is on, as an ordinary session sees them.
//!
//! A slot holds the log back for us, and that can fill Campaign's disk: so it is watched, and what
//! it holds back is a number that an operator sees. Columns came with versions; what a server does
//! not have is `None` here.

use tokio_postgres::{Client, Row};

use crate::reconcile::Lsn;

/// What a server says of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// What decodes for it; `None` for a physical one.
    pub plugin: Option<String>,
    /// Whose changes it gives; `None` for a physical one.
    pub database: Option<String>,
    /// The server's process that streams from it now.
    pub active_pid: Option<i32>,
    /// Whether what it needs is still there (from version 13).
    pub wal_status: Option<WalStatus>,
    /// How much more log may be written before it is in danger of being lost (from version 13, and
    /// only under a limit).
    pub safe_wal_bytes: Option<i64>,
    /// From where on the log is kept for it.
    pub restart_lsn: Option<Lsn>,
    /// What we have confirmed.
    pub confirmed_flush_lsn: Option<Lsn>,
    /// How much log is kept for it.
    pub retained_bytes: Option<i64>,
    /// Whether a standby has it too (from version 17).
    pub is_failover: Option<bool>,
    /// Why it was given up (from version 17).
    pub invalidation_reason: Option<String>,
}

/// Whether the log that a slot needs is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalStatus {
    /// It is.
    Reserved,
    /// It is, beyond `max_wal_size`.
    Extended,
    /// It is no longer kept, and goes at the next checkpoint.
    Unreserved,
    /// Some of it is gone, and so is the slot's use.
    Lost,
}

/// Which server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerIdentity {
    /// Chosen when the server's files were made; a copy of them keeps it.
    pub system_identifier: u64,
    /// Grows at each failover and each point-in-time recovery.
    pub timeline: u32,
    /// The server's version, as `150004`.
    pub version_number: u32,
}

/// Why there is no answer about a slot.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// The server refuses, or is gone.
    #[error("could not {doing}")]
    Statement {
        /// What it was about.
        doing: &'static str,
        /// The server's words.
        source: tokio_postgres::Error,
    },
    /// The answer has another form than that of any version we know.
    #[error("the server's {0} cannot be read")]
    Unreadable(&'static str),
}

/// Finds a slot by its name.
pub async fn find(client: &Client, name: &str) -> Result<Option<Slot>, SlotError> {
    let version = version_number(client).await? / 10_000;
    let since = |first: u32, column: &'static str| if first <= version { column } else { "null" };
    let query = format!(
        "select slot_name::text, plugin::text, database::text, active_pid,
                {}::text as wal_status, {}::bigint as safe_wal_size,
                restart_lsn::text, confirmed_flush_lsn::text,
                pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint as retained_bytes,
                {}::boolean as failover, {}::text as invalidation_reason
         from pg_catalog.pg_replication_slots where slot_name = $1::text",
        since(13, "wal_status"),
        since(13, "safe_wal_size"),
        since(17, "failover"),
        since(17, "invalidation_reason"),
    );
    let row = client.query_opt(&query, &[&name]).await;
    row.map_err(statement("look at the slot"))?.map(|row| slot(&row)).transpose()
}

/// Creates a slot for the changes of this session's database, and says where it begins. From
/// version 17 on a standby that is set up for it takes the slot over.
///
/// The publication must be there already: the slot sees the catalog as it was at each change, and
/// cannot get past one that came before its publication.
pub async fn create(client: &Client, name: &str) -> Result<Lsn, SlotError> {
    let version = version_number(client).await? / 10_000;
    let failover = if 17 <= version { ", failover => true" } else { "" };
    let query = format!(
        "select lsn::text from pg_catalog.pg_create_logical_replication_slot(
             $1::text::name, 'pgoutput'{failover})"
    );
    let row = client.query_one(&query, &[&name]).await.map_err(statement("create the slot"))?;
    lsn(&row, 0, "slot")?.ok_or(SlotError::Unreadable("slot"))
}

/// Drops a slot that nobody streams from; one that is not there is dropped already.
pub async fn drop(client: &Client, name: &str) -> Result<(), SlotError> {
    let query = "select pg_catalog.pg_drop_replication_slot(slot_name)
                 from pg_catalog.pg_replication_slots where slot_name = $1::text";
    let rows = client.query(query, &[&name]).await;
    rows.map(|_| ()).map_err(statement("drop the slot"))
}

/// Makes a slot anew where it lost log that we would need, which no waiting brings back; whether it
/// did. It waits until the transactions that are under way have ended.
pub async fn renew_lost(client: &Client, name: &str) -> Result<bool, SlotError> {
    let known = find(client, name).await?;
    if known.is_none_or(|slot| slot.wal_status != Some(WalStatus::Lost)) {
        return Ok(false);
    }
    drop(client, name).await?;
    create(client, name).await?;
    Ok(true)
}

/// Which server this is.
pub async fn identity(client: &Client) -> Result<ServerIdentity, SlotError> {
    let query = "select system_identifier::text, timeline_id::bigint
                 from pg_catalog.pg_control_system(), pg_catalog.pg_control_checkpoint()";
    let row = client.query_one(query, &[]).await.map_err(statement("identify the server"))?;
    let unreadable = SlotError::Unreadable("identity");
    let (Ok(identifier), Ok(timeline)) =
        (row.get::<_, String>(0).parse(), u32::try_from(row.get::<_, i64>(1)))
    else {
        return Err(unreadable);
    };
    let version_number = version_number(client).await?;
    Ok(ServerIdentity { system_identifier: identifier, timeline, version_number })
}

/// The end of the log.
pub async fn current_position(client: &Client) -> Result<Lsn, SlotError> {
    let query = "select pg_catalog.pg_current_wal_lsn()::text";
    let row = client.query_one(query, &[]).await.map_err(statement("find the end of the log"))?;
    lsn(&row, 0, "position")?.ok_or(SlotError::Unreadable("position"))
}

/// The server's version, as `150004`.
pub async fn version_number(client: &Client) -> Result<u32, SlotError> {
    let query = "select current_setting('server_version_num')";
    let row = client.query_one(query, &[]).await.map_err(statement("ask for the version"))?;
    row.get::<_, String>(0).parse().map_err(|_| SlotError::Unreadable("version"))
}

fn slot(row: &Row) -> Result<Slot, SlotError> {
    Ok(Slot {
        name: row.get(0),
        plugin: row.get(1),
        database: row.get(2),
        active_pid: row.get(3),
        wal_status: row.get::<_, Option<&str>>(4).map(wal_status).transpose()?,
        safe_wal_bytes: row.get(5),
        restart_lsn: lsn(row, 6, "slot")?,
        confirmed_flush_lsn: lsn(row, 7, "slot")?,
        retained_bytes: row.get(8),
        is_failover: row.get(9),
        invalidation_reason: row.get(10),
    })
}

fn wal_status(text: &str) -> Result<WalStatus, SlotError> {
    match text {
        "reserved" => Ok(WalStatus::Reserved),
        "extended" => Ok(WalStatus::Extended),
        "unreserved" => Ok(WalStatus::Unreserved),
        "lost" => Ok(WalStatus::Lost),
        _ => Err(SlotError::Unreadable("wal_status")),
    }
}

fn lsn(row: &Row, column: usize, what: &'static str) -> Result<Option<Lsn>, SlotError> {
    let text: Option<&str> = row.get(column);
    text.map(str::parse).transpose().map_err(|_| SlotError::Unreadable(what))
}

fn statement(doing: &'static str) -> impl FnOnce(tokio_postgres::Error) -> SlotError {
    move |source| SlotError::Statement { doing, source }
}
