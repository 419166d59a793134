//! Bulk API 2.0 query: a query is handed in, watched, and its rows fetched page by page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value as Json, json};

use super::super::bulk::extract::{Extract, page, prepare};
use super::super::bulk::{JOBS_MAX, Job, State, Work};
use super::super::clock::Millis;
use super::super::org::Org;
use super::super::refusal::Refusal;
use super::super::soql::run::Scope;
use super::jobs::{self, Kind, invalid_job, text, wrong_state};
use super::{Answer, Answered, Call, Failure};

/// Query jobs of a day.
pub(in super::super) const QUERIES_A_DAY: usize = 10_000;
const DAY_MS: Millis = 86_400_000;
/// Links that `resultPages` gives out at one time.
const RESULT_PAGES_MAX: usize = 5;
/// Rows of a page of `resultPages`; Salesforce chooses it by size.
const RESULT_PAGE_ROWS: usize = 10_000;

/// `…/jobs/query…`; the parts of the path may be written in any case.
pub(super) fn route(org: &mut Org, call: &Call<'_>, path: &[&str]) -> Answered {
    let rest: Vec<String> = path.iter().skip(1).map(|part| part.to_ascii_lowercase()).collect();
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let id = path.first().copied().unwrap_or_default();
    match (path.len(), rest.as_slice(), call.request.method.as_str()) {
        (0, [], "POST") => create(org, call),
        (0, [], "GET") => jobs::list(org, call, Kind::Query, job_json),
        (_, [], "GET") => Ok(Answer::new(200, job_json(org, jobs::find(org, Kind::Query, id)?))),
        (_, [], "PATCH") => abort(org, call, id),
        (_, [], "DELETE") => jobs::delete(org, Kind::Query, id),
        (_, ["results"], "GET") => results(org, call, id),
        (_, ["resultpages"], "GET") => result_pages(org, call, id),
        (_, [] | ["results" | "resultpages"], _) => Err(super::not_allowed(&call.request.method)),
        _ => Err(super::not_found()),
    }
}

fn create(org: &mut Org, call: &Call<'_>) -> Answered {
    let body = call.request.object()?;
    let format = jobs::format(&body)?;
    let scope = match text(&body, "operation") {
        Some("query") => Scope::Live,
        Some("queryAll") => Scope::All,
        Some(other) => return Err(invalid_job(format!("operation is not known: {other}"))),
        None => return Err(invalid_job("operation must be given")),
    };
    let bound = prepare(org, text(&body, "query").unwrap_or_default())?;
    let now = call.now;
    org.bulk.queries.retain(|at| now - at < DAY_MS);
    if QUERIES_A_DAY <= org.bulk.queries.len() {
        let message = "Max bulk v2 query jobs count (10000) in 24 hours has been reached.";
        return Err(Refusal::new("LIMIT_EXCEEDED", message).into());
    }
    let Some(id) = org.bulk.next_id() else {
        let message = format!("more than {JOBS_MAX} jobs are kept");
        return Err(Refusal::new("LIMIT_EXCEEDED", message).into());
    };
    org.bulk.queries.push(now);
    let job = Job {
        id,
        object: bound.object,
        work: Work::Extract(Extract { scope, bound, rows: Vec::new() }),
        format,
        version: super::metadata::number(call.version).unwrap_or_default(),
        created: now,
        changed: now,
        closed: Some(now),
        state: State::UploadComplete,
        error: None,
        request: call.request.number,
    };
    let answer = Answer::new(200, job_json(org, &job));
    org.bulk.add(job);
    Ok(answer)
}

fn abort(org: &mut Org, call: &Call<'_>, id: &str) -> Answered {
    let body = call.request.object()?;
    let job = jobs::find_mut(org, Kind::Query, id)?;
    match (text(&body, "state"), job.state.is_final()) {
        (Some("Aborted"), false) => job.enter(State::Aborted, call.now),
        (Some("Aborted"), true) => {
            return Err(wrong_state(format!(
                "a job that is {} cannot be Aborted",
                job.state.name()
            )));
        }
        (_, _) => return Err(invalid_job("state must be Aborted")),
    }
    let id = job.id;
    let job = org.bulk.job(id).ok_or_else(super::not_found)?;
    Ok(Answer::new(200, job_json(org, job)))
}

fn job_json(org: &Org, job: &Job) -> Json {
    let Work::Extract(extract) = &job.work else { return Json::Null };
    let operation = match extract.scope {
        Scope::Live => "query",
        Scope::All => "queryAll",
    };
    let mut body = jobs::json(org, job, operation);
    let mut add = |name: &str, value: Json| drop(body.insert(name.to_owned(), value));
    add("jobType", json!("V2Query"));
    if job.state == State::InProgress || job.state.is_final() {
        add("numberRecordsProcessed", json!(extract.rows.len()));
        add("isPkChunkingSupported", json!(true));
    }
    Json::Object(body)
}

/// `GET …/results?maxRecords=&locator=`.
fn results(org: &Org, call: &Call<'_>, id: &str) -> Answered {
    let (job, extract) = complete(org, id)?;
    let total = extract.rows.len();
    let most = match call.request.parameter("maxRecords").filter(|text| !text.is_empty()) {
        None => total.max(1),
        Some(text) => text.parse().ok().filter(|most| 0 < *most).ok_or_else(|| {
            let message = format!("maxRecords is not a number above 0: {text}");
            Failure::from(Refusal::new("INVALID_ARGUMENT", message))
        })?,
    };
    let from = match call.request.parameter("locator").filter(|text| !text.is_empty()) {
        None => 0,
        Some(_) if org.cursors.is_expired(job.created) => return Err(super::invalid_locator()),
        Some(locator) => {
            place_of(locator).filter(|from| *from < total).ok_or_else(super::invalid_locator)?
        }
    };
    let to = total.min(from.saturating_add(most));
    // The last page has a locator too, and it reads `null`: clients compare it with that text.
    let next = if to < total { locator_of(to) } else { "null".to_owned() };
    let text = page(&org.data, extract, (from, to), job.format);
    Ok(Answer::csv(text)
        .with("sforce-numberofrecords", (to - from).to_string())
        .with("sforce-locator", next)
        .rows(to - from))
}

/// `GET …/resultPages`: links that can be followed at the same time.
fn result_pages(org: &Org, call: &Call<'_>, id: &str) -> Answered {
    let (job, extract) = complete(org, id)?;
    let from = match call.request.parameter("nextRecords") {
        None => 0,
        Some(locator) => place_of(locator).ok_or_else(super::invalid_locator)?,
    };
    let base = format!("/services/data/{}/jobs/query/{}", call.version, job.id);
    let starts: Vec<usize> = (from..extract.rows.len().max(1)).step_by(RESULT_PAGE_ROWS).collect();
    let pages: Vec<Json> = starts
        .iter()
        .take(RESULT_PAGES_MAX)
        .map(|start| {
            let locator = if *start == 0 {
                String::new()
            } else {
                format!("&locator={}", locator_of(*start))
            };
            json!({ "resultUrl": format!("{base}/results?maxRecords={RESULT_PAGE_ROWS}{locator}") })
        })
        .collect();
    let next = starts.get(RESULT_PAGES_MAX);
    let url = next.map(|start| format!("{base}/resultPages?nextRecords={}", locator_of(*start)));
    let body = json!({ "resultPages": pages, "done": next.is_none(), "nextRecordsUrl": url });
    Ok(Answer::new(200, body))
}

fn complete<'a>(org: &'a Org, id: &str) -> Result<(&'a Job, &'a Extract), Failure> {
    let job = jobs::find(org, Kind::Query, id)?;
    match &job.work {
        Work::Extract(extract) if job.state == State::JobComplete => Ok((job, extract)),
        Work::Extract(_) | Work::Ingest(_) => {
            Err(wrong_state(format!("a job that is {} has no results", job.state.name())))
        }
    }
}

/// Where a page begins, in a form that invites nobody to count.
fn locator_of(place: usize) -> String {
    STANDARD_NO_PAD.encode(place.to_string())
}

fn place_of(locator: &str) -> Option<usize> {
    String::from_utf8(STANDARD_NO_PAD.decode(locator).ok()?).ok()?.parse().ok()
}
