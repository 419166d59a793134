//! Reading rows by key: whole tables in the order of their keys, and single records.
//!
//! Each read is one statement of its own, so its rows and its snapshot belong together and nothing
//! is held open: a long snapshot would keep Campaign's dead rows from being cleaned up. The
//! snapshot is what orders a row against the log.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use crate::campaign::standing::Standing;
use crate::campaign::table::{Cell, Mapped, Tables};
use crate::campaign::{chain, peer_error, quoted, settings};
use crate::peer::{Ask, PeerError, Scan};
use crate::postgres::{ConnectError, ServerUrl, Session, connect};
use crate::reconcile::{
    Entity, Gone, Interval, Observation, Position, Presence, Read, RecordId, Snapshot,
};

/// Reads Campaign's rows over a session of its own.
#[derive(Debug)]
pub struct CampaignScan {
    url: ServerUrl,
    schema: Arc<str>,
    pub(super) tables: Tables,
    pub(super) options: ScanOptions,
    session: Option<Session>,
}

/// How much to ask for at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanOptions {
    /// The most rows of one read, whatever the caller would take.
    pub rows: usize,
    /// How long one read may take.
    pub statement_timeout: Duration,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self { rows: 5000, statement_timeout: Duration::from_secs(30) }
    }
}

/// A read of a scan that was too slow is tried with half the rows, down to this many.
const ROWS_MIN: usize = 50;

impl CampaignScan {
    /// Connects when it is first asked, and again when the session broke.
    pub fn new(url: ServerUrl, schema: &str, tables: Tables, options: ScanOptions) -> Self {
        assert!(0 < options.rows, "a scan without rows would end before it began");
        Self { url, schema: schema.into(), tables, options, session: None }
    }

    pub(super) async fn session(&mut self) -> Result<&Session, PeerError> {
        if self.session.as_ref().is_none_or(|session| session.is_closed()) {
            let settings = settings(&self.schema).bounded(self.options.statement_timeout);
            let session = connect(&self.url, &settings).await;
            self.session = Some(session.map_err(unreachable_server)?);
        }
        Ok(self.session.as_ref().expect("it was just made"))
    }
}

/// What a connection that could not be made means.
pub(crate) fn unreachable_server(error: ConnectError) -> PeerError {
    if error.is_transient() {
        PeerError::Transient { doing: "connecting to Campaign's database", source: Box::new(error) }
    } else {
        PeerError::Denied { why: chain(&error) }
    }
}

/// The mapped table of an entity.
pub(crate) fn mapped(tables: &Tables, entity: Entity) -> Result<Arc<Mapped>, PeerError> {
    let known = tables.get(&entity).map(Arc::clone);
    known.ok_or_else(|| PeerError::Unfit { why: format!("no table is mapped as {entity:?}") })
}

impl Scan for CampaignScan {
    async fn scan(
        &mut self,
        entity: Entity,
        after: Option<&RecordId>,
        limit: usize,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Observation>, PeerError> {
        let mapped = mapped(&self.tables, entity)?;
        let at = seen_at(asked);
        let goes_on = after.is_some();
        let after = after.map_or("", |key| &key.0);
        let limit = i64::try_from(limit.min(self.options.rows)).unwrap_or(i64::MAX);
        let query = |standing: &Standing| scan_query(&mapped, standing, goes_on);
        let asked = Asked { doing: "scanning a table", query: &query, given: &[&after, &limit] };
        let began = Instant::now();
        let read = rows(self.session().await?, &mapped, asked).await;
        if read.is_err() && self.options.statement_timeout <= began.elapsed() {
            self.options.rows = (self.options.rows / 2).max(ROWS_MIN.min(self.options.rows));
        }
        let (rows, standing) = read?;
        rows.iter().map(|row| observation(&mapped, &standing, row, at)).collect()
    }

    async fn read(
        &mut self,
        entity: Entity,
        records: &[RecordId],
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Observation>, PeerError> {
        let mapped = mapped(&self.tables, entity)?;
        let at = seen_at(asked);
        read_records(self.session().await?, &mapped, records, at).await
    }
}

/// Where a row that was read by `select` stands: its snapshot orders it, within its epoch.
pub(crate) fn seen_at(asked: &mut (dyn Ask + Send)) -> Position {
    Position { epoch: asked.tick().0.epoch, major: 0, minor: 0 }
}

/// Reads these records in one statement; one that is not there is told as missing.
pub(crate) async fn read_records(
    client: &Client,
    mapped: &Mapped,
    records: &[RecordId],
    at: Position,
) -> Result<Vec<Observation>, PeerError> {
    let keys: Vec<&str> =
        records.iter().map(|key| &*key.0).filter(|key| mapped.is_key(key)).collect();
    let query = |standing: &Standing| read_query(mapped, standing);
    let asked = Asked { doing: "reading records", query: &query, given: &[&keys] };
    let (rows, standing) = rows(client, mapped, asked).await?;
    let mut seen = Vec::with_capacity(records.len());
    for row in &rows {
        seen.push(observation(mapped, &standing, row, at)?);
    }
    // What cannot be a key of the table is surely not there, now and always.
    let never = Arc::new(Snapshot { xmin: 0, xmax: 0, running: Vec::new() });
    for record in records.iter().filter(|key| !mapped.is_key(&key.0)) {
        seen.push(missing(mapped, record.clone(), at, Arc::clone(&never)));
    }
    Ok(seen)
}

/// A read that is worded by how the columns stand.
struct Asked<'a> {
    doing: &'static str,
    query: &'a (dyn Fn(&Standing) -> String + Sync),
    given: &'a [&'a (dyn ToSql + Sync)],
}

/// Structure updates come one at a time; a table that changes more often than this during one read
/// is left alone for a while.
const LOOKS_MAX: usize = 4;

/// Reads what stands now, and reads again where a structure update came in between: otherwise the
/// text of a column might be taken for that of the type which it had.
async fn rows(
    client: &Client,
    mapped: &Mapped,
    asked: Asked<'_>,
) -> Result<(Vec<Row>, Arc<Standing>), PeerError> {
    let mut standing = mapped.standing();
    for _ in 0..LOOKS_MAX {
        if standing.paused(&mapped.mapping.key).is_some() {
            standing = mapped.look(client).await?;
        }
        if let Some(why) = standing.paused(&mapped.mapping.key) {
            let (key, table) = (&mapped.mapping.key, mapped.sql_name());
            return Err(PeerError::Unfit { why: format!("the key `{key}` of {table} {why}") });
        }
        let read = client.query(&(asked.query)(&standing), asked.given).await;
        let after = mapped.look(client).await?;
        if Arc::ptr_eq(&after, &standing) {
            return Ok((read.map_err(|error| peer_error(asked.doing, error))?, standing));
        }
        standing = after;
    }
    let source = "the table's structure changes all the time".into();
    Err(PeerError::Transient { doing: asked.doing, source })
}

/// What comes before the columns: the key, the snapshot and the time of the statement.
const HEAD: usize = 3;

fn scan_query(mapped: &Mapped, standing: &Standing, goes_on: bool) -> String {
    let (table, key) = (mapped.sql_name(), quoted(&mapped.mapping.key));
    let cast = mapped.cast(&mapped.mapping.key);
    let follows =
        if goes_on { format!("t.{key} > $1::text::{cast}") } else { "$1::text = ''".into() };
    format!(
        "select t.{key}::text, txid_current_snapshot()::text, now()::text, {}
           from {table} t where {follows} and {} order by t.{key} limit $2::bigint",
        select_list(mapped, standing),
        not_zero(mapped, "t"),
    )
}

fn read_query(mapped: &Mapped, standing: &Standing) -> String {
    let (table, key) = (mapped.sql_name(), quoted(&mapped.mapping.key));
    let cast = mapped.cast(&mapped.mapping.key);
    format!(
        "select g.key, txid_current_snapshot()::text, now()::text, {}
           from unnest($1::text[]) g (key) left join {table} t on t.{key} = g.key::{cast}",
        select_list(mapped, standing),
    )
}

/// The texts of the columns that are read; nothing in the place of one that is paused.
pub(crate) fn select_list(mapped: &Mapped, standing: &Standing) -> String {
    let column = |name: &Arc<str>| match standing.paused(name) {
        None => format!("t.{}::text", quoted(name)),
        Some(_) => "null::text".to_owned(),
    };
    mapped.columns().iter().map(column).collect::<Vec<_>>().join(", ")
}

/// Leaves out row 0, which Campaign keeps so that its inner joins always hit.
pub(crate) fn not_zero(mapped: &Mapped, table: &str) -> String {
    format!("{table}.{}::text <> '0'", quoted(&mapped.mapping.key))
}

/// What a row of one of these statements says.
pub(crate) fn observation(
    mapped: &Mapped,
    standing: &Standing,
    row: &Row,
    at: Position,
) -> Result<Observation, PeerError> {
    let record = RecordId::from(row.get::<_, &str>(0));
    let snapshot: Snapshot = row.get::<_, &str>(1).parse().map_err(|source| {
        PeerError::Transient { doing: "reading a snapshot", source: Box::new(source) }
    })?;
    let snapshot = Arc::new(snapshot);
    let cell = |(place, name): (usize, &Arc<str>)| match standing.paused(name) {
        None => row.get::<_, Option<&str>>(place + HEAD).map_or(Cell::Null, Cell::Text),
        Some(_) => Cell::Unknown,
    };
    let cells: Vec<Cell<'_>> = mapped.columns().iter().enumerate().map(cell).collect();
    if cells.first() == Some(&Cell::Null) {
        return Ok(missing(mapped, record, at, snapshot));
    }
    let until = row.get::<_, &str>(2).parse().ok();
    Ok(Observation {
        entity: mapped.mapping.entity,
        record,
        was: None,
        at,
        read: Read::Selected(snapshot),
        presence: mapped.presence(&cells),
        // A row does not tell when a field of it changed, and `tslastmodified` not even when the
        // row did: plain SQL does not move it. It had happened when we looked, that is all.
        modified: until.map(|until| Interval { after: Timestamp::MIN, until }),
        by: mapped.modified_by(&cells),
        stamp: None,
        claims: None,
    })
}

fn missing(mapped: &Mapped, record: RecordId, at: Position, seen: Arc<Snapshot>) -> Observation {
    Observation {
        entity: mapped.mapping.entity,
        record,
        was: None,
        at,
        read: Read::Selected(seen),
        presence: Presence::Gone(Gone::Missing),
        modified: None,
        by: None,
        stamp: None,
        claims: None,
    }
}
