//! Orders that make life hard: failing answers, clocks, tokens, limits.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::super::control::{ClockOrder, Connections, Delay, shown};
use super::super::super::fault::{self, Fault};
use super::super::fault::RecordFault;
use super::super::server::{Shared, answer_and_log};
use super::super::value::stamp;
use super::Done;

/// `POST /fail`.
pub(super) async fn fail(State(shared): State<Shared>, Json(order): Json<Fault>) -> Done {
    let mut org = shared.org();
    fault::order(&mut org.faults.answers, order);
    Ok(Json(json!({ "faults": org.faults.answers.len() })))
}

/// `POST /delay`.
pub(super) async fn delay(State(shared): State<Shared>, Json(delay): Json<Delay>) -> Done {
    let mut org = shared.org();
    fault::order(&mut org.faults.answers, delay.into());
    Ok(Json(json!({ "faults": org.faults.answers.len() })))
}

/// `POST /release`.
pub(super) async fn release(State(shared): State<Shared>) -> Done {
    let mut org = shared.org();
    let mut statuses = Vec::new();
    for request in org.faults.take_late() {
        statuses.push(answer_and_log(&mut org, &request, Some("released")).status);
    }
    Ok(Json(json!({ "released": statuses.len(), "statuses": statuses })))
}

/// `POST /fail-record`.
pub(super) async fn fail_record(
    State(shared): State<Shared>,
    Json(order): Json<RecordFault>,
) -> Done {
    let mut org = shared.org();
    org.faults.records.push(order);
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

/// `POST /connections`.
pub(super) async fn connections(
    State(shared): State<Shared>,
    Json(order): Json<Connections>,
) -> Done {
    shared.lines.accept(order.accept);
    Ok(Json(json!({ "accept": shared.lines.is_accepting() })))
}

/// What happens to tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenOrder {
    #[serde(default)]
    expire: bool,
    lifetime_s: Option<u32>,
}

/// `POST /tokens`.
pub(super) async fn tokens(State(shared): State<Shared>, Json(order): Json<TokenOrder>) -> Done {
    let mut org = shared.org();
    let tokens = &mut org.tokens;
    tokens.lifetime_s = order.lifetime_s.map_or(tokens.lifetime_s, i64::from);
    let expired = if order.expire { tokens.expire_all() } else { 0 };
    Ok(Json(json!({ "expired": expired, "lifetime_s": tokens.lifetime_s })))
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

/// Service protection.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsOrder {
    requests: Option<usize>,
    execution_ms: Option<u32>,
    concurrent: Option<usize>,
    window_s: Option<u32>,
    cost_ms: Option<u32>,
    busy: Option<usize>,
    /// Requests of the window that are used.
    used: Option<usize>,
    parallelism: Option<u32>,
    #[serde(default)]
    clear: bool,
}

/// `POST /limits`.
pub(super) async fn limits(State(shared): State<Shared>, Json(order): Json<LimitsOrder>) -> Done {
    let mut guard = shared.org();
    let org = &mut *guard;
    let now = org.clock.now();
    let limits = &mut org.protection;
    limits.requests_max = order.requests.unwrap_or(limits.requests_max);
    limits.execution_max_ms = order.execution_ms.map_or(limits.execution_max_ms, i64::from);
    limits.concurrent_max = order.concurrent.unwrap_or(limits.concurrent_max);
    limits.window_ms = order.window_s.map_or(limits.window_ms, |s| i64::from(s) * 1000);
    limits.cost_ms = order.cost_ms.map_or(limits.cost_ms, i64::from);
    limits.busy = order.busy.unwrap_or(limits.busy);
    limits.parallelism = order.parallelism.unwrap_or(limits.parallelism);
    if order.clear {
        limits.clear();
    }
    if let Some(used) = order.used {
        limits.use_up(used, now);
    }
    let (left, seconds) = limits.left(now);
    Ok(Json(json!({ "requests_left": left, "seconds_left": seconds })))
}

/// How change tracking answers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrackingOrder {
    #[serde(default)]
    expire: bool,
    expired_status: Option<u16>,
    retention_days: Option<u32>,
    first_page: Option<bool>,
    repeats: Option<bool>,
}

/// `POST /tracking`.
pub(super) async fn tracking(
    State(shared): State<Shared>,
    Json(order): Json<TrackingOrder>,
) -> Done {
    let mut guard = shared.org();
    let org = &mut *guard;
    let tracking = &mut org.tracking;
    tracking.expired_status = order.expired_status.unwrap_or(tracking.expired_status);
    tracking.retention_days = order.retention_days.map_or(tracking.retention_days, i64::from);
    tracking.first_page = order.first_page.unwrap_or(tracking.first_page);
    tracking.repeats = order.repeats.unwrap_or(tracking.repeats);
    if order.expire {
        // Tokens that are handed out from now on are of a later version.
        tracking.expired_upto = org.data.version();
        org.data.next_version();
    }
    Ok(Json(json!({ "expired_upto": org.tracking.expired_upto })))
}

/// `POST /reset`.
pub(super) async fn reset(State(shared): State<Shared>) -> Json<Value> {
    shared.lines.accept(true);
    shared.org().reset();
    Json(json!({}))
}
