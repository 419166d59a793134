//! What a person ruled, and what ends: neither reaches further than it was meant to.

use std::time::Duration;

use truce::reconcile::observe::News;
use truce::reconcile::{
    Bond, Change, Consent, DeleteConflict, Gone, Observation, Outcome, Policy, Position, Presence,
    RecordId, Rule, Side, Value,
};

use crate::pair::{
    CITY, NAME, OUT, PARENT, alone, at, logged, moment, paired, policy, reasons, selected, set,
    sighting,
};
use truce::reconcile::decide::HeldReason;

#[test]
fn an_edit_that_is_made_after_a_ruling_is_not_overwritten_by_it() {
    let mut link = paired();
    set(&mut link, Side::Campaign, NAME, Value::text("eve"));
    set(&mut link, Side::Crm, NAME, Value::text("eva"));
    link.ruled.insert(NAME, Value::text("eve"));
    link.observe(Side::Crm, &sighting(102, ["eva", "Oslo"], None), &policy());
    let write = link.decide(&policy(), &moment()).writes.remove(0);
    assert_eq!(write.change, Change::Set([(NAME, Value::text("eve"))].into()), "nothing moved");
    link.observe(Side::Crm, &sighting(103, ["ida", "Oslo"], None), &policy());
    assert!(link.ruled.is_empty());
    assert!(link.decide(&policy(), &moment()).writes.is_empty());
    assert_eq!(reasons(&link, &policy(), &moment()), [HeldReason::Conflict]);
}

#[test]
fn an_opt_out_that_a_person_let_stand_reaches_the_other_side() {
    let mut link = paired();
    set(&mut link, Side::Campaign, OUT, Value::Consent(Consent::Implied));
    link.base.insert(OUT, Value::Consent(Consent::Out));
    link.inherited.insert(OUT, Consent::Out);
    let write = link.decide(&policy(), &moment()).writes.remove(0);
    assert_eq!((write.side, write.opt_in), (Side::Crm, false));
}

#[test]
fn a_link_does_not_end_while_a_record_may_come_of_its_create() {
    let mut link = alone(Side::Campaign, &[(NAME, Value::text("ann"))]);
    let write = link.decide(&policy(), &moment()).writes.remove(0);
    let tick = |major| Position { epoch: 0, major, minor: 0 };
    let stamp = link.send(write, at(100), tick(100)).stamp;
    link.seen.campaign.bond = Bond::Gone(Gone::Deleted);
    assert!(!link.decide(&policy(), &moment()).retire, "it may be made at any moment");
    let made = Outcome::Done { created: Some(RecordId::from("c1")), xid: None };
    let mut known = link.clone();
    known.conclude(stamp, made, &policy(), (at(101), tick(101)));
    assert_eq!(reasons(&known, &policy(), &moment()), [HeldReason::Deleted(Side::Campaign)]);
    link.conclude(stamp, Outcome::Lost, &policy(), (at(101), tick(101)));
    assert!(!link.decide(&policy(), &moment()).retire, "it may have been made");
    link.expire(&policy(), at(100_000));
    assert!(link.decide(&policy(), &moment()).retire, "nothing came of it");
}

#[test]
fn the_log_says_why_a_record_was_not_found() {
    let gone = |why, seen| Observation { presence: Presence::Gone(why), ..seen };
    let mut link = paired();
    link.observe(Side::Campaign, &gone(Gone::Missing, selected("50:50:", "")), &policy());
    assert_eq!(reasons(&link, &policy(), &moment()), [HeldReason::Missing(Side::Campaign)]);
    let told = link.observe(Side::Campaign, &gone(Gone::Deleted, logged(10, 40, "")), &policy());
    assert_eq!(told, News::Changed);
    assert_eq!(reasons(&link, &policy(), &moment()), [HeldReason::Deleted(Side::Campaign)]);
    assert_eq!(link.observe(Side::Campaign, &logged(9, 39, "ann"), &policy()), News::Older);
}

#[test]
fn what_is_put_off_again_and_again_is_tried_less_and_less_often() {
    let (second, most) = (Duration::from_secs(1), Duration::from_mins(10));
    let mut link = paired();
    let waits: Vec<u64> =
        (0..12).map(|_| link.put_off(Side::Crm, second, most, at(100)).as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
    let hour = Duration::from_hours(1);
    assert_eq!(link.put_off(Side::Crm, hour, most, at(100)), hour, "as the side itself says");
    set(&mut link, Side::Campaign, NAME, Value::text("eve"));
    let write = link.decide(&policy(), &moment()).writes.remove(0);
    let stamp = link.send(write, at(100), Position::default()).stamp;
    let done = Outcome::Done { created: None, xid: None };
    link.conclude(stamp, done, &policy(), (at(101), Position::default()));
    assert_eq!(link.times_put_off(Side::Crm), 0);
}

#[test]
fn what_goes_the_other_way_beside_a_blanked_record_is_decided_in_words() {
    let mut policy = policy();
    policy.fields.get_mut(&PARENT).unwrap().conflict = Rule::Prefer(Side::Campaign);
    policy.fields.get_mut(&PARENT).unwrap().shape = policy.fields[&NAME].shape.clone();
    let mut link = paired();
    for field in [NAME, CITY] {
        set(&mut link, Side::Crm, field, Value::Null);
    }
    set(&mut link, Side::Campaign, PARENT, Value::text("ours"));
    set(&mut link, Side::Crm, PARENT, Value::text("theirs"));
    let decision = link.decide(&policy, &moment());
    assert_eq!(decision.held[0].reason, HeldReason::Blanked(Side::Crm));
    assert_eq!((decision.writes[0].side, decision.ruled[0].field), (Side::Crm, PARENT));
}

#[test]
fn the_record_that_is_gone_does_not_answer_for_the_one_that_takes_its_place() {
    let policy = Policy { delete_conflict: DeleteConflict::UpdateWins, ..policy() };
    let mut link = paired();
    link.seen.crm.bond = Bond::Gone(Gone::Deleted);
    set(&mut link, Side::Campaign, NAME, Value::text("eve"));
    let tick = |major| Position { epoch: 0, major, minor: 0 };
    let write = link.decide(&policy, &moment()).writes.remove(0);
    let stamp = link.send(write, at(100), tick(100)).stamp;
    link.conclude(stamp, Outcome::Lost, &policy, (at(101), tick(101)));
    let claims = link.record(Side::Campaign).cloned();
    let presence = Presence::Gone(Gone::Deleted);
    let old = Observation { presence, claims, ..sighting(102, ["", ""], None) };
    link.observe(Side::Crm, &old, &policy);
    assert_eq!(link.sent.crm.len(), 1, "it may have been made all the same");
}
