//! Orders of a person at the screen.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::clock::second;
use super::super::convert::{self, Purpose, default_of};
use super::super::data::Actor;
use super::super::id::Id;
use super::super::model::{
    CREATED_BY_ID, CREATED_DATE, LAST_MODIFIED_BY_ID, LAST_MODIFIED_DATE, OWNER_ID, SYSTEM_MODSTAMP,
};
use super::super::org::Org;
use super::super::refusal::Refusal;
use super::super::server::Shared;
use super::super::table::Row;
use super::super::value::Value as Kept;
use super::{Done, Unfit, id, object, person};

/// Records to make.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Make {
    object: String,
    records: Vec<Map<String, Value>>,
    user: Option<String>,
}

/// `POST /seed`.
pub(super) async fn seed(State(shared): State<Shared>, Json(make): Json<Make>) -> Done {
    let mut org = shared.org();
    let object = object(&org, &make.object)?;
    let actor = person(&org, make.user.as_deref())?;
    let mut ids = Vec::with_capacity(make.records.len());
    for (place, record) in make.records.iter().enumerate() {
        let seeded = seed_one(&mut org, object, record, actor);
        let id = seeded.map_err(|refusal| {
            Unfit(format!("record {place}: {}: {}", refusal.code, refusal.message))
        })?;
        ids.push(id.to_string());
    }
    Ok(Json(json!({ "ids": ids })))
}

fn seed_one(
    org: &mut Org,
    object: usize,
    record: &Map<String, Value>,
    actor: Actor,
) -> Result<Id, Refusal> {
    let changes = convert::changes(&org.data, object, record, Purpose::Seed, &["Id"])?;
    let mut row = Row::default();
    for (at, field) in org.data.model.object(object).all_fields() {
        if let Some(default) = default_of(field, actor.user) {
            row.set(at, default);
        }
    }
    for at in [CREATED_BY_ID, LAST_MODIFIED_BY_ID, OWNER_ID] {
        row.set(at, Kept::Id(actor.user));
    }
    for (at, value) in changes {
        row.set(at, value);
    }
    // One date given stands for the others; none given is now.
    let dates = [SYSTEM_MODSTAMP, LAST_MODIFIED_DATE, CREATED_DATE];
    let given = dates.iter().map(|at| row.value(*at).clone()).find(|value| !value.is_null());
    let date = given.unwrap_or(Kept::DateTime(second(actor.now)));
    for at in dates {
        if row.value(at).is_null() {
            row.set(at, date.clone());
        }
    }
    org.data.seed(object, row, actor)
}

/// `POST /create`.
pub(super) async fn create(State(shared): State<Shared>, Json(make): Json<Make>) -> Done {
    let mut org = shared.org();
    let object = object(&org, &make.object)?;
    let actor = person(&org, make.user.as_deref())?;
    let mut ids = Vec::new();
    for record in &make.records {
        let changes = convert::changes(&org.data, object, record, Purpose::Person, &[])?;
        ids.push(org.data.create(object, changes, actor)?.to_string());
    }
    Ok(Json(json!({ "ids": ids })))
}

/// One record's new values.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    id: String,
    fields: Map<String, Value>,
}

/// Records to edit.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    object: String,
    id: Option<String>,
    fields: Option<Map<String, Value>>,
    #[serde(default)]
    edits: Vec<One>,
    user: Option<String>,
}

/// `POST /edit`.
pub(super) async fn edit(State(shared): State<Shared>, Json(mut edit): Json<Edit>) -> Done {
    let mut org = shared.org();
    let object = object(&org, &edit.object)?;
    let actor = person(&org, edit.user.as_deref())?;
    match (edit.id, edit.fields) {
        (Some(id), Some(fields)) => edit.edits.push(One { id, fields }),
        (None, None) => {}
        (Some(_), None) | (None, Some(_)) => {
            return Err(Unfit("`id` and `fields` belong together".to_owned()));
        }
    }
    for one in &edit.edits {
        let changes = convert::changes(&org.data, object, &one.fields, Purpose::Person, &[])?;
        org.data.update(object, id(&one.id)?, changes, actor)?;
    }
    Ok(Json(json!({ "edited": edit.edits.len() })))
}

/// Records to delete or to bring back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct These {
    object: String,
    ids: Vec<String>,
    #[serde(default)]
    purge: bool,
    user: Option<String>,
}

/// `POST /delete`.
pub(super) async fn delete(State(shared): State<Shared>, Json(these): Json<These>) -> Done {
    let mut org = shared.org();
    let object = object(&org, &these.object)?;
    let actor = person(&org, these.user.as_deref())?;
    for text in &these.ids {
        let id = id(text)?;
        if !these.purge || org.data.live(object, id).is_ok() {
            org.data.delete(object, id, actor)?;
        }
        if these.purge {
            org.data.purge(object, id, actor)?;
        }
    }
    Ok(Json(json!({ "deleted": these.ids.len() })))
}

/// `POST /recompute`.
pub(super) async fn recompute(State(shared): State<Shared>, Json(edit): Json<Edit>) -> Done {
    let mut org = shared.org();
    let object = object(&org, &edit.object)?;
    let actor = person(&org, edit.user.as_deref())?;
    let (Some(text), Some(fields)) = (&edit.id, &edit.fields) else {
        return Err(Unfit("`id` and `fields` must be given".to_owned()));
    };
    let changes = convert::changes(&org.data, object, fields, Purpose::Seed, &[])?;
    org.data.recompute(object, id(text)?, changes, actor)?;
    Ok(Json(json!({})))
}

/// `POST /undelete`.
pub(super) async fn undelete(State(shared): State<Shared>, Json(these): Json<These>) -> Done {
    let mut org = shared.org();
    let object = object(&org, &these.object)?;
    let actor = person(&org, these.user.as_deref())?;
    for text in &these.ids {
        org.data.undelete(object, id(text)?, actor)?;
    }
    Ok(Json(json!({ "undeleted": these.ids.len() })))
}

/// Records to merge.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Merge {
    object: String,
    winner: String,
    losers: Vec<String>,
    #[serde(default)]
    fields: Map<String, Value>,
    user: Option<String>,
}

/// `POST /merge`.
pub(super) async fn merge(State(shared): State<Shared>, Json(merge): Json<Merge>) -> Done {
    let mut org = shared.org();
    let object = object(&org, &merge.object)?;
    let actor = person(&org, merge.user.as_deref())?;
    let winner = id(&merge.winner)?;
    let losers = merge.losers.iter().map(|text| id(text)).collect::<Result<Vec<_>, _>>()?;
    let changes = convert::changes(&org.data, object, &merge.fields, Purpose::Person, &[])?;
    let mark = org.data.begin();
    let merged = org.data.merge(object, (winner, &losers), changes, actor);
    if merged.is_err() {
        org.data.roll_back(&mark);
    }
    org.data.commit();
    merged?;
    Ok(Json(json!({ "winner": winner.to_string(), "losers": losers.len() })))
}
