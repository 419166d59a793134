//! A lead that was converted goes on as what it became, where a mapping of the same table knows that.

use std::time::Duration;

use truce::ledger::Ledger as _;
use truce::reconcile::{
    Bond, Change, Consent, Entity, Field, FieldRule, Gone, Lane, Link, LinkId, LinkState, RecordId,
    Row, Shape, Side, Value,
};

use crate::stage::{OUT, PEOPLE, Stage, WAIT, pair_of, plan, set, text};

const CONTACTS: Entity = Entity(7);
const CONTACT_OUT: Field = Field(70);

/// Leads and contacts of one table; a lead that says it became contact 003.
async fn stage(campaign: Consent) -> Stage {
    let mut stage = Stage::empty();
    stage.rule(OUT, FieldRule { shape: Shape::Consent, ..text() });
    let mut contacts = plan();
    contacts.policy.entity = CONTACTS;
    let rule = FieldRule { shape: Shape::Consent, ..text() };
    contacts.policy.fields.insert(CONTACT_OUT, rule);
    contacts.field_names.insert(CONTACT_OUT, "opted_out".into());
    contacts.policy.create.clear();
    stage.plans.insert(CONTACTS, contacts);
    stage.plans.get_mut(&PEOPLE).unwrap().field_names.insert(OUT, "opted_out".into());
    let into = Some((CONTACTS, RecordId::from("003")));
    let mut lead = pair_of(Bond::Here, Bond::Gone(Gone::Converted(into)));
    lead.seen.crm.record = Some("00Q".into());
    set(&mut lead, Side::Campaign, OUT, Value::Consent(campaign));
    set(&mut lead, Side::Crm, OUT, Value::Consent(Consent::In));
    stage.put(lead).await;
    stage
}

/// A contact's record that stands alone on this side.
fn alone(id: u64, side: Side, record: &str, consent: Consent) -> Link {
    let mut link = Link::new(LinkId(id), CONTACTS);
    link.seen[side].record = Some(record.into());
    link.seen[side].bond = Bond::Here;
    set(&mut link, side, CONTACT_OUT, Value::Consent(consent));
    for side in Side::BOTH {
        link.seen[side].at.epoch = 1;
    }
    link
}

async fn of(stage: &Stage, side: Side, record: &str) -> Vec<Link> {
    let bearer = (CONTACTS, side, record.into());
    let kept = stage.ledger.links_of(&[bearer]).await.unwrap();
    kept.into_iter().map(|kept| kept.link).collect()
}

#[tokio::test]
async fn the_record_across_goes_on_with_the_contact_and_its_opt_out_with_it() {
    let stage = stage(Consent::Out).await;
    stage.put(alone(20, Side::Crm, "003", Consent::In)).await;
    stage.put(alone(21, Side::Campaign, "7", Consent::In)).await;
    let mut writes = Vec::new();
    for _ in 0..3 {
        writes.extend(stage.settle().await.writes);
    }
    assert_eq!(stage.link().await.unwrap().state, LinkState::Severed);
    let pair = of(&stage, Side::Crm, "003").await;
    assert_eq!(pair, of(&stage, Side::Campaign, "7").await, "one link of both");
    let out = writes.iter().find(|write| write.side == Side::Crm).expect("the opt-out goes on");
    assert_eq!((out.entity, out.lane), (CONTACTS, Lane::Consent));
    let row = Row::from([(CONTACT_OUT, Value::Consent(Consent::Out))]);
    assert_eq!(out.change, Change::Set(row));
    assert!(stage.held().await.is_empty());
}

#[tokio::test]
async fn a_contact_that_stands_for_somebody_else_is_a_persons_business() {
    let stage = stage(Consent::In).await;
    let mut other = alone(20, Side::Crm, "003", Consent::In);
    other.seen.campaign.record = Some("8".into());
    other.seen.campaign.bond = Bond::Here;
    set(&mut other, Side::Campaign, CONTACT_OUT, Value::Consent(Consent::In));
    stage.put(other).await;
    stage.settle().await;
    assert_eq!(stage.held().await, ["converted"]);
    assert_eq!(stage.link().await.unwrap().state, LinkState::Live);
}

#[tokio::test]
async fn what_it_became_is_read_until_it_shows_within_bounds() {
    let stage = stage(Consent::In).await;
    let mut asked = 0;
    for _ in 0..2_000 {
        asked += stage.settle().await.reads.len();
        stage.clock.pass(Duration::from_secs(5));
    }
    let most = usize::try_from(WAIT.as_secs() / 10).unwrap() + 1;
    assert!((1..=most).contains(&asked), "asked {asked} times");
    assert_eq!(stage.held().await, ["converted"]);
}
