//! The https side: bytes to requests, the trouble that was ordered, answers to bytes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body as Bytes, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{Request as HttpRequest, Response, header};
use serde_json::json;

use super::super::wire::{GZIP_FROM, accepts_gzip, pack, unpack};
use super::api::{self, Answer, Body, Request};
use super::clock::Millis;
use super::fault::{Effect, Failing, Fault, refusal_of};
use super::line::Lines;
use super::org::{Logged, Org};
use super::refusal::{Refusal, UNREADABLE};

/// Largest body, packed or not (Salesforce: "REST API Limits").
const BODY_MAX: usize = 50 * 1024 * 1024;
/// Largest upload of a job (Salesforce: "Bulk API 2.0 Limits and Allocations").
const UPLOAD_MAX: usize = 100 * 1024 * 1024;

/// What both servers share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    org: Arc<Mutex<Org>>,
    pub(super) lines: Lines,
}

impl Shared {
    pub(super) fn new(org: Org) -> Shared {
        Shared { org: Arc::new(Mutex::new(org)), lines: Lines::new() }
    }

    /// The organisation, for as long as one request takes, with all that is due by its clock. A
    /// panic under the lock is a bug that a test has seen already: the state is still whole enough
    /// to be looked at.
    pub(super) fn org(&self) -> MutexGuard<'_, Org> {
        let mut org = self.org.lock().unwrap_or_else(PoisonError::into_inner);
        org.catch_up();
        org
    }
}

/// The service that answers clients.
pub(super) fn router(shared: Shared) -> Router {
    Router::new().fallback(serve).with_state(shared)
}

async fn serve(
    State(shared): State<Shared>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: HttpRequest<Bytes>,
) -> Response<Bytes> {
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let packed = accepts_gzip(&head.headers);
    let pretty = head.headers.contains_key("x-prettyprint");
    let limit = if target.contains("/jobs/ingest/") { UPLOAD_MAX } else { BODY_MAX };
    let read = to_bytes(body, limit).await.map_err(|error| error.to_string());
    let body = read.and_then(|body| unpack(&head.headers, body.to_vec(), limit));
    let answer = match body {
        Ok(body) => {
            let request = Request::new(head.method.as_str(), &target, head.headers, body);
            carry_out(&shared, client, request).await
        }
        Err(error) => Answer::error(400, &Refusal::new(UNREADABLE, error)),
    };
    respond(answer, packed, pretty)
}

async fn carry_out(shared: &Shared, client: SocketAddr, mut request: Request) -> Answer {
    let fate = {
        let mut org = shared.org();
        request.number = org.log.next_number();
        let now = org.clock.now();
        org.concurrency.begin(request.number, now);
        org.faults.fate(&request)
    };
    let _under_way = UnderWay { shared, number: request.number };
    if 0 < fate.delay_ms {
        tokio::time::sleep(Duration::from_millis(fate.delay_ms)).await;
    }
    let mut org = shared.org();
    let now = org.clock.now();
    let Some(fault) = fate.fault else {
        return answer_and_log(&mut org, &request, now, None);
    };
    let name = match (fault.kind, fault.effect) {
        (Failing::Late, _) => "late",
        (_, Effect::After) => "after",
        (_, Effect::Before) => "before",
    };
    if fault.kind != Failing::Late && fault.effect == Effect::After {
        // The request and its own status are in the log; the client gets something else.
        answer_and_log(&mut org, &request, now, Some(name));
    } else {
        org.log.push(logged(&request, now, fault.status.unwrap_or(0), Some(name)));
    }
    let is_token = request.target.contains("/oauth2/");
    if fault.kind == Failing::Late {
        org.faults.keep_late(request);
    }
    if fault.kind == Failing::Reset || (fault.kind == Failing::Late && fault.status.is_none()) {
        shared.lines.cut(client);
    }
    spoilt(&fault, is_token)
}

/// A request that is being carried out; it ends with its client's patience, too.
struct UnderWay<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.shared.org().concurrency.end(self.number);
    }
}

/// The answer of a request that was ordered to fail.
fn spoilt(fault: &Fault, is_token: bool) -> Answer {
    let (status, refusal) = refusal_of(fault);
    if fault.kind == Failing::Html {
        return Answer::html(status, &refusal.message);
    }
    if is_token {
        let code = fault.code.as_deref().unwrap_or("unknown_error");
        let message = fault.message.as_deref().unwrap_or("retry your request");
        return Answer::new(status, json!({ "error": code, "error_description": message }));
    }
    Answer::error(status, &refusal)
}

/// Answers, and keeps the request in the log.
pub(super) fn answer_and_log(
    org: &mut Org,
    request: &Request,
    now: Millis,
    fault: Option<&'static str>,
) -> Answer {
    org.data.publish(now);
    let answer = api::answer(org, request, now);
    let mut entry = logged(request, now, answer.status, fault);
    entry.rows = answer.rows;
    org.log.push(entry);
    answer
}

fn logged(request: &Request, at: Millis, status: u16, fault: Option<&'static str>) -> Logged {
    let body = serde_json::from_slice::<serde_json::Value>(&request.body).unwrap_or_default();
    let list = |name: &str| body.get(name).and_then(serde_json::Value::as_array);
    let asked = list("ids").into_iter().flatten().filter_map(serde_json::Value::as_str);
    let records = match request.method.as_str() {
        "DELETE" => request.parameter("ids").map_or(1, |ids| ids.split(',').count()),
        "PUT" => request.body.split(|byte| *byte == b'\n').count().saturating_sub(2),
        _ => list("records").or(list("ids")).map_or(usize::from(body.is_object()), Vec::len),
    };
    Logged {
        number: request.number,
        at,
        method: request.method.clone(),
        target: request.target.clone(),
        status,
        records,
        ids: asked.map(ToOwned::to_owned).collect(),
        rows: 0,
        fault,
        client: client_name(request),
    }
}

/// `client=` of `Sforce-Call-Options`, whose parts stand between `;` or `,`.
fn client_name(request: &Request) -> Option<String> {
    let options = request.header("sforce-call-options")?;
    let mut parts = options.split([';', ',']).map(str::trim);
    parts.find_map(|part| part.strip_prefix("client=")).map(str::to_owned)
}

fn respond(answer: Answer, packed: bool, pretty: bool) -> Response<Bytes> {
    let (kind, body) = match answer.body {
        Body::Empty => (None, Vec::new()),
        Body::Text(kind, text) => (Some(kind), text.into_bytes()),
        Body::Json(body) => {
            let text =
                if pretty { serde_json::to_vec_pretty(&body) } else { serde_json::to_vec(&body) };
            (Some("application/json;charset=UTF-8"), text.unwrap_or_default())
        }
    };
    let mut response = Response::builder().status(answer.status);
    if let Some(kind) = kind {
        response = response.header(header::CONTENT_TYPE, kind);
    }
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let body = match Some(&body).filter(|body| packed && GZIP_FROM <= body.len()).map(|b| pack(b)) {
        Some(Ok(small)) => {
            response = response.header(header::CONTENT_ENCODING, "gzip");
            small
        }
        Some(Err(_)) | None => body,
    };
    response.body(Bytes::from(body)).unwrap_or_default()
}
