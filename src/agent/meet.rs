//! Links that have to do with each other: one merged into another, two that are one, values that
//! change owners.

use std::time::Duration;

use crate::ledger::{Bearer, Ledger};
use crate::reconcile::decide::{Held, HeldReason};
use crate::reconcile::join::{self, Merging};
use crate::reconcile::link::{Block, BlockReason, Release};
use crate::reconcile::swap::{Untangle, untangle};
use crate::reconcile::{Lane, LinkId, Side};

use super::log;
use super::plan::Plan;
use super::prepare::{Prepared, Survivor, owners};
use super::settle::{AMBIGUOUS_LOOK, READ_AGAIN, Round};
use super::time::Clock;
use super::working::{awaited, later};

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
