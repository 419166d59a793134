//! What to write where, what it replaces, and what came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::reconcile::{Entity, Field, LinkId, Observation, RecordId, Row, Side, Value};

/// The mark of a write of ours, kept in the record that it writes: ledger epoch, link, sequence.
///
/// Never repeated, also after a restore of the ledger, which begins a new epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// The ledger's epoch.
    pub epoch: u32,
    /// The link written for. A stamp that names another link proves nothing.
    pub link: LinkId,
    /// Counts the link's writes in that epoch.
    pub sequence: u32,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}.{}.{}", self.epoch, self.link, self.sequence)
    }
}

/// A text that is no stamp of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotStamp;

impl FromStr for Stamp {
    type Err = NotStamp;

    fn from_str(text: &str) -> Result<Self, NotStamp> {
        let mut parts = text.strip_prefix('t').ok_or(NotStamp)?.split('.');
        let mut number = || parts.next().and_then(|part| part.parse::<u64>().ok()).ok_or(NotStamp);
        let (epoch, link, sequence) = (number()?, number()?, number()?);
        match parts.next() {
            Some(_) => Err(NotStamp),
            None => Ok(Self {
                epoch: u32::try_from(epoch).map_err(|_| NotStamp)?,
                link: LinkId(link),
                sequence: u32::try_from(sequence).map_err(|_| NotStamp)?,
            }),
        }
    }
}

/// Two queues of one link and side: consent never waits for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Opt-outs, and opt-ins (which go singly, under the CRM's precondition).
    Consent,
    /// Everything else.
    Ordinary,
}

impl Lane {
    /// Both, the urgent one first.
    pub const ALL: [Self; 2] = [Self::Consent, Self::Ordinary];
}

/// A change to one side's record, unless that record has changed since it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The link written for.
    pub link: LinkId,
    /// The mapping.
    pub entity: Entity,
    /// Where.
    pub side: Side,
    /// Its queue.
    pub lane: Lane,
    /// Which record.
    pub target: Target,
    /// What to do.
    pub change: Change,
    /// What the fields that the decision used held; at anything else the write must fail as stale.
    pub expect: BTreeMap<Field, Expected>,
    /// What the written record will bear, where it has a field for it.
    pub stamp: Stamp,
    /// The record's own time when it was last seen, for a CRM's precondition header.
    pub unmodified_since: Option<Timestamp>,
    /// Whether it lowers consent: such a write goes singly, with the precondition.
    pub opt_in: bool,
}

/// The record to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This one. Never by external id: an upsert would resurrect a deleted contact as a second one.
    Record(RecordId),
    /// A new one.
    New {
        /// Its key, where it was drawn and kept before the insert (Campaign's always is).
        key: Option<RecordId>,
        /// The record across, which the new one's external id will name.
        across: RecordId,
        /// Values by which a record for the same thing would be known; one that holds any of these
        /// must be told ([`Outcome::Found`]) instead of a second being made.
        unless: Vec<(Field, Value)>,
    },
}

/// What a [`Write`] does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Sets these fields and no others.
    Set(Row),
    /// Deletes the record.
    Delete,
}

/// What a guard compares with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The canonical value.
    pub value: Value,
    /// The side's own text, by column, where the value does not print back to it.
    pub raw: Option<Vec<Option<Arc<str>>>>,
}

/// What a writer says of one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done. A new record's key, where the side gave it one; the transaction, where the log will
    /// bring the echo.
    Done {
        /// The new record's id.
        created: Option<RecordId>,
        /// Campaign: the transaction that wrote it.
        xid: Option<u64>,
    },
    /// The record is not as expected; as it was found, where the writer had to read it.
    Stale(Option<Box<Observation>>),
    /// A create found records that may stand for the same thing.
    Found(Vec<Observation>),
    /// The record is gone.
    Gone(Option<Box<Observation>>),
    /// Refused. The same write is not tried again until an input changes.
    Refused(Refusal),
    /// Certainly not done, and worth another try after this long.
    Later(Delay),
    /// Nobody knows.
    Lost,
}

/// How long a write is put off, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delay {
    /// How long.
    pub after: Duration,
    /// For what, where that is known: a code of the side, or a few words. Holds no value.
    pub why: Option<Arc<str>>,
}

impl Delay {
    /// For this.
    pub fn of(after: Duration, why: impl Into<Arc<str>>) -> Self {
        Self { after, why: Some(why.into()) }
    }
}

impl From<Duration> for Delay {
    fn from(after: Duration) -> Self {
        Self { after, why: None }
    }
}

/// A refusal, in the words of the side that refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind, for what follows.
    pub kind: RefusalKind,
    /// The side's code, such as `STRING_TOO_LONG` or an SQLSTATE.
    pub code: Arc<str>,
    /// The side's words. May hold values: shown to an operator, never logged.
    pub message: Arc<str>,
    /// The fields that it names.
    pub fields: Vec<Field>,
}

/// What kind of refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// This record's data.
    Record,
    /// Every record of the mapping would be refused.
    Mapping,
    /// A record that it refers to is missing over there.
    Dependency,
    /// A unique value belongs to another record, this one where the side says so.
    Unique(Option<RecordId>),
}

/// How far an unfinished write has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Kept, perhaps tried; this process is waiting for its answer.
    Pending,
    /// Tried or not, its answer will never come; known since this moment of our clock.
    Lost(Timestamp),
    /// Done, by this transaction; the log has not brought it yet.
    Committed(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_read_as_they_print_and_nothing_else_is_one() {
        let stamp = Stamp { epoch: 2, link: LinkId(70_000_000_000), sequence: 9 };
        assert_eq!(stamp.to_string(), "t2.70000000000.9");
        assert_eq!("t2.70000000000.9".parse(), Ok(stamp));
        for foreign in ["", "t", "t1.2", "t1.2.3.4", "x1.2.3", "t1.-2.3", "t99999999999.1.1"] {
            assert_eq!(foreign.parse::<Stamp>(), Err(NotStamp), "{foreign}");
        }
    }
}
