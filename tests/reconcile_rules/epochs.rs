//! A side that begins a new life voids what was known of its old one (rule 4).

use truce::reconcile::decide::{HeldReason, Moment};
use truce::reconcile::observe::News;
use truce::reconcile::{Gone, Observation, Outcome, Position, Presence, Side, Sides, Value};

use crate::pair::{
    NAME, alone, at, logged, moment, paired, policy, reasons, selected, set, sighting, unanswered,
};

/// Campaign's second life.
const RESTORED: Sides<u32> = Sides { campaign: 1, crm: 0 };

#[test]
fn what_a_restored_side_holds_is_not_taken_for_an_edit() {
    let mut link = paired();
    let restored = in_epoch(1, selected("9:9:", "amy"));
    assert_eq!(link.observe(Side::Campaign, &restored, &policy()), News::Changed);
    // Nothing is agreed any more but what both hold: the pairing policy decides on the rest.
    let moment = Moment { epochs: RESTORED, ..moment() };
    assert_eq!(reasons(&link, &policy(), &moment), [HeldReason::Pairing]);
    assert!(link.decide(&policy(), &moment).writes.is_empty());
}

#[test]
fn nothing_is_decided_in_a_new_epoch_before_the_record_was_read_there() {
    let mut link = paired();
    set(&mut link, Side::Crm, NAME, Value::text("eve"));
    assert_eq!(link.decide(&policy(), &moment()).writes.len(), 1, "in the epoch it was seen in");
    let decision = link.decide(&policy(), &Moment { epochs: RESTORED, ..moment() });
    assert!(decision.writes.is_empty() && decision.read.campaign, "{decision:?}");
}

#[test]
fn what_an_earlier_epoch_told_says_nothing() {
    let mut link = paired();
    link.observe(Side::Campaign, &in_epoch(1, selected("9:9:", "amy")), &policy());
    // A page that was under way when the side was restored: its position and transaction mean
    // something else now.
    let late = logged(5_000, 40, "eve");
    assert_eq!(link.observe(Side::Campaign, &late, &policy()), News::Older);
    assert_eq!(link.seen.campaign.value(NAME), Some(&Value::text("amy")));
}

#[test]
fn what_was_sent_to_an_earlier_life_is_void() {
    let gone = Presence::Gone(Gone::Missing);
    let restored = Observation { presence: gone, ..in_epoch(1, selected("9:9:", "")) };
    // The record that a restored side never had, and one that it has in an older form.
    let mut made = alone(Side::Crm, &[(NAME, Value::text("ann"))]);
    let mut edited = paired();
    set(&mut edited, Side::Crm, NAME, Value::text("eve"));
    for (link, restored) in
        [(&mut made, restored), (&mut edited, in_epoch(1, selected("9:9:", "amy")))]
    {
        let write = link.decide(&policy(), &moment()).writes.remove(0);
        let write = link.send(write, at(100), Position::default());
        link.note(write.stamp, 40);
        let done = Outcome::Done { created: None, xid: Some(40) };
        link.conclude(write.stamp, done, &policy(), (at(101), Position::default()));
        assert_eq!(link.sent.campaign.len(), 1, "the log has not brought it");
        link.observe(Side::Campaign, &restored, &policy());
        assert!(link.sent.campaign.is_empty(), "transaction 40 is another one now: {link:#?}");
    }
}

#[test]
fn a_restored_ledger_does_not_take_a_stamp_of_its_earlier_life_for_a_new_write() {
    let backup = paired();
    // The life that was lost wrote eve, which the CRM's record bears to this day.
    let (_, earlier) = unanswered();
    let mut link = backup;
    set(&mut link, Side::Campaign, NAME, Value::text("ida"));
    let write = link.decide(&policy(), &Moment { ledger_epoch: 2, ..moment() }).writes.remove(0);
    let write = link.send(write, at(100), Position::default());
    let when = (at(101), Position { major: 101, ..Position::default() });
    link.conclude(write.stamp, Outcome::Lost, &policy(), when);
    link.observe(Side::Crm, &sighting(102, ["eve", "Oslo"], Some(earlier)), &policy());
    // The write of ida did not land: taken for landed, eve would pass for a later edit and
    // overwrite it.
    assert_eq!(reasons(&link, &policy(), &moment()), [HeldReason::Conflict]);
    assert!(link.decide(&policy(), &moment()).writes.is_empty());
}

fn in_epoch(epoch: u32, seen: Observation) -> Observation {
    Observation { at: Position { epoch, ..seen.at }, ..seen }
}
