//! From due links to writes that are kept and may be tried: match, merge, untangle, decide, brake.
//!
//! [`settle`] leaves the ledger with every write that it returns kept as sent. What it returns is
//! then delivered; a crash in between leaves writes whose answer is lost, which is what they are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::ledger::{Batch, Decision as Kept, Ledger};
use crate::peer::{PeerError, Writer};
use crate::reconcile::brake::Brake;
use crate::reconcile::decide::{Decision, ECHO_WAIT, Held, HeldReason, Moment, Wait};
use crate::reconcile::matching::Matched;
use crate::reconcile::{
    Answer, Entity, Lane, LinkId, LinkState, Outcome, RecordId, Refusal, RefusalKind, Sent, Side,
    Target, Write,
};
use crate::telemetry::metrics;

use super::asked::wanted_reads;
use super::deliver::translated;
use super::error::unless_conflict;
use super::kept::{brake_fact, is_spent, read_brake, row, sets, since, takes_away, write_brake};
use super::log::{self, When};
use super::plan::Plan;
use super::prepare::Prepared;
use super::time::{Clock, Ticks};
use super::working::{awaited, later};
use super::{AgentError, Desk};

/// What a round of settling left to do.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// Writes that are kept as sent, in the sides' own terms, consent first.
    pub writes: Vec<Write>,
    /// How often in a row those of these links were put off before, where they were.
    pub put_off: BTreeMap<LinkId, u8>,
    /// Records to be read and absorbed.
    pub reads: BTreeSet<(Entity, Side, RecordId)>,
    /// Campaign transactions whose end must be asked for, with the link.
    pub unsettled: Vec<(LinkId, u64)>,
    /// How many links were looked at.
    pub looked_at: usize,
    /// Mappings whose brake went on.
    pub braked: Vec<Entity>,
}

/// While a write is under way its link is looked at this often, in case the process that waits
/// for the answer is gone.
const PENDING_LOOK: Duration = Duration::from_secs(5);

/// A read that was asked for and brought nothing is asked for again after this long.
pub(super) const READ_AGAIN: Duration = Duration::from_secs(10);

/// A record with the same key is being made: that takes one call.
const UNDER_WAY_LOOK: Duration = Duration::from_secs(2);

/// What is ambiguous is looked at again this often, as its twins' values may have changed.
pub(super) const AMBIGUOUS_LOOK: Duration = Duration::from_mins(10);

/// Decides what is due in these lanes, and keeps what is to be written.
pub async fn settle<L: Ledger, C: Clock, W: Writer>(
    desk: &Desk<'_, L, C>,
    campaign: &W,
    totals: &BTreeMap<Entity, u64>,
    lanes: &[Lane],
    limit: usize,
) -> Result<Settled, AgentError> {
    let now = desk.clock.now();
    let mut prepared = Prepared::load(desk.ledger, desk.plans, now, (lanes, limit)).await?;
    let mut round = Round::open(desk, totals, now).await?;
    for id in prepared.due.clone() {
        round.look_at(&mut prepared, id);
    }
    round.settled.looked_at = prepared.due.len();
    round.draw_keys(&mut prepared, campaign).await?;
    round.store(prepared).await
}

/// One round's state.
pub(super) struct Round<'a, L, C> {
    pub(super) desk: &'a Desk<'a, L, C>,
    totals: &'a BTreeMap<Entity, u64>,
    pub(super) now: Timestamp,
    brakes: BTreeMap<Entity, Brake>,
    brakes_before: BTreeMap<Entity, Brake>,
    pub(super) decisions: Vec<Kept>,
    /// What is left to a person, by link: told in the log where it is news.
    held: BTreeMap<LinkId, Vec<Kept>>,
    /// Links that were decided as the counterpart of another, and are not due once more.
    pub(super) paired: BTreeSet<LinkId>,
    pub(super) settled: Settled,
}

impl<'a, L: Ledger, C: Clock> Round<'a, L, C> {
    async fn open(
        desk: &'a Desk<'a, L, C>,
        totals: &'a BTreeMap<Entity, u64>,
        now: Timestamp,
    ) -> Result<Self, AgentError> {
        let mut brakes = BTreeMap::new();
        for (entity, plan) in desk.plans {
            let fact = desk.ledger.fact(&brake_fact(plan)).await?;
            brakes.insert(*entity, fact.map_or_else(Brake::default, |fact| read_brake(&fact)));
        }
        let brakes_before = brakes.clone();
        Ok(Self {
            desk,
            totals,
            now,
            brakes,
            brakes_before,
            decisions: Vec::new(),
            held: BTreeMap::new(),
            paired: BTreeSet::new(),
            settled: Settled::default(),
        })
    }

    /// Brings one due link as far as it gets without asking anybody.
    fn look_at(&mut self, prepared: &mut Prepared, id: LinkId) {
        if self.paired.contains(&id) {
            return;
        }
        let Some(piece) = prepared.bench.pieces.get_mut(&id) else { return };
        let Some(plan) = self.desk.plans.get(&piece.link.entity) else { return };
        piece.due = None;
        piece.dirty = true;
        if piece.link.state == LinkState::Severed {
            return;
        }
        if piece.link.state == LinkState::Tombstone {
            let ended = *piece.link.ended.get_or_insert(self.now);
            return self.bury(prepared, id, later(ended, plan.tombstone_keep));
        }
        self.orphan(piece);
        piece.link.expire(&plan.policy, self.now);
        piece.link.catch_up(&plan.policy, self.now);
        if self.merge(prepared, id, plan) || self.convert(prepared, id, plan) {
            return;
        }
        let mut id = id;
        let mut ambiguous = false;
        if let Some(link) = prepared.bench.pieces.get(&id).map(|piece| &piece.link) {
            match prepared.counterpart(link) {
                Some(Matched::With(other)) if prepared.may_pair(id, other, plan) => {
                    id = self.pair(prepared, id, other, plan);
                }
                Some(Matched::Ambiguous) => ambiguous = true,
                Some(Matched::UnderWay) => {
                    return self.look_again(prepared, id, UNDER_WAY_LOOK);
                }
                Some(Matched::With(_) | Matched::None) | None => (),
            }
        }
        self.untangle(prepared, id, plan);
        let moment = self.moment(prepared, id, plan);
        let Some(piece) = prepared.bench.pieces.get_mut(&id) else { return };
        let mut decision = piece.link.decide(&plan.policy, &moment);
        if is_spent(&piece.link, &decision, &plan.policy, &moment) {
            piece.link.forget_release();
        }
        if ambiguous {
            decision.writes.retain(|write| !matches!(write.target, Target::New { .. }));
            decision.held.push(Held { field: None, reason: HeldReason::Ambiguous });
            self.look_again(prepared, id, AMBIGUOUS_LOOK);
        }
        self.carry_out(prepared, id, plan, decision);
    }

    pub(super) fn moment(&self, prepared: &Prepared, id: LinkId, plan: &Plan) -> Moment {
        let clock = self.desk.clock;
        Moment {
            now: self.now,
            clocks: clock.clocks(plan.account),
            epochs: clock.epochs(plan.account),
            ledger_epoch: clock.ledger_epoch(),
            creates: plan.creates,
            deletes: plan.deletes,
            parents: prepared
                .bench
                .pieces
                .get(&id)
                .map_or_else(BTreeMap::new, |piece| prepared.parents(&piece.link)),
        }
    }

    /// Nobody waits for the answers of writes that an earlier leader kept.
    fn orphan(&self, piece: &mut super::working::Piece) {
        let since = self.desk.clock.leading_since();
        let pending = |sent: &Sent| sent.answer == Answer::Pending && sent.tick.major < since;
        if Side::BOTH.into_iter().any(|side| piece.link.sent[side].iter().any(pending)) {
            let tick = Ticks::new(self.desk.clock, self.desk.account, Side::Crm).position();
            piece.link.orphan(self.now, tick);
        }
    }

    /// Keeps what a decision came to.
    fn carry_out(&mut self, prepared: &mut Prepared, id: LinkId, plan: &Plan, decision: Decision) {
        let Decision { writes, mut held, read, lacks, waits, unsettled, ruled, retire, sever } =
            decision;
        let Some(piece) = prepared.bench.pieces.get_mut(&id) else { return };
        if retire {
            piece.link.retire(&plan.policy);
            piece.link.ended = Some(self.now);
            piece.due_at(later(self.now, plan.tombstone_keep), Lane::Ordinary);
            return self.log(id, "retired");
        }
        if sever {
            piece.link.sever(&plan.policy);
            return self.log(id, "severed");
        }
        let (entity, epoch) = (piece.link.entity, self.desk.clock.epochs(plan.account).crm);
        let (records, again) = wanted_reads(&piece.link, (read, lacks), (self.now, epoch));
        self.settled.reads.extend(records.into_iter().map(|(side, key)| (entity, side, key)));
        if let Some(delay) = again {
            self.look_again(prepared, id, delay);
        }
        self.settled.unsettled.extend(unsettled.iter().map(|xid| (id, *xid)));
        if !unsettled.is_empty() {
            self.look_again(prepared, id, PENDING_LOOK);
        }
        self.wait(prepared, id, plan, &waits);
        for write in writes {
            if let Some(reason) = self.brake(prepared, id, plan, &write) {
                held.push(Held { field: None, reason });
                continue;
            }
            for ruled in ruled.iter().filter(|ruled| sets(&write, ruled.field)) {
                metrics::conflict(&plan.name, ruled.rule);
            }
            if let Some(piece) = prepared.bench.pieces.get(&id) {
                let clocks = self.desk.clock.clocks(plan.account);
                let when = When { now: self.now, clocks: &clocks };
                self.decisions.extend(log::of_write(&piece.link, &write, &ruled, when));
            }
            self.send(prepared, id, write);
        }
        self.hold(prepared, id, plan, &held);
        self.watch_sent(prepared, id, plan);
    }

    /// Forgets a tombstone when its time is over.
    fn bury(&self, prepared: &mut Prepared, id: LinkId, over: Timestamp) {
        if over <= self.now {
            prepared.bench.remove(id);
        } else if let Some(piece) = prepared.bench.pieces.get_mut(&id) {
            piece.due_at(over, Lane::Ordinary);
        }
    }

    fn wait(&mut self, prepared: &mut Prepared, id: LinkId, plan: &Plan, waits: &[(Side, Wait)]) {
        let mut found = BTreeSet::new();
        for (side, wait) in waits {
            let record = match wait {
                Wait::Parent(field, record) => {
                    plan.refers_to(*field).map(|e| (e, *side, record.clone()))
                }
                Wait::Counterpart(_, parent) => {
                    prepared.bench.pieces.get(parent).and_then(|piece| {
                        let present = side.other();
                        let record = piece.link.record(present)?.clone();
                        Some((piece.link.entity, present, record))
                    })
                }
                Wait::Survivor(_) => None,
            };
            found.extend(record.map(|(e, side, record)| awaited(&prepared.bench, e, side, record)));
        }
        let Some(piece) = prepared.bench.pieces.get_mut(&id) else { return };
        if found.is_empty() {
            piece.link.waiting_since = None;
            return;
        }
        if piece.link.waiting_since.is_none() {
            let parked = waits.iter().map(|(_, wait)| log::of_wait(&piece.link, wait, self.now));
            self.decisions.extend(parked);
        }
        let since = *piece.link.waiting_since.get_or_insert(self.now);
        piece.waits_for.extend(found);
        let limit = later(later(since, plan.policy.wait_limit), Duration::from_secs(1));
        if limit > self.now {
            piece.due_at(limit, Lane::Ordinary);
        }
    }

    /// Why a write may not go, where it is one of too many deletions or blankings.
    fn brake(
        &mut self,
        prepared: &mut Prepared,
        id: LinkId,
        plan: &Plan,
        write: &Write,
    ) -> Option<HeldReason> {
        let piece = prepared.bench.pieces.get_mut(&id)?;
        if !takes_away(&piece.link, write) || piece.link.released().is_some() {
            return None;
        }
        let brake = self.brakes.entry(write.entity).or_default();
        let was_on = brake.on_since.is_some();
        let total = self.totals.get(&write.entity).copied().unwrap_or(0);
        if brake.admit(&plan.brake, total, self.now) {
            return None;
        }
        if !was_on {
            self.settled.braked.push(write.entity);
        }
        Some(HeldReason::Braked)
    }

    /// Keeps a write as sent, and notes that it is to be delivered.
    pub(super) fn send(&mut self, prepared: &mut Prepared, id: LinkId, write: Write) {
        let ticks = Ticks::new(self.desk.clock, self.desk.account, write.side);
        if let Some(piece) = prepared.bench.pieces.get_mut(&id) {
            let write = piece.link.send(write, self.now, ticks.position());
            let across = write.side.other();
            if let (Some(plan), Some(changed)) =
                (self.desk.plans.get(&write.entity), piece.link.seen[across].modified)
            {
                let skew = self.desk.clock.clocks(self.desk.account)[across];
                metrics::settled(&plan.name, write.side, since(changed, skew, self.now));
            }
            piece.due_at(later(self.now, PENDING_LOOK), write.lane);
            let times = piece.link.times_put_off(write.side);
            if 0 < times {
                self.settled.put_off.insert(id, times);
            }
            self.settled.writes.push(write);
        }
    }

    pub(super) fn hold(&mut self, prepared: &mut Prepared, id: LinkId, plan: &Plan, held: &[Held]) {
        let Some(piece) = prepared.bench.pieces.get_mut(&id) else { return };
        if held.is_empty() {
            piece.link.held_since = None;
            piece.held.clear();
            return;
        }
        let since = *piece.link.held_since.get_or_insert(self.now);
        piece.held = held.iter().map(|held| row(held, since, plan)).collect();
        let told = held.iter().map(|held| log::of_held(&piece.link, held, self.now));
        self.held.insert(id, told.collect());
    }

    /// A write that is under way is looked at before long, as whoever waits for its answer may be
    /// gone by then; one whose answer was lost when it can no longer land, a committed one when its
    /// echo should have come.
    fn watch_sent(&self, prepared: &mut Prepared, id: LinkId, plan: &Plan) {
        let Some(piece) = prepared.bench.pieces.get_mut(&id) else { return };
        let sent = Side::BOTH.into_iter().flat_map(|side| &piece.link.sent[side]);
        let pending = sent.filter(|sent| sent.answer == Answer::Pending);
        if let Some(lane) = pending.map(|sent| sent.write.lane).min() {
            piece.due_at(later(self.now, PENDING_LOOK), lane);
        }
        let committed = |sent: &&Sent| matches!(sent.answer, Answer::Committed(_));
        let unechoed = piece.link.sent.campaign.iter().filter(committed).map(|sent| sent.at).min();
        if let Some(first) = unechoed {
            let echo = later(later(first, ECHO_WAIT), Duration::from_secs(1));
            piece.due_at(echo.max(later(self.now, Duration::from_secs(1))), Lane::Ordinary);
        }
        let lost = piece.link.sent.crm.iter().filter(|s| matches!(s.answer, Answer::Lost(_)));
        let Some(first) = lost.map(|sent| sent.at).min() else { return };
        let limit = plan.policy.write_limit + plan.policy.late_commit + Duration::from_secs(1);
        piece.due_at(
            later(first, limit).max(later(self.now, Duration::from_secs(1))),
            Lane::Ordinary,
        );
    }

    pub(super) fn look_again(&self, prepared: &mut Prepared, id: LinkId, delay: Duration) {
        if let Some(piece) = prepared.bench.pieces.get_mut(&id) {
            piece.due_at(later(self.now, delay), Lane::Ordinary);
        }
    }

    pub(super) fn log(&mut self, link: LinkId, rule: &str) {
        self.decisions.push(log::of_change(link, rule, self.now));
    }

    /// What was decided, with what is newly held of the links that are stored.
    fn decided(&self, batch: &Batch) -> Vec<Kept> {
        let news = batch.links.iter().filter(|keep| keep.beside_changed());
        let held = news.filter_map(|keep| self.held.get(&keep.link.id)).flatten();
        self.decisions.iter().chain(held).cloned().collect()
    }

    /// Campaign's keys are drawn and kept before the insert.
    async fn draw_keys<W: Writer>(
        &mut self,
        prepared: &mut Prepared,
        campaign: &W,
    ) -> Result<(), AgentError> {
        let mut keyless: BTreeMap<Entity, Vec<usize>> = BTreeMap::new();
        for (at, write) in self.settled.writes.iter().enumerate() {
            if write.side == Side::Campaign && matches!(write.target, Target::New { key: None, .. })
            {
                keyless.entry(write.entity).or_default().push(at);
            }
        }
        for (entity, places) in keyless {
            let keys = match campaign.draw_keys(entity, places.len()).await {
                Ok(keys) => keys,
                // These creates wait for a person; whatever else was decided goes.
                Err(error @ (PeerError::Denied { .. } | PeerError::Unfit { .. })) => {
                    self.without_keys(prepared, (entity, &places), &error);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            for (at, drawn) in places.into_iter().zip(keys) {
                let write = &mut self.settled.writes[at];
                if let Target::New { key, .. } = &mut write.target {
                    *key = Some(drawn);
                }
                if let Some(piece) = prepared.bench.pieces.get_mut(&write.link) {
                    piece.link.give_key(write);
                }
            }
        }
        let keyed = |write: &Write| {
            write.side == Side::Crm || !matches!(write.target, Target::New { key: None, .. })
        };
        self.settled.writes.retain(keyed);
        Ok(())
    }

    /// Creates that can be given no key are refused, and so are held.
    fn without_keys(
        &self,
        prepared: &mut Prepared,
        (entity, places): (Entity, &[usize]),
        error: &PeerError,
    ) {
        let Some(plan) = self.desk.plans.get(&entity) else { return };
        let refusal = Refusal {
            kind: RefusalKind::Mapping,
            code: "no key".into(),
            message: error.to_string().into(),
            fields: Vec::new(),
        };
        for write in places.iter().map(|at| &self.settled.writes[*at]) {
            let Some(piece) = prepared.bench.pieces.get_mut(&write.link) else { continue };
            let tick = Ticks::new(self.desk.clock, self.desk.account, write.side).position();
            let refused = Outcome::Refused(refusal.clone());
            piece.link.conclude(write.stamp, refused, &plan.policy, (self.now, tick));
            piece.due_at(self.now, Lane::Ordinary);
        }
    }

    /// Stores everything. Links that changed meanwhile are left for the next round, with all that
    /// was to be written for them.
    async fn store(mut self, prepared: Prepared) -> Result<Settled, AgentError> {
        for write in &mut self.settled.writes {
            if let Some(piece) = prepared.bench.pieces.get(&write.link) {
                *write = translated(write, &prepared.parents(&piece.link));
            }
        }
        let mut bench = prepared.bench;
        for _ in 0..TRIES_MAX {
            let mut batch = bench.clone().into_batch(self.desk.plans, self.now);
            batch.decisions = self.decided(&batch);
            batch.facts = self.changed_brakes();
            let tally = super::tally::Tally::of(&batch.decisions, &bench, self.desk.plans);
            if batch.is_empty() {
                break;
            }
            let Err(error) = self.desk.ledger.store(batch).await else {
                tally.count();
                self.settled.writes.sort_by_key(|write| write.lane);
                return Ok(self.settled);
            };
            let dropped = bench.drop_changed(&unless_conflict(error)?);
            self.decisions.retain(|decision| !dropped.contains(&decision.link));
            self.settled.forget(&dropped);
        }
        // Nothing was kept, so nothing may be written.
        Ok(Settled { looked_at: self.settled.looked_at, ..Settled::default() })
    }

    fn changed_brakes(&self) -> BTreeMap<String, serde_json::Value> {
        let changed = |(e, brake): &(&Entity, &Brake)| self.brakes_before.get(*e) != Some(*brake);
        let name = |entity| Some(brake_fact(self.desk.plans.get(entity)?));
        let fact = |(e, brake)| Some((name(e)?, write_brake(brake)));
        self.brakes.iter().filter(changed).filter_map(fact).collect()
    }
}

impl Settled {
    fn forget(&mut self, dropped: &BTreeSet<LinkId>) {
        self.writes.retain(|write| !dropped.contains(&write.link));
        self.unsettled.retain(|(link, _)| !dropped.contains(link));
    }
}

/// So often a round is stored with fewer links; then its writes are dropped altogether.
const TRIES_MAX: u32 = 20;
