//! One leader: a row of the ledger that must be renewed, with a term that only grows.
//!
//! All times are the server's own, so that no two machines' clocks are ever compared. A leader
//! counts its own lease from *before* it asked, a standby from what the server says: the leader
//! stops first. A standby waits for the longest request besides, since a request that was under way
//! when the lease ended may still be carried out.

use std::time::Duration;

use tokio::time::Instant;

use super::line::Line;
use super::store::clean;
use crate::ledger::LedgerError;
use crate::postgres::ServerUrl;

/// A claim to lead, held or not.
#[derive(Debug)]
pub struct Leader {
    line: Line,
    holder: String,
    lease: Duration,
    grace: Duration,
    term: u64,
    until: Option<Instant>,
}

/// Why we do not lead.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another leads, or led until so lately that a request of its may be under way.
    #[error("`{holder}` leads (term {term}), for {remaining:?} more at least")]
    Held {
        /// Who.
        holder: String,
        /// Its term.
        term: u64,
        /// How long until it is worth asking again.
        remaining: Duration,
    },
    /// Our lease was not renewed in time, and another took it.
    #[error("deposed: the term is {current}, and ours was {ours}")]
    Deposed {
        /// Ours.
        ours: u64,
        /// The one there is.
        current: u64,
    },
    /// The ledger did not answer; we lead for as long as the lease lasts.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// One statement: the row's lock makes two claimants take turns, and the second sees the first.
const CLAIM: &str = "
    update truce.lease
       set term = term + 1, holder = $1, renewed_at = clock_timestamp(),
           ends_at = clock_timestamp() + make_interval(secs => $2)
     where ends_at + make_interval(secs => $3) <= clock_timestamp()
    returning term";

const RENEW: &str = "
    update truce.lease
       set renewed_at = clock_timestamp(),
           ends_at = clock_timestamp() + make_interval(secs => $2)
     where term = $1
    returning term";

const ADVANCE: &str = "
    update truce.lease
       set term = term + 1, renewed_at = clock_timestamp(),
           ends_at = clock_timestamp() + make_interval(secs => $2)
     where term = $1
    returning term";

const RESIGN: &str = "
    update truce.lease set ends_at = '-infinity' where term = $1 returning term";

const LOOK: &str = "
    select term, holder,
           greatest(extract(epoch from ends_at - clock_timestamp()), 0)::float8
      from truce.lease where ends_at > '-infinity'";

const TERM: &str = "select term from truce.lease";

impl Leader {
    /// A claim, not made yet. `holder` names this process for people; the lease ends `lease` after
    /// its last renewal; `grace` is how long a request may take at the longest.
    pub fn new(url: &ServerUrl, holder: &str, lease: Duration, grace: Duration) -> Self {
        let holder = clean(holder);
        Self { line: Line::new(url.clone()), holder, lease, grace, term: 0, until: None }
    }

    /// Takes the lead, where nobody has it.
    pub async fn claim(&mut self) -> Result<u64, LeaseError> {
        let asked = Instant::now();
        let (lease, grace) = (self.lease.as_secs_f64(), self.grace.as_secs_f64());
        let rows = self.line.ask(DOING, CLAIM, &[&self.holder, &lease, &grace]).await?;
        if let Some(row) = rows.first() {
            self.term = row.get::<_, i64>(0).cast_unsigned();
            self.until = Some(asked + self.lease);
            return Ok(self.term);
        }
        let rows = self.line.ask(DOING, LOOK, &[]).await?;
        let Some(row) = rows.first() else {
            // It was given up between the two questions.
            let (holder, term) = (String::new(), self.term);
            return Err(LeaseError::Held { holder, term, remaining: Duration::ZERO });
        };
        let remaining = Duration::from_secs_f64(row.get::<_, f64>(2)) + self.grace;
        let term = row.get::<_, i64>(0).cast_unsigned();
        Err(LeaseError::Held { holder: row.get(1), term, remaining })
    }

    /// Who leads; `None` where nobody does.
    pub async fn holder(&mut self) -> Result<Option<String>, LedgerError> {
        let rows = self.line.ask(DOING, LOOK, &[]).await?;
        let leads = rows.first().filter(|row| 0.0 < row.get::<_, f64>(2));
        Ok(leads.map(|row| row.get(1)))
    }

    /// Renews the lease; to be called several times within it.
    ///
    /// A lease that ran out and that nobody took is ours still: the term says so.
    pub async fn renew(&mut self) -> Result<(), LeaseError> {
        let asked = Instant::now();
        let (ours, lease) = (self.term.cast_signed(), self.lease.as_secs_f64());
        let rows = self.line.ask(DOING, RENEW, &[&ours, &lease]).await?;
        if rows.is_empty() {
            self.until = None;
            let rows = self.line.ask(DOING, TERM, &[]).await?;
            let current = rows.first().map_or(0, |row| row.get::<_, i64>(0).cast_unsigned());
            return Err(LeaseError::Deposed { ours: self.term, current });
        }
        self.until = Some(asked + self.lease);
        Ok(())
    }

    /// Begins another term under the same lease: what begins anew draws its ticks above all that
    /// were drawn before, and resolves what was left unanswered.
    pub async fn advance(&mut self) -> Result<u64, LeaseError> {
        let asked = Instant::now();
        let (ours, lease) = (self.term.cast_signed(), self.lease.as_secs_f64());
        let rows = self.line.ask(DOING, ADVANCE, &[&ours, &lease]).await?;
        let Some(row) = rows.first() else {
            self.until = None;
            let rows = self.line.ask(DOING, TERM, &[]).await?;
            let current = rows.first().map_or(0, |row| row.get::<_, i64>(0).cast_unsigned());
            return Err(LeaseError::Deposed { ours: self.term, current });
        };
        self.term = row.get::<_, i64>(0).cast_unsigned();
        self.until = Some(asked + self.lease);
        Ok(self.term)
    }

    /// For how long it is ours yet, unless it is renewed.
    pub fn left(&self) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Gives up the lead, after the last request was answered: a standby need not wait.
    pub async fn resign(&mut self) -> Result<(), LeaseError> {
        self.until = None;
        self.line.ask(DOING, RESIGN, &[&self.term.cast_signed()]).await?;
        Ok(())
    }

    /// Our term; 0 before the first claim.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// Until when we lead, unless we renew; `None` where we do not. Ask before each request.
    pub fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether we lead now.
    pub fn leads(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }
}

const DOING: &str = "renew the lease";
