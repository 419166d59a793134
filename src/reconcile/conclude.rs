//! Keeping a write before it is tried, and taking in what came of it.

use std::time::Duration;

use jiff::Timestamp;

use crate::reconcile::link::{Block, BlockReason};
use crate::reconcile::{
    Answer, Bond, Change, Field, Gone, Lane, Link, Observation, Outcome, Policy, Position, Refusal,
    RefusalKind, Row, Seen, SeenField, Sent, Side, Stamp, Target, Value, Write,
};

/// What is left to do after an answer was taken in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concluded {
    /// When to try again, where the write was certainly not done.
    pub again_in: Option<Duration>,
    /// Sightings of records that may stand for the same thing as the one that was to be made.
    pub found: Vec<Observation>,
    /// A record that owns the unique value that was to be written, and the fields it is in.
    pub collided: Option<(Vec<Field>, Option<crate::reconcile::RecordId>)>,
}

impl Link {
    /// Notes that `write` is about to be tried; to be kept before it is tried (rule 1).
    ///
    /// Without the note, a write whose answer was lost would come back looking like somebody's
    /// edit. A lost opt-in that an opt-out overtakes is given up on here. The write is returned
    /// with the stamp that is its own: no two writes of a link bear the same.
    pub fn send(&mut self, mut write: Write, now: Timestamp, tick: Position) -> Write {
        let side = write.side;
        self.sequence += 1;
        write.stamp.sequence = self.sequence;
        let kept = write.clone();
        let overtaken = |sent: &Sent| sent.write.lane == write.lane;
        let given_up: Vec<Sent> = self.sent[side].extract_if(.., |sent| overtaken(sent)).collect();
        for sent in given_up {
            self.give_up(sent);
        }
        self.forget_refusals(&write);
        if let Target::New { key: Some(key), .. } = &write.target {
            self.seen[side].record = Some(key.clone());
        }
        self.sent[side].push(Sent { write, at: now, tick, xid: None, answer: Answer::Pending });
        kept
    }

    /// Notes the key that was drawn for the record that a kept write makes.
    pub fn give_key(&mut self, write: &Write) {
        for sent in &mut self.sent[write.side] {
            if sent.write.stamp == write.stamp {
                sent.write.target = write.target.clone();
                if let Target::New { key: Some(key), .. } = &write.target {
                    self.seen[write.side].record = Some(key.clone());
                }
            }
        }
    }

    /// Notes the transaction that is about to commit these writes (rule 5).
    pub fn note(&mut self, stamp: Stamp, xid: u64) {
        let noted = self.sent.campaign.iter_mut().filter(|sent| sent.write.stamp == stamp);
        noted.for_each(|sent| sent.xid = Some(xid));
    }

    /// Takes in the answer to the write that bears `stamp`.
    ///
    /// `tick` is drawn after the answer came: what a CRM was asked before says nothing (rule 3).
    pub fn conclude(
        &mut self,
        stamp: Stamp,
        outcome: Outcome,
        policy: &Policy,
        (now, tick): (Timestamp, Position),
    ) -> Concluded {
        let mut concluded = Concluded::default();
        let Some(mut sent) = self.take_sent(stamp) else { return concluded };
        let side = sent.write.side;
        if side == Side::Crm {
            self.seen.crm.deaf_until = self.seen.crm.deaf_until.max(tick);
        }
        let opts_out = sent.write.lane == Lane::Consent && !sent.write.opt_in;
        let is_put_off = match outcome {
            Outcome::Later(_) => true,
            Outcome::Stale(_) => opts_out,
            Outcome::Done { .. }
            | Outcome::Gone(_)
            | Outcome::Found(_)
            | Outcome::Refused(_)
            | Outcome::Lost => false,
        };
        if !is_put_off {
            let put_off = |block: &Block| matches!(block.reason, BlockReason::PutOff(_));
            self.blocks.retain(|block| block.side != side || !put_off(block));
        }
        match outcome {
            Outcome::Done { created, xid } => match side {
                Side::Crm => self.done(&sent, created, policy, now),
                Side::Campaign => {
                    sent.xid = xid.or(sent.xid);
                    sent.answer = sent.xid.map_or(Answer::Lost(now), Answer::Committed);
                    self.sent.campaign.push(sent);
                }
            },
            Outcome::Stale(found) => {
                // An opt-out has no guard, and is never given up: it is put off.
                if opts_out {
                    concluded.again_in = Some(OPT_OUT_AGAIN);
                } else {
                    self.count_stale(side, now);
                }
                self.take_in(side, found, policy);
            }
            Outcome::Gone(found) => self.take_in(side, found, policy),
            Outcome::Found(found) => {
                self.count_stale(side, now);
                concluded.found = found;
            }
            Outcome::Refused(refusal) => concluded.collided = self.refuse(&sent, refusal, now),
            Outcome::Later(delay) => concluded.again_in = Some(delay.after),
            Outcome::Lost => self.lose(sent, now),
        }
        concluded
    }

    /// Says how a Campaign transaction ended whose answer was lost.
    pub fn settle(&mut self, xid: u64, committed: bool) {
        for sent in std::mem::take(&mut self.sent.campaign) {
            if sent.xid != Some(xid) || !matches!(sent.answer, Answer::Lost(_)) {
                self.sent.campaign.push(sent);
            } else if committed {
                self.sent.campaign.push(Sent { answer: Answer::Committed(xid), ..sent });
            }
        }
    }

    /// After a crash: nobody waits for the answers of this link's writes any more.
    pub fn orphan(&mut self, now: Timestamp, tick: Position) {
        for side in Side::BOTH {
            for sent in std::mem::take(&mut self.sent[side]) {
                match (side, sent.answer) {
                    (_, Answer::Pending) => {
                        if side == Side::Crm {
                            self.seen.crm.deaf_until = self.seen.crm.deaf_until.max(tick);
                        }
                        self.lose(sent, now);
                    }
                    (_, Answer::Lost(_) | Answer::Committed(_)) => self.sent[side].push(sent),
                }
            }
        }
    }

    /// Lets go of a CRM's lost creates that can no longer land: nothing is there to be read. Other
    /// lost writes are let go by the read that comes after their limit. What they gave is
    /// remembered: the next create may come upon the record that one of them made.
    pub fn expire(&mut self, policy: &Policy, now: Timestamp) {
        let limit = policy.write_limit + policy.late_commit;
        let over = |sent: &mut Sent| {
            let creates = matches!(sent.write.target, Target::New { .. });
            let lost = matches!(sent.answer, Answer::Lost(_));
            creates && lost && super::observe::passed(sent.at, limit, now)
        };
        let given_up: Vec<Sent> = self.sent.crm.extract_if(.., over).collect();
        for sent in given_up {
            self.give_up(sent);
        }
    }

    /// Concludes Campaign's writes whose commit the last `select` saw: the log's echo is older than
    /// that, and says nothing any more.
    pub fn catch_up(&mut self, policy: &Policy, now: Timestamp) {
        let Some(snapshot) = self.seen.campaign.snapshot.clone() else { return };
        for sent in std::mem::take(&mut self.sent.campaign) {
            match sent.answer {
                Answer::Committed(xid) if snapshot.sees(xid) => self.landed(&sent, now),
                Answer::Committed(_) | Answer::Pending | Answer::Lost(_) => {
                    self.sent.campaign.push(sent);
                }
            }
        }
        self.agree(policy, now);
    }

    fn take_sent(&mut self, stamp: Stamp) -> Option<Sent> {
        Side::BOTH.into_iter().find_map(|side| {
            let sent = &mut self.sent[side];
            let at = sent.iter().position(|sent| sent.write.stamp == stamp)?;
            Some(sent.remove(at))
        })
    }

    /// A CRM answered: it holds what was written, as of the answer.
    fn done(
        &mut self,
        sent: &Sent,
        created: Option<crate::reconcile::RecordId>,
        policy: &Policy,
        now: Timestamp,
    ) {
        let side = sent.write.side;
        self.landed(sent, now);
        match &sent.write.change {
            Change::Delete => self.seen[side].bond = Bond::Gone(Gone::Deleted),
            Change::Set(row) => {
                if let Some(record) = created {
                    self.seen[side].record = Some(record);
                    self.seen[side].bond = Bond::Here;
                    self.seen[side].fields.clear();
                    self.seen[side].modified = None;
                    // Nothing of it was there before. Of a record that was, nothing was read: what
                    // people made of its other fields may be older than this answer.
                    self.seen[side].asked = self.seen[side].asked.max(Some(now));
                    // It is of the side's present life: the first read of it begins no other.
                    self.seen[side].at = self.seen[side].at.max(sent.tick);
                    self.waiting_since = None;
                }
                self.hold_written(side, row);
            }
        }
        self.agree(policy, now);
    }

    pub(super) fn hold_written(&mut self, side: Side, row: &Row) {
        for (field, value) in row {
            let value = match (value, self.seen[side].value(*field)) {
                // What a wider column implied still stands beside the field's own.
                (Value::Consent(out), Some(Value::Consent(crate::reconcile::Consent::Implied)))
                    if out.is_out() =>
                {
                    Value::Consent(crate::reconcile::Consent::Implied)
                }
                (value, _) => value.clone(),
            };
            // By that side's clock, which only a read tells.
            let (changed, by) = (None, None);
            let seen = SeenField { value, raw: None, unfit: None, changed, by, touched: false };
            self.seen[side].fields.insert(*field, seen);
        }
    }

    fn take_in(&mut self, side: Side, found: Option<Box<Observation>>, policy: &Policy) {
        if let Some(found) = found {
            // It was read after the write was tried, by the writer itself: it is news.
            if side == Side::Crm {
                self.seen.crm.deaf_until = self.seen.crm.at.min(self.seen.crm.deaf_until);
            }
            self.observe(side, &found, policy);
        }
    }

    fn lose(&mut self, sent: Sent, now: Timestamp) {
        match sent.write.side {
            // Its transaction's id is kept before COMMIT: without one, nothing was committed.
            Side::Campaign if sent.xid.is_none() => (),
            side @ (Side::Campaign | Side::Crm) => {
                self.sent[side].push(Sent { answer: Answer::Lost(now), ..sent });
            }
        }
    }

    /// Counts that a side said to try again later; the wait, which doubles each time up to `most`.
    pub fn put_off(
        &mut self,
        side: Side,
        delay: Duration,
        most: Duration,
        now: Timestamp,
    ) -> Duration {
        let before = self.times_put_off(side);
        let known =
            |block: &Block| block.side == side && matches!(block.reason, BlockReason::PutOff(_));
        self.blocks.retain(|block| !known(block));
        let reason = BlockReason::PutOff(before.saturating_add(1));
        self.blocks.push(Block { field: None, side, reason, since: now });
        let doubled = delay.saturating_mul(1 << before.min(DOUBLINGS_MAX));
        // A side that names a longer time itself knows better.
        doubled.min(most.max(delay))
    }

    /// How many answers of a side in a row said to try again later.
    pub fn times_put_off(&self, side: Side) -> u8 {
        let of_side = self.blocks.iter().filter(|block| block.side == side);
        let times = |block: &Block| match block.reason {
            BlockReason::PutOff(times) => Some(times),
            BlockReason::Refused { .. }
            | BlockReason::Stale(_)
            | BlockReason::Flapping
            | BlockReason::Braked
            | BlockReason::Swapping
            | BlockReason::Released(_) => None,
        };
        of_side.filter_map(times).max().unwrap_or(0)
    }

    fn count_stale(&mut self, side: Side, now: Timestamp) {
        for block in &mut self.blocks {
            if let (true, BlockReason::Stale(times)) = (block.side == side, &mut block.reason) {
                *times = times.saturating_add(1);
                return;
            }
        }
        self.blocks.push(Block { field: None, side, reason: BlockReason::Stale(1), since: now });
    }

    /// A refusal blocks the fields it names, or the whole change where it names none of them.
    fn refuse(
        &mut self,
        sent: &Sent,
        refusal: Refusal,
        now: Timestamp,
    ) -> Option<(Vec<Field>, Option<crate::reconcile::RecordId>)> {
        let side = sent.write.side;
        let written = match &sent.write.change {
            Change::Set(row) => row.clone(),
            Change::Delete => Row::new(),
        };
        let mut named: Vec<Field> = refusal.fields.clone();
        named.retain(|field| written.contains_key(field));
        let fields: Vec<Option<Field>> =
            if named.is_empty() { vec![None] } else { named.iter().copied().map(Some).collect() };
        for field in fields {
            let change: Row = match field {
                Some(field) => written.iter().filter(|(f, _)| **f == field).map(pair).collect(),
                None => written.clone(),
            };
            // A refused opt-out and a refused ordinary change stand beside each other: forgotten
            // for the other, each would be tried for ever.
            self.blocks.retain(|block| {
                block.field != field || block.side != side || !block.refused_any_of(&change)
            });
            let refusal = refusal.clone();
            let reason = BlockReason::Refused { refusal, change };
            self.blocks.push(Block { field, side, reason, since: now });
        }
        match refusal.kind {
            RefusalKind::Unique(owner) => Some((named, owner)),
            RefusalKind::Record | RefusalKind::Mapping | RefusalKind::Dependency => None,
        }
    }

    /// What was refused for a field's sake is tried again once `side` shows the field and did not
    /// before: it was gone, or hidden from us, and is there again.
    pub(super) fn forget_refusals_of_hidden(&mut self, side: Side, before: &Seen) {
        let fields = &self.seen[side].fields;
        self.blocks.retain(|block| {
            let BlockReason::Refused { refusal, .. } = &block.reason else { return true };
            let shown = |field| !before.fields.contains_key(&field) && fields.contains_key(&field);
            let hidden = refusal.kind == RefusalKind::Mapping && block.field.is_some_and(shown);
            !(hidden && block.side == side)
        });
    }

    /// A changed input makes an old refusal void.
    fn forget_refusals(&mut self, write: &Write) {
        let Change::Set(row) = &write.change else { return };
        self.blocks.retain(|block| {
            let refused = matches!(block.reason, BlockReason::Refused { .. });
            let covered = block.field.is_none_or(|field| row.contains_key(&field));
            !(refused && covered && block.side == write.side && write.lane == Lane::Ordinary)
        });
    }
}

/// An opt-out that found something in its way is tried again after this long at first.
const OPT_OUT_AGAIN: Duration = Duration::from_secs(1);

/// Any delay that was doubled so often is over every bound.
const DOUBLINGS_MAX: u8 = 20;

impl Block {
    /// Whether it is a refusal of this change, or of some of its fields.
    fn refused_any_of(&self, change: &Row) -> bool {
        match &self.reason {
            BlockReason::Refused { change: refused, .. } => {
                refused == change || refused.keys().any(|field| change.contains_key(field))
            }
            BlockReason::Stale(_)
            | BlockReason::PutOff(_)
            | BlockReason::Flapping
            | BlockReason::Braked
            | BlockReason::Swapping
            | BlockReason::Released(_) => false,
        }
    }
}

fn pair((field, value): (&Field, &Value)) -> (Field, Value) {
    (*field, value.clone())
}
