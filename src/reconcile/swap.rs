//! Unique values that two records exchange: both get theirs, by way of a temporary value.

use std::sync::Arc;

use crate::reconcile::decide::{Moment, OptOut};
use crate::reconcile::link::{Block, BlockReason};
use crate::reconcile::{
    Change, Field, FieldRule, Lane, Link, RecordId, RefusalKind, Row, Shape, Side, Target, Value,
    Write,
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

/// Decides about `field` of `link`, which `side` refused because the first of `chain` owns the
/// value; each further one owns what the one before it was refused.
///
/// Where the chain comes back to the link, one of them must take a temporary value so that the
/// next can have the one it gave up: the one with the lowest number.
pub fn untangle(
    link: &Link,
    chain: &[&Link],
    side: Side,
    (field, rule): (Field, &FieldRule),
) -> Untangle {
    let Some(owner) = chain.first() else { return Untangle::Keep };
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
    let cycle = chain.last().is_some_and(|last| last.id == link.id);
    let lowest = chain.iter().all(|other| link.id <= other.id);
    let swapping =
        |block: &Block| block.field == Some(field) && block.reason == BlockReason::Swapping;
    if cycle && lowest && !link.blocks.iter().any(swapping) {
        Untangle::Temporary(temporary(link, side, rule))
    } else {
        Untangle::Wait
    }
}

/// The record that owns the value which `side` refused a link for this field.
pub fn owner_of(link: &Link, side: Side, field: Field) -> Option<&RecordId> {
    let refused = link.blocks.iter().filter(|b| b.field == Some(field) && b.side == side);
    refused.into_iter().find_map(|block| match &block.reason {
        BlockReason::Refused { refusal, .. } => match &refusal.kind {
            RefusalKind::Unique(owner) => owner.as_ref(),
            RefusalKind::Record | RefusalKind::Mapping | RefusalKind::Dependency => None,
        },
        BlockReason::Stale(_)
        | BlockReason::Flapping
        | BlockReason::Braked
        | BlockReason::Swapping
        | BlockReason::PutOff(_)
        | BlockReason::Released(_) => None,
    })
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
        | Shape::Set { .. }
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
