//! `composite/batch`: requests that have nothing to do with each other; none is taken back.

use serde_json::{Value as Json, json};

use super::super::clock::second;
use super::super::org::Org;
use super::super::refusal::{Refusal, TOO_MANY};
use super::composite::{json_of, send};
use super::{Answer, Answered, Call};

/// Requests of one call.
const REQUESTS_MAX: usize = 25;

/// `POST /composite/batch`.
pub(super) fn batch(org: &mut Org, call: &Call<'_>) -> Answered {
    let body = call.request.object()?;
    let Some(Json::Array(list)) = body.get("batchRequests") else {
        return Err(Refusal::new("MISSING_ARGUMENT", "batchRequests must be given").into());
    };
    if REQUESTS_MAX < list.len() {
        let message = format!("a batch takes {REQUESTS_MAX} requests; these are {}", list.len());
        return Err(Refusal::new(TOO_MANY, message).into());
    }
    let halts = body.get("haltOnError") == Some(&Json::Bool(true));
    let mut results = Vec::new();
    let mut has_errors = false;
    for one in list {
        let answer = if halts && has_errors {
            let refusal =
                Refusal::new("BATCH_PROCESSING_HALTED", "Batch processing halted per request");
            Answer::error(412, &refusal)
        } else {
            answer(org, call, one)
        };
        has_errors |= 400 <= answer.status;
        results.push(json!({ "statusCode": answer.status, "result": json_of(&answer) }));
    }
    Ok(Answer::new(200, json!({ "hasErrors": has_errors, "results": results })))
}

/// Each counts as a call of its own, unlike those of a composite.
fn answer(org: &mut Org, call: &Call<'_>, one: &Json) -> Answer {
    let (Some(method), Some(url)) = (one["method"].as_str(), one["url"].as_str()) else {
        let refusal = Refusal::new("MISSING_ARGUMENT", "each request needs method and url");
        return Answer::error(400, &refusal);
    };
    if let Err(refusal) = org.quota.spend(second(call.now)) {
        return Answer::error(refusal.status(), &refusal);
    }
    let url = if url.starts_with('/') { url.to_owned() } else { format!("/services/data/{url}") };
    let body = one.get("richInput").filter(|body| !body.is_null());
    send(org, call, (&method.to_uppercase(), &url), (body, &[]))
}
