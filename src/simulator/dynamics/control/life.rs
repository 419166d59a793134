//! Orders about the life of records, and about who may come in.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::api::key_of;
use super::super::convert::{self, Purpose};
use super::super::org::Standing;
use super::super::server::Shared;
use super::super::write;
use super::{Done, Unfit, id, person, table};

/// A record that comes back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restore {
    table: String,
    id: String,
    user: Option<String>,
}

/// `POST /restore`.
pub(super) async fn restore(State(shared): State<Shared>, Json(order): Json<Restore>) -> Done {
    let mut guard = shared.org();
    let org = &mut *guard;
    let at = table(org, &order.table)?;
    let actor = person(org, order.user.as_deref())?;
    let id = id(&order.id)?;
    let last = org.data.history.last_of(at, id);
    let row = last.ok_or_else(|| Unfit(format!("`{}` was never there", order.id)))?;
    write::restore(&mut org.data, at, &row, actor)?;
    org.data.commit();
    Ok(Json(json!({})))
}

/// Records to merge.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Merge {
    table: String,
    master: String,
    subordinate: String,
    #[serde(default)]
    fields: Map<String, Value>,
    user: Option<String>,
}

/// `POST /merge`.
pub(super) async fn merge(State(shared): State<Shared>, Json(order): Json<Merge>) -> Done {
    let mut guard = shared.org();
    let org = &mut *guard;
    let at = table(org, &order.table)?;
    let actor = person(org, order.user.as_deref())?;
    let both = (id(&order.master)?, id(&order.subordinate)?);
    let changes = convert::changes(&org.data, at, &order.fields, Purpose::Update)?;
    let mark = org.data.mark();
    write::merge(&mut org.data, at, both, changes, actor)
        .inspect_err(|_| org.data.roll_back(mark))?;
    org.data.commit();
    Ok(Json(json!({ "master": order.master, "subordinate": order.subordinate })))
}

/// What is known of the app.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AppOrder {
    certificate: Option<String>,
    standing: Option<String>,
    secret_expired: Option<bool>,
}

/// `POST /app`.
pub(super) async fn app(State(shared): State<Shared>, Json(order): Json<AppOrder>) -> Done {
    let mut org = shared.org();
    if let Some(pem) = &order.certificate {
        let key = key_of(pem).map_err(|wrong| Unfit(format!("`certificate` {wrong}")))?;
        org.app.key = Some(key);
    }
    if let Some(standing) = order.standing.as_deref() {
        org.app.standing = match standing {
            "good" => Standing::Good,
            "not_a_member" => Standing::NotAMember,
            "blocked" => Standing::Blocked,
            "disabled" => Standing::Disabled,
            "unlicensed" => Standing::Unlicensed,
            "no_role" => Standing::NoRole,
            "organisation_disabled" => Standing::OrganisationDisabled,
            other => return Err(Unfit(format!("`{other}` is no standing; `good` is one"))),
        };
    }
    org.app.secret_expired = order.secret_expired.unwrap_or(org.app.secret_expired);
    Ok(Json(json!({ "certificate": org.app.key.is_some() })))
}

/// What the app's role may do with a table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Permissions {
    table: String,
    read: Option<bool>,
    create: Option<bool>,
    write: Option<bool>,
    delete: Option<bool>,
}

/// `POST /permissions`.
pub(super) async fn permissions(
    State(shared): State<Shared>,
    Json(order): Json<Permissions>,
) -> Done {
    let mut org = shared.org();
    let at = table(&org, &order.table)?;
    let all = [
        ("Read", order.read),
        ("Create", order.create),
        ("Write", order.write),
        ("Delete", order.delete),
    ];
    for (verb, may) in all {
        match may {
            Some(true) => drop(org.app.lacks.remove(&(at, verb))),
            Some(false) => drop(org.app.lacks.insert((at, verb))),
            None => {}
        }
    }
    Ok(Json(json!({})))
}
