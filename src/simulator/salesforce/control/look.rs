//! What a test may look at: records, history, requests, counters.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::clock::second;
use super::super::history::Asked;
use super::super::server::Shared;
use super::{Done, Unfit, object};

/// Changes or requests in one answer, where no limit is given.
const LIMIT: usize = 1_000_000;

/// `GET /`.
pub(super) async fn announcement(State(shared): State<Shared>) -> Json<Value> {
    let org = shared.org();
    let names = &org.names;
    Json(json!({
        "base_url": names.base_url,
        "token_url": format!("{}/services/oauth2/token", names.base_url),
        "client_id": names.client_id,
        "client_secret": names.client_secret,
        "username": names.username,
        "password": names.password,
        "security_token": names.security_token,
        "refresh_token": names.refresh_token,
        "org_id": names.org.as_str(),
        "api_user": names.api_user.as_str(),
        "person": names.person.as_str(),
    }))
}

/// Which records, and what of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    deleted: Option<bool>,
    fields: Option<String>,
}

/// `GET /records/{object}`.
pub(super) async fn records(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Done {
    let org = shared.org();
    let at = object(&org, &name)?;
    let spec = org.data.model.object(at);
    let fields: Vec<usize> = match &wanted.fields {
        None => spec.all_fields().map(|(field, _)| field).collect(),
        Some(names) => names
            .split(',')
            .map(|name| {
                let found = spec.find_any(name.trim());
                found.ok_or_else(|| Unfit(format!("`{}` has no field `{name}`", spec.name)))
            })
            .collect::<Result<_, _>>()?,
    };
    let table = org.data.table(at);
    let rows = table
        .ids()
        .filter_map(|id| table.latest(id))
        .filter(|row| wanted.deleted.is_none_or(|deleted| deleted == row.is_deleted()));
    let records: Vec<Value> = rows
        .map(|row| {
            let values = fields.iter().map(|at| {
                let field = spec.field(*at);
                (field.name.clone(), row.value(*at).json(field.kind))
            });
            Value::Object(values.collect::<Map<String, Value>>())
        })
        .collect();
    Ok(Json(json!({ "records": records })))
}

/// Which changes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Changes {
    #[serde(default)]
    since: usize,
    object: Option<String>,
    id: Option<String>,
    #[serde(default)]
    seeds: bool,
    limit: Option<usize>,
}

/// `GET /history`.
pub(super) async fn history(State(shared): State<Shared>, Query(changes): Query<Changes>) -> Done {
    let org = shared.org();
    let object = changes.object.as_deref().map(|name| object(&org, name)).transpose()?;
    let id = changes.id.as_deref().map(super::id).transpose()?.map(|id| id.to_string());
    let asked = Asked {
        since: changes.since,
        object,
        id: id.as_deref(),
        seeds: changes.seeds,
        limit: changes.limit.unwrap_or(LIMIT),
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
    let list: Vec<Value> = org
        .log
        .requests
        .iter()
        .filter(|request| wanted.since < request.number)
        .take(wanted.limit.unwrap_or(LIMIT))
        .map(super::super::org::Logged::json)
        .collect();
    Json(json!({ "requests": list, "next": org.log.count }))
}

/// `GET /counters`.
pub(super) async fn counters(State(shared): State<Shared>) -> Json<Value> {
    let mut org = shared.org();
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    let (mut written, mut read) = (0, 0);
    for request in &org.log.requests {
        let kind = kind_of(&request.method, &request.target);
        *kinds.entry(kind.to_owned()).or_default() += 1;
        let writes = matches!(kind, "create" | "update" | "upsert" | "delete" | "upload");
        written += if writes { request.records } else { 0 };
        read += if writes { 0 } else { request.rows };
    }
    let now = second(org.clock.now());
    Json(json!({
        "requests": org.log.count,
        "by_kind": kinds,
        "records_written": written,
        "records_read": read,
        "changes": org.data.history.len(),
        "api_used": org.quota.used(now),
        "api_max": org.quota.max,
    }))
}

/// What a request is for.
fn kind_of(method: &str, target: &str) -> &'static str {
    let path = target.split('?').next().unwrap_or_default().trim_end_matches('/');
    let rest: Vec<&str> = path.split('/').skip(4).collect();
    match (method, rest.as_slice()) {
        (_, []) if path.ends_with("/token") => "token",
        ("PUT", ["jobs", ..]) => "upload",
        (_, ["jobs", ..]) => "job",
        (_, ["query" | "queryAll"]) => "query",
        (_, ["query" | "queryAll", _]) => "page",
        (_, ["sobjects", .., "describe"]) | ("GET", ["sobjects"]) => "describe",
        ("POST", ["composite", "sobjects", _]) => "retrieve",
        ("PATCH", ["composite", "sobjects", _, _] | ["sobjects", _, _, _]) => "upsert",
        ("POST", ["composite", "sobjects"] | ["sobjects", _]) => "create",
        ("PATCH", _) => "update",
        ("DELETE", _) => "delete",
        ("GET", ["sobjects", ..]) => "read",
        _ => "other",
    }
}
