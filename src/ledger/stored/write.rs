//! Writes that were kept and not concluded, and what stands in the way of others.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::body::NotBody;
use super::seen::{StoredPosition, StoredRaw, load_position, load_stamp, store_position};
use super::times::{Place, Times};
use super::value::{StoredRow, StoredValue, load_row, store_row};
use crate::reconcile::link::{BlockReason, Release};
use crate::reconcile::{
    Answer, Block, Change, Entity, Expected, Field, Lane, Link, LinkId, RecordId, Refusal,
    RefusalKind, Sent, Side, Target, Write,
};

/// A kept write as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredSent {
    /// Where it is not the link that it is kept with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<u64>,
    /// Where it is not that link's mapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entity: Option<u16>,
    side: StoredSide,
    lane: StoredLane,
    target: StoredTarget,
    change: StoredChange,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    expect: BTreeMap<u16, StoredExpected>,
    stamp: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unmodified_since: Option<Place>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    opt_in: bool,
    at: Place,
    tick: StoredPosition,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    xid: Option<u64>,
    answer: StoredAnswer,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum StoredSide {
    Campaign,
    Crm,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredLane {
    Consent,
    Ordinary,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum StoredTarget {
    Record(Arc<str>),
    New { key: Option<Arc<str>>, across: Arc<str>, unless: Vec<(u16, StoredValue)> },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredChange {
    Set(StoredRow),
    Delete,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredExpected {
    value: StoredValue,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw: Option<StoredRaw>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredAnswer {
    Pending,
    Lost(Place),
    Committed(u64),
}

/// A block as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredBlock {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<u16>,
    side: StoredSide,
    reason: StoredReason,
    since: Place,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum StoredReason {
    Refused {
        kind: StoredRefusal,
        code: Arc<str>,
        message: Arc<str>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        fields: Vec<u16>,
        change: StoredRow,
    },
    Stale(u8),
    PutOff(u8),
    Flapping,
    Braked,
    Swapping,
    Released,
    Deletes,
    Recreates,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredRefusal {
    Record,
    Mapping,
    Dependency,
    Unique(Option<Arc<str>>),
}

pub(super) fn store_sent(sent: &Sent, link: &Link, times: &mut Times) -> StoredSent {
    let write = &sent.write;
    let expected = |(field, expected): (&Field, &Expected)| {
        let value = StoredValue(expected.value.clone());
        (field.0, StoredExpected { value, raw: expected.raw.clone() })
    };
    StoredSent {
        link: (write.link != link.id).then_some(write.link.0),
        entity: (write.entity != link.entity).then_some(write.entity.0),
        side: write.side.into(),
        lane: match write.lane {
            Lane::Consent => StoredLane::Consent,
            Lane::Ordinary => StoredLane::Ordinary,
        },
        target: StoredTarget::of(&write.target),
        change: match &write.change {
            Change::Set(row) => StoredChange::Set(store_row(row)),
            Change::Delete => StoredChange::Delete,
        },
        expect: write.expect.iter().map(expected).collect(),
        stamp: write.stamp.to_string(),
        unmodified_since: write.unmodified_since.map(|time| times.place(time)),
        opt_in: write.opt_in,
        at: times.place(sent.at),
        tick: store_position(sent.tick),
        xid: sent.xid,
        answer: match sent.answer {
            Answer::Pending => StoredAnswer::Pending,
            Answer::Lost(since) => StoredAnswer::Lost(times.place(since)),
            Answer::Committed(xid) => StoredAnswer::Committed(xid),
        },
    }
}

pub(super) fn load_sent(
    stored: StoredSent,
    (id, entity): (LinkId, Entity),
    times: &Times,
) -> Result<Sent, NotBody> {
    let expected = |(field, expected): (u16, StoredExpected)| {
        (Field(field), Expected { value: expected.value.0, raw: expected.raw })
    };
    let write = Write {
        link: stored.link.map_or(id, LinkId),
        entity: stored.entity.map_or(entity, Entity),
        side: stored.side.into(),
        lane: match stored.lane {
            StoredLane::Consent => Lane::Consent,
            StoredLane::Ordinary => Lane::Ordinary,
        },
        target: stored.target.load(),
        change: match stored.change {
            StoredChange::Set(row) => Change::Set(load_row(row)),
            StoredChange::Delete => Change::Delete,
        },
        expect: stored.expect.into_iter().map(expected).collect(),
        stamp: load_stamp(&stored.stamp)?,
        unmodified_since: stored.unmodified_since.map(|place| times.at(place)).transpose()?,
        opt_in: stored.opt_in,
    };
    Ok(Sent {
        write,
        at: times.at(stored.at)?,
        tick: load_position(stored.tick),
        xid: stored.xid,
        answer: match stored.answer {
            StoredAnswer::Pending => Answer::Pending,
            StoredAnswer::Lost(since) => Answer::Lost(times.at(since)?),
            StoredAnswer::Committed(xid) => Answer::Committed(xid),
        },
    })
}

pub(super) fn store_block(block: &Block, times: &mut Times) -> StoredBlock {
    StoredBlock {
        field: block.field.map(|field| field.0),
        side: block.side.into(),
        reason: StoredReason::of(&block.reason),
        since: times.place(block.since),
    }
}

pub(super) fn load_block(stored: StoredBlock, times: &Times) -> Result<Block, NotBody> {
    Ok(Block {
        field: stored.field.map(Field),
        side: stored.side.into(),
        reason: stored.reason.load(),
        since: times.at(stored.since)?,
    })
}

impl StoredTarget {
    fn of(target: &Target) -> Self {
        match target {
            Target::Record(record) => Self::Record(Arc::clone(&record.0)),
            Target::New { key, across, unless } => Self::New {
                key: key.as_ref().map(|key| Arc::clone(&key.0)),
                across: Arc::clone(&across.0),
                unless: unless
                    .iter()
                    .map(|(field, value)| (field.0, StoredValue(value.clone())))
                    .collect(),
            },
        }
    }

    fn load(self) -> Target {
        match self {
            Self::Record(record) => Target::Record(RecordId(record)),
            Self::New { key, across, unless } => Target::New {
                key: key.map(RecordId),
                across: RecordId(across),
                unless: unless.into_iter().map(|(field, value)| (Field(field), value.0)).collect(),
            },
        }
    }
}

impl StoredReason {
    fn of(reason: &BlockReason) -> Self {
        match reason {
            BlockReason::Refused { refusal, change } => Self::Refused {
                kind: match &refusal.kind {
                    RefusalKind::Record => StoredRefusal::Record,
                    RefusalKind::Mapping => StoredRefusal::Mapping,
                    RefusalKind::Dependency => StoredRefusal::Dependency,
                    RefusalKind::Unique(owner) => {
                        StoredRefusal::Unique(owner.as_ref().map(|owner| Arc::clone(&owner.0)))
                    }
                },
                code: Arc::clone(&refusal.code),
                message: Arc::clone(&refusal.message),
                fields: refusal.fields.iter().map(|field| field.0).collect(),
                change: store_row(change),
            },
            BlockReason::Stale(times) => Self::Stale(*times),
            BlockReason::PutOff(times) => Self::PutOff(*times),
            BlockReason::Flapping => Self::Flapping,
            BlockReason::Braked => Self::Braked,
            BlockReason::Swapping => Self::Swapping,
            BlockReason::Released(Release::Go) => Self::Released,
            BlockReason::Released(Release::Delete) => Self::Deletes,
            BlockReason::Released(Release::Recreate) => Self::Recreates,
        }
    }

    fn load(self) -> BlockReason {
        match self {
            Self::Refused { kind, code, message, fields, change } => {
                let kind = match kind {
                    StoredRefusal::Record => RefusalKind::Record,
                    StoredRefusal::Mapping => RefusalKind::Mapping,
                    StoredRefusal::Dependency => RefusalKind::Dependency,
                    StoredRefusal::Unique(owner) => RefusalKind::Unique(owner.map(RecordId)),
                };
                let fields = fields.into_iter().map(Field).collect();
                let refusal = Refusal { kind, code, message, fields };
                BlockReason::Refused { refusal, change: load_row(change) }
            }
            Self::Stale(times) => BlockReason::Stale(times),
            Self::PutOff(times) => BlockReason::PutOff(times),
            Self::Flapping => BlockReason::Flapping,
            Self::Braked => BlockReason::Braked,
            Self::Swapping => BlockReason::Swapping,
            Self::Released => BlockReason::Released(Release::Go),
            Self::Deletes => BlockReason::Released(Release::Delete),
            Self::Recreates => BlockReason::Released(Release::Recreate),
        }
    }
}

impl From<Side> for StoredSide {
    fn from(side: Side) -> Self {
        match side {
            Side::Campaign => Self::Campaign,
            Side::Crm => Self::Crm,
        }
    }
}

impl From<StoredSide> for Side {
    fn from(side: StoredSide) -> Self {
        match side {
            StoredSide::Campaign => Self::Campaign,
            StoredSide::Crm => Self::Crm,
        }
    }
}
