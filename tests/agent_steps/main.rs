//! Steps of the agent over the ledger in memory, where time has to pass that no world waits for.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod converted;
mod held;
mod jobs;
mod lanes;
mod scans;
mod stage;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use truce::agent::deliver::deliver;
use truce::agent::held::Way;
use truce::agent::settle::settle;
use truce::ledger::Ledger as _;
use truce::peer::{Ask, Ended, Notes, PeerError, Writer};
use truce::reconcile::{
    Bond, Change, Consent, Entity, FieldRule, Gone, Interval, Lane, LinkId, LinkState, Outcome,
    RecordId, Row, Shape, Side, Value, Write,
};

use stage::{KEEP, NAME, Nobody, OUT, PEOPLE, START, Stage, WAIT, alone, here, pair_of, set, text};

#[tokio::test]
async fn a_tombstone_is_kept_for_its_time_and_no_longer() {
    let gone = Bond::Gone(Gone::Deleted);
    let stage = Stage::with(gone.clone(), gone).await;
    stage.settle().await;
    assert_eq!(stage.link().await.unwrap().state, LinkState::Tombstone);
    stage.clock.pass(KEEP.saturating_sub(Duration::from_secs(1)));
    assert_eq!(stage.settle().await.looked_at, 0);
    assert!(stage.link().await.is_some());
    stage.clock.pass(Duration::from_secs(1));
    assert_eq!(stage.settle().await.looked_at, 1);
    assert_eq!(stage.link().await, None);
}

#[tokio::test]
async fn a_survivor_that_never_shows_is_asked_for_within_bounds() {
    let stage = Stage::with(Bond::Here, Bond::Gone(Gone::Merged("004".into()))).await;
    let mut asked = 0;
    for _ in 0..10_000 {
        asked += stage.settle().await.reads.len();
        stage.clock.pass(Duration::from_secs(5));
    }
    let most = usize::try_from(WAIT.as_secs() / 10).unwrap() + 1;
    assert!((1..=most).contains(&asked), "asked {asked} times");
    assert_eq!(stage.held().await, ["merged"]);
    stage.release(Way::Retry).await;
    assert_eq!(stage.settle().await.reads.len(), 1, "a person has it looked for again");
}

#[tokio::test]
async fn what_a_person_says_of_a_deletion_passes_the_brake() {
    let stage = Stage::with(Bond::Here, Bond::Gone(Gone::Deleted)).await;
    stage.settle().await;
    assert_eq!(stage.held().await, ["deleted"]);
    stage.release(Way::Delete).await;
    let writes = stage.settle().await.writes;
    assert_eq!(writes.len(), 1);
    assert_eq!((writes[0].side, &writes[0].change), (Side::Campaign, &Change::Delete));
    assert!(stage.held().await.is_empty());
}

#[tokio::test]
async fn a_record_that_no_key_can_be_drawn_for_is_held_and_stops_nobody_else() {
    let mut stage = Stage::with(Bond::Never, Bond::Never).await;
    stage.rule(NAME, text());
    for link in [alone(LinkId(2), Side::Campaign), alone(LinkId(3), Side::Crm)] {
        stage.put(link).await;
    }
    let writes = stage.settle().await.writes;
    let made: Vec<(LinkId, Side)> = writes.iter().map(|write| (write.link, write.side)).collect();
    assert_eq!(made, [(LinkId(2), Side::Crm)]);
    assert!(stage.settle().await.writes.is_empty());
    assert_eq!(stage.held().await, ["refused"]);
    let refused = stage.ledger.links(&[LinkId(3)]).await.unwrap().remove(0).link;
    assert_eq!(refused.sent.campaign, []);
}

#[tokio::test]
async fn a_contact_that_names_one_that_is_gone_bears_its_consent() {
    let mut stage = Stage::empty();
    stage.rule(OUT, FieldRule { shape: Shape::Consent, ..text() });
    let gone = Bond::Gone(Gone::Deleted);
    let mut ended = pair_of(gone.clone(), gone);
    ended.state = LinkState::Tombstone;
    ended.inherited.insert(OUT, Consent::Out);
    stage.put(ended).await;
    let row = Row::from([(OUT, Value::Consent(Consent::In))]);
    stage.see("009", here(row), Some("7")).await;
    let bearer = (PEOPLE, Side::Crm, RecordId::from("009"));
    let link = stage.ledger.links_of(&[bearer]).await.unwrap().remove(0).link;
    assert_eq!(link.inherited.get(&OUT), Some(&Consent::Out));
}

#[tokio::test]
async fn an_opt_out_that_a_record_left_is_not_answered_by_two_that_do_not_know_it() {
    let mut stage = Stage::empty();
    stage.rule(OUT, FieldRule { shape: Shape::Consent, ..text() });
    let mut link = pair_of(Bond::Here, Bond::Here);
    for side in Side::BOTH {
        set(&mut link, side, OUT, Value::Consent(Consent::In));
    }
    link.inherited.insert(OUT, Consent::Out);
    stage.put(link).await;
    stage.see("003", here(Row::from([(OUT, Value::Consent(Consent::In))])), None).await;
    let writes = stage.settle().await.writes;
    let row = Row::from([(OUT, Value::Consent(Consent::Out))]);
    let sides: Vec<Side> = writes.iter().map(|write| write.side).collect();
    assert_eq!(sides, Side::BOTH);
    assert!(writes.iter().all(|write| write.change == Change::Set(row.clone())));
}

/// Says the same of every write.
struct Says(Outcome, Mutex<Vec<usize>>);

impl Writer for Says {
    async fn write(
        &self,
        writes: Vec<Write>,
        _: &(impl Notes + Sync),
        _: &mut (dyn Ask + Send),
    ) -> Result<Vec<Outcome>, PeerError> {
        self.1.lock().unwrap().push(writes.len());
        Ok(vec![self.0.clone(); writes.len()])
    }

    async fn draw_keys(&self, _: Entity, _: usize) -> Result<Vec<RecordId>, PeerError> {
        panic!("no key is to be drawn")
    }

    async fn transaction(&self, _: u64) -> Result<Option<Ended>, PeerError> {
        panic!("no transaction was lost")
    }
}

#[tokio::test]
async fn a_lost_opt_in_is_read_again_when_that_can_tell_something() {
    let mut stage = Stage::empty();
    stage.rule(OUT, FieldRule { shape: Shape::Consent, ..text() });
    let mut link = pair_of(Bond::Here, Bond::Here);
    let second = |second| Timestamp::from_second(second).unwrap();
    for (side, consent, at) in [(Side::Campaign, Consent::In, 100), (Side::Crm, Consent::Out, 10)] {
        set(&mut link, side, OUT, Value::Consent(consent));
        let changed = Interval { after: second(at), until: second(at + 1) };
        link.seen[side].fields.get_mut(&OUT).unwrap().changed = Some(changed);
    }
    link.seen.crm.modified = Some(START);
    link.base.insert(OUT, Value::Consent(Consent::Out));
    stage.put(link).await;
    let settled = stage.settle().await;
    assert!(settled.writes[0].opt_in);
    deliver(&stage.desk(), Side::Crm, &Says(Outcome::Lost, Mutex::default()), &settled)
        .await
        .unwrap();
    let (mut reads, mut writes) = (0, 0);
    for _ in 0..(26 * 12) {
        stage.clock.pass(Duration::from_secs(5));
        let settled = stage.settle().await;
        writes += settled.writes.len();
        for _ in settled.reads {
            reads += 1;
            let row = Row::from([(OUT, Value::Consent(Consent::Out))]);
            stage.see("003", here(row), None).await;
        }
    }
    assert_eq!((reads, writes), (2, 1), "once at once, once when it can no longer land");
}

#[tokio::test]
async fn what_is_put_off_goes_in_ever_smaller_batches_and_ever_later() {
    let mut stage = Stage::empty();
    stage.rule(NAME, text());
    for n in 1..=200 {
        let mut link = pair_of(Bond::Here, Bond::Here);
        link.id = LinkId(n);
        for side in Side::BOTH {
            link.seen[side].record = Some(format!("{side}{n}").as_str().into());
            set(&mut link, side, NAME, Value::text("ann"));
        }
        link.base.insert(NAME, Value::text("ann"));
        set(&mut link, Side::Campaign, NAME, Value::text("eve"));
        stage.put(link).await;
    }
    let busy = Says(Outcome::Later(Duration::from_secs(1).into()), Mutex::default());
    let mut tried = Vec::new();
    for _ in 0..40 {
        let settled =
            settle(&stage.desk(), &Nobody, &BTreeMap::new(), &Lane::ALL, 1000).await.unwrap();
        deliver(&stage.desk(), Side::Crm, &busy, &settled).await.unwrap();
        let sizes = std::mem::take(&mut *busy.1.lock().unwrap());
        if let Some(largest) = sizes.into_iter().max() {
            tried.push(largest);
        }
        stage.clock.pass(Duration::from_secs(1));
    }
    assert_eq!(tried, [200, 64, 32, 16, 8, 4], "at 0, 1, 3, 7, 15 and 31 seconds");
}
