//! Field by field, where both records are there.

use crate::reconcile::decide::{Decision, HeldReason, Moment, OptOut, Ruled, Wait};
use crate::reconcile::merge::{Merged, judge, merge};
use crate::reconcile::{
    Change, Field, FieldRule, Lane, Link, Policy, Row, SeenField, Shape, Side, Sides, Target, Value,
};

/// Decides the fields of two records that are both there; consent is decided elsewhere.
pub(super) fn decide_fields(
    link: &Link,
    policy: &Policy,
    moment: &Moment,
    decision: &mut Decision,
) {
    let mut set: Sides<Row> = Sides::default();
    for (field, rule) in &policy.fields {
        if rule.shape == Shape::Consent {
            continue;
        }
        if let Some((side, value)) = decide_field(link, (*field, rule), moment, decision) {
            set[side].insert(*field, value);
        }
        for side in Side::BOTH {
            if let Some(ruled) = decide_ruled(link, side, (*field, rule), moment, decision) {
                set[side].insert(*field, ruled);
            }
        }
    }
    for side in Side::BOTH {
        let row = std::mem::take(&mut set[side]);
        emit(link, (side, row), policy, moment, decision);
    }
}

/// The value that a person, or a merge, said should stand, where a side does not hold it.
fn decide_ruled(
    link: &Link,
    side: Side,
    (field, rule): (Field, &FieldRule),
    moment: &Moment,
    decision: &mut Decision,
) -> Option<Value> {
    let ruled = link.ruled.get(&field)?;
    let holds = |seen: &SeenField| seen.unfit.is_none() && seen.value == *ruled;
    if link.seen[side].fields.get(&field).is_some_and(holds) || !rule.direction.allows(side) {
        return None;
    }
    if let Some(held) = link.blocked(side, field, ruled) {
        decision.hold(Some(field), held);
        return None;
    }
    deliverable(ruled, side, field, moment, decision).then(|| ruled.clone())
}

/// Where one field's value goes, if anywhere.
fn decide_field(
    link: &Link,
    (field, rule): (Field, &FieldRule),
    moment: &Moment,
    decision: &mut Decision,
) -> Option<(Side, Value)> {
    let ours = known((link, Side::Campaign), field, moment, decision)?;
    let theirs = known((link, Side::Crm), field, moment, decision)?;
    if link.ruled.contains_key(&field) || link.is_ignored(field) {
        return None;
    }
    let base = link.base.get(&field);
    let winner = match merge(base, &ours.value, &theirs.value) {
        Merged::Agreed => return None,
        Merged::Moved(side) => {
            // A one-way field's own side may be edited: that stands until its source moves.
            if !rule.direction.allows(side.other()) {
                return None;
            }
            side
        }
        merged @ (Merged::Conflict | Merged::Met) => {
            let (winner, word) = contested(link, (field, rule), merged, moment, decision)?;
            let values = (base.cloned(), ours.value.clone(), theirs.value.clone());
            decision.ruled.push(Ruled { field, rule: word, winner, values });
            winner
        }
    };
    let side = winner.other();
    let value = link.seen[winner].value(field)?.clone();
    if rule.required[side] && value.is_null() {
        decision.hold(Some(field), HeldReason::Required(side));
        return None;
    }
    if let Some(held) = link.blocked(side, field, &value) {
        decision.ruled.retain(|ruled| ruled.field != field);
        decision.hold(Some(field), held);
        return None;
    }
    deliverable(&value, side, field, moment, decision).then_some((side, value))
}

/// Who wins a contested field; a one-way field's source does.
fn contested(
    link: &Link,
    (field, rule): (Field, &FieldRule),
    merged: Merged,
    moment: &Moment,
    decision: &mut Decision,
) -> Option<(Side, &'static str)> {
    for side in Side::BOTH {
        if !rule.direction.allows(side) {
            return Some((side, "direction"));
        }
    }
    let (policy, reason) = if merged == Merged::Met {
        (rule.pairing, HeldReason::Pairing)
    } else {
        (rule.conflict, HeldReason::Conflict)
    };
    let values = Sides::of(|side| link.seen[side].value(field).unwrap_or(&Value::Null));
    let changed =
        Sides::of(|side| link.seen[side].fields.get(&field).and_then(|seen| seen.changed));
    let judged = judge(policy, values, changed, &moment.clocks);
    if judged.is_none() {
        decision.hold(Some(field), reason);
    }
    judged
}

/// A field as it was seen, where it can be decided on.
fn known<'a>(
    (link, side): (&'a Link, Side),
    field: Field,
    moment: &Moment,
    decision: &mut Decision,
) -> Option<&'a SeenField> {
    let Some(seen) = link.seen[side].fields.get(&field) else {
        decision.lacks[side] = true;
        return None;
    };
    if let Some(why) = &seen.unfit {
        decision.hold(Some(field), HeldReason::Unfit(side, std::sync::Arc::clone(why)));
        return None;
    }
    if let Value::Record(parent) = &seen.value {
        decision.waits.push((side, Wait::Parent(field, parent.clone())));
        return None;
    }
    if is_used_up(&seen.value, moment) {
        decision.read[side] = true;
        return None;
    }
    Some(seen)
}

/// Whether a reference is to a link that is no more: it was made one with another, which bears the
/// record by now. Read again, the reference names that one.
pub(super) fn is_used_up(value: &Value, moment: &Moment) -> bool {
    matches!(value, Value::Link(parent) if !moment.parents.contains_key(parent))
}

/// Whether `side` can be given this value now: a reference needs its parent's record there.
pub(super) fn deliverable(
    value: &Value,
    side: Side,
    field: Field,
    moment: &Moment,
    decision: &mut Decision,
) -> bool {
    let Value::Link(parent) = value else { return true };
    let there = moment.parents.get(parent).is_some_and(|records| records[side].is_some());
    if !there {
        decision.waits.push((side, Wait::Counterpart(field, *parent)));
    }
    there
}

/// Makes the write of a side's fields, unless something stands in its way.
fn emit(
    link: &Link,
    (side, row): (Side, Row),
    policy: &Policy,
    moment: &Moment,
    decision: &mut Decision,
) {
    let Some(record) = link.record(side).cloned() else { return };
    if row.is_empty() {
        return;
    }
    let blanked = |(field, value): &(&Field, &Value)| {
        value.is_null() && link.seen[side].value(**field).is_some_and(|seen| !seen.is_null())
    };
    if row.iter().filter(blanked).count() >= policy.blank_fields && link.released().is_none() {
        // What goes to the other side is ruled all the same.
        decision.ruled.retain(|ruled| !row.contains_key(&ruled.field));
        return decision.hold(None, HeldReason::Blanked(side.other()));
    }
    let change = Change::Set(row);
    if let Some(held) = link.blocked_whole(side, &change) {
        return decision.hold(None, held);
    }
    if !link.free(side, Lane::Ordinary, OptOut::No) {
        return;
    }
    let mut write = link.write((side, Lane::Ordinary), Target::Record(record), change, moment);
    if let Change::Set(row) = &write.change {
        write.expect = link.expected(side, row);
    }
    decision.writes.push(write);
}
