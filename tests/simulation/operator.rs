//! The operator: says of a field that is held whose value stands, or that both may.

use truce::agent::Plans;
use truce::agent::held::{Wanted, Way, list, open};
use truce::ledger::{HeldFilter, MemoryLedger};
use truce::reconcile::Side;

use super::steps::drive;
use super::world::{Shared, lock};

/// What two values are held for.
const REASONS: [&str; 2] = ["conflict", "pairing"];

/// Resolves one of the held fields, beside whatever else is under way; false where none is held.
pub(crate) fn resolves(ledger: &MemoryLedger, plans: &Plans, world: &Shared) -> bool {
    let mut held = Vec::new();
    for reason in REASONS {
        let filter = HeldFilter { reason: Some(reason.to_owned()), ..HeldFilter::default() };
        let wanted = Wanted { filter, keys: Vec::new() };
        let listed = drive(list(ledger, &wanted, usize::MAX), usize::MAX - 1);
        held.extend(listed.unwrap().unwrap().links);
    }
    if held.is_empty() {
        return false;
    }
    let (link, way, now) = {
        let mut world = lock(world);
        let one = world.rng.pick(&held).unwrap();
        let way = match world.rng.below(3) {
            0 => Way::Take(Side::Campaign),
            1 => Way::Take(Side::Crm),
            _ => Way::Ignore,
        };
        world.tell(|| format!("the operator: {way:?} of link {}", one.link));
        (one, way, world.now())
    };
    let reason = link.held.first().map(|held| held.reason.clone());
    let field = link.held.first().and_then(|held| held.field);
    let filter = HeldFilter { reason, field, link: Some(link.link), ..HeldFilter::default() };
    let wanted = Wanted { filter, keys: Vec::new() };
    // What cannot be, as it would go against a field's direction, is left and said.
    drive(open(ledger, plans, &wanted, &way, now.into()), usize::MAX - 1).unwrap().unwrap();
    true
}
