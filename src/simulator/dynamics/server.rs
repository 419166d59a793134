//! The https side: bytes to requests, the trouble that was ordered, answers to bytes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body as Bytes, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{Request as HttpRequest, Response, header};

use super::super::clock::Millis;
use super::super::fault::{Effect, Failing, Fault};
use super::super::line::Lines;
use super::super::wire::{GZIP_FROM, accepts_gzip, pack, unpack};
use super::api;
use super::exchange::{Answer, Body, Request};
use super::fault::refusal_of;
use super::org::{Logged, Org};
use super::refusal::Refusal;

/// Largest body; the service takes about as much.
const BODY_MAX: usize = 128 * 1024 * 1024;
/// Request headers that a test may ask about.
const LOGGED: [&str; 8] = [
    "prefer",
    "if-match",
    "if-none-match",
    "callerobjectid",
    "mscrmcallerid",
    "mscrm.suppressduplicatedetection",
    "mscrm.bypassbusinesslogicexecution",
    "mscrm.bypasscustompluginexecution",
];

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

    /// The environment, for as long as one request takes. A panic under the lock is a bug that a
    /// test has seen already: the state is still whole enough to be looked at.
    pub(super) fn org(&self) -> MutexGuard<'_, Org> {
        self.org.lock().unwrap_or_else(PoisonError::into_inner)
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
    let read = to_bytes(body, BODY_MAX).await.map_err(|error| error.to_string());
    let answer = match read.and_then(|body| unpack(&head.headers, body.to_vec(), BODY_MAX)) {
        Ok(body) => {
            let request = Request::new(head.method.as_str(), &target, head.headers, body);
            carry_out(&shared, client, request).await
        }
        Err(error) => Refusal::new(413, "0x8004418a", error).into(),
    };
    respond(answer, packed)
}

async fn carry_out(shared: &Shared, client: SocketAddr, mut request: Request) -> Answer {
    let fate = {
        let mut org = shared.org();
        request.number = org.log.next_number();
        let now = org.clock.now();
        if api::is_of_service(&request) {
            org.protection.begin(request.number, now);
        }
        org.faults.fate(&request)
    };
    let _under_way = UnderWay { shared, number: request.number };
    if 0 < fate.delay_ms {
        tokio::time::sleep(Duration::from_millis(fate.delay_ms)).await;
    }
    let mut org = shared.org();
    let now = org.clock.now();
    let Some(fault) = fate.fault else {
        return answer_and_log(&mut org, &request, None);
    };
    let name = match (fault.kind, fault.effect) {
        (Failing::Late, _) => "late",
        (_, Effect::After) => "after",
        (_, Effect::Before) => "before",
    };
    if fault.kind != Failing::Late && fault.effect == Effect::After {
        // The request and its own status are in the log; the client gets something else.
        answer_and_log(&mut org, &request, Some(name));
    } else {
        let status = fault.status.unwrap_or(0);
        org.log.push(logged(&request, now, &Answer::empty(status), Some(name)));
    }
    let spoilt = spoilt(&fault, &request, org.now());
    if fault.kind == Failing::Late {
        org.faults.keep_late(request);
    }
    if fault.kind == Failing::Reset || (fault.kind == Failing::Late && fault.status.is_none()) {
        shared.lines.cut(client);
    }
    spoilt
}

/// A request that is being carried out; it ends with its client's patience, too.
struct UnderWay<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut org = self.shared.org();
        let now = org.clock.now();
        org.protection.end(self.number, now);
    }
}

/// The answer of a request that was ordered to fail.
fn spoilt(fault: &Fault, request: &Request, now: i64) -> Answer {
    let refusal = refusal_of(fault);
    if fault.kind == Failing::Html {
        return Answer::html(refusal.status, &refusal.message);
    }
    if request.target.contains("/oauth2/") {
        let code = fault.code.as_deref().unwrap_or("temporarily_unavailable");
        return api::token_error(now, refusal.status, code, (90033, &refusal.message));
    }
    if refusal.status == 401 {
        return api::challenge(request);
    }
    let answer = Answer::from(refusal);
    if answer.status == 429 { answer.with("retry-after", "1") } else { answer }
}

/// Answers, and keeps the request in the log.
pub(super) fn answer_and_log(
    org: &mut Org,
    request: &Request,
    fault: Option<&'static str>,
) -> Answer {
    let now = org.clock.now();
    let answer = api::answer(org, request);
    org.log.push(logged(request, now, &answer, fault));
    answer
}

fn logged(request: &Request, at: Millis, answer: &Answer, fault: Option<&'static str>) -> Logged {
    let body = serde_json::from_slice::<serde_json::Value>(&request.body).unwrap_or_default();
    let kind = api::kind_of(request);
    let operations = match kind {
        "batch" => api::operations(&request.body),
        "multiple" => body["Targets"].as_array().map_or(0, Vec::len),
        _ => usize::from(matches!(kind, "create" | "update" | "delete")),
    };
    let header = |name: &&str| Some(((*name).to_owned(), request.header(name)?.to_owned()));
    Logged {
        number: request.number,
        at,
        method: request.method.clone(),
        target: request.target.clone(),
        status: answer.status,
        kind: kind.to_owned(),
        operations,
        rows: answer.rows,
        fault,
        headers: LOGGED.iter().filter_map(header).collect::<BTreeMap<_, _>>(),
    }
}

fn respond(answer: Answer, packed: bool) -> Response<Bytes> {
    let (kind, body) = match answer.body {
        Body::Empty => (None, Vec::new()),
        Body::Text(kind, text) => (Some(kind), text.into_bytes()),
        Body::Json(body) => {
            let kind = "application/json; odata.metadata=minimal";
            (Some(kind.to_owned()), serde_json::to_vec(&body).unwrap_or_default())
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
