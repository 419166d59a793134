//! A job's calls, the one job of an account that may be writing, and when jobs are left alone.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderName};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::crm::http::{Allowance, Answer, Call, Failure, Repeat, Request, Urgency};
use crate::crm::salesforce::api::{Api, get, write_headers};
use crate::crm::salesforce::bulk::Bulk;
use crate::crm::salesforce::errors;
use crate::crm::salesforce::errors::refusals;
use crate::peer::PeerError;
use crate::telemetry::BulkEnd;

/// Which of the two kinds of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::crm::salesforce) enum Jobs {
    Ingest,
    Query,
}

impl Jobs {
    fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Query => "query",
        }
    }
}

/// Where a job stands, as it says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told {
    pub(super) id: String,
    pub(super) state: State,
    #[serde(default)]
    pub(super) error_message: Option<String>,
}

/// The states of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum State {
    Open,
    UploadComplete,
    InProgress,
    JobComplete,
    Failed,
    Aborted,
}

impl State {
    pub(super) fn is_final(self) -> bool {
        match self {
            Self::JobComplete | Self::Failed | Self::Aborted => true,
            Self::Open | Self::UploadComplete | Self::InProgress => false,
        }
    }

    /// What became of a job that has ended so.
    pub(super) fn end(self) -> BulkEnd {
        match self {
            Self::JobComplete => BulkEnd::Done,
            Self::Failed | Self::Aborted => BulkEnd::Failed,
            Self::Open | Self::UploadComplete | Self::InProgress => BulkEnd::Lost,
        }
    }
}

/// The kinds of jobs that are left alone, each until when: they have allowances and rights of their
/// own, and calls do as well.
#[derive(Debug, Default)]
pub(in crate::crm::salesforce) struct Rests(std::sync::Mutex<BTreeMap<Jobs, Instant>>);

impl Rests {
    fn begin(&self, jobs: Jobs, until: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(jobs, until);
    }

    /// Whether jobs of this kind are left alone.
    pub(in crate::crm::salesforce) fn hold(&self, jobs: Jobs, now: Instant) -> bool {
        let rests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rests.get(&jobs).is_some_and(|until| now < *until)
    }
}

/// The place of the one job that may be writing: two would lock each other's rows. Who holds it may
/// make a job; the number in it is that of one whose end nobody saw.
#[derive(Debug, Default)]
pub(in crate::crm::salesforce) struct Slot(Mutex<Option<String>>);

impl Slot {
    /// The place, where no job is writing.
    pub(in crate::crm::salesforce) fn take(&self) -> Option<MutexGuard<'_, Option<String>>> {
        self.0.try_lock().ok()
    }

    /// Whether no job is writing.
    pub(in crate::crm::salesforce) fn is_free(&self) -> bool {
        self.0.try_lock().is_ok()
    }
}

impl Api {
    /// Makes a job. That nothing came of it says nothing was carried out: it was not closed.
    pub(super) async fn make_job(&self, jobs: Jobs, body: &Json) -> Result<Told, PeerError> {
        let doing = "making a bulk job";
        let call = match jobs {
            Jobs::Ingest => Call::Write,
            Jobs::Query => Call::Scan,
        };
        let request = Request {
            call,
            method: Method::POST,
            path: format!("{}/jobs/{}", self.root, jobs.name()),
            headers: Vec::new(),
            body: Some(body.to_string().into_bytes()),
            repeat: Repeat::Freely,
            urgency: Urgency::Ordinary,
            allowance: Allowance::Jobs,
        };
        let answer = self.client.send(&request, &mut || ()).await;
        let answer = answer.map_err(|failure| failure.into_error(doing))?;
        match answer.status {
            200..300 => answer.json(doing),
            _ => Err(self.refused_job(jobs, &answer, doing)),
        }
    }

    /// The error of a step towards a job that was refused. Where no jobs are to be had they are left
    /// alone for a while, and this is no error of what was to go as one.
    pub(super) fn refused_job(
        &self,
        jobs: Jobs,
        answer: &Answer,
        doing: &'static str,
    ) -> PeerError {
        let Some((rest, words)) = errors::rests_jobs(answer) else {
            return errors::refused_read(answer, doing);
        };
        self.rests.begin(jobs, Instant::now() + rest);
        let minutes = rest.as_secs() / 60;
        let why =
            format!("Salesforce refuses {doing}: {words}; asked again after {minutes} minutes");
        PeerError::Unfit { why }
    }

    /// Fills a job that writes; where that comes to nothing, the job is never closed.
    pub(super) async fn fill(&self, id: &str, csv: Vec<u8>) -> Result<(), PeerError> {
        let doing = "filling a bulk job";
        let mut headers: Vec<(HeaderName, String)> = write_headers();
        headers.push((CONTENT_TYPE, "text/csv; charset=UTF-8".to_owned()));
        let request = Request {
            call: Call::Write,
            method: Method::PUT,
            path: format!("{}/jobs/ingest/{id}/batches", self.root),
            headers,
            body: Some(csv),
            repeat: Repeat::IfUndone,
            urgency: Urgency::Ordinary,
            allowance: Allowance::Jobs,
        };
        let answer = self.client.send(&request, &mut || ()).await;
        let answer = answer.map_err(|failure| failure.into_error(doing))?;
        match answer.status {
            200..300 => Ok(()),
            _ => Err(self.refused_job(Jobs::Ingest, &answer, doing)),
        }
    }

    /// Closes a job, from when on it runs, or aborts it.
    pub(super) async fn turn(&self, id: &str, to: &str) -> Result<Answer, Failure> {
        let request = Request {
            call: Call::Write,
            method: Method::PATCH,
            path: format!("{}/jobs/ingest/{id}", self.root),
            headers: Vec::new(),
            body: Some(json!({ "state": to }).to_string().into_bytes()),
            repeat: Repeat::IfUndone,
            urgency: Urgency::Urgent,
            allowance: Allowance::Jobs,
        };
        self.client.send(&request, &mut || ()).await
    }

    /// Where a job stands.
    pub(super) async fn job(&self, jobs: Jobs, id: &str) -> Result<Told, PeerError> {
        let doing = "looking at a bulk job";
        let path = format!("{}/jobs/{}/{id}", self.root, jobs.name());
        let call = match jobs {
            Jobs::Ingest => Call::Write,
            Jobs::Query => Call::Scan,
        };
        let request = of_job(path, call);
        let answer = self.client.send(&request, &mut || ()).await;
        let answer = answer.map_err(|failure| failure.into_error(doing))?;
        match answer.status {
            200 => answer.json(doing),
            _ => Err(errors::refused_read(&answer, doing)),
        }
    }

    /// Watches a job until it has ended, or until `deadline`, when it is as it is.
    pub(super) async fn watch(
        &self,
        jobs: Jobs,
        id: &str,
        bulk: &Bulk,
        deadline: Option<Instant>,
    ) -> Result<Told, PeerError> {
        let mut looks = 0;
        loop {
            tokio::time::sleep(bulk.look_after(looks)).await;
            looks += 1;
            let over = deadline.is_some_and(|deadline| deadline <= Instant::now());
            match self.job(jobs, id).await {
                Ok(told) if told.state.is_final() || over => return Ok(told),
                Ok(_) => (),
                Err(error) if over || jobs == Jobs::Query => return Err(error),
                // It runs whether we see it or not.
                Err(error) => tracing::warn!(%error, job = id, "a bulk job could not be looked at"),
            }
        }
    }

    /// Ends a job that writes, wherever it stands; what it did is told by its records.
    pub(in crate::crm::salesforce) async fn end_job(&self, id: &str) -> Result<(), PeerError> {
        let doing = "aborting a bulk job";
        let answer = self.turn(id, "Aborted").await.map_err(|failure| failure.into_error(doing))?;
        if (200..300).contains(&answer.status) {
            return Ok(());
        }
        // Ended, or deleted, by now.
        let ended = refusals(&answer).iter().any(|error| {
            ["INVALIDJOBSTATE", "INVALIDJOB", "NOT_FOUND"].contains(&error.code.as_str())
        });
        if ended { Ok(()) } else { Err(errors::refused_read(&answer, doing)) }
    }

    /// A job's results, as they come: CSV with a line of names.
    pub(super) async fn results(&self, path: &str, call: Call) -> Result<Answer, PeerError> {
        let doing = "reading the results of a bulk job";
        let path = format!("{}/jobs/{path}", self.root);
        let request = of_job(path, call);
        let answer = self.client.send(&request, &mut || ()).await;
        let answer = answer.map_err(|failure| failure.into_error(doing))?;
        match answer.status {
            200 => Ok(answer),
            _ => Err(errors::refused_read(&answer, doing)),
        }
    }
}

fn of_job(path: String, call: Call) -> Request {
    // What was written must be known; what is read may wait.
    let urgency = if call == Call::Write { Urgency::Urgent } else { Urgency::Ordinary };
    Request { allowance: Allowance::Jobs, ..get(path, call, urgency) }
}

/// The rows of a job's results, each cell with its name.
pub(super) fn rows(body: &[u8]) -> Result<Vec<Vec<(String, String)>>, PeerError> {
    let unreadable = |error: csv::Error| PeerError::Transient {
        doing: "reading the results of a bulk job",
        source: Box::new(error),
    };
    let mut reader = csv::Reader::from_reader(body);
    let names: Vec<String> =
        reader.headers().map_err(unreadable)?.iter().map(str::to_owned).collect();
    let row = |row: Result<csv::StringRecord, csv::Error>| {
        let row = row.map_err(unreadable)?;
        Ok(names.iter().cloned().zip(row.iter().map(str::to_owned)).collect())
    };
    reader.records().map(row).collect()
}
