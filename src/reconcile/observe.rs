//! Taking in what was seen.
//!
//! An observation is ordered first (rule 3): Campaign's by the log, or by the snapshot of its
//! `select`; a CRM's by when its read was asked for. Then the writes under way are resolved by it
//! (rule 2), the base moves where both sides are known to agree (rule 7), and what is new is told.

use jiff::Timestamp;

use crate::reconcile::fate::{Fate, fate};
use crate::reconcile::link::{Block, BlockReason};
use crate::reconcile::{
    Answer, Bond, Change, Consent, Field, Gone, Interval, Link, Observation, Policy, Presence,
    Read, Row, Seen, SeenField, Sent, Side, Skew, Target, Value,
};

/// What an observation told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Something that may need a decision.
    Changed,
    /// Nothing new.
    Nothing,
    /// Nothing: it is older than what is known.
    Older,
    /// Nothing: it was asked for before a write of this link was answered. It must be read again.
    Deaf,
}

impl Link {
    /// Takes in what was seen on `side`, and says what it told; that side's clock is not known.
    pub fn observe(&mut self, side: Side, seen: &Observation, policy: &Policy) -> News {
        self.observe_by(side, seen, policy, None)
    }

    /// The same, where it is known how far that side's clock is ahead of ours: then a read that
    /// showed the value before tells after when it changed.
    pub fn observe_by(
        &mut self,
        side: Side,
        seen: &Observation,
        policy: &Policy,
        skew: Option<Skew>,
    ) -> News {
        if let Some(nothing) = self.order(side, seen) {
            return if self.learns_why(side, seen) { News::Changed } else { nothing };
        }
        if self.seen[side].at.epoch < seen.at.epoch {
            self.enter_epoch(side, seen.at.epoch);
        }
        let before = self.seen[side].clone();
        let had_writes = self.sent[side].len();
        self.resolve_sent(side, seen, policy);
        let made = had_writes != self.sent[side].len();
        let another = before.record.as_ref().is_some_and(|record| *record != seen.record);
        if another && !made && matches!(before.bond, Bond::Gone(_)) {
            // In the place of one that is gone, and not known to be of our making: they meet.
            self.base.clear();
            self.trail.clear();
        }
        self.remember(side, seen, policy, skew);
        self.forget_refusals_of_hidden(side, &before);
        self.forget_ignored();
        self.resolve_given_up(&before, side, seen, policy);
        self.agree(policy, moment(seen));
        let same = before.at.epoch == self.seen[side].at.epoch
            && before.bond == self.seen[side].bond
            && before.record == self.seen[side].record
            && had_writes == self.sent[side].len()
            && same_values(&before, &self.seen[side]);
        if same {
            return News::Nothing;
        }
        self.blocks.retain(|block| !matches!(block.reason, BlockReason::Stale(_)));
        News::Changed
    }

    /// What a person let stay apart is decided again once either side has moved.
    fn forget_ignored(&mut self) {
        let stale: Vec<Field> =
            self.ignored.keys().copied().filter(|field| !self.is_ignored(*field)).collect();
        for field in stale {
            self.ignored.remove(&field);
        }
    }

    /// Why an observation says nothing, if so.
    pub fn order(&self, side: Side, seen: &Observation) -> Option<News> {
        let known = &self.seen[side];
        if seen.at.epoch != known.at.epoch {
            return (seen.at.epoch < known.at.epoch).then_some(News::Older);
        }
        match &seen.read {
            Read::Logged { xid } => {
                let covered = known.snapshot.as_ref().is_some_and(|snapshot| snapshot.sees(*xid));
                let repeated = known.xid != 0 && seen.at <= known.at;
                (covered || repeated).then_some(News::Older)
            }
            Read::Selected(snapshot) => {
                let unseen = known.xid != 0 && !snapshot.sees(known.xid);
                let older = known
                    .snapshot
                    .as_ref()
                    .is_some_and(|known| snapshot.xmax < known.xmax || snapshot.xmin < known.xmin);
                (unseen || older).then_some(News::Older)
            }
            Read::Asked(_) => {
                let waiting = |sent: &Sent| sent.answer == Answer::Pending;
                if seen.at <= known.deaf_until || self.sent[side].iter().any(waiting) {
                    Some(News::Deaf)
                } else {
                    (seen.at <= known.at && known.bond != Bond::Never).then_some(News::Older)
                }
            }
        }
    }

    /// Where a `select` no longer found the record, an older word of the log still says why.
    fn learns_why(&mut self, side: Side, seen: &Observation) -> bool {
        let known = &mut self.seen[side];
        let (Read::Logged { xid }, Presence::Gone(why), Bond::Gone(gone)) =
            (&seen.read, &seen.presence, &known.bond)
        else {
            return false;
        };
        let covered = known.snapshot.as_ref().is_some_and(|snapshot| snapshot.sees(*xid));
        let same_life = seen.at.epoch == known.at.epoch;
        if !covered || !same_life || why == gone {
            return false;
        }
        known.bond = Bond::Gone(why.clone());
        true
    }

    /// A new life of a side voids what both are known to have agreed on, and what was sent to the
    /// life before (rule 4). A record that is seen for the first time may be one that we made.
    fn enter_epoch(&mut self, side: Side, epoch: u32) {
        self.sent[side].retain(|sent| epoch <= sent.tick.epoch);
        if self.seen[side].bond == Bond::Never {
            return;
        }
        self.base.clear();
        self.trail.clear();
        self.ignored.clear();
        self.seen[side].snapshot = None;
        self.seen[side].xid = 0;
        self.seen[side].stamp = None;
        for side in Side::BOTH {
            for field in self.seen[side].fields.values_mut() {
                field.touched = false;
            }
        }
    }

    /// Resolves the writes under way by what was read (rule 2).
    fn resolve_sent(&mut self, side: Side, seen: &Observation, policy: &Policy) {
        for sent in std::mem::take(&mut self.sent[side]) {
            match fate(&sent, seen, policy) {
                Fate::Landed => {
                    self.landed(&sent, moment(seen));
                    // It held that before what is seen now, which may be the value before again.
                    if let Change::Set(row) = &sent.write.change {
                        self.hold_written(side, row);
                    }
                }
                Fate::GivenUp => self.give_up(sent),
                Fate::NeverWill => (),
                Fate::Open => self.sent[side].push(sent),
            }
        }
    }

    /// What was written came from the other side: both are known to have agreed on it.
    pub(super) fn landed(&mut self, sent: &Sent, now: Timestamp) {
        if let Change::Set(row) = &sent.write.change {
            for (field, value) in row {
                self.move_base(*field, value.clone(), now);
            }
            if matches!(sent.write.target, Target::New { .. }) {
                // A new record holds nothing but what it was given.
                let other = &self.seen[sent.write.side.other()].fields;
                let blank: Vec<Field> =
                    other.keys().filter(|f| !row.contains_key(f)).copied().collect();
                for field in blank {
                    self.base.insert(field, Value::Null);
                }
            }
        }
        // A person's release was for this write, and for no later one.
        self.blocks.retain(|block| !matches!(block.reason, BlockReason::Released(_)));
        let side = sent.write.side;
        self.seen[side].stamp = self.seen[side].stamp.max(Some(sent.write.stamp));
    }

    /// Remembers a write that may land all the same; the oldest go first where there are many.
    pub(super) fn give_up(&mut self, sent: Sent) {
        self.given_up.push(sent);
        if self.given_up.len() > GIVEN_UP_MAX {
            self.given_up.remove(0);
        }
    }

    /// A value that a given-up write carried is that latecomer, not somebody's edit: the base
    /// moves to it, so that what has happened since on the other side goes over again. Where no
    /// write of ours has landed since the field was read otherwise, it is somebody's edit.
    fn resolve_given_up(&mut self, before: &Seen, side: Side, seen: &Observation, policy: &Policy) {
        if side != Side::Crm || self.given_up.is_empty() {
            return;
        }
        let now = moment(seen);
        let mut late: Vec<(Field, Value)> = Vec::new();
        let edited = |field: Field, value: &Value| {
            nothing_landed(before, seen) && before.value(field).is_some_and(|old| old != value)
        };
        for sent in &self.given_up {
            let Change::Set(row) = &sent.write.change else { continue };
            for (field, value) in row {
                if self.seen[side].value(*field) == Some(value)
                    && self.base.get(field) != Some(value)
                    && !edited(*field, value)
                {
                    late.push((*field, value.clone()));
                }
            }
        }
        for (field, value) in late {
            self.move_base(field, value, now);
        }
        let limit = policy.write_limit + policy.late_commit;
        self.given_up.retain(|sent| !passed(sent.at, limit, now));
    }

    /// Keeps what was seen; a field that is not told stays as it was.
    fn remember(&mut self, side: Side, seen: &Observation, policy: &Policy, skew: Option<Skew>) {
        let ours = seen.stamp.filter(|stamp| stamp.link == self.id);
        let fresh_stamp = ours.is_some() && ours > self.seen[side].stamp;
        let known = &mut self.seen[side];
        let moved = seen.modified.map(|changed| changed.until) != known.modified;
        let lower = known.asked.zip(skew).and_then(|(asked, skew)| {
            let theirs = asked.checked_add(skew.offset).ok()?.checked_sub(skew.uncertainty).ok()?;
            theirs.checked_sub(policy.late_commit).ok()
        });
        match &seen.presence {
            // That it is not found takes back nothing of why.
            Presence::Gone(Gone::Missing) if matches!(known.bond, Bond::Gone(_)) => (),
            Presence::Gone(gone) => known.bond = Bond::Gone(gone.clone()),
            Presence::Here { row, raw, unfit } => {
                overrule(&mut self.ruled, known, row, unfit);
                known.bond = Bond::Here;
                known.record = Some(seen.record.clone());
                for (field, value) in row {
                    let changed = seen
                        .modified
                        .map(|changed| widen(changed, &seen.read, known.modified, lower));
                    let old = known.fields.get(field);
                    let same = old.is_some_and(|old| old.value == *value);
                    let touched = old.is_some_and(|old| old.touched || old.value != *value)
                        || (moved && !fresh_stamp && latest_only(&seen.read) && old.is_some());
                    let changed =
                        if same { old.and_then(|old| old.changed).or(changed) } else { changed };
                    let raw = raw.get(field).cloned();
                    let by =
                        if same { old.and_then(|old| old.by.clone()) } else { seen.by.clone() };
                    let value = value.clone();
                    let kept = SeenField { value, raw, unfit: None, changed, by, touched };
                    known.fields.insert(*field, kept);
                }
                for (field, why) in unfit {
                    let unfit = Some(std::sync::Arc::clone(why));
                    let by = seen.by.clone();
                    if let Some(old) = known.fields.get_mut(field) {
                        if old.unfit.is_none() {
                            old.by = by;
                        }
                        old.unfit = unfit;
                    } else {
                        let (value, changed, touched) = (Value::Null, None, true);
                        let kept = SeenField { value, raw: None, unfit, changed, by, touched };
                        known.fields.insert(*field, kept);
                    }
                }
            }
        }
        match &seen.read {
            Read::Logged { xid } => (known.xid, known.snapshot) = (*xid, None),
            Read::Selected(snapshot) => known.snapshot = Some(std::sync::Arc::clone(snapshot)),
            Read::Asked(at) => known.asked = known.asked.max(Some(*at)),
        }
        known.at = known.at.max(seen.at);
        known.modified = seen.modified.map(|changed| changed.until).or(known.modified);
        known.stamp = known.stamp.max(ours);
        self.claims = seen.claims.clone().or(self.claims.take());
    }

    /// Moves the base of each field that both sides are seen to hold alike (rule 7).
    pub fn agree(&mut self, policy: &Policy, now: Timestamp) {
        if self.seen.campaign.bond != Bond::Here || self.seen.crm.bond != Bond::Here {
            return;
        }
        // What a person said of one that was gone is no answer to the next deletion.
        self.blocks.retain(|block| {
            use super::link::Release::{Delete, Recreate};
            !matches!(block.reason, BlockReason::Released(Delete | Recreate))
        });
        let agreed: Row = (policy.fields.keys())
            .filter_map(|field| {
                let ours = self.seen.campaign.fields.get(field)?;
                let theirs = self.seen.crm.fields.get(field)?;
                let fit = ours.unfit.is_none() && theirs.unfit.is_none();
                // What a record of the same person left is not answered by two that do not know it.
                let left_out = self.inherited.get(field).is_some_and(|consent| consent.is_out());
                let fit = fit && !(left_out && ours.value == Value::Consent(Consent::In));
                (fit && same(&ours.value, &theirs.value)).then(|| (*field, ours.value.clone()))
            })
            .collect();
        for (field, value) in agreed {
            let swapped = |b: &Block| b.field == Some(field) && b.reason == BlockReason::Swapping;
            self.blocks.retain(|block| !swapped(block));
            // A merged record's edit is ruled where both sides still agree on the value before it.
            self.ruled.retain(|ruled, ruling| *ruled != field || !same(ruling, &value));
            self.move_base(field, value, now);
            self.inherited.remove(&field);
            for side in Side::BOTH {
                if let Some(seen) = self.seen[side].fields.get_mut(&field) {
                    seen.touched = false;
                    // Who made it so is of use where it stands apart.
                    seen.by = None;
                }
            }
        }
        self.check_flapping(policy, now);
    }

    /// Moves one field's base, and keeps the trail by which flapping is told.
    pub(super) fn move_base(&mut self, field: Field, value: Value, now: Timestamp) {
        let old = self.base.insert(field, value.clone());
        if old.is_some_and(|old| old != value) {
            let trail = self.trail.entry(field).or_default();
            trail.push((now, value));
            if trail.len() > TRAIL_MAX {
                trail.remove(0);
            }
        }
    }

    /// Holds a field that keeps returning to the value before last (rule 12).
    fn check_flapping(&mut self, policy: &Policy, now: Timestamp) {
        let mut flapping = Vec::new();
        self.trail.retain(|field, trail| {
            trail.retain(|(at, _)| !passed(*at, policy.flap.window, now));
            let returns = trail.windows(3).filter(|three| three[0].1 == three[2].1).count();
            if returns >= usize::from(policy.flap.returns) {
                flapping.push(*field);
            }
            !trail.is_empty()
        });
        for field in flapping {
            let known =
                |block: &Block| block.field == Some(field) && block.reason == BlockReason::Flapping;
            if !self.blocks.iter().any(known) {
                let (side, reason) = (Side::Crm, BlockReason::Flapping);
                self.blocks.push(Block { field: Some(field), side, reason, since: now });
            }
        }
    }
}

/// A link with more unanswered writes than this has other troubles.
const GIVEN_UP_MAX: usize = 8;

/// Enough to tell a field that goes back and forth, whatever the policy's number of returns.
const TRAIL_MAX: usize = 16;

/// Whether two values mean the same; consent that is implied is out like any other.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Consent(a), Value::Consent(b)) => a.is_out() == b.is_out(),
        (a, b) => a == b,
    }
}

/// Whether more than `limit` has passed since `since`.
pub(super) fn passed(since: Timestamp, limit: std::time::Duration, now: Timestamp) -> bool {
    std::time::Duration::try_from(now.duration_since(since)).is_ok_and(|passed| passed > limit)
}

/// Whether the record bears the same stamp of ours as when it was read last: each write that lands
/// leaves its own. The stamp of an answer is of no use before the record was read since.
fn nothing_landed(before: &Seen, seen: &Observation) -> bool {
    let read_since = before.deaf_until < before.at;
    read_since && seen.stamp.is_some() && seen.stamp == before.stamp
}

/// An edit that is made after a ruling is not the ruling's to discard: where a side has left the
/// value that it held then for another than the ruled one, the ruling is void.
fn overrule(
    ruled: &mut Row,
    known: &Seen,
    row: &Row,
    unfit: &std::collections::BTreeMap<Field, std::sync::Arc<str>>,
) {
    ruled.retain(|field, ruling| {
        let Some(old) = known.fields.get(field) else { return true };
        let moved = |new: &Value| !same(new, &old.value) && !same(new, ruling);
        let unfit_since = unfit.contains_key(field) && old.unfit.is_none();
        !unfit_since && !row.get(field).is_some_and(moved)
    });
}

/// When a CRM value changed: its stamp gives the upper end; the lower end is the record's stamp
/// before, or the last read that showed the old value less the late-commit window.
fn widen(
    changed: Interval,
    read: &Read,
    before: Option<Timestamp>,
    shown: Option<Timestamp>,
) -> Interval {
    match read {
        Read::Logged { .. } | Read::Selected(_) => changed,
        Read::Asked(_) => {
            let after = before.max(shown).unwrap_or(Timestamp::MIN).min(changed.until);
            Interval { after, until: changed.until }
        }
    }
}

/// Whether a change and its undoing could both have gone by unseen.
fn latest_only(read: &Read) -> bool {
    match read {
        Read::Logged { .. } => false,
        Read::Selected(_) | Read::Asked(_) => true,
    }
}

/// Our clock at an observation: a CRM's read tells it; the log's own time stands in for it.
fn moment(seen: &Observation) -> Timestamp {
    match &seen.read {
        Read::Asked(at) => *at,
        Read::Logged { .. } | Read::Selected(_) => {
            seen.modified.map_or(Timestamp::UNIX_EPOCH, |changed| changed.until)
        }
    }
}

fn same_values(a: &Seen, b: &Seen) -> bool {
    a.fields.len() == b.fields.len()
        && a.fields.iter().zip(&b.fields).all(|((f, a), (g, b))| {
            // When consent came to its value is what a later opt-in is measured by.
            let timed = !matches!(b.value, Value::Consent(_)) || a.changed == b.changed;
            let touched = a.touched == b.touched && timed;
            f == g && touched && a.value == b.value && a.raw == b.raw && a.unfit == b.unfit
        })
}
