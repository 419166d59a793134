//! Every change of every record, for a checker that asks what happened to a value.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::clock::Millis;
use super::data::{Actor, Via};
use super::model::Model;
use super::table::Row;

/// What was done to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Seed,
    Create,
    Update,
    Delete,
    Undelete,
    Merge,
    Purge,
    /// A change without a stamp: a formula.
    Recompute,
}

impl Deed {
    fn name(self) -> &'static str {
        match self {
            Deed::Seed => "seed",
            Deed::Create => "create",
            Deed::Update => "update",
            Deed::Delete => "delete",
            Deed::Undelete => "undelete",
            Deed::Merge => "merge",
            Deed::Purge => "purge",
            Deed::Recompute => "recompute",
        }
    }
}

/// One change of one record.
#[derive(Clone, Debug)]
pub(super) struct Change {
    object: usize,
    deed: Deed,
    before: Option<Arc<Row>>,
    after: Arc<Row>,
    actor: Actor,
    /// When readers see it, if that is later.
    pub(super) shown_at: Option<Millis>,
}

impl Change {
    pub(super) fn new(
        object: usize,
        deed: Deed,
        before: Option<Arc<Row>>,
        after: Arc<Row>,
        actor: Actor,
    ) -> Change {
        Change { object, deed, before, after, actor, shown_at: None }
    }

    fn json(&self, number: usize, model: &Model) -> Json {
        let object = model.object(self.object);
        let mut fields = Map::new();
        for (at, field) in object.all_fields() {
            let old = self.before.as_ref().map(|row| row.value(at).json(field.kind));
            let new = self.after.value(at).json(field.kind);
            if old.as_ref() != Some(&new) && !(old.is_none() && new.is_null()) {
                fields.insert(field.name.clone(), json!({ "old": old, "new": new }));
            }
        }
        json!({
            "n": number,
            "at_ms": self.actor.now,
            "shown_at_ms": self.shown_at.unwrap_or(self.actor.now),
            "via": match self.actor.via { Via::Api => "api", Via::User => "user" },
            "user": self.actor.user.as_str(),
            "request": self.actor.request,
            "deed": self.deed.name(),
            "object": object.name,
            "id": self.after.id().map(|id| id.to_string()),
            "fields": fields,
        })
    }

    fn concerns(&self, object: Option<usize>, id: Option<&str>) -> bool {
        object.is_none_or(|object| object == self.object)
            && id.is_none_or(|id| self.after.id().is_some_and(|mine| mine.as_str() == id))
    }
}

/// All changes, in the order they were made. It is kept whole: a checker needs the beginning.
#[derive(Debug, Default)]
pub(super) struct History {
    changes: Vec<Change>,
}

/// Which changes are asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked<'a> {
    pub(super) since: usize,
    pub(super) object: Option<usize>,
    pub(super) id: Option<&'a str>,
    pub(super) seeds: bool,
    pub(super) limit: usize,
}

impl History {
    pub(super) fn push(&mut self, change: Change) {
        self.changes.push(change);
    }

    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.changes.truncate(length);
    }

    pub(super) fn clear(&mut self) {
        self.changes.clear();
    }

    pub(super) fn list(&self, asked: &Asked<'_>, model: &Model) -> Vec<Json> {
        self.changes
            .iter()
            .enumerate()
            .skip(asked.since)
            .filter(|(_, change)| asked.seeds || change.deed != Deed::Seed)
            .filter(|(_, change)| change.concerns(asked.object, asked.id))
            .take(asked.limit)
            .map(|(number, change)| change.json(number, model))
            .collect()
    }
}
