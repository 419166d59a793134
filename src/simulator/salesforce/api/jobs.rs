//! What the job resources of Bulk API 2.0 have in common.

use serde_json::{Map, Value as Json, json};

use super::super::bulk::csv::{Delimiter, Ending, Format};
use super::super::bulk::{Job, State};
use super::super::clock::{second, stamp};
use super::super::id::Id;
use super::super::org::Org;
use super::super::refusal::Refusal;
use super::{Answer, Answered, Call, Failure};

/// Jobs of one page of a list.
const LIST_MAX: usize = 1_000;

/// Which of the two resources is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ingest,
    Query,
}

impl Kind {
    fn of(job: &Job) -> Kind {
        match &job.work {
            super::super::bulk::Work::Ingest(_) => Kind::Ingest,
            super::super::bulk::Work::Extract(_) => Kind::Query,
        }
    }
}

/// The job of a path.
pub(super) fn find<'a>(org: &'a Org, kind: Kind, id: &str) -> Result<&'a Job, Failure> {
    let job = Id::parse(id).and_then(|id| org.bulk.job(id));
    job.filter(|job| Kind::of(job) == kind).ok_or_else(super::not_found)
}

/// The same, to be changed.
pub(super) fn find_mut<'a>(org: &'a mut Org, kind: Kind, id: &str) -> Result<&'a mut Job, Failure> {
    let id = find(org, kind, id)?.id;
    org.bulk.job_mut(id).ok_or_else(super::not_found)
}

/// A job is not in a state in which that can be done.
pub(super) fn wrong_state(message: impl Into<String>) -> Failure {
    Refusal::new("INVALIDJOBSTATE", message).into()
}

/// A request for a job that makes no sense.
pub(super) fn invalid_job(message: impl Into<String>) -> Failure {
    Refusal::new("INVALIDJOB", message).into()
}

/// The text of a member of a body; none if it is not there.
pub(super) fn text<'a>(body: &'a Map<String, Json>, name: &str) -> Option<&'a str> {
    body.get(name).and_then(Json::as_str)
}

/// The form of the CSV that a body asks for: commas and line feeds if it does not say.
pub(super) fn format(body: &Map<String, Json>) -> Result<Format, Failure> {
    let content = text(body, "contentType").unwrap_or("CSV");
    if content != "CSV" {
        return Err(invalid_job(format!("contentType must be CSV, not {content}")));
    }
    let delimiter = text(body, "columnDelimiter").unwrap_or("COMMA");
    let ending = text(body, "lineEnding").unwrap_or("LF");
    match (Delimiter::named(delimiter), Ending::named(ending)) {
        (Some(delimiter), Some(ending)) => Ok(Format { delimiter, ending }),
        (None, _) => Err(invalid_job(format!("columnDelimiter is not known: {delimiter}"))),
        (_, None) => Err(invalid_job(format!("lineEnding is LF or CRLF, not {ending}"))),
    }
}

/// What describes a job of either kind.
pub(super) fn json(org: &Org, job: &Job, operation: &str) -> Map<String, Json> {
    let at = |millis| json!(stamp(second(millis)));
    let mut body = Map::new();
    let mut add = |name: &str, value: Json| drop(body.insert(name.to_owned(), value));
    add("id", json!(job.id.as_str()));
    add("operation", json!(operation));
    add("object", json!(org.data.model.object(job.object).name));
    add("createdById", json!(org.names.api_user.as_str()));
    add("createdDate", at(job.created));
    add("systemModstamp", at(job.changed));
    add("state", json!(job.state.name()));
    add("concurrencyMode", json!("Parallel"));
    add("contentType", json!("CSV"));
    add("apiVersion", json!(f64::from(job.version)));
    add("lineEnding", json!(job.format.ending.name()));
    add("columnDelimiter", json!(job.format.delimiter.name()));
    if matches!(job.state, State::InProgress) || job.state.is_final() {
        let took = job.closed.map_or(0, |closed| job.changed - closed);
        add("retries", json!(0));
        add("totalProcessingTime", json!(took));
    }
    if let Some(error) = &job.error {
        add("errorMessage", json!(error));
    }
    body
}

/// `GET /jobs/ingest` and `GET /jobs/query`.
pub(super) fn list(
    org: &Org,
    call: &Call<'_>,
    kind: Kind,
    one: fn(&Org, &Job) -> Json,
) -> Answered {
    let after = match call.request.parameter("queryLocator").filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(Id::parse(text).ok_or_else(super::invalid_locator)?),
    };
    let mut jobs =
        org.bulk.all().filter(|job| Kind::of(job) == kind && after.is_none_or(|id| id < job.id));
    let page: Vec<&Job> = jobs.by_ref().take(LIST_MAX).collect();
    let next = match (page.last(), jobs.next()) {
        (Some(last), Some(_)) => {
            let path = match kind {
                Kind::Ingest => "ingest",
                Kind::Query => "query",
            };
            let base = format!("/services/data/{}/jobs/{path}", call.version);
            json!(format!("{base}?queryLocator={}", last.id))
        }
        (_, _) => Json::Null,
    };
    let records: Vec<Json> = page.into_iter().map(|job| one(org, job)).collect();
    let body = json!({ "done": next.is_null(), "records": records, "nextRecordsUrl": next });
    Ok(Answer::new(200, body))
}

/// `DELETE` of a job, in a final state only.
pub(super) fn delete(org: &mut Org, kind: Kind, id: &str) -> Answered {
    let job = find(org, kind, id)?;
    if !job.state.is_final() {
        let message = format!("a job that is {} cannot be deleted; abort it", job.state.name());
        return Err(wrong_state(message));
    }
    let id = job.id;
    org.bulk.remove(id);
    Ok(Answer::empty(204))
}
