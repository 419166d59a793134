//! Writing: each row is read, compared, and written under the version that was read.
//!
//! `If-Match` with that version is a compare-and-set: what somebody writes in between makes the write
//! fail, and the row is read again. Only an opt-out goes under `If-Match: *`: nothing that came in
//! between may hold it up, and like every update it never makes a row that is gone. Opt-ins go
//! singly. What is made is made by `create`; what is too much for batches goes by one action for many
//! rows (`many`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Method;
use reqwest::header::{HeaderName, IF_MATCH};
use serde_json::Value as Json;

use crate::crm::dynamics::api::{Done, Record};
use crate::crm::dynamics::batch::Operation;
use crate::crm::dynamics::codes::Action;
use crate::crm::dynamics::errors::ApiError;
use crate::crm::dynamics::patience::Patience;
use crate::crm::dynamics::plan::{Plan, Sighting};
use crate::crm::dynamics::reads::READS_MAX;
use crate::crm::dynamics::save::{Answered, missing_parent, save_all};
use crate::crm::dynamics::settings::BATCH_MAX;
use crate::crm::dynamics::{Account, Plans, odata};
use crate::crm::http::{Failure, Urgency};
use crate::crm::writes::{
    BLOCKED, Cost, Kind, as_expected, delay, explained, lost, row, target, unexplained, whole,
};
use crate::peer::{Ask, Ended, Notes, PeerError, Writer};
use crate::reconcile::{Delay, Entity, Outcome, Presence, RecordId, Refusal, Write};

/// The writer of an account's rows.
pub struct RowWriter {
    pub(super) account: Arc<Account>,
    plans: Plans,
    /// With records that plug-ins refuse.
    patience: Mutex<Patience>,
    /// With values that are another's, where nobody is seen to hold them.
    pub(super) unowned: Mutex<Patience>,
}

/// A row that was read just before its write.
pub(super) enum Fresh {
    /// It is not to be written after all.
    Settled(Outcome),
    /// It is as expected.
    Ready(Box<Sighting>),
}

impl RowWriter {
    pub(super) fn new(account: Arc<Account>, plans: Plans) -> Self {
        Self { account, plans, patience: Mutex::default(), unowned: Mutex::default() }
    }

    /// Carries out what can be: a paused field stops its own writes, without a call.
    async fn carry_out(
        &self,
        plan: &Plan,
        (kind, massed): (Kind, bool),
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
            let mut done = match kind {
                Kind::CreateOut | Kind::Create => {
                    self.create(plan, (kind, massed), &fit, asked).await?
                }
                Kind::OptOut | Kind::OptIn | Kind::Update | Kind::Delete => {
                    self.change(plan, (kind, massed), &fit, asked).await?
                }
            };
            self.name_owners(plan, &fit, &mut done, asked).await;
            for (place, outcome) in places.into_iter().zip(done) {
                outcomes[place] = Some(outcome);
            }
        }
        Ok(whole(outcomes))
    }

    /// Changes or deletes rows that are there.
    async fn change(
        &self,
        plan: &Plan,
        (kind, massed): (Kind, bool),
        writes: &[&Write],
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Outcome>, PeerError> {
        let urgency = urgency(kind);
        let read_at = tokio::time::Instant::now();
        let mut outcomes: Vec<Option<Outcome>> = vec![None; writes.len()];
        let mut ready = Vec::new();
        for (place, fresh) in
            self.check(plan, writes, urgency, asked).await?.into_iter().enumerate()
        {
            match fresh {
                Fresh::Settled(outcome) => outcomes[place] = Some(outcome),
                Fresh::Ready(sighting) => match body(plan, writes[place]) {
                    Ok(body) => ready.push((place, sighting, body)),
                    Err(refusal) => outcomes[place] = Some(Outcome::Refused(refusal)),
                },
            }
        }
        let answered = if massed && kind == Kind::Update {
            self.update_massed(plan, &ready, read_at).await?
        } else {
            let operations: Vec<Operation> = ready
                .iter()
                .map(|(_, sighting, body)| self.operation(plan, kind, sighting, body))
                .collect();
            self.send(kind, &operations, urgency).await?
        };
        for ((place, _, _), answered) in ready.iter().zip(answered) {
            outcomes[*place] = Some(self.concluded(plan, writes[*place], answered, None));
        }
        self.explain(plan, writes, outcomes, asked).await
    }

    /// What came of a write; what a plug-in refused is put off a few times.
    pub(super) fn concluded(
        &self,
        plan: &Plan,
        write: &Write,
        answered: Answered,
        created: Option<&RecordId>,
    ) -> Outcome {
        let few = answered.error().filter(|error| error.action() == Action::RecordFewTimes);
        let why = few.map(ApiError::code_word);
        let outcome = answered.outcome(plan, created);
        let mut patience = self.patience.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(why) = why else {
            patience.passed(write.link);
            return outcome;
        };
        let most = self.account.settings.plugin_retries;
        match patience.refused(write.link, most, tokio::time::Instant::now()) {
            Some(wait) => Outcome::Later(Delay::of(wait, why)),
            None => outcome,
        }
    }

    pub(super) async fn send(
        &self,
        kind: Kind,
        operations: &[Operation],
        urgency: Urgency,
    ) -> Result<Vec<Answered>, PeerError> {
        if kind != Kind::OptIn {
            return save_all(&self.account, operations, self.in_a_call(), urgency).await;
        }
        let mut answered = Vec::with_capacity(operations.len());
        for operation in operations {
            answered.push(match self.account.api.single(operation, urgency).await {
                Ok(Done::Yes) => Answered::Done,
                Ok(Done::Refused(error)) => Answered::Refused(error),
                Err(Failure::Undone(error)) => return Err(error),
                Err(Failure::Lost(error)) => {
                    lost(&*error, 1);
                    Answered::Lost
                }
            });
        }
        Ok(answered)
    }

    /// What changes or deletes a row as it was read.
    fn operation(&self, plan: &Plan, kind: Kind, sighting: &Sighting, body: &Record) -> Operation {
        let anything = || "*".to_owned();
        let version = match kind {
            Kind::OptOut => anything(),
            Kind::OptIn | Kind::Update | Kind::CreateOut | Kind::Create | Kind::Delete => {
                sighting.etag.clone().unwrap_or_else(anything)
            }
        };
        let (method, body) = match kind {
            Kind::Delete => (Method::DELETE, None),
            Kind::OptOut | Kind::OptIn | Kind::Update | Kind::CreateOut | Kind::Create => {
                (Method::PATCH, Some(Json::Object(body.clone())))
            }
        };
        let headers: Vec<(HeaderName, String)> =
            [vec![(IF_MATCH, version)], self.account.api.write_headers()].concat();
        let path = odata::row(&plan.set, &sighting.observation.record);
        Operation { method, path, headers, body }
    }

    /// How many operations one batch holds.
    pub(super) fn in_a_call(&self) -> usize {
        self.account.settings.batch.clamp(1, BATCH_MAX)
    }

    /// Reads the rows and compares; what is not as expected is settled.
    async fn check(
        &self,
        plan: &Plan,
        writes: &[&Write],
        urgency: Urgency,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Fresh>, PeerError> {
        let records: Vec<&RecordId> = writes.iter().filter_map(|write| target(write)).collect();
        assert_eq!(records.len(), writes.len(), "only writes to records are checked");
        let (live, _) = plan.read_live(&self.account, urgency, &records, asked).await?;
        Ok(writes.iter().zip(live).map(|(write, live)| compare(write, live)).collect())
    }

    /// Reads what is gone or moved once more, to tell how.
    async fn explain(
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
        explained(&mut outcomes, places, read, || missing_parent(&ApiError::of(404, b"")));
        Ok(outcomes)
    }

    /// What these writes would cost, were they written together and nothing in their way.
    pub fn cost(&self, writes: &[Write]) -> Result<Cost, PeerError> {
        let mut jobs: BTreeMap<(Kind, Entity), u64> = BTreeMap::new();
        for write in writes {
            self.plans.of(write.entity)?;
            *jobs.entry((Kind::of(write), write.entity)).or_default() += 1;
        }
        let in_a_call = self.in_a_call() as u64;
        let mut cost = Cost::default();
        for ((kind, _), writes) in jobs {
            cost.reads += writes.div_ceil(super::create::ASKED_TOGETHER as u64);
            cost.writes += match kind {
                Kind::OptIn => writes,
                Kind::OptOut | Kind::Update | Kind::CreateOut | Kind::Create | Kind::Delete => {
                    writes.div_ceil(in_a_call)
                }
            };
        }
        Ok(cost)
    }
}

impl Writer for RowWriter {
    async fn write(
        &self,
        writes: Vec<Write>,
        _notes: &(impl Notes + Sync),
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
        for (((kind, _), places), plan) in jobs.into_iter().zip(plans) {
            let massed = self.goes_massed(kind, places.len());
            for places in places.chunks(kind.batch(READS_MAX, READS_MAX)) {
                let batch: Vec<&Write> = places.iter().map(|place| &writes[*place]).collect();
                let done = match self.carry_out(plan, (kind, massed), &batch, asked).await {
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

    /// Ids of new rows are chosen by what they are of, and not drawn.
    async fn draw_keys(&self, _: Entity, _: usize) -> Result<Vec<RecordId>, PeerError> {
        Ok(Vec::new())
    }

    fn appetite(&self, waiting: u64) -> usize {
        let waiting = usize::try_from(waiting).unwrap_or(usize::MAX);
        self.massed_size(waiting)
    }

    /// There are no transactions to ask after: the row is read.
    async fn transaction(&self, _: u64) -> Result<Option<Ended>, PeerError> {
        Ok(Some(Ended::Aborted))
    }
}

pub(super) fn urgency(kind: Kind) -> Urgency {
    match kind {
        Kind::OptOut | Kind::CreateOut | Kind::OptIn => Urgency::Urgent,
        Kind::Update | Kind::Create | Kind::Delete => Urgency::Ordinary,
    }
}

/// Whether a row is as the decision saw it.
fn compare(write: &Write, live: Option<Sighting>) -> Fresh {
    let Some(sighting) = live else { return Fresh::Settled(Outcome::Stale(None)) };
    // The loser of a merge is still there, and nobody's any more.
    if matches!(sighting.observation.presence, Presence::Gone(_)) {
        return Fresh::Settled(Outcome::Gone(Some(Box::new(sighting.observation))));
    }
    // Somebody changed the row, if not these fields, since an opt-in was decided.
    let since = write.unmodified_since.filter(|_| write.opt_in);
    let moved = since.zip(sighting.modified).is_some_and(|(since, modified)| since < modified);
    if moved || !as_expected(&write.expect, &sighting.observation) {
        return Fresh::Settled(Outcome::Stale(Some(Box::new(sighting.observation))));
    }
    Fresh::Ready(Box::new(sighting))
}

fn body(plan: &Plan, write: &Write) -> Result<Record, Refusal> {
    plan.columns(row(write), false, &write.stamp.to_string())
}
