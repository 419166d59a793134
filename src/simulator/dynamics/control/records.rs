//! Orders of a person at the screen.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::convert::{self, Purpose};
use super::super::server::Shared;
use super::super::write;
use super::{Done, Unfit, id, person, table};

/// Records to make.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Make {
    table: String,
    records: Vec<Map<String, Value>>,
    user: Option<String>,
}

/// `POST /seed`.
pub(super) async fn seed(State(shared): State<Shared>, Json(order): Json<Make>) -> Done {
    make(&shared, &order, Purpose::Seed)
}

/// `POST /create`.
pub(super) async fn create(State(shared): State<Shared>, Json(order): Json<Make>) -> Done {
    make(&shared, &order, Purpose::Create)
}

fn make(shared: &Shared, order: &Make, purpose: Purpose) -> Done {
    let mut guard = shared.org();
    let org = &mut *guard;
    let at = table(org, &order.table)?;
    let actor = person(org, order.user.as_deref())?;
    let mut ids = Vec::with_capacity(order.records.len());
    let mark = org.data.mark();
    for (place, record) in order.records.iter().enumerate() {
        let made = convert::changes(&org.data, at, record, purpose).and_then(|changes| {
            let wanted = (at, changes);
            if purpose == Purpose::Seed {
                write::seed(&mut org.data, &mut org.draw, wanted, actor)
            } else {
                write::create(&mut org.data, &mut org.draw, wanted, actor)
            }
        });
        match made {
            Ok(id) => ids.push(id.to_string()),
            Err(refusal) => {
                org.data.roll_back(mark);
                let why = format!("record {place}: {}: {}", refusal.code, refusal.message);
                return Err(Unfit(why));
            }
        }
    }
    org.data.commit();
    Ok(Json(json!({ "ids": ids })))
}

/// One edit, or several.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    table: String,
    id: Option<String>,
    fields: Option<Map<String, Value>>,
    #[serde(default)]
    edits: Vec<OneEdit>,
    user: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneEdit {
    id: String,
    fields: Map<String, Value>,
}

/// `POST /edit`.
pub(super) async fn edit(State(shared): State<Shared>, Json(order): Json<Edit>) -> Done {
    let mut guard = shared.org();
    let org = &mut *guard;
    let at = table(org, &order.table)?;
    let actor = person(org, order.user.as_deref())?;
    let mut edits = order.edits;
    match (order.id, order.fields) {
        (Some(id), Some(fields)) => edits.push(OneEdit { id, fields }),
        (None, None) => {}
        _ => return Err(Unfit("`id` and `fields` are given together".to_owned())),
    }
    let mark = org.data.mark();
    for edit in &edits {
        let id = id(&edit.id)?;
        let done = convert::changes(&org.data, at, &edit.fields, Purpose::Update)
            .and_then(|changes| write::update(&mut org.data, (at, id), changes, actor));
        done.inspect_err(|_| org.data.roll_back(mark))?;
    }
    org.data.commit();
    Ok(Json(json!({ "edited": edits.len() })))
}

/// Records of one table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct These {
    table: String,
    ids: Vec<String>,
    user: Option<String>,
}

/// `POST /delete`.
pub(super) async fn delete(State(shared): State<Shared>, Json(order): Json<These>) -> Done {
    let mut guard = shared.org();
    let org = &mut *guard;
    let at = table(org, &order.table)?;
    let actor = person(org, order.user.as_deref())?;
    for text in &order.ids {
        write::delete(&mut org.data, (at, id(text)?), actor)?;
    }
    org.data.commit();
    Ok(Json(json!({ "deleted": order.ids.len() })))
}
