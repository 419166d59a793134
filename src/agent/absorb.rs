//! From a page of a feed into the ledger: links found or made, observed, stored with the cursor.

use std::collections::BTreeMap;

use crate::ledger::{Bearer, Ledger, Receipt};
use crate::peer::Cursor;
use crate::reconcile::link::Release;
use crate::reconcile::observe::News;
use crate::reconcile::{
    Bond, Entity, Gone, Lane, Link, LinkId, LinkState, Observation, Presence, Read, RecordId, Sent,
    Side, Target, Value,
};

use super::error::unless_conflict;
use super::log::resolved;
use super::plan::{Plan, Plans};
use super::time::Clock;
use super::working::{Bench, lane, later, spoken_of};
use super::{AgentError, Desk};

/// What became of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Absorbed {
    /// How many links had news.
    pub changed: usize,
    /// How many links were new.
    pub new: usize,
    /// Records whose sighting said nothing, as a write of theirs was under way: to be read again.
    pub deaf: Vec<RecordId>,
}

/// So often a page is done again because its links changed meanwhile; more is a bug or a storm.
const TRIES_MAX: u32 = 20;

/// Takes observations of one side into the ledger, with the cursors that they came with.
pub async fn absorb<L: Ledger, C: Clock>(
    desk: &Desk<'_, L, C>,
    side: Side,
    observations: &[Observation],
    cursors: &BTreeMap<String, Cursor>,
) -> Result<Absorbed, AgentError> {
    let Desk { ledger, clock, plans, .. } = *desk;
    let mut conflicts = 0;
    for _ in 0..TRIES_MAX {
        let mut bearers = Vec::new();
        for seen in observations {
            if let Some(plan) = plans.get(&seen.entity) {
                bearers.extend(spoken_of(seen, side, plan));
            }
        }
        bearers.sort();
        bearers.dedup();
        let mut bench = Bench::load(ledger, &bearers).await?;
        let strangers = count_strangers(&bench, observations, side);
        let mut numbers = if strangers == 0 { Vec::new() } else { ledger.draw(strangers).await? };
        let (numbers, receipts) = (&mut numbers, Vec::new());
        let mut page = Page { bench: &mut bench, plans, side, numbers, receipts };
        let absorbed = page.take_in(clock, observations);
        let receipts = page.receipts;
        let mut batch = bench.into_batch(plans, clock.now());
        batch.cursors.clone_from(cursors);
        batch.receipts = receipts;
        if batch.is_empty() {
            return Ok(absorbed);
        }
        match ledger.store(batch).await {
            Ok(()) => return Ok(absorbed),
            Err(error) => conflicts = unless_conflict(error)?.len(),
        }
    }
    Err(AgentError::Contended { links: conflicts, tries: TRIES_MAX })
}

/// An upper bound on the links that must be made.
fn count_strangers(bench: &Bench, observations: &[Observation], side: Side) -> usize {
    let unknown =
        |seen: &&Observation| bench.live(&(seen.entity, side, seen.record.clone())).is_none();
    let renamed = |seen: &&Observation| seen.was.is_some();
    observations.iter().filter(|seen| unknown(seen) || renamed(seen)).count()
}

struct Page<'a> {
    bench: &'a mut Bench,
    plans: &'a Plans,
    side: Side,
    numbers: &'a mut Vec<LinkId>,
    /// What became of writes whose answer was lost.
    receipts: Vec<Receipt>,
}

impl Page<'_> {
    fn take_in<C: Clock>(&mut self, clock: &C, observations: &[Observation]) -> Absorbed {
        let mut absorbed = Absorbed::default();
        for seen in observations {
            let Some(plan) = self.plans.get(&seen.entity) else { continue };
            let mut seen = seen.clone();
            self.translate(&mut seen, plan);
            for id in self.targets(&seen, plan, &mut absorbed) {
                match self.observe(id, &seen, plan, clock) {
                    News::Changed => absorbed.changed += 1,
                    News::Deaf => absorbed.deaf.push(seen.record.clone()),
                    News::Nothing | News::Older => (),
                }
            }
        }
        absorbed
    }

    /// References in terms that both sides understand, where the parent is known.
    fn translate(&self, seen: &mut Observation, plan: &Plan) {
        let Presence::Here { row, .. } = &mut seen.presence else { return };
        for (field, value) in row {
            if let (Value::Record(parent), Some(entity)) = (&*value, plan.refers_to(*field))
                && let Some(link) = self.bench.stands_for(&(entity, self.side, parent.clone()))
            {
                *value = Value::Link(link);
            }
        }
    }

    /// The links that a sighting is for; made where there is none.
    fn targets(&mut self, seen: &Observation, plan: &Plan, absorbed: &mut Absorbed) -> Vec<LinkId> {
        let bearer: Bearer = (seen.entity, self.side, seen.record.clone());
        let known = self.bench.of(&bearer);
        let mut alive: Vec<LinkId> =
            known.iter().copied().filter(|id| self.is_alive(*id)).collect();
        if let Some(renamed) = self.renamed(seen)
            && alive.iter().all(|id| self.is_found_alone(*id))
        {
            // Found by its new key before the log told of the change, it is the same record.
            for id in alive {
                self.bench.remove(id);
            }
            self.end_key(seen);
            return vec![renamed];
        }
        if !alive.is_empty() && !self.left_its_survivor(&alive, seen) {
            return alive;
        }
        if let Some(claimed) = self.claimed(seen) {
            return vec![claimed];
        }
        if let Some(ended) = known.first().and_then(|id| self.bench.pieces.get(id)) {
            let gone = seen.row().is_none();
            let severed = ended.link.state == LinkState::Severed && !self.was_gone(&ended.link);
            if gone || severed || ended.link.order(self.side, seen).is_some() {
                return Vec::new();
            }
            let id = ended.link.id;
            if self.revive(id, seen) {
                return vec![id];
            }
        }
        let Some(id) = self.numbers.pop() else { return Vec::new() };
        let link = match known.first().and_then(|id| self.bench.pieces.get(id)) {
            Some(ended) => ended.link.successor(id),
            None => self.stranger(id, seen),
        };
        let mut link = link;
        if seen.row().is_none() {
            link.state = LinkState::Tombstone;
            link.seen[self.side].record = Some(seen.record.clone());
            link.observe(self.side, seen, &plan.policy);
        }
        absorbed.new += 1;
        let tombstone = link.state == LinkState::Tombstone;
        let id = self.bench.create(link);
        alive.extend((!tombstone).then_some(id));
        alive
    }

    /// A CRM record that is back out of the recycle bin is the record again: a link of it that was
    /// ended because it was deleted, and whose other record was left alone, goes on.
    fn revive(&mut self, id: LinkId, seen: &Observation) -> bool {
        let Some(piece) = self.bench.pieces.get_mut(&id) else { return false };
        let back = self.side == Side::Crm
            && piece.link.state == LinkState::Severed
            && piece.link.seen.crm.record.as_ref() == Some(&seen.record)
            && piece.link.seen.campaign.bond == Bond::Here;
        if back {
            piece.link.revive();
            piece.dirty = true;
        }
        back
    }

    /// A link for a record that none is known for; where it names a record that is gone it stands
    /// for the same person, and bears the consent that one left.
    fn stranger(&self, id: LinkId, seen: &Observation) -> Link {
        let named = seen.claims.clone().map(|key| (seen.entity, Side::Campaign, key));
        let named = named.and_then(|bearer| self.bench.of(&bearer).first().copied());
        let ended = named.filter(|id| !self.is_alive(*id));
        match ended.and_then(|id| self.bench.pieces.get(&id)) {
            Some(ended) => ended.link.successor(id),
            None => Link::new(id, seen.entity),
        }
    }

    /// Whether aliases alone bear a CRM record that is there: a refreshed CRM has undone the merge
    /// by which their survivor went on to another.
    fn left_its_survivor(&self, alive: &[LinkId], seen: &Observation) -> bool {
        let mut links = alive.iter().filter_map(|id| self.bench.pieces.get(id)).map(|p| &p.link);
        let left =
            |link: &Link| link.state != LinkState::Live && link.order(self.side, seen).is_none();
        self.side == Side::Crm && seen.row().is_some() && links.all(left)
    }

    fn is_alive(&self, id: LinkId) -> bool {
        self.bench.pieces.get(&id).is_some_and(|piece| match piece.link.state {
            LinkState::Live | LinkState::Alias(_) => true,
            LinkState::Severed | LinkState::Tombstone => false,
        })
    }

    /// Whether a link stands for a record of this side and nothing else.
    fn is_found_alone(&self, id: LinkId) -> bool {
        let link = self.bench.pieces.get(&id).map(|piece| &piece.link);
        link.is_some_and(|link| super::prepare::alone(link) == Some(self.side))
    }

    /// Whether this page's side of an ended link is the one that was deleted.
    fn was_gone(&self, ended: &Link) -> bool {
        matches!(ended.seen[self.side].bond, Bond::Gone(_))
    }

    /// The link of a Campaign record whose key was changed.
    fn renamed(&self, seen: &Observation) -> Option<LinkId> {
        let was = (seen.entity, self.side, seen.was.clone()?);
        self.bench.live(&was).map(|piece| piece.link.id)
    }

    /// The key that a record had is nobody's from here on: told again, an older word of it would be
    /// taken for a record of its own.
    fn end_key(&mut self, seen: &Observation) {
        let (Some(was), Some(id)) = (seen.was.clone(), self.numbers.pop()) else { return };
        let mut ended = Link::tombstone(id, seen.entity, self.side, was);
        let known = &mut ended.seen[self.side];
        known.at = seen.at;
        known.bond = Bond::Gone(Gone::Deleted);
        if let Read::Logged { xid } = seen.read {
            known.xid = xid;
        }
        self.bench.create(ended);
    }

    /// The link whose Campaign record this CRM record names, where that has no CRM record yet, or
    /// has lost it: the new one was made by us, perhaps long ago, or bears the name all the same.
    fn claimed(&self, seen: &Observation) -> Option<LinkId> {
        seen.row()?;
        let claimed = (seen.entity, Side::Campaign, seen.claims.clone()?);
        let link = &self.bench.live(&claimed)?.link;
        let creates = |sent: &Sent| matches!(sent.write.target, Target::New { .. });
        let lacks = match &link.seen.crm.bond {
            Bond::Never | Bond::Gone(Gone::Deleted | Gone::Truncated | Gone::Missing) => true,
            Bond::Here | Bond::Gone(Gone::Merged(_) | Gone::Converted(_)) => false,
        };
        let made = lacks || link.sent.crm.iter().any(creates);
        made.then_some(link.id)
    }

    fn observe<C: Clock>(
        &mut self,
        id: LinkId,
        seen: &Observation,
        plan: &Plan,
        clock: &C,
    ) -> News {
        let Some(piece) = self.bench.pieces.get_mut(&id) else { return News::Nothing };
        let asked = piece.link.seen[self.side].asked;
        let skew = clock.clocks(plan.account)[self.side];
        let sent = piece.link.sent[self.side].clone();
        let news = piece.link.observe_by(self.side, seen, &plan.policy, Some(skew));
        self.receipts.extend(resolved(&sent, &piece.link, self.side, clock.now()));
        // That a record was read since an answer was lost is what its next read waits for.
        let read = asked != piece.link.seen[self.side].asked;
        if news == News::Nothing && read && !piece.link.sent[self.side].is_empty() {
            piece.due_at(clock.now(), lane(&piece.link, &plan.policy));
        }
        if news == News::Changed {
            let now = clock.now();
            let lane = lane(&piece.link, &plan.policy);
            let at = match lane {
                Lane::Consent => now,
                // Campaign is written at once: that costs no calls.
                Lane::Ordinary if self.side == Side::Crm => now,
                Lane::Ordinary => later(now, plan.linger.get()),
            };
            piece.due_at(at, lane);
            self.bench.reindex(id);
        }
        news
    }
}

/// Whether a gone record was merged.
pub fn merged_into(link: &Link) -> Option<&RecordId> {
    match &link.seen.crm.bond {
        Bond::Gone(Gone::Merged(into)) => Some(into),
        Bond::Gone(Gone::Deleted | Gone::Truncated | Gone::Missing | Gone::Converted(_))
        | Bond::Here
        | Bond::Never => None,
    }
}

/// The record of another mapping that a live link's lead was converted into, where there is one and
/// nobody has said what else is to follow.
pub fn converted_into(link: &Link) -> Option<(Entity, &RecordId)> {
    let told = matches!(link.released(), Some(Release::Delete | Release::Recreate));
    match &link.seen.crm.bond {
        Bond::Gone(Gone::Converted(Some((entity, record))))
            if link.state == LinkState::Live && !told =>
        {
            Some((*entity, record))
        }
        Bond::Gone(
            Gone::Converted(_) | Gone::Deleted | Gone::Truncated | Gone::Missing | Gone::Merged(_),
        )
        | Bond::Here
        | Bond::Never => None,
    }
}
