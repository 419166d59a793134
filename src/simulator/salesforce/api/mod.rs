//! The REST API: what a request says, who answers it, and in which form.

mod auth;
mod batch;
mod collections;
mod composite;
mod condition;
mod extract;
mod graph;
mod ingest;
mod jobs;
mod jwt;
mod metadata;
mod old_bulk;
mod query;
mod replication;
mod rows;
mod search;
mod soap;
mod tree;

use axum::http::HeaderMap;
use serde_json::{Map, Value as Json, json};

pub(super) use auth::add_refresh;
pub(super) use ingest::BATCHES_A_DAY;
pub(super) use jwt::key_of;
pub(super) use query::Cursors;

use super::super::wire::decode_path;
pub(super) use super::super::wire::pairs;
use super::clock::{Millis, http_date, second};
use super::org::Org;
use super::refusal::{Refusal, UNREADABLE};

/// Longest URI, and longest URI with headers (Salesforce: "REST API Limits").
const HEAD_LENGTH_MAX: usize = 16_384;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub(super) number: u64,
    pub(super) method: String,
    /// Path and query as sent.
    pub(super) target: String,
    /// The parts of the path, decoded; trailing slashes gone.
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// It was let in before, and only its effect was put off.
    pub(super) admitted: bool,
}

impl Request {
    pub(super) fn new(method: &str, target: &str, headers: HeaderMap, body: Vec<u8>) -> Request {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Request {
            number: 0,
            method: method.to_owned(),
            target: target.to_owned(),
            path: path.split('/').filter(|part| !part.is_empty()).map(decode_path).collect(),
            query: pairs(query),
            headers,
            body,
            admitted: false,
        };
        if let Some(method) = request.parameter("_HttpMethod").map(str::to_uppercase)
            && request.method == "POST"
        {
            request.method = method;
        }
        request
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as a JSON object.
    fn object(&self) -> Result<Map<String, Json>, Failure> {
        let kind = self.header("content-type").unwrap_or_default().to_ascii_lowercase();
        if !kind.contains("json") {
            let message = "Unsupported Media Type: the body must be application/json";
            return Err(Refusal::new("UNSUPPORTED_MEDIA_TYPE", message).into());
        }
        match serde_json::from_slice(&self.body) {
            Ok(Json::Object(object)) => Ok(object),
            Ok(_) => Err(Refusal::new(UNREADABLE, "The body must be a JSON object").into()),
            Err(error) => Err(Refusal::new(UNREADABLE, error.to_string()).into()),
        }
    }

    fn head_length(&self) -> usize {
        let line = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
            name.as_str().len() + value.len() + 4
        };
        self.target.len() + self.headers.iter().map(line).sum::<usize>()
    }
}

/// What the body of an answer is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    Empty,
    Json(Json),
    /// A text of that content type.
    Text(&'static str, String),
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Body,
    /// Records that it carries.
    pub(super) rows: usize,
}

impl Answer {
    pub(super) fn new(status: u16, body: Json) -> Answer {
        Answer { status, headers: Vec::new(), body: Body::Json(body), rows: 0 }
    }

    pub(super) fn empty(status: u16) -> Answer {
        Answer { status, headers: Vec::new(), body: Body::Empty, rows: 0 }
    }

    pub(super) fn html(status: u16, title: &str) -> Answer {
        let page = format!("<html><head><title>{title}</title></head><body>{title}</body></html>");
        let body = Body::Text("text/html;charset=UTF-8", page);
        Answer { status, headers: Vec::new(), body, rows: 0 }
    }

    fn csv(text: String) -> Answer {
        Answer { status: 200, headers: Vec::new(), body: Body::Text("text/csv", text), rows: 0 }
    }

    pub(super) fn error(status: u16, refusal: &Refusal) -> Answer {
        Answer::new(status, json!([refusal.json("errorCode")]))
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }

    fn rows(self, rows: usize) -> Answer {
        Answer { rows, ..self }
    }
}

/// A request that came to nothing: its answer, already in the form it is sent.
struct Failure(Box<Answer>);

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure(Box::new(Answer::error(refusal.status(), &refusal)))
    }
}

impl From<Answer> for Failure {
    fn from(answer: Answer) -> Failure {
        Failure(Box::new(answer))
    }
}

type Answered = Result<Answer, Failure>;

/// Answers a request.
pub(super) fn answer(org: &mut Org, request: &Request, now: Millis) -> Answer {
    let answer = route(org, request, now).unwrap_or_else(|failure| *failure.0);
    let used = org.quota.used(second(now));
    let answer = answer.with("date", http_date(second(now)));
    if request.target.starts_with("/services/data") {
        let mut usage = format!("api-usage={used}/{}", org.quota.max);
        if org.quota.per_app {
            usage = format!("{usage}; per-app-api-usage={used}/{}(appName=truce)", org.quota.max);
        }
        return answer.with("sforce-limit-info", usage);
    }
    answer
}

fn route(org: &mut Org, request: &Request, now: Millis) -> Answered {
    if HEAD_LENGTH_MAX < request.target.len() {
        return Err(Answer::html(414, "URI Too Long").into());
    }
    if HEAD_LENGTH_MAX < request.head_length() {
        return Err(Answer::html(431, "Request Header Fields Too Large").into());
    }
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["services", "oauth2", "token"] => Ok(auth::token(org, request, now)),
        ["services", "oauth2", "revoke"] => Ok(auth::revoke(org, request)),
        ["services", "oauth2", "introspect"] => Ok(auth::introspect(org, request, now)),
        ["services", "oauth2", "userinfo"] => auth::identity(org, request, now),
        ["id", of_org, of_user] => auth::identity_at(org, request, (of_org, of_user), now),
        ["services", "Soap", "u" | "c", version, ..] => {
            Ok(soap::answer(org, request, version, now))
        }
        ["services", "async", version, "job", rest @ ..] => {
            Ok(old_bulk::answer(org, request, (version, rest), now))
        }
        ["services", "data"] => Ok(metadata::versions()),
        ["services", "data", version, rest @ ..] => {
            metadata::check_version(version)?;
            if !request.admitted {
                auth::authenticate(org, request, now)?;
                org.concurrency.admit(request.number, now)?;
                org.quota.spend(second(now))?;
            }
            let call = Call { request, version, now };
            resource(org, &call, rest)
        }
        _ => Err(not_found()),
    }
}

/// A request of a resource, authenticated.
struct Call<'a> {
    request: &'a Request,
    version: &'a str,
    now: Millis,
}

fn resource(org: &mut Org, call: &Call<'_>, path: &[&str]) -> Answered {
    let method = call.request.method.as_str();
    match (path, method) {
        ([], "GET") => Ok(metadata::root(org, call)),
        (["limits"], "GET") => Ok(metadata::limits(org, call)),
        (["limits", "recordCount"], "GET") => Ok(metadata::record_count(org, call)),
        (["sobjects"], "GET") => metadata::global(org, call),
        (["sobjects", object], "GET") => metadata::basic(org, call, object),
        (["sobjects", object] | ["sobjects", object, "Id"], "POST") => {
            rows::create(org, call, object)
        }
        (["sobjects", object, "describe"], "GET") => metadata::describe(org, call, object),
        (["sobjects", object, "updated"], "GET") => replication::updated(org, call, object),
        (["sobjects", object, "deleted"], "GET") => replication::deleted(org, call, object),
        (["sobjects", object, rest @ ..], "GET" | "HEAD") if rows::is_row(rest) => {
            rows::read(org, call, (object, rest))
        }
        (["sobjects", object, rest @ ..], "PATCH") if rows::is_row(rest) => {
            rows::change(org, call, (object, rest))
        }
        (["sobjects", object, rest @ ..], "DELETE") if rows::is_row(rest) => {
            rows::delete(org, call, (object, rest))
        }
        (["query"], "GET") => query::query(org, call, super::soql::run::Scope::Live),
        (["queryAll"], "GET") => query::query(org, call, super::soql::run::Scope::All),
        (["query" | "queryAll", locator], "GET") => query::more(org, call, locator),
        (["composite", "sobjects"], "POST") => collections::create(org, call),
        (["composite", "sobjects"], "PATCH") => collections::update(org, call),
        (["composite", "sobjects"], "DELETE") => collections::delete(org, call),
        (["composite", "sobjects", object], "GET" | "POST") => {
            collections::retrieve(org, call, object)
        }
        (["composite", "sobjects", object, field], "PATCH") => {
            collections::upsert(org, call, (object, field))
        }
        (["search"], "GET") => search::search(org, call),
        (["parameterizedSearch"], "GET" | "POST") => search::parameterized(org, call),
        (["composite"], "GET") => Ok(metadata::composites(call)),
        (["composite"], "POST") => composite::composite(org, call),
        (["composite", "batch"], "POST") => batch::batch(org, call),
        (["composite", "graph"], "POST") => graph::graph(org, call),
        (["composite", "tree", object], "POST") => tree::tree(org, call, object),
        (["jobs", "ingest", rest @ ..], _) => ingest::route(org, call, rest),
        (["jobs", "query", rest @ ..], _) => extract::route(org, call, rest),
        (known, _) if is_resource(known) => Err(not_allowed(method)),
        _ => Err(not_found()),
    }
}

/// Whether a path leads somewhere by another method.
fn is_resource(path: &[&str]) -> bool {
    let Some((first, rest)) = path.split_first() else { return true };
    match *first {
        "limits" => rest.is_empty() || rest == ["recordCount"],
        "search" | "parameterizedSearch" => rest.is_empty(),
        "query" | "queryAll" => rest.len() <= 1,
        "sobjects" => rest.len() <= 3,
        "composite" => {
            rest.is_empty() || matches!(rest[0], "sobjects" | "batch" | "graph" | "tree")
        }
        _ => false,
    }
}

fn not_found() -> Failure {
    Refusal::new("NOT_FOUND", "The requested resource does not exist").into()
}

fn not_allowed(method: &str) -> Failure {
    let message = format!("HTTP Method '{method}' not allowed.");
    Refusal::new("METHOD_NOT_ALLOWED", message).into()
}

fn invalid_locator() -> Failure {
    Refusal::new("INVALID_QUERY_LOCATOR", "invalid query locator").into()
}

/// The object of a path.
fn object_of(org: &Org, name: &str) -> Result<usize, Failure> {
    org.data.model.find(name).ok_or_else(not_found)
}
