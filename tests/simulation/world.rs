//! What all of a world share: chance, time, the two systems, and what is remembered for the checks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::{SignedDuration, Timestamp};
use truce::agent::Clock;
use truce::reconcile::{
    Clocks, Entity, Field, LinkId, RecordId, Row, Side, Sides, Skew, Stamp, Value,
};

use super::campaign::Campaign;
use super::crm::Crm;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub feed: CrmFeed,
    pub stamped: bool,
}

/// What the CRM's feed tells of a record that has changed more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CrmFeed {
    /// Every change.
    Complete,
    /// Only what it has come to, as polling does.
    Latest,
}

#[derive(Clone, Debug)]
pub(crate) struct Rng(pub u64);

impl Rng {
    pub(crate) fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(sides).unwrap()).unwrap()
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { Some(&from[self.below(from.len())]) }
    }
}

/// Which troubles a world has.
#[expect(clippy::struct_excessive_bools, reason = "each is on or off by itself")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Troubles {
    pub crashes: bool,
    pub lost: bool,
    pub latecomers: bool,
    pub window: bool,
    pub deletes: bool,
    pub merges: bool,
    pub restores: bool,
    pub refusals: bool,
    pub uniques: bool,
    pub backward: bool,
    pub late_commits: bool,
    pub clones: bool,
    pub locks: bool,
    /// Pages are taken in and people act while a round of settling is under way.
    pub beside: bool,
    /// The log is told again from an earlier position.
    pub again: bool,
    /// The brake lets two records through.
    pub brake: bool,
    /// People empty a record at once, as a column that is secured does.
    pub blanks: bool,
    /// Campaign's contacts are truncated.
    pub truncates: bool,
    /// Campaign's keys change.
    pub rekeys: bool,
    /// The CRM's records change, or go for good, and no feed tells.
    pub untold: bool,
    /// The CRM's deleted contacts come back.
    pub undeletes: bool,
}

impl Troubles {
    pub(crate) fn draw(rng: &mut Rng, own: &mut Rng) -> Self {
        let rare = own.below(9);
        let mut on = |n| rng.one_in(n);
        Self {
            crashes: on(2),
            lost: on(2),
            latecomers: on(3),
            window: on(3),
            deletes: on(3) || rare == 7,
            merges: on(4),
            restores: on(6),
            refusals: on(4),
            uniques: on(4),
            backward: on(3),
            late_commits: on(3),
            clones: on(5),
            locks: on(3),
            beside: rare == 0,
            again: rare == 1,
            brake: rare == 2,
            blanks: rare == 3,
            truncates: rare == 4,
            rekeys: rare == 5,
            untold: rare == 6,
            undeletes: rare == 7,
        }
    }
}

/// Policies that some worlds have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ways {
    /// The fields that one side alone edits go one way only.
    pub one_way: bool,
    /// Records are created on this side only; on both where there is none.
    pub create: Option<Side>,
    /// Where two records meet with different values, a person decides.
    pub pairing_held: bool,
    /// No contact of the CRM is without an account.
    pub parent_required: bool,
    /// By how many seconds Campaign's clock is ahead of ours.
    pub campaign_ahead: i64,
}

impl Ways {
    fn draw(own: &mut Rng) -> Self {
        let one_way = own.one_in(6);
        let create = match own.below(10) {
            0 => Some(Side::Campaign),
            1 => Some(Side::Crm),
            _ => None,
        };
        let pairing_held = own.one_in(8);
        let parent_required = own.one_in(10);
        let skewed = own.one_in(4);
        let ahead = i64::try_from(own.below(9)).unwrap() - 4;
        let campaign_ahead = if skewed { ahead * 40 } else { 0 };
        Self { one_way, create, pairing_held, parent_required, campaign_ahead }
    }
}

/// What a person did to a field.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub value: Value,
    /// Whether it changed the field: who saves a field as it was has not edited it.
    pub edited: bool,
}

pub(crate) struct World {
    pub rng: Rng,
    pub kind: Kind,
    pub troubles: Troubles,
    /// What differs by policy alone.
    pub ways: Ways,
    /// Milliseconds since the world began.
    pub millis: u64,
    pub ticks: u64,
    pub leading_since: u64,
    pub campaign: Campaign,
    pub crm: Crm,
    pub epochs: Sides<u32>,
    pub ledger_epoch: u32,
    pub quiet: bool,
    /// The last word of people on each field.
    pub words: BTreeMap<(Side, Entity, RecordId, Field), Word>,
    /// Records whose story has a break that excuses a lost word: deleted, merged, restored.
    pub disturbed: BTreeSet<(Side, RecordId)>,
    /// Which records were written, or made, for which link, or borne by it.
    pub written: BTreeSet<(LinkId, Side, RecordId)>,
    /// People's consent edits: side, record, out or in, when.
    pub consents: Vec<(Side, RecordId, bool, u64)>,
    /// Values of people that the agent overwrote: side, record, field, value, when.
    pub overwritten: Vec<(Side, Entity, RecordId, Field, Value)>,
    /// Overwrites that the window between read and write excuses.
    pub excused: BTreeSet<(RecordId, Field)>,
    /// Every stamp that a write of ours bore.
    pub stamps: BTreeSet<Stamp>,
    /// How many records writes of ours deleted.
    pub deleted: BTreeMap<Entity, u64>,
    pub telling: bool,
    pub edits: u64,
    pub writes: u64,
    pub crashes: u64,
    pub lost: u64,
    /// What must not happen, as it happened.
    pub broken: Option<String>,
}

pub(crate) type Shared = Arc<Mutex<World>>;

pub(crate) fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl World {
    pub(crate) fn new(seed: u64, kind: Kind) -> Self {
        let mut rng = Rng(seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ 0x5DEE_CE66);
        let mut own = Rng(seed ^ 0x7E57_AB1E);
        let troubles = Troubles::draw(&mut rng, &mut own);
        let ways = Ways::draw(&mut own);
        let skew = i64::try_from(rng.below(7)).unwrap() - 3;
        Self {
            rng,
            kind,
            troubles,
            ways,
            millis: 0,
            ticks: 1,
            leading_since: 0,
            campaign: Campaign::ahead_by(ways.campaign_ahead),
            crm: Crm { ahead: skew * 40, ..Crm::default() },
            epochs: Sides { campaign: 1, crm: 1 },
            ledger_epoch: 1,
            quiet: false,
            words: BTreeMap::new(),
            disturbed: BTreeSet::new(),
            written: BTreeSet::new(),
            consents: Vec::new(),
            overwritten: Vec::new(),
            excused: BTreeSet::new(),
            stamps: BTreeSet::new(),
            deleted: BTreeMap::new(),
            telling: std::env::var("TRUCE_SEED").is_ok(),
            edits: 0,
            writes: 0,
            crashes: 0,
            lost: 0,
            broken: None,
        }
    }

    pub(crate) fn tell(&mut self, words: impl FnOnce() -> String) {
        if self.telling {
            let line = format!("{:>7} {}", self.millis, words());
            eprintln!("{line}");
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        START.checked_add(SignedDuration::from_millis(i64::try_from(self.millis).unwrap())).unwrap()
    }

    pub(crate) fn tick(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }

    #[expect(clippy::too_many_arguments, reason = "a record is three words, a field two more")]
    pub(crate) fn word(
        &mut self,
        side: Side,
        entity: Entity,
        record: &RecordId,
        field: Field,
        value: Value,
    ) {
        self.edits += 1;
        let at = self.millis;
        if let Value::Consent(consent) = value
            && self.says_out(side, entity, record) != Some(consent.is_out())
        {
            self.consents.push((side, record.clone(), consent.is_out(), at));
        }
        let edited = self.row(side, entity, record).and_then(|row| row.get(&field)) != Some(&value);
        let key = (side, entity, record.clone(), field);
        let again = self.words.get(&key).is_some_and(|word| word.edited && word.value == value);
        self.words.insert(key, Word { value, edited: edited || again });
    }

    fn row(&self, side: Side, entity: Entity, record: &RecordId) -> Option<&Row> {
        let key = (entity, record.clone());
        match side {
            Side::Campaign => self.campaign.rows.get(&key),
            Side::Crm => self.crm.records.get(&key).map(|record| &record.row),
        }
    }

    /// Whether a record says out just now.
    pub(crate) fn says_out(&self, side: Side, entity: Entity, record: &RecordId) -> Option<bool> {
        let row = self.row(side, entity, record);
        if let Value::Consent(consent) = row?.get(&super::schema::OUT)? {
            Some(consent.is_out())
        } else {
            None
        }
    }

    /// The chance of a trouble, while people are at work.
    pub(crate) fn trouble(&mut self, on: bool, one_in: usize) -> bool {
        on && !self.quiet && self.rng.one_in(one_in)
    }
}

const START: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// The world's clock, as the agent is given it.
pub(crate) struct SimClock(pub Shared);

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        lock(&self.0).now()
    }

    fn tick(&self) -> u64 {
        lock(&self.0).tick()
    }

    fn leading_since(&self) -> u64 {
        lock(&self.0).leading_since
    }

    fn epochs(&self, _account: usize) -> Sides<u32> {
        lock(&self.0).epochs
    }

    fn clocks(&self, _account: usize) -> Clocks {
        let (ours, ahead) = {
            let world = lock(&self.0);
            (world.campaign.ahead, world.crm.ahead)
        };
        let skew = |seconds| Skew {
            offset: SignedDuration::from_secs(seconds),
            uncertainty: SignedDuration::from_secs(1),
        };
        Clocks { campaign: skew(ours), crm: skew(ahead) }
    }

    fn ledger_epoch(&self) -> u32 {
        lock(&self.0).ledger_epoch
    }
}
