//! Writes that go as one job, because there are so many of them.
//!
//! They are read and compared before as any others, two thousand a call; the time from then until
//! the job comes to them is longer, and is measured with the rest. Creates that say that somebody is
//! opted out go by calls: no opt-out waits for a job.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::crm::http::Urgency;
use crate::crm::salesforce::api::READS_MAX;
use crate::crm::salesforce::bulk::{JOB_WRITES_MAX, Jobs, Rows};
use crate::crm::salesforce::plan::Plan;
use crate::crm::salesforce::save::Age;
use crate::crm::salesforce::writer::{Ready, RecordWriter};
use crate::crm::writes::Kind;
use crate::peer::{Ask, Notes, PeerError};
use crate::reconcile::{Outcome, Write};

impl RecordWriter {
    /// Whether so many writes of this kind are to go as a job.
    pub(super) fn wants_job(&self, kind: Kind, writes: usize) -> bool {
        let settings = &self.account.settings;
        match kind {
            Kind::Update | Kind::Create => {
                settings.bulk.writes(writes, settings.batch) && !self.rests()
            }
            Kind::OptOut | Kind::CreateOut | Kind::OptIn | Kind::Delete => false,
        }
    }

    /// How many writes a job would take while so many wait; 0 where none is worth it, or one is
    /// running.
    pub(super) fn job_size(&self, waiting: usize) -> usize {
        let most = waiting.min(JOB_WRITES_MAX);
        let wanted = self.account.settings.bulk.from_records.is_some_and(|from| from <= waiting);
        if wanted && !self.rests() && self.account.slot.is_free() { most } else { 0 }
    }

    /// Whether no job that writes is to be had for now.
    fn rests(&self) -> bool {
        self.account.api.rests.hold(Jobs::Ingest, Instant::now())
    }

    /// Carries writes out as a job; `None` for those that it leaves to calls. An error means that
    /// nothing was carried out.
    pub(super) async fn as_job(
        &self,
        plan: &Plan,
        (kind, writes): (Kind, &[&Write]),
        notes: &(impl Notes + Sync),
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Option<Outcome>>, PeerError> {
        let to_calls = || Ok(vec![None; writes.len()]);
        if plan.stands().is_err() {
            return to_calls();
        }
        let Some(mut slot) = self.account.slot.take() else { return to_calls() };
        // What is refused for a paused field costs no call.
        let fit = (0..writes.len()).filter(|n| plan.refuses(writes[*n]).is_none());
        let (taken, external_id): (Vec<usize>, _) = match (kind, &plan.mapping.external_id) {
            (Kind::Create, Some(external_id)) => (fit.collect(), Some(external_id)),
            (Kind::Update, _) => (fit.collect(), None),
            (Kind::Create, None)
            | (Kind::OptOut | Kind::CreateOut | Kind::OptIn | Kind::Delete, _) => {
                return to_calls();
            }
        };
        let batch: Vec<&Write> = taken.iter().map(|n| writes[*n]).collect();
        let ready = match external_id {
            Some(external_id) => {
                let how = (external_id, Urgency::Ordinary);
                self.prepare_creates(plan, how, &batch, asked).await?
            }
            None => self.prepare_all_updates(plan, &batch, asked).await?,
        };
        let Ready { mut outcomes, records, places, read_at } = ready;
        let key = external_id.map(|name| &**name);
        let (rows, left_out) = Rows::of(&plan.mapping.table, key, &records);
        let answered = if left_out.len() < records.len() && rows.fits() {
            match rows.save(&self.account, &mut slot, notes).await {
                Ok(answered) => {
                    self.account.count_window(read_at.elapsed());
                    answered
                }
                // No jobs are to be had: an allowance, a permission. Calls do as well.
                Err(PeerError::Unfit { why }) => {
                    tracing::warn!(why, "no bulk job can be made: writing by calls");
                    BTreeMap::new()
                }
                Err(error) => return Err(error),
            }
        } else {
            BTreeMap::new()
        };
        drop(slot);
        for (at, answered) in answered {
            let write = batch[places[at]];
            outcomes[places[at]] = Some(match external_id {
                Some(external_id) => self.created(plan, write, answered, external_id),
                None => self.outcome(plan, write, answered, Age::Known),
            });
        }
        let outcomes = self.explain_some(plan, &batch, outcomes, asked).await?;
        let mut all = vec![None; writes.len()];
        for (place, outcome) in taken.into_iter().zip(outcomes) {
            all[place] = outcome;
        }
        Ok(all)
    }

    /// Reads and compares, as many as one call takes at a time.
    async fn prepare_all_updates(
        &self,
        plan: &Plan,
        writes: &[&Write],
        asked: &mut (dyn Ask + Send),
    ) -> Result<Ready, PeerError> {
        let mut all = Ready {
            outcomes: Vec::new(),
            records: Vec::new(),
            places: Vec::new(),
            read_at: Instant::now(),
        };
        for chunk in writes.chunks(READS_MAX) {
            let before = all.outcomes.len();
            let ready = self.prepare_updates(plan, chunk, Urgency::Ordinary, asked).await?;
            all.outcomes.extend(ready.outcomes);
            all.records.extend(ready.records);
            all.places.extend(ready.places.into_iter().map(|place| before + place));
        }
        Ok(all)
    }

    /// Tells how what is gone is gone; what the job left to calls stays as it is.
    async fn explain_some(
        &self,
        plan: &Plan,
        writes: &[&Write],
        outcomes: Vec<Option<Outcome>>,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Option<Outcome>>, PeerError> {
        let told: Vec<usize> = (0..writes.len()).filter(|n| outcomes[*n].is_some()).collect();
        let of: Vec<&Write> = told.iter().map(|n| writes[*n]).collect();
        let mut all = vec![None; writes.len()];
        let outcomes = told.iter().map(|n| outcomes[*n].clone()).collect();
        let explained = self.explain(plan, &of, outcomes, asked).await?;
        for (place, outcome) in told.into_iter().zip(explained) {
            all[place] = Some(outcome);
        }
        Ok(all)
    }
}
