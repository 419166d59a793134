//! Actions for many records of one table: all or none of them.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::super::address::{Named, follow_key};
use super::super::convert::{self, Purpose};
use super::super::data::Actor;
use super::super::exchange::{Answer, Answered};
use super::super::guid::Guid;
use super::super::model::ID;
use super::super::org::Org;
use super::super::refusal::Refusal;
use super::super::write;
use super::{Call, check_privilege, rows};

/// What is done to each target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Create,
    Update,
    Upsert,
}

/// `POST set/Microsoft.Dynamics.CRM.…`
pub(super) fn action(org: &mut Org, call: &Call<'_>, (table, name): (usize, &str)) -> Answered {
    let deed = match name {
        "CreateMultiple" => Deed::Create,
        "UpdateMultiple" => Deed::Update,
        "UpsertMultiple" => Deed::Upsert,
        "DeleteMultiple" => {
            let message = "DeleteMultiple has not yet been implemented.";
            return Err(Refusal::new(501, "0x80040800", message));
        }
        other => return Err(Refusal::segment(&format!("Microsoft.Dynamics.CRM.{other}"))),
    };
    let body = call.request.object()?;
    let targets = body.get("Targets").and_then(Json::as_array);
    let targets = targets.ok_or_else(|| Refusal::argument("'Targets' is not a list"))?;
    let actor = org.api_actor(call.request);
    let mark = org.data.mark();
    let mut ids = Vec::with_capacity(targets.len());
    let mut addressed = BTreeSet::new();
    for target in targets {
        // What becomes of two targets of one key is not documented: they are refused.
        let address = target.get("@odata.id").and_then(Json::as_str);
        if address.is_some_and(|address| !addressed.insert(address.to_lowercase())) {
            org.data.roll_back(mark);
            return Err(Refusal::argument("Two targets are the same record."));
        }
        let done = match target.as_object() {
            Some(target) => one(org, (table, deed), target, actor),
            None => Err(Refusal::payload("a target is not an object")),
        };
        ids.push(done.inspect_err(|_| org.data.roll_back(mark))?);
    }
    rows::settle(org, call);
    if deed != Deed::Create {
        return Ok(Answer::empty(204));
    }
    let context = call.context("Microsoft.Dynamics.CRM.CreateMultipleResponse");
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    Ok(Answer::new(200, json!({ "@odata.context": context, "Ids": ids })))
}

fn one(
    org: &mut Org,
    (table, deed): (usize, Deed),
    target: &Map<String, Json>,
    actor: Actor,
) -> Result<Guid, Refusal> {
    let spec = org.data.model.table(table);
    let kind = target.get("@odata.type").and_then(Json::as_str).unwrap_or_default();
    let kind = kind.trim_start_matches('#').trim_start_matches("Microsoft.Dynamics.CRM.");
    if kind != spec.name {
        let message = format!("a target has the type '{kind}' and not '{}'", spec.name);
        return Err(Refusal::payload(message));
    }
    let named = named(org, table, target)?;
    let found = named.as_ref().and_then(|named| named.find(&org.data, table));
    match (deed, &named, found) {
        (Deed::Create, ..) => create(org, (table, None), target, actor),
        (Deed::Update, Some(named), None) => named.found(&org.data, table),
        (Deed::Update | Deed::Upsert, Some(named), Some(id)) => {
            check_privilege(org, table, "Write")?;
            let mut changes = convert::changes(&org.data, table, target, Purpose::Update)?;
            if let Named::Key(_, values) = named {
                changes.retain(|column, _| values.iter().all(|(of_key, _)| of_key != column));
            }
            rows::meet_fault(org, Some(id), &changes)?;
            write::update(&mut org.data, (table, id), changes, actor)?;
            Ok(id)
        }
        (Deed::Upsert, named, None) => create(org, (table, named.as_ref()), target, actor),
        (Deed::Update, None, _) | (Deed::Upsert, None, Some(_)) => {
            Err(Refusal::argument(format!("a target of '{}' names no record", spec.name)))
        }
    }
}

fn create(
    org: &mut Org,
    (table, named): (usize, Option<&Named>),
    target: &Map<String, Json>,
    actor: Actor,
) -> Result<Guid, Refusal> {
    check_privilege(org, table, "Create")?;
    let mut changes = convert::changes(&org.data, table, target, Purpose::Create)?;
    if let Some(named) = named {
        rows::with_key(org, (table, named), &mut changes);
    }
    rows::check_required(org, table, &changes)?;
    let id = changes.get(&ID).and_then(super::super::value::Value::as_id);
    rows::meet_fault(org, id, &changes)?;
    write::create(&mut org.data, &mut org.draw, (table, changes), actor)
}

/// Which record a target is: by its address, or by its id among the columns.
fn named(org: &Org, table: usize, target: &Map<String, Json>) -> Result<Option<Named>, Refusal> {
    if let Some(address) = target.get("@odata.id").and_then(Json::as_str) {
        return follow_key(&org.data, table, address).map(Some);
    }
    let id = convert::chosen_id(org.data.model.table(table), target);
    Ok(id.map(Named::Id))
}
