//! Opt-outs that other writes, or what is in their own way, do not keep back.

use truce::reconcile::link::{Block, BlockReason};
use truce::reconcile::{Consent, Lane, Link, Outcome, Position, Side, Value};

use super::pair::{OUT, at, moment, paired, policy, set};

#[test]
fn an_opt_out_is_not_held_for_another_writes_staleness() {
    let mut link = opted_out(Side::Crm);
    link.blocks.push(Block {
        field: None,
        side: Side::Campaign,
        reason: BlockReason::Stale(3),
        since: at(1),
    });
    let decision = link.decide(&policy(), &moment());
    assert_eq!(decision.writes.first().map(|w| w.lane), Some(Lane::Consent), "{decision:?}");
}

#[test]
fn an_opt_out_that_is_stale_is_put_off_and_never_held() {
    let mut link = opted_out(Side::Campaign);
    for _ in 0..5 {
        let write = link.decide(&policy(), &moment()).writes.remove(0);
        let write = link.send(write, at(100), Position::default());
        let when = (at(100), Position::default());
        let concluded = link.conclude(write.stamp, Outcome::Stale(None), &policy(), when);
        assert!(concluded.again_in.is_some(), "not at once");
    }
    assert_eq!(link.decide(&policy(), &moment()).held, []);
}

/// A pair that agreed, until somebody opted out on this side.
fn opted_out(on: Side) -> Link {
    let mut link = paired();
    for side in Side::BOTH {
        set(&mut link, side, OUT, Value::Consent(Consent::In));
    }
    link.base.insert(OUT, Value::Consent(Consent::In));
    set(&mut link, on, OUT, Value::Consent(Consent::Out));
    link
}
