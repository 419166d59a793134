//! Consent passes what is ordinary, and a pair that differs in it is never out of sight.

use std::collections::BTreeMap;

use jiff::Timestamp;
use truce::agent::deliver::deliver;
use truce::agent::settle::{Settled, settle};
use truce::ledger::Ledger as _;
use truce::reconcile::{
    Bond, Consent, FieldRule, Lane, Link, LinkId, Outcome, Refusal, RefusalKind, Shape, Side, Value,
};

use super::Says;
use super::stage::{NAME, Nobody, OUT, PEOPLE, Stage, pair_of, set, text};

/// A pair that agrees but for the name, which Campaign changed.
fn renamed(id: u64) -> Link {
    let mut link = pair_of(Bond::Here, Bond::Here);
    link.id = LinkId(id);
    for side in Side::BOTH {
        link.seen[side].record = Some(format!("{side}{id}").as_str().into());
        set(&mut link, side, NAME, Value::text("ann"));
        set(&mut link, side, OUT, Value::Consent(Consent::In));
    }
    link.base.insert(NAME, Value::text("ann"));
    link.base.insert(OUT, Value::Consent(Consent::In));
    set(&mut link, Side::Campaign, NAME, Value::text("eve"));
    link
}

fn stage() -> Stage {
    let mut stage = Stage::empty();
    stage.rule(NAME, text());
    stage.rule(OUT, FieldRule { shape: Shape::Consent, ..text() });
    stage
}

async fn settle_lanes(stage: &Stage, lanes: &[Lane], limit: usize) -> Settled {
    settle(&stage.desk(), &Nobody, &BTreeMap::new(), lanes, limit).await.unwrap()
}

async fn opposed(stage: &Stage) -> u64 {
    let counts = stage.ledger.counts(Timestamp::MAX).await.unwrap();
    counts.opposed.get(&PEOPLE).copied().unwrap_or(0)
}

#[tokio::test]
async fn an_opt_out_is_decided_while_no_ordinary_write_may_begin() {
    let stage = stage();
    for id in 1..=50 {
        stage.put(renamed(id)).await;
    }
    let mut out = renamed(51);
    set(&mut out, Side::Campaign, OUT, Value::Consent(Consent::Out));
    stage.put(out).await;
    // Stored as ordinary, as nothing had looked at it: the first look sorts it in.
    let settled = settle_lanes(&stage, &[Lane::Consent], 10).await;
    assert_eq!(settled.looked_at, 0);
    stage.see("crm51", super::here([(OUT, Value::Consent(Consent::In))].into()), None).await;
    assert_eq!(opposed(&stage).await, 1);
    let settled = settle_lanes(&stage, &[Lane::Consent], 10).await;
    let first = &settled.writes[0];
    assert_eq!((settled.looked_at, first.link, first.lane), (1, LinkId(51), Lane::Consent));
    assert_eq!(settle_lanes(&stage, &Lane::ALL, 100).await.looked_at, 50, "the rest, in its turn");
}

#[tokio::test]
async fn a_refused_opt_out_is_counted_looked_at_again_and_not_tried_again() {
    let stage = stage();
    let mut link = renamed(1);
    set(&mut link, Side::Campaign, OUT, Value::Consent(Consent::Out));
    stage.put(link).await;
    let settled = settle_lanes(&stage, &Lane::ALL, 10).await;
    let refusal = Refusal {
        kind: RefusalKind::Record,
        code: "FIELD_CUSTOM_VALIDATION_EXCEPTION".into(),
        message: "not like this".into(),
        fields: Vec::new(),
    };
    let says = Says(Outcome::Refused(refusal), std::sync::Mutex::default());
    deliver(&stage.desk(), Side::Crm, &says, &settled).await.unwrap();
    settle_lanes(&stage, &Lane::ALL, 10).await;
    assert!(stage.held().await.contains(&"refused".to_owned()));
    assert_eq!(opposed(&stage).await, 1);
    assert_eq!(settle_lanes(&stage, &Lane::ALL, 10).await.looked_at, 0, "not at once");
    stage.clock.pass(std::time::Duration::from_hours(1));
    let settled = settle_lanes(&stage, &[Lane::Consent], 10).await;
    assert_eq!((settled.looked_at, settled.writes), (1, Vec::new()), "both were refused");
    stage.see("crm1", super::here([(OUT, Value::Consent(Consent::Out))].into()), None).await;
    settle_lanes(&stage, &[Lane::Consent], 10).await;
    assert_eq!(opposed(&stage).await, 0);
}

#[tokio::test]
async fn what_is_looked_at_while_its_write_is_under_way_is_looked_at_again() {
    let stage = stage();
    stage.put(renamed(1)).await;
    assert_eq!(settle_lanes(&stage, &Lane::ALL, 10).await.writes.len(), 1);
    // News that need no write of their own, before the answer.
    stage.clock.pass(std::time::Duration::from_secs(5));
    let settled = settle_lanes(&stage, &Lane::ALL, 10).await;
    assert_eq!((settled.looked_at, settled.writes.len()), (1, 0));
    // Whoever waited for the answer is gone: the link is not.
    stage.clock.pass(std::time::Duration::from_secs(5));
    assert_eq!(settle_lanes(&stage, &Lane::ALL, 10).await.looked_at, 1);
}
