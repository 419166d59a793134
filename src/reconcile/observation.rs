//! What one side was seen to hold, at one point of its history.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::reconcile::{Entity, Field, Interval, Position, RecordId, Row, Snapshot, Stamp, Value};

/// One sighting of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The mapping.
    pub entity: Entity,
    /// The record's own key on its side.
    pub record: RecordId,
    /// Campaign, where the key itself was changed: the key before.
    pub was: Option<RecordId>,
    /// When in that side's history.
    pub at: Position,
    /// How it was seen.
    pub read: Read,
    /// What was seen.
    pub presence: Presence,
    /// The newest change of the record, by that side's clock: Campaign's commit, the CRM's stamp.
    /// A Campaign commit is narrow; a CRM stamp's lower end is found from what was seen before.
    pub modified: Option<Interval>,
    /// Who made the newest change of the record, by that side's name for its users, where it tells.
    pub by: Option<Arc<str>>,
    /// The last of our own writes that the record bears, where it has a field for it.
    pub stamp: Option<Stamp>,
    /// CRM: the Campaign key that the record's external id names.
    pub claims: Option<RecordId>,
}

/// How a sighting came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// In the write-ahead log, written by this transaction (its 64-bit id).
    Logged {
        /// The transaction.
        xid: u64,
    },
    /// By a `select` that saw these transactions.
    Selected(Arc<Snapshot>),
    /// By asking a CRM, at this moment of our clock.
    Asked(Timestamp),
}

/// Whether the record was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It was, holding this; fields that are not in the row are unknown.
    Here {
        /// Canonical values.
        row: Row,
        /// The side's own text (a `None` is its null), for each column of those fields whose
        /// canonical value does not print back to it: what a guard must compare with.
        raw: BTreeMap<Field, Vec<Option<Arc<str>>>>,
        /// Fields whose value has no canonical form, each with why (no values in the words).
        unfit: BTreeMap<Field, Arc<str>>,
    },
    /// It was not.
    Gone(Gone),
}

/// Why a record is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Deleted: the log or the CRM's deleted rows say so.
    Deleted,
    /// Merged into this one.
    Merged(RecordId),
    /// A lead that was converted and can no longer be written; into this record of another mapping
    /// of the same Campaign table, where there is one.
    Converted(Option<(Entity, RecordId)>),
    /// Removed by `TRUNCATE`, which is never forwarded.
    Truncated,
    /// A sweep no longer finds it, which is not a deletion.
    Missing,
}

impl Observation {
    /// The row, where the record was there.
    pub fn row(&self) -> Option<&Row> {
        match &self.presence {
            Presence::Here { row, .. } => Some(row),
            Presence::Gone(_) => None,
        }
    }

    /// The value of a field; `None` is unknown.
    pub fn value(&self, field: Field) -> Option<&Value> {
        self.row()?.get(&field)
    }
}
