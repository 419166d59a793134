//! A ledger in memory with a few links, a clock that stands, and nobody to write to.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use truce::agent::absorb::absorb;
use truce::agent::held::{Wanted, Way, open};
use truce::agent::settle::{Settled, settle};
use truce::agent::{Clock, Desk, Linger, Plan, Plans};
use truce::ledger::{Batch, Due, HeldFilter, Keep, Ledger as _, MemoryLedger};
use truce::peer::{Ask, Ended, Notes, PeerError, Writer};
use truce::reconcile::brake::BrakeRule;
use truce::reconcile::decide::Gate;
use truce::reconcile::policy::Flap;
use truce::reconcile::shape::{Case, Text, TooLong};
use truce::reconcile::{
    Bond, Clocks, DeleteConflict, DeletePolicy, Direction, Entity, Field, FieldRule, Interval,
    Lane, Link, LinkId, Observation, Outcome, Policy, Position, Presence, Read, RecordId, Row,
    Rule, SeenField, Shape, Side, Sides, Value, Write,
};

pub(crate) const START: Timestamp = Timestamp::constant(1_800_000_000, 0);
pub(crate) const PEOPLE: Entity = Entity(1);
pub(crate) const NAME: Field = Field(1);
pub(crate) const OUT: Field = Field(2);
pub(crate) const ONE: LinkId = LinkId(1);
pub(crate) const KEEP: Duration = Duration::from_hours(24 * 365);
pub(crate) const WAIT: Duration = Duration::from_hours(1);

/// A clock that stands until it is moved.
pub(crate) struct Standing(pub Mutex<(Timestamp, u64)>);

impl Standing {
    pub(crate) fn pass(&self, time: Duration) {
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
pub(crate) struct Nobody;

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

/// A pair of records of which each is there or gone.
pub(crate) fn pair_of(campaign: Bond, crm: Bond) -> Link {
    let mut link = Link::new(ONE, PEOPLE);
    (link.seen.campaign.record, link.seen.crm.record) = (Some("7".into()), Some("003".into()));
    (link.seen.campaign.bond, link.seen.crm.bond) = (campaign, crm);
    for side in Side::BOTH {
        link.seen[side].at.epoch = 1;
    }
    link
}

pub(crate) struct Stage {
    pub ledger: MemoryLedger,
    pub clock: Standing,
    pub plans: Plans,
}

impl Stage {
    /// A pair of records of which each is there or gone.
    pub(crate) async fn with(campaign: Bond, crm: Bond) -> Self {
        let stage = Self::empty();
        stage.put(pair_of(campaign, crm)).await;
        stage
    }

    pub(crate) fn empty() -> Self {
        Self {
            ledger: MemoryLedger::new(),
            clock: Standing(Mutex::new((START, 1))),
            plans: Plans::from([(PEOPLE, plan())]),
        }
    }

    /// Keeps a link, due at once.
    pub(crate) async fn put(&self, link: Link) {
        let now = self.clock.now();
        let mut batch = Batch::new(now);
        let due = Some(Due { lane: Lane::Ordinary, at: now });
        batch.links.push(Keep { due, ..Keep::new(link) });
        self.ledger.store(batch).await.unwrap();
    }

    /// Has the link looked at once more.
    pub(crate) async fn put_due(&self) {
        let now = self.clock.now();
        let kept = self.ledger.links(&[ONE]).await.unwrap().remove(0);
        let mut batch = Batch::new(now);
        batch.links.push(Keep { due: Some(Due { lane: Lane::Ordinary, at: now }), ..kept.keep() });
        self.ledger.store(batch).await.unwrap();
    }

    pub(crate) fn desk(&self) -> Desk<'_, MemoryLedger, Standing> {
        Desk { ledger: &self.ledger, clock: &self.clock, plans: &self.plans, account: 0 }
    }

    pub(crate) async fn settle(&self) -> Settled {
        settle(&self.desk(), &Nobody, &BTreeMap::new(), &Lane::ALL, 10).await.unwrap()
    }

    /// Takes in what the CRM shows of a record just now.
    pub(crate) async fn see(&self, record: &str, presence: Presence, claims: Option<&str>) {
        let now = self.clock.now();
        let seen = Observation {
            entity: PEOPLE,
            record: record.into(),
            was: None,
            at: Position { epoch: 1, major: self.clock.tick(), minor: 0 },
            read: Read::Asked(now),
            presence,
            modified: Some(Interval { after: START, until: START }),
            by: None,
            stamp: None,
            claims: claims.map(Into::into),
        };
        absorb(&self.desk(), Side::Crm, &[seen], &BTreeMap::new()).await.unwrap();
    }

    pub(crate) async fn link(&self) -> Option<Link> {
        self.ledger.links(&[ONE]).await.unwrap().pop().map(|kept| kept.link)
    }

    pub(crate) async fn held(&self) -> Vec<String> {
        let page = truce::ledger::HeldPage { after: None, limit: 10 };
        let held = self.ledger.held(&HeldFilter::default(), page).await.unwrap();
        held.into_iter().flat_map(|link| link.held).map(|held| held.reason).collect()
    }

    pub(crate) async fn release(&self, way: Way) {
        let (wanted, now) = (Wanted::default(), self.clock.now());
        let opened = open(&self.ledger, &self.plans, &wanted, &way, now.into()).await.unwrap();
        assert_eq!((opened.changed, opened.left.len()), (1, 0), "{opened:?}");
    }

    /// Why nothing is changed by this way.
    pub(crate) async fn refused(&self, way: Way) -> &'static str {
        let (wanted, now) = (Wanted::default(), self.clock.now());
        let opened = open(&self.ledger, &self.plans, &wanted, &way, now.into()).await.unwrap();
        assert_eq!(opened.changed, 0, "{opened:?}");
        *opened.left.keys().next().unwrap()
    }

    pub(crate) fn rule(&mut self, field: Field, rule: FieldRule) {
        self.plans.get_mut(&PEOPLE).unwrap().policy.fields.insert(field, rule);
    }
}

pub(crate) fn plan() -> Plan {
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
        census: None,
        tombstone_keep: KEEP,
        field_names: BTreeMap::new(),
        creates: Gate::Open,
        deletes: Gate::Open,
    }
}

pub(crate) fn text() -> FieldRule {
    let text = Text { max: 40, case: Case::Kept, too_long: TooLong::Reject, only: None };
    FieldRule {
        shape: Shape::Text(text),
        direction: Direction::Both,
        conflict: Rule::Hold,
        pairing: Rule::Hold,
        required: Sides::default(),
        unique: Sides::default(),
    }
}

pub(crate) fn set(link: &mut Link, side: Side, field: Field, value: Value) {
    let (raw, unfit, changed, by) = (None, None, None, None);
    let seen = SeenField { value, raw, unfit, changed, by, touched: false };
    link.seen[side].fields.insert(field, seen);
}

/// A record that stands alone on this side, and has a name.
pub(crate) fn alone(id: LinkId, side: Side) -> Link {
    let mut link = Link::new(id, PEOPLE);
    link.seen[side].record = Some(id.to_string().as_str().into());
    link.seen[side].bond = Bond::Here;
    set(&mut link, side, NAME, Value::text("Ann"));
    for side in Side::BOTH {
        link.seen[side].at.epoch = 1;
    }
    link
}

pub(crate) fn here(row: Row) -> Presence {
    Presence::Here { row, raw: BTreeMap::new(), unfit: BTreeMap::new() }
}
