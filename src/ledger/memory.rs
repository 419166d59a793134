//! A ledger that forgets: for the simulation, and for tests of what stands upon a ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::decision::LOOKED_BACK;
use super::{
    Awaited, Batch, Bearer, Catalog, CatalogField, CatalogMapping, Counts, Decision, Due, Held,
    HeldFilter, HeldLink, HeldPage, Keep, Kept, Ledger, LedgerError, Receipt, State, StoreError,
};
use crate::peer::Cursor;
use crate::reconcile::{Entity, Field, Lane, Link, LinkId, LinkState, RecordId, Side, Sides};

/// A ledger in memory. The same semantics as the durable one, under one lock.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    kept: Mutex<Tables>,
}

/// What tables and indexes are to the durable one.
#[derive(Clone, Debug, Default)]
struct Tables {
    mappings: BTreeMap<String, (Entity, BTreeMap<String, Field>)>,
    fields: u16,
    drawn: u64,
    links: BTreeMap<LinkId, Keep>,
    bearers: BTreeMap<Bearer, BTreeSet<LinkId>>,
    keys: BTreeMap<(Entity, Side, String), BTreeSet<LinkId>>,
    waiting: BTreeMap<Bearer, BTreeSet<LinkId>>,
    due: BTreeSet<(Entity, Due, LinkId)>,
    cursors: BTreeMap<String, Cursor>,
    facts: BTreeMap<String, serde_json::Value>,
    decisions: BTreeMap<u64, Decision>,
    decided: u64,
    receipts: Vec<Receipt>,
}

impl MemoryLedger {
    /// One that holds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A backup, to restore from.
    pub fn backup(&self) -> Self {
        Self { kept: Mutex::new(self.tables().clone()) }
    }

    /// Gives no number from here on that is not above this one.
    pub fn skip_to(&self, id: LinkId) {
        let mut tables = self.tables();
        tables.drawn = tables.drawn.max(id.0);
    }

    /// Every link, in the order of their numbers.
    pub fn every_link(&self) -> Vec<Link> {
        self.tables().links.values().map(|keep| keep.link.clone()).collect()
    }

    /// Every decision, in the order they were stored.
    pub fn every_decision(&self) -> Vec<Decision> {
        self.tables().decisions.values().cloned().collect()
    }

    /// What waits for a person, by link.
    pub fn every_held(&self) -> BTreeMap<LinkId, Vec<Held>> {
        let tables = self.tables();
        tables.links.iter().map(|(id, keep)| (*id, keep.held.clone())).collect()
    }

    /// A panic elsewhere leaves the tables as they were between two calls, or in the middle of a
    /// test that has failed already.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger for MemoryLedger {
    async fn catalog(&self, mappings: &[(String, Vec<String>)]) -> Result<Catalog, LedgerError> {
        let mut tables = self.tables();
        let of = |(name, fields): &(String, Vec<String>)| tables.number(name, fields);
        Ok(Catalog { mappings: mappings.iter().map(of).collect() })
    }

    async fn links_of(&self, bearers: &[Bearer]) -> Result<Vec<Kept>, LedgerError> {
        let tables = self.tables();
        let found: BTreeSet<LinkId> = bearers.iter().flat_map(|b| tables.bearing(b)).collect();
        Ok(found.iter().filter_map(|id| tables.kept(*id)).collect())
    }

    async fn links(&self, ids: &[LinkId]) -> Result<Vec<Kept>, LedgerError> {
        let tables = self.tables();
        let ids: BTreeSet<LinkId> = ids.iter().copied().collect();
        Ok(ids.into_iter().filter_map(|id| tables.kept(id)).collect())
    }

    async fn walk(
        &self,
        entity: Entity,
        after: Option<LinkId>,
        limit: usize,
    ) -> Result<Vec<Kept>, LedgerError> {
        let tables = self.tables();
        let links = tables.links.values().filter(|keep| keep.link.entity == entity);
        let links = links.filter(|keep| after < Some(keep.link.id)).take(limit);
        Ok(links.filter_map(|keep| tables.kept(keep.link.id)).collect())
    }

    async fn between(
        &self,
        entity: Entity,
        side: Side,
        (after, until): (Option<&RecordId>, Option<&RecordId>),
        limit: usize,
    ) -> Result<Vec<Kept>, LedgerError> {
        let tables = self.tables();
        let within = |record: &RecordId| {
            after.is_none_or(|after| after < record) && until.is_none_or(|until| record <= until)
        };
        let borne = (tables.bearers.iter())
            .filter(|((of, on, record), _)| *of == entity && *on == side && within(record));
        let links = borne.flat_map(|(_, ids)| ids.iter().filter_map(|id| tables.kept(*id)));
        Ok(links.filter(|kept| kept.link.state == LinkState::Live).take(limit).collect())
    }

    async fn due(
        &self,
        entities: &[Entity],
        lanes: &[Lane],
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Kept>, LedgerError> {
        let tables = self.tables();
        let mut due: BTreeSet<(Due, LinkId)> = BTreeSet::new();
        for (entity, lane) in entities.iter().flat_map(|e| lanes.iter().map(|lane| (*e, *lane))) {
            let from = (entity, Due { lane, at: Timestamp::MIN }, LinkId(0));
            let to = (entity, Due { lane, at: now }, LinkId(u64::MAX));
            due.extend(tables.due.range(from..=to).take(limit).map(|(_, due, id)| (*due, *id)));
        }
        Ok(due.into_iter().take(limit).filter_map(|(_, id)| tables.kept(id)).collect())
    }

    async fn matches(
        &self,
        entity: Entity,
        side: Side,
        keys: &[String],
    ) -> Result<Vec<(String, LinkId)>, LedgerError> {
        let tables = self.tables();
        let keys: BTreeSet<&String> = keys.iter().collect();
        let mut found = Vec::new();
        for key in keys {
            let links = tables.keys.get(&(entity, side, key.clone()));
            found.extend(links.into_iter().flatten().map(|id| (key.clone(), *id)));
        }
        Ok(found)
    }

    async fn waiting(&self, bearers: &[Bearer]) -> Result<Vec<LinkId>, LedgerError> {
        let tables = self.tables();
        let found: BTreeSet<LinkId> =
            bearers.iter().filter_map(|b| tables.waiting.get(b)).flatten().copied().collect();
        Ok(found.into_iter().collect())
    }

    async fn draw(&self, count: usize) -> Result<Vec<LinkId>, LedgerError> {
        let mut tables = self.tables();
        let first = tables.drawn + 1;
        tables.drawn += count as u64;
        Ok((first..=tables.drawn).map(LinkId).collect())
    }

    async fn store(&self, batch: Batch) -> Result<(), StoreError> {
        let mut tables = self.tables();
        tables.admit(&batch)?;
        tables.take(batch);
        Ok(())
    }

    async fn cursor(&self, feed: &str) -> Result<Cursor, LedgerError> {
        Ok(self.tables().cursors.get(feed).cloned().unwrap_or_else(Cursor::start))
    }

    async fn fact(&self, name: &str) -> Result<Option<serde_json::Value>, LedgerError> {
        Ok(self.tables().facts.get(name).cloned())
    }

    async fn facts(&self, prefix: &str) -> Result<Vec<(String, serde_json::Value)>, LedgerError> {
        let tables = self.tables();
        let facts = tables.facts.range(prefix.to_owned()..);
        let named = facts.take_while(|(name, _)| name.starts_with(prefix));
        Ok(named.map(|(name, fact)| (name.clone(), fact.clone())).collect())
    }

    async fn counts(&self, due_by: Timestamp) -> Result<Counts, LedgerError> {
        Ok(self.tables().counts(due_by))
    }

    async fn held(
        &self,
        filter: &HeldFilter,
        page: HeldPage,
    ) -> Result<Vec<HeldLink>, LedgerError> {
        let tables = self.tables();
        let links = tables.links.values().filter(|keep| page.after < Some(keep.link.id));
        Ok(links.filter_map(|keep| held(filter, keep)).take(page.limit).collect())
    }

    async fn decisions(&self, link: LinkId, limit: usize) -> Result<Vec<Decision>, LedgerError> {
        Ok(self.tables().decisions_of(link).into_iter().take(limit).cloned().collect())
    }

    async fn receipts(&self, link: LinkId, limit: usize) -> Result<Vec<Receipt>, LedgerError> {
        let tables = self.tables();
        let mut of_link: Vec<&Receipt> =
            tables.receipts.iter().rev().filter(|receipt| receipt.link == link).collect();
        of_link.sort_by_key(|receipt| std::cmp::Reverse((receipt.at, receipt.sequence)));
        Ok(of_link.into_iter().take(limit).cloned().collect())
    }

    async fn decisions_since(
        &self,
        since: Timestamp,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Decision)>, LedgerError> {
        let tables = self.tables();
        let later = tables.decisions.range(after + 1..).filter(|(_, d)| since <= d.at);
        Ok(later.take(limit).map(|(number, decision)| (*number, decision.clone())).collect())
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, LedgerError> {
        let mut tables = self.tables();
        let were = tables.decisions.len() + tables.receipts.len();
        tables.decisions.retain(|_, decision| before <= decision.at);
        tables.receipts.retain(|receipt| before <= receipt.at);
        Ok((were - tables.decisions.len() - tables.receipts.len()) as u64)
    }
}

impl Tables {
    fn number(&mut self, name: &str, fields: &[String]) -> CatalogMapping {
        let next = u16::try_from(self.mappings.len() + 1).expect("a config has few mappings");
        let of_mapping =
            self.mappings.entry(name.to_owned()).or_insert_with(|| (Entity(next), BTreeMap::new()));
        let mut numbered = Vec::new();
        for name in fields {
            let field = of_mapping.1.entry(name.clone()).or_insert_with(|| {
                self.fields += 1;
                Field(self.fields)
            });
            numbered.push(CatalogField { name: name.clone(), field: *field });
        }
        CatalogMapping { name: name.to_owned(), entity: of_mapping.0, fields: numbered }
    }

    fn kept(&self, id: LinkId) -> Option<Kept> {
        let keep = self.links.get(&id)?;
        Some(Kept { link: keep.link.clone(), mark: keep.mark })
    }

    fn bearing(&self, bearer: &Bearer) -> Vec<LinkId> {
        let of_state = |state: State| {
            let bearing = self.bearers.get(bearer).into_iter().flatten().copied();
            bearing.filter(move |id| self.links[id].mark.state == state)
        };
        let mut found: Vec<LinkId> = of_state(State::Live).collect();
        if found.is_empty() {
            found.extend(of_state(State::Severed).chain(of_state(State::Tombstone)).max());
        }
        found.extend(of_state(State::Alias));
        found
    }

    /// Whether the batch may be stored. Changes nothing.
    fn admit(&self, batch: &Batch) -> Result<(), StoreError> {
        let kept = batch.links.iter().map(|keep| (keep.link.id, keep.mark));
        let mut conflicts = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for (id, mark) in kept.chain(batch.removed.iter().copied()) {
            if !seen.insert(id) {
                return Err(twice(id).into());
            }
            let version = self.links.get(&id).map_or(0, |stored| stored.mark.version);
            if version != mark.version {
                conflicts.insert(id);
            }
        }
        let mut borne = BTreeMap::new();
        for keep in batch.links.iter().filter(|keep| keep.link.state == LinkState::Live) {
            let id = keep.link.id;
            for bearer in bearers(&keep.link) {
                let live = |other: &LinkId| self.links[other].mark.state == State::Live;
                let others = self.bearers.get(&bearer).into_iter().flatten();
                if others.filter(|other| !seen.contains(other)).any(live) {
                    conflicts.insert(id);
                }
                if let Some(twin) = borne.insert(bearer, id) {
                    conflicts.extend([twin, id]);
                }
            }
        }
        if conflicts.is_empty() {
            Ok(())
        } else {
            Err(StoreError::Conflict(conflicts.into_iter().collect()))
        }
    }

    fn take(&mut self, batch: Batch) {
        let mut moved = BTreeSet::new();
        let mut waiting = Vec::new();
        for (id, _) in batch.removed {
            self.remove(id);
        }
        for mut keep in batch.links {
            let was = keep.mark;
            keep.mark = keep.mark_after();
            if was.version == 0 || was.identity != keep.mark.identity {
                moved.extend(bearers(&keep.link));
            }
            waiting.extend(keep.waits_for.iter().map(|awaited| (awaited.clone(), keep.link.id)));
            self.remove(keep.link.id);
            self.insert(keep);
        }
        let over = waiting.into_iter().filter(|(awaited, _)| self.is_over(awaited));
        let mut woken: BTreeSet<LinkId> = over.map(|(_, id)| id).collect();
        woken.extend(moved.iter().filter_map(|bearer| self.waiting.get(bearer)).flatten());
        for id in woken {
            self.wake(id, batch.now);
        }
        self.cursors.extend(batch.cursors);
        for (name, fact) in batch.facts {
            if fact.is_null() {
                self.facts.remove(&name);
            } else {
                self.facts.insert(name, fact);
            }
        }
        // As one statement does: what the batch itself brings is not looked back at.
        let news: Vec<Decision> =
            batch.decisions.into_iter().filter(|decision| !self.knows(decision)).collect();
        for decision in news {
            self.decided += 1;
            self.decisions.insert(self.decided, decision);
        }
        let news: Vec<Receipt> =
            batch.receipts.into_iter().filter(|receipt| !self.was_told(receipt)).collect();
        self.receipts.extend(news);
    }

    /// A link's decisions, newest first.
    fn decisions_of(&self, link: LinkId) -> Vec<&Decision> {
        let mut of_link: Vec<&Decision> =
            self.decisions.values().rev().filter(|decision| decision.link == link).collect();
        of_link.sort_by_key(|decision| std::cmp::Reverse(decision.at));
        of_link
    }

    /// Whether the decision only says again what the last of its link and field said.
    fn knows(&self, decision: &Decision) -> bool {
        let newest = self.decisions_of(decision.link).into_iter().take(LOOKED_BACK);
        let last = newest.into_iter().find(|known| known.field == decision.field);
        last.is_some_and(|last| decision.repeats(last))
    }

    /// Whether the receipt only says again that a write is put off.
    fn was_told(&self, receipt: &Receipt) -> bool {
        let of = |known: &&Receipt| (known.link, known.side) == (receipt.link, receipt.side);
        self.receipts.iter().rev().find(of).is_some_and(|newest| receipt.repeats(newest))
    }

    fn insert(&mut self, keep: Keep) {
        let id = keep.link.id;
        for bearer in bearers(&keep.link) {
            self.bearers.entry(bearer).or_default().insert(id);
        }
        for key in keys(&keep) {
            self.keys.entry(key).or_default().insert(id);
        }
        for awaited in &keep.waits_for {
            self.waiting.entry(awaited.bearer.clone()).or_default().insert(id);
        }
        self.due.extend(keep.due.map(|due| (keep.link.entity, due, id)));
        self.links.insert(id, keep);
    }

    fn remove(&mut self, id: LinkId) {
        let Some(keep) = self.links.remove(&id) else { return };
        for bearer in bearers(&keep.link) {
            leave(&mut self.bearers, &bearer, id);
        }
        for key in keys(&keep) {
            leave(&mut self.keys, &key, id);
        }
        for awaited in &keep.waits_for {
            leave(&mut self.waiting, &awaited.bearer, id);
        }
        if let Some(due) = keep.due {
            self.due.remove(&(keep.link.entity, due, id));
        }
    }

    /// Whether the live link that bears the record is not the one that was waited for.
    fn is_over(&self, awaited: &Awaited) -> bool {
        let bearing = self.bearers.get(&awaited.bearer).into_iter().flatten();
        let marks = bearing.map(|id| self.links[id].mark);
        let live = marks.filter(|mark| mark.state == State::Live).map(|mark| mark.version).max();
        live.unwrap_or(0) != awaited.version
    }

    fn wake(&mut self, id: LinkId, now: Timestamp) {
        let Some(mut keep) = self.links.get(&id).cloned() else { return };
        self.remove(id);
        let due = keep.due.unwrap_or(Due { lane: Lane::Ordinary, at: now });
        keep.due = Some(Due { lane: due.lane, at: due.at.min(now) });
        keep.mark.due = keep.due;
        keep.mark.version += 1;
        self.insert(keep);
    }

    fn counts(&self, due_by: Timestamp) -> Counts {
        let mut counts = Counts::default();
        for keep in self.links.values() {
            let entity = keep.link.entity;
            *counts.links.entry((entity, keep.mark.state)).or_default() += 1;
            for held in &keep.held {
                *counts.held.entry((entity, held.reason.clone())).or_default() += 1;
            }
        }
        for (entity, _, _) in self.due.iter().filter(|(_, due, _)| due.lane == Lane::Consent) {
            *counts.opposed.entry(*entity).or_default() += 1;
        }
        for (entity, due, _) in self.due.iter().filter(|(_, due, _)| due.at <= due_by) {
            *counts.due.entry((*entity, due.lane)).or_default() += 1;
            let oldest = counts.oldest_due.entry(*entity).or_insert(due.at);
            *oldest = due.at.min(*oldest);
        }
        counts
    }
}

/// That a batch names a link twice: a bug of the caller, told alike by both ledgers.
pub(super) fn twice(id: LinkId) -> LedgerError {
    LedgerError::Unstorable { what: format!("link {id} twice in one batch") }
}

fn bearers(link: &Link) -> Vec<Bearer> {
    let of = |side: Side| link.record(side).map(|record| (link.entity, side, record.clone()));
    Side::BOTH.into_iter().filter_map(of).collect()
}

fn keys(keep: &Keep) -> Vec<(Entity, Side, String)> {
    let of = |side: Side| keep.keys[side].iter().map(move |key| (side, key.clone()));
    let entity = keep.link.entity;
    Side::BOTH.into_iter().flat_map(of).map(|(side, key)| (entity, side, key)).collect()
}

fn leave<K: Ord>(index: &mut BTreeMap<K, BTreeSet<LinkId>>, key: &K, id: LinkId) {
    if let Some(links) = index.get_mut(key) {
        links.remove(&id);
        if links.is_empty() {
            index.remove(key);
        }
    }
}

fn held(filter: &HeldFilter, keep: &Keep) -> Option<HeldLink> {
    let (link, wanted) = (&keep.link, |held: &&Held| {
        filter.field.is_none_or(|field| held.field == Some(field))
            && filter.reason.as_ref().is_none_or(|reason| held.reason == *reason)
    });
    let of_link = filter.entity.is_none_or(|entity| entity == link.entity)
        && filter.link.is_none_or(|id| id == link.id);
    let held: Vec<Held> = keep.held.iter().filter(wanted).cloned().collect();
    let records: Sides<Option<RecordId>> = Sides::of(|side| link.record(side).cloned());
    (of_link && !held.is_empty()).then_some(HeldLink {
        link: link.id,
        entity: link.entity,
        records,
        held,
    })
}
