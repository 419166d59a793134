//! Writing: batches of one object and one kind, each read and compared just before it is written.
//!
//! Salesforce has no compare-and-set for many records, so the guard is a read of the same records
//! right before the write. What somebody writes to the same field in between is lost; that window
//! is measured. Only opt-ins have no such window: each goes alone, under `If-Unmodified-Since`, and
//! not before the second of the record's stamp is over, because the header has whole seconds.
//!
//! Updates and deletes go by record id, never by external id: an upsert as an update would
//! resurrect a deleted contact as a second one. What is made is made by `create`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use tokio::time::Instant;

use crate::crm::http::{Failure, Urgency};
use crate::crm::salesforce::api::{Patched, READS_MAX, Record, WRITES_MAX};
use crate::crm::salesforce::codes::Action;
use crate::crm::salesforce::plan::{Plan, Sighting};
use crate::crm::salesforce::save::{self, Age, Answered, Batch};
use crate::crm::salesforce::{Account, Plans};
use crate::crm::writes::{
    AGAIN, BLOCKED, Kind, as_expected, delay, explained, known_by, lost, row, target, unexplained,
    whole,
};
use crate::peer::{Ask, Ended, Notes, PeerError, Writer};
use crate::reconcile::{Delay, Entity, Outcome, RecordId, Refusal, Write};

/// The writer of an account's records.
pub struct RecordWriter {
    pub(super) account: Arc<Account>,
    pub(super) plans: Plans,
}

/// Writes that are ready to be sent.
pub(super) struct Ready {
    /// What is settled without being sent, by the write's place.
    pub(super) outcomes: Vec<Option<Outcome>>,
    /// What is to be sent,
    pub(super) records: Vec<Record>,
    /// and the places of the writes that it is of.
    pub(super) places: Vec<usize>,
    /// When the records were read.
    pub(super) read_at: Instant,
}

/// A record that was read just before its write.
struct Fresh {
    /// Why it is not to be written after all.
    settled: Option<Outcome>,
    /// As it was read, where it was there.
    sighting: Option<Sighting>,
}

impl RecordWriter {
    pub(super) fn new(account: Arc<Account>, plans: Plans) -> Self {
        Self { account, plans }
    }

    /// Carries out what can be: a paused field stops its own writes, without a call.
    async fn carry_out(
        &self,
        plan: &Plan,
        kind: Kind,
        writes: &[&Write],
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Outcome>, PeerError> {
        if let Err(error) = plan.stands() {
            return Ok(vec![Outcome::Later(Delay::of(BLOCKED, error.reason())); writes.len()]);
        }
        let mut outcomes: Vec<Option<Outcome>> =
            writes.iter().map(|write| plan.refuses(write).map(Outcome::Refused)).collect();
        let places: Vec<usize> = (0..writes.len()).filter(|n| outcomes[*n].is_none()).collect();
        if !places.is_empty() {
            let fit: Vec<&Write> = places.iter().map(|place| writes[*place]).collect();
            let done = self.send(plan, kind, &fit, asked).await?;
            for (place, outcome) in places.into_iter().zip(done) {
                outcomes[place] = Some(outcome);
            }
        }
        Ok(whole(outcomes))
    }

    async fn send(
        &self,
        plan: &Plan,
        kind: Kind,
        writes: &[&Write],
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Outcome>, PeerError> {
        match kind {
            Kind::OptOut => self.update(plan, writes, Urgency::Urgent, asked).await,
            Kind::Update => self.update(plan, writes, Urgency::Ordinary, asked).await,
            Kind::Delete => self.delete(plan, writes, asked).await,
            Kind::CreateOut => self.create(plan, writes, Urgency::Urgent, asked).await,
            Kind::Create => self.create(plan, writes, Urgency::Ordinary, asked).await,
            Kind::OptIn => {
                let mut outcomes = Vec::with_capacity(writes.len());
                for write in writes {
                    outcomes.push(self.opt_in(plan, write, asked).await?);
                }
                Ok(outcomes)
            }
        }
    }

    async fn update(
        &self,
        plan: &Plan,
        writes: &[&Write],
        urgency: Urgency,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Outcome>, PeerError> {
        let ready = self.prepare_updates(plan, writes, urgency, asked).await?;
        let Ready { mut outcomes, records, places, read_at } = ready;
        if !records.is_empty() {
            let batch = Batch::Update(&records, urgency);
            let answered = save::save_all(&self.account.api, plan, batch, self.in_a_call()).await?;
            self.account.count_window(read_at.elapsed());
            for (place, answered) in places.into_iter().zip(answered) {
                outcomes[place] = Some(self.outcome(plan, writes[place], answered, Age::Known));
            }
        }
        self.explain(plan, writes, outcomes, asked).await
    }

    /// How many records one call saves.
    pub(super) fn in_a_call(&self) -> usize {
        self.account.settings.batch.clamp(1, WRITES_MAX)
    }

    /// Reads and compares the records, and says what is to be written in Salesforce's words.
    pub(super) async fn prepare_updates(
        &self,
        plan: &Plan,
        writes: &[&Write],
        urgency: Urgency,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Ready, PeerError> {
        let (fresh, read_at) = self.check(plan, writes, urgency, asked).await?;
        let mut outcomes: Vec<Option<Outcome>> = fresh.into_iter().map(|f| f.settled).collect();
        let (mut records, mut places) = (Vec::new(), Vec::new());
        for (place, write) in writes.iter().enumerate() {
            if outcomes[place].is_some() {
                continue;
            }
            match update_body(plan, write) {
                Ok(record) => {
                    records.push(record);
                    places.push(place);
                }
                Err(refusal) => outcomes[place] = Some(Outcome::Refused(refusal)),
            }
        }
        Ok(Ready { outcomes, records, places, read_at })
    }

    async fn delete(
        &self,
        plan: &Plan,
        writes: &[&Write],
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Outcome>, PeerError> {
        let (fresh, read_at) = self.check(plan, writes, Urgency::Ordinary, asked).await?;
        let mut outcomes: Vec<Option<Outcome>> = fresh.into_iter().map(|f| f.settled).collect();
        let places: Vec<usize> = (0..writes.len()).filter(|n| outcomes[*n].is_none()).collect();
        let doomed: Vec<&RecordId> =
            places.iter().filter_map(|place| target(writes[*place])).collect();
        if !doomed.is_empty() {
            let batch = Batch::Delete(&doomed);
            let answered = save::save_all(&self.account.api, plan, batch, self.in_a_call()).await?;
            self.account.count_window(read_at.elapsed());
            for (place, answered) in places.into_iter().zip(answered) {
                outcomes[place] = Some(self.outcome(plan, writes[place], answered, Age::Known));
            }
        }
        self.explain(plan, writes, outcomes, asked).await
    }

    /// Writes one record under the header that refuses it if anybody was there in between.
    async fn opt_in(
        &self,
        plan: &Plan,
        write: &Write,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Outcome, PeerError> {
        let (mut fresh, read_at) = self.check(plan, &[write], Urgency::Urgent, asked).await?;
        let Some(Fresh { settled, sighting }) = fresh.pop() else {
            return Ok(Outcome::Later(AGAIN.into()));
        };
        if let Some(settled) = settled {
            return Ok(settled);
        }
        let (Some(sighting), Some(id)) = (sighting, target(write)) else {
            return Ok(Outcome::Later(AGAIN.into()));
        };
        // Somebody changed the record, if not these fields, since the decision was taken.
        if write.unmodified_since.is_some_and(|since| since < sighting.modified) {
            return Ok(Outcome::Stale(Some(Box::new(sighting.observation))));
        }
        // An opt-out in the rest of this second would pass the header.
        let second_over = sighting.modified.saturating_add(SignedDuration::from_secs(1));
        if !second_over.is_ok_and(|over| self.account.server_had(read_at) >= Some(over)) {
            return Ok(Outcome::Later(AGAIN.into()));
        }
        let stamp = write.stamp.to_string();
        let body = match plan.fields(row(write), false, &stamp) {
            Ok(body) => body,
            Err(refusal) => return Ok(Outcome::Refused(refusal)),
        };
        let patched =
            self.account.api.patch(&plan.mapping.table, id, &body, sighting.modified).await;
        self.account.count_window(read_at.elapsed());
        let outcome = match patched {
            Ok(Patched::Done) => Outcome::Done { created: None, xid: None },
            Ok(Patched::Moved) => Outcome::Stale(None),
            Ok(Patched::Refused(errors)) => {
                let error = errors.into_iter().next().unwrap_or_else(save::unexplained);
                self.outcome(plan, write, Answered::Refused(error), Age::Known)
            }
            Err(Failure::Undone(error)) => return Err(error),
            Err(Failure::Lost(error)) => {
                lost(&*error, 1);
                Outcome::Lost
            }
        };
        let outcomes = self.explain(plan, &[write], vec![Some(outcome)], asked).await?;
        Ok(outcomes.into_iter().next().unwrap_or(Outcome::Lost))
    }

    /// The outcome of a write that was sent. One that was locked is remembered: when it comes again,
    /// it goes with those of its parent.
    pub(super) fn outcome(
        &self,
        plan: &Plan,
        write: &Write,
        answered: Answered,
        age: Age,
    ) -> Outcome {
        let (record, error) = (known_by(write), answered.error());
        let is = |action| error.filter(|error| error.action() == action);
        let client = &self.account.api.client;
        let after = match (is(Action::SmallerBatch), is(Action::PauseDay)) {
            (Some(error), _) => Some(self.account.locked(record, error.locked())),
            // The day's calls are everyone's, whichever record is told of them.
            (None, Some(_)) => Some(delay(&client.exhausted()).after),
            (None, None) => None,
        };
        if is(Action::FewerWorkers).is_some() {
            client.crowded();
        }
        if is(Action::DescribeAnew).is_some() {
            self.account.api.doubt();
        }
        if let (Some(after), Some(error)) = (after, error) {
            let delay = error.delay(after);
            // It is counted like every error; only the wait is ours.
            drop(save::outcome(answered, plan, age));
            return Outcome::Later(delay);
        }
        self.account.contention(|contention| contention.passed(record));
        save::outcome(answered, plan, age)
    }

    /// Reads the records and compares; what is not as expected is settled. Also tells when the
    /// read was asked for.
    async fn check(
        &self,
        plan: &Plan,
        writes: &[&Write],
        urgency: Urgency,
        asked: &mut (dyn Ask + Send),
    ) -> Result<(Vec<Fresh>, Instant), PeerError> {
        let records: Vec<&RecordId> = writes.iter().filter_map(|write| target(write)).collect();
        assert_eq!(records.len(), writes.len(), "only writes to records are checked");
        let (live, answer) = plan.read_live(&self.account, urgency, &records, asked).await?;
        let read_at = Instant::now() - answer.took;
        let compare = |(write, live): (&&Write, Option<Sighting>)| match live {
            Some(sighting) if as_expected(&write.expect, &sighting.observation) => {
                Fresh { settled: None, sighting: Some(sighting) }
            }
            Some(sighting) => {
                let moved = Outcome::Stale(Some(Box::new(sighting.observation)));
                Fresh { settled: Some(moved), sighting: None }
            }
            // How it is gone is asked after the others are written: nothing widens their window.
            None => Fresh { settled: Some(Outcome::Stale(None)), sighting: None },
        };
        Ok((writes.iter().zip(live).map(compare).collect(), read_at))
    }

    /// Reads what is gone or moved once more, to tell how. A record that is there, although the
    /// write was told that something is gone, refers to something that is.
    pub(super) async fn explain(
        &self,
        plan: &Plan,
        writes: &[&Write],
        outcomes: Vec<Option<Outcome>>,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Outcome>, PeerError> {
        let mut outcomes = whole(outcomes);
        let places = unexplained(&outcomes);
        let records: Vec<&RecordId> = places.iter().filter_map(|n| target(writes[*n])).collect();
        if records.is_empty() {
            return Ok(outcomes);
        }
        let read = plan.read(&self.account, Urgency::Ordinary, &records, asked).await;
        let read = read.map(|read| read.into_iter().map(|one| one.observation).collect());
        explained(&mut outcomes, places, read, save::missing_parent);
        Ok(outcomes)
    }
}

impl Writer for RecordWriter {
    async fn write(
        &self,
        writes: Vec<Write>,
        notes: &(impl Notes + Sync),
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Outcome>, PeerError> {
        let mut jobs: BTreeMap<(Kind, Entity), Vec<usize>> = BTreeMap::new();
        for (place, write) in writes.iter().enumerate() {
            jobs.entry((Kind::of(write), write.entity)).or_default().push(place);
        }
        let plans = jobs.keys().map(|(_, entity)| self.plans.of(*entity));
        let plans = plans.collect::<Result<Vec<_>, _>>()?;
        let mut outcomes = vec![Outcome::Lost; writes.len()];
        let mut begun = false;
        for (((kind, _), mut places), plan) in jobs.into_iter().zip(plans) {
            if self.wants_job(kind, places.len()) {
                let batch: Vec<&Write> = places.iter().map(|place| &writes[*place]).collect();
                let done = match self.as_job(plan, (kind, &batch), notes, asked).await {
                    Ok(done) => done,
                    Err(error) if !begun => return Err(error),
                    Err(error) => vec![Some(Outcome::Later(delay(&error))); batch.len()],
                };
                begun = true;
                let mut rest = Vec::new();
                for (place, outcome) in places.into_iter().zip(done) {
                    match outcome {
                        Some(outcome) => outcomes[place] = outcome,
                        None => rest.push(place),
                    }
                }
                places = rest;
            }
            let records: Vec<_> =
                places.iter().map(|place| (*place, known_by(&writes[*place]))).collect();
            let most = kind.batch(READS_MAX, self.in_a_call());
            let batches =
                self.account.contention(|known| known.batches(&records, most, self.in_a_call()));
            for places in batches {
                let batch: Vec<&Write> = places.iter().map(|place| &writes[*place]).collect();
                let done = match self.carry_out(plan, kind, &batch, asked).await {
                    Ok(done) => done,
                    Err(error) if !begun => return Err(error),
                    Err(error) => vec![Outcome::Later(delay(&error)); batch.len()],
                };
                begun = true;
                for (place, outcome) in places.iter().zip(done) {
                    outcomes[*place] = outcome;
                }
            }
        }
        Ok(outcomes)
    }

    /// Salesforce gives its ids itself.
    async fn draw_keys(&self, _: Entity, _: usize) -> Result<Vec<RecordId>, PeerError> {
        Ok(Vec::new())
    }

    fn appetite(&self, waiting: u64) -> usize {
        let waiting = usize::try_from(waiting).unwrap_or(usize::MAX);
        self.job_size(waiting)
    }

    async fn end_job(&self, job: &str) -> Result<(), PeerError> {
        self.account.api.end_job(job).await
    }

    /// There are no transactions to ask after: the record is read.
    async fn transaction(&self, _: u64) -> Result<Option<Ended>, PeerError> {
        Ok(Some(Ended::Aborted))
    }
}

fn update_body(plan: &Plan, write: &Write) -> Result<Record, Refusal> {
    let mut record = Record::new();
    record.insert("attributes".to_owned(), serde_json::json!({ "type": &*plan.mapping.table }));
    record.insert("id".to_owned(), serde_json::json!(target(write).map(|id| &*id.0)));
    record.extend(plan.fields(row(write), false, &write.stamp.to_string())?);
    Ok(record)
}
