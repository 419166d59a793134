//! Every change of every record, for a checker that asks what happened to a value.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::data::{Actor, Row, Via};
use super::guid::Guid;
use super::model::{MODIFIED_ON, Model, VERSION};
use super::value::stamp;

/// What was done to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Seed,
    Create,
    Update,
    Delete,
    Merge,
    Restore,
}

impl Deed {
    fn name(self) -> &'static str {
        match self {
            Deed::Seed => "seed",
            Deed::Create => "create",
            Deed::Update => "update",
            Deed::Delete => "delete",
            Deed::Merge => "merge",
            Deed::Restore => "restore",
        }
    }
}

/// One change of one record.
#[derive(Clone, Debug)]
pub(super) struct Change {
    table: usize,
    deed: Deed,
    before: Option<Arc<Row>>,
    after: Option<Arc<Row>>,
    actor: Actor,
}

impl Change {
    pub(super) fn new(
        table: usize,
        deed: Deed,
        (before, after): (Option<Arc<Row>>, Option<Arc<Row>>),
        actor: Actor,
    ) -> Change {
        Change { table, deed, before, after, actor }
    }

    fn id(&self) -> Guid {
        self.after.as_ref().or(self.before.as_ref()).map_or(Guid::MIN, |row| row.id())
    }

    fn json(&self, number: usize, model: &Model) -> Json {
        let table = model.table(self.table);
        let mut fields = Map::new();
        for (at, column) in table.live() {
            if [VERSION, MODIFIED_ON].contains(&at) {
                continue;
            }
            let of = |row: &Option<Arc<Row>>| {
                row.as_ref().map_or(Json::Null, |row| row.value(at).json(&column.kind))
            };
            let (old, new) = (of(&self.before), of(&self.after));
            if old != new {
                fields.insert(column.property(), json!([old, new]));
            }
        }
        json!({
            "number": number,
            "table": table.name,
            "id": self.id().to_string(),
            "deed": self.deed.name(),
            "via": match self.actor.via { Via::Api => "api", Via::User => "user" },
            "user": self.actor.user.to_string(),
            "at": stamp(self.actor.now.div_euclid(1000)),
            "at_ms": self.actor.now,
            "request": self.actor.request,
            "version": self.after.as_ref().map(|row| row.version()),
            "fields": fields,
        })
    }
}

/// All changes, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    changes: Vec<Change>,
}

/// Which changes are asked for.
pub(super) struct Asked {
    pub(super) since: usize,
    pub(super) table: Option<usize>,
    pub(super) id: Option<Guid>,
    pub(super) seeds: bool,
    pub(super) limit: usize,
}

impl History {
    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    /// A record as it was when it was there last.
    pub(super) fn last_of(&self, table: usize, id: Guid) -> Option<Arc<Row>> {
        let mut changes = self.changes.iter().rev();
        let last = changes.find(|change| change.table == table && change.id() == id)?;
        last.after.clone().or_else(|| last.before.clone())
    }

    pub(super) fn push(&mut self, change: Change) {
        self.changes.push(change);
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.changes.truncate(length);
    }

    pub(super) fn list(&self, asked: &Asked, model: &Model) -> Vec<Json> {
        let is_wanted = |change: &Change| {
            asked.table.is_none_or(|table| table == change.table)
                && asked.id.is_none_or(|id| id == change.id())
                && (asked.seeds || change.deed != Deed::Seed)
        };
        let numbered = self.changes.iter().enumerate().skip(asked.since);
        let wanted = numbered.filter(|(_, change)| is_wanted(change)).take(asked.limit);
        wanted.map(|(number, change)| change.json(number, model)).collect()
    }
}
