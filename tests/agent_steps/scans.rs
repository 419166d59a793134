//! What a first scan brings by and by, and what is left of records that it never knew.

use serde_json::json;
use truce::agent::compared::{Compared, compared, shut};
use truce::agent::held::store_fact;
use truce::agent::{Plan, Plans};
use truce::reconcile::decide::Gate;
use truce::reconcile::{
    Bond, Entity, FieldRule, Gone, LinkId, LinkState, Presence, Shape, Side, Value,
};

use super::stage::{KEEP, NAME, ONE, PEOPLE, START, Stage, alone, here, plan, set, text};

/// One record of Campaign's, and a mapping whose first scan is under way.
async fn scanning() -> Stage {
    let mut stage = Stage::empty();
    stage.rule(NAME, text());
    let plan = stage.plans.get_mut(&PEOPLE).unwrap();
    plan.policy.match_on = vec![NAME];
    plan.creates = Gate::Later;
    stage.put(alone(ONE, Side::Campaign)).await;
    stage
}

fn ann() -> Presence {
    here([(NAME, Value::text("Ann"))].into())
}

#[tokio::test]
async fn who_bears_the_name_is_not_forestalled_by_who_has_the_same_values() {
    let stage = scanning().await;
    stage.see("004", ann(), None).await;
    stage.settle().await;
    stage.see("003", ann(), Some("1")).await;
    stage.settle().await;
    let link = stage.link().await.unwrap();
    assert_eq!(link.seen.crm.bond, Bond::Here);
    assert_eq!(link.record(Side::Crm), Some(&"003".into()));
}

#[tokio::test]
async fn the_only_one_with_the_same_values_is_paired_when_all_are_scanned() {
    let mut stage = scanning().await;
    stage.see("004", ann(), None).await;
    stage.settle().await;
    assert_eq!(stage.link().await.unwrap().seen.crm.bond, Bond::Never, "others may come yet");
    stage.plans.get_mut(&PEOPLE).unwrap().creates = Gate::Open;
    // The end of the scan wakes all that stand alone; any news of one does.
    stage.see("004", here([(NAME, Value::text("ANN"))].into()), None).await;
    stage.settle().await;
    let link = stage.link().await.unwrap();
    assert_eq!(link.record(Side::Crm), Some(&"004".into()));
}

#[tokio::test]
async fn the_tombstone_of_a_record_that_was_never_known_is_forgotten_in_its_time() {
    let stage = Stage::empty();
    stage.see("009", Presence::Gone(Gone::Deleted), None).await;
    assert_eq!(stage.link().await.unwrap().state, LinkState::Tombstone);
    stage.settle().await;
    stage.clock.pass(KEEP);
    stage.settle().await;
    assert_eq!(stage.link().await, None);
}

#[tokio::test]
async fn what_stands_alone_is_looked_at_again_once_a_new_parent_is_scanned() {
    let stage = Stage::empty();
    let parent = Plan { name: "companies".into(), ..plan() };
    let mut child = plan();
    let refers = FieldRule { shape: Shape::Reference(Entity(2)), ..text() };
    child.policy.fields.insert(NAME, refers);
    let plans = Plans::from([(PEOPLE, child.clone()), (Entity(2), parent)]);
    let scanned = || json!({ "generation": 1, "woken": true });
    store_fact(&stage.ledger, ("compared/people".to_owned(), scanned()), START).await.unwrap();
    shut(&stage.ledger, &plans, &child, START).await.unwrap();
    let left = compared(&stage.ledger, &child).await.unwrap();
    assert_eq!(left, Compared { generation: 1, woken: false }, "the parent is not scanned");
    for name in ["compared/people", "compared/companies"] {
        store_fact(&stage.ledger, (name.to_owned(), scanned()), START).await.unwrap();
    }
    shut(&stage.ledger, &plans, &child, START).await.unwrap();
    let left = compared(&stage.ledger, &child).await.unwrap();
    assert_eq!(left, Compared { generation: 1, woken: true }, "nobody waits");
}

#[tokio::test]
async fn who_referred_to_a_record_before_it_was_paired_refers_to_the_pair() {
    let mut stage = Stage::empty();
    stage.rule(NAME, FieldRule { shape: Shape::Reference(Entity(2)), ..text() });
    // The parent's link was used up by the one that it was paired with.
    let mut child = alone(ONE, Side::Crm);
    set(&mut child, Side::Crm, NAME, Value::Link(LinkId(9)));
    stage.put(child).await;
    let settled = stage.settle().await;
    assert_eq!(settled.writes, [], "whom it refers to is not known");
    let asked: Vec<_> = settled.reads.into_iter().collect();
    assert_eq!(asked, [(PEOPLE, Side::Crm, "1".into())]);
}
