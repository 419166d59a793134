//! All records, and the operations that change them.
//!
//! Every change goes through `write`, which stamps it, runs the triggers, keeps it in the history
//! and holds it back from readers if a test asked for that.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::clock::{Millis, second};
use super::history::{Change, Deed, History};
use super::id::Id;
use super::model::{
    CREATED_BY_ID, CREATED_DATE, ID, IS_DELETED, LAST_MODIFIED_BY_ID, LAST_MODIFIED_DATE,
    MASTER_RECORD_ID, Model, OWNER_ID, Right, SYSTEM_MODSTAMP, Uniqueness,
};
use super::refusal::{NO_SUCH_RECORD, Refusal};
use super::table::{Row, Slot, Table, key_of};
use super::trigger::Trigger;
use super::value::Value;

/// How deep a delete cascades; the built-in model needs one.
const CASCADE_DEPTH_MAX: usize = 4;

/// Through which door a change comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// The REST API.
    Api,
    /// The control address, as a person at the screen.
    User,
}

/// Who changes something, when, and in which request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Actor {
    pub(super) via: Via,
    pub(super) user: Id,
    pub(super) now: Millis,
    pub(super) request: Option<u64>,
}

/// Commits that readers do not see for a while.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) millis: Millis,
    pub(super) object: Option<usize>,
    pub(super) via: Option<Via>,
}

/// Fields to be written, by their places.
pub(super) type Changes = Vec<(usize, Value)>;

/// All records with what applies to every write.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) model: Model,
    pub(super) history: History,
    pub(super) hold: Option<Hold>,
    pub(super) triggers: Vec<Trigger>,
    tables: BTreeMap<usize, Table>,
    /// What records were before the transactions that are open.
    undo: Vec<(usize, Id, Slot)>,
    /// Transactions that are open, one within the other.
    open: usize,
}

/// Where a transaction began.
pub(super) struct Mark {
    history: usize,
    undo: usize,
}

impl Data {
    pub(super) fn new(model: Model) -> Data {
        let tables = (0..model.objects().len()).map(|object| (object, Table::default())).collect();
        Data {
            model,
            history: History::default(),
            hold: None,
            triggers: vec![],
            tables,
            undo: Vec::new(),
            open: 0,
        }
    }

    pub(super) fn table(&self, object: usize) -> &Table {
        &self.tables[&object]
    }

    pub(super) fn table_mut(&mut self, object: usize) -> &mut Table {
        self.tables.entry(object).or_default()
    }

    /// Builds the indexes again after the model changed.
    pub(super) fn reindex(&mut self, object: usize) {
        let table = self.tables.entry(object).or_default();
        table.reindex(self.model.object(object));
    }

    /// Shows the commits that are due.
    pub(super) fn publish(&mut self, now: Millis) {
        for table in self.tables.values_mut() {
            table.publish(now);
        }
    }

    /// When the oldest transaction began that readers do not see yet.
    pub(super) fn oldest_unseen(&self) -> Option<i64> {
        self.tables.values().filter_map(Table::oldest_unseen).min()
    }

    /// Begins to keep what is needed to take everything back; may be within another `begin`.
    pub(super) fn begin(&mut self) -> Mark {
        self.open += 1;
        Mark { history: self.history.len(), undo: self.undo.len() }
    }

    /// Ends what the last `begin` began.
    pub(super) fn commit(&mut self) {
        self.open = self.open.saturating_sub(1);
        if self.open == 0 {
            self.undo.clear();
        }
    }

    /// Takes everything since `begin` back; `commit` still ends it.
    pub(super) fn roll_back(&mut self, mark: &Mark) {
        for (object, id, slot) in self.undo.split_off(mark.undo).into_iter().rev() {
            let table = self.tables.entry(object).or_default();
            table.put_slot(self.model.object(object), id, slot);
        }
        self.history.truncate(mark.history);
    }

    /// Creates a record.
    pub(super) fn create(
        &mut self,
        object: usize,
        changes: Changes,
        actor: Actor,
    ) -> Result<Id, Refusal> {
        self.allow(object, Right::Create, actor)?;
        let mut row = Row::default();
        for (field, spec) in self.model.object(object).all_fields() {
            if let Some(default) = super::convert::default_of(spec, actor.user) {
                row.set(field, default);
            }
        }
        let stamp = Value::DateTime(second(actor.now));
        row.set(CREATED_DATE, stamp);
        row.set(CREATED_BY_ID, Value::Id(actor.user));
        for (field, value) in changes {
            row.set(field, value);
        }
        self.require(object, &row)?;
        self.unique(object, &row, None)?;
        let serial = self.table_mut(object).next_serial();
        let id = Id::compose(&self.model.object(object).prefix, serial);
        row.set(ID, Value::Id(id));
        self.write(object, row, Deed::Create, actor);
        Ok(id)
    }

    /// Changes fields of a record.
    pub(super) fn update(
        &mut self,
        object: usize,
        id: Id,
        changes: Changes,
        actor: Actor,
    ) -> Result<(), Refusal> {
        self.allow(object, Right::Edit, actor)?;
        self.reach(object, id, actor)?;
        let mut row = (*self.live(object, id)?).clone();
        if self.is_converted(object, &row) {
            let message = "cannot reference converted lead";
            return Err(Refusal::of("CANNOT_UPDATE_CONVERTED_LEAD", message, &[]));
        }
        for (field, value) in changes {
            row.set(field, value);
        }
        self.require(object, &row)?;
        self.unique(object, &row, Some(id))?;
        self.write(object, row, Deed::Update, actor);
        Ok(())
    }

    /// Moves a record, and what hangs on it, to the recycle bin.
    pub(super) fn delete(&mut self, object: usize, id: Id, actor: Actor) -> Result<(), Refusal> {
        self.allow(object, Right::Delete, actor)?;
        self.reach(object, id, actor)?;
        self.live(object, id)?;
        self.delete_down(object, id, actor, 0);
        Ok(())
    }

    fn delete_down(&mut self, object: usize, id: Id, actor: Actor, depth: usize) {
        if CASCADE_DEPTH_MAX <= depth {
            return;
        }
        let Some(row) = self.table(object).latest(id).filter(|row| !row.is_deleted()) else {
            return;
        };
        let mut row = (**row).clone();
        row.set(IS_DELETED, Value::Bool(true));
        self.write(object, row, Deed::Delete, actor);
        for (child, field) in self.model.references_to(&self.model.object(object).name.clone()) {
            let reference = self.model.object(child).field(field).reference.as_ref();
            if reference.is_some_and(|reference| reference.cascade) {
                for id in self.table(child).live_with_key(field, id.as_str()) {
                    self.delete_down(child, id, actor, depth + 1);
                }
            }
        }
    }

    /// Takes a record out of the recycle bin.
    pub(super) fn undelete(&mut self, object: usize, id: Id, actor: Actor) -> Result<(), Refusal> {
        let row = self.table(object).latest(id).filter(|row| row.is_deleted());
        let Some(row) = row else {
            return Err(Refusal::new("UNDELETE_FAILED", "entity is not in the recycle bin"));
        };
        let mut row = (**row).clone();
        self.unique(object, &row, Some(id))?;
        row.set(IS_DELETED, Value::Bool(false));
        row.set(MASTER_RECORD_ID, Value::Null);
        self.write(object, row, Deed::Undelete, actor);
        Ok(())
    }

    /// Removes a record as if it had never been: the recycle bin was emptied.
    pub(super) fn purge(&mut self, object: usize, id: Id, actor: Actor) -> Result<(), Refusal> {
        let Some(row) = self.table(object).latest(id).cloned() else {
            return Err(missing());
        };
        self.keep_undo(object, id);
        let table = self.tables.entry(object).or_default();
        table.put_slot(self.model.object(object), id, Slot::default());
        self.history.push(Change::new(object, Deed::Purge, Some(Arc::clone(&row)), row, actor));
        Ok(())
    }

    /// Merges records into one: the losers are deleted and name the winner, their children move.
    pub(super) fn merge(
        &mut self,
        object: usize,
        (winner, losers): (Id, &[Id]),
        changes: Changes,
        actor: Actor,
    ) -> Result<(), Refusal> {
        if !self.model.object(object).mergeable {
            return Err(Refusal::new("INVALID_OPERATION", "this object cannot be merged"));
        }
        self.live(object, winner)?;
        for loser in losers {
            let mut row = (*self.live(object, *loser)?).clone();
            if *loser == winner {
                return Err(Refusal::new("INVALID_ID_FIELD", "a record cannot lose to itself"));
            }
            row.set(IS_DELETED, Value::Bool(true));
            row.set(MASTER_RECORD_ID, Value::Id(winner));
            self.write(object, row, Deed::Merge, actor);
            self.move_children(object, (*loser, winner), actor);
        }
        self.update(object, winner, changes, actor)
    }

    fn move_children(&mut self, object: usize, (from, to): (Id, Id), actor: Actor) {
        for (child, field) in self.model.references_to(&self.model.object(object).name.clone()) {
            if field == MASTER_RECORD_ID {
                continue;
            }
            for id in self.table(child).live_with_key(field, from.as_str()) {
                if let Some(row) = self.table(child).latest(id) {
                    let mut row = (**row).clone();
                    row.set(field, Value::Id(to));
                    self.write(child, row, Deed::Update, actor);
                }
            }
        }
    }

    /// The latest version of a record that can be written.
    pub(super) fn live(&self, object: usize, id: Id) -> Result<Arc<Row>, Refusal> {
        match self.table(object).latest(id) {
            None => Err(missing()),
            Some(row) if row.is_deleted() => Err(deleted()),
            Some(row) => Ok(Arc::clone(row)),
        }
    }

    /// Writes a row as it is, stamps and all: for records that a test brings along.
    pub(super) fn seed(
        &mut self,
        object: usize,
        mut row: Row,
        actor: Actor,
    ) -> Result<Id, Refusal> {
        self.require(object, &row)?;
        self.unique(object, &row, None)?;
        let serial = self.table_mut(object).next_serial();
        let id = Id::compose(&self.model.object(object).prefix, serial);
        row.set(ID, Value::Id(id));
        super::convert::compose_names(self.model.object(object), &mut row);
        let row = Arc::new(row);
        let table = self.tables.entry(object).or_default();
        table.put(self.model.object(object), Arc::clone(&row), None);
        self.history.push(Change::new(object, Deed::Seed, None, row, actor));
        Ok(id)
    }

    /// Changes fields without a write: what formulas do, and what no stamp tells.
    pub(super) fn recompute(
        &mut self,
        object: usize,
        id: Id,
        changes: Changes,
        actor: Actor,
    ) -> Result<(), Refusal> {
        let before = self.live(object, id)?;
        let mut row = (*before).clone();
        for (field, value) in changes {
            row.set(field, value);
        }
        self.keep_undo(object, id);
        let row = Arc::new(row);
        let table = self.tables.entry(object).or_default();
        table.put(self.model.object(object), Arc::clone(&row), None);
        self.history.push(Change::new(object, Deed::Recompute, Some(before), row, actor));
        Ok(())
    }

    fn write(&mut self, object: usize, mut row: Row, deed: Deed, actor: Actor) {
        let Some(id) = row.id() else { return };
        if actor.via == Via::Api && matches!(deed, Deed::Create | Deed::Update) {
            for trigger in self.triggers.iter_mut().filter(|trigger| trigger.object == object) {
                trigger.fire(self.model.object(object), &mut row);
            }
        }
        let stamp = Value::DateTime(second(actor.now));
        row.set(SYSTEM_MODSTAMP, stamp.clone());
        row.set(LAST_MODIFIED_DATE, stamp);
        row.set(LAST_MODIFIED_BY_ID, Value::Id(actor.user));
        if row.value(OWNER_ID).is_null() {
            row.set(OWNER_ID, Value::Id(actor.user));
        }
        super::convert::compose_names(self.model.object(object), &mut row);
        self.keep_undo(object, id);
        let shown_at = self
            .hold
            .as_ref()
            .filter(|hold| hold.object.is_none_or(|held| held == object))
            .filter(|hold| hold.via.is_none_or(|via| via == actor.via))
            .map(|hold| actor.now + hold.millis);
        let row = Arc::new(row);
        let before = self.table(object).latest(id).cloned();
        let table = self.tables.entry(object).or_default();
        table.put(self.model.object(object), Arc::clone(&row), shown_at);
        let mut change = Change::new(object, deed, before, row, actor);
        change.shown_at = shown_at;
        self.history.push(change);
    }

    /// Refuses what the integration user may not do with an object.
    fn allow(&self, object: usize, right: Right, actor: Actor) -> Result<(), Refusal> {
        let object = self.model.object(object);
        if actor.via == Via::User || object.allows(right) {
            return Ok(());
        }
        let verb = match right {
            Right::Read => "queried",
            Right::Create => "inserted",
            Right::Edit => "updated",
            Right::Delete => "deleted",
        };
        let message = format!("entity type cannot be {verb}: {}", object.label);
        Err(Refusal::of("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message, &[]))
    }

    /// Refuses a record that is not shared with the integration user.
    fn reach(&self, object: usize, id: Id, actor: Actor) -> Result<(), Refusal> {
        if actor.via == Via::User || self.table(object).is_shared(id) {
            return Ok(());
        }
        let message = "insufficient access rights on cross-reference id";
        Err(Refusal::of("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", message, &[]))
    }

    fn is_converted(&self, object: usize, row: &Row) -> bool {
        let flag = self.model.object(object).find_any("IsConverted");
        flag.is_some_and(|at| row.value(at).is_true())
    }

    fn keep_undo(&mut self, object: usize, id: Id) {
        if 0 < self.open {
            let slot = self.table(object).slot(id);
            self.undo.push((object, id, slot));
        }
    }

    fn require(&self, object: usize, row: &Row) -> Result<(), Refusal> {
        let missing: Vec<&str> = self
            .model
            .object(object)
            .fields()
            .filter(|(at, field)| {
                field.required
                    && field.writable != super::model::Writable::Never
                    && row.value(*at).is_null()
            })
            .map(|(_, field)| field.name.as_str())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let message = format!("Required fields are missing: [{}]", missing.join(", "));
        Err(Refusal::of("REQUIRED_FIELD_MISSING", message, &missing))
    }

    fn unique(&self, object: usize, row: &Row, me: Option<Id>) -> Result<(), Refusal> {
        let spec = self.model.object(object);
        for (at, field) in spec.all_fields().filter(|(_, f)| f.unique != Uniqueness::None) {
            let Some(key) = key_of(spec, at, row.value(at)) else { continue };
            let owners = self.table(object).live_with_key(at, &key);
            if let Some(owner) = owners.into_iter().find(|id| Some(*id) != me) {
                let message = format!(
                    "duplicate value found: {} duplicates value on record with id: {}",
                    field.name,
                    owner.short()
                );
                return Err(Refusal::of("DUPLICATE_VALUE", message, &[]));
            }
        }
        Ok(())
    }
}

/// A record that never existed or was purged, as collections call it.
pub(super) fn missing() -> Refusal {
    Refusal::new(NO_SUCH_RECORD, "invalid cross reference id")
}

/// A record in the recycle bin.
pub(super) fn deleted() -> Refusal {
    Refusal::of("ENTITY_IS_DELETED", "entity is deleted", &[])
}
