//! What a test may look at: records, history, requests, counters.

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::history::Asked;
use super::super::server::Shared;
use super::{Done, column, table};

/// Changes or requests in one answer, where no limit is given.
const LIMIT: usize = 1_000_000;

/// `GET /`.
pub(super) async fn announcement(State(shared): State<Shared>) -> Json<Value> {
    let org = shared.org();
    let names = &org.names;
    Json(json!({
        "base_url": names.base_url,
        "token_url": names.token_url(),
        "tenant_id": names.tenant.to_string(),
        "client_id": names.client_id,
        "client_secret": names.client_secret,
        "scope": format!("{}/.default", names.base_url),
        "org_id": names.org.to_string(),
        "user_id": names.api_user.to_string(),
        "person": names.person.to_string(),
    }))
}

/// What of the records.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    fields: Option<String>,
}

/// `GET /records/{table}`.
pub(super) async fn records(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Done {
    let org = shared.org();
    let at = table(&org, &name)?;
    let spec = org.data.model.table(at);
    let fields: Vec<usize> = match &wanted.fields {
        None => spec.live().map(|(column, _)| column).collect(),
        Some(names) => {
            names.split(',').map(|name| column(&org, at, name.trim())).collect::<Result<_, _>>()?
        }
    };
    let records = org.data.records(at).all().map(|row| {
        let values = fields.iter().map(|at| {
            let column = spec.column(*at);
            (column.property(), row.value(*at).json(&column.kind))
        });
        Value::Object(values.collect::<Map<String, Value>>())
    });
    Ok(Json(json!({ "records": records.collect::<Vec<_>>(), "version": org.data.version() })))
}

/// Which changes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Changes {
    #[serde(default)]
    since: usize,
    table: Option<String>,
    id: Option<String>,
    #[serde(default)]
    seeds: bool,
    limit: Option<usize>,
}

/// `GET /history`.
pub(super) async fn history(State(shared): State<Shared>, Query(wanted): Query<Changes>) -> Done {
    let org = shared.org();
    let asked = Asked {
        since: wanted.since,
        table: wanted.table.as_deref().map(|name| table(&org, name)).transpose()?,
        id: wanted.id.as_deref().map(super::id).transpose()?,
        seeds: wanted.seeds,
        limit: wanted.limit.unwrap_or(LIMIT),
    };
    let list = org.data.history.list(&asked, &org.data.model);
    Ok(Json(json!({ "changes": list, "next": org.data.history.len() })))
}

/// Which requests.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Requests {
    /// The number of the last request that is known already.
    #[serde(default)]
    since: u64,
    limit: Option<usize>,
}

/// `GET /requests`.
pub(super) async fn requests(
    State(shared): State<Shared>,
    Query(wanted): Query<Requests>,
) -> Json<Value> {
    let org = shared.org();
    let known = org.log.requests.iter().filter(|request| wanted.since < request.number);
    let list: Vec<Value> =
        known.take(wanted.limit.unwrap_or(LIMIT)).map(super::super::org::Logged::json).collect();
    Json(json!({ "requests": list, "next": org.log.count }))
}

/// `GET /counters`.
pub(super) async fn counters(State(shared): State<Shared>) -> Json<Value> {
    let mut guard = shared.org();
    let org = &mut *guard;
    let now = org.clock.now();
    let (left, _) = org.protection.left(now);
    Json(json!({
        "requests": org.log.count,
        "by_kind": org.log.kinds,
        "operations": org.log.operations,
        "records_read": org.log.rows,
        "changes": org.data.history.len(),
        "tokens": org.tokens.issued,
        "throttled": org.protection.refused,
        "requests_left": left,
    }))
}
