//! What a person said, and what was put off, do not outlast their cause.

use std::time::Duration;

use truce::reconcile::link::{Block, BlockReason, Release};
use truce::reconcile::{Answer, Bond, Change, Gone, Outcome, Position, Side, Value};

use crate::pair::{CITY, NAME, alone, at, moment, paired, policy, reasons, set, sighting};

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

#[test]
fn what_is_put_off_again_and_again_is_tried_less_and_less_often() {
    let mut link = paired();
    set(&mut link, Side::Campaign, NAME, Value::text("eve"));
    let mut put_off = |second: i64, outcome: Outcome| {
        let write = link.decide(&policy(), &moment()).writes.remove(0);
        let write = link.send(write, at(second), Position::default());
        let when = (at(second), Position::default());
        link.conclude(write.stamp, outcome, &policy(), when).again_in
    };
    let soon = Duration::from_secs(5);
    let waits = [100, 110, 200, 100_000].map(|second| put_off(second, Outcome::Later(soon)));
    let seconds = [5, 5, 50, 600].map(|seconds| Some(Duration::from_secs(seconds)));
    assert_eq!(waits, seconds);
    assert_eq!(put_off(100_010, Outcome::Stale(None)), None);
    assert_eq!(put_off(100_020, Outcome::Later(soon)), Some(soon), "that was another row");
}

#[test]
fn what_was_let_go_is_over_when_nothing_needs_it() {
    let mut link = paired();
    let (reason, since) = (BlockReason::Released(Release::Go), at(100));
    link.blocks.push(Block { field: None, side: Side::Crm, reason, since });
    link.let_go_is_over();
    assert_eq!(link.released(), None);
    assert_eq!(reasons(&link, &policy(), &moment()), []);
}
