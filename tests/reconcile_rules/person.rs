//! What a person said does not outlast its cause.

use truce::reconcile::{Answer, Bond, Change, Gone, Outcome, Position, Side, Value};

use crate::pair::{CITY, NAME, alone, at, moment, paired, policy, set, sighting};

#[test]
fn an_edit_after_a_ruling_is_not_overwritten_by_it() {
    let mut link = paired();
    set(&mut link, Side::Campaign, NAME, Value::text("eve"));
    set(&mut link, Side::Crm, NAME, Value::text("eva"));
    link.ruled.insert(NAME, Value::text("eve"));
    let ruled = link.decide(&policy(), &moment()).writes.remove(0);
    assert_eq!(ruled.change, Change::Set([(NAME, Value::text("eve"))].into()));
    // Somebody says another thing before it went over.
    link.observe(Side::Crm, &sighting(95, ["ida", "Oslo"], None), &policy());
    let decision = link.decide(&policy(), &moment());
    assert_eq!(decision.writes, [], "the ruling was on eva, not on ida");
    assert_eq!(decision.held[0].field, Some(NAME));
}

#[test]
fn a_pair_is_not_retired_while_a_create_is_under_way() {
    let mut link =
        alone(Side::Campaign, &[(NAME, Value::text("ann")), (CITY, Value::text("Oslo"))]);
    let write = link.decide(&policy(), &moment()).writes.remove(0);
    let write = link.send(write, at(100), Position::default());
    link.conclude(write.stamp, Outcome::Lost, &policy(), (at(101), Position::default()));
    assert!(matches!(link.sent.crm[0].answer, Answer::Lost(_)));
    link.seen.campaign.bond = Bond::Gone(Gone::Deleted);
    assert!(!link.decide(&policy(), &moment()).retire, "it may land yet");
    link.sent.crm.clear();
    assert!(link.decide(&policy(), &moment()).retire);
}
