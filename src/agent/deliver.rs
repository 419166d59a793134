//! From kept writes to their answers: the writer is called once, what it says is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::ledger::{Bearer, Kept, Ledger};
use crate::peer::{Ended, Notes, PeerError, Writer};
use crate::reconcile::conclude::Concluded;
use crate::reconcile::{
    Bond, Change, Delay, Entity, Lane, Link, LinkId, Observation, Outcome, RecordId, Row, Side,
    Sides, Stamp, Target, Value, Write,
};
use crate::telemetry::metrics;

use super::absorb::absorb;
use super::error::unless_conflict;
use super::kept::since;
use super::log::receipt;
use super::settle::Settled;
use super::time::{Clock, Ticks};
use super::working::{Bench, later};
use super::{AgentError, Desk};

/// What came of a delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// How many writes were done.
    pub done: usize,
    /// How many were stale, and read again.
    pub stale: usize,
    /// How many were refused.
    pub refused: usize,
    /// How many have an answer that never came.
    pub lost: usize,
    /// How many are to be tried again.
    pub later: usize,
}

/// A writer that was not reached at all is tried again after this long.
const UNREACHED: Duration = Duration::from_secs(1);

/// Writes of a mapping that cannot be written wait this long: a person is being told.
const DENIED: Duration = Duration::from_mins(1);

/// So often an answer is taken in again because its link changed meanwhile.
const TRIES_MAX: u32 = 20;

/// What is put off again and again is tried again after at most this long.
const PUT_OFF_MAX: Duration = Duration::from_mins(10);

/// An opt-out sooner, and what Campaign's own locks kept us from, which costs no calls.
const URGENT_PUT_OFF_MAX: Duration = Duration::from_secs(30);

/// Writes that were put off once go in batches of half as many, and so on: what is too much for the
/// other side, or locks its own rows there, gets through in the end, and stops nobody else.
const BATCH: usize = 128;

/// Delivers one side's writes and keeps what came of them: consent first, then the rest.
pub async fn deliver<L: Ledger, C: Clock, W: Writer>(
    desk: &Desk<'_, L, C>,
    side: Side,
    writer: &W,
    settled: &Settled,
) -> Result<Delivered, AgentError> {
    let mut delivered = Delivered::default();
    let mut batches = batches(side, settled).into_iter();
    while let Some(batch) = batches.next() {
        let stamps: Vec<(LinkId, Stamp)> = batch.iter().map(|w| (w.link, w.stamp)).collect();
        let notes = LedgerNotes { desk, stamps: stamps.iter().copied().collect() };
        let mut ticks = Ticks::new(desk.clock, desk.account, side);
        let entities: Vec<Entity> = batch.iter().map(|write| write.entity).collect();
        match writer.write(batch, &notes, &mut ticks).await {
            Ok(outcomes) => {
                for (entity, outcome) in entities.iter().zip(&outcomes) {
                    if let Some(plan) = desk.plans.get(entity) {
                        metrics::wrote(&plan.name, side, outcome);
                    }
                }
                let answers = Answers { side, of: stamps.into_iter().zip(outcomes).collect() };
                conclude(desk, answers, Reached::Yes, &mut delivered).await?;
            }
            Err(error) => {
                // Nobody waits for what was not tried any more: it is put off with the rest.
                let left = batches.flatten().map(|write| (write.link, write.stamp));
                let later = Outcome::Later(Delay::of(patience(&error), error.reason()));
                let of = stamps.into_iter().chain(left).map(|write| (write, later.clone()));
                let answers = Answers { side, of: of.collect() };
                conclude(desk, answers, Reached::No, &mut delivered).await?;
                return Err(error.into());
            }
        }
    }
    Ok(delivered)
}

/// One side's writes in the order in which they go.
fn batches(side: Side, settled: &Settled) -> Vec<Vec<Write>> {
    let mut batches = Vec::new();
    for lane in Lane::ALL {
        let mut by_times: BTreeMap<u8, Vec<Write>> = BTreeMap::new();
        for write in settled.writes.iter().filter(|w| w.side == side && w.lane == lane) {
            let times = settled.put_off.get(&write.link).copied().unwrap_or(0);
            by_times.entry(times).or_default().push(write.clone());
        }
        for (times, writes) in by_times {
            let most = if times == 0 { writes.len() } else { BATCH >> times.min(7) };
            batches.extend(writes.chunks(most.max(1)).map(<[Write]>::to_vec));
        }
    }
    batches
}

/// What a side said of writes.
struct Answers {
    side: Side,
    of: Vec<((LinkId, Stamp), Outcome)>,
}

/// Whether a side was reached at all: that it was not says nothing of a write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    Yes,
    No,
}

fn patience(error: &PeerError) -> Duration {
    match error {
        PeerError::Throttled { after, .. } => *after,
        PeerError::Transient { .. } => UNREACHED,
        PeerError::Denied { .. }
        | PeerError::CursorLost { .. }
        | PeerError::NewEpoch { .. }
        | PeerError::Unfit { .. } => DENIED,
    }
}

/// Keeps the answers to writes.
async fn conclude<L: Ledger, C: Clock>(
    desk: &Desk<'_, L, C>,
    Answers { side, of: answers }: Answers,
    reached: Reached,
    delivered: &mut Delivered,
) -> Result<(), AgentError> {
    for (_, outcome) in &answers {
        delivered.count(outcome);
    }
    let ids: BTreeSet<LinkId> = answers.iter().map(|((link, _), _)| *link).collect();
    let ids: Vec<LinkId> = ids.into_iter().collect();
    let tick = Ticks::new(desk.clock, desk.account, side).position();
    let mut links = 0;
    for _ in 0..TRIES_MAX {
        let now = desk.clock.now();
        let mut bench = Bench::default();
        bench.add(desk.ledger.links(&ids).await?);
        let made = made(&bench, side, &answers);
        if !made.is_empty() {
            bench.add(desk.ledger.links_of(&made).await?);
        }
        let replaced = answers.iter().filter(|((id, _), _)| replaces(&bench, *id, side)).count();
        let mut numbers =
            if replaced == 0 { Vec::new() } else { desk.ledger.draw(replaced).await? };
        let mut found: Vec<Observation> = Vec::new();
        let answered = answers.iter();
        let receipts = answered.map(|(of, outcome)| receipt(*of, side, outcome, now));
        for ((id, stamp), outcome) in &answers {
            let Some(piece) = bench.pieces.get_mut(id) else { continue };
            let Some(plan) = desk.plans.get(&piece.link.entity) else { continue };
            let before = old_record(&piece.link, side);
            if let (Outcome::Done { .. }, Some(changed)) = (outcome, opt_out(&piece.link, *stamp)) {
                let skew = desk.clock.clocks(desk.account)[side.other()];
                metrics::opted_out(&plan.name, side, since(changed, skew, now));
            }
            let most = longest(&piece.link, *stamp);
            let outcome = give_way(&mut bench, (*id, side), outcome.clone());
            let Some(piece) = bench.pieces.get_mut(id) else { continue };
            let concluded = piece.link.conclude(*stamp, outcome, &plan.policy, (now, tick));
            let Concluded { again_in, found: others, .. } = concluded;
            let wait = match (again_in, reached) {
                (Some(delay), Reached::Yes) => piece.link.put_off(side, delay, most, now),
                (delay, Reached::Yes | Reached::No) => delay.unwrap_or_default(),
            };
            if again_in.is_some() {
                piece.put_off(now);
            }
            piece.due_at(later(now, wait), super::working::lane(&piece.link, &plan.policy));
            found.extend(others);
            let replaced = before.filter(|old| piece.link.record(side) != Some(old));
            let entity = piece.link.entity;
            bench.reindex(*id);
            if let (Some(old), Some(number)) = (replaced, numbers.pop()) {
                bench.create(Link::tombstone(number, entity, side, old));
            }
        }
        let mut batch = bench.into_batch(desk.plans, now);
        batch.receipts = receipts.collect();
        match desk.ledger.store(batch).await {
            Ok(()) => {
                absorb(desk, side, &found, &BTreeMap::new()).await?;
                return Ok(());
            }
            Err(error) => links = unless_conflict(error)?.len(),
        }
    }
    Err(AgentError::Contended { links, tries: TRIES_MAX })
}

/// The records that were made.
fn made(bench: &Bench, side: Side, answers: &[((LinkId, Stamp), Outcome)]) -> Vec<Bearer> {
    let made = |((id, _), outcome): &((LinkId, Stamp), Outcome)| match outcome {
        Outcome::Done { created: Some(record), .. } => {
            Some((bench.pieces.get(id)?.link.entity, side, record.clone()))
        }
        Outcome::Done { created: None, .. }
        | Outcome::Stale(_)
        | Outcome::Gone(_)
        | Outcome::Found(_)
        | Outcome::Refused(_)
        | Outcome::Later(_)
        | Outcome::Lost => None,
    };
    answers.iter().filter_map(made).collect()
}

/// A create may come upon a record that is there and bears our name (an earlier try, a CRM that was
/// restored). A link that stands for it alone gives way; one that has a counterpart keeps it, and
/// the create is as good as stale, so that a person is asked in the end.
fn give_way(bench: &mut Bench, (id, side): (LinkId, Side), outcome: Outcome) -> Outcome {
    let (Outcome::Done { created: Some(record), .. }, Some(piece)) =
        (&outcome, bench.pieces.get(&id))
    else {
        return outcome;
    };
    let bearer = (piece.link.entity, side, record.clone());
    let Some(other) = bench.live(&bearer).map(|piece| &piece.link).filter(|o| o.id != id) else {
        return outcome;
    };
    let (other, alone) = (other.id, super::prepare::alone(other) == Some(side));
    if !alone {
        return Outcome::Stale(None);
    }
    bench.remove(other);
    bench.join(id, other);
    outcome
}

/// How long the write with this stamp is put off at most.
fn longest(link: &Link, stamp: Stamp) -> Duration {
    let mut sent = Side::BOTH.into_iter().flat_map(|side| &link.sent[side]);
    let write = sent.find(|sent| sent.write.stamp == stamp).map(|sent| &sent.write);
    let opts_out = |write: &Write| write.lane == Lane::Consent && !write.opt_in;
    let urgent = write.is_some_and(|write| write.side == Side::Campaign || opts_out(write));
    if urgent { URGENT_PUT_OFF_MAX } else { PUT_OFF_MAX }
}

/// When the other side opted out, where the write with this stamp is an opt-out.
fn opt_out(link: &Link, stamp: Stamp) -> Option<jiff::Timestamp> {
    let mut sent = Side::BOTH.into_iter().flat_map(|side| &link.sent[side]);
    let write = &sent.find(|sent| sent.write.stamp == stamp)?.write;
    let opts_out = write.lane == Lane::Consent && !write.opt_in;
    let across = &link.seen[write.side.other()].fields;
    let fields = row_of(write).filter(|_| opts_out)?.keys();
    fields.filter_map(|field| Some(across.get(field)?.changed?.until)).max()
}

/// The record of a side that is gone, which a new one may replace.
fn old_record(link: &Link, side: Side) -> Option<RecordId> {
    let gone = matches!(link.seen[side].bond, Bond::Gone(_));
    link.record(side).filter(|_| gone).cloned()
}

fn replaces(bench: &Bench, id: LinkId, side: Side) -> bool {
    bench.pieces.get(&id).is_some_and(|piece| old_record(&piece.link, side).is_some())
}

/// Asks how Campaign transactions ended whose answers were lost.
pub async fn ask_transactions<L: Ledger, C: Clock, W: Writer>(
    desk: &Desk<'_, L, C>,
    writer: &W,
    unsettled: &[(LinkId, u64)],
) -> Result<(), AgentError> {
    for (id, xid) in unsettled {
        let Some(ended) = writer.transaction(*xid).await? else { continue };
        for _ in 0..TRIES_MAX {
            let mut bench = Bench::default();
            bench.add(desk.ledger.links(&[*id]).await?);
            let now = desk.clock.now();
            if let Some(piece) = bench.pieces.get_mut(id) {
                piece.link.settle(*xid, ended == Ended::Committed);
                piece.due_at(now, Lane::Ordinary);
            }
            match desk.ledger.store(bench.into_batch(desk.plans, now)).await {
                Ok(()) => break,
                Err(error) => {
                    unless_conflict(error)?;
                }
            }
        }
    }
    Ok(())
}

impl Delivered {
    fn count(&mut self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Done { .. } => &mut self.done,
            Outcome::Stale(_) | Outcome::Found(_) | Outcome::Gone(_) => &mut self.stale,
            Outcome::Refused(_) => &mut self.refused,
            Outcome::Later(_) => &mut self.later,
            Outcome::Lost => &mut self.lost,
        };
        *counter += 1;
    }
}

/// Keeps each Campaign transaction with its writes before it commits (rule 5).
struct LedgerNotes<'a, L, C> {
    desk: &'a Desk<'a, L, C>,
    stamps: BTreeMap<LinkId, Stamp>,
}

impl<L: Ledger, C: Clock> Notes for LedgerNotes<'_, L, C> {
    async fn note(&self, links: Vec<LinkId>, xid: u64) -> Result<(), PeerError> {
        let unkept = |source: Box<dyn std::error::Error + Send + Sync>| PeerError::Transient {
            doing: "keeping the transaction in the ledger",
            source,
        };
        for _ in 0..TRIES_MAX {
            let kept = self.desk.ledger.links(&links).await.map_err(|e| unkept(e.into()))?;
            let batch = self.batch(kept, xid);
            match self.desk.ledger.store(batch).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    unless_conflict(error).map_err(|error| unkept(error.into()))?;
                }
            }
        }
        Err(unkept("its links kept changing".into()))
    }

    async fn job(&self, job: Option<&str>) -> Result<(), PeerError> {
        let (account, now) = (self.desk.account, self.desk.clock.now());
        keep_job(self.desk.ledger, account, job, now).await.map_err(|error| PeerError::Transient {
            doing: "keeping a job in the ledger",
            source: error.into(),
        })
    }
}

/// The fact that names the job that an account's CRM may be running by itself.
pub fn job_fact(account: usize) -> String {
    format!("job/{account}")
}

async fn keep_job<L: Ledger>(
    ledger: &L,
    account: usize,
    job: Option<&str>,
    now: jiff::Timestamp,
) -> Result<(), AgentError> {
    let mut batch = crate::ledger::Batch::new(now);
    batch.facts.insert(job_fact(account), serde_json::json!(job));
    match ledger.store(batch).await {
        Ok(()) => Ok(()),
        Err(error) => unless_conflict(error).map(drop),
    }
}

/// Ends the job that an earlier leader left running, if any: what it has not done yet would be done
/// when nobody remembers it.
pub async fn end_job<L: Ledger, C: Clock, W: Writer>(
    desk: &Desk<'_, L, C>,
    writer: &W,
) -> Result<(), AgentError> {
    let kept = desk.ledger.fact(&job_fact(desk.account)).await?;
    let Some(job) = kept.as_ref().and_then(serde_json::Value::as_str) else { return Ok(()) };
    tracing::warn!(job, "a job was left running: ending it");
    writer.end_job(job).await?;
    keep_job(desk.ledger, desk.account, None, desk.clock.now()).await
}

impl<L: Ledger, C: Clock> LedgerNotes<'_, L, C> {
    fn batch(&self, kept: Vec<Kept>, xid: u64) -> crate::ledger::Batch {
        let mut bench = Bench::default();
        bench.add(kept);
        for (id, piece) in &mut bench.pieces {
            if let Some(stamp) = self.stamps.get(id) {
                piece.link.note(*stamp, xid);
                piece.dirty = true;
            }
        }
        bench.into_batch(self.desk.plans, self.desk.clock.now())
    }
}

/// A write in the terms of the side that it goes to: references name that side's records.
pub fn translated(write: &Write, parents: &BTreeMap<LinkId, Sides<Option<RecordId>>>) -> Write {
    let mut write = write.clone();
    let side = write.side;
    let record = |value: &mut Value| {
        if let Value::Link(parent) = value
            && let Some(record) = parents.get(parent).and_then(|records| records[side].clone())
        {
            *value = Value::Record(record);
        }
    };
    if let Change::Set(row) = &mut write.change {
        row.values_mut().for_each(record);
    }
    write.expect.values_mut().for_each(|expected| record(&mut expected.value));
    write
}

/// The records of one side that a round wants read, by entity.
pub fn reads(settled: &Settled, side: Side) -> BTreeMap<Entity, Vec<RecordId>> {
    let mut reads: BTreeMap<Entity, Vec<RecordId>> = BTreeMap::new();
    for (entity, of, record) in &settled.reads {
        if *of == side {
            reads.entry(*entity).or_default().push(record.clone());
        }
    }
    reads
}

/// The row that a write sets; nothing for a deletion.
pub fn row_of(write: &Write) -> Option<&Row> {
    match (&write.change, &write.target) {
        (Change::Set(row), Target::Record(_) | Target::New { .. }) => Some(row),
        (Change::Delete, _) => None,
    }
}
