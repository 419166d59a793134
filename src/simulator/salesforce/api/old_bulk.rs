//! Bulk API 1.0: `/services/async/{version}/job…`, in XML or JSON as the request is.
//!
//! One client compares content types letter by letter, so they bear no charset here.

use serde_json::{Map, Value as Json, json};

use super::super::bulk::csv;
use super::super::bulk::extract::page;
use super::super::bulk::ingest::{Operation, error_text};
use super::super::bulk::old::{Batch, Content, Deed, Job, Result as Done, Stage, format_of};
use super::super::clock::{Millis, second, stamp};
use super::super::id::Id;
use super::super::org::Org;
use super::super::refusal::Refusal;
use super::super::soql::bind::Answer as Wanted;
use super::super::soql::run::{Scope, print};
use super::super::wish::Outcome;
use super::soap::{decode, element, encode};
use super::{Answer, Body, Request};

const VERSIONS: std::ops::RangeInclusive<u32> = 31..=68;
const NAMESPACE: &str = "http://www.force.com/2009/06/asyncapi/dataload";

/// An error in the form of this API.
struct Wrong(&'static str, String);

type Answered = Result<Answer, Wrong>;

/// A call, with the number of its version.
struct Call<'a> {
    request: &'a Request,
    version: u32,
    now: Millis,
}

impl Call<'_> {
    /// Whether the client speaks JSON rather than XML.
    fn is_json(&self) -> bool {
        let kind = self.request.header("content-type").unwrap_or_default();
        kind.to_ascii_lowercase().contains("json")
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.request.body).into_owned()
    }

    /// A member of the body, whichever form it has.
    fn member(&self, name: &str) -> Option<String> {
        if self.is_json() {
            let body: Json = serde_json::from_slice(&self.request.body).ok()?;
            return body[name].as_str().map(str::to_owned);
        }
        element(&self.text(), name).map(|text| decode(text.trim()))
    }

    fn shown(&self, status: u16, name: &str, body: &Map<String, Json>) -> Answer {
        if self.is_json() {
            return typed(status, "application/json", Json::Object(body.clone()).to_string());
        }
        typed(status, "application/xml", document(name, &elements(body)))
    }
}

/// Answers a call.
pub(super) fn answer(
    org: &mut Org,
    request: &Request,
    (version, path): (&str, &[&str]),
    now: Millis,
) -> Answer {
    let number = version.strip_suffix(".0").and_then(|number| number.parse().ok());
    let call = Call { request, version: number.unwrap_or_default(), now };
    route(org, &call, path).unwrap_or_else(|Wrong(code, message)| {
        let mut body = Map::new();
        body.insert("exceptionCode".to_owned(), json!(code));
        body.insert("exceptionMessage".to_owned(), json!(message));
        call.shown(400, "error", &body)
    })
}

fn route(org: &mut Org, call: &Call<'_>, path: &[&str]) -> Answered {
    if !VERSIONS.contains(&call.version) {
        return Err(Wrong("InvalidVersion", format!("{} is not supported", call.version)));
    }
    let header = call.request.header("authorization").and_then(|text| text.split_once(' '));
    let token = call.request.header("x-sfdc-session").or(header.map(|(_, token)| token));
    if !token.is_some_and(|token| org.tokens.accept(token.trim(), second(call.now))) {
        return Err(Wrong("InvalidSessionId", "Invalid session id".to_owned()));
    }
    match (path, call.request.method.as_str()) {
        ([], "POST") => create(org, call),
        ([id], "GET") => Ok(call.shown(200, "jobInfo", &job_body(org, job(org, id)?))),
        ([id], "POST") => change(org, call, id),
        ([id, "batch"], "POST") => add(org, call, id),
        ([id, "batch"], "GET") => list(org, call, id),
        ([id, "batch", batch], "GET") => {
            let (job, batch) = batch_of(org, id, batch)?;
            Ok(call.shown(200, "batchInfo", &batch_body(job, batch)))
        }
        ([id, "batch", batch, "request"], "GET") => {
            let (job, batch) = batch_of(org, id, batch)?;
            let text = String::from_utf8_lossy(&batch.request).into_owned();
            Ok(typed(200, kind_of(job.content), text))
        }
        ([id, "batch", batch, "result"], "GET") => result(org, id, batch),
        ([id, "batch", batch, "result", _], "GET") => read(org, (id, batch), call.version),
        _ => Err(Wrong("InvalidUrl", "the URL leads nowhere".to_owned())),
    }
}

fn create(org: &mut Org, call: &Call<'_>) -> Answered {
    let invalid = |message: String| Wrong("InvalidJob", message);
    let name = call.member("object").unwrap_or_default();
    let object = org.data.model.find(&name);
    let object = object.ok_or_else(|| Wrong("InvalidEntity", format!("no entity '{name}'")))?;
    let spec = org.data.model.object(object);
    let deed = match call.member("operation").unwrap_or_default().as_str() {
        "insert" => Deed::Write(Operation::Insert),
        "update" => Deed::Write(Operation::Update),
        "delete" => Deed::Write(Operation::Delete),
        "hardDelete" if org.bulk.pace.hard_delete => Deed::Write(Operation::HardDelete),
        "upsert" => {
            let key = call.member("externalIdFieldName").and_then(|name| spec.find(&name));
            let key = key.filter(|at| spec.field(*at).external_id || spec.field(*at).id_lookup);
            let key = key.ok_or_else(|| invalid("upsert needs an external id".to_owned()))?;
            Deed::Write(Operation::Upsert(key))
        }
        "query" => Deed::Read(Scope::Live),
        "queryAll" => Deed::Read(Scope::All),
        other => return Err(invalid(format!("operation is not known or not allowed: {other}"))),
    };
    let content = match call.member("contentType").as_deref().unwrap_or("CSV") {
        "CSV" => Content::Csv,
        "JSON" => Content::Json,
        other => return Err(invalid(format!("contentType is CSV or JSON here, not {other}"))),
    };
    let id =
        org.bulk.next_id().ok_or_else(|| Wrong("ExceededQuota", "too many jobs".to_owned()))?;
    let job = Job {
        id,
        object,
        deed,
        content,
        version: call.version,
        created: call.now,
        stage: Stage::Open,
        batches: Vec::new(),
    };
    let answer = call.shown(201, "jobInfo", &job_body(org, &job));
    org.bulk.old.add(job);
    Ok(answer)
}

fn change(org: &mut Org, call: &Call<'_>, id: &str) -> Answered {
    let job = job_mut(org, id)?;
    match (call.member("state").as_deref(), job.stage) {
        (Some("Closed"), Stage::Open | Stage::Closed) => job.stage = Stage::Closed,
        (Some("Aborted"), _) => {
            job.stage = Stage::Aborted;
            for batch in &mut job.batches {
                if matches!(batch.result, Done::Queued) {
                    batch.result = Done::NotProcessed;
                }
            }
        }
        (_, _) => return Err(Wrong("InvalidJobState", "state is Closed or Aborted".to_owned())),
    }
    let job = self::job(org, id)?;
    Ok(call.shown(200, "jobInfo", &job_body(org, job)))
}

fn add(org: &mut Org, call: &Call<'_>, id: &str) -> Answered {
    let batch = Batch {
        id: org.bulk.old.next_batch(),
        created: call.now,
        request: call.request.body.clone(),
        number: call.request.number,
        result: Done::Queued,
    };
    let job = job_mut(org, id)?;
    if job.stage != Stage::Open {
        return Err(Wrong("InvalidJobState", "the job takes no more batches".to_owned()));
    }
    let answer = call.shown(201, "batchInfo", &batch_body(job, &batch));
    job.batches.push(batch);
    Ok(answer)
}

fn list(org: &Org, call: &Call<'_>, id: &str) -> Answered {
    let job = job(org, id)?;
    let bodies: Vec<_> = job.batches.iter().map(|batch| batch_body(job, batch)).collect();
    if call.is_json() {
        return Ok(typed(200, "application/json", json!({ "batchInfo": bodies }).to_string()));
    }
    let one = |body| format!("<batchInfo>{}</batchInfo>", elements(body));
    let inside = bodies.iter().map(one).collect::<Vec<String>>().concat();
    Ok(typed(200, "application/xml", document("batchInfoList", &inside)))
}

/// The outcomes of an upload, or the id of a query's one result.
fn result(org: &Org, id: &str, batch: &str) -> Answered {
    let (job, batch) = batch_of(org, id, batch)?;
    match (&batch.result, job.content) {
        (Done::Written(outcomes), Content::Csv) => {
            let format = format_of(&String::from_utf8_lossy(&batch.request));
            let mut text = String::new();
            csv::write(&mut text, ["Id", "Success", "Created", "Error"], format);
            for outcome in outcomes {
                let id = outcome.id.map(|id| id.to_string()).unwrap_or_default();
                let error = outcome.refusal.as_ref().map(error_text).unwrap_or_default();
                let (success, created) = (outcome.refusal.is_none(), is_created(outcome));
                let cells = [id, success.to_string(), created.to_string(), error];
                csv::write(&mut text, cells.iter().map(String::as_str), format);
            }
            Ok(typed(200, "text/csv", text))
        }
        (Done::Written(outcomes), Content::Json) => {
            let list: Vec<Json> = outcomes.iter().map(outcome_body).collect();
            Ok(typed(200, "application/json", Json::Array(list).to_string()))
        }
        (Done::Read(_), Content::Csv) => {
            let inside = format!("<result>{}</result>", result_id(batch));
            Ok(typed(200, "application/xml", document("result-list", &inside)))
        }
        (Done::Read(_), Content::Json) => {
            Ok(typed(200, "application/json", json!([result_id(batch)]).to_string()))
        }
        (Done::Queued | Done::NotProcessed | Done::Failed(_), _) => {
            Err(Wrong("InvalidBatch", "Batch not completed".to_owned()))
        }
    }
}

fn read(org: &Org, (id, batch): (&str, &str), version: u32) -> Answered {
    let (job, batch) = batch_of(org, id, batch)?;
    let Done::Read(extract) = &batch.result else {
        return Err(Wrong("InvalidBatch", "the batch has no such result".to_owned()));
    };
    if let (Wanted::Rows(picks), Content::Json) = (&extract.bound.answer, job.content) {
        let version = format!("v{version}.0");
        let one = |row| print(&org.data, job.object, (row, picks), &version);
        let list: Vec<Json> = extract.rows.iter().map(|row| one(row)).collect();
        return Ok(typed(200, "application/json", Json::Array(list).to_string()));
    }
    let text = page(&org.data, extract, (0, extract.rows.len()), format_of(""));
    Ok(typed(200, "text/csv", text))
}

fn job<'a>(org: &'a Org, id: &str) -> Result<&'a Job, Wrong> {
    let job = Id::parse(id).and_then(|id| org.bulk.old.job(id));
    job.ok_or_else(|| Wrong("InvalidJob", format!("Unable to find job with id: {id}")))
}

fn job_mut<'a>(org: &'a mut Org, id: &str) -> Result<&'a mut Job, Wrong> {
    let missing = || Wrong("InvalidJob", format!("Unable to find job with id: {id}"));
    Id::parse(id).and_then(|id| org.bulk.old.job_mut(id)).ok_or_else(missing)
}

fn batch_of<'a>(org: &'a Org, id: &str, batch: &str) -> Result<(&'a Job, &'a Batch), Wrong> {
    let job = job(org, id)?;
    let wanted = Id::parse(batch);
    let found = job.batches.iter().find(|one| Some(one.id) == wanted);
    let missing = || Wrong("InvalidBatch", format!("Unable to find batch with id: {batch}"));
    Ok((job, found.ok_or_else(missing)?))
}

fn result_id(batch: &Batch) -> String {
    batch.id.as_str().replacen("751", "752", 1)
}

fn is_created(outcome: &Outcome) -> bool {
    outcome.refusal.is_none() && outcome.created.unwrap_or(false)
}

fn outcome_body(outcome: &Outcome) -> Json {
    let errors: Vec<Json> = outcome.refusal.iter().map(Refusal::in_collection).collect();
    json!({
        "id": outcome.id.map(|id| id.to_string()), "success": outcome.refusal.is_none(),
        "created": is_created(outcome), "errors": errors,
    })
}

fn job_body(org: &Org, job: &Job) -> Map<String, Json> {
    let count = |is: fn(&Done) -> bool| job.batches.iter().filter(|b| is(&b.result)).count();
    let ended = count(|done| matches!(done, Done::Written(_) | Done::Read(_)));
    let (processed, failed) = job
        .batches
        .iter()
        .map(|batch| tally(&batch.result))
        .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    let mut body = Map::new();
    let mut add = |name: &str, value: Json| drop(body.insert(name.to_owned(), value));
    add("id", json!(job.id.as_str()));
    add(
        "operation",
        json!(match job.deed {
            Deed::Write(operation) => operation.name(),
            Deed::Read(Scope::Live) => "query",
            Deed::Read(Scope::All) => "queryAll",
        }),
    );
    add("object", json!(org.data.model.object(job.object).name));
    add("createdById", json!(org.names.api_user.as_str()));
    add("createdDate", json!(stamp(second(job.created))));
    add("systemModstamp", json!(stamp(second(job.created))));
    add(
        "state",
        json!(match job.stage {
            Stage::Open => "Open",
            Stage::Closed => "Closed",
            Stage::Aborted => "Aborted",
        }),
    );
    add("concurrencyMode", json!("Parallel"));
    add(
        "contentType",
        json!(match job.content {
            Content::Csv => "CSV",
            Content::Json => "JSON",
        }),
    );
    add("numberBatchesQueued", json!(count(|done| matches!(done, Done::Queued))));
    add("numberBatchesInProgress", json!(0));
    add("numberBatchesCompleted", json!(ended));
    add("numberBatchesFailed", json!(count(|done| matches!(done, Done::Failed(_)))));
    add("numberBatchesTotal", json!(job.batches.len()));
    add("numberRecordsProcessed", json!(processed));
    add("numberRecordsFailed", json!(failed));
    add("numberRetries", json!(0));
    add("apiVersion", json!(f64::from(job.version)));
    for name in ["totalProcessingTime", "apiActiveProcessingTime", "apexProcessingTime"] {
        add(name, json!(0));
    }
    body
}

fn batch_body(job: &Job, batch: &Batch) -> Map<String, Json> {
    let (processed, failed) = tally(&batch.result);
    let mut body = Map::new();
    let mut add = |name: &str, value: Json| drop(body.insert(name.to_owned(), value));
    add("id", json!(batch.id.as_str()));
    add("jobId", json!(job.id.as_str()));
    add(
        "state",
        json!(match &batch.result {
            Done::Queued => "Queued",
            Done::Written(_) | Done::Read(_) => "Completed",
            Done::Failed(_) => "Failed",
            Done::NotProcessed => "NotProcessed",
        }),
    );
    if let Done::Failed(message) = &batch.result {
        add("stateMessage", json!(message));
    }
    add("createdDate", json!(stamp(second(batch.created))));
    add("systemModstamp", json!(stamp(second(batch.created))));
    add("numberRecordsProcessed", json!(processed));
    add("numberRecordsFailed", json!(failed));
    for name in ["totalProcessingTime", "apiActiveProcessingTime", "apexProcessingTime"] {
        add(name, json!(0));
    }
    body
}

/// Rows of a batch, and those that failed.
fn tally(done: &Done) -> (usize, usize) {
    match done {
        Done::Written(outcomes) => {
            (outcomes.len(), outcomes.iter().filter(|one| one.refusal.is_some()).count())
        }
        Done::Read(extract) => (extract.rows.len(), 0),
        Done::Queued | Done::Failed(_) | Done::NotProcessed => (0, 0),
    }
}

fn kind_of(content: Content) -> &'static str {
    match content {
        Content::Csv => "text/csv",
        Content::Json => "application/json",
    }
}

fn typed(status: u16, kind: &'static str, text: String) -> Answer {
    Answer { status, headers: Vec::new(), body: Body::Text(kind, text), rows: 0 }
}

fn document(name: &str, inside: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><{name} xmlns=\"{NAMESPACE}\">{inside}</{name}>"
    )
}

fn elements(body: &Map<String, Json>) -> String {
    let one = |(name, value): (&String, &Json)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("<{name}>{}</{name}>", encode(&text))
    };
    body.iter().map(one).collect::<Vec<String>>().concat()
}
