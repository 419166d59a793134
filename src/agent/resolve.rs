//! The ways out of what is held of a field: whose value stands, or that both may.

use crate::ledger::Held;
use crate::reconcile::{Consent, Direction, Link, Shape, Side, Sides, Value};

use super::held::NOTHING_HELD;
use super::plan::Plan;

const WHOLE_RECORD: &str =
    "this is held as a whole, and `truce held resolve` is for fields: see `truce held release`";
const ONE_WAY: &str =
    "the value of that side cannot stand: the field's `direction` does not let it go over";
const ONE_WAY_VALUE: &str =
    "a value cannot be given to a field that goes one way: edit it where it comes from";
const NOT_KNOWN: &str = "the value of that side has no form that the other can hold";
const OPT_IN: &str = "an opt-in is not given by --take: clear the opt-out where it stands, with \
    every wider one";
const CONSENT: &str =
    "consent that differs is never left so: --take the side that says out, or edit the other";
const NOT_TWO_VALUES: &str = "--ignore is for two values that may differ (conflict, pairing, required, \
    refused), and this is held for another reason";

/// Lets one side's value of a held field stand.
pub(super) fn take(
    link: &mut Link,
    held: &Held,
    side: Side,
    plan: &Plan,
) -> Result<(), &'static str> {
    let field = held.field.ok_or(WHOLE_RECORD)?;
    let rule = plan.policy.fields.get(&field).ok_or(NOTHING_HELD)?;
    let seen = link.seen[side].fields.get(&field).filter(|seen| seen.unfit.is_none());
    let value = seen.ok_or(NOT_KNOWN)?.value.clone();
    if let Value::Consent(consent) = value {
        if !consent.is_out() {
            return Err(OPT_IN);
        }
        // An opt-out that stands reaches both sides, whatever the field's direction.
        link.inherited.insert(field, Consent::Out);
    } else if rule.direction.allows(side.other()) {
        link.ruled.insert(field, value);
    } else {
        return Err(ONE_WAY);
    }
    link.blocks.retain(|block| block.field != Some(field));
    Ok(())
}

/// Gives a held field a value that stands on both sides.
pub(super) fn give(
    link: &mut Link,
    held: &Held,
    value: &Value,
    plan: &Plan,
) -> Result<(), &'static str> {
    let field = held.field.ok_or(WHOLE_RECORD)?;
    let rule = plan.policy.fields.get(&field).ok_or(NOTHING_HELD)?;
    if rule.shape == Shape::Consent {
        return Err(CONSENT);
    }
    if rule.direction != Direction::Both {
        return Err(ONE_WAY_VALUE);
    }
    link.ruled.insert(field, value.clone());
    link.blocks.retain(|block| block.field != Some(field));
    Ok(())
}

/// Lets both sides go on holding what they hold, until either moves.
pub(super) fn ignore(link: &mut Link, held: &Held, plan: &Plan) -> Result<(), &'static str> {
    let field = held.field.ok_or(WHOLE_RECORD)?;
    let rule = plan.policy.fields.get(&field).ok_or(NOTHING_HELD)?;
    if rule.shape == Shape::Consent {
        return Err(CONSENT);
    }
    if !["conflict", "pairing", "required", "refused"].contains(&&*held.reason) {
        return Err(NOT_TWO_VALUES);
    }
    let value = |side: Side| link.seen[side].value(field).cloned();
    let (Some(campaign), Some(crm)) = (value(Side::Campaign), value(Side::Crm)) else {
        return Err(NOT_KNOWN);
    };
    link.ignored.insert(field, Sides { campaign, crm });
    link.ruled.remove(&field);
    Ok(())
}
