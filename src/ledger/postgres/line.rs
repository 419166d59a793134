//! Sessions with the ledger's server: opened when needed, opened anew when lost.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use crate::ledger::LedgerError;
use crate::postgres::{ConnectError, ServerError, ServerUrl, Session, Settings, connect};

/// What a statement is given.
pub(super) type Given<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A session for questions, shared by all who ask; each statement is prepared once.
#[derive(Debug)]
pub(super) struct Line {
    url: ServerUrl,
    open: Mutex<Option<Arc<Open>>>,
}

#[derive(Debug)]
struct Open {
    session: Session,
    prepared: Mutex<BTreeMap<&'static str, Statement>>,
}

impl Line {
    pub(super) fn new(url: ServerUrl) -> Self {
        Self { url, open: Mutex::new(None) }
    }

    /// Asks, and where the session was lost before this, opens another.
    pub(super) async fn ask(
        &self,
        doing: &'static str,
        sql: &'static str,
        given: Given<'_>,
    ) -> Result<Vec<Row>, LedgerError> {
        let open = self.open(doing).await?;
        let statement = open.prepare(sql).await.map_err(|error| failed(doing, error))?;
        open.session.query(&statement, given).await.map_err(|error| failed(doing, error))
    }

    async fn open(&self, doing: &'static str) -> Result<Arc<Open>, LedgerError> {
        let mut line = self.open.lock().await;
        if let Some(open) = line.as_ref().filter(|open| !open.session.is_closed()) {
            return Ok(Arc::clone(open));
        }
        let session = open_session(&self.url, doing).await?;
        let open = Arc::new(Open { session, prepared: Mutex::default() });
        *line = Some(Arc::clone(&open));
        Ok(open)
    }
}

impl Open {
    async fn prepare(&self, sql: &'static str) -> Result<Statement, tokio_postgres::Error> {
        let mut prepared = self.prepared.lock().await;
        if let Some(statement) = prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.session.prepare(sql).await?;
        prepared.insert(sql, statement.clone());
        Ok(statement)
    }
}

/// Every statement of ours goes from an array of keys through an index, whether the planner has
/// statistics yet or not.
pub(super) fn settings() -> Settings {
    Settings::default()
        .with("enable_seqscan", "off")
        .with("enable_hashjoin", "off")
        .with("enable_mergejoin", "off")
        .with("jit", "off")
        // Not left to the server or the role: a position is confirmed once its commit is durable.
        .with("synchronous_commit", "on")
        .with("statement_timeout", "60s")
        .with("lock_timeout", "10s")
        .with("idle_in_transaction_session_timeout", "60s")
}

pub(super) async fn open_session(
    url: &ServerUrl,
    doing: &'static str,
) -> Result<Session, LedgerError> {
    // A plan that was made while the tables were empty takes any index for as good as another, and
    // would be kept through the first scan, until statistics are there: minutes for millions of
    // links. Planning each time costs less than a millisecond a batch. Unknown to PostgreSQL 11,
    // where it must not keep us out.
    const PLAN_ANEW: &str = "
        select set_config(name, 'force_custom_plan', false) from pg_settings
         where name = 'plan_cache_mode'";
    let session = connect(url, &settings()).await.map_err(|source| unreachable(doing, source))?;
    session.batch_execute(PLAN_ANEW).await.map_err(|error| failed(doing, error))?;
    Ok(session)
}

fn unreachable(doing: &'static str, source: ConnectError) -> LedgerError {
    let transient = source.is_transient();
    let source: Box<dyn Error + Send + Sync> = Box::new(source);
    if transient {
        LedgerError::Unavailable { doing, source }
    } else {
        LedgerError::Refused { doing, source }
    }
}

/// An error of a statement: worth another try where the session or the server went away, or where
/// it stood in somebody's way.
pub(super) fn failed(doing: &'static str, error: tokio_postgres::Error) -> LedgerError {
    let transient = match error.code() {
        Some(code) => {
            let class = code.code().get(..2).unwrap_or_default();
            // Connection, rollback (deadlock), resources, operator, system.
            // Read-only is a server that is being failed over, or whose disk is full.
            let passing = [SqlState::LOCK_NOT_AVAILABLE, SqlState::READ_ONLY_SQL_TRANSACTION];
            ["08", "40", "53", "57", "58"].contains(&class) || passing.contains(code)
        }
        None => true,
    };
    let source: Box<dyn Error + Send + Sync> = match error.as_db_error() {
        Some(said) => Box::new(ServerError::of_statement(said)),
        None => Box::new(error),
    };
    if transient {
        LedgerError::Unavailable { doing, source }
    } else {
        LedgerError::Refused { doing, source }
    }
}

/// A moment as the server keeps it: whole microseconds, and nothing before our era.
pub(super) fn moment(time: Timestamp) -> SystemTime {
    let micros = time.as_microsecond().max(ERA_MICROS);
    let since_1970 = Duration::from_micros(micros.unsigned_abs());
    if micros < 0 { UNIX_EPOCH - since_1970 } else { UNIX_EPOCH + since_1970 }
}

/// The year 1; the server's own calendar ends 5,000 years later than ours, where nobody goes.
const ERA_MICROS: i64 = -62_135_596_800_000_000;

/// A moment that the server kept.
pub(super) fn timestamp(moment: SystemTime) -> Timestamp {
    Timestamp::try_from(moment).unwrap_or(Timestamp::MAX)
}
