//! What goes into a ledger and comes out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use jiff::Timestamp;

use super::decision::{Decision, Receipt};
use crate::peer::Cursor;
use crate::reconcile::{Bond, Entity, Field, Lane, Link, LinkId, LinkState, RecordId, Side, Sides};

/// A record of a mapping, on one side.
pub type Bearer = (Entity, Side, RecordId);

/// A link as it was loaded, and the mark to store it again with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The link.
    pub link: Link,
    /// What it was loaded as.
    pub mark: Mark,
}

/// What a link was when it was loaded: a store that shows it replaces that and nothing newer.
///
/// It also tells the store what has not changed and need not be written. [`Mark::new`] is that of
/// a link that was never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// 0 is a link that was never stored.
    pub(super) version: u64,
    pub(super) entity: Entity,
    pub(super) state: State,
    /// When and in which lane the link is due.
    pub(super) due: Option<Due>,
    /// A hash of state and records.
    pub(super) identity: u64,
    /// A hash of match keys, waits and what is held.
    pub(super) extras: u64,
}

/// A link to be stored, with all that is kept beside it; what was beside it before is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The link.
    pub link: Link,
    /// What it was loaded as.
    pub mark: Mark,
    /// When it is to be looked at.
    pub due: Option<Due>,
    /// The texts by which each side's record would be matched.
    pub keys: Sides<BTreeSet<String>>,
    /// The records it waits for.
    pub waits_for: BTreeSet<Awaited>,
    /// What waits for a person.
    pub held: Vec<Held>,
}

/// When a link is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// In which queue.
    pub lane: Lane,
    /// Not before.
    pub at: Timestamp,
}

/// A record that a link waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Awaited {
    /// The record.
    pub bearer: Bearer,
    /// The version of the link that bore it when the decision to wait was taken, 0 for none: where
    /// it is another by the time of the store, the wait is over at once. No wake-up is lost so.
    pub version: u64,
}

/// Something of a link that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The field; `None` is the whole record.
    pub field: Option<Field>,
    /// One word: what the operator filters by.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// What an operator needs to decide. May hold values.
    pub detail: serde_json::Value,
}

/// What is stored in one transaction.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Now, by our clock: links whose wait is over are due from then.
    pub now: Timestamp,
    /// Links to be stored, each at most once.
    pub links: Vec<Keep>,
    /// Links to be forgotten, as they were loaded.
    pub removed: Vec<(LinkId, Mark)>,
    /// How far each feed has come.
    pub cursors: BTreeMap<String, Cursor>,
    /// What was decided and why.
    pub decisions: Vec<Decision>,
    /// What was answered to writes.
    pub receipts: Vec<Receipt>,
    /// Small things by name; one that is null is forgotten.
    pub facts: BTreeMap<String, serde_json::Value>,
}

/// The numbers of mappings and fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// In the order that was asked for.
    pub mappings: Vec<CatalogMapping>,
}

/// A mapping's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogMapping {
    /// Its name in the config.
    pub name: String,
    /// Its number.
    pub entity: Entity,
    /// Its fields, in the order that was asked for.
    pub fields: Vec<CatalogField>,
}

/// A field's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogField {
    /// Its name in the config.
    pub name: String,
    /// Its number.
    pub field: Field,
}

/// How many of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Links by mapping and state; none where there are none.
    pub links: BTreeMap<(Entity, State), u64>,
    /// Links that are due, now or later.
    pub due: BTreeMap<(Entity, Lane), u64>,
    /// Links in the consent lane, whenever they are due: pairs that differ in consent, or whose
    /// write of it is not answered.
    pub opposed: BTreeMap<Entity, u64>,
    /// Things that wait for a person, by reason.
    pub held: BTreeMap<(Entity, String), u64>,
    /// Since when the oldest is due, by mapping.
    pub oldest_due: BTreeMap<Entity, Timestamp>,
}

/// A link's state, without what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// See [`LinkState::Live`].
    Live,
    /// See [`LinkState::Alias`].
    Alias,
    /// See [`LinkState::Severed`].
    Severed,
    /// See [`LinkState::Tombstone`].
    Tombstone,
}

/// Which of the held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldFilter {
    /// Of this mapping.
    pub entity: Option<Entity>,
    /// Of this field.
    pub field: Option<Field>,
    /// For this reason.
    pub reason: Option<String>,
    /// Of this link.
    pub link: Option<LinkId>,
}

/// Which page of the held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldPage {
    /// Links after this one.
    pub after: Option<LinkId>,
    /// At most this many links.
    pub limit: usize,
}

/// A link of which something is held, and what of it passed the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLink {
    /// The link.
    pub link: LinkId,
    /// Its mapping.
    pub entity: Entity,
    /// Its records, for people.
    pub records: Sides<Option<RecordId>>,
    /// What is held.
    pub held: Vec<Held>,
}

impl Mark {
    /// That of a link that was never stored.
    pub fn new() -> Self {
        Self {
            version: 0,
            entity: Entity(0),
            state: State::Live,
            due: None,
            identity: 0,
            extras: 0,
        }
    }

    /// How often it was stored.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When it is due.
    pub fn due(&self) -> Option<Due> {
        self.due
    }
}

impl Default for Mark {
    fn default() -> Self {
        Self::new()
    }
}

impl Kept {
    /// To be stored with nothing beside it, which is what a link in agreement has.
    pub fn keep(self) -> Keep {
        Keep { mark: self.mark, ..Keep::new(self.link) }
    }
}

impl Keep {
    /// A link that was never stored, with nothing beside it.
    pub fn new(link: Link) -> Self {
        Self {
            link,
            mark: Mark::new(),
            due: None,
            keys: Sides::default(),
            waits_for: BTreeSet::new(),
            held: Vec::new(),
        }
    }

    /// The mark that the link has once this is stored, unless a wake-up came with it.
    pub fn mark_after(&self) -> Mark {
        Mark {
            version: self.mark.version + 1,
            entity: self.link.entity,
            state: State::of(&self.link.state),
            due: self.due,
            identity: identity(&self.link),
            extras: self.extras(),
        }
    }

    /// Whether what is beside the link is other than what was stored with it.
    pub fn beside_changed(&self) -> bool {
        self.extras() != self.mark.extras
    }

    /// The hash is compared with one that was stored, perhaps by another release; where the hash
    /// function has changed, all that follows is that what is beside the link is written again.
    fn extras(&self) -> u64 {
        let nothing_beside = self.keys.campaign.is_empty()
            && self.keys.crm.is_empty()
            && self.waits_for.is_empty()
            && self.held.is_empty();
        if nothing_beside {
            return 0;
        }
        let mut hasher = DefaultHasher::new();
        (&self.keys.campaign, &self.keys.crm).hash(&mut hasher);
        for awaited in &self.waits_for {
            let (entity, side, record) = &awaited.bearer;
            (entity, side.name(), record, awaited.version).hash(&mut hasher);
        }
        for held in &self.held {
            (held.field, &held.reason, held.since, held.detail.to_string()).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// A hash of what other links may wait for: what the link is, of which records, and whether these
/// are there: a key that was drawn for a record says nothing yet.
pub(super) fn identity(link: &Link) -> u64 {
    let mut hasher = DefaultHasher::new();
    let alias_of = match link.state {
        LinkState::Alias(of) => Some(of),
        LinkState::Live | LinkState::Severed | LinkState::Tombstone => None,
    };
    (State::of(&link.state), alias_of).hash(&mut hasher);
    for side in Side::BOTH {
        (link.record(side), link.seen[side].bond == Bond::Here).hash(&mut hasher);
    }
    hasher.finish()
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Live, Self::Alias, Self::Severed, Self::Tombstone];

    /// Of a link's state.
    pub fn of(state: &LinkState) -> Self {
        match state {
            LinkState::Live => Self::Live,
            LinkState::Alias(_) => Self::Alias,
            LinkState::Severed => Self::Severed,
            LinkState::Tombstone => Self::Tombstone,
        }
    }

    /// Its name in the ledger and for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Alias => "alias",
            Self::Severed => "severed",
            Self::Tombstone => "tombstone",
        }
    }
}

impl Batch {
    /// Nothing yet.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            links: Vec::new(),
            removed: Vec::new(),
            cursors: BTreeMap::new(),
            decisions: Vec::new(),
            receipts: Vec::new(),
            facts: BTreeMap::new(),
        }
    }

    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
            && self.removed.is_empty()
            && self.cursors.is_empty()
            && self.decisions.is_empty()
            && self.receipts.is_empty()
            && self.facts.is_empty()
    }
}

impl Catalog {
    /// A mapping by its number.
    pub fn mapping(&self, entity: Entity) -> Option<&CatalogMapping> {
        self.mappings.iter().find(|mapping| mapping.entity == entity)
    }

    /// A mapping by its name.
    pub fn named(&self, name: &str) -> Option<&CatalogMapping> {
        self.mappings.iter().find(|mapping| mapping.name == name)
    }
}

impl CatalogMapping {
    /// A field's number.
    pub fn field(&self, name: &str) -> Option<Field> {
        self.fields.iter().find(|field| field.name == name).map(|field| field.field)
    }
}
