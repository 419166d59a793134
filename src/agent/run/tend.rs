//! What is looked at every few seconds: gates that a person released, totals, metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::agent::AgentError;
use crate::agent::compared::is_open;
use crate::agent::epochs::gate_fact;
use crate::agent::held::retry_held;
use crate::agent::kept::{brake_fact, read_brake};
use crate::agent::time::{Clock as _, soon};
use crate::ledger::{Counts, Ledger, State};
use crate::reconcile::decide::Gate;
use crate::reconcile::{Entity, Lane};
use crate::telemetry::metrics;

use super::shared::{Gates, Shared, stumble};
use super::watch::tell_ages;

/// How often: a release by a person is seen within this.
const EVERY: Duration = Duration::from_secs(1);

/// Counting takes a while in a large ledger: this many times what it took passes between two
/// counts, so that a small one is counted in every round.
const COUNT_SHARE: u32 = 20;

/// But no longer than this.
const COUNT_EVERY_MAX: Duration = Duration::from_mins(1);

/// Tends until the loops stop.
pub(super) async fn tend<L: Ledger>(shared: Arc<Shared<L>>) -> Result<(), AgentError> {
    let name: Arc<str> = "tend".into();
    shared.health.begins(&name, None);
    let (mut next_count, mut failures) = (Instant::now(), 0);
    let mut told = BTreeSet::new();
    while !shared.is_stopping() {
        tell_ages(&shared);
        let done = match refresh(&shared).await {
            Ok(()) if next_count <= Instant::now() => {
                let begun = Instant::now();
                let counted = count(&shared, &mut told).await;
                let pause = begun.elapsed().saturating_mul(COUNT_SHARE).min(COUNT_EVERY_MAX);
                next_count = Instant::now() + pause;
                counted
            }
            other => other,
        };
        match done {
            Ok(()) => {
                failures = 0;
                shared.health.beats(&name);
                shared.rest(EVERY).await;
            }
            Err(error) => {
                let Some(delay) = stumble(&shared.health, &name, &error, failures) else {
                    return Err(error);
                };
                failures += 1;
                shared.rest(delay).await;
            }
        }
    }
    Ok(())
}

/// Looks at what may be created and deleted now.
pub async fn refresh<L: Ledger>(shared: &Shared<L>) -> Result<(), AgentError> {
    let mut gates = BTreeMap::new();
    for (entity, plan) in &*shared.plans {
        let held = shared.ledger.fact(&gate_fact(plan)).await?.is_some_and(|fact| !fact.is_null());
        let open = is_open(&*shared.ledger, &shared.plans, plan).await?;
        let creates = match (held, open) {
            (true, _) => Gate::Held,
            (false, true) => Gate::Open,
            (false, false) => Gate::Later,
        };
        let deletes = if held { Gate::Held } else { Gate::Open };
        gates.insert(*entity, Gates { creates, deletes });
        let brake = shared.ledger.fact(&brake_fact(plan)).await?;
        let on = brake.is_some_and(|fact| read_brake(&fact).on_since.is_some());
        metrics::brake(&plan.name, on);
    }
    let before = shared.gates.borrow().clone();
    if before == gates {
        return Ok(());
    }
    shared.gates.send_replace(gates.clone());
    for (entity, plan) in &*shared.plans {
        let held = |gates: &BTreeMap<Entity, Gates>| {
            gates.get(entity).is_some_and(|gates| gates.creates == Gate::Held)
        };
        // What was looked at while the gate was shut is looked at again.
        if held(&before) && !held(&gates) {
            let now = shared.clock.now();
            retry_held(&*shared.ledger, &shared.plans, plan, "epoch", now).await?;
            shared.wakes[plan.account].notify_one();
        }
    }
    Ok(())
}

/// Counts what each mapping has.
pub(super) async fn count<L: Ledger>(
    shared: &Shared<L>,
    told: &mut BTreeSet<(Entity, String)>,
) -> Result<(), AgentError> {
    let counts = shared.ledger.counts(soon(shared.clock.now())).await?;
    let Counts { links, due, held, opposed, .. } = counts;
    let mut totals = BTreeMap::new();
    for (entity, plan) in &*shared.plans {
        let live = links.get(&(*entity, State::Live)).copied().unwrap_or(0);
        totals.insert(*entity, live);
        metrics::links(&plan.name, live);
        metrics::opposed(&plan.name, opposed.get(entity).copied().unwrap_or(0));
        for lane in Lane::ALL {
            metrics::due(&plan.name, lane, due.get(&(*entity, lane)).copied().unwrap_or(0));
        }
    }
    shared.totals.send_replace(totals);
    let ordinary = due.iter().filter(|((_, lane), _)| *lane == Lane::Ordinary);
    let waiting = ordinary.map(|((entity, _), count)| (*entity, *count)).collect();
    shared.waiting.send_replace(waiting);
    told.extend(held.keys().cloned());
    for (entity, reason) in told.iter() {
        if let Some(plan) = shared.plans.get(entity) {
            let count = held.get(&(*entity, reason.clone())).copied().unwrap_or(0);
            metrics::held_by(&plan.name, reason, count);
        }
    }
    Ok(())
}
