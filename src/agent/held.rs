//! What waits for a person, and the ways out of it.
//!
//! Each changes links in the ledger as any other step does, by their versions, so it may be done
//! beside a running agent, which then finds them due.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::ledger::{Batch, HeldFilter, HeldLink, HeldPage, Ledger};
use crate::reconcile::brake::Brake;
use crate::reconcile::link::{Block, BlockReason, Release};
use crate::reconcile::{Bond, Field, Lane, Link, LinkId, RecordId, Shape, Side};

use super::AgentError;
use super::epochs::gate_fact;
use super::error::unless_conflict;
use super::kept::{brake_fact, write_brake};
use super::plan::{Plan, Plans};
use super::working::Bench;

/// Which of the held.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// By mapping, field, reason.
    pub filter: HeldFilter,
    /// Those with a record of this key, on either side.
    pub key: Option<RecordId>,
}

/// A way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Forget refusals and what else was learnt, and try again.
    Retry,
    /// Let go what the brake, an epoch or the look of a secured column holds; of two records of
    /// which one is gone, leave the other alone from now on.
    Release,
    /// Of two records of which one is gone, delete the other too.
    Delete,
    /// Of two records of which one is gone, make it again from the other.
    Recreate,
    /// Let this side's value of each field stand.
    Take(Side),
}

/// So many held links are taken at once.
const PAGE: usize = 500;

/// The held links, all of them up to a bound.
pub async fn list<L: Ledger>(
    ledger: &L,
    wanted: &Wanted,
    limit: usize,
) -> Result<Vec<HeldLink>, AgentError> {
    let mut found = Vec::new();
    let mut after = None;
    while found.len() < limit {
        let page = ledger.held(&wanted.filter, HeldPage { after, limit: PAGE }).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.link);
        found.extend(page.into_iter().filter(|held| wanted.takes(held)));
    }
    found.truncate(limit);
    Ok(found)
}

impl Wanted {
    fn takes(&self, held: &HeldLink) -> bool {
        let bears = |key: &RecordId| {
            Side::BOTH.into_iter().any(|side| held.records[side].as_ref() == Some(key))
        };
        self.key.as_ref().is_none_or(bears)
    }
}

/// What came of opening a way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// For so many links.
    pub links: usize,
    /// It is no way for what holds these, by the reason.
    pub left: BTreeMap<String, usize>,
}

/// Opens a way for each of the held that is wanted; says for how many.
pub async fn open<L: Ledger>(
    ledger: &L,
    plans: &Plans,
    wanted: &Wanted,
    way: Way,
    now: Timestamp,
) -> Result<Opened, AgentError> {
    let mut opened = Opened::default();
    let mut after = None;
    loop {
        let page = ledger.held(&wanted.filter, HeldPage { after, limit: PAGE }).await?;
        let Some(last) = page.last().map(|held| held.link) else { return Ok(opened) };
        let page: Vec<HeldLink> = page.into_iter().filter(|held| wanted.takes(held)).collect();
        let left = loop {
            if let Some(left) = open_page(ledger, plans, &page, way, now).await? {
                break left;
            }
        };
        for held in page {
            if !left.contains(&held.link) {
                opened.links += 1;
            } else if let Some(held) = held.held.first() {
                *opened.left.entry(held.reason.clone()).or_default() += 1;
            }
        }
        after = Some(last);
    }
}

/// One page; the links that it is no way for. Nothing where a link has changed meanwhile, so that
/// it is taken again.
async fn open_page<L: Ledger>(
    ledger: &L,
    plans: &Plans,
    page: &[HeldLink],
    way: Way,
    now: Timestamp,
) -> Result<Option<BTreeSet<LinkId>>, AgentError> {
    let ids: Vec<LinkId> = page.iter().map(|held| held.link).collect();
    let mut bench = Bench::default();
    bench.add(ledger.links(&ids).await?);
    let mut left = BTreeSet::new();
    for held in page {
        let Some(piece) = bench.pieces.get_mut(&held.link) else { continue };
        let Some(plan) = plans.get(&held.entity) else { continue };
        if go(&mut piece.link, held, way, plan, now) {
            piece.due_at(now, Lane::Ordinary);
        } else {
            left.insert(held.link);
        }
    }
    let batch = bench.into_batch(plans, now);
    if batch.is_empty() {
        return Ok(Some(left));
    }
    match ledger.store(batch).await {
        Ok(()) => Ok(Some(left)),
        Err(error) => unless_conflict(error).map(|_| None),
    }
}

/// Opens a way for one link; false where it is none for what holds it.
fn go(link: &mut Link, held: &HeldLink, way: Way, plan: &Plan, now: Timestamp) -> bool {
    match way {
        Way::Retry => {
            link.blocks.retain(|block| matches!(block.reason, BlockReason::Released(_)));
            link.trail.clear();
            link.waiting_since = None;
            true
        }
        Way::Release if one_is_gone(link, held) => {
            link.sever(&plan.policy);
            true
        }
        Way::Release => let_go(link, held, now),
        Way::Delete if one_is_gone(link, held) => release(link, Release::Delete, now),
        Way::Recreate if one_is_gone(link, held) => release(link, Release::Recreate, now),
        // Held for another reason: what was said is no answer to it.
        Way::Delete | Way::Recreate => false,
        Way::Take(side) => {
            let fields: Vec<Field> = held.held.iter().filter_map(|held| held.field).collect();
            fields.into_iter().filter(|field| take(link, side, *field, plan)).count() > 0
        }
    }
}

/// Lets a side's value of a field stand, where it may go over. Consent is nobody's to rule here: an
/// opt-out stands until it is taken back where it was said.
fn take(link: &mut Link, side: Side, field: Field, plan: &Plan) -> bool {
    let Some(rule) = plan.policy.fields.get(&field) else { return false };
    if rule.shape == Shape::Consent || !rule.direction.allows(side.other()) {
        return false;
    }
    let Some(value) = link.seen[side].value(field).cloned() else { return false };
    link.ruled.insert(field, value);
    link.blocks.retain(|block| block.field != Some(field));
    true
}

/// Lets go of what needs no more than a word.
fn let_go(link: &mut Link, held: &HeldLink, now: Timestamp) -> bool {
    let is = |reasons: &[&str]| held.held.iter().any(|held| reasons.contains(&&*held.reason));
    if is(&["braked", "epoch", "blanked"]) {
        return release(link, Release::Go, now);
    }
    let freed = is(&["stale", "flapping"]);
    if freed {
        forget(link);
    }
    freed
}

/// Whether a link waits because one of its two records is no longer there, and that is so still.
fn one_is_gone(link: &Link, held: &HeldLink) -> bool {
    let absent = ["deleted", "deleted_and_changed", "missing", "truncated", "merged"];
    held.held.iter().any(|held| absent.contains(&&*held.reason))
        && Side::BOTH.iter().any(|side| link.seen[*side].bond != Bond::Here)
}

/// Forgets what was learnt of a link, but not what was refused.
fn forget(link: &mut Link) {
    let stays = |block: &Block| match block.reason {
        BlockReason::Refused { .. } | BlockReason::Swapping => true,
        BlockReason::Stale(_)
        | BlockReason::Flapping
        | BlockReason::Braked
        | BlockReason::Released(_) => false,
    };
    link.blocks.retain(stays);
    link.trail.clear();
}

fn release(link: &mut Link, how: Release, now: Timestamp) -> bool {
    forget(link);
    let reason = BlockReason::Released(how);
    link.blocks.push(Block { field: None, side: Side::Crm, reason, since: now });
    true
}

/// Lets a mapping's brake go, and what it held.
pub async fn release_brake<L: Ledger>(
    ledger: &L,
    plans: &Plans,
    plan: &Plan,
    now: Timestamp,
) -> Result<usize, AgentError> {
    let fact = (brake_fact(plan), write_brake(&Brake::default()));
    store_fact(ledger, fact, now).await?;
    let (entity, reason) = (Some(plan.policy.entity), Some("braked".to_owned()));
    let filter = HeldFilter { entity, reason, ..HeldFilter::default() };
    Ok(open(ledger, plans, &Wanted { filter, key: None }, Way::Release, now).await?.links)
}

/// Lets creates and deletes of a mapping go after a new epoch.
pub async fn release_epoch<L: Ledger>(
    ledger: &L,
    plans: &Plans,
    plan: &Plan,
    now: Timestamp,
) -> Result<usize, AgentError> {
    store_fact(ledger, (gate_fact(plan), Json::Null), now).await?;
    retry_held(ledger, plans, plan, "epoch", now).await
}

/// Looks again at what is held for a reason that is no more.
pub async fn retry_held<L: Ledger>(
    ledger: &L,
    plans: &Plans,
    plan: &Plan,
    reason: &str,
    now: Timestamp,
) -> Result<usize, AgentError> {
    let entity = Some(plan.policy.entity);
    let filter = HeldFilter { entity, reason: Some(reason.to_owned()), ..HeldFilter::default() };
    Ok(open(ledger, plans, &Wanted { filter, key: None }, Way::Retry, now).await?.links)
}

/// Keeps something that the agent knows beside its links.
pub async fn store_fact<L: Ledger>(
    ledger: &L,
    (name, fact): (String, Json),
    now: Timestamp,
) -> Result<(), AgentError> {
    let mut batch = Batch::new(now);
    batch.facts.insert(name, fact);
    match ledger.store(batch).await {
        Ok(()) => Ok(()),
        Err(error) => unless_conflict(error).map(drop),
    }
}
