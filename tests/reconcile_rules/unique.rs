//! A unique value that another record owns: swapped, waited for, or held (rule 12).

use truce::reconcile::decide::HeldReason;
use truce::reconcile::swap::{Untangle, untangle};
use truce::reconcile::{
    Change, FieldRule, Link, LinkId, Outcome, Position, RecordId, Refusal, RefusalKind, Side,
    Sides, Value,
};

use crate::pair::{CITY, NAME, at, moment, paired, policy, reasons, set};

#[test]
fn of_two_records_that_swap_a_value_one_takes_a_temporary_one() {
    let (a, b) = (swapping(1, ["ann", "eve"]), swapping(2, ["eve", "ann"]));
    let rule = &policy().fields[&NAME];
    let of = |link, chain: &[&Link], rule| untangle(link, chain, Side::Crm, (NAME, rule));
    assert_eq!(of(&a, &[&b, &a], rule), Untangle::Temporary(Value::Null));
    assert_eq!(of(&b, &[&a, &b], rule), Untangle::Wait);
    let required = FieldRule { required: Sides { campaign: true, crm: true }, ..rule.clone() };
    assert_eq!(of(&a, &[&b, &a], &required), Untangle::Temporary(Value::text("~t1")));
}

#[test]
fn a_value_that_its_owner_keeps_is_held_and_its_neighbours_go_on() {
    let mut link = swapping(1, ["ann", "eve"]);
    let keeper = Link { id: LinkId(2), ..swapping(2, ["eve", "eve"]) };
    let rule = &policy().fields[&NAME];
    assert_eq!(untangle(&link, &[&keeper], Side::Crm, (NAME, rule)), Untangle::Keep);

    let write = link.decide(&policy(), &moment()).writes.remove(0);
    let write = link.send(write, at(100), Position::default());
    let refusal = Refusal {
        kind: RefusalKind::Unique(Some(RecordId::from("c2"))),
        code: "DUPLICATE_VALUE".into(),
        message: "duplicate value found".into(),
        fields: vec![NAME],
    };
    let when = (at(101), Position::default());
    link.conclude(write.stamp, Outcome::Refused(refusal), &policy(), when);
    let held = reasons(&link, &policy(), &moment());
    assert!(matches!(held.as_slice(), [HeldReason::Refused(Side::Crm, ..)]), "{held:?}");
    assert!(link.decide(&policy(), &moment()).writes.is_empty());
    set(&mut link, Side::Campaign, CITY, Value::text("Rome"));
    let writes = link.decide(&policy(), &moment()).writes;
    assert_eq!(writes[0].change, Change::Set([(CITY, Value::text("Rome"))].into()));
}

/// A link whose record was called the first and was given the second name in Campaign.
fn swapping(id: u64, [was, is]: [&str; 2]) -> Link {
    let mut link = paired();
    link.id = LinkId(id);
    for side in Side::BOTH {
        set(&mut link, side, NAME, Value::text(was));
    }
    link.base.insert(NAME, Value::text(was));
    set(&mut link, Side::Campaign, NAME, Value::text(is));
    link
}
