//! `composite`: requests that are carried out in order in one call, and may use what those before
//! them answered.
//!
//! The outer answer is 200 whatever becomes of the inner ones. With `allOrNone` the first failure
//! takes everything back; without, it stops only those that refer to it.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value as Json, json};

use super::super::org::Org;
use super::super::refusal::{Refusal, TOO_MANY};
use super::{Answer, Answered, Body, Call, Failure, Request};

/// Requests of one call, and how many of them may be queries or collections.
const REQUESTS_MAX: usize = 25;
const LARGE_MAX: usize = 5;
const HALTED: &str = "PROCESSING_HALTED";
/// Headers that a request within another may bring; conditions are not among them.
const HEADERS: [&str; 4] =
    ["sforce-auto-assign", "sforce-query-options", "sforce-mru", "sforce-duplicate-rule-header"];

/// One request of many.
pub(super) struct Inner {
    pub(super) method: String,
    pub(super) url: String,
    /// Under which others refer to its answer.
    pub(super) reference: String,
    pub(super) body: Option<Json>,
    headers: Vec<(String, String)>,
}

impl Inner {
    /// Reads a request of `compositeRequest`.
    pub(super) fn read(json: &Json) -> Result<Inner, Failure> {
        let text = |name: &str| json[name].as_str().map(str::to_owned);
        let needed = |name: &str| {
            text(name).ok_or_else(|| missing(&format!("each request needs a text `{name}`")))
        };
        let headers = json["httpHeaders"].as_object().into_iter().flatten();
        Ok(Inner {
            method: needed("method")?.to_uppercase(),
            url: needed("url")?,
            reference: needed("referenceId")?,
            body: json.get("body").filter(|body| !body.is_null()).cloned(),
            headers: headers
                .filter_map(|(name, value)| {
                    Some((name.to_ascii_lowercase(), value.as_str()?.to_owned()))
                })
                .filter(|(name, _)| HEADERS.contains(&name.as_str()))
                .collect(),
        })
    }

    /// The references that stand in its address and its body.
    pub(super) fn references(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect(&Json::String(self.url.clone()), &mut found);
        if let Some(body) = &self.body {
            collect(body, &mut found);
        }
        found
    }
}

fn missing(message: &str) -> Failure {
    Refusal::new("MISSING_ARGUMENT", message).into()
}

/// `POST /composite`.
pub(super) fn composite(org: &mut Org, call: &Call<'_>) -> Answered {
    let body = call.request.object()?;
    let Some(Json::Array(list)) = body.get("compositeRequest") else {
        return Err(missing("compositeRequest must be given"));
    };
    let all_or_none = body.get("allOrNone") == Some(&Json::Bool(true));
    let inner: Vec<Inner> = list.iter().map(Inner::read).collect::<Result<_, _>>()?;
    check(&inner)?;
    let (answers, _) = carry_out(org, call, &inner, all_or_none);
    Ok(Answer::new(200, json!({ "compositeResponse": answers })))
}

fn check(inner: &[Inner]) -> Result<(), Failure> {
    let large = |inner: &&Inner| {
        let path = inner.url.split('?').next().unwrap_or_default();
        path.contains("/query") || path.contains("/composite/sobjects")
    };
    let large = inner.iter().filter(large).count();
    if REQUESTS_MAX < inner.len() || LARGE_MAX < large {
        let message = format!(
            "a composite takes {REQUESTS_MAX} requests, {LARGE_MAX} of them queries or \
             collections; these are {} and {large}",
            inner.len()
        );
        return Err(Refusal::new(TOO_MANY, message).into());
    }
    unique(inner)
}

/// No two requests have the same reference.
pub(super) fn unique(inner: &[Inner]) -> Result<(), Failure> {
    for (place, one) in inner.iter().enumerate() {
        if inner[..place].iter().any(|other| other.reference == one.reference) {
            let message = format!("Duplicate referenceId: {}", one.reference);
            return Err(Refusal::new("INVALID_INPUT", message).into());
        }
    }
    Ok(())
}

/// Carries requests out in order; whether all went well.
pub(super) fn carry_out(
    org: &mut Org,
    call: &Call<'_>,
    inner: &[Inner],
    all_or_none: bool,
) -> (Vec<Json>, bool) {
    let mark = org.data.begin();
    let mut known: BTreeMap<&str, Json> = BTreeMap::new();
    let mut answers = Vec::new();
    let mut guilty = None;
    for (place, one) in inner.iter().enumerate() {
        let answer = match resolved(one, &known) {
            Ok((url, body)) => send(org, call, (&one.method, &url), (body.as_ref(), &one.headers)),
            Err(refusal) => Answer::error(400, &refusal),
        };
        let failed = 400 <= answer.status;
        if !failed && let Body::Json(body) = &answer.body {
            known.insert(&one.reference, body.clone());
        }
        answers.push(shown(&one.reference, &answer));
        if failed && guilty.is_none() {
            guilty = Some(place);
            if all_or_none {
                break;
            }
        }
    }
    if let Some(guilty) = guilty.filter(|_| all_or_none) {
        org.data.roll_back(&mark);
        let message = "The transaction was rolled back since another operation in the same \
                       transaction failed.";
        let halted = Answer::error(400, &Refusal::new(HALTED, message));
        for (place, one) in inner.iter().enumerate().filter(|(place, _)| *place != guilty) {
            let answer = shown(&one.reference, &halted);
            match answers.get_mut(place) {
                Some(before) => *before = answer,
                None => answers.push(answer),
            }
        }
    }
    org.data.commit();
    (answers, guilty.is_none())
}

fn shown(reference: &str, answer: &Answer) -> Json {
    let location = answer.headers.iter().find(|(name, _)| *name == "location");
    let headers = location.map_or(json!({}), |(_, url)| json!({ "Location": url }));
    json!({
        "body": json_of(answer),
        "httpHeaders": headers,
        "httpStatusCode": answer.status,
        "referenceId": reference,
    })
}

/// The body of an answer within another.
pub(super) fn json_of(answer: &Answer) -> Json {
    match &answer.body {
        Body::Empty => Json::Null,
        Body::Json(body) => body.clone(),
        Body::Text(_, text) => json!(text),
    }
}

/// Sends one request to the resources that may stand within another.
pub(super) fn send(
    org: &mut Org,
    call: &Call<'_>,
    (method, url): (&str, &str),
    (body, given): (Option<&Json>, &[(String, String)]),
) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    for (name, value) in given {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
        {
            headers.insert(name, value);
        }
    }
    let body = body.map(ToString::to_string).unwrap_or_default().into_bytes();
    let number = call.request.number;
    let request = Request { number, ..Request::new(method, url, headers, body) };
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let answered = match path.as_slice() {
        ["services", "data", version, rest @ ..] if may_stand_within(rest) => {
            super::metadata::check_version(version).and_then(|()| {
                let call = Call { request: &request, version, now: call.now };
                super::resource(org, &call, rest)
            })
        }
        _ => Err(super::not_found()),
    };
    answered.unwrap_or_else(|failure| *failure.0)
}

fn may_stand_within(path: &[&str]) -> bool {
    matches!(
        path,
        ["sobjects" | "query" | "queryAll" | "limits" | "search" | "parameterizedSearch", ..]
            | ["composite", "sobjects", ..]
    )
}

/// Puts answers where a request refers to them.
fn resolved(one: &Inner, known: &BTreeMap<&str, Json>) -> Result<(String, Option<Json>), Refusal> {
    let url = filled(&Json::String(one.url.clone()), known)?;
    let url = url.as_str().map_or_else(|| url.to_string(), str::to_owned);
    let body = one.body.as_ref().map(|body| filled(body, known)).transpose()?;
    Ok((url, body))
}

fn filled(json: &Json, known: &BTreeMap<&str, Json>) -> Result<Json, Refusal> {
    Ok(match json {
        Json::Null | Json::Bool(_) | Json::Number(_) => json.clone(),
        Json::String(text) => filled_text(text, known)?,
        Json::Array(list) => {
            Json::Array(list.iter().map(|one| filled(one, known)).collect::<Result<_, _>>()?)
        }
        Json::Object(map) => {
            let pairs = map.iter().map(|(name, one)| Ok((name.clone(), filled(one, known)?)));
            Json::Object(pairs.collect::<Result<_, Refusal>>()?)
        }
    })
}

fn filled_text(text: &str, known: &BTreeMap<&str, Json>) -> Result<Json, Refusal> {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, path, after)) = next_reference(rest) {
        let value = look_up(path, known)?;
        if before.is_empty() && after.is_empty() && whole.is_empty() {
            return Ok(value);
        }
        whole.push_str(before);
        whole.push_str(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        rest = after;
    }
    whole.push_str(rest);
    Ok(Json::String(whole))
}

/// The text before the next `@{path}`, the path, and the text behind.
fn next_reference(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("@{")?;
    let (path, after) = rest.split_once('}')?;
    Some((before, path, after))
}

/// `ref.records[0].Id` in the answers so far.
fn look_up(path: &str, known: &BTreeMap<&str, Json>) -> Result<Json, Refusal> {
    let mut steps = path.split(['.', '[', ']']).filter(|step| !step.is_empty());
    let reference = steps.next().unwrap_or_default();
    let mut value = known.get(reference);
    for step in steps {
        value = match (value, step.parse::<usize>()) {
            (Some(Json::Array(list)), Ok(place)) => list.get(place),
            (Some(value), _) => value.get(step),
            (None, _) => None,
        };
    }
    value.cloned().ok_or_else(|| {
        let message =
            format!("Invalid reference specified. No value for {path} found in {reference}");
        Refusal::new(HALTED, message)
    })
}

fn collect(json: &Json, found: &mut Vec<String>) {
    match json {
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
        Json::String(text) => {
            let mut rest = text.as_str();
            while let Some((_, path, after)) = next_reference(rest) {
                let end = path.find(['.', '[']).unwrap_or(path.len());
                found.push(path[..end].to_owned());
                rest = after;
            }
        }
        Json::Array(list) => list.iter().for_each(|one| collect(one, found)),
        Json::Object(map) => map.values().for_each(|one| collect(one, found)),
    }
}
