//! Links that have to do with each other: one merged into another, two that are one, values that
//! change owners.

use std::time::Duration;

use crate::ledger::{Bearer, Ledger};
use crate::reconcile::decide::{Held, HeldReason};
use crate::reconcile::join::{self, Merging};
use crate::reconcile::link::{Block, BlockReason, Release};
use crate::reconcile::swap::{Untangle, untangle};
use crate::reconcile::{Field, Lane, LinkId, Shape, Side};

use super::absorb::converted_into;
use super::log;
use super::plan::Plan;
use super::prepare::{Prepared, Survivor, owners};
use super::settle::{AMBIGUOUS_LOOK, READ_AGAIN, Round};
use super::time::Clock;
use super::working::{awaited, later};

/// The consent fields that two mappings have in common, which is told by their names.
fn channels(a: &Plan, b: &Plan) -> Vec<(Field, Field)> {
    let is_consent = |plan: &Plan, field| {
        plan.policy.fields.get(field).is_some_and(|r| r.shape == Shape::Consent)
    };
    let own = a.field_names.iter().filter(|(field, _)| is_consent(a, field));
    own.filter_map(|(field, name)| {
        let mut others = b.field_names.iter().filter(|(field, _)| is_consent(b, field));
        others.find(|(_, other)| *other == name).map(|(other, _)| (*field, *other))
    })
    .collect()
}

impl<L: Ledger, C: Clock> Round<'_, L, C> {
    /// Takes a CRM's merge in; true where the link is done with for now.
    pub(super) fn merge(&mut self, prepared: &mut Prepared, id: LinkId, plan: &Plan) -> bool {
        let Some(piece) = prepared.bench.pieces.get(&id) else { return true };
        let survivor = match prepared.survivor(&piece.link) {
            Some(Survivor::Live(survivor)) if survivor != id => survivor,
            Some(Survivor::Live(_)) | None => return false,
            Some(Survivor::Ended) => return self.await_survivor(prepared, id, plan, None),
            Some(Survivor::Unknown(bearer)) => {
                return self.await_survivor(prepared, id, plan, Some(bearer));
            }
        };
        let Some(mut other) = prepared.bench.pieces.remove(&survivor) else { return true };
        let Some(piece) = prepared.bench.pieces.get_mut(&id) else { return true };
        match join::merge(&mut piece.link, &mut other.link, &plan.policy, self.now) {
            Merging::TookOver => {
                prepared.bench.pieces.insert(survivor, other);
                prepared.bench.remove(survivor);
            }
            Merging::Alias => {
                other.due_at(self.now, Lane::Consent);
                prepared.bench.pieces.insert(survivor, other);
            }
        }
        prepared.bench.reindex(id);
        prepared.bench.join(id, survivor);
        self.look_again(prepared, id, Duration::ZERO);
        self.log(id, "merged");
        true
    }

    /// Takes a lead's conversion in: the record that it became stands for the lead's from then on.
    /// True where the link is done with for now; what is not taken in is held when it is decided.
    pub(super) fn convert(&mut self, prepared: &mut Prepared, id: LinkId, plan: &Plan) -> bool {
        let Some(piece) = prepared.bench.pieces.get_mut(&id) else { return true };
        let Some((entity, record)) = converted_into(&piece.link) else { return false };
        let Some(of) = self.desk.plans.get(&entity) else { return false };
        let bearer = (entity, Side::Crm, record.clone());
        let since = *piece.link.waiting_since.get_or_insert(self.now);
        let Some(into) = prepared.bench.live(&bearer).map(|piece| piece.link.id) else {
            if later(since, plan.policy.wait_limit) <= self.now {
                return false;
            }
            self.settled.reads.insert(bearer);
            self.look_again(prepared, id, READ_AGAIN);
            return true;
        };
        let Some(mut other) = prepared.bench.pieces.remove(&into) else { return true };
        let Some(piece) = prepared.bench.pieces.get_mut(&id) else { return true };
        let channels = channels(plan, of);
        let taken = join::convert(&mut piece.link, &mut other.link, &channels, &plan.policy);
        if taken {
            piece.held.clear();
            // By the name that it bears now, others are to be found first: in the next round.
            other.due_at(self.now, Lane::Consent);
            self.paired.insert(into);
        }
        prepared.bench.pieces.insert(into, other);
        if taken {
            prepared.bench.reindex(id);
            prepared.bench.join(id, into);
            self.log(id, "converted");
        }
        taken
    }

    /// Makes one link of two that stand for the same thing; gives its number.
    pub(super) fn pair(
        &mut self,
        prepared: &mut Prepared,
        a: LinkId,
        b: LinkId,
        plan: &Plan,
    ) -> LinkId {
        let side_of = |prepared: &Prepared, id| {
            prepared.bench.pieces.get(&id).and_then(|piece| super::prepare::alone(&piece.link))
        };
        let (campaign, crm) = match side_of(prepared, a) {
            Some(Side::Campaign) => (a, b),
            Some(Side::Crm) => (b, a),
            None => return a,
        };
        let Some(other) = prepared.bench.pieces.get(&crm).map(|piece| piece.link.clone()) else {
            return a;
        };
        let Some(piece) = prepared.bench.pieces.get_mut(&campaign) else { return a };
        piece.link = join::pair(piece.link.clone(), other, &plan.policy, self.now);
        piece.due = None;
        piece.dirty = true;
        prepared.bench.remove(crm);
        prepared.bench.reindex(campaign);
        prepared.bench.join(campaign, crm);
        self.paired.insert(campaign);
        self.log(campaign, "paired");
        campaign
    }

    /// Resolves values that another record owned when they were refused (rule 12).
    pub(super) fn untangle(&mut self, prepared: &mut Prepared, id: LinkId, plan: &Plan) {
        let Some(piece) = prepared.bench.pieces.get(&id) else { return };
        let link = piece.link.clone();
        for (side, field, owner) in owners(&link) {
            let Some(rule) = plan.policy.fields.get(&field) else { continue };
            let verdict = untangle(&link, &prepared.chain(&link, side, field), side, (field, rule));
            let awaited = awaited(&prepared.bench, link.entity, side, owner.clone());
            let moment = self.moment(prepared, id, plan);
            let Some(piece) = prepared.bench.pieces.get_mut(&id) else { return };
            match verdict {
                Untangle::Keep => (),
                Untangle::Free => piece.link.unblock(field, side),
                Untangle::Wait => {
                    piece.waits_for.insert(awaited);
                    piece.due_at(later(self.now, READ_AGAIN), Lane::Ordinary);
                }
                Untangle::Temporary(value) => {
                    if let Some(write) = piece.link.write_temporary(side, field, value, &moment) {
                        self.decisions.push(log::swap(&piece.link, &write, field, self.now));
                        piece.link.unblock(field, side);
                        let reason = BlockReason::Swapping;
                        let since = self.now;
                        piece.link.blocks.push(Block { field: Some(field), side, reason, since });
                        self.send(prepared, id, write);
                    }
                }
            }
        }
    }

    /// The record that another was merged into is read until it shows, within bounds: then, or at
    /// once where it is known to be gone itself, a person says what becomes of the one that is
    /// left. True where the link is done with for now.
    fn await_survivor(
        &mut self,
        prepared: &mut Prepared,
        id: LinkId,
        plan: &Plan,
        survivor: Option<Bearer>,
    ) -> bool {
        let Some(piece) = prepared.bench.pieces.get_mut(&id) else { return true };
        // To let go what the brake holds says nothing of a record that was merged.
        match piece.link.released() {
            Some(Release::Delete | Release::Recreate) => return false,
            Some(Release::Go) | None => (),
        }
        let since = *piece.link.waiting_since.get_or_insert(self.now);
        if let Some(survivor) = survivor
            && self.now < later(since, plan.policy.wait_limit)
        {
            self.settled.reads.insert(survivor);
            self.look_again(prepared, id, READ_AGAIN);
            return true;
        }
        let held = Held { field: None, reason: HeldReason::Merged };
        self.hold(prepared, id, plan, &[held]);
        self.look_again(prepared, id, AMBIGUOUS_LOOK);
        true
    }
}
