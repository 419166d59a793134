//! Links loaded to be moved together, and stored together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::ledger::{Awaited, Batch, Bearer, Due, Held, Keep, Kept, Ledger, LedgerError, Mark};
use crate::reconcile::matching::match_key;
use crate::reconcile::{
    Bond, Entity, Lane, Link, LinkId, LinkState, Observation, Policy, RecordId, Shape, Side, Sides,
    Value,
};

use super::plan::{Plan, Plans};

/// A link on the bench, and what is to be stored beside it.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The link.
    pub link: Link,
    /// What it was loaded as.
    pub mark: Mark,
    /// When it is to be looked at; starts as it was loaded.
    pub due: Option<Due>,
    /// What it waits for.
    pub waits_for: BTreeSet<Awaited>,
    /// What of it waits for a person.
    pub held: Vec<Held>,
    /// Whether it must be stored.
    pub dirty: bool,
}

/// A pair that differs in consent stays in its lane until it agrees, whatever else it waits for: it
/// is counted there, and looked at again this often, so that none is ever forgotten.
const OPPOSED_LOOK: Duration = Duration::from_hours(1);

/// Links on the bench, found by the records they bear.
#[derive(Clone, Debug, Default)]
pub struct Bench {
    /// By number.
    pub pieces: BTreeMap<LinkId, Piece>,
    /// Who bears a record.
    bearers: BTreeMap<Bearer, BTreeSet<LinkId>>,
    /// Links that were used up.
    removed: BTreeMap<LinkId, Mark>,
    /// Links that only make sense stored together.
    joined: Vec<(LinkId, LinkId)>,
}

impl Bench {
    /// Loads the links that bear these records.
    pub async fn load<L: Ledger>(ledger: &L, bearers: &[Bearer]) -> Result<Self, LedgerError> {
        let mut bench = Self::default();
        if !bearers.is_empty() {
            bench.add(ledger.links_of(bearers).await?);
        }
        Ok(bench)
    }

    /// Puts loaded links on the bench, unless they are there.
    pub fn add(&mut self, kept: Vec<Kept>) {
        for Kept { link, mark } in kept {
            if self.pieces.contains_key(&link.id) || self.removed.contains_key(&link.id) {
                continue;
            }
            let due = mark.due();
            let (waits_for, held) = (BTreeSet::new(), Vec::new());
            self.index(&link);
            self.pieces.insert(link.id, Piece { link, mark, due, waits_for, held, dirty: false });
        }
    }

    /// Puts a new link on the bench.
    pub fn create(&mut self, link: Link) -> LinkId {
        let id = link.id;
        self.index(&link);
        let mark = Mark::new();
        let (waits_for, held) = (BTreeSet::new(), Vec::new());
        self.pieces.insert(id, Piece { link, mark, due: None, waits_for, held, dirty: true });
        id
    }

    /// Takes a link off that was used up by another.
    pub fn remove(&mut self, id: LinkId) {
        if let Some(piece) = self.pieces.remove(&id)
            && piece.mark.version() > 0
        {
            self.removed.insert(id, piece.mark);
        }
    }

    /// Notes that two links must be stored together or not at all.
    pub fn join(&mut self, a: LinkId, b: LinkId) {
        self.joined.push((a, b));
    }

    /// Takes links off that changed since they were loaded, and those joined to them; says which.
    pub fn drop_changed(&mut self, changed: &[LinkId]) -> BTreeSet<LinkId> {
        let mut dropped: BTreeSet<LinkId> = changed.iter().copied().collect();
        let mut before = 0;
        while before != dropped.len() {
            before = dropped.len();
            for (a, b) in &self.joined {
                if dropped.contains(a) || dropped.contains(b) {
                    dropped.extend([*a, *b]);
                }
            }
        }
        self.pieces.retain(|id, _| !dropped.contains(id));
        self.removed.retain(|id, _| !dropped.contains(id));
        dropped
    }

    /// Notes which records a link bears, after it changed.
    pub fn reindex(&mut self, id: LinkId) {
        if let Some(piece) = self.pieces.get(&id) {
            let link = piece.link.clone();
            self.index(&link);
        }
    }

    fn index(&mut self, link: &Link) {
        for side in Side::BOTH {
            if let Some(record) = link.record(side) {
                let bearer = (link.entity, side, record.clone());
                self.bearers.entry(bearer).or_default().insert(link.id);
            }
        }
    }

    /// The links that bear a record, the live one first, ended ones last.
    pub fn of(&self, bearer: &Bearer) -> Vec<LinkId> {
        let (_, side, record) = bearer;
        let mut found: Vec<&Link> = (self.bearers.get(bearer).into_iter().flatten())
            .filter_map(|id| self.pieces.get(id))
            .map(|piece| &piece.link)
            .filter(|link| link.record(*side) == Some(record))
            .collect();
        found.sort_by_key(|link| match link.state {
            LinkState::Live => (0, link.id),
            LinkState::Alias(_) => (1, link.id),
            LinkState::Severed | LinkState::Tombstone => (2, LinkId(u64::MAX - link.id.0)),
        });
        found.into_iter().map(|link| link.id).collect()
    }

    /// The live link that bears a record.
    pub fn live(&self, bearer: &Bearer) -> Option<&Piece> {
        let id = *self.of(bearer).first()?;
        self.pieces.get(&id).filter(|piece| piece.link.state == LinkState::Live)
    }

    /// The link that a record stands for in references: the survivor's, where it is an alias.
    pub fn stands_for(&self, bearer: &Bearer) -> Option<LinkId> {
        let id = *self.of(bearer).first()?;
        match self.pieces.get(&id)?.link.state {
            LinkState::Live => Some(id),
            LinkState::Alias(of) => Some(of),
            LinkState::Severed | LinkState::Tombstone => None,
        }
    }

    /// Everything on the bench that is to be stored.
    pub fn into_batch(self, plans: &Plans, now: Timestamp) -> Batch {
        let mut batch = Batch::new(now);
        batch.removed = self.removed.into_iter().collect();
        for piece in self.pieces.into_values().filter(|piece| piece.dirty) {
            batch.links.push(piece.keep(plans, now));
        }
        batch
    }
}

impl Piece {
    /// Marks the link to be looked at, no later than this.
    pub fn due_at(&mut self, at: Timestamp, lane: Lane) {
        // The more urgent lane and the earlier time, which may come from two different causes.
        self.due = Some(self.due.map_or(Due { lane, at }, |known| Due {
            lane: known.lane.min(lane),
            at: known.at.min(at),
        }));
        self.dirty = true;
    }

    /// Nothing of the link is under way any more: it need not be looked after for an answer. What
    /// is due by now stays so: it is news.
    pub fn put_off(&mut self, now: Timestamp) {
        let under_way = Side::BOTH.into_iter().any(|side| !self.link.sent[side].is_empty());
        if !under_way && self.due.is_some_and(|due| now < due.at) {
            self.due = None;
        }
    }

    fn keep(mut self, plans: &Plans, now: Timestamp) -> Keep {
        let plan = plans.get(&self.link.entity);
        let policy = plan.map(|plan| &plan.policy);
        if let (LinkState::Tombstone, None, Some(plan)) = (&self.link.state, self.due, plan) {
            // However it came to be one, it is forgotten in its time.
            let ended = *self.link.ended.get_or_insert(now);
            self.due_at(later(ended, plan.tombstone_keep), Lane::Ordinary);
        }
        let keys = policy.map(|policy| keys(&self.link, policy));
        if policy.is_some_and(|policy| lane(&self.link, policy) == Lane::Consent) {
            self.due_at(later(now, OPPOSED_LOOK), Lane::Consent);
        }
        Keep {
            keys: keys.unwrap_or_default(),
            link: self.link,
            mark: self.mark,
            due: self.due,
            waits_for: self.waits_for,
            held: self.held,
        }
    }
}

/// The texts by which a link's records are found: its match key, and for a record that stands
/// alone the Campaign key that it has, or that its external id names.
pub fn keys(link: &Link, policy: &Policy) -> Sides<BTreeSet<String>> {
    let mut keys: Sides<BTreeSet<String>> = Sides::default();
    if link.state == LinkState::Tombstone {
        return keys;
    }
    for side in Side::BOTH {
        keys[side].extend(match_key(link, side, policy).map(|key| format!("m:{key}")));
    }
    if link.state != LinkState::Live {
        return keys;
    }
    if link.seen.crm.bond == Bond::Never
        && let Some(record) = link.record(Side::Campaign)
    {
        keys.campaign.insert(claim(record));
    }
    if link.seen.campaign.bond == Bond::Never
        && let Some(claimed) = &link.claims
    {
        keys.crm.insert(claim(claimed));
    }
    keys
}

/// The key that a record and a claim of it share.
pub fn claim(record: &RecordId) -> String {
    format!("c:{record}")
}

/// The lane in which a link should be looked at: consent that differs is urgent.
pub fn lane(link: &Link, policy: &Policy) -> Lane {
    let differs = |field| {
        let out = |side: Side| matches!(link.seen[side].value(field), Some(Value::Consent(c)) if c.is_out());
        out(Side::Campaign) != out(Side::Crm)
    };
    let consent = policy.fields.iter().filter(|(_, rule)| rule.shape == Shape::Consent);
    let alive = matches!(link.state, LinkState::Live | LinkState::Alias(_));
    let urgent = alive
        && consent.map(|(field, _)| *field).any(differs)
        && link.seen.campaign.bond == Bond::Here
        && link.seen.crm.bond == Bond::Here;
    if urgent { Lane::Consent } else { Lane::Ordinary }
}

/// The records that an observation speaks of: its own, the one it was, the one it claims, and those
/// that its fields refer to.
pub fn spoken_of(seen: &Observation, side: Side, plan: &Plan) -> Vec<Bearer> {
    let mut bearers = vec![(seen.entity, side, seen.record.clone())];
    bearers.extend(seen.was.iter().map(|was| (seen.entity, side, was.clone())));
    bearers.extend(seen.claims.iter().map(|key| (seen.entity, Side::Campaign, key.clone())));
    for (field, value) in seen.row().into_iter().flatten() {
        if let (Value::Record(parent), Some(entity)) = (value, plan.refers_to(*field)) {
            bearers.push((entity, side, parent.clone()));
        }
    }
    bearers
}

/// Where a wait for a record would be over.
pub fn awaited(bench: &Bench, entity: Entity, side: Side, record: RecordId) -> Awaited {
    let bearer = (entity, side, record);
    let version = bench.live(&bearer).map_or(0, |piece| piece.mark.version());
    Awaited { bearer, version }
}

/// A time that much later; the end of time where there is none.
pub fn later(now: Timestamp, delay: Duration) -> Timestamp {
    now.checked_add(delay).unwrap_or(Timestamp::MAX)
}
