//! Where everything stands, as the ledger knows it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::ledger::{Ledger, State};
use crate::reconcile::Side;

use super::AgentError;
use super::compared::{compared, scanned};
use super::epochs::{gate_fact, wanted_generation};
use super::kept::{brake_fact, read_brake};
use super::plan::{Plan, Plans};
use super::time::soon;

/// A mapping's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MappingStatus {
    /// Its name.
    pub mapping: String,
    /// Links by state.
    pub links: BTreeMap<&'static str, u64>,
    /// How many links are to be looked at, now or later.
    pub due: u64,
    /// Since when the oldest is.
    pub oldest_due: Option<Timestamp>,
    /// What waits for a person, by reason.
    pub held: BTreeMap<String, u64>,
    /// How far the scans have come.
    pub scan: ScanStatus,
    /// Since when the brake is on.
    pub braked_since: Option<Timestamp>,
    /// Fields that are paused as they are not what they were mapped as, each with why.
    pub paused: BTreeMap<String, String>,
    /// Whether creates and deletes wait for a person after a new epoch.
    pub epoch_held: bool,
}

/// How far scans have come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScanStatus {
    /// The comparison that is done; 0 before the first scan is.
    pub done: u64,
    /// The one that is wanted.
    pub wanted: u64,
    /// Records read of Campaign in the last one.
    pub campaign: u64,
    /// Records read of the CRM.
    pub crm: u64,
}

/// The state of each mapping.
pub async fn status<L: Ledger>(
    ledger: &L,
    plans: &Plans,
    now: Timestamp,
) -> Result<Vec<MappingStatus>, AgentError> {
    let counts = ledger.counts(soon(now)).await?;
    let mut all = Vec::new();
    for (entity, plan) in plans {
        let links = State::ALL
            .map(|state| (state.name(), counts.links.get(&(*entity, state)).copied().unwrap_or(0)));
        let due = counts.due.iter().filter(|((of, _), _)| of == entity).map(|(_, n)| n).sum();
        let held = counts.held.iter().filter(|((of, _), _)| of == entity);
        let held = held.map(|((_, reason), count)| (reason.clone(), *count)).collect();
        let brake = ledger.fact(&brake_fact(plan)).await?;
        let gate = ledger.fact(&gate_fact(plan)).await?;
        all.push(MappingStatus {
            mapping: plan.name.to_string(),
            links: links.into(),
            due,
            oldest_due: counts.oldest_due.get(entity).copied(),
            held,
            scan: scan(ledger, plan).await?,
            braked_since: brake.and_then(|fact| read_brake(&fact).on_since),
            paused: paused(ledger, plan).await?,
            epoch_held: gate.is_some_and(|gate| !gate.is_null()),
        });
    }
    Ok(all)
}

/// The fact that keeps which fields of a mapping are paused.
pub fn paused_fact(plan: &Plan) -> String {
    format!("paused/{}", plan.name)
}

async fn paused<L: Ledger>(
    ledger: &L,
    plan: &Plan,
) -> Result<BTreeMap<String, String>, AgentError> {
    let kept = ledger.fact(&paused_fact(plan)).await?;
    Ok(kept.and_then(|kept| serde_json::from_value(kept).ok()).unwrap_or_default())
}

async fn scan<L: Ledger>(ledger: &L, plan: &Plan) -> Result<ScanStatus, AgentError> {
    let wanted = wanted_generation(ledger, plan).await?;
    Ok(ScanStatus {
        done: compared(ledger, plan).await?.generation,
        wanted,
        campaign: scanned(ledger, plan, Side::Campaign).await?,
        crm: scanned(ledger, plan, Side::Crm).await?,
    })
}
