//! The records of one object in memory, with the indexes that make polls cheap.
//!
//! A record can have versions that readers do not see yet: Salesforce stamps a row when it is
//! written and shows it when its transaction commits, seconds to minutes later. Writers always
//! work on the latest version. Indexes are kept over the latest versions, so a reader asks them
//! for candidates, adds the records with unseen versions, and judges each by what it may see.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::clock::Millis;
use super::id::Id;
use super::model::{ID, IS_DELETED, Object, SYSTEM_MODSTAMP};
use super::value::{Value, fold};

/// One version of a record: a value for each field of its object, in the model's order.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    values: Vec<Value>,
}

impl Row {
    /// The value; null for a field that came after the record was written.
    pub(super) fn value(&self, field: usize) -> &Value {
        self.values.get(field).unwrap_or(&Value::Null)
    }

    pub(super) fn set(&mut self, field: usize, value: Value) {
        if self.values.len() <= field {
            self.values.resize(field + 1, Value::Null);
        }
        self.values[field] = value;
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.value(IS_DELETED).is_true()
    }

    pub(super) fn id(&self) -> Option<Id> {
        self.value(ID).as_id()
    }

    /// When it was written, in seconds.
    pub(super) fn modstamp(&self) -> i64 {
        self.value(SYSTEM_MODSTAMP).as_seconds().unwrap_or(0)
    }
}

/// What is kept of one record.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    visible: Option<Arc<Row>>,
    /// Versions that are not shown yet, oldest first, with when each will be.
    unseen: Vec<(Millis, Arc<Row>)>,
}

impl Slot {
    pub(super) fn latest(&self) -> Option<&Arc<Row>> {
        self.unseen.last().map(|(_, row)| row).or(self.visible.as_ref())
    }

    pub(super) fn visible(&self) -> Option<&Arc<Row>> {
        self.visible.as_ref()
    }
}

/// The records of one object.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: BTreeMap<Id, Slot>,
    by_stamp: BTreeSet<(i64, Id)>,
    by_key: BTreeMap<usize, BTreeSet<(Box<str>, Id)>>,
    unseen: BTreeSet<Id>,
    /// Records that are not shared with the integration user.
    unshared: BTreeSet<Id>,
    serial: u64,
}

impl Table {
    /// The number of the next record.
    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// The next record gets the number behind this one.
    pub(super) fn skip_serials(&mut self, last: u64) {
        self.serial = last;
    }

    pub(super) fn latest(&self, id: Id) -> Option<&Arc<Row>> {
        self.slots.get(&id)?.latest()
    }

    /// What the integration user sees of a record.
    pub(super) fn visible(&self, id: Id) -> Option<&Arc<Row>> {
        self.slots.get(&id)?.visible().filter(|_| self.is_shared(id))
    }

    /// Whether the integration user may see a record.
    pub(super) fn is_shared(&self, id: Id) -> bool {
        !self.unshared.contains(&id)
    }

    /// Shares a record, or no longer.
    pub(super) fn share(&mut self, id: Id, shared: bool) {
        if shared {
            self.unshared.remove(&id);
        } else {
            self.unshared.insert(id);
        }
    }

    pub(super) fn slot(&self, id: Id) -> Slot {
        self.slots.get(&id).cloned().unwrap_or_default()
    }

    /// All ids, hidden and deleted ones too.
    pub(super) fn ids(&self) -> impl DoubleEndedIterator<Item = Id> {
        self.slots.keys().copied()
    }

    pub(super) fn ids_from(&self, from: Id, to: Id) -> impl Iterator<Item = Id> {
        self.slots.range(from..=to).map(|(id, _)| *id)
    }

    /// Ids by (`SystemModstamp`, `Id`) from a stamp on.
    pub(super) fn ids_by_stamp(&self, from: i64, to: i64) -> impl Iterator<Item = Id> {
        let (first, last) = (Id::compose("000", 0), Id::compose("zzz", u64::MAX));
        let range = if from <= to { (from, first)..=(to, last) } else { (0, first)..=(0, first) };
        self.by_stamp.range(range).map(|(_, id)| *id)
    }

    /// Records that have a version readers do not see.
    pub(super) fn unseen(&self) -> &BTreeSet<Id> {
        &self.unseen
    }

    /// The write time of the oldest version that is not shown yet.
    pub(super) fn oldest_unseen(&self) -> Option<i64> {
        let rows = self.unseen.iter().filter_map(|id| self.slots.get(id));
        rows.flat_map(|slot| &slot.unseen).map(|(_, row)| row.modstamp()).min()
    }

    /// Records whose latest version has this key in an indexed field.
    pub(super) fn with_key(&self, field: usize, key: &str) -> Vec<Id> {
        let Some(index) = self.by_key.get(&field) else { return Vec::new() };
        let from = (Box::from(key), Id::compose("000", 0));
        index.range(from..).take_while(|(k, _)| &**k == key).map(|(_, id)| *id).collect()
    }

    /// Live records whose latest version has this key.
    pub(super) fn live_with_key(&self, field: usize, key: &str) -> Vec<Id> {
        let mut ids = self.with_key(field, key);
        ids.retain(|id| self.latest(*id).is_some_and(|row| !row.is_deleted()));
        ids
    }

    /// Writes a version: shown at once, or at `shown_at`.
    pub(super) fn put(&mut self, object: &Object, row: Arc<Row>, shown_at: Option<Millis>) {
        let Some(id) = row.id() else { return };
        let mut slot = self.slot(id);
        match shown_at {
            Some(at) => slot.unseen.push((at, row)),
            None => slot = Slot { visible: Some(row), unseen: Vec::new() },
        }
        self.put_slot(object, id, slot);
    }

    /// Puts a record back as it was, and removes one that was not there.
    pub(super) fn put_slot(&mut self, object: &Object, id: Id, slot: Slot) {
        if let Some(old) = self.slots.get(&id).and_then(Slot::latest).cloned() {
            self.unindex(object, id, &old);
        }
        self.unseen.remove(&id);
        let Some(new) = slot.latest().cloned() else {
            self.slots.remove(&id);
            return;
        };
        self.index(object, id, &new);
        if !slot.unseen.is_empty() {
            self.unseen.insert(id);
        }
        self.slots.insert(id, slot);
    }

    /// Shows every version that is due.
    pub(super) fn publish(&mut self, now: Millis) {
        let slots = &mut self.slots;
        self.unseen.retain(|id| {
            let Some(slot) = slots.get_mut(id) else { return false };
            while slot.unseen.first().is_some_and(|(at, _)| *at <= now) {
                slot.visible = Some(slot.unseen.remove(0).1);
            }
            !slot.unseen.is_empty()
        });
    }

    /// Builds the index of a field that became indexed.
    pub(super) fn reindex(&mut self, object: &Object) {
        self.by_key.clear();
        self.by_stamp.clear();
        let rows: Vec<(Id, Arc<Row>)> = self
            .slots
            .iter()
            .filter_map(|(id, slot)| Some((*id, Arc::clone(slot.latest()?))))
            .collect();
        for (id, row) in rows {
            self.index(object, id, &row);
        }
    }

    fn index(&mut self, object: &Object, id: Id, row: &Row) {
        self.by_stamp.insert((row.modstamp(), id));
        for (field, key) in keys(object, row) {
            self.by_key.entry(field).or_default().insert((key, id));
        }
    }

    fn unindex(&mut self, object: &Object, id: Id, row: &Row) {
        self.by_stamp.remove(&(row.modstamp(), id));
        for (field, key) in keys(object, row) {
            if let Some(index) = self.by_key.get_mut(&field) {
                index.remove(&(key, id));
            }
        }
    }
}

/// The form of a value under which an index finds it.
pub(super) fn key_of(object: &Object, field: usize, value: &Value) -> Option<Box<str>> {
    if let Value::Number(number) = value {
        return Some(number.to_string().into());
    }
    let text = value.as_text()?;
    let exact = object.field(field).is_case_sensitive() || value.as_id().is_some();
    Some(if exact { text.into() } else { fold(text).into() })
}

fn keys(object: &Object, row: &Row) -> Vec<(usize, Box<str>)> {
    object
        .all_fields()
        .filter(|(_, field)| field.is_indexed())
        .filter_map(|(at, _)| Some((at, key_of(object, at, row.value(at))?)))
        .collect()
}
