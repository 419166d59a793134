//! Writing many records as one job.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use tokio::time::Instant;

use crate::crm::http::{Call, Failure};
use crate::crm::salesforce::Account;
use crate::crm::salesforce::api::{Record, SaveResult};
use crate::crm::salesforce::bulk::cells;
use crate::crm::salesforce::bulk::job::{Jobs, State, rows};
use crate::crm::salesforce::errors::ApiError;
use crate::crm::salesforce::save::Answered;
use crate::crm::writes::{AGAIN, lost};
use crate::peer::{Notes, PeerError};
use crate::telemetry::{BulkEnd, BulkJob, BulkKind, metrics};

/// Nothing larger is uploaded: Salesforce takes 100 megabytes.
const UPLOAD_BYTES_MAX: usize = 50 << 20;

/// Records for a job, by what names each: its id, or its external id.
#[derive(Debug)]
pub(in crate::crm::salesforce) struct Rows<'a> {
    object: &'a str,
    /// The external id's field; `None` is by the records' own ids.
    external_id: Option<&'a str>,
    /// The rows that cells can say, by their key.
    by_key: BTreeMap<String, usize>,
    csv: Vec<u8>,
}

impl<'a> Rows<'a> {
    /// Makes CSV of records; those that it cannot say are left out, and told by their places.
    pub(in crate::crm::salesforce) fn of(
        object: &'a str,
        external_id: Option<&'a str>,
        records: &[Record],
    ) -> (Self, Vec<usize>) {
        let key = external_id.unwrap_or("id");
        let names: BTreeSet<&str> = (records.iter().flat_map(|record| record.keys()))
            .map(String::as_str)
            .filter(|name| *name != "attributes" && *name != key)
            .collect();
        let mut writer = csv::WriterBuilder::new();
        let mut writer = writer.terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
        let heading = external_id.unwrap_or("Id");
        let mut left_out = Vec::new();
        let mut by_key = BTreeMap::new();
        // Writing into memory fails for nothing but a length that differs, and there is none.
        let mut whole = writer.write_record([heading].into_iter().chain(names.iter().copied()));
        for (place, record) in records.iter().enumerate() {
            let cell = |name: &str| record.get(name).map_or(Some(String::new()), cells::print);
            let row: Option<Vec<String>> = names.iter().map(|name| cell(name)).collect();
            let key = record.get(key).and_then(Json::as_str);
            let (Some(key), Some(row)) = (key, row) else {
                left_out.push(place);
                continue;
            };
            by_key.insert(key.to_owned(), place);
            whole =
                whole.and(writer.write_record([key].into_iter().chain(row.iter().map(|c| &**c))));
        }
        let csv = whole.ok().and_then(|()| writer.into_inner().ok()).unwrap_or_default();
        (Self { object, external_id, by_key, csv }, left_out)
    }

    /// Whether it may be uploaded.
    pub(in crate::crm::salesforce) fn fits(&self) -> bool {
        !self.csv.is_empty() && self.csv.len() <= UPLOAD_BYTES_MAX
    }

    /// Carries the job out; what came of each row, by its place. An error means that nothing was
    /// carried out.
    pub(in crate::crm::salesforce) async fn save(
        self,
        account: &Account,
        slot: &mut Option<String>,
        notes: &(impl Notes + Sync),
    ) -> Result<BTreeMap<usize, Answered>, PeerError> {
        let api = &account.api;
        if let Some(before) = slot.as_deref() {
            api.end_job(before).await?;
            notes.job(None).await?;
            *slot = None;
        }
        let begun = Instant::now();
        let operation = if self.external_id.is_some() { "upsert" } else { "update" };
        let mut body = json!({ "object": self.object, "operation": operation,
            "contentType": "CSV", "lineEnding": "LF", "columnDelimiter": "COMMA" });
        if let Some(name) = self.external_id {
            body["externalIdFieldName"] = json!(name);
        }
        let id = api.make_job(Jobs::Ingest, &body).await?.id;
        let ended = |end| {
            let job = BulkJob { kind: BulkKind::Write, end };
            metrics::bulk_job(&account.settings.name, job);
        };
        if let Err(error) = api.fill(&id, self.csv.clone()).await {
            ended(BulkEnd::Failed);
            // Open and unfilled it does nothing: that it is not taken away is no error of its own.
            drop(api.end_job(&id).await);
            return Err(error);
        }
        // Kept before it is closed: from then on it runs without us.
        notes.job(Some(&id)).await?;
        *slot = Some(id.clone());
        let rows = self.by_key.len();
        tracing::info!(job = id, object = self.object, rows, "writing as a bulk job");
        if let Closed::Never(error) = self.close(account, &id).await {
            ended(BulkEnd::Failed);
            notes.job(None).await?;
            *slot = None;
            return Err(error);
        }
        let deadline = begun + account.settings.bulk.patience;
        let Some(state) = finish(account, &id, deadline).await else {
            ended(BulkEnd::Lost);
            return Ok(self.by_key.into_values().map(|place| (place, Answered::Lost)).collect());
        };
        ended(state.end());
        // Rows have landed: that the ledger still names the job must not say that none has.
        match notes.job(None).await {
            Ok(()) => *slot = None,
            Err(error) => {
                tracing::warn!(%error, job = id, "the end of a bulk job was not noted: the next job does");
            }
        }
        tracing::info!(job = id, ?state, "the bulk job has ended");
        Ok(self.read(account, &id).await)
    }

    async fn close(&self, account: &Account, id: &str) -> Closed {
        match account.api.turn(id, "UploadComplete").await {
            Ok(answer) if (200..300).contains(&answer.status) => Closed::Perhaps,
            Ok(answer) => {
                let doing = "closing a bulk job";
                Closed::Never(account.api.refused_job(Jobs::Ingest, &answer, doing))
            }
            Err(Failure::Undone(error)) => Closed::Never(error),
            // The job itself says whether it runs.
            Err(Failure::Lost(error)) => {
                tracing::warn!(error = %error, job = id, "the answer to closing a bulk job was lost");
                match account.api.job(Jobs::Ingest, id).await {
                    Ok(told) if told.state == State::Open => {
                        // Aborted, it cannot be closed by the request that was lost.
                        match account.api.end_job(id).await {
                            Ok(()) => Closed::Never(PeerError::Transient {
                                doing: "closing a bulk job",
                                source: error,
                            }),
                            Err(_) => Closed::Perhaps,
                        }
                    }
                    Ok(_) | Err(_) => Closed::Perhaps,
                }
            }
        }
    }

    /// What the job says of each row; those that it says nothing of are lost, and read.
    async fn read(self, account: &Account, id: &str) -> BTreeMap<usize, Answered> {
        let mut answered = BTreeMap::new();
        for which in ["successfulResults", "failedResults", "unprocessedrecords"] {
            let path = format!("ingest/{id}/{which}");
            let told = account.api.results(&path, Call::Write).await;
            let told = match told.and_then(|answer| rows(&answer.body)) {
                Ok(told) => told,
                Err(error) => {
                    lost(&error, self.by_key.len() - answered.len());
                    continue;
                }
            };
            for row in told {
                let cell = |name: &str| {
                    let found = row.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                    found.map(|(_, cell)| cell.as_str())
                };
                let Some(place) = self.place(cell) else { continue };
                answered.insert(place, answer_of(which, cell));
            }
        }
        for place in self.by_key.into_values() {
            answered.entry(place).or_insert(Answered::Lost);
        }
        answered
    }

    fn place<'r>(&self, cell: impl Fn(&str) -> Option<&'r str>) -> Option<usize> {
        self.by_key.get(cell(self.external_id.unwrap_or("Id"))?).copied()
    }
}

/// Whether a job was closed.
enum Closed {
    /// It was, or nobody knows.
    Perhaps,
    /// It was not, and never will be.
    Never(PeerError),
}

/// Watches a job to its end, which is brought about where it takes too long; `None` where nobody
/// knows whether it has ended.
async fn finish(account: &Account, id: &str, deadline: Instant) -> Option<State> {
    let (api, bulk) = (&account.api, &account.settings.bulk);
    match api.watch(Jobs::Ingest, id, bulk, Some(deadline)).await {
        Ok(told) if told.state.is_final() => {
            if let Some(why) = told.error_message {
                tracing::warn!(job = id, why, "a bulk job failed on its way");
            }
            return Some(told.state);
        }
        Ok(_) => tracing::warn!(job = id, "a bulk job takes too long, and is aborted"),
        Err(error) => tracing::warn!(job = id, %error, "a bulk job cannot be looked at any more"),
    }
    api.end_job(id).await.ok()?;
    let told = api.job(Jobs::Ingest, id).await.ok()?;
    told.state.is_final().then_some(told.state)
}

fn answer_of<'r>(which: &str, cell: impl Fn(&str) -> Option<&'r str>) -> Answered {
    let id = cell("sf__Id").filter(|id| !id.is_empty()).map(str::to_owned);
    match which {
        "successfulResults" => {
            Answered::Saved(SaveResult { id, success: true, errors: Vec::new() })
        }
        "failedResults" => {
            let error = error_of(cell("sf__Error").unwrap_or_default());
            Answered::Saved(SaveResult { id, success: false, errors: vec![error] })
        }
        // The job ended before it came to this row.
        _ => Answered::Undone(AGAIN.into()),
    }
}

/// `CODE:message:Field,Field --`, where the message may hold colons.
fn error_of(text: &str) -> ApiError {
    let text = text.trim_end().trim_end_matches("--").trim_end();
    let (code, rest) = text.split_once(':').unwrap_or((text, ""));
    let (message, fields) = rest.rsplit_once(':').unwrap_or((rest, ""));
    let fields: Vec<String> =
        fields.split(',').map(str::trim).filter(|f| !f.is_empty()).map(str::to_owned).collect();
    let mut error = ApiError::new(code, message);
    error.fields = Some(fields);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: &Json) -> Record {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn rows_leave_alone_what_they_do_not_name_and_quote_what_they_must() {
        let records = [
            record(&json!({ "attributes": {}, "id": "003A", "Title": "a,\"b\"\nc" })),
            record(&json!({ "attributes": {}, "id": "003B", "Title": "#N/A" })),
            record(&json!({ "attributes": {}, "id": "003C", "Email": null, "Flag": false })),
        ];
        let (rows, left_out) = Rows::of("Contact", None, &records);
        assert_eq!(left_out, [1], "no cell can say that text");
        let csv = String::from_utf8(rows.csv.clone()).unwrap();
        assert_eq!(csv, "Id,Email,Flag,Title\n003A,,,\"a,\"\"b\"\"\nc\"\n003C,#N/A,false,\n");
        let back = super::rows(&rows.csv).unwrap();
        assert_eq!(back[0][3], ("Title".to_owned(), "a,\"b\"\nc".to_owned()));
        assert_eq!(rows.place(|name| (name == "Id").then_some("003C")), Some(2));
    }

    #[test]
    fn errors_of_rows_are_told_like_those_of_calls() {
        let error = error_of("REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --");
        assert_eq!(error.code, "REQUIRED_FIELD_MISSING");
        assert_eq!(error.message, "Required fields are missing: [Name]");
        assert_eq!(error.fields, Some(vec!["Name".to_owned()]));
        assert_eq!(error_of("UNABLE_TO_LOCK_ROW").code, "UNABLE_TO_LOCK_ROW");
    }
}
