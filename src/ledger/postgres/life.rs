//! Whether the ledger is the one it was: restored from a backup or cloned, it is another.
//!
//! After a restore the ledger has forgotten writes that were made, and would repeat their stamps.
//! Four things give it away: the system identifier (a new cluster, a dump), the timeline (a
//! recovery to a point in time, a promotion), a log position behind the one that was noted, and a
//! *seal*: a word that changes with each note and of which the agent keeps a copy elsewhere.
//! The last alone shows that the database was restored within the same cluster.

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
    /// The ledger's epoch, from 1.
    pub epoch: u32,
    /// What is to be remembered elsewhere and brought along next time.
    pub seal: String,
    /// Why a new epoch began just now, in words; `None` where the old one goes on.
    pub because: Option<String>,
}

/// The timeline is that of the log file being written: the control file learns of a promotion at
/// the next checkpoint only. A server in recovery writes none, and holds no ledger to be written.
const LOOK: &str = "
    select l.epoch, l.system_identifier, l.timeline, l.position, l.seal,
           (select system_identifier::text from pg_control_system()),
           ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::integer,
           pg_current_wal_flush_lsn()::text
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
    seal: String,
}

impl Life {
    /// Of the ledger at this address.
    pub fn new(url: &ServerUrl) -> Self {
        Self { line: Line::new(url.clone()) }
    }

    /// Compares, raises the epoch where the ledger is another, and notes how it is now.
    ///
    /// `remembered` is the seal that the last call returned, kept outside of the ledger; `None`
    /// where nothing is kept. To be called by the leader, at its start and every now and then: what
    /// is noted seldom is seen late.
    pub async fn check(&self, remembered: Option<&str>) -> Result<Lived, LedgerError> {
        let rows = self.line.ask(DOING, LOOK, &[]).await?;
        let row = rows.first().ok_or_else(|| gone("its row is missing"))?;
        let position = |column: usize| row.get::<_, &str>(column).parse().unwrap_or_default();
        let noted = Signs {
            system: row.get(1),
            timeline: row.get(2),
            position: position(3),
            seal: row.get(4),
        };
        let found = Signs {
            system: row.get(5),
            timeline: row.get(6),
            position: position(7),
            seal: remembered.unwrap_or(&noted.seal).to_owned(),
        };
        let because = differs(&noted, &found);
        let first = noted.system.is_empty();
        let raised = i32::from(first || because.is_some());
        let epoch = row.get::<_, i32>(0) + raised;
        let position = found.position.to_string();
        let given: super::line::Given<'_> =
            &[&epoch, &found.system, &found.timeline, &position, &noted.seal];
        let rows = self.line.ask(DOING, NOTE, given).await?;
        let row = rows.first().ok_or_else(|| gone("another has noted its life meanwhile"))?;
        Ok(Lived { epoch: epoch.cast_unsigned(), seal: row.get(0), because })
    }
}

fn gone(why: &'static str) -> LedgerError {
    LedgerError::Unavailable { doing: DOING, source: why.into() }
}

fn differs(noted: &Signs, found: &Signs) -> Option<String> {
    if noted.system.is_empty() {
        return (noted.seal != found.seal).then(|| {
            "the ledger is new, and another is remembered: it was lost or replaced".to_owned()
        });
    }
    if noted.system != found.system {
        let (was, is) = (&noted.system, &found.system);
        return Some(format!("its server's system identifier was {was} and is {is}"));
    }
    if noted.timeline != found.timeline {
        let (was, is) = (noted.timeline, found.timeline);
        return Some(format!("its server's timeline was {was} and is {is}"));
    }
    if found.position < noted.position {
        let (was, is) = (noted.position, found.position);
        return Some(format!("its server's log was at {was} and is at {is}"));
    }
    (noted.seal != found.seal)
        .then(|| "it does not bear the seal that is remembered: it was restored".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sign_alone_shows_a_restore() {
        let noted =
            Signs { system: "7".to_owned(), timeline: 1, position: Lsn(9), seal: "a".to_owned() };
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
        check(|found| found.seal = "b".to_owned(), true);
    }
}
