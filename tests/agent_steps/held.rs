//! The ways out of what is held: each does what it says, or says why it does nothing.

use jiff::Timestamp;
use truce::agent::held::Way;
use truce::ledger::{Batch, HeldFilter, Keep, Ledger as _, Verdict};
use truce::reconcile::link::{Block, BlockReason, Release};
use truce::reconcile::{
    Bond, Change, Consent, Direction, FieldRule, Gone, Interval, Link, LinkState, Row, Rule, Shape,
    Side, Value,
};

use crate::stage::{NAME, ONE, OUT, START, Stage, WAIT, here, pair_of, set, text};

/// A link that a person let go of what the brake held.
fn let_go(mut link: Link) -> Link {
    let reason = BlockReason::Released(Release::Go);
    link.blocks.push(Block { field: None, side: Side::Crm, reason, since: START });
    link
}

#[tokio::test]
async fn what_was_let_go_once_lets_no_later_deletion_past_the_brake() {
    let stage = Stage::empty();
    stage.put(let_go(pair_of(Bond::Here, Bond::Here))).await;
    stage.settle().await;
    assert_eq!(stage.link().await.unwrap().released(), None);
}

#[tokio::test]
async fn what_the_brake_let_go_says_nothing_of_a_merge() {
    let stage = Stage::empty();
    let merged = Bond::Gone(Gone::Merged("004".into()));
    stage.put(let_go(pair_of(Bond::Here, merged))).await;
    assert_eq!(stage.settle().await.reads.len(), 1, "the survivor is looked for all the same");
}

#[tokio::test]
async fn two_records_that_are_there_by_now_are_not_parted() {
    let stage = Stage::with(Bond::Here, Bond::Gone(Gone::Deleted)).await;
    stage.settle().await;
    assert_eq!(stage.held().await, ["deleted"]);
    // It comes again in the moment in which a person lets it go.
    let kept = stage.ledger.links(&[ONE]).await.unwrap().remove(0);
    let (mut link, mut batch) = (kept.link, Batch::new(START));
    link.seen.crm.bond = Bond::Here;
    let page = truce::ledger::HeldPage { after: None, limit: 10 };
    let held = stage.ledger.held(&HeldFilter::default(), page).await.unwrap().remove(0).held;
    batch.links.push(Keep { mark: kept.mark, held, ..Keep::new(link) });
    stage.ledger.store(batch).await.unwrap();
    for way in [Way::Release, Way::Delete, Way::Recreate] {
        let why = stage.refused(way).await;
        assert!(why.starts_with("both records are there by now"), "{why}");
    }
    assert_eq!(stage.link().await.unwrap().state, LinkState::Live);
}

/// A stage on which two records hold different names, and agree on nothing yet.
async fn in_conflict(rule: FieldRule) -> Stage {
    let mut stage = Stage::empty();
    stage.rule(NAME, rule);
    let mut link = pair_of(Bond::Here, Bond::Here);
    set(&mut link, Side::Campaign, NAME, Value::text("eve"));
    set(&mut link, Side::Crm, NAME, Value::text("eva"));
    stage.put(link).await;
    stage.settle().await;
    stage
}

#[tokio::test]
async fn a_conflict_is_let_go_only_by_saying_whose_value_stands() {
    let stage = in_conflict(text()).await;
    assert_eq!(stage.held().await, ["pairing"]);
    let why = stage.refused(Way::Release).await;
    assert!(why.contains("--take"), "{why}");
    stage.release(Way::Take(Side::Crm)).await;
    let write = stage.settle().await.writes.remove(0);
    assert_eq!(write.change, Change::Set(Row::from([(NAME, Value::text("eva"))])));
    assert_eq!(write.side, Side::Campaign);
}

#[tokio::test]
async fn a_value_is_not_taken_against_its_fields_direction() {
    let mut stage = in_conflict(text()).await;
    stage.rule(NAME, FieldRule { direction: Direction::ToCrm, ..text() });
    let why = stage.refused(Way::Take(Side::Crm)).await;
    assert!(why.contains("direction"), "{why}");
    stage.release(Way::Take(Side::Campaign)).await;
}

#[tokio::test]
async fn a_wider_opt_out_is_let_stand_and_never_taken_away() {
    let mut stage = Stage::empty();
    let rule = FieldRule { shape: Shape::Consent, conflict: Rule::MostRestrictive, ..text() };
    stage.rule(OUT, rule);
    let mut link = pair_of(Bond::Here, Bond::Here);
    let second = |second| Timestamp::from_second(second).unwrap();
    for (side, consent, at) in
        [(Side::Campaign, Consent::Implied, 10), (Side::Crm, Consent::In, 100)]
    {
        set(&mut link, side, OUT, Value::Consent(consent));
        let changed = Interval { after: second(at), until: second(at + 1) };
        link.seen[side].fields.get_mut(&OUT).unwrap().changed = Some(changed);
    }
    link.base.insert(OUT, Value::Consent(Consent::Out));
    stage.put(link).await;
    assert!(stage.settle().await.writes.is_empty());
    assert_eq!(stage.held().await, ["wider_opt_out"]);
    let why = stage.refused(Way::Take(Side::Crm)).await;
    assert!(why.contains("opt-in"), "{why}");
    stage.release(Way::Take(Side::Campaign)).await;
    let write = stage.settle().await.writes.remove(0);
    assert_eq!((write.side, write.opt_in), (Side::Crm, false));
}

#[tokio::test]
async fn two_values_that_are_ignored_are_left_until_one_moves() {
    let stage = in_conflict(text()).await;
    stage.release(Way::Ignore).await;
    assert!(stage.settle().await.writes.is_empty());
    assert!(stage.held().await.is_empty());
    stage.clock.pass(WAIT);
    stage.see("003", here(Row::from([(NAME, Value::text("eva"))])), None).await;
    stage.settle().await;
    assert!(stage.held().await.is_empty(), "it is seen again, unchanged");
    stage.see("003", here(Row::from([(NAME, Value::text("evi"))])), None).await;
    stage.see("003", here(Row::from([(NAME, Value::text("eva"))])), None).await;
    stage.settle().await;
    assert_eq!(stage.held().await, ["pairing"], "it moved, and back");
}

#[tokio::test]
async fn a_value_of_ones_own_goes_to_both_sides_and_none_is_given_to_a_field_that_goes_one_way() {
    let mut stage = in_conflict(text()).await;
    stage.release(Way::Give(Value::text("ewa"))).await;
    let writes = stage.settle().await.writes;
    let change = Change::Set(Row::from([(NAME, Value::text("ewa"))]));
    let sides: Vec<Side> = writes.iter().map(|write| write.side).collect();
    assert_eq!(sides, [Side::Campaign, Side::Crm]);
    assert!(writes.iter().all(|write| write.change == change));
    let log = stage.ledger.every_decision();
    let told: Vec<_> = log.iter().map(|d| (d.rule.as_str(), d.verdict)).collect();
    let discarded = ("told", Verdict::Discarded);
    let held = ("pairing", Verdict::Held);
    assert_eq!(told, [held, ("value", Verdict::Told), discarded, discarded]);

    stage = in_conflict(text()).await;
    stage.rule(NAME, FieldRule { direction: Direction::ToCrm, ..text() });
    let why = stage.refused(Way::Give(Value::text("ewa"))).await;
    assert!(why.contains("one way"), "{why}");
}

#[tokio::test]
async fn what_is_held_is_told_once_in_the_log_however_often_it_is_looked_at() {
    let stage = in_conflict(text()).await;
    let mut told = Vec::new();
    for _ in 0..4 {
        stage.clock.pass(WAIT);
        stage.see("003", here(Row::from([(NAME, Value::text("eva"))])), None).await;
        stage.put_due().await;
        stage.settle().await;
        told.push(stage.ledger.every_decision().len());
    }
    // The first look tells when the value came to be, which was not known.
    assert_eq!(told, [2; 4]);
}

#[tokio::test]
async fn a_contact_that_comes_back_is_itself_again_also_where_the_other_was_left_alone() {
    let mut stage = Stage::empty();
    stage.rule(NAME, text());
    let mut link = pair_of(Bond::Here, Bond::Gone(Gone::Deleted));
    set(&mut link, Side::Campaign, NAME, Value::text("old"));
    link.base.insert(NAME, Value::text("old"));
    link.state = LinkState::Severed;
    stage.put(link).await;
    stage.settle().await;
    stage.see("003", here(Row::from([(NAME, Value::text("ann"))])), None).await;
    let link = stage.link().await.unwrap();
    assert_eq!((&link.state, link.id), (&LinkState::Live, pair_of(Bond::Here, Bond::Here).id));
    let settled = stage.settle().await;
    assert!(settled.writes.is_empty(), "what Campaign holds by now is not known");
    let wanted: Vec<_> = settled.reads.iter().map(|(_, side, id)| (*side, &*id.0)).collect();
    assert_eq!(wanted, [(Side::Campaign, "7")]);
}

#[tokio::test]
async fn what_the_agent_tries_again_by_itself_is_no_persons_word() {
    let stage = in_conflict(text()).await;
    let told = |stage: &Stage| {
        let told = stage.ledger.every_decision().into_iter().filter(|d| d.verdict == Verdict::Told);
        told.map(|decision| decision.rule).collect::<Vec<_>>()
    };
    stage.release(Way::Again).await;
    assert!(told(&stage).is_empty());
    stage.put_due().await;
    stage.settle().await;
    stage.release(Way::Retry).await;
    assert_eq!(told(&stage), ["retry"]);
}
