//! One side of a link.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::body::NotBody;
use super::times::{Place, Times};
use super::value::StoredValue;
use crate::reconcile::{
    Bond, Entity, Field, Gone, Position, RecordId, Row, Seen, SeenField, Stamp,
};

/// Epoch, major, minor.
pub(super) type StoredPosition = (u32, u64, u32);

/// A side's own text, by column.
pub(super) type StoredRaw = Vec<Option<Arc<str>>>;

/// The places of an interval's ends.
pub(super) type Since = (Place, Place);

/// A side as it is written. Its record is a column.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredSeen {
    #[serde(default, skip_serializing_if = "StoredBond::is_never")]
    bond: StoredBond,
    #[serde(default, skip_serializing_if = "is_zero")]
    at: StoredPosition,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    xid: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    snapshot: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    deaf_until: StoredPosition,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked: Option<Place>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    modified: Option<Place>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stamp: Option<String>,
    /// Fields that hold the base's value and nothing to tell of, by when they came to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    same: Vec<(Option<Since>, Vec<u16>)>,
    /// All other fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<u16, StoredField>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredBond {
    #[default]
    Never,
    Here,
    Deleted,
    Converted(Option<(u16, Arc<str>)>),
    Merged(Arc<str>),
    Truncated,
    Missing,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredField {
    value: StoredValue,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw: Option<StoredRaw>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unfit: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed: Option<Since>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    touched: bool,
}

pub(super) fn store_seen(seen: &Seen, base: &Row, times: &mut Times) -> StoredSeen {
    let mut stored = StoredSeen {
        bond: StoredBond::of(&seen.bond),
        at: store_position(seen.at),
        xid: (seen.xid != 0).then_some(seen.xid),
        snapshot: seen.snapshot.as_ref().map(ToString::to_string),
        deaf_until: store_position(seen.deaf_until),
        asked: seen.asked.map(|time| times.place(time)),
        modified: seen.modified.map(|time| times.place(time)),
        stamp: seen.stamp.as_ref().map(ToString::to_string),
        ..StoredSeen::default()
    };
    for (field, held) in &seen.fields {
        let changed = held.changed.map(|interval| times.interval(interval));
        let plain = held.raw.is_none() && held.unfit.is_none() && !held.touched;
        let plain = plain && held.by.is_none();
        if plain && base.get(field) == Some(&held.value) {
            match stored.same.iter_mut().find(|(since, _)| *since == changed) {
                Some((_, fields)) => fields.push(field.0),
                None => stored.same.push((changed, vec![field.0])),
            }
        } else {
            let value = StoredValue(held.value.clone());
            let (raw, unfit, touched) = (held.raw.clone(), held.unfit.clone(), held.touched);
            let by = held.by.clone();
            let told = StoredField { value, raw, unfit, changed, by, touched };
            stored.fields.insert(field.0, told);
        }
    }
    stored
}

pub(super) fn load_seen(
    stored: StoredSeen,
    record: Option<RecordId>,
    base: &Row,
    times: &Times,
) -> Result<Seen, NotBody> {
    let mut fields = BTreeMap::new();
    for (since, same) in &stored.same {
        let changed = since.map(|places| times.between(places)).transpose()?;
        for field in same.iter().map(|number| Field(*number)) {
            let value = base.get(&field).ok_or_else(|| {
                NotBody(format!("field {} is as in the base, which lacks it", field.0))
            })?;
            let (value, raw, unfit, by, touched) = (value.clone(), None, None, None, false);
            fields.insert(field, SeenField { value, raw, unfit, changed, by, touched });
        }
    }
    for (field, told) in stored.fields {
        let changed = told.changed.map(|places| times.between(places)).transpose()?;
        let StoredField { value, raw, unfit, by, touched, .. } = told;
        let held = SeenField { value: value.0, raw, unfit, changed, by, touched };
        fields.insert(Field(field), held);
    }
    Ok(Seen {
        record,
        bond: stored.bond.load(),
        at: load_position(stored.at),
        xid: stored.xid.unwrap_or(0),
        snapshot: match stored.snapshot {
            Some(text) => Some(Arc::new(
                text.parse().map_err(|_| NotBody(format!("`{text}` is no snapshot")))?,
            )),
            None => None,
        },
        deaf_until: load_position(stored.deaf_until),
        asked: stored.asked.map(|place| times.at(place)).transpose()?,
        modified: stored.modified.map(|place| times.at(place)).transpose()?,
        stamp: stored.stamp.as_deref().map(load_stamp).transpose()?,
        fields,
    })
}

impl StoredSeen {
    /// Whether there is anything to write down.
    pub(super) fn is_untold(&self) -> bool {
        let never = self.bond.is_never() && is_zero(&self.at) && is_zero(&self.deaf_until);
        let no_times = self.asked.is_none() && self.modified.is_none();
        let no_marks = self.xid.is_none() && self.snapshot.is_none() && self.stamp.is_none();
        never && no_times && no_marks && self.same.is_empty() && self.fields.is_empty()
    }
}

impl StoredBond {
    fn of(bond: &Bond) -> Self {
        match bond {
            Bond::Never => Self::Never,
            Bond::Here => Self::Here,
            Bond::Gone(Gone::Deleted) => Self::Deleted,
            Bond::Gone(Gone::Merged(into)) => Self::Merged(Arc::clone(&into.0)),
            Bond::Gone(Gone::Converted(into)) => Self::Converted(
                into.as_ref().map(|(entity, record)| (entity.0, Arc::clone(&record.0))),
            ),
            Bond::Gone(Gone::Truncated) => Self::Truncated,
            Bond::Gone(Gone::Missing) => Self::Missing,
        }
    }

    fn load(self) -> Bond {
        match self {
            Self::Never => Bond::Never,
            Self::Here => Bond::Here,
            Self::Deleted => Bond::Gone(Gone::Deleted),
            Self::Merged(into) => Bond::Gone(Gone::Merged(RecordId(into))),
            Self::Converted(into) => Bond::Gone(Gone::Converted(
                into.map(|(entity, record)| (Entity(entity), RecordId(record))),
            )),
            Self::Truncated => Bond::Gone(Gone::Truncated),
            Self::Missing => Bond::Gone(Gone::Missing),
        }
    }

    fn is_never(&self) -> bool {
        matches!(self, Self::Never)
    }
}

pub(super) fn store_position(position: Position) -> StoredPosition {
    (position.epoch, position.major, position.minor)
}

pub(super) fn load_position((epoch, major, minor): StoredPosition) -> Position {
    Position { epoch, major, minor }
}

pub(super) fn load_stamp(text: &str) -> Result<Stamp, NotBody> {
    text.parse().map_err(|_| NotBody(format!("`{text}` is no stamp")))
}

pub(super) fn is_zero(position: &StoredPosition) -> bool {
    *position == (0, 0, 0)
}
