//! Jobs of the Bulk APIs: what a client hands in or asks for as a whole, carried out by and by.
//!
//! A job is carried out by the organisation's clock. Whoever looks at the organisation, by the API
//! or by the control address, first brings it up to the clock (`advance`): so what a job does has
//! happened by the time anybody can tell, without a task of its own.
//!
//! As Salesforce does it, an upload is cut into batches that run in no order that a client may
//! count on (the last goes first here), results come back in another order than the upload, and
//! what ran before a job failed stays.

pub(super) mod csv;
pub(super) mod extract;
pub(super) mod ingest;
pub(super) mod old;

use std::collections::BTreeMap;

use super::clock::Millis;
use super::id::Id;
use super::org::Org;
use csv::Format;
use extract::Extract;
use ingest::Ingest;

/// How long a job is kept after it ended (Salesforce: "How Requests Are Processed").
const KEPT_MS: Millis = 7 * 86_400_000;
/// Rows of a batch.
const BATCH_ROWS: usize = 10_000;
/// Jobs that are kept at one time; Salesforce takes more, a machine has an end.
pub(super) const JOBS_MAX: usize = 10_000;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    UploadComplete,
    InProgress,
    JobComplete,
    Failed,
    Aborted,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            State::Open => "Open",
            State::UploadComplete => "UploadComplete",
            State::InProgress => "InProgress",
            State::JobComplete => "JobComplete",
            State::Failed => "Failed",
            State::Aborted => "Aborted",
        }
    }

    pub(super) fn is_final(self) -> bool {
        matches!(self, State::JobComplete | State::Failed | State::Aborted)
    }

    fn is_waiting(self) -> bool {
        matches!(self, State::UploadComplete | State::InProgress)
    }
}

/// What a job is for.
#[derive(Debug)]
pub(super) enum Work {
    Ingest(Ingest),
    Extract(Extract),
}

/// A job.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: Id,
    pub(super) work: Work,
    pub(super) object: usize,
    pub(super) format: Format,
    /// The number of the API version that it was made with.
    pub(super) version: u32,
    pub(super) created: Millis,
    pub(super) changed: Millis,
    /// Since when it is to be carried out.
    pub(super) closed: Option<Millis>,
    pub(super) state: State,
    /// Why it failed.
    pub(super) error: Option<String>,
    /// The request that closed it, for the history.
    pub(super) request: u64,
}

impl Job {
    pub(super) fn enter(&mut self, state: State, now: Millis) {
        self.state = state;
        self.changed = now;
    }

    pub(super) fn fail(&mut self, why: String, now: Millis) {
        self.error = Some(why);
        self.enter(State::Failed, now);
    }
}

/// How jobs are carried out, as a test ordered it.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// How long a job takes, from its closing on.
    pub(super) millis: Millis,
    /// Rows of a batch.
    pub(super) batch: usize,
    /// After how many batches jobs fail, and with what message.
    pub(super) fail: Option<(usize, String)>,
    /// Whether the integration user may delete past the recycle bin.
    pub(super) hard_delete: bool,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { millis: 0, batch: BATCH_ROWS, fail: None, hard_delete: false }
    }
}

/// All jobs.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    pub(super) pace: Pace,
    kept: BTreeMap<Id, Job>,
    /// Jobs of Bulk API 1.0.
    pub(super) old: old::Jobs,
    serial: u64,
    /// Batches and queries of the last day, by the millisecond.
    pub(super) batches: Vec<Millis>,
    pub(super) queries: Vec<Millis>,
}

impl Jobs {
    /// An id for the next job; none if there are too many.
    pub(super) fn next_id(&mut self) -> Option<Id> {
        if JOBS_MAX <= self.kept.len() + self.old.len() {
            return None;
        }
        self.serial += 1;
        Some(Id::compose("750", self.serial))
    }

    pub(super) fn add(&mut self, job: Job) {
        self.kept.insert(job.id, job);
    }

    pub(super) fn job(&self, id: Id) -> Option<&Job> {
        self.kept.get(&id)
    }

    pub(super) fn job_mut(&mut self, id: Id) -> Option<&mut Job> {
        self.kept.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: Id) {
        self.kept.remove(&id);
    }

    /// All jobs, oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Job> {
        self.kept.values()
    }

    /// The job that has the next thing to do, and when.
    fn next_due(&self) -> Option<(Millis, Id)> {
        let due = |job: &Job| {
            let closed = job.closed.filter(|_| job.state.is_waiting())?;
            let (step, steps) = match &job.work {
                Work::Ingest(ingest) => ingest.next_step(),
                Work::Extract(_) => (1, 1),
            };
            Some((closed + self.pace.millis * step / steps.max(1), job.id))
        };
        self.kept.values().filter_map(due).min()
    }

    fn forget(&mut self, now: Millis) {
        self.kept.retain(|_, job| !job.state.is_final() || now - job.changed <= KEPT_MS);
    }
}

/// Carries out what is due by now, in the order in which it was due.
pub(super) fn advance(org: &mut Org, now: Millis) {
    org.bulk.forget(now);
    while let Some((due, id)) = org.bulk.next_due().filter(|(due, _)| *due <= now) {
        let Some(mut job) = org.bulk.kept.remove(&id) else { return };
        org.data.publish(due);
        step(org, &mut job, due);
        org.bulk.kept.insert(id, job);
    }
    old::advance(org, now);
    for job in org.bulk.kept.values_mut() {
        if job.state == State::UploadComplete && job.closed.is_some_and(|closed| closed < now) {
            job.state = State::InProgress;
        }
    }
}

fn step(org: &mut Org, job: &mut Job, due: Millis) {
    match &job.work {
        Work::Ingest(_) => ingest::step(org, job, due),
        Work::Extract(_) => extract::run(org, job, due),
    }
}
