//! The records in memory, under one counter of versions, with what is needed to take a write back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::clock::Millis;
use super::guid::Guid;
use super::history::{Change, Deed, History};
use super::model::{ID, Model, Table, VERSION};
use super::plugin::Plugin;
use super::value::Value;

/// The first version: what a database that is some years old is at.
const VERSION_FIRST: i64 = 900_000;

/// One record: a value for each column, in the table's order.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    values: Vec<Value>,
}

impl Row {
    /// The value; null for a column that came after the record was written.
    pub(super) fn value(&self, column: usize) -> &Value {
        self.values.get(column).unwrap_or(&Value::Null)
    }

    pub(super) fn set(&mut self, column: usize, value: Value) {
        if self.values.len() <= column {
            self.values.resize(column + 1, Value::Null);
        }
        self.values[column] = value;
    }

    pub(super) fn id(&self) -> Guid {
        self.value(ID).as_id().unwrap_or_default()
    }

    pub(super) fn version(&self) -> i64 {
        self.value(VERSION).as_int().unwrap_or(0)
    }

    /// The value of a column by its logical name.
    pub(super) fn named<'a>(&'a self, table: &Table, name: &str) -> &'a Value {
        table.find(name).map_or(&Value::Null, |at| self.value(at))
    }
}

/// By what way something is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    Api,
    /// A person at the screen, by a test's order.
    User,
}

/// Who changes something, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Actor {
    pub(super) via: Via,
    pub(super) user: Guid,
    pub(super) now: Millis,
    pub(super) request: Option<u64>,
}

/// Where a key is found: the table, its key, the values.
type KeyAt = (usize, String);

/// The records of one table.
#[derive(Debug, Default)]
pub(super) struct Records {
    rows: BTreeMap<Guid, Arc<Row>>,
    by_version: BTreeMap<i64, Guid>,
    by_key: BTreeMap<KeyAt, Guid>,
    /// What was deleted: by the version that the deletion has.
    gone: BTreeMap<i64, Guid>,
}

impl Records {
    pub(super) fn row(&self, id: Guid) -> Option<&Arc<Row>> {
        self.rows.get(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// All, by id.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Row>> {
        self.rows.values()
    }

    /// Those behind an id, by id.
    pub(super) fn behind(&self, id: Option<Guid>) -> impl Iterator<Item = &Arc<Row>> {
        let from = id.unwrap_or(Guid::MIN);
        self.rows.range(from..).map(|(_, row)| row).filter(move |row| Some(row.id()) != id)
    }

    /// Those written behind a version, up to another, oldest first.
    pub(super) fn written(&self, from: i64, to: i64) -> impl Iterator<Item = &Arc<Row>> {
        let range = from.saturating_add(1)..=to.max(from.saturating_add(1));
        let ids = self.by_version.range(range).filter(move |(version, _)| **version <= to);
        ids.filter_map(|(_, id)| self.rows.get(id))
    }

    /// Ids deleted behind a version, up to another, oldest first, with their versions.
    pub(super) fn deleted(&self, from: i64, to: i64) -> impl Iterator<Item = (i64, Guid)> {
        let range = from.saturating_add(1)..=to.max(from.saturating_add(1));
        self.gone.range(range).filter(move |(at, _)| **at <= to).map(|(at, id)| (*at, *id))
    }

    /// The record that has these values in an active or inactive key.
    pub(super) fn with_key(&self, key: usize, values: &str) -> Option<Guid> {
        self.by_key.get(&(key, values.to_owned())).copied()
    }

    fn put(&mut self, table: &Table, row: Arc<Row>) {
        let id = row.id();
        self.take(table, id);
        self.by_version.insert(row.version(), id);
        for key in keys_of(table, &row) {
            self.by_key.insert(key, id);
        }
        self.rows.insert(id, row);
    }

    fn take(&mut self, table: &Table, id: Guid) -> Option<Arc<Row>> {
        let row = self.rows.remove(&id)?;
        self.by_version.remove(&row.version());
        for key in keys_of(table, &row) {
            if self.by_key.get(&key) == Some(&id) {
                self.by_key.remove(&key);
            }
        }
        Some(row)
    }
}

/// The values of a row in each key of its table; a key with a null among them is none.
pub(super) fn keys_of(table: &Table, row: &Row) -> Vec<KeyAt> {
    let values = |columns: &[usize]| {
        let parts = columns.iter().map(|at| row.value(*at).key()).collect::<Option<Vec<_>>>();
        parts.map(|parts| joined(&parts))
    };
    let keys = table.keys.iter().enumerate();
    keys.filter_map(|(at, key)| Some((at, values(&key.columns)?))).collect()
}

/// The parts of a key as one text.
pub(super) fn joined(parts: &[String]) -> String {
    parts.join("\u{1f}")
}

#[derive(Debug)]
enum Undo {
    Row { table: usize, id: Guid, before: Option<Arc<Row>> },
    Gone { table: usize, version: i64 },
}

/// All records, with the model that they follow.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) model: Model,
    pub(super) history: History,
    pub(super) plugins: Vec<Plugin>,
    records: Vec<Records>,
    version: i64,
    undo: Vec<Undo>,
}

/// A point that a transaction can be taken back to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    undo: usize,
    history: usize,
}

impl Data {
    pub(super) fn new(model: Model) -> Data {
        let records = model.tables.iter().map(|_| Records::default()).collect();
        Data {
            model,
            history: History::default(),
            plugins: Vec::new(),
            records,
            version: VERSION_FIRST,
            undo: Vec::new(),
        }
    }

    pub(super) fn add_table(&mut self, table: Table) {
        self.model.tables.push(table);
        self.records.push(Records::default());
    }

    pub(super) fn records(&self, table: usize) -> &Records {
        &self.records[table]
    }

    pub(super) fn row(&self, table: usize, id: Guid) -> Option<&Arc<Row>> {
        self.records[table].row(id)
    }

    /// The version of the last write of any table.
    pub(super) fn version(&self) -> i64 {
        self.version
    }

    pub(super) fn next_version(&mut self) -> i64 {
        self.version += 1;
        self.version
    }

    /// Writes a record as it is to be, and keeps how it was.
    pub(super) fn put(&mut self, table: usize, row: Row, deed: Deed, actor: Actor) {
        let row = Arc::new(row);
        let id = row.id();
        let before = self.row(table, id).cloned();
        self.history.push(Change::new(
            table,
            deed,
            (before.clone(), Some(Arc::clone(&row))),
            actor,
        ));
        self.undo.push(Undo::Row { table, id, before });
        self.records[table].put(&self.model.tables[table], row);
    }

    /// Takes a record out, and remembers that it was deleted.
    pub(super) fn remove(&mut self, table: usize, id: Guid, actor: Actor) {
        let version = self.next_version();
        let Some(before) = self.records[table].take(&self.model.tables[table], id) else { return };
        let was = Some(Arc::clone(&before));
        self.history.push(Change::new(table, Deed::Delete, (was, None), actor));
        self.undo.push(Undo::Row { table, id, before: Some(before) });
        self.undo.push(Undo::Gone { table, version });
        self.records[table].gone.insert(version, id);
    }

    /// Where the transaction stands.
    pub(super) fn mark(&self) -> Mark {
        Mark { undo: self.undo.len(), history: self.history.len() }
    }

    /// Takes back what was written since.
    pub(super) fn roll_back(&mut self, mark: Mark) {
        while mark.undo < self.undo.len() {
            match self.undo.pop() {
                Some(Undo::Row { table, id, before }) => {
                    let spec = &self.model.tables[table];
                    match before {
                        Some(row) => self.records[table].put(spec, row),
                        None => drop(self.records[table].take(spec, id)),
                    }
                }
                Some(Undo::Gone { table, version }) => {
                    self.records[table].gone.remove(&version);
                }
                None => {}
            }
        }
        self.history.truncate(mark.history);
    }

    /// What was written stands.
    pub(super) fn commit(&mut self) {
        self.undo.clear();
    }

    /// Builds the keys of a table anew, after a change of them.
    pub(super) fn reindex(&mut self, table: usize) {
        let spec = &self.model.tables[table];
        let records = &mut self.records[table];
        records.by_key.clear();
        for row in records.rows.values() {
            for key in keys_of(spec, row) {
                records.by_key.insert(key, row.id());
            }
        }
    }
}
