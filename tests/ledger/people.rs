//! Links for the tests, and what is asked of them in a word.

use std::collections::BTreeSet;

use jiff::Timestamp;
use truce::ledger::{Batch, Due, Keep, Kept, Ledger, StoreError};
use truce::reconcile::{Bond, Entity, Field, Lane, Link, LinkId, LinkState, RecordId, Side, Value};

pub(crate) const PEOPLE: Entity = Entity(1);
pub(crate) const ACCOUNTS: Entity = Entity(2);

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_764_000_000 + second).unwrap()
}

pub(crate) fn link(id: LinkId, campaign: Option<&str>, crm: Option<&str>) -> Link {
    let mut link = Link::new(id, PEOPLE);
    for (side, record) in [(Side::Campaign, campaign), (Side::Crm, crm)] {
        if let Some(record) = record {
            link.seen[side].record = Some(RecordId::from(record));
            link.seen[side].bond = Bond::Here;
        }
    }
    link
}

pub(crate) fn ended(mut keep: Keep, state: LinkState) -> Keep {
    keep.link.state = state;
    keep
}

pub(crate) fn said(mut keep: Keep, text: &str) -> Keep {
    keep.link.base.insert(Field(1), Value::text(text));
    keep
}

pub(crate) fn due(mut keep: Keep, lane: Lane, second: i64) -> Keep {
    keep.due = Some(Due { lane, at: at(second) });
    keep
}

pub(crate) fn batch(links: Vec<Keep>) -> Batch {
    Batch { links, ..Batch::new(at(0)) }
}

/// New links of these records, stored; as they are loaded again.
pub(crate) async fn stored(
    ledger: &impl Ledger,
    records: &[(Option<&str>, Option<&str>)],
) -> Vec<Kept> {
    let ids = ledger.draw(records.len()).await.unwrap();
    let keep = |(id, (campaign, crm)): (&LinkId, &(Option<&str>, Option<&str>))| {
        Keep::new(link(*id, *campaign, *crm))
    };
    let keeps = ids.iter().zip(records).map(keep).collect();
    ledger.store(batch(keeps)).await.unwrap();
    ledger.links(&ids).await.unwrap()
}

pub(crate) async fn load(ledger: &impl Ledger, id: LinkId) -> Kept {
    ledger.links(&[id]).await.unwrap().pop().unwrap()
}

/// Which links bear a record of a person.
pub(crate) async fn bearing(ledger: &impl Ledger, side: Side, record: &str) -> Vec<LinkId> {
    let bearer = (PEOPLE, side, RecordId::from(record));
    ledger.links_of(&[bearer]).await.unwrap().iter().map(|kept| kept.link.id).collect()
}

pub(crate) async fn due_now(ledger: &impl Ledger, second: i64) -> Vec<LinkId> {
    let due = ledger.due(&[PEOPLE], &Lane::ALL, at(second), 100).await.unwrap();
    due.iter().map(|kept| kept.link.id).collect()
}

pub(crate) fn conflict(outcome: Result<(), StoreError>) -> BTreeSet<LinkId> {
    match outcome {
        Err(StoreError::Conflict(links)) => links.into_iter().collect(),
        other => panic!("no conflict: {other:?}"),
    }
}
