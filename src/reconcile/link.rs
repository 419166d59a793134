//! A pair of records that stand for one person or thing, and all that is kept of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::reconcile::{
    Answer, Consent, Entity, Field, Gone, Interval, LinkId, Position, RecordId, Refusal, Row, Side,
    Sides, Snapshot, Stamp, Value, Write,
};

/// What is kept of a pair of records: plain data, moved by the verbs of this module's neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub id: LinkId,
    /// Its mapping.
    pub entity: Entity,
    /// What it stands for now.
    pub state: LinkState,
    /// What was last seen on each side.
    pub seen: Sides<Seen>,
    /// For each field, the last value on which both sides are known to have agreed.
    pub base: Row,
    /// The writes kept and not concluded: at most one a lane.
    pub sent: Sides<Vec<Sent>>,
    /// CRM writes that were given up on and may land all the same, oldest first.
    pub given_up: Vec<Sent>,
    /// The last stamp's sequence.
    pub sequence: u32,
    /// What stands in the way, and was learnt from an answer, the brake or a person.
    pub blocks: Vec<Block>,
    /// Values that a person, or a record merged into this one, said should stand on both sides.
    pub ruled: Row,
    /// Values that a person said may stay apart, for as long as both sides hold just these.
    pub ignored: BTreeMap<Field, Sides<Value>>,
    /// The values that each field's base has lately held, with when, newest last.
    pub trail: BTreeMap<Field, Vec<(Timestamp, Value)>>,
    /// Consent that a deleted record of the same person left behind.
    pub inherited: BTreeMap<Field, Consent>,
    /// The Campaign key that the CRM record's external id names, where it is that of no other link.
    pub claims: Option<RecordId>,
    /// Since when something of it waits for a person.
    pub held_since: Option<Timestamp>,
    /// Since when the link waits for another record (a parent, a key that is under way).
    pub waiting_since: Option<Timestamp>,
    /// Since when both records are gone.
    pub ended: Option<Timestamp>,
}

/// What a link stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LinkState {
    /// Two records kept in step, or one that waits for its counterpart.
    #[default]
    Live,
    /// Its CRM record was merged into that of this link; consent alone reaches both from then on.
    Alias(LinkId),
    /// One side was deleted and the other is left alone, by policy or by a person's word.
    Severed,
    /// Both are gone. Keeps consent, and the epoch of the positions.
    Tombstone,
}

/// One side of a link, as it was last seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The record's own key.
    pub record: Option<RecordId>,
    /// Whether it was there.
    pub bond: Bond,
    /// Where in that side's history.
    pub at: Position,
    /// Campaign: the transaction of the last logged sighting, 0 for none.
    pub xid: u64,
    /// Campaign: the snapshot of the last `select` that was newer than any logged sighting.
    pub snapshot: Option<Arc<Snapshot>>,
    /// CRM: reads that were asked for before this say nothing, as a write was answered then.
    pub deaf_until: Position,
    /// CRM: when the last read was asked for, by our clock.
    pub asked: Option<Timestamp>,
    /// The side's own time of the last change: Campaign's commit, the CRM's stamp.
    pub modified: Option<Timestamp>,
    /// The newest stamp of ours that the record was seen to bear.
    pub stamp: Option<Stamp>,
    /// The mapped fields.
    pub fields: BTreeMap<Field, SeenField>,
}

/// Whether a record was there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Bond {
    /// Nothing was ever seen.
    #[default]
    Never,
    /// It was there.
    Here,
    /// It was not.
    Gone(Gone),
}

/// A field as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenField {
    /// Its canonical value.
    pub value: Value,
    /// The side's own text by column, where the value does not print back to it.
    pub raw: Option<Vec<Option<Arc<str>>>>,
    /// Why the side's value has no canonical form; `value` is then the last that had one.
    pub unfit: Option<Arc<str>>,
    /// When it came to this value.
    pub changed: Option<Interval>,
    /// Who had changed the record last when it was first read so, by that side's name for its users;
    /// kept while the sides differ.
    pub by: Option<Arc<str>>,
    /// Whether this side may have moved it since both last agreed, even if it moved back.
    pub touched: bool,
}

/// A write that was kept and not concluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// What was to be done.
    pub write: Write,
    /// When it was kept, by our clock.
    pub at: Timestamp,
    /// The tick at which it was kept: reads asked for earlier cannot show it.
    pub tick: Position,
    /// Campaign: its transaction, noted before `COMMIT`.
    pub xid: Option<u64>,
    /// How far it came.
    pub answer: Answer,
}

/// Something that stands in the way of a link, or of one of its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The field; `None` is the whole record.
    pub field: Option<Field>,
    /// The side that could not be written.
    pub side: Side,
    /// Why.
    pub reason: BlockReason,
    /// Since when, by our clock.
    pub since: Timestamp,
}

/// Why a link or a field is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockReason {
    /// The side refused this change, which is not tried again unchanged.
    Refused {
        /// In that side's words.
        refusal: Refusal,
        /// What was refused.
        change: Row,
    },
    /// This many writes in a row were stale, and no news came.
    Stale(u8),
    /// This many answers in a row said to try again later.
    PutOff(u8),
    /// The field goes back and forth.
    Flapping,
    /// A delete, or many fields turned null at once, went over the mapping's brake.
    Braked,
    /// A unique value waits until its owner has let it go; a temporary value stands meanwhile.
    Swapping,
    /// A person let it go.
    Released(Release),
}

/// What a person said of a link that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// What was decided may go, whatever the brake and the epoch say.
    Go,
    /// The record that is left goes too.
    Delete,
    /// The record that is gone is made again from the one that is left.
    Recreate,
}

impl Link {
    /// A link of which nothing is known yet.
    pub fn new(id: LinkId, entity: Entity) -> Self {
        Self {
            id,
            entity,
            state: LinkState::Live,
            seen: Sides::default(),
            base: Row::new(),
            sent: Sides::default(),
            given_up: Vec::new(),
            sequence: 0,
            blocks: Vec::new(),
            ruled: Row::new(),
            ignored: BTreeMap::new(),
            trail: BTreeMap::new(),
            inherited: BTreeMap::new(),
            claims: None,
            held_since: None,
            waiting_since: None,
            ended: None,
        }
    }

    /// Whether a person said that both sides may go on holding what they hold of this field.
    pub fn is_ignored(&self, field: Field) -> bool {
        self.ignored.get(&field).is_some_and(|apart| {
            Side::BOTH.into_iter().all(|side| self.seen[side].value(field) == Some(&apart[side]))
        })
    }

    /// The record's key on a side, where one is known.
    pub fn record(&self, side: Side) -> Option<&RecordId> {
        self.seen[side].record.as_ref()
    }
}

impl Seen {
    /// The value of a field; `None` is unknown.
    pub fn value(&self, field: Field) -> Option<&Value> {
        self.fields.get(&field).map(|seen| &seen.value)
    }
}

impl Link {
    /// The records that fields refer to and that no link is known for yet.
    pub fn unresolved(&self) -> impl Iterator<Item = (Side, Field, &RecordId)> {
        Side::BOTH.into_iter().flat_map(move |side| {
            self.seen[side].fields.iter().filter_map(move |(field, seen)| match &seen.value {
                Value::Record(parent) => Some((side, *field, parent)),
                Value::Null
                | Value::Bool(_)
                | Value::Int(_)
                | Value::Decimal(_)
                | Value::Text(_)
                | Value::Date(_)
                | Value::Time(_)
                | Value::Instant(_)
                | Value::Uuid(_)
                | Value::Set(_)
                | Value::Link(_)
                | Value::Consent(_) => None,
            })
        })
    }

    /// The links that fields refer to.
    pub fn parents(&self) -> impl Iterator<Item = LinkId> {
        let seen = Side::BOTH.into_iter().flat_map(|side| self.seen[side].fields.values());
        let values =
            seen.map(|seen| &seen.value).chain(self.base.values()).chain(self.ruled.values());
        values.filter_map(|value| match value {
            Value::Link(parent) => Some(*parent),
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Decimal(_)
            | Value::Text(_)
            | Value::Date(_)
            | Value::Time(_)
            | Value::Instant(_)
            | Value::Uuid(_)
            | Value::Set(_)
            | Value::Record(_)
            | Value::Consent(_) => None,
        })
    }

    /// Says which link a field's record is.
    pub fn resolve(&mut self, side: Side, field: Field, parent: LinkId) {
        if let Some(seen) = self.seen[side].fields.get_mut(&field) {
            seen.value = Value::Link(parent);
        }
    }
}
