//! Records that stand on one side only: made, deleted, kept or held.

use std::collections::BTreeMap;

use crate::reconcile::decide::{Decision, Gate, HeldReason, Moment, OptOut, Wait};
use crate::reconcile::fields::{deliverable, is_used_up};
use crate::reconcile::link::Release;
use crate::reconcile::observe::passed;
use crate::reconcile::{
    Change, Consent, DeleteConflict, DeletePolicy, Field, Gone, Lane, Link, Policy, Row, Shape,
    Side, Target, Value,
};

/// Decides whether the record that `missing` never had is made there.
pub(super) fn decide_create(
    link: &Link,
    missing: Side,
    policy: &Policy,
    moment: &Moment,
    decision: &mut Decision,
) {
    if !policy.create.contains(&missing) {
        return;
    }
    create(link, missing, policy, moment, decision);
}

/// Decides what the absence of a record that was there does to the other.
pub(super) fn decide_absent(
    link: &Link,
    (side, gone): (Side, &Gone),
    policy: &Policy,
    moment: &Moment,
    decision: &mut Decision,
) {
    match link.told_of_absence() {
        Some(Fate::Delete) => return delete(link, side.other(), policy, moment, decision),
        Some(Fate::Recreate) => return create(link, side, policy, moment, decision),
        Some(Fate::Sever | Fate::Hold(_)) | None => (),
    }
    match gone {
        Gone::Missing => return decision.hold(None, HeldReason::Missing(side)),
        Gone::Truncated => return decision.hold(None, HeldReason::Truncated(side)),
        Gone::Converted(_) => return decision.hold(None, HeldReason::Converted),
        Gone::Merged(into) => {
            return decision.waits.push((side, Wait::Survivor(into.clone())));
        }
        Gone::Deleted => (),
    }
    let changed = left_the_base(link, side.other(), policy);
    let fate = match (changed, policy.delete, policy.delete_conflict) {
        (false, DeletePolicy::Keep, _) => Fate::Sever,
        (false, DeletePolicy::Propagate, _) | (true, _, DeleteConflict::DeleteWins) => Fate::Delete,
        (true, _, DeleteConflict::UpdateWins) => Fate::Recreate,
        (false, DeletePolicy::Hold, _) => Fate::Hold(HeldReason::Deleted(side)),
        (true, _, DeleteConflict::Hold) => Fate::Hold(HeldReason::DeletedAndChanged(side)),
    };
    match fate {
        Fate::Sever => decision.sever = true,
        Fate::Hold(reason) => decision.hold(None, reason),
        Fate::Recreate => create(link, side, policy, moment, decision),
        Fate::Delete => delete(link, side.other(), policy, moment, decision),
    }
}

pub(super) enum Fate {
    Sever,
    Delete,
    Recreate,
    Hold(HeldReason),
}

impl Link {
    /// What a person said is to follow from a record's absence.
    pub(super) fn told_of_absence(&self) -> Option<Fate> {
        match self.released()? {
            Release::Go => None,
            Release::Delete => Some(Fate::Delete),
            Release::Recreate => Some(Fate::Recreate),
        }
    }
}

/// Whether a side has moved away from what both agreed on, in any field.
fn left_the_base(link: &Link, side: Side, policy: &Policy) -> bool {
    policy.fields.iter().any(|(field, rule)| {
        let value = link.seen[side].value(*field);
        let base = link.base.get(field);
        let differs = match (value, base) {
            (Some(value), Some(base)) => !super::observe::same(value, base),
            (Some(value), None) => !value.is_null(),
            (None, _) => false,
        };
        differs && rule.direction.allows(side.other())
    })
}

fn delete(link: &Link, side: Side, policy: &Policy, moment: &Moment, decision: &mut Decision) {
    let Some(record) = link.record(side).cloned() else { return };
    if moment.deletes != Gate::Open && link.released().is_none() {
        return decision.hold(None, HeldReason::Epoch);
    }
    if let Some(held) = link.blocked_whole(side, &Change::Delete) {
        return decision.hold(None, held);
    }
    if !link.free(side, Lane::Ordinary, OptOut::No) {
        return;
    }
    let seen: Row = (policy.fields.keys())
        .filter_map(|field| Some((*field, link.seen[side].value(*field)?.clone())))
        .collect();
    let target = Target::Record(record);
    let write = link.write((side, Lane::Ordinary), target, Change::Delete, moment);
    let expect = link.expected(side, &seen);
    decision.writes.push(crate::reconcile::Write { expect, ..write });
}

/// Makes the record across, from what the present side holds.
fn create(link: &Link, missing: Side, policy: &Policy, moment: &Moment, decision: &mut Decision) {
    let present = missing.other();
    let Some(across) = link.record(present).cloned() else { return };
    match moment.creates {
        Gate::Later => return,
        Gate::Held if link.released().is_none() => return decision.hold(None, HeldReason::Epoch),
        Gate::Held | Gate::Open => (),
    }
    // What is under way on the present side, an opt-out perhaps, is not in what was seen of it.
    if !link.free(missing, Lane::Ordinary, OptOut::No) || !link.sent[present].is_empty() {
        return;
    }
    let Some(row) = new_row(link, missing, policy, moment, decision) else { return };
    let change = Change::Set(row);
    if let Some(held) = link.blocked_whole(missing, &change) {
        return decision.hold(None, held);
    }
    let unless: Option<Vec<(Field, Value)>> = (policy.match_on.iter())
        .map(|field| Some((*field, link.seen[present].value(*field)?.clone())))
        .collect();
    let unless = unless.unwrap_or_default();
    let unless = if unless.iter().any(|(_, value)| value.is_null()) { Vec::new() } else { unless };
    // A key that was drawn for an earlier try is used again: it was kept, and perhaps written.
    let key = match link.seen[missing].bond {
        crate::reconcile::Bond::Never => link.record(missing).cloned(),
        crate::reconcile::Bond::Here | crate::reconcile::Bond::Gone(_) => None,
    };
    let target = Target::New { key, across, unless };
    let write = link.write((missing, Lane::Ordinary), target, change, moment);
    decision.writes.push(crate::reconcile::Write {
        expect: BTreeMap::new(),
        unmodified_since: None,
        ..write
    });
}

/// What a new record would hold, or `None` where something must come first.
fn new_row(
    link: &Link,
    missing: Side,
    policy: &Policy,
    moment: &Moment,
    decision: &mut Decision,
) -> Option<Row> {
    let present = missing.other();
    let mut row = Row::new();
    let mut complete = true;
    for (field, rule) in &policy.fields {
        if !rule.direction.allows(missing) && rule.shape != Shape::Consent {
            continue;
        }
        let seen = link.seen[present].fields.get(field);
        let Some(seen) = seen.filter(|seen| !is_used_up(&seen.value, moment)) else {
            match seen {
                Some(_) => decision.read[present] = true,
                None => decision.lacks[present] = true,
            }
            complete = false;
            continue;
        };
        let required = rule.required[missing];
        if let Some(why) = &seen.unfit {
            decision.hold(Some(*field), HeldReason::Unfit(present, std::sync::Arc::clone(why)));
            complete &= !required;
            continue;
        }
        if let Value::Record(parent) = &seen.value {
            decision.waits.push((present, Wait::Parent(*field, parent.clone())));
            complete &= !required;
            continue;
        }
        let value = joined(link, *field, &seen.value);
        if value.is_null() {
            if required {
                decision.hold(Some(*field), HeldReason::Required(missing));
                complete = false;
            }
            continue;
        }
        if let Some(held) = link.blocked(missing, *field, &value) {
            decision.hold(Some(*field), held);
            complete &= !required;
        } else if deliverable(&value, missing, *field, moment, decision) {
            row.insert(*field, value);
        } else {
            complete &= !required;
        }
    }
    let waited =
        link.waiting_since.is_some_and(|since| passed(since, policy.wait_limit, moment.now));
    if !complete && waited && !decision.waits.is_empty() {
        decision.hold(None, HeldReason::Parent);
    }
    (complete && !row.is_empty()).then_some(row)
}

/// Consent of a new record: what its counterpart says, joined with what a deleted one left.
fn joined(link: &Link, field: Field, value: &Value) -> Value {
    match value {
        Value::Consent(consent) => {
            let inherited = link.inherited.get(&field).is_some_and(|consent| consent.is_out());
            let out = consent.is_out() || inherited;
            Value::Consent(if out { Consent::Out } else { Consent::In })
        }
        value @ (Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Decimal(_)
        | Value::Text(_)
        | Value::Date(_)
        | Value::Time(_)
        | Value::Instant(_)
        | Value::Uuid(_)
        | Value::Set(_)
        | Value::Record(_)
        | Value::Link(_)) => value.clone(),
    }
}
