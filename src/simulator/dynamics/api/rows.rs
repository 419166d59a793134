//! Single records: read, made, changed, deleted, each under the conditions that the request names.

use serde_json::{Map, Value as Json};

use super::super::address::Named;
use super::super::convert::{self, Purpose};
use super::super::exchange::{Answer, Answered};
use super::super::guid::Guid;
use super::super::model::ID;
use super::super::odata::run::World;
use super::super::org::Org;
use super::super::refusal::Refusal;
use super::super::value::Value;
use super::super::write::{self, Changes};
use super::render::{Shape, etag, record};
use super::{Call, check_privilege};

/// What a request asks of the version of a record.
enum Condition {
    None,
    /// It must be there.
    Exists,
    /// It must not be there.
    New,
    /// It must be of this version.
    Version(String),
}

/// `If-Match` and `If-None-Match` of a write.
fn condition(call: &Call<'_>) -> Condition {
    match (call.request.header("if-match"), call.request.header("if-none-match")) {
        (Some("*"), _) => Condition::Exists,
        (Some(version), _) if !version.is_empty() => Condition::Version(version.to_owned()),
        (_, Some("*")) => Condition::New,
        // Many clients send the word `null`, copied from samples.
        _ => Condition::None,
    }
}

/// Checks the version that a request expects of a record that is there.
fn check_version(org: &Org, (table, id): (usize, Guid), version: &str) -> Result<(), Refusal> {
    let spec = org.data.model.table(table);
    if !spec.concurrency {
        let message = format!("Optimistic concurrency is not enabled for entity '{}'.", spec.name);
        return Err(Refusal::new(400, "0x8006088D", message));
    }
    let row = org.data.row(table, id).ok_or_else(|| Refusal::missing(&spec.name, id))?;
    if etag(row) == version {
        return Ok(());
    }
    let message = "The version of the existing record doesn't match the RowVersion property \
                   provided.";
    Err(Refusal::new(412, "0x80060882", message))
}

/// `GET set(key)`.
pub(super) fn read(org: &Org, call: &Call<'_>, (table, named): (usize, &Named)) -> Answered {
    check_privilege(org, table, "Read")?;
    let id = named.found(&org.data, table)?;
    let shape = Shape::of(&org.data, table, call.request)?;
    let spec = org.data.model.table(table);
    let Some(row) = org.data.row(table, id) else { return Err(Refusal::missing(&spec.name, id)) };
    let known = call.request.header("if-none-match");
    let can_be_known = spec.concurrency && !shape.expands() && !shape.annotations.any();
    if can_be_known && known == Some(etag(row).as_str()) {
        return Ok(Answer::empty(304));
    }
    let world = World { data: &org.data, now: org.now() };
    Ok(one(call, world, (table, row, &shape), 200))
}

/// A record at the top of an answer.
fn one(
    call: &Call<'_>,
    world: World<'_>,
    (table, row, shape): (usize, &super::super::data::Row, &Shape),
    status: u16,
) -> Answer {
    let spec = world.data.model.table(table);
    let context = format!("{}{}/$entity", spec.set, shape.context(world.data, table));
    let mut body = Map::new();
    body.insert("@odata.context".to_owned(), Json::String(call.context(&context)));
    body.extend(record(world, table, row, shape));
    Answer::new(status, Json::Object(body)).with("etag", etag(row)).rows(1)
}

/// What a write answers: nothing, or the record where that is preferred.
fn written(
    org: &Org,
    call: &Call<'_>,
    (table, id, named): (usize, Guid, &Named),
    is_new: bool,
) -> Answered {
    let address = entity_address(org, call, (table, id, named));
    let wants_record = call
        .request
        .preference("return")
        .is_some_and(|how| how.eq_ignore_ascii_case("representation"));
    if !wants_record {
        let mut answer = Answer::empty(204).with("odata-entityid", address.clone());
        if is_new {
            answer = answer.with("location", address);
        }
        return Ok(answer);
    }
    let shape = Shape::of(&org.data, table, call.request)?;
    let world = World { data: &org.data, now: org.now() };
    let Some(row) = org.data.row(table, id) else {
        return Err(Refusal::missing(&org.data.model.table(table).name, id));
    };
    let answer = one(call, world, (table, row, &shape), if is_new { 201 } else { 200 });
    let answer = answer.with("preference-applied", "return=representation");
    Ok(if is_new { answer.with("odata-entityid", address) } else { answer })
}

/// The address of a record: by the key that it was asked by.
fn entity_address(org: &Org, call: &Call<'_>, (table, id, named): (usize, Guid, &Named)) -> String {
    let spec = org.data.model.table(table);
    let key = match named {
        Named::Id(_) => id.to_string(),
        Named::Key(_, values) => {
            let one = |(column, value): &(usize, Value)| {
                let column = spec.column(*column);
                let value = match value.as_text() {
                    Some(text) => format!("'{}'", text.replace('\'', "''")),
                    None => value.key().unwrap_or_default(),
                };
                format!("{}={value}", column.property())
            };
            values.iter().map(one).collect::<Vec<_>>().join(",")
        }
    };
    format!("{}/{}({key})", call.root, spec.set)
}

/// The texts and ids by which a test can name a record that is to be refused.
pub(super) fn meet_fault(
    org: &mut Org,
    id: Option<Guid>,
    changes: &Changes,
) -> Result<(), Refusal> {
    if org.faults.records.is_empty() {
        return Ok(());
    }
    let texts = changes.values().filter_map(|value| value.as_text().map(str::to_owned));
    let keys: Vec<String> = id.iter().map(ToString::to_string).chain(texts).collect();
    org.faults.of_record(&keys)
}

/// `POST set`.
pub(super) fn create(org: &mut Org, call: &Call<'_>, table: usize) -> Answered {
    check_privilege(org, table, "Create")?;
    check_logic(call)?;
    let body = call.request.object()?;
    let changes = convert::changes(&org.data, table, &body, Purpose::Create)?;
    check_required(org, table, &changes)?;
    check_duplicates(org, call, (table, None), &changes)?;
    meet_fault(org, convert::chosen_id(org.data.model.table(table), &body), &changes)?;
    let actor = org.api_actor(call.request);
    let mark = org.data.mark();
    let made = write::create(&mut org.data, &mut org.draw, (table, changes), actor);
    let id = made.inspect_err(|_| org.data.roll_back(mark))?;
    settle(org, call);
    written(org, call, (table, id, &Named::Id(id)), true)
}

/// Only what the system requires is asked for by the API.
pub(super) fn check_required(org: &Org, table: usize, changes: &Changes) -> Result<(), Refusal> {
    use super::super::model::{Kind, Required, Writable};
    let spec = org.data.model.table(table);
    for (at, column) in spec.live() {
        let is_asked = column.required == Required::BySystem
            && column.writable == Writable::Always
            && matches!(column.kind, Kind::Text { .. });
        if is_asked && changes.get(&at).is_none_or(Value::is_null) {
            let message = format!("Attribute '{}' cannot be NULL", column.name);
            return Err(Refusal::argument(message));
        }
    }
    Ok(())
}

/// Headers that switch off a customer's own logic must say something that is known.
fn check_logic(call: &Call<'_>) -> Result<(), Refusal> {
    let Some(given) = call.request.header("mscrm.bypassbusinesslogicexecution") else {
        return Ok(());
    };
    let is_known = |part: &str| matches!(part.trim(), "CustomSync" | "CustomAsync");
    if given.split(',').all(is_known) {
        return Ok(());
    }
    let message = format!("Invalid value '{given}' of BypassBusinessLogicExecution");
    Err(Refusal::argument(message))
}

/// Duplicate detection, where a request switches it on.
fn check_duplicates(
    org: &Org,
    call: &Call<'_>,
    (table, own): (usize, Option<Guid>),
    changes: &Changes,
) -> Result<(), Refusal> {
    let header = call.request.header("mscrm.suppressduplicatedetection");
    if !header.is_some_and(|value| value.eq_ignore_ascii_case("false")) {
        return Ok(());
    }
    for column in org.duplicates.get(&table).into_iter().flatten().copied() {
        let Some(key) = changes.get(&column).and_then(Value::key) else { continue };
        let mut others = org.data.records(table).all().filter(|row| Some(row.id()) != own);
        if others.any(|row| row.value(column).key().as_ref() == Some(&key)) {
            let message = "A record was not created or updated because a duplicate of the current \
                           record already exists.";
            return Err(Refusal::new(412, "0x80040333", message));
        }
    }
    Ok(())
}

/// `PATCH set(key)`: changes a record, or makes it where there is none.
pub(super) fn change(org: &mut Org, call: &Call<'_>, (table, named): (usize, &Named)) -> Answered {
    check_logic(call)?;
    let body = call.request.object()?;
    let condition = condition(call);
    match (named.find(&org.data, table), condition) {
        (Some(_), Condition::New) => {
            let message = "A record with matching key values already exists.";
            Err(Refusal::new(412, "0x80040237", message))
        }
        (Some(id), Condition::Version(version)) => {
            check_version(org, (table, id), &version)?;
            alter(org, call, (table, id, named), &body)
        }
        (Some(id), Condition::Exists | Condition::None) => {
            alter(org, call, (table, id, named), &body)
        }
        (None, Condition::Exists | Condition::Version(_)) => {
            named.found(&org.data, table).map(|_| Answer::empty(204))
        }
        (None, Condition::New | Condition::None) => make(org, call, (table, named), &body),
    }
}

fn alter(
    org: &mut Org,
    call: &Call<'_>,
    (table, id, named): (usize, Guid, &Named),
    body: &Map<String, Json>,
) -> Answered {
    check_privilege(org, table, "Write")?;
    let mut changes = convert::changes(&org.data, table, body, Purpose::Update)?;
    // The columns of the key that finds the record are not changed by it.
    if let Named::Key(_, values) = named {
        changes.retain(|column, _| values.iter().all(|(of_key, _)| of_key != column));
    }
    check_duplicates(org, call, (table, Some(id)), &changes)?;
    meet_fault(org, Some(id), &changes)?;
    let actor = org.api_actor(call.request);
    let mark = org.data.mark();
    write::update(&mut org.data, (table, id), changes, actor)
        .inspect_err(|_| org.data.roll_back(mark))?;
    settle(org, call);
    written(org, call, (table, id, named), false)
}

fn make(
    org: &mut Org,
    call: &Call<'_>,
    (table, named): (usize, &Named),
    body: &Map<String, Json>,
) -> Answered {
    check_privilege(org, table, "Create")?;
    let mut changes = convert::changes(&org.data, table, body, Purpose::Create)?;
    with_key(org, (table, named), &mut changes);
    check_required(org, table, &changes)?;
    check_duplicates(org, call, (table, None), &changes)?;
    meet_fault(org, changes.get(&ID).and_then(Value::as_id), &changes)?;
    let actor = org.api_actor(call.request);
    let mark = org.data.mark();
    let made = write::create(&mut org.data, &mut org.draw, (table, changes), actor);
    let id = made.inspect_err(|_| org.data.roll_back(mark))?;
    settle(org, call);
    written(org, call, (table, id, named), true)
}

/// What the address says of a record that is made by it; the body goes first.
pub(super) fn with_key(org: &Org, (table, named): (usize, &Named), changes: &mut Changes) {
    match named {
        Named::Id(id) => {
            changes.insert(ID, Value::Id(*id));
        }
        Named::Key(_, values) => {
            for (column, value) in values {
                let spec = org.data.model.table(table).column(*column);
                let value = fitted(org, spec, value);
                changes.entry(*column).or_insert(value);
            }
        }
    }
}

/// A value of an address, as its column keeps it.
fn fitted(org: &Org, spec: &super::super::model::Column, value: &Value) -> Value {
    let targets = spec.kind.targets().iter();
    let mut tables = targets.filter_map(|target| org.data.model.by_name(&target.table));
    match (value, tables.next()) {
        (Value::Id(id), Some(table)) => Value::Reference(table, *id),
        (Value::Number(number), None) if spec.kind.choices().is_some() => {
            number.to_string().parse().map_or(Value::Null, Value::Int)
        }
        _ => value.clone(),
    }
}

/// `DELETE set(key)`.
pub(super) fn delete(org: &mut Org, call: &Call<'_>, (table, named): (usize, &Named)) -> Answered {
    check_privilege(org, table, "Delete")?;
    let id = named.found(&org.data, table)?;
    if let Condition::Version(version) = condition(call) {
        check_version(org, (table, id), &version)?;
    }
    meet_fault(org, Some(id), &Changes::new())?;
    let actor = org.api_actor(call.request);
    write::delete(&mut org.data, (table, id), actor)?;
    settle(org, call);
    Ok(Answer::empty(204))
}

/// Ends the transaction, unless the request is a part of one.
pub(super) fn settle(org: &mut Org, call: &Call<'_>) {
    if !call.in_batch {
        org.data.commit();
    }
}
