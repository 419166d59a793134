//! Steps of the agent over the ledger in memory, where time has to pass that no world waits for.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use truce::agent::held::{Opened, Wanted, Way, open};
use truce::agent::settle::{Settled, settle};
use truce::agent::{Clock, Desk, Linger, Plan, Plans};
use truce::ledger::{Batch, Due, Held, HeldFilter, Keep, Ledger as _, MemoryLedger};
use truce::peer::{Ask, Ended, Notes, PeerError, Writer};
use truce::reconcile::brake::BrakeRule;
use truce::reconcile::decide::Gate;
use truce::reconcile::policy::Flap;
use truce::reconcile::shape::{Case, Text, TooLong};
use truce::reconcile::{
    Bond, Change, Clocks, DeleteConflict, DeletePolicy, Direction, Entity, Field, FieldRule, Gone,
    Lane, Link, LinkId, LinkState, Outcome, Policy, RecordId, Rule, SeenField, Shape, Side, Sides,
    Value, Write,
};

const PEOPLE: Entity = Entity(1);
const NAME: Field = Field(1);
const ONE: LinkId = LinkId(1);
const KEEP: Duration = Duration::from_hours(24 * 365);
const WAIT: Duration = Duration::from_hours(1);

/// A clock that stands until it is moved.
struct Standing(Mutex<(Timestamp, u64)>);

impl Standing {
    fn pass(&self, time: Duration) {
        self.0.lock().unwrap().0 += time;
    }
}

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().0
    }

    fn tick(&self) -> u64 {
        let mut inner = self.0.lock().unwrap();
        inner.1 += 1;
        inner.1
    }

    fn leading_since(&self) -> u64 {
        1
    }

    fn epochs(&self, _: usize) -> Sides<u32> {
        Sides { campaign: 1, crm: 1 }
    }

    fn clocks(&self, _: usize) -> Clocks {
        Clocks::default()
    }

    fn ledger_epoch(&self) -> u32 {
        1
    }
}

/// Nothing of these tests is written.
struct Nobody;

impl Writer for Nobody {
    async fn write(
        &self,
        _: Vec<Write>,
        _: &(impl Notes + Sync),
        _: &mut (dyn Ask + Send),
    ) -> Result<Vec<Outcome>, PeerError> {
        panic!("nothing is to be written")
    }

    async fn draw_keys(&self, _: Entity, _: usize) -> Result<Vec<RecordId>, PeerError> {
        Err(PeerError::Unfit { why: "nothing gives keys for new rows".to_owned() })
    }

    async fn transaction(&self, _: u64) -> Result<Option<Ended>, PeerError> {
        panic!("no transaction was lost")
    }
}

struct Stage {
    ledger: MemoryLedger,
    clock: Standing,
    plans: Plans,
}

impl Stage {
    /// A pair of records of which each is there or gone.
    async fn with(campaign: Bond, crm: Bond) -> Self {
        let mut link = Link::new(ONE, PEOPLE);
        (link.seen.campaign.record, link.seen.crm.record) = (Some("7".into()), Some("003".into()));
        (link.seen.campaign.bond, link.seen.crm.bond) = (campaign, crm);
        for side in Side::BOTH {
            link.seen[side].at.epoch = 1;
        }
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let stage = Self {
            ledger: MemoryLedger::new(),
            clock: Standing(Mutex::new((now, 1))),
            plans: Plans::from([(PEOPLE, plan())]),
        };
        let mut batch = Batch::new(now);
        let due = Some(Due { lane: Lane::Ordinary, at: now });
        batch.links.push(Keep { due, ..Keep::new(link) });
        stage.ledger.store(batch).await.unwrap();
        stage
    }

    async fn settle(&self) -> Settled {
        let desk =
            Desk { ledger: &self.ledger, clock: &self.clock, plans: &self.plans, account: 0 };
        settle(&desk, &Nobody, &BTreeMap::new(), 10).await.unwrap()
    }

    async fn link(&self) -> Option<Link> {
        self.ledger.links(&[ONE]).await.unwrap().pop().map(|kept| kept.link)
    }

    async fn held(&self) -> Vec<String> {
        let page = truce::ledger::HeldPage { after: None, limit: 10 };
        let held = self.ledger.held(&HeldFilter::default(), page).await.unwrap();
        held.into_iter().flat_map(|link| link.held).map(|held| held.reason).collect()
    }

    async fn release(&self, way: Way) {
        let (wanted, now) = (Wanted::default(), self.clock.now());
        let opened = open(&self.ledger, &self.plans, &wanted, way, now).await;
        assert_eq!(opened.unwrap().links, 1);
    }
}

fn plan() -> Plan {
    let policy = Policy {
        entity: PEOPLE,
        fields: BTreeMap::new(),
        create: [Side::Campaign, Side::Crm].into(),
        delete: DeletePolicy::Hold,
        delete_conflict: DeleteConflict::Hold,
        match_on: Vec::new(),
        stamped: true,
        write_limit: Duration::from_mins(10),
        late_commit: Duration::from_mins(15),
        wait_limit: WAIT,
        flap: Flap { returns: 6, window: Duration::from_secs(30) },
        blank_fields: 4,
    };
    Plan {
        name: "people".into(),
        account: 0,
        policy,
        brake: BrakeRule { records: 0, share: 0.0, window: Duration::from_mins(10) },
        linger: Linger::default(),
        tombstone_keep: KEEP,
        field_names: BTreeMap::new(),
        creates: Gate::Open,
        deletes: Gate::Open,
    }
}

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

/// A record that stands alone on this side, and has a name.
fn alone(id: LinkId, side: Side) -> Link {
    let mut link = Link::new(id, PEOPLE);
    link.seen[side].record = Some(id.to_string().as_str().into());
    link.seen[side].bond = Bond::Here;
    let (value, raw, unfit, changed) = (Value::text("Ann"), None, None, None);
    let seen = SeenField { value, raw, unfit, changed, touched: false };
    link.seen[side].fields.insert(NAME, seen);
    for side in Side::BOTH {
        link.seen[side].at.epoch = 1;
    }
    link
}

#[tokio::test]
async fn a_record_that_no_key_can_be_drawn_for_is_held_and_stops_nobody_else() {
    let mut stage = Stage::with(Bond::Never, Bond::Never).await;
    let text = Text { max: 40, case: Case::Kept, too_long: TooLong::Reject, only: None };
    let rule = FieldRule {
        shape: Shape::Text(text),
        direction: Direction::Both,
        conflict: Rule::Hold,
        pairing: Rule::Hold,
        required: Sides::default(),
        unique: Sides::default(),
    };
    stage.plans.get_mut(&PEOPLE).unwrap().policy.fields.insert(NAME, rule);
    let mut batch = Batch::new(stage.clock.now());
    for link in [alone(LinkId(2), Side::Campaign), alone(LinkId(3), Side::Crm)] {
        let due = Some(Due { lane: Lane::Ordinary, at: stage.clock.now() });
        batch.links.push(Keep { due, ..Keep::new(link) });
    }
    stage.ledger.store(batch).await.unwrap();
    let writes = stage.settle().await.writes;
    let made: Vec<(LinkId, Side)> = writes.iter().map(|write| (write.link, write.side)).collect();
    assert_eq!(made, [(LinkId(2), Side::Crm)]);
    assert!(stage.settle().await.writes.is_empty());
    assert_eq!(stage.held().await, ["refused"]);
    let refused = stage.ledger.links(&[LinkId(3)]).await.unwrap().remove(0).link;
    assert_eq!(refused.sent.campaign, []);
}

#[tokio::test]
async fn a_release_says_what_it_is_no_way_for() {
    let stage = Stage::with(Bond::Here, Bond::Here).await;
    let kept = stage.ledger.links(&[ONE]).await.unwrap().remove(0);
    let held = |field, reason: &str| Held {
        field,
        reason: reason.to_owned(),
        since: stage.clock.now(),
        detail: json!({}),
    };
    let mut batch = Batch::new(stage.clock.now());
    let reasons = vec![held(Some(NAME), "conflict"), held(None, "deleted")];
    batch.links.push(Keep { held: reasons, ..kept.keep() });
    stage.ledger.store(batch).await.unwrap();
    let now = stage.clock.now();
    // Both records are there again, and nobody has said which value stands.
    for way in [Way::Release, Way::Delete, Way::Take(Side::Crm)] {
        let opened = open(&stage.ledger, &stage.plans, &Wanted::default(), way, now).await.unwrap();
        let left = [("conflict".to_owned(), 1)].into();
        assert_eq!(opened, Opened { links: 0, left }, "{way:?}");
        assert_eq!(stage.link().await.unwrap().state, LinkState::Live);
    }
}
