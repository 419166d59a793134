//! Bulk API 2.0 ingest: a job is made, filled by one upload, closed, watched, and its results read.

use serde_json::{Map, Value as Json, json};

use super::super::bulk::csv;
use super::super::bulk::ingest::{Done, Ingest, Operation, error_text};
use super::super::bulk::{JOBS_MAX, Job, State, Work};
use super::super::clock::Millis;
use super::super::org::Org;
use super::super::refusal::Refusal;
use super::jobs::{self, Kind, invalid_job, text, wrong_state};
use super::{Answer, Answered, Call, Failure};

/// Batches of a day, shared with Bulk API 1.0.
pub(in super::super) const BATCHES_A_DAY: usize = 15_000;
const DAY_MS: Millis = 86_400_000;

/// `…/jobs/ingest…`; the parts of the path may be written in any case.
pub(super) fn route(org: &mut Org, call: &Call<'_>, path: &[&str]) -> Answered {
    let rest: Vec<String> = path.iter().skip(1).map(|part| part.to_ascii_lowercase()).collect();
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let id = path.first().copied().unwrap_or_default();
    match (path.len(), rest.as_slice(), call.request.method.as_str()) {
        (0, [], "POST") => create(org, call),
        (0, [], "GET") => jobs::list(org, call, Kind::Ingest, job_json),
        (_, [], "GET") => Ok(Answer::new(200, job_json(org, jobs::find(org, Kind::Ingest, id)?))),
        (_, [], "PATCH") => change(org, call, id),
        (_, [], "DELETE") => jobs::delete(org, Kind::Ingest, id),
        (_, ["batches"], "PUT") => upload(org, call, id),
        (_, ["successfulresults"], "GET") => results(org, id, Wanted::Successful),
        (_, ["failedresults"], "GET") => results(org, id, Wanted::Failed),
        (_, ["unprocessedrecords"], "GET") => unprocessed(org, id),
        (_, [] | ["batches" | "successfulresults" | "failedresults" | "unprocessedrecords"], _) => {
            Err(super::not_allowed(&call.request.method))
        }
        _ => Err(super::not_found()),
    }
}

fn create(org: &mut Org, call: &Call<'_>) -> Answered {
    let body = call.request.object()?;
    let format = jobs::format(&body)?;
    let name = text(&body, "object").ok_or_else(|| invalid_job("object must be given"))?;
    let object = org.data.model.find(name).filter(|at| org.data.model.object(*at).writable);
    let Some(object) = object else {
        let message = format!("The entity '{name}' is not supported by the Bulk API.");
        return Err(Refusal::new("INVALIDENTITY", message).into());
    };
    let operation = operation(org, object, &body)?;
    let now = call.now;
    org.bulk.batches.retain(|at| now - at < DAY_MS);
    if BATCHES_A_DAY <= org.bulk.batches.len() {
        let message = "TotalBatches Limit exceeded: 15000 batches in 24 hours";
        return Err(Refusal::new("LIMIT_EXCEEDED", message).into());
    }
    let Some(id) = org.bulk.next_id() else {
        let message = format!("more than {JOBS_MAX} jobs are kept");
        return Err(Refusal::new("LIMIT_EXCEEDED", message).into());
    };
    let job = Job {
        id,
        work: Work::Ingest(Ingest::new(operation)),
        object,
        format,
        version: super::metadata::number(call.version).unwrap_or_default(),
        created: now,
        changed: now,
        closed: None,
        state: State::Open,
        error: None,
        request: call.request.number,
    };
    let answer = Answer::new(200, job_json(org, &job));
    org.bulk.add(job);
    Ok(answer)
}

fn operation(org: &Org, object: usize, body: &Map<String, Json>) -> Result<Operation, Failure> {
    let spec = org.data.model.object(object);
    match text(body, "operation") {
        Some("insert") => Ok(Operation::Insert),
        Some("update") => Ok(Operation::Update),
        Some("delete") => Ok(Operation::Delete),
        Some("hardDelete") if org.bulk.pace.hard_delete => Ok(Operation::HardDelete),
        Some("hardDelete") => {
            let message = "hardDelete operation requires special user profile permission, please \
                           contact your system administrator";
            Err(Refusal::new("FEATURENOTENABLED", message).into())
        }
        Some("upsert") => {
            let Some(name) = text(body, "externalIdFieldName") else {
                return Err(invalid_job("upsert needs externalIdFieldName"));
            };
            let field = spec
                .find(name)
                .filter(|at| spec.field(*at).external_id || spec.field(*at).id_lookup);
            field.map(Operation::Upsert).ok_or_else(|| {
                invalid_job(format!("'{name}' is not an external id of {}", spec.name))
            })
        }
        Some(other) => Err(invalid_job(format!("operation is not known: {other}"))),
        None => Err(invalid_job("operation must be given")),
    }
}

/// `PUT …/batches`: the whole upload, once.
fn upload(org: &mut Org, call: &Call<'_>, id: &str) -> Answered {
    let kind = call.request.header("content-type").unwrap_or_default().to_ascii_lowercase();
    if !kind.starts_with("text/csv") {
        let message = "Unsupported Media Type: the upload must be text/csv";
        return Err(Refusal::new("UNSUPPORTED_MEDIA_TYPE", message).into());
    }
    let job = jobs::find_mut(org, Kind::Ingest, id)?;
    if job.state != State::Open {
        let message = format!("a job that is {} takes no upload", job.state.name());
        return Err(wrong_state(message));
    }
    let Work::Ingest(ingest) = &mut job.work else { return Err(super::not_found()) };
    if ingest.upload.is_some() {
        let message = format!("Found multiple contents for job: <{}>; PUT only once", job.id);
        return Err(wrong_state(message));
    }
    ingest.upload = Some(call.request.body.clone());
    job.changed = call.now;
    Ok(Answer::empty(201))
}

/// `PATCH …/{id}`: closes or aborts a job.
fn change(org: &mut Org, call: &Call<'_>, id: &str) -> Answered {
    let body = call.request.object()?;
    let job = jobs::find_mut(org, Kind::Ingest, id)?;
    let is_filled = matches!(&job.work, Work::Ingest(ingest) if ingest.upload.is_some());
    match (text(&body, "state"), job.state) {
        (Some("UploadComplete"), State::Open) if is_filled => {
            job.enter(State::UploadComplete, call.now);
            job.closed = Some(call.now);
            job.request = call.request.number;
        }
        (Some("UploadComplete"), State::Open) => {
            return Err(wrong_state("the job has no upload yet"));
        }
        (Some("Aborted"), State::Open | State::UploadComplete | State::InProgress) => {
            job.enter(State::Aborted, call.now);
        }
        (Some(state @ ("UploadComplete" | "Aborted")), now) => {
            return Err(wrong_state(format!("a job that is {} cannot be {state}", now.name())));
        }
        (_, _) => return Err(invalid_job("state must be UploadComplete or Aborted")),
    }
    let id = job.id;
    let job = org.bulk.job(id).ok_or_else(super::not_found)?;
    Ok(Answer::new(200, job_json(org, job)))
}

/// A job as its resource shows it.
fn job_json(org: &Org, job: &Job) -> Json {
    let Work::Ingest(ingest) = &job.work else { return Json::Null };
    let mut body = jobs::json(org, job, ingest.operation.name());
    let mut add = |name: &str, value: Json| drop(body.insert(name.to_owned(), value));
    add("jobType", json!("V2Ingest"));
    if let Operation::Upsert(field) = ingest.operation {
        add("externalIdFieldName", json!(org.data.model.object(job.object).field(field).name));
    }
    if job.state == State::Open {
        let url = format!("services/data/v{}.0/jobs/ingest/{}/batches", job.version, job.id);
        add("contentUrl", json!(url));
    }
    if job.state == State::InProgress || job.state.is_final() {
        add("numberRecordsProcessed", json!(ingest.done.len()));
        add("numberRecordsFailed", json!(ingest.failed()));
        add("apiActiveProcessingTime", json!(0));
        add("apexProcessingTime", json!(0));
    }
    Json::Object(body)
}

/// Which rows of a job.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Successful,
    Failed,
}

fn results(org: &Org, id: &str, wanted: Wanted) -> Answered {
    let (job, ingest) = ended(org, id)?;
    let second = match wanted {
        Wanted::Successful => "sf__Created",
        Wanted::Failed => "sf__Error",
    };
    let mut text = String::new();
    let header = ["sf__Id", second].into_iter().chain(ingest.header.iter().map(String::as_str));
    csv::write(&mut text, header, job.format);
    let mut rows = 0;
    for Done { cells, outcome } in &ingest.done {
        let id = outcome.id.map(|id| id.to_string()).unwrap_or_default();
        let told = match (&outcome.refusal, wanted) {
            (None, Wanted::Successful) => outcome.created.unwrap_or(false).to_string(),
            (Some(refusal), Wanted::Failed) => error_text(refusal),
            (None, Wanted::Failed) | (Some(_), Wanted::Successful) => continue,
        };
        let line = [id.as_str(), &told].into_iter().chain(cells.iter().map(String::as_str));
        csv::write(&mut text, line, job.format);
        rows += 1;
    }
    Ok(Answer::csv(text).rows(rows))
}

fn unprocessed(org: &Org, id: &str) -> Answered {
    let (job, ingest) = ended(org, id)?;
    let mut text = String::new();
    csv::write(&mut text, ingest.header.iter().map(String::as_str), job.format);
    for cells in ingest.unprocessed() {
        csv::write(&mut text, cells.iter().map(String::as_str), job.format);
    }
    Ok(Answer::csv(text))
}

/// A job whose results can be read.
fn ended<'a>(org: &'a Org, id: &str) -> Result<(&'a Job, &'a Ingest), Failure> {
    let job = jobs::find(org, Kind::Ingest, id)?;
    match &job.work {
        Work::Ingest(ingest) if job.state.is_final() => Ok((job, ingest)),
        Work::Ingest(_) | Work::Extract(_) => {
            Err(wrong_state(format!("a job that is {} has no results", job.state.name())))
        }
    }
}
