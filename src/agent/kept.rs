//! What is kept beside links for people: what is held, values in print, brakes.

use jiff::Timestamp;

use crate::ledger::Held as HeldRow;
use crate::reconcile::brake::Brake;
use crate::reconcile::decide::{Decision, Held, Moment};
use crate::reconcile::link::Release;
use crate::reconcile::{Bond, Change, Field, Link, Policy, Side, Skew, Target, Value, Write};

use super::plan::Plan;

/// Something that waits for a person.
pub(super) fn row(held: &Held, since: Timestamp, plan: &Plan) -> HeldRow {
    let detail = serde_json::json!({
        "field": held.field.map(|field| plan.field_name(field)),
        "side": held.reason.side().map(Side::name),
        "words": held.reason.words(),
    });
    HeldRow { field: held.field, reason: held.reason.word().to_owned(), since, detail }
}

/// Whether a write gives a field a value.
pub(super) fn sets(write: &Write, field: Field) -> bool {
    match &write.change {
        Change::Set(row) => row.contains_key(&field),
        Change::Delete => false,
    }
}

/// A value as a person reads it.
pub fn printed(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Int(n) => (*n).into(),
        Value::Decimal(n) => n.to_string().into(),
        Value::Text(text) => (&**text).into(),
        Value::Date(date) => date.to_string().into(),
        Value::Time(time) => time.to_string().into(),
        Value::Instant(at) => at.to_string().into(),
        Value::Uuid(id) => format!("{id:032x}").into(),
        Value::Set(names) => names.iter().map(|name| &**name).collect::<Vec<_>>().into(),
        Value::Record(record) => record.to_string().into(),
        Value::Link(link) => format!("link {link}").into(),
        Value::Consent(consent) => if consent.is_out() { "out" } else { "in" }.into(),
    }
}

/// The fact that keeps a mapping's brake.
pub fn brake_fact(plan: &Plan) -> String {
    format!("brake/{}", plan.name)
}

/// A brake as it was kept.
pub fn read_brake(fact: &serde_json::Value) -> Brake {
    let time = |value: &serde_json::Value| value.as_str().and_then(|text| text.parse().ok());
    let passed = fact["passed"].as_array().into_iter().flatten().filter_map(time).collect();
    Brake { passed, on_since: time(&fact["on_since"]) }
}

/// A brake to be kept.
pub fn write_brake(brake: &Brake) -> serde_json::Value {
    serde_json::json!({
        "passed": brake.passed.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "on_since": brake.on_since.map(|at| at.to_string()),
    })
}

/// Whether a write deletes a record, or empties a field of it.
pub(super) fn takes_away(link: &Link, write: &Write) -> bool {
    match (&write.change, &write.target) {
        (Change::Delete, _) => true,
        (Change::Set(_), Target::New { .. }) => false,
        (Change::Set(row), Target::Record(_)) => row.iter().any(|(field, value)| {
            let seen = link.seen[write.side].value(*field);
            value.is_null() && seen.is_some_and(|seen| !seen.is_null())
        }),
    }
}

/// Whether a person's word lets nothing go any more that would be held without it: kept, it would
/// let a later deletion slip through the brake.
pub(super) fn is_spent(link: &Link, decision: &Decision, policy: &Policy, moment: &Moment) -> bool {
    if link.released() != Some(Release::Go) {
        return false;
    }
    let apart = Side::BOTH.into_iter().any(|side| link.seen[side].bond != Bond::Here);
    let open = Side::BOTH.into_iter().any(|side| {
        decision.read[side]
            || decision.lacks[side]
            || !link.sent[side].is_empty()
            || (apart && !decision.waits.is_empty())
    });
    if open || decision.writes.iter().any(|write| takes_away(link, write)) {
        return false;
    }
    let mut without = link.clone();
    without.forget_release();
    without.decide(policy, moment) == *decision
}

/// How long ago something happened that another clock told of; nothing where that is ahead of us.
pub(super) fn since(then: Timestamp, skew: Skew, now: Timestamp) -> std::time::Duration {
    let passed = now.duration_since(then) + skew.offset;
    std::time::Duration::try_from(passed).unwrap_or_default()
}
