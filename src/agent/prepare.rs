//! What due links need beside themselves before they can be decided: parents, possible
//! counterparts, survivors of merges, owners of unique values.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::{Bearer, Ledger, LedgerError};
use crate::reconcile::decide::Gate;
use crate::reconcile::link::BlockReason;
use crate::reconcile::matching::{Matched, claims, find_match};
use crate::reconcile::swap::owner_of;
use crate::reconcile::{
    Bond, Entity, Field, Lane, Link, LinkId, LinkState, RecordId, RefusalKind, Side, Sides,
};

use super::absorb::{converted_into, merged_into};
use super::plan::{Plan, Plans};
use super::working::{Bench, keys};

/// A longer chain of records that wait for each other's unique values is left to a person.
const CHAIN_MAX: usize = 16;

/// What became of the record that another was merged into.
pub(super) enum Survivor {
    /// This link stands for it.
    Live(LinkId),
    /// It is gone itself.
    Ended,
    /// Nothing is known of this one, which must be read first.
    Unknown(Bearer),
}

/// Due links with all that deciding them takes.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// All loaded links.
    pub bench: Bench,
    /// The due ones, in the order of their urgency.
    pub due: Vec<LinkId>,
    /// The links that share a key with a link that stands alone.
    candidates: BTreeMap<LinkId, BTreeSet<LinkId>>,
}

impl Prepared {
    /// Loads due links and what they need.
    pub(super) async fn load<L: Ledger>(
        ledger: &L,
        plans: &Plans,
        now: jiff::Timestamp,
        (lanes, limit): (&[Lane], usize),
    ) -> Result<Self, LedgerError> {
        let entities: Vec<Entity> = plans.keys().copied().collect();
        let mut prepared = Self::default();
        let kept = ledger.due(&entities, lanes, now, limit).await?;
        prepared.due = kept.iter().map(|kept| kept.link.id).collect();
        prepared.bench.add(kept);
        prepared.load_neighbours(ledger, plans, now).await?;
        prepared.load_candidates(ledger, plans).await?;
        prepared.load_parents(ledger, plans).await?;
        Ok(prepared)
    }

    fn due_links(&self) -> impl Iterator<Item = &Link> {
        self.due.iter().filter_map(|id| self.bench.pieces.get(id)).map(|piece| &piece.link)
    }

    async fn load_neighbours<L: Ledger>(
        &mut self,
        ledger: &L,
        plans: &Plans,
        now: jiff::Timestamp,
    ) -> Result<(), LedgerError> {
        let mut bearers: BTreeSet<Bearer> = BTreeSet::new();
        for link in self.due_links() {
            let Some(plan) = plans.get(&link.entity) else { continue };
            bearers.extend(link.unresolved().filter_map(|(side, field, parent)| {
                Some((plan.refers_to(field)?, side, parent.clone()))
            }));
            bearers.extend(merged_into(link).map(|into| (link.entity, Side::Crm, into.clone())));
            if let Some((entity, record)) = converted_into(link) {
                bearers.insert((entity, Side::Crm, record.clone()));
            }
            bearers.extend(owners(link).map(|(side, _, owner)| (link.entity, side, owner.clone())));
        }
        let bearers: Vec<Bearer> = bearers.into_iter().collect();
        if !bearers.is_empty() {
            self.bench.add(ledger.links_of(&bearers).await?);
        }
        self.resolve_references(plans, now);
        self.load_chains(ledger).await
    }

    /// Loads the owners of the values that the owners of refused values were refused, and so on;
    /// and what the survivors of merges were merged into.
    async fn load_chains<L: Ledger>(&mut self, ledger: &L) -> Result<(), LedgerError> {
        for _ in 0..CHAIN_MAX {
            let missing: BTreeSet<Bearer> = (self.bench.pieces.values())
                .flat_map(|piece| {
                    let owners = owners(&piece.link).map(|(side, _, owner)| (side, owner));
                    let next = owners.chain(merged_into(&piece.link).map(|into| (Side::Crm, into)));
                    next.map(|(side, record)| (piece.link.entity, side, record.clone()))
                })
                .filter(|bearer| self.bench.of(bearer).is_empty())
                .collect();
            if missing.is_empty() {
                break;
            }
            let missing: Vec<Bearer> = missing.into_iter().collect();
            let found = ledger.links_of(&missing).await?;
            if found.is_empty() {
                break;
            }
            self.bench.add(found);
        }
        Ok(())
    }

    /// The links that own what a link was refused, each owning what the one before it was; it ends
    /// where one was refused nothing, or back at the link.
    pub(super) fn chain(&self, link: &Link, side: Side, field: Field) -> Vec<&Link> {
        let mut chain: Vec<&Link> = Vec::new();
        let mut last = link;
        while let Some(owner) = owner_of(last, side, field)
            && let Some(piece) = self.bench.live(&(link.entity, side, owner.clone()))
            && chain.len() <= CHAIN_MAX
        {
            chain.push(&piece.link);
            last = &piece.link;
            if last.id == link.id {
                break;
            }
        }
        chain
    }

    /// Where a merged record went, through all that was merged since; `None` where it was not.
    pub(super) fn survivor(&self, link: &Link) -> Option<Survivor> {
        match link.state {
            LinkState::Live | LinkState::Alias(_) => (),
            LinkState::Severed | LinkState::Tombstone => return None,
        }
        let mut bearer = (link.entity, Side::Crm, merged_into(link)?.clone());
        for _ in 0..CHAIN_MAX {
            let alive = self.bench.live(&bearer).map(|piece| piece.link.id);
            let Some(id) = alive.or_else(|| self.bench.of(&bearer).first().copied()) else { break };
            let link = &self.bench.pieces.get(&id)?.link;
            match (&link.state, merged_into(link)) {
                (_, Some(into)) => bearer.2 = into.clone(),
                (LinkState::Live, None) => return Some(Survivor::Live(id)),
                (LinkState::Severed | LinkState::Tombstone, None) => return Some(Survivor::Ended),
                (LinkState::Alias(_), None) => break,
            }
        }
        Some(Survivor::Unknown(bearer))
    }

    /// Puts parents' links where fields name their records.
    fn resolve_references(&mut self, plans: &Plans, now: jiff::Timestamp) {
        for id in self.due.clone() {
            let Some(piece) = self.bench.pieces.get(&id) else { continue };
            let Some(plan) = plans.get(&piece.link.entity) else { continue };
            let found: Vec<(Side, Field, LinkId)> = (piece.link.unresolved())
                .filter_map(|(side, field, parent)| {
                    let bearer = (plan.refers_to(field)?, side, parent.clone());
                    Some((side, field, self.bench.stands_for(&bearer)?))
                })
                .collect();
            if let Some(piece) = self.bench.pieces.get_mut(&id) {
                for (side, field, parent) in &found {
                    piece.link.resolve(*side, *field, *parent);
                }
                if !found.is_empty() {
                    piece.link.agree(&plan.policy, now);
                    piece.dirty = true;
                }
            }
        }
    }

    async fn load_candidates<L: Ledger>(
        &mut self,
        ledger: &L,
        plans: &Plans,
    ) -> Result<(), LedgerError> {
        let mut asked: BTreeMap<Entity, BTreeMap<String, BTreeSet<LinkId>>> = BTreeMap::new();
        for link in self.due_links().filter(|link| alone(link).is_some()) {
            let Some(plan) = plans.get(&link.entity) else { continue };
            let Sides { campaign, crm } = keys(link, &plan.policy);
            for key in campaign.into_iter().chain(crm) {
                asked.entry(link.entity).or_default().entry(key).or_default().insert(link.id);
            }
        }
        let mut wanted: BTreeSet<LinkId> = BTreeSet::new();
        for (entity, by_key) in asked {
            let keys: Vec<String> = by_key.keys().cloned().collect();
            for side in Side::BOTH {
                for (key, found) in ledger.matches(entity, side, &keys).await? {
                    for asking in by_key.get(&key).into_iter().flatten() {
                        if *asking != found {
                            self.candidates.entry(*asking).or_default().insert(found);
                            wanted.insert(found);
                        }
                    }
                }
            }
        }
        self.load_links(ledger, wanted).await
    }

    async fn load_parents<L: Ledger>(
        &mut self,
        ledger: &L,
        plans: &Plans,
    ) -> Result<(), LedgerError> {
        let refers = |plan: &Plan| plan.policy.fields.keys().any(|f| plan.refers_to(*f).is_some());
        if !plans.values().any(refers) {
            return Ok(());
        }
        let wanted = self.due_links().flat_map(Link::parents).collect();
        self.load_links(ledger, wanted).await
    }

    async fn load_links<L: Ledger>(
        &mut self,
        ledger: &L,
        wanted: BTreeSet<LinkId>,
    ) -> Result<(), LedgerError> {
        let missing = wanted.into_iter().filter(|id| !self.bench.pieces.contains_key(id));
        let missing: Vec<LinkId> = missing.collect();
        if !missing.is_empty() {
            self.bench.add(ledger.links(&missing).await?);
        }
        Ok(())
    }

    /// The counterpart of a link that stands alone.
    pub(super) fn counterpart(&self, link: &Link) -> Option<Matched> {
        let side = alone(link)?;
        let candidates = self.candidates.get(&link.id).into_iter().flatten();
        let candidates: Vec<&Link> = candidates
            .filter_map(|id| self.bench.pieces.get(id))
            .map(|piece| &piece.link)
            .collect();
        Some(find_match(link, side, &candidates))
    }

    /// Whether two links that stand alone may be taken for one now. Until both sides are scanned to
    /// their ends only those that name each other may: of two with the same values, another of them,
    /// or the one that bears the name, may not have come by yet.
    pub(super) fn may_pair(&self, a: LinkId, b: LinkId, plan: &Plan) -> bool {
        let links = self.bench.pieces.get(&a).zip(self.bench.pieces.get(&b));
        plan.creates != Gate::Later || links.is_some_and(|(a, b)| claims(&a.link, &b.link))
    }

    /// The records of the links that a link's fields refer to.
    pub(super) fn parents(&self, link: &Link) -> BTreeMap<LinkId, Sides<Option<RecordId>>> {
        let records = |link: &Link| {
            Sides::of(|side| {
                let here = link.seen[side].bond == Bond::Here;
                link.record(side).filter(|_| here).cloned()
            })
        };
        let known = |id| Some((id, records(&self.bench.pieces.get(&id)?.link)));
        link.parents().filter_map(known).collect()
    }
}

/// The side on which a live link stands alone, where the other never had a record nor is given one.
pub(super) fn alone(link: &Link) -> Option<Side> {
    if link.state != LinkState::Live {
        return None;
    }
    Side::BOTH.into_iter().find(|side| {
        let across = side.other();
        link.seen[*side].bond == Bond::Here
            && link.seen[across].bond == Bond::Never
            && link.sent[across].is_empty()
    })
}

/// The records that own unique values which this link was refused.
pub(super) fn owners(link: &Link) -> impl Iterator<Item = (Side, Field, &RecordId)> {
    link.blocks.iter().filter_map(|block| match &block.reason {
        BlockReason::Refused { refusal, .. } => match &refusal.kind {
            RefusalKind::Unique(Some(owner)) => Some((block.side, block.field?, owner)),
            RefusalKind::Unique(None)
            | RefusalKind::Record
            | RefusalKind::Mapping
            | RefusalKind::Dependency => None,
        },
        BlockReason::Stale(_)
        | BlockReason::Flapping
        | BlockReason::Braked
        | BlockReason::Swapping
        | BlockReason::PutOff(_)
        | BlockReason::Released(_) => None,
    })
}
