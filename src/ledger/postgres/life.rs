//! Whether the ledger is the one it was: restored from a backup or cloned, it is another.
//!
//! After a restore the ledger has forgotten writes that were made, and would repeat their stamps.
//! Three things here give it away: the system identifier (a new cluster, a dump), the timeline (a
//! recovery to a point in time, a promotion), and a log position behind the one that was noted. A
//! database that was restored within the same cluster shows elsewhere: Campaign's slot was confirmed
//! further than this ledger remembers, which is only ever done after the ledger is durable.

use super::line::Line;
use crate::ledger::LedgerError;
use crate::postgres::ServerUrl;
use crate::reconcile::Lsn;

/// What looks after the ledger's epoch.
#[derive(Debug)]
pub struct Life {
    line: Line,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lived {
    /// The ledger's epoch, above all before it unless the server's clock went back.
    pub epoch: u32,
    /// Why a new epoch began just now, in words; `None` where the old one goes on.
    pub because: Option<String>,
}

/// The timeline is that of the log file being written: the control file learns of a promotion at
/// the next checkpoint only. A server in recovery writes none, and holds no ledger to be written.
const LOOK: &str = "
    select l.epoch, l.system_identifier, l.timeline, l.position, l.seal,
           (select system_identifier::text from pg_control_system()),
           ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::integer,
           pg_current_wal_flush_lsn()::text,
           extract(epoch from now())::bigint - 1577836800
      from truce.life as l";

const NOTE: &str = "
    update truce.life
       set epoch = $1, system_identifier = $2, timeline = $3, position = $4,
           seal = md5(random()::text || clock_timestamp()::text)
     where seal = $5
    returning seal";

const DOING: &str = "see whether it was restored";

/// What identifies a ledger's life.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signs {
    system: String,
    timeline: i32,
    position: Lsn,
}

impl Life {
    /// Of the ledger at this address.
    pub fn new(url: &ServerUrl) -> Self {
        Self { line: Line::new(url.clone()) }
    }

    /// Compares, raises the epoch where the ledger is another, and notes how it is now.
    ///
    /// `behind` says what shows elsewhere that this ledger has forgotten something. To be called by
    /// the leader at its start.
    pub async fn check(&self, behind: Option<&str>) -> Result<Lived, LedgerError> {
        let rows = self.line.ask(DOING, LOOK, &[]).await?;
        let row = rows.first().ok_or_else(|| gone("its row is missing"))?;
        let position = |column: usize| row.get::<_, &str>(column).parse().unwrap_or_default();
        let noted = Signs { system: row.get(1), timeline: row.get(2), position: position(3) };
        // Changes with each note, so that of two who note at once one is told.
        let seal: String = row.get(4);
        let found = Signs { system: row.get(5), timeline: row.get(6), position: position(7) };
        let because = differs(&noted, &found).or_else(|| behind.map(str::to_owned));
        let first = noted.system.is_empty();
        let epoch = row.get::<_, i32>(0);
        let epoch = if first || because.is_some() { raised(epoch, row.get(8)) } else { epoch };
        let position = found.position.to_string();
        let given: super::line::Given<'_> =
            &[&epoch, &found.system, &found.timeline, &position, &seal];
        let rows = self.line.ask(DOING, NOTE, given).await?;
        if rows.is_empty() {
            return Err(gone("another has noted its life meanwhile"));
        }
        Ok(Lived { epoch: epoch.cast_unsigned(), because })
    }
}

/// The epoch after this one. It is taken from the server's clock, in seconds from 2020 on: the same
/// backup may be put back twice, or the ledger be made anew, and neither remembers which epochs
/// there were, while the CRM's records bear their stamps.
fn raised(epoch: i32, seconds: i64) -> i32 {
    i32::try_from(seconds).unwrap_or(0).max(epoch + 1)
}

fn gone(why: &'static str) -> LedgerError {
    LedgerError::Unavailable { doing: DOING, source: why.into() }
}

fn differs(noted: &Signs, found: &Signs) -> Option<String> {
    if noted.system.is_empty() {
        return None;
    }
    if noted.system != found.system {
        let (was, is) = (&noted.system, &found.system);
        return Some(format!("its server's system identifier was {was} and is {is}"));
    }
    if noted.timeline != found.timeline {
        let (was, is) = (noted.timeline, found.timeline);
        return Some(format!("its server's timeline was {was} and is {is}"));
    }
    (found.position < noted.position).then(|| {
        let (was, is) = (noted.position, found.position);
        format!("its server's log was at {was} and is at {is}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sign_alone_shows_a_restore() {
        let noted = Signs { system: "7".to_owned(), timeline: 1, position: Lsn(9) };
        let check = |change: fn(&mut Signs), shows: bool| {
            let mut found = noted.clone();
            change(&mut found);
            assert_eq!(differs(&noted, &found).is_some(), shows, "{found:?}");
        };
        check(|_| {}, false);
        check(|found| found.position = Lsn(10), false);
        check(|found| found.position = Lsn(8), true);
        check(|found| found.system = "8".to_owned(), true);
        check(|found| found.timeline = 2, true);
    }
}
