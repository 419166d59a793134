//! Jobs of Bulk API 1.0, for clients that have nothing newer: a job is a frame, and each batch that
//! a client puts into it is carried out by itself, its results in the order of its rows.
//!
//! Batches are CSV or JSON; XML, the third of its forms, is not simulated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::super::clock::Millis;
use super::super::data::{Actor, Via};
use super::super::id::Id;
use super::super::org::Org;
use super::super::soql::run::{Scope, rows};
use super::super::table::Row;
use super::super::wish::{Outcome, carry_out};
use super::csv::{self, Delimiter, Ending, Format};
use super::extract::{Extract, prepare};
use super::ingest::{CHUNK_ROWS, Operation, as_row, check_header, record, wish};

/// How long a job is kept.
const KEPT_MS: Millis = 7 * 86_400_000;

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Deed {
    Write(Operation),
    Read(Scope),
}

/// In which form its batches and results are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Content {
    Csv,
    Json,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Stage {
    Open,
    Closed,
    Aborted,
}

/// What became of a batch.
#[derive(Debug)]
pub(in super::super) enum Result {
    Queued,
    Written(Vec<Outcome>),
    Read(Extract),
    Failed(String),
    /// Its job was aborted first.
    NotProcessed,
}

/// A batch.
#[derive(Debug)]
pub(in super::super) struct Batch {
    pub(in super::super) id: Id,
    pub(in super::super) created: Millis,
    pub(in super::super) request: Vec<u8>,
    /// The number of the request, for the history.
    pub(in super::super) number: u64,
    pub(in super::super) result: Result,
}

/// A job.
#[derive(Debug)]
pub(in super::super) struct Job {
    pub(in super::super) id: Id,
    pub(in super::super) object: usize,
    pub(in super::super) deed: Deed,
    pub(in super::super) content: Content,
    pub(in super::super) version: u32,
    pub(in super::super) created: Millis,
    pub(in super::super) stage: Stage,
    pub(in super::super) batches: Vec<Batch>,
}

/// All jobs of Bulk API 1.0.
#[derive(Debug, Default)]
pub(in super::super) struct Jobs {
    kept: BTreeMap<Id, Job>,
    batches: u64,
}

impl Jobs {
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(in super::super) fn next_batch(&mut self) -> Id {
        self.batches += 1;
        Id::compose("751", self.batches)
    }

    pub(in super::super) fn add(&mut self, job: Job) {
        self.kept.insert(job.id, job);
    }

    pub(in super::super) fn job(&self, id: Id) -> Option<&Job> {
        self.kept.get(&id)
    }

    pub(in super::super) fn job_mut(&mut self, id: Id) -> Option<&mut Job> {
        self.kept.get_mut(&id)
    }

    fn next_due(&self, takes: Millis) -> Option<(Millis, Id, usize)> {
        let of_job = |job: &Job| {
            let first = job.batches.iter().enumerate();
            let mut queued = first.filter(|(_, batch)| matches!(batch.result, Result::Queued));
            queued.next().map(|(place, batch)| (batch.created + takes, job.id, place))
        };
        self.kept.values().filter_map(of_job).min()
    }
}

/// Carries out the batches that are due.
pub(super) fn advance(org: &mut Org, now: Millis) {
    org.bulk.old.kept.retain(|_, job| now - job.created <= KEPT_MS);
    let takes = org.bulk.pace.millis;
    while let Some((due, id, place)) =
        org.bulk.old.next_due(takes).filter(|(due, _, _)| *due <= now)
    {
        let Some(mut job) = org.bulk.old.kept.remove(&id) else { return };
        org.data.publish(due);
        org.bulk.batches.push(due);
        let result = match job.deed {
            Deed::Write(operation) => write(org, (&job, operation), &job.batches[place], due),
            Deed::Read(scope) => read(org, &job.batches[place].request, scope),
        };
        job.batches[place].result = result.unwrap_or_else(Result::Failed);
        org.bulk.old.kept.insert(id, job);
    }
}

type Worked = std::result::Result<Result, String>;

fn read(org: &Org, request: &[u8], scope: Scope) -> Worked {
    let text = String::from_utf8_lossy(request);
    let bound = prepare(org, text.trim()).map_err(|refusal| {
        format!("InvalidBatch : Failed to process query: {}", refusal.message)
    })?;
    let found: Vec<Arc<Row>> = rows(&org.data, &bound, scope);
    Ok(Result::Read(Extract { scope, bound, rows: found }))
}

fn write(org: &mut Org, (job, operation): (&Job, Operation), batch: &Batch, due: Millis) -> Worked {
    let records = records(org, (job, operation), &batch.request)?;
    let (user, request) = (org.names.api_user, Some(batch.number));
    let actor = Actor { via: Via::Api, user, now: due, request };
    let mut seen = BTreeSet::new();
    let mut outcomes = Vec::with_capacity(records.len());
    for (place, record) in records.iter().enumerate() {
        if place.is_multiple_of(CHUNK_ROWS) {
            seen.clear();
        }
        let wish = wish(org, (job.object, operation), record).map_err(as_row);
        let mut outcome = carry_out(org, (job.object, wish), actor, &mut seen);
        if operation == Operation::Insert {
            outcome.created = Some(outcome.refusal.is_none());
        }
        outcomes.push(outcome);
    }
    Ok(Result::Written(outcomes))
}

fn records(
    org: &Org,
    (job, operation): (&Job, Operation),
    request: &[u8],
) -> std::result::Result<Vec<Map<String, Json>>, String> {
    let text =
        std::str::from_utf8(request).map_err(|_| "InvalidBatch : not in UTF-8".to_owned())?;
    let spec = org.data.model.object(job.object);
    if job.content == Content::Json {
        let list: std::result::Result<Vec<Map<String, Json>>, _> = serde_json::from_str(text);
        return list.map_err(|error| format!("InvalidBatch : Failed to parse input: {error}"));
    }
    let mut lines = csv::read(text, format_of(text))
        .map_err(|_| "InvalidBatch : the batch is not CSV".to_owned())?;
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let header = lines.remove(0);
    check_header(spec, &header, operation)?;
    Ok(lines.iter().map(|cells| record(spec, &header, cells)).collect())
}

/// Lines end here as they like, if all end alike.
pub(in super::super) fn format_of(text: &str) -> Format {
    let ending = if text.contains("\r\n") { Ending::CrLf } else { Ending::Lf };
    Format { delimiter: Delimiter::COMMA, ending }
}
