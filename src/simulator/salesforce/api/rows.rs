//! Single records: create, read, update, upsert, delete.

use serde_json::{Map, Value as Json, json};

use super::super::convert::{self, Purpose, no_such_column};
use super::super::data::{Changes, deleted};
use super::super::id::Id;
use super::super::model::{ID, LAST_MODIFIED_DATE};
use super::super::org::Org;
use super::super::refusal::Refusal;
use super::super::soql::bind::Pick;
use super::super::soql::run::print;
use super::super::table::{Row, key_of};
use super::super::value::Value;
use super::super::wish::meet_fault;
use super::condition::{self, Version};
use super::{Answer, Answered, Call, Failure, object_of};

/// From this version on an upsert that updates has a body.
const UPSERT_BODY_FROM: u32 = 46;

/// Whether the rest of a path names a record: an id, or an external id and its value.
pub(super) fn is_row(path: &[&str]) -> bool {
    matches!(path, [_] | [_, _])
}

/// `POST /sobjects/{Object}`.
pub(super) fn create(org: &mut Org, call: &Call<'_>, object: &str) -> Answered {
    let object = object_of(org, object)?;
    let body = call.request.object()?;
    if body.keys().any(|key| key.eq_ignore_ascii_case("id")) {
        let message = "cannot specify Id in an insert call";
        return Err(Refusal::of("INVALID_FIELD_FOR_INSERT_UPDATE", message, &["Id"]).into());
    }
    let changes = prepare(org, object, &body, Purpose::Create)?;
    meet_fault(org, object, None, &changes)?;
    let actor = org.api_actor(call.request, call.now);
    let id = org.data.create(object, changes, actor)?;
    Ok(created(org, call, object, id, None))
}

/// `GET /sobjects/{Object}/{id}` or `…/{field}/{value}`.
pub(super) fn read(org: &mut Org, call: &Call<'_>, (object, path): (&str, &[&str])) -> Answered {
    let object = object_of(org, object)?;
    let id = match path {
        [field, value] => match matches(org, object, field, value)?.1.as_slice() {
            [] => return Err(nowhere(value)),
            [one] => *one,
            several => return Err(choices(org, call, object, several).into()),
        },
        _ => by_id(org, object, path[0])?,
    };
    let row = org.data.table(object).visible(id).ok_or_else(|| nowhere(path[0]))?;
    if row.is_deleted() {
        return Err(deleted().into());
    }
    let version = version(org, object, row);
    condition::check(call, &version)?;
    condition::read(call, &version, || {
        let picks = picks(org, object, call.request.parameter("fields"))?;
        let record = print(&org.data, object, (row, &picks), call.version);
        Ok(Answer::new(200, record).rows(1))
    })
}

/// `PATCH` of a record by id, or upsert by external id.
pub(super) fn change(org: &mut Org, call: &Call<'_>, (object, path): (&str, &[&str])) -> Answered {
    let object = object_of(org, object)?;
    let body = call.request.object()?;
    if let [field, value] = path {
        return upsert(org, call, (object, field, value), &body);
    }
    if body.keys().any(|key| key.eq_ignore_ascii_case("id")) {
        let message = "The Id field should not be specified in the sobject data.";
        return Err(Refusal::of("INVALID_FIELD", message, &["Id"]).into());
    }
    let id = by_id(org, object, path[0])?;
    update(org, call, (object, id), &body)?;
    Ok(Answer::empty(204))
}

/// `DELETE` of a record.
pub(super) fn delete(org: &mut Org, call: &Call<'_>, (object, path): (&str, &[&str])) -> Answered {
    let object = object_of(org, object)?;
    let id = match path {
        [field, value] => match matches(org, object, field, value)?.1.as_slice() {
            [] => return Err(nowhere(value)),
            [one] => *one,
            several => return Err(choices(org, call, object, several).into()),
        },
        _ => by_id(org, object, path[0])?,
    };
    if org.data.table(object).latest(id).is_none() {
        return Err(nowhere(path[0]));
    }
    meet_fault(org, object, Some(id), &[])?;
    let actor = org.api_actor(call.request, call.now);
    org.data.delete(object, id, actor)?;
    Ok(Answer::empty(204))
}

fn upsert(
    org: &mut Org,
    call: &Call<'_>,
    (object, field, value): (usize, &str, &str),
    body: &Map<String, Json>,
) -> Answered {
    let (at, found) = matches(org, object, field, value)?;
    let name = org.data.model.object(object).field(at).name.clone();
    if body.keys().any(|key| key.eq_ignore_ascii_case(&name)) {
        let message = format!("The {name} field should not be specified in the sobject data.");
        return Err(Refusal::of("INVALID_FIELD", message, &[&name]).into());
    }
    match found.as_slice() {
        [one] => {
            update(org, call, (object, *one), body)?;
            if super::metadata::number(call.version).is_some_and(|n| n < UPSERT_BODY_FROM) {
                return Ok(Answer::empty(204));
            }
            let body =
                json!({ "id": one.as_str(), "success": true, "errors": [], "created": false });
            Ok(Answer::new(200, body))
        }
        [] if call.request.parameter("updateOnly") == Some("true") => Err(nowhere(value)),
        [] => {
            let mut changes = prepare(org, object, body, Purpose::Create)?;
            changes.push((at, Value::text(value)));
            meet_fault(org, object, None, &changes)?;
            let actor = org.api_actor(call.request, call.now);
            let id = org.data.create(object, changes, actor)?;
            Ok(created(org, call, object, id, Some(true)))
        }
        several => Err(choices(org, call, object, several).into()),
    }
}

fn update(
    org: &mut Org,
    call: &Call<'_>,
    (object, id): (usize, Id),
    body: &Map<String, Json>,
) -> Result<(), Failure> {
    let Some(row) = org.data.table(object).latest(id) else {
        return Err(nowhere(id.as_str()));
    };
    condition::check(call, &version(org, object, row))?;
    let changes = prepare(org, object, body, Purpose::Update)?;
    meet_fault(org, object, Some(id), &changes)?;
    let actor = org.api_actor(call.request, call.now);
    Ok(org.data.update(object, id, changes, actor)?)
}

fn prepare(
    org: &Org,
    object: usize,
    body: &Map<String, Json>,
    purpose: Purpose,
) -> Result<Changes, Failure> {
    if !org.data.model.object(object).writable {
        let message = "entity type is not writable through the API";
        return Err(Refusal::new("INSUFFICIENT_ACCESS_OR_READONLY", message).into());
    }
    Ok(convert::changes(&org.data, object, body, purpose, &[])?)
}

fn created(org: &Org, call: &Call<'_>, object: usize, id: Id, upsert: Option<bool>) -> Answer {
    let mut body = json!({ "id": id.as_str(), "success": true, "errors": [] });
    if let Some(created) = upsert {
        body["created"] = json!(created);
    }
    Answer::new(201, body).with("location", url(org, call, object, id))
}

fn url(org: &Org, call: &Call<'_>, object: usize, id: Id) -> String {
    let name = &org.data.model.object(object).name;
    format!("/services/data/{}/sobjects/{name}/{id}", call.version)
}

fn choices(org: &Org, call: &Call<'_>, object: usize, ids: &[Id]) -> Answer {
    let urls: Vec<Json> = ids.iter().map(|id| json!(url(org, call, object, *id))).collect();
    Answer::new(300, Json::Array(urls))
}

/// The live records that an external id names, with the place of its field.
fn matches(
    org: &Org,
    object: usize,
    field: &str,
    value: &str,
) -> Result<(usize, Vec<Id>), Failure> {
    let spec = org.data.model.object(object);
    let at = spec.find(field).ok_or_else(|| no_such_column(field, spec))?;
    if at == ID {
        let id = by_id(org, object, value)?;
        return Ok((at, org.data.live(object, id).map(|_| vec![id]).unwrap_or_default()));
    }
    if !spec.field(at).external_id && !spec.field(at).id_lookup {
        let message = "Provided external ID field does not exist or is not accessible";
        return Err(Refusal::new("NOT_FOUND", message).into());
    }
    let key = key_of(spec, at, &Value::text(value));
    let ids = key.map(|key| org.data.table(object).live_with_key(at, &key));
    Ok((at, ids.unwrap_or_default()))
}

fn by_id(org: &Org, object: usize, text: &str) -> Result<Id, Failure> {
    let prefix = &org.data.model.object(object).prefix;
    match Id::parse(text) {
        Some(id) if id.prefix() == prefix => Ok(id),
        None if matches!(text.len(), 15 | 18) => {
            Err(Refusal::new("MALFORMED_ID", format!("malformed id {text}")).into())
        }
        Some(_) | None => Err(nowhere(text)),
    }
}

fn nowhere(text: &str) -> Failure {
    let message = format!("Provided external ID field does not exist or is not accessible: {text}");
    Refusal::new("NOT_FOUND", message).into()
}

/// What a record is compared by.
fn version(org: &Org, object: usize, row: &Row) -> Version {
    let changed = row.value(LAST_MODIFIED_DATE).as_seconds().unwrap_or(0);
    let id = row.id().map(|id| id.to_string()).unwrap_or_default();
    Version::of_record(&org.data.model.object(object).name, &id, changed)
}

/// The fields that are asked for, all if none are named.
pub(super) fn picks(org: &Org, object: usize, fields: Option<&str>) -> Result<Vec<Pick>, Refusal> {
    let spec = org.data.model.object(object);
    let Some(fields) = fields else {
        return Ok(spec.fields().map(|(at, _)| Pick::Field(at)).collect());
    };
    let mut picks = Vec::new();
    for name in fields.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let pick = Pick::Field(spec.find(name).ok_or_else(|| no_such_column(name, spec))?);
        if !picks.contains(&pick) {
            picks.push(pick);
        }
    }
    if !picks.contains(&Pick::Field(ID)) {
        picks.push(Pick::Field(ID));
    }
    Ok(picks)
}
