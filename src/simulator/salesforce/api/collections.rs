//! sObject Collections: up to 200 records in one call, each with its own answer.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::super::convert::{self, Purpose};
use super::super::id::Id;
use super::super::model::ID;
use super::super::org::Org;
use super::super::refusal::{Refusal, TOO_MANY, UNREADABLE};
use super::super::soql::run::print;
use super::super::value::Value;
use super::super::wish::{Outcome, Wish, carry_out};
use super::rows::picks;
use super::{Answer, Answered, Call, Failure, object_of};

/// Records of one call.
const RECORDS_MAX: usize = 200;
/// Records of one retrieve.
const RETRIEVE_MAX: usize = 2_000;
/// Runs of one type in a call.
const CHUNKS_MAX: usize = 10;

/// An outcome as an element of the answer.
pub(super) fn outcome_json(outcome: &Outcome) -> Json {
    let mut body = Map::new();
    if let Some(id) = outcome.id.filter(|_| outcome.refusal.is_none()) {
        body.insert("id".to_owned(), json!(id.as_str()));
    }
    body.insert("success".to_owned(), json!(outcome.refusal.is_none()));
    let errors: Vec<Json> = outcome.refusal.iter().map(Refusal::in_collection).collect();
    body.insert("errors".to_owned(), Json::Array(errors));
    if let Some(created) = outcome.created {
        body.insert("created".to_owned(), json!(created));
    }
    Json::Object(body)
}

type Wishes = Vec<(usize, Result<Wish, Refusal>)>;

/// `POST /composite/sobjects`.
pub(super) fn create(org: &mut Org, call: &Call<'_>) -> Answered {
    let (all_or_none, records) = records(call)?;
    let mut wishes = Wishes::new();
    for record in &records {
        let object = type_of(org, record)?;
        let wish = convert::changes(&org.data, object, record, Purpose::Create, &[]);
        wishes.push((object, wish.map(Wish::Create)));
    }
    grant(org, call, all_or_none, wishes)
}

/// `PATCH /composite/sobjects`.
pub(super) fn update(org: &mut Org, call: &Call<'_>) -> Answered {
    let (all_or_none, records) = records(call)?;
    let mut wishes = Wishes::new();
    for record in &records {
        let object = type_of(org, record)?;
        let wish = id_of(org, object, record).and_then(|id| {
            let changes = convert::changes(&org.data, object, record, Purpose::Update, &["Id"])?;
            Ok(Wish::Update(id, changes))
        });
        wishes.push((object, wish));
    }
    grant(org, call, all_or_none, wishes)
}

/// `PATCH /composite/sobjects/{Object}/{ExternalId}`.
pub(super) fn upsert(org: &mut Org, call: &Call<'_>, (object, field): (&str, &str)) -> Answered {
    let (all_or_none, records) = records(call)?;
    let object = object_of(org, object)?;
    let spec = org.data.model.object(object);
    let field = spec.find(field).filter(|at| {
        let field = spec.field(*at);
        field.external_id || field.id_lookup
    });
    let Some(at) = field else {
        let message = "Provided external ID field does not exist or is not accessible";
        return Err(Refusal::new("NOT_FOUND", message).into());
    };
    let name = spec.field(at).name.clone();
    let mut wishes = Wishes::new();
    for record in &records {
        if type_of(org, record)? != object {
            let message = "all records of an upsert must be of the type that the URI names";
            return Err(Refusal::new("INVALID_TYPE", message).into());
        }
        let key = record.iter().find(|(key, _)| key.eq_ignore_ascii_case(&name));
        let key = key.and_then(|(_, value)| match value {
            Json::String(text) => Some(Value::text(text)),
            Json::Number(number) => Some(Value::text(&number.to_string())),
            Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
        });
        let wish = match key.filter(|key| !key.is_null()) {
            None if at == ID => {
                convert::changes(&org.data, object, record, Purpose::Create, &["Id"])
                    .map(Wish::Create)
            }
            None => {
                let message = format!("{name} not specified");
                Err(Refusal::of("MISSING_ARGUMENT", message, &[&name]))
            }
            Some(key) => convert::changes(&org.data, object, record, Purpose::Create, &[&name])
                .map(|changes| Wish::Upsert(at, key, changes)),
        };
        wishes.push((object, wish));
    }
    grant(org, call, all_or_none, wishes)
}

/// `DELETE /composite/sobjects?ids=…`.
pub(super) fn delete(org: &mut Org, call: &Call<'_>) -> Answered {
    let all_or_none = call.request.parameter("allOrNone") == Some("true");
    let Some(ids) = call.request.parameter("ids") else {
        return Err(Refusal::new("MISSING_ARGUMENT", "missing required parameter: ids").into());
    };
    let ids: Vec<&str> = ids.split(',').map(str::trim).filter(|id| !id.is_empty()).collect();
    limit(ids.len(), RECORDS_MAX)?;
    let wishes = ids
        .into_iter()
        .map(|text| {
            let id =
                Id::parse(text).and_then(|id| Some((org.data.model.of_id(id)?, Wish::Delete(id))));
            match id {
                Some((object, wish)) => (object, Ok(wish)),
                None => (0, Err(Refusal::new("MALFORMED_ID", format!("malformed id {text}")))),
            }
        })
        .collect();
    grant(org, call, all_or_none, wishes)
}

/// `POST /composite/sobjects/{Object}`: reads up to 2,000 records by id.
pub(super) fn retrieve(org: &mut Org, call: &Call<'_>, object: &str) -> Answered {
    let object = object_of(org, object)?;
    let list = |value: Option<&Json>| -> Vec<String> {
        let items = value.and_then(Json::as_array).into_iter().flatten();
        items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let (ids, fields) = if call.request.method == "GET" {
        let split = |name: &str| -> Vec<String> {
            let text = call.request.parameter(name).unwrap_or_default();
            text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        (split("ids"), split("fields"))
    } else {
        let body = call.request.object()?;
        (list(body.get("ids")), list(body.get("fields")))
    };
    limit(ids.len(), RETRIEVE_MAX)?;
    if ids.is_empty() || fields.is_empty() {
        return Err(Refusal::new("MISSING_ARGUMENT", "ids and fields must be given").into());
    }
    let picks = picks(org, object, Some(&fields.join(",")))?;
    let mut records = Vec::new();
    for text in &ids {
        let Some(id) = Id::parse(text) else {
            return Err(Refusal::new("MALFORMED_ID", format!("malformed id {text}")).into());
        };
        let row = org.data.table(object).visible(id).filter(|row| !row.is_deleted());
        records.push(
            row.map_or(Json::Null, |row| print(&org.data, object, (row, &picks), call.version)),
        );
    }
    let rows = records.len();
    Ok(Answer::new(200, Json::Array(records)).rows(rows))
}

fn records(call: &Call<'_>) -> Result<(bool, Vec<Map<String, Json>>), Failure> {
    let body = call.request.object()?;
    let all_or_none = body.get("allOrNone").is_some_and(|value| value == &Json::Bool(true));
    let Some(Json::Array(list)) = body.get("records") else {
        return Err(Refusal::new("MISSING_ARGUMENT", "records must be given").into());
    };
    limit(list.len(), RECORDS_MAX)?;
    let records: Option<Vec<_>> = list.iter().map(|item| item.as_object().cloned()).collect();
    let Some(records) = records else {
        return Err(Refusal::new(UNREADABLE, "each record must be a JSON object").into());
    };
    let kind = |record: &Map<String, Json>| {
        record.get("attributes").and_then(|a| a["type"].as_str()).map(str::to_lowercase)
    };
    let kinds: Vec<_> = records.iter().map(kind).collect();
    let chunks = kinds.chunk_by(|a, b| a == b).count();
    if CHUNKS_MAX < chunks {
        let message = format!("{chunks} chunks of records of one type are more than {CHUNKS_MAX}");
        return Err(Refusal::new(TOO_MANY, message).into());
    }
    Ok((all_or_none, records))
}

fn limit(count: usize, max: usize) -> Result<(), Failure> {
    if count <= max {
        return Ok(());
    }
    let message =
        format!("record limit reached. cannot submit more than {max} records in this call");
    Err(Refusal::new(TOO_MANY, message).into())
}

fn type_of(org: &Org, record: &Map<String, Json>) -> Result<usize, Refusal> {
    let Some(name) = record.get("attributes").and_then(|a| a["type"].as_str()) else {
        return Err(Refusal::new("INVALID_TYPE", "each record needs attributes.type"));
    };
    let found = org.data.model.find(name).filter(|at| org.data.model.object(*at).writable);
    found.ok_or_else(|| {
        Refusal::new("INVALID_TYPE", format!("sObject type '{name}' is not supported."))
    })
}

fn id_of(org: &Org, object: usize, record: &Map<String, Json>) -> Result<Id, Refusal> {
    let value = record.iter().find(|(key, _)| key.eq_ignore_ascii_case("id"));
    let Some(text) = value.and_then(|(_, value)| value.as_str()) else {
        return Err(Refusal::of("MISSING_ARGUMENT", "Id not specified in an update call", &["Id"]));
    };
    let object = org.data.model.object(object);
    match Id::parse(text) {
        None => Err(Refusal::of("MALFORMED_ID", format!("malformed id {text}"), &["Id"])),
        Some(id) if id.prefix() == object.prefix => Ok(id),
        Some(_) => {
            let message = format!("{} ID: id value of incorrect type: {text}", object.label);
            Err(Refusal::of("MALFORMED_ID", message, &["Id"]))
        }
    }
}

/// Carries the wishes out, one by one or all together.
fn grant(org: &mut Org, call: &Call<'_>, all_or_none: bool, wishes: Wishes) -> Answered {
    for (_, wish) in &wishes {
        if let Err(refusal) = wish
            && refusal.code == UNREADABLE
        {
            return Err(refusal.clone().into());
        }
    }
    let actor = org.api_actor(call.request, call.now);
    let mark = org.data.begin();
    let mut seen = BTreeSet::new();
    let mut outcomes: Vec<Outcome> = wishes
        .into_iter()
        .map(|(object, wish)| carry_out(org, (object, wish), actor, &mut seen))
        .collect();
    if all_or_none && outcomes.iter().any(|outcome| outcome.refusal.is_some()) {
        org.data.roll_back(&mark);
        let message = "Record rolled back because not all records were valid and the request was \
                       using AllOrNone header";
        for outcome in outcomes.iter_mut().filter(|outcome| outcome.refusal.is_none()) {
            let code = "ALL_OR_NONE_OPERATION_ROLLED_BACK";
            outcome.refusal = Some(Refusal::of(code, message, &[]));
        }
    }
    org.data.commit();
    let rows = outcomes.len();
    let body = outcomes.iter().map(outcome_json).collect();
    Ok(Answer::new(200, Json::Array(body)).rows(rows))
}
