//! Parts of one record: a column, a related record, and the links between records.

use serde_json::{Value as Json, json};

use super::super::address::{Named, follow};
use super::super::convert::{self, Purpose};
use super::super::exchange::{Answer, Answered};
use super::super::guid::Guid;
use super::super::model::Kind;
use super::super::org::Org;
use super::super::refusal::Refusal;
use super::super::value::Value;
use super::super::write::{self, Changes};
use super::{Call, check_privilege, not_allowed, query, rows};

/// Answers a request below one record.
pub(super) fn answer(
    org: &mut Org,
    call: &Call<'_>,
    (table, named, path): (usize, &Named, &[&str]),
) -> Answered {
    let spec = org.data.model.table(table);
    let verb = if call.method() == "GET" { "Read" } else { "Write" };
    check_privilege(org, table, verb)?;
    let id = named.found(&org.data, table)?;
    let Some((first, rest)) = path.split_first() else { return Err(not_allowed(call)) };
    if let Some(column) = spec.property(first) {
        return property(org, call, (table, id, column), rest);
    }
    if let Some((column, target)) = spec.navigation(first) {
        let target = org.data.model.by_name(target).unwrap_or(table);
        return single(org, call, (table, id, column, target), rest);
    }
    let (name, inside) = super::super::address::segment(first);
    let Some(children) = org.data.model.children(table, name) else {
        return Err(Refusal::segment(first));
    };
    match (rest, call.method(), inside) {
        ([], "GET", None) => query::children(org, call, (id, children)),
        (["$ref"], "POST", None) => {
            let child = referred(org, call)?;
            link(org, call, (child, children.column), Value::Reference(table, id))
        }
        (["$ref"], "DELETE", Some(key)) => {
            let named = super::super::address::key(&org.data, children.table, key)?;
            let child = (children.table, named.found(&org.data, children.table)?);
            link(org, call, (child, children.column), Value::Null)
        }
        _ => Err(not_allowed(call)),
    }
}

/// One column: read, set, cleared.
fn property(
    org: &mut Org,
    call: &Call<'_>,
    (table, id, column): (usize, Guid, usize),
    rest: &[&str],
) -> Answered {
    let spec = org.data.model.table(table);
    let name = spec.column(column).property();
    match (rest, call.method()) {
        ([] | ["$value"], "GET") => {
            let of = spec.column(column);
            let row = org.data.row(table, id).ok_or_else(|| Refusal::missing(&spec.name, id))?;
            let value = if of.is_hidden() { &Value::Null } else { row.value(column) };
            let json = value.json(&of.kind);
            if json.is_null() {
                return Ok(Answer::empty(204));
            }
            if rest.is_empty() {
                let context = call.context(&format!("{}({id})/{name}", spec.set));
                return Ok(Answer::new(200, json!({ "@odata.context": context, "value": json })));
            }
            let text = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
            Ok(Answer::text("text/plain", text))
        }
        ([], "PUT") => {
            let body = call.request.object()?;
            let value = body.get("value").cloned().unwrap_or(Json::Null);
            set(org, call, (table, id), &super::json_object(json!({ name: value })))
        }
        ([], "DELETE") => set(org, call, (table, id), &super::json_object(json!({ name: null }))),
        _ => Err(not_allowed(call)),
    }
}

fn set(
    org: &mut Org,
    call: &Call<'_>,
    (table, id): (usize, Guid),
    body: &serde_json::Map<String, Json>,
) -> Answered {
    let changes = convert::changes(&org.data, table, body, Purpose::Update)?;
    apply(org, call, (table, id), changes)
}

fn apply(org: &mut Org, call: &Call<'_>, (table, id): (usize, Guid), changes: Changes) -> Answered {
    rows::meet_fault(org, Some(id), &changes)?;
    let actor = org.api_actor(call.request);
    let mark = org.data.mark();
    write::update(&mut org.data, (table, id), changes, actor)
        .inspect_err(|_| org.data.roll_back(mark))?;
    rows::settle(org, call);
    Ok(Answer::empty(204))
}

/// The record at the other end of a lookup, and the link to it.
fn single(
    org: &mut Org,
    call: &Call<'_>,
    (table, id, column, target): (usize, Guid, usize, usize),
    rest: &[&str],
) -> Answered {
    let row = org.data.row(table, id);
    let found = row.and_then(|row| row.value(column).as_reference());
    let there = found.filter(|(to, _)| *to == target).map(|(_, id)| id);
    match (rest, call.method()) {
        ([], "GET") => match there {
            Some(id) => rows::read(org, call, (target, &Named::Id(id))),
            None => Ok(Answer::empty(204)),
        },
        (["$ref"], "GET") => match there {
            Some(id) => {
                let address = format!("{}/{}({id})", call.root, org.data.model.table(target).set);
                let context = call.context("$ref");
                Ok(Answer::new(200, json!({ "@odata.context": context, "@odata.id": address })))
            }
            None => Ok(Answer::empty(204)),
        },
        (["$ref"], "PUT") => {
            let (to, id_of) = referred(org, call)?;
            let is_target = to == target
                && matches!(org.data.model.table(table).column(column).kind, Kind::Lookup { .. });
            if !is_target {
                return Err(Refusal::payload("the reference is not of the table of this lookup"));
            }
            link(org, call, ((table, id), column), Value::Reference(to, id_of))
        }
        (["$ref"], "DELETE") => link(org, call, ((table, id), column), Value::Null),
        _ => Err(not_allowed(call)),
    }
}

/// The record that a body refers to.
fn referred(org: &Org, call: &Call<'_>) -> Result<(usize, Guid), Refusal> {
    let body = call.request.object()?;
    let reference = body.get("@odata.id").and_then(Json::as_str);
    let reference = reference.ok_or_else(|| Refusal::payload("'@odata.id' is missing"))?;
    follow(&org.data, reference)
}

fn link(
    org: &mut Org,
    call: &Call<'_>,
    (row, column): ((usize, Guid), usize),
    value: Value,
) -> Answered {
    apply(org, call, row, Changes::from([(column, value)]))
}
