//! Reading an object as one job, page by page.
//!
//! What a page tells is at least as new as the job: its rows are ordered by when the job was asked
//! for, so that whatever was seen since stands.

use std::num::NonZeroUsize;

use serde_json::json;

use crate::crm::http::Call;
use crate::crm::salesforce::Account;
use crate::crm::salesforce::bulk::PAGE;
use crate::crm::salesforce::bulk::job::{Jobs, State, rows};
use crate::crm::salesforce::plan::Plan;
use crate::crm::sightings::Asked;
use crate::peer::{Ask, PeerError};
use crate::reconcile::{Entity, Observation, RecordId};
use crate::telemetry::{BulkEnd, BulkJob, BulkKind, metrics};

/// A job that reads, and how far it was read.
#[derive(Debug)]
pub(in crate::crm::salesforce) struct Extract {
    entity: Entity,
    job: String,
    asked: Asked,
    /// The last record that was given: only who goes on from there goes on here.
    last: Option<RecordId>,
    /// Where the next page begins; `None` after the last.
    locator: Option<String>,
}

impl Extract {
    /// Makes a job of what follows `after`, and waits until it has ended.
    pub(in crate::crm::salesforce) async fn begin(
        account: &Account,
        plan: &Plan,
        after: Option<&RecordId>,
        condition: &str,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Self, PeerError> {
        let query = format!("{}{condition} ORDER BY Id", plan.select());
        let body = json!({ "operation": "query", "query": query });
        // What the job saw may be as old as this.
        let asked = asked.tick();
        let made = account.api.make_job(Jobs::Query, &body).await?;
        let bulk = &account.settings.bulk;
        let ended = account.api.watch(Jobs::Query, &made.id, bulk, None).await;
        let end = ended.as_ref().map_or(BulkEnd::Lost, |ended| ended.state.end());
        metrics::bulk_job(&account.settings.name, BulkJob { kind: BulkKind::Read, end });
        let ended = ended?;
        if ended.state != State::JobComplete {
            let why = ended.error_message.unwrap_or_else(|| "without a word".to_owned());
            return Err(PeerError::Transient {
                doing: "reading as a bulk job",
                source: why.into(),
            });
        }
        let entity = plan.mapping.entity;
        let (last, locator) = (after.cloned(), Some(String::new()));
        Ok(Self { entity, job: made.id, asked, last, locator })
    }

    /// Whether the records of that mapping behind that one are those of the next page.
    pub(in crate::crm::salesforce) fn goes_on(
        &self,
        entity: Entity,
        after: Option<&RecordId>,
    ) -> bool {
        self.entity == entity && self.last.as_ref() == after
    }

    /// The next page; an empty one is the end.
    pub(in crate::crm::salesforce) async fn page(
        &mut self,
        account: &Account,
        plan: &Plan,
        limit: usize,
    ) -> Result<Vec<Observation>, PeerError> {
        let Some(locator) = &self.locator else { return Ok(Vec::new()) };
        let most = NonZeroUsize::new(limit.min(PAGE)).map_or(1, NonZeroUsize::get);
        let mut path = format!("query/{}/results?maxRecords={most}", self.job);
        if !locator.is_empty() {
            path.push_str("&locator=");
            path.push_str(locator);
        }
        let answer = account.api.results(&path, Call::Scan).await?;
        let next = answer.headers.get("sforce-locator").and_then(|text| text.to_str().ok());
        let next = next.filter(|text| !text.is_empty() && *text != "null").map(str::to_owned);
        let mut seen = Vec::new();
        for row in rows(&answer.body)? {
            let cells = row.iter().map(|(name, cell)| (name.as_str(), cell.as_str()));
            let record = plan.cells.record(cells);
            seen.push(plan.observe(&record, self.asked)?.observation);
        }
        self.locator = next;
        self.last = seen.last().map(|seen| seen.record.clone()).or(self.last.take());
        Ok(seen)
    }
}
