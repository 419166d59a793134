//! What the control addresses of the simulated CRMs have alike: how an order fails, and the orders
//! that are the same whichever CRM it is.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::clock::{Clock, second};
use super::fault::{Effect, Failing, Fault};

/// A seed of some hundred thousand records fits.
pub(super) const BODY_MAX: usize = 1024 * 1024 * 1024;

/// An order that cannot be carried out.
#[derive(Debug)]
pub(super) struct Unfit(pub(super) String);

impl IntoResponse for Unfit {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": self.0 }))).into_response()
    }
}

/// What an order answers.
pub(super) type Done = Result<Json<Value>, Unfit>;

/// Answers that take longer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Delay {
    ms: u64,
    /// How many; all from now on if it is not said.
    count: Option<u64>,
    method: Option<String>,
    path_contains: Option<String>,
}

impl From<Delay> for Fault {
    fn from(delay: Delay) -> Fault {
        Fault {
            count: delay.count.unwrap_or(u64::MAX),
            kind: Failing::Delay,
            effect: Effect::Before,
            status: None,
            code: None,
            message: None,
            method: delay.method,
            path_contains: delay.path_contains,
            delay_ms: delay.ms,
            hits: 0,
        }
    }
}

/// Whether connections are taken.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Connections {
    pub(super) accept: bool,
}

/// Where the clock goes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClockOrder {
    offset_s: Option<f64>,
    at: Option<String>,
    scale: Option<f64>,
}

impl ClockOrder {
    /// Moves the clock.
    #[expect(clippy::cast_possible_truncation, reason = "an offset of seconds fits milliseconds")]
    pub(super) fn turn(&self, clock: &mut Clock) -> Result<(), Unfit> {
        if let Some(at) = &self.at {
            let at: Timestamp = at
                .parse()
                .map_err(|_| Unfit(format!("`{at}` is not like 2026-10-31T12:00:00Z")))?;
            clock.set(at.as_second() * 1000);
        }
        if let Some(offset) = self.offset_s {
            clock.set_offset((offset * 1000.0) as i64);
        }
        if let Some(scale) = self.scale {
            clock.set_scale(scale);
        }
        Ok(())
    }
}

/// What the clock shows, as this CRM prints the second.
pub(super) fn shown(clock: &Clock, stamp: fn(i64) -> String) -> Json<Value> {
    let now = clock.now();
    Json(json!({
        "now": stamp(second(now)), "now_ms": now,
        "offset_ms": clock.offset(), "scale": clock.scale(),
    }))
}
