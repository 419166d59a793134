//! Consent: out stands above in, whatever the times.
//!
//! An opt-out is always applied, from either side, as a write of its own with no guard but the
//! record's being there. An opt-in needs exactly one side to have changed, provably after the
//! opt-out, goes
//! singly and under the CRM's precondition. What a wider column implies is never cleared.

use crate::reconcile::clock;
use crate::reconcile::decide::{Decision, HeldReason, Moment, OptOut, Ruled};
use crate::reconcile::{
    Change, Consent, Field, Lane, Link, LinkState, Policy, Row, Shape, Side, Sides, Target, Value,
};

/// Decides the consent fields of two records that are both there.
pub(super) fn decide_consent(
    link: &Link,
    policy: &Policy,
    moment: &Moment,
    decision: &mut Decision,
) {
    let mut outs: Sides<Row> = Sides::default();
    let mut ins: Sides<Option<Field>> = Sides::default();
    for (field, rule) in policy.fields.iter().filter(|(_, rule)| rule.shape == Shape::Consent) {
        match decide_one(link, *field, moment, decision) {
            Verdict::OptOut(side) => {
                outs[side].insert(*field, Value::Consent(Consent::Out));
            }
            // A one-way field lowers nothing against its direction; opt-outs always go.
            Verdict::OptIn(side) if rule.direction.allows(side) => {
                ins[side].get_or_insert(*field);
            }
            Verdict::Agreed | Verdict::Held | Verdict::OptIn(_) => (),
            Verdict::Join => {
                for side in Side::BOTH {
                    if out(link, side, *field) == Some(false) {
                        outs[side].insert(*field, Value::Consent(Consent::Out));
                    }
                }
            }
        }
    }
    for side in Side::BOTH {
        let row = std::mem::take(&mut outs[side]);
        if row.is_empty() {
            if let Some(field) = ins[side] {
                emit_opt_in(link, side, field, moment, decision);
            }
        } else {
            emit_opt_out(link, (side, row), moment, decision);
        }
    }
}

/// What one consent field comes to.
enum Verdict {
    Agreed,
    Held,
    /// This side must be opted out.
    OptOut(Side),
    /// This side may be opted in.
    OptIn(Side),
    /// Both must be out, as a person who was one with this one was.
    Join,
}

fn decide_one(link: &Link, field: Field, moment: &Moment, decision: &mut Decision) -> Verdict {
    let (Some(ours), Some(theirs)) =
        (out(link, Side::Campaign, field), out(link, Side::Crm, field))
    else {
        for side in Side::BOTH {
            decision.lacks[side] |= out(link, side, field).is_none();
        }
        return Verdict::Agreed;
    };
    if link.inherited.get(&field).is_some_and(|inherited| inherited.is_out()) && !(ours && theirs) {
        return Verdict::Join;
    }
    let lower = match (ours, theirs) {
        (true, true) | (false, false) => return Verdict::Agreed,
        (true, false) => Side::Crm,
        (false, true) => Side::Campaign,
    };
    let base_out =
        link.base.get(&field).map(|base| matches!(base, Value::Consent(c) if c.is_out()));
    if base_out != Some(true) {
        if base_out.is_none() {
            rule(link, field, "consent_join", lower.other(), decision);
        }
        return Verdict::OptOut(lower);
    }
    // One of two people's records that the CRM merged does not opt the survivor in.
    if matches!(link.state, LinkState::Alias(_)) && lower == Side::Campaign {
        rule(link, field, "most_restrictive", lower.other(), decision);
        return Verdict::OptOut(lower);
    }
    // The lower side opted in after both were known to be out. That counts only where the other has
    // not touched it since, and where the opt-in is provably the later of the two: a feed that lags
    // may tell of an opt-in that was made before the opt-out.
    let upper = lower.other();
    let touched = link.seen[upper].fields.get(&field).is_none_or(|seen| seen.touched);
    let changed = |side: Side| link.seen[side].fields.get(&field).and_then(|seen| seen.changed);
    let proven = clock::later(Sides::of(changed), &moment.clocks) == Some(lower);
    if touched || !proven {
        rule(link, field, "most_restrictive", upper, decision);
        return Verdict::OptOut(lower);
    }
    if link.seen[upper].value(field) == Some(&Value::Consent(Consent::Implied)) {
        decision.hold(Some(field), HeldReason::WiderOptOut(upper));
        return Verdict::Held;
    }
    if let Some(held) = link.blocked(upper, field, &Value::Consent(Consent::In)) {
        decision.hold(Some(field), held);
        return Verdict::Held;
    }
    Verdict::OptIn(upper)
}

fn rule(link: &Link, field: Field, word: &'static str, winner: Side, decision: &mut Decision) {
    let value = |side: Side| link.seen[side].value(field).cloned().unwrap_or(Value::Null);
    let values = (link.base.get(&field).cloned(), value(Side::Campaign), value(Side::Crm));
    decision.ruled.push(Ruled { field, rule: word, winner, values });
}

/// Whether a side says out; `None` is unknown. Null is no evidence of an opt-out.
fn out(link: &Link, side: Side, field: Field) -> Option<bool> {
    link.seen[side].value(field).map(|value| matches!(value, Value::Consent(c) if c.is_out()))
}

fn emit_opt_out(link: &Link, (side, row): (Side, Row), moment: &Moment, decision: &mut Decision) {
    let Some(record) = link.record(side).cloned() else { return };
    for (field, value) in &row {
        if let Some(held) = link.blocked(side, *field, value) {
            decision.hold(Some(*field), held);
        }
    }
    let row: Row = row.into_iter().filter(|(f, v)| link.blocked(side, *f, v).is_none()).collect();
    if row.is_empty() || !link.free(side, Lane::Consent, OptOut::Yes) {
        return;
    }
    let change = Change::Set(row);
    // That other writes were stale says nothing of one without a guard.
    if let Some(held) = link.refused_whole(side, &change) {
        return decision.hold(None, held);
    }
    decision.writes.push(link.write((side, Lane::Consent), Target::Record(record), change, moment));
}

fn emit_opt_in(link: &Link, side: Side, field: Field, moment: &Moment, decision: &mut Decision) {
    let Some(record) = link.record(side).cloned() else { return };
    if !link.free(side, Lane::Consent, OptOut::No) {
        return;
    }
    let row = Row::from([(field, Value::Consent(Consent::In))]);
    let expect = link.expected(side, &row);
    let target = Target::Record(record);
    let change = Change::Set(row);
    if let Some(held) = link.blocked_whole(side, &change) {
        return decision.hold(None, held);
    }
    let write = link.write((side, Lane::Consent), target, change, moment);
    decision.writes.push(crate::reconcile::Write { expect, opt_in: true, ..write });
}
