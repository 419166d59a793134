//! Orders that make life hard: failing answers, held commits, clocks, tokens, quotas.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::super::control::{ClockOrder, Connections, Delay, shown};
use super::super::api::{BATCHES_A_DAY, add_refresh, key_of};
use super::super::clock::{second, stamp};
use super::super::data::{Hold, Via};
use super::super::fault::{Fault, RecordFault};
use super::super::server::{Shared, answer_and_log};
use super::super::trigger::{Rewrite, Trigger};
use super::{Done, Unfit, object};

/// `POST /fail`.
pub(super) async fn fail(State(shared): State<Shared>, Json(fault): Json<Fault>) -> Done {
    let mut org = shared.org();
    org.faults.order(fault);
    Ok(Json(json!({ "faults": org.faults.answers.len() })))
}

/// `POST /delay`.
pub(super) async fn delay(State(shared): State<Shared>, Json(delay): Json<Delay>) -> Done {
    let mut org = shared.org();
    org.faults.order(delay.into());
    Ok(Json(json!({ "faults": org.faults.answers.len() })))
}

/// `POST /release`.
pub(super) async fn release(State(shared): State<Shared>) -> Done {
    let mut org = shared.org();
    let now = org.clock.now();
    let mut statuses = Vec::new();
    for request in org.faults.take_late() {
        statuses.push(answer_and_log(&mut org, &request, now, Some("released")).status);
    }
    Ok(Json(json!({ "released": statuses.len(), "statuses": statuses })))
}

/// `POST /fail-record`.
pub(super) async fn fail_record(
    State(shared): State<Shared>,
    Json(fault): Json<RecordFault>,
) -> Done {
    let mut org = shared.org();
    org.faults.records.push(fault);
    Ok(Json(json!({ "faults": org.faults.records.len() })))
}

/// `GET /faults`.
pub(super) async fn faults(State(shared): State<Shared>) -> Done {
    let org = shared.org();
    Ok(Json(json!({ "answers": org.faults.answers, "records": org.faults.records })))
}

/// `DELETE /faults`.
pub(super) async fn clear_faults(State(shared): State<Shared>) -> Done {
    let mut org = shared.org();
    org.faults.answers.clear();
    org.faults.records.clear();
    Ok(Json(json!({})))
}

/// Commits to hold back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldBack {
    seconds: u32,
    object: Option<String>,
    /// `api` or `user`; both if it is not said.
    via: Option<String>,
}

/// `POST /hold`.
pub(super) async fn hold(State(shared): State<Shared>, Json(hold): Json<HoldBack>) -> Done {
    let mut org = shared.org();
    let object = hold.object.as_deref().map(|name| object(&org, name)).transpose()?;
    let via = match hold.via.as_deref() {
        None => None,
        Some("api") => Some(Via::Api),
        Some("user") => Some(Via::User),
        Some(other) => return Err(Unfit(format!("`via` is `api` or `user`, not `{other}`"))),
    };
    let millis = i64::from(hold.seconds) * 1000;
    org.data.hold = (0 < millis).then_some(Hold { millis, object, via });
    Ok(Json(json!({})))
}

/// `POST /publish`.
pub(super) async fn publish(State(shared): State<Shared>) -> Done {
    shared.org().data.publish(i64::MAX);
    Ok(Json(json!({})))
}

/// `POST /connections`.
pub(super) async fn connections(
    State(shared): State<Shared>,
    Json(connections): Json<Connections>,
) -> Done {
    shared.lines.accept(connections.accept);
    Ok(Json(json!({ "accept": shared.lines.is_accepting() })))
}

/// What happens to tokens and logins.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenOrder {
    #[serde(default)]
    expire: bool,
    lifetime_s: Option<u32>,
    rotate: Option<bool>,
    logins_an_hour: Option<usize>,
    /// Whether a new refresh token is wanted.
    #[serde(default)]
    refresh: bool,
}

/// `POST /tokens`.
pub(super) async fn tokens(State(shared): State<Shared>, Json(order): Json<TokenOrder>) -> Done {
    let mut org = shared.org();
    let tokens = &mut org.tokens;
    tokens.lifetime_s = order.lifetime_s.map_or(tokens.lifetime_s, i64::from);
    tokens.rotates = order.rotate.unwrap_or(tokens.rotates);
    tokens.logins_max = order.logins_an_hour.unwrap_or(tokens.logins_max);
    let expired = if order.expire { tokens.expire_all() } else { 0 };
    let mut answer = json!({ "expired": expired, "lifetime_s": tokens.lifetime_s });
    if order.refresh {
        let grant = tokens.next_grant();
        answer["refresh_token"] = json!(add_refresh(&mut org, grant));
    }
    Ok(Json(answer))
}

/// What the organisation is and how it lets clients in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AppOrder {
    /// PEM; an empty text takes the registered one away.
    certificate: Option<String>,
    sandbox: Option<bool>,
    soap_login: Option<bool>,
    password_flow: Option<bool>,
}

/// `POST /app`.
pub(super) async fn app(State(shared): State<Shared>, Json(order): Json<AppOrder>) -> Done {
    let mut org = shared.org();
    let key = match order.certificate.as_deref() {
        None => org.app.key.take(),
        Some("") => None,
        Some(pem) => Some(key_of(pem).map_err(|wrong| Unfit(format!("`certificate` {wrong}")))?),
    };
    if let Some(sandbox) = order.sandbox {
        org.set_sandbox(sandbox)?;
    }
    let app = &mut org.app;
    app.key = key;
    app.soap_login = order.soap_login.unwrap_or(app.soap_login);
    app.password_flow = order.password_flow.unwrap_or(app.password_flow);
    Ok(Json(json!({
        "certificate": app.key.is_some(), "sandbox": app.sandbox,
        "soap_login": app.soap_login, "password_flow": app.password_flow,
    })))
}

/// `POST /clock`.
pub(super) async fn set_clock(State(shared): State<Shared>, Json(order): Json<ClockOrder>) -> Done {
    order.turn(&mut shared.org().clock)?;
    clock(State(shared)).await
}

/// `GET /clock`.
pub(super) async fn clock(State(shared): State<Shared>) -> Done {
    Ok(shown(&shared.org().clock, stamp))
}

/// Calls a day.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuotaOrder {
    max: Option<u64>,
    used: Option<u64>,
    per_app: Option<bool>,
    /// Batches and query jobs of the last day.
    bulk_batches: Option<usize>,
    bulk_queries: Option<usize>,
}

/// `POST /quota`.
pub(super) async fn quota(State(shared): State<Shared>, Json(order): Json<QuotaOrder>) -> Done {
    let mut org = shared.org();
    let now = second(org.clock.now());
    if let Some(max) = order.max {
        org.quota.max = max;
    }
    if let Some(used) = order.used {
        org.quota.set_used(now, used);
    }
    org.quota.per_app = order.per_app.unwrap_or(org.quota.per_app);
    let millis = org.clock.now();
    // More than the largest limit says no more than the limit.
    let spent = |count: usize| vec![millis; count.min(BATCHES_A_DAY)];
    if let Some(count) = order.bulk_batches {
        org.bulk.batches = spent(count);
    }
    if let Some(count) = order.bulk_queries {
        org.bulk.queries = spent(count);
    }
    Ok(Json(json!({ "max": org.quota.max, "used": org.quota.used(now) })))
}

/// Calls that take long.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConcurrencyOrder {
    max: Option<usize>,
    long_ms: Option<u32>,
    busy: Option<usize>,
}

/// `POST /concurrency`.
pub(super) async fn concurrency(
    State(shared): State<Shared>,
    Json(order): Json<ConcurrencyOrder>,
) -> Done {
    let mut org = shared.org();
    let now = org.clock.now();
    let calls = &mut org.concurrency;
    calls.max = order.max.unwrap_or(calls.max);
    calls.long_ms = order.long_ms.map_or(calls.long_ms, i64::from);
    calls.busy = order.busy.unwrap_or(calls.busy);
    Ok(Json(json!({ "max": calls.max, "long_ms": calls.long_ms, "running": calls.long(0, now) })))
}

/// A trigger to add, or the triggers of a field to end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TriggerOrder {
    object: String,
    field: String,
    rewrite: Option<Rewrite>,
}

/// `POST /trigger`.
pub(super) async fn trigger(State(shared): State<Shared>, Json(order): Json<TriggerOrder>) -> Done {
    let mut org = shared.org();
    let object = object(&org, &order.object)?;
    let spec = org.data.model.object(object);
    let found = spec.find_any(&order.field).filter(|at| spec.field(*at).kind.is_text());
    let Some(field) = found else {
        return Err(Unfit(format!("`{}` has no text field `{}`", spec.name, order.field)));
    };
    match order.rewrite {
        Some(rewrite) => {
            org.data.triggers.push(Trigger { object, field, rewrite, fired: 0 });
        }
        None => org.data.triggers.retain(|t| (t.object, t.field) != (object, field)),
    }
    Ok(Json(json!({ "triggers": org.data.triggers.len() })))
}

/// How cursors answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CursorOrder {
    frozen: Option<bool>,
    #[serde(default)]
    expire: bool,
}

/// `POST /cursors`.
pub(super) async fn cursors(State(shared): State<Shared>, Json(order): Json<CursorOrder>) -> Done {
    let mut org = shared.org();
    org.cursors.frozen = order.frozen.unwrap_or(org.cursors.frozen);
    let now = org.clock.now();
    let expired = if order.expire { org.cursors.expire(now) } else { 0 };
    Ok(Json(json!({ "frozen": org.cursors.frozen, "expired": expired })))
}

/// How jobs are carried out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BulkOrder {
    seconds: Option<u32>,
    batch: Option<usize>,
    fail_after: Option<usize>,
    message: Option<String>,
    hard_delete: Option<bool>,
}

/// `POST /bulk`.
pub(super) async fn bulk(State(shared): State<Shared>, Json(order): Json<BulkOrder>) -> Done {
    let mut org = shared.org();
    let pace = &mut org.bulk.pace;
    if order.batch == Some(0) {
        return Err(Unfit("`batch` is a number of rows above 0".to_owned()));
    }
    pace.millis = order.seconds.map_or(pace.millis, |seconds| i64::from(seconds) * 1000);
    pace.batch = order.batch.unwrap_or(pace.batch);
    pace.hard_delete = order.hard_delete.unwrap_or(pace.hard_delete);
    let message = order.message.unwrap_or_else(|| "InvalidBatch : failed on request".to_owned());
    pace.fail = order.fail_after.map(|after| (after, message));
    Ok(Json(json!({ "seconds": pace.millis / 1000, "batch": pace.batch })))
}

/// `POST /reset`.
pub(super) async fn reset(State(shared): State<Shared>) -> Json<Value> {
    shared.lines.accept(true);
    shared.org().reset();
    Json(json!({}))
}
