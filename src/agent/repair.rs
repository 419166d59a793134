//! One-off comparisons of single records: each is read on both sides and decided again.
//!
//! A person asks for them by leaving their keys with the ledger, and whoever leads carries them out:
//! only its clock orders a read of the CRM among all others. A part of the keys is one fact, which is
//! forgotten in the store that follows its reads; killed in between, it is read once more.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::ledger::{Batch, Bearer, Kept, Ledger};
use crate::peer::Scan;
use crate::reconcile::{LinkState, Observation, RecordId, Side};

use super::absorb::absorb;
use super::error::unless_conflict;
use super::plan::Plan;
use super::time::{Clock, Ticks};
use super::working::{Bench, lane};
use super::{AgentError, Desk};

/// So many keys are one part: as many records as a call of Salesforce reads.
const PART: usize = 2000;

/// So often a part's links are loaded again because they changed meanwhile.
const TRIES_MAX: u32 = 20;

/// The names of a mapping's parts begin so.
fn prefix(plan: &Plan) -> String {
    format!("sync/{}/", plan.name)
}

/// Leaves keys of a mapping, of either side, to be compared; what is returned tells them from others.
pub async fn ask<L: Ledger>(
    ledger: &L,
    plan: &Plan,
    keys: &BTreeSet<RecordId>,
    now: Timestamp,
) -> Result<String, AgentError> {
    let request = format!("{}{:020}", prefix(plan), now.as_microsecond());
    let keys: Vec<&str> = keys.iter().map(|key| &*key.0).collect();
    let mut batch = Batch::new(now);
    for (number, part) in keys.chunks(PART).enumerate() {
        batch.facts.insert(format!("{request}/{number:06}"), json!(part));
    }
    match ledger.store(batch).await {
        Ok(()) => Ok(request),
        Err(error) => unless_conflict(error).map(|_| request),
    }
}

/// How many parts of a request are left.
pub async fn left<L: Ledger>(ledger: &L, request: &str) -> Result<usize, AgentError> {
    Ok(ledger.facts(&format!("{request}/")).await?.len())
}

/// A part, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    name: String,
    keys: Vec<RecordId>,
}

/// The next part that was asked for.
pub async fn next<L: Ledger>(ledger: &L, plan: &Plan) -> Result<Option<Part>, AgentError> {
    let parts = ledger.facts(&prefix(plan)).await?;
    Ok(parts.into_iter().next().map(|(name, keys)| Part { name, keys: keys_of(&keys) }))
}

fn keys_of(fact: &Json) -> Vec<RecordId> {
    let keys = fact.as_array().into_iter().flatten();
    keys.filter_map(Json::as_str).map(RecordId::from).collect()
}

/// What reading a part came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// How many records were found.
    pub records: usize,
    /// Those of the CRM whose sighting said nothing, as a write of theirs was under way.
    pub deaf: BTreeSet<RecordId>,
}

/// Reads a part's records on both sides.
pub async fn read_part<L: Ledger, C: Clock>(
    desk: &Desk<'_, L, C>,
    plan: &Plan,
    part: &Part,
    (campaign, crm): (&mut impl Scan, &mut impl Scan),
) -> Result<Read, AgentError> {
    let links = desk.ledger.links_of(&bearers(plan, &part.keys)).await?;
    let wanted = |side| wanted(&links, &part.keys, side);
    let ours = read(desk, plan, (Side::Campaign, wanted(Side::Campaign)), campaign).await?;
    let theirs = read(desk, plan, (Side::Crm, wanted(Side::Crm)), crm).await?;
    Ok(Read { records: ours.records + theirs.records, deaf: theirs.deaf })
}

/// Reads records again; those of them that still say nothing.
pub async fn read_again<L: Ledger, C: Clock>(
    desk: &Desk<'_, L, C>,
    plan: &Plan,
    (side, records): (Side, BTreeSet<RecordId>),
    scan: &mut impl Scan,
) -> Result<BTreeSet<RecordId>, AgentError> {
    Ok(read(desk, plan, (side, records), scan).await?.deaf)
}

fn bearers(plan: &Plan, keys: &[RecordId]) -> Vec<Bearer> {
    let entity = plan.policy.entity;
    let both = keys.iter().flat_map(|key| Side::BOTH.map(|side| (entity, side, key.clone())));
    both.collect()
}

/// What is read of a side: the records of the links that bear a key, and each key that none bears,
/// as nobody knows whose it is.
fn wanted(links: &[Kept], keys: &[RecordId], side: Side) -> BTreeSet<RecordId> {
    let known: BTreeSet<&RecordId> = links
        .iter()
        .flat_map(|kept| Side::BOTH.map(|side| kept.link.record(side)))
        .flatten()
        .collect();
    let of_links = links.iter().filter_map(|kept| kept.link.record(side)).cloned();
    let strangers = keys.iter().filter(|key| !known.contains(key)).cloned();
    of_links.chain(strangers).collect()
}

async fn read<L: Ledger, C: Clock>(
    desk: &Desk<'_, L, C>,
    plan: &Plan,
    (side, records): (Side, BTreeSet<RecordId>),
    scan: &mut impl Scan,
) -> Result<Read, AgentError> {
    let entity = plan.policy.entity;
    let records: Vec<RecordId> = records.into_iter().collect();
    let mut found = Read::default();
    for records in records.chunks(PART) {
        let mut ticks = Ticks::new(desk.clock, desk.account, side);
        let mut seen = scan.read(entity, records, &mut ticks).await?;
        let bearers: Vec<Bearer> =
            records.iter().map(|record| (entity, side, record.clone())).collect();
        let known = desk.ledger.links_of(&bearers).await?;
        let known: BTreeSet<&RecordId> =
            known.iter().filter_map(|kept| kept.link.record(side)).collect();
        // Of a key that neither side knows there is nothing to keep.
        seen.retain(|seen: &Observation| seen.row().is_some() || known.contains(&seen.record));
        found.records += seen.iter().filter(|seen| seen.row().is_some()).count();
        found.deaf.extend(absorb(desk, side, &seen, &BTreeMap::new()).await?.deaf);
    }
    Ok(found)
}

/// Has a part's links decided again at once, and forgets the part.
pub async fn decide_again<L: Ledger, C: Clock>(
    desk: &Desk<'_, L, C>,
    plan: &Plan,
    part: &Part,
) -> Result<(), AgentError> {
    let mut conflicts = 0;
    for _ in 0..TRIES_MAX {
        let mut bench = Bench::load(desk.ledger, &bearers(plan, &part.keys)).await?;
        let now = desk.clock.now();
        for piece in bench.pieces.values_mut() {
            if piece.link.state == LinkState::Live {
                piece.due_at(now, lane(&piece.link, &plan.policy));
            }
        }
        let mut batch = bench.into_batch(desk.plans, now);
        batch.facts.insert(part.name.clone(), Json::Null);
        match desk.ledger.store(batch).await {
            Ok(()) => return Ok(()),
            Err(error) => conflicts = unless_conflict(error)?.len(),
        }
    }
    Err(AgentError::Contended { links: conflicts, tries: TRIES_MAX })
}
