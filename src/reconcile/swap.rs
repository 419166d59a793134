//! Unique values that two records exchange: both get theirs, by way of a temporary value.

use std::sync::Arc;

use crate::reconcile::decide::{Moment, OptOut};
use crate::reconcile::link::BlockReason;
use crate::reconcile::{
    Change, Field, FieldRule, Lane, Link, RefusalKind, Row, Shape, Side, Target, Value, Write,
};

/// What to do about a value that another record owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untangle {
    /// The owner is about to let it go, or has: wait for its news.
    Wait,
    /// The owner waits for us in turn: take this value until it has let go.
    Temporary(Value),
    /// The owner keeps it: a person decides.
    Keep,
    /// The owner no longer has it: try again.
    Free,
}

/// Decides about `field` of `link`, which `side` refused because `owner` holds the value.
///
/// In a cycle of any length each link but one waits; the one with the lowest number takes a
/// temporary value, so that the next can have the one it gave up.
pub fn untangle(
    link: &Link,
    owner: &Link,
    side: Side,
    (field, rule): (Field, &FieldRule),
) -> Untangle {
    let wanted = link.seen[side.other()].value(field);
    let held = owner.seen[side].value(field);
    if held != wanted {
        return Untangle::Free;
    }
    let moving = owner.seen[side.other()].value(field) != held
        && owner.base.get(&field) == held
        && held.is_some();
    if !moving {
        return Untangle::Keep;
    }
    let owner_waits = owner.blocks.iter().any(|block| {
        block.field == Some(field)
            && block.side == side
            && matches!(&block.reason, BlockReason::Refused { refusal, .. }
                if matches!(refusal.kind, RefusalKind::Unique(_)))
    });
    if owner_waits && link.id < owner.id {
        Untangle::Temporary(temporary(link, side, rule))
    } else {
        Untangle::Wait
    }
}

/// A value that no other record holds.
fn temporary(link: &Link, side: Side, rule: &FieldRule) -> Value {
    match &rule.shape {
        Shape::Text(_) if rule.required[side] => Value::Text(Arc::from(format!("~t{}", link.id))),
        Shape::Int { .. } if rule.required[side] => {
            Value::Int(i64::try_from(link.id.0).map_or(i64::MIN, |id| -id))
        }
        Shape::Bool
        | Shape::Int { .. }
        | Shape::Decimal { .. }
        | Shape::Text(_)
        | Shape::Date
        | Shape::Time
        | Shape::Instant
        | Shape::Uuid
        | Shape::Set
        | Shape::Reference(_)
        | Shape::Consent => Value::Null,
    }
}

impl Link {
    /// Forgets that a side refused a field's value.
    pub fn unblock(&mut self, field: Field, side: Side) {
        self.blocks.retain(|block| {
            block.field != Some(field)
                || block.side != side
                || !matches!(block.reason, BlockReason::Refused { .. })
        });
    }

    /// The write of a temporary value, where the lane is free.
    pub fn write_temporary(
        &self,
        side: Side,
        field: Field,
        value: Value,
        moment: &Moment,
    ) -> Option<Write> {
        let record = self.record(side)?.clone();
        if !self.free(side, Lane::Ordinary, OptOut::No) {
            return None;
        }
        let change = Change::Set(Row::from([(field, value)]));
        Some(self.write((side, Lane::Ordinary), Target::Record(record), change, moment))
    }
}
