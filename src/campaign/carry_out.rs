//! Carrying out the steps of setup without standing in Campaign's way.
//!
//! A statement that changes a table's structure waits for everyone who reads it, and everyone else
//! waits behind it. So it waits for a moment only, steps back, and tries again; whoever keeps it
//! from its lock is named.

use std::fmt;
use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::Client;

use crate::campaign::setup::{Found, Step, Touches};

/// How patient to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a statement waits for its lock.
    pub lock_timeout: Duration,
    /// How often it is tried.
    pub attempts: u32,
    /// How long everybody else goes first, between two attempts.
    pub pause: Duration,
    /// How long a slot waits for the transactions that were under way.
    pub transactions: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            lock_timeout: Duration::from_millis(500),
            attempts: 20,
            pause: Duration::from_secs(2),
            transactions: Duration::from_mins(5),
        }
    }
}

/// Who holds what a step needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// The server's process.
    pub pid: i32,
    /// Its user and program.
    pub who: String,
    /// Since when its transaction runs.
    pub since: String,
}

/// Why a step was not carried out. Those before it were.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Others are in the way.
    #[error(
        "`{sql}` did not get its lock; in its way: {}; wait for them, or end one by \
         `select pg_cancel_backend(pid)`, and run setup again",
        List(blockers)
    )]
    Blocked {
        /// The statement.
        sql: String,
        /// Who.
        blockers: Vec<Blocker>,
    },
    /// The role may not.
    #[error("`{sql}`: {why}; have a DBA run what `truce setup --print` prints")]
    Denied {
        /// The statement.
        sql: String,
        /// The server's words.
        why: String,
    },
    /// Anything else.
    #[error("`{sql}` was refused")]
    Refused {
        /// The statement.
        sql: String,
        /// The server's words.
        source: tokio_postgres::Error,
    },
}

/// Carries the steps out in their order; `done` hears of each, so that what was found is kept
/// before the next one.
pub async fn carry_out(
    client: &Client,
    steps: &[Step],
    patience: Patience,
    mut done: impl FnMut(&Step),
) -> Result<Vec<Found>, StepError> {
    let mut found = Vec::new();
    for step in steps {
        one(client, step, patience).await?;
        done(step);
        found.extend(step.found.clone());
    }
    Ok(found)
}

async fn one(client: &Client, step: &Step, patience: Patience) -> Result<(), StepError> {
    let mut attempt = 1;
    loop {
        let limit = match step.touches {
            Touches::Transactions => patience.transactions,
            Touches::Tables(_) | Touches::Nothing => patience.lock_timeout,
        };
        let set = format!("set lock_timeout = {}", limit.as_millis().max(1));
        let refused = |source| StepError::Refused { sql: step.sql.clone(), source };
        client.batch_execute(&set).await.map_err(refused)?;
        let outcome = client.batch_execute(&step.sql).await;
        client.batch_execute("reset lock_timeout").await.map_err(refused)?;
        let Err(error) = outcome else { return Ok(()) };
        match error.code().map(tokio_postgres::error::SqlState::code) {
            // A slot that is still being streamed from is let go by its agent in a moment.
            Some("55P03" | "40P01" | "55006") => {
                if patience.attempts <= attempt {
                    let blockers = blockers(client, step).await.map_err(refused)?;
                    return Err(StepError::Blocked { sql: step.sql.clone(), blockers });
                }
            }
            Some("42501") => {
                let why =
                    error.as_db_error().map_or_else(String::new, |said| said.message().into());
                return Err(StepError::Denied { sql: step.sql.clone(), why });
            }
            _ => return Err(refused(error)),
        }
        attempt += 1;
        sleep(patience.pause).await;
    }
}

/// Who holds a lock on the step's tables, or runs a transaction that a slot must wait for.
pub async fn blockers(client: &Client, step: &Step) -> Result<Vec<Blocker>, tokio_postgres::Error> {
    let tables: &[u32] = match &step.touches {
        Touches::Tables(tables) => tables,
        Touches::Transactions | Touches::Nothing => &[],
    };
    let transactions = step.touches == Touches::Transactions;
    let rows = client.query(BLOCKERS, &[&tables, &transactions]).await?;
    Ok(rows
        .iter()
        .map(|row| Blocker { pid: row.get(0), who: row.get(1), since: row.get(2) })
        .collect())
}

const BLOCKERS: &str = "
    select a.pid, concat_ws(', ', a.usename::text, nullif(a.application_name, ''), a.state),
           coalesce(to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS TZ'), 'an unknown time')
      from pg_stat_activity a
     where a.pid <> pg_backend_pid()
       and (($2::boolean and a.backend_xid is not null)
            or exists (select from pg_locks l
                        where l.pid = a.pid and l.granted and l.locktype = 'relation'
                          and l.database = (select oid from pg_database
                                             where datname = current_database())
                          and l.relation = any($1::oid[]))
            or exists (select from pg_replication_slots s
                        where $2::boolean and s.active_pid = a.pid
                          and s.database = current_database()))
     order by a.xact_start nulls last";

struct List<'a>(&'a [Blocker]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nobody any more");
        }
        for (n, Blocker { pid, who, since }) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}process {pid} ({who}) since {since}")?;
        }
        Ok(())
    }
}
