//! What one record of a bulk write asks for, and what becomes of it.
//!
//! Collections, trees and bulk jobs all carry many records: each has its own wish and its own
//! outcome, and a bad one never spoils its neighbours.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::data::{Actor, Changes};
use super::id::Id;
use super::model::ID;
use super::org::Org;
use super::refusal::Refusal;
use super::table::key_of;
use super::value::Value;

/// What one record asks for.
pub(super) enum Wish {
    Create(Changes),
    Update(Id, Changes),
    /// The field of the key, its value, and the other fields.
    Upsert(usize, Value, Changes),
    Delete(Id),
    /// Past the recycle bin.
    HardDelete(Id),
}

/// What became of one record.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) id: Option<Id>,
    /// Whether an upsert creates; it is told of a refused one too.
    pub(super) created: Option<bool>,
    pub(super) refusal: Option<Refusal>,
}

/// Carries one wish out; `seen` are the ids and keys of the records before it.
pub(super) fn carry_out(
    org: &mut Org,
    (object, wish): (usize, Result<Wish, Refusal>),
    actor: Actor,
    seen: &mut BTreeSet<String>,
) -> Outcome {
    let mut outcome = Outcome::default();
    let done = wish.and_then(|wish| match wish {
        Wish::Create(changes) => {
            meet_fault(org, object, None, &changes)?;
            org.data.create(object, changes, actor)
        }
        Wish::Update(id, changes) => {
            once(seen, id.as_str())?;
            meet_fault(org, object, Some(id), &changes)?;
            org.data.update(object, id, changes, actor).map(|()| id)
        }
        Wish::Delete(id) => delete(org, (object, id), actor, seen),
        Wish::HardDelete(id) => {
            delete(org, (object, id), actor, seen)?;
            org.data.purge(object, id, actor).map(|()| id)
        }
        Wish::Upsert(ID, key, changes) => {
            outcome.created = Some(false);
            let text = key.as_text().unwrap_or_default();
            let id = Id::parse(text);
            let id =
                id.ok_or_else(|| Refusal::new("MALFORMED_ID", format!("malformed id {text}")))?;
            once(seen, id.as_str())?;
            meet_fault(org, object, Some(id), &changes)?;
            org.data.update(object, id, changes, actor).map(|()| id)
        }
        Wish::Upsert(field, key, changes) => {
            let form = key_of(org.data.model.object(object), field, &key).unwrap_or_default();
            let found = org.data.table(object).live_with_key(field, &form);
            outcome.created = Some(found.is_empty());
            once(seen, &form)?;
            upsert(org, (object, field, &found), (key, changes), actor)
        }
    });
    match done {
        Ok(id) => outcome.id = Some(id),
        Err(refusal) => outcome.refusal = Some(refusal),
    }
    outcome
}

fn delete(
    org: &mut Org,
    (object, id): (usize, Id),
    actor: Actor,
    seen: &mut BTreeSet<String>,
) -> Result<Id, Refusal> {
    once(seen, id.as_str())?;
    meet_fault(org, object, Some(id), &[])?;
    org.data.delete(object, id, actor).map(|()| id)
}

fn upsert(
    org: &mut Org,
    (object, field, found): (usize, usize, &[Id]),
    (key, mut changes): (Value, Changes),
    actor: Actor,
) -> Result<Id, Refusal> {
    changes.push((field, key));
    match found {
        [] => {
            meet_fault(org, object, None, &changes)?;
            org.data.create(object, changes, actor)
        }
        [id] => {
            meet_fault(org, object, Some(*id), &changes)?;
            org.data.update(object, *id, changes, actor).map(|()| *id)
        }
        [_, _, ..] => {
            let name = &org.data.model.object(object).field(field).name;
            let message = format!("{name}: more than one record found for external id field");
            Err(Refusal::of("DUPLICATE_EXTERNAL_ID", message, &[name]))
        }
    }
}

fn once(seen: &mut BTreeSet<String>, key: &str) -> Result<(), Refusal> {
    if seen.insert(key.to_owned()) {
        return Ok(());
    }
    let message = format!("Duplicate id/external id specified: {key}");
    Err(Refusal::of("DUPLICATE_VALUE", message, &[]))
}

/// Refuses what was ordered to be refused.
pub(super) fn meet_fault(
    org: &mut Org,
    object: usize,
    id: Option<Id>,
    changes: &[(usize, Value)],
) -> Result<(), Refusal> {
    if org.faults.records.is_empty() {
        return Ok(());
    }
    let spec = org.data.model.object(object);
    let row = id.and_then(|id| org.data.table(object).latest(id));
    let held = row.map(Arc::clone).unwrap_or_default();
    let mut keys: Vec<String> = id.iter().map(Id::to_string).collect();
    for (at, _) in spec.all_fields().filter(|(_, field)| field.id_lookup || field.external_id) {
        let written = changes.iter().find(|(field, _)| *field == at).map(|(_, value)| value);
        let value = written.unwrap_or_else(|| held.value(at));
        keys.extend(value.as_text().map(str::to_owned));
    }
    org.faults.of_record(&keys).map_or(Ok(()), Err)
}
