//! What waits for a person, and the ways out of it.
//!
//! Each changes links in the ledger as any other step does, by their versions, so it may be done
//! beside a running agent, which then finds them due.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::ledger::{Batch, Decision, Held as HeldRow, HeldFilter, HeldLink, HeldPage, Ledger};
use crate::reconcile::brake::Brake;
use crate::reconcile::link::{Block, BlockReason, Release};
use crate::reconcile::{Bond, Lane, Link, LinkId, RecordId, Side, Value};

use super::AgentError;
use super::epochs::gate_fact;
use super::error::unless_conflict;
use super::kept::{brake_fact, write_brake};
use super::log;
use super::plan::{Plan, Plans};
use super::resolve;
use super::working::Bench;

/// Which of the held.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// By mapping, field, reason.
    pub filter: HeldFilter,
    /// Those with a record of one of these keys, on either side; all where none is named.
    pub keys: Vec<RecordId>,
}

/// A way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Forget refusals and what else was learnt, and try again.
    Retry,
    /// The same, as the agent itself saw that the cause is gone.
    Again,
    /// Let go what the brake, an epoch or the look of a secured column holds; of two records of
    /// which one is gone, leave the other alone from now on.
    Release,
    /// Of two records of which one is gone, delete the other too.
    Delete,
    /// Of two records of which one is gone, make it again from the other.
    Recreate,
    /// Let this side's value of each field stand.
    Take(Side),
    /// Let this value of the field stand, on both sides.
    Give(Value),
    /// Let both sides hold what they hold, until either moves.
    Ignore,
}

/// When something was said, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct Word<'a> {
    /// When.
    pub at: Timestamp,
    /// Who said it, for the decision log; nobody where the agent itself did.
    pub by: Option<&'a str>,
}

impl From<Timestamp> for Word<'_> {
    fn from(at: Timestamp) -> Self {
        Self { at, by: None }
    }
}

/// So many held links are taken at once.
const PAGE: usize = 500;

/// What is listed, and how many more there are.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// The first of the held links.
    pub links: Vec<HeldLink>,
    /// How many are not among them, counted up to [`COUNTED_MAX`].
    pub more: usize,
}

/// More are not counted: nobody who reads that number would do otherwise by a larger one.
pub const COUNTED_MAX: usize = 100_000;

/// The held links up to a limit, and how many more there are.
pub async fn list<L: Ledger>(
    ledger: &L,
    wanted: &Wanted,
    limit: usize,
) -> Result<Listed, AgentError> {
    let mut listed = Listed::default();
    let mut after = None;
    while listed.more < COUNTED_MAX {
        let page = ledger.held(&wanted.filter, HeldPage { after, limit: PAGE }).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.link);
        for held in page.into_iter().filter(|held| wanted.takes(held)) {
            if listed.links.len() < limit {
                listed.links.push(held);
            } else {
                listed.more += 1;
            }
        }
    }
    Ok(listed)
}

impl Wanted {
    fn takes(&self, held: &HeldLink) -> bool {
        let bears = |key: &RecordId| {
            Side::BOTH.into_iter().any(|side| held.records[side].as_ref() == Some(key))
        };
        self.keys.is_empty() || self.keys.iter().any(bears)
    }
}

/// What came of opening a way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// For how many links something was changed.
    pub changed: usize,
    /// How many were left as they were, by why and what would be right.
    pub left: BTreeMap<&'static str, usize>,
}

impl Opened {
    /// Counts what came of others too.
    pub fn add(&mut self, other: Self) {
        self.changed += other.changed;
        for (why, links) in other.left {
            *self.left.entry(why).or_default() += links;
        }
    }
}

/// Opens a way for each of the held that is wanted.
pub async fn open<L: Ledger>(
    ledger: &L,
    plans: &Plans,
    wanted: &Wanted,
    way: &Way,
    word: Word<'_>,
) -> Result<Opened, AgentError> {
    let mut opened = Opened::default();
    let mut after = None;
    loop {
        let page = ledger.held(&wanted.filter, HeldPage { after, limit: PAGE }).await?;
        let Some(last) = page.last().map(|held| held.link) else { return Ok(opened) };
        let page: Vec<HeldLink> = page.into_iter().filter(|held| wanted.takes(held)).collect();
        opened.add(loop {
            if let Some(done) = open_page(ledger, plans, &page, way, word).await? {
                break done;
            }
        });
        after = Some(last);
    }
}

/// One page; nothing where a link has changed meanwhile, so that it is taken again.
async fn open_page<L: Ledger>(
    ledger: &L,
    plans: &Plans,
    page: &[HeldLink],
    way: &Way,
    word: Word<'_>,
) -> Result<Option<Opened>, AgentError> {
    let ids: Vec<LinkId> = page.iter().map(|held| held.link).collect();
    let mut bench = Bench::default();
    bench.add(ledger.links(&ids).await?);
    let mut opened = Opened::default();
    let mut decisions = Vec::new();
    for held in page {
        let Some(piece) = bench.pieces.get_mut(&held.link) else { continue };
        let Some(plan) = plans.get(&held.entity) else { continue };
        match go(&mut piece.link, held, way, plan, word) {
            Ok(told) => {
                opened.changed += 1;
                decisions.extend(told);
                piece.due_at(word.at, Lane::Ordinary);
            }
            Err(why) => *opened.left.entry(why).or_default() += 1,
        }
    }
    let mut batch = bench.into_batch(plans, word.at);
    batch.decisions = decisions;
    if batch.is_empty() {
        return Ok(Some(opened));
    }
    match ledger.store(batch).await {
        Ok(()) => Ok(Some(opened)),
        Err(error) => unless_conflict(error).map(|_| None),
    }
}

/// Opens the way for each thing that is held of a link, and says so for the log; an error says why
/// nothing was changed.
fn go(
    link: &mut Link,
    held: &HeldLink,
    way: &Way,
    plan: &Plan,
    word: Word<'_>,
) -> Result<Vec<Decision>, &'static str> {
    if matches!(way, Way::Retry | Way::Again) {
        link.blocks.retain(|block| matches!(block.reason, BlockReason::Released(_)));
        link.trail.clear();
        link.waiting_since = None;
        let told = way.told().map(|told| log::of_word(link, None, told, word));
        return Ok(told.into_iter().collect());
    }
    let (mut told, mut left, mut changed) = (Vec::new(), None, false);
    for held in &held.held {
        let opened = match way {
            Way::Retry | Way::Again => Ok(()),
            Way::Release => let_go(link, held, plan, word.at),
            Way::Delete => of_the_gone(link, held, (Release::Delete, word.at)),
            Way::Recreate => of_the_gone(link, held, (Release::Recreate, word.at)),
            Way::Take(side) => resolve::take(link, held, *side, plan),
            Way::Give(value) => resolve::give(link, held, value, plan),
            Way::Ignore => resolve::ignore(link, held, plan),
        };
        match opened {
            Ok(()) => {
                changed = true;
                let way = way.told();
                told.extend(way.map(|way| log::of_word(link, held.field, way, word)));
            }
            Err(why) => drop(left.get_or_insert(why)),
        }
    }
    // One thing that was let go is news enough; else the first reason stands for all.
    if changed { Ok(told) } else { Err(left.unwrap_or(NOTHING_HELD)) }
}

impl Way {
    /// Its word in the decision log, and whose value stands; nothing where no person said it.
    fn told(&self) -> Option<(&'static str, Option<Side>)> {
        Some(match self {
            Self::Again => return None,
            Self::Retry => ("retry", None),
            Self::Release => ("release", None),
            Self::Delete => ("delete", None),
            Self::Recreate => ("recreate", None),
            Self::Take(side) => ("take", Some(*side)),
            Self::Give(_) => ("value", None),
            Self::Ignore => ("ignore", None),
        })
    }
}

pub(super) const NOTHING_HELD: &str = "nothing is held any more";
const NEEDS_TAKE: &str = "whose value stands must be said: `truce held resolve` with --take campaign, \
    --take crm, --value or --ignore";
const NEEDS_RETRY: &str =
    "is not let go but tried again: mend the cause, then run `truce held retry`";
const NONE_GONE: &str = "--delete and --recreate are for records of which one is gone";
const BOTH_THERE: &str = "both records are there by now: `truce held retry` has them compared";
const UNDER_WAY: &str = "a write is under way: wait for its answer, then try again";

/// Lets one held thing go without saying more about it.
fn let_go(
    link: &mut Link,
    held: &HeldRow,
    plan: &Plan,
    now: Timestamp,
) -> Result<(), &'static str> {
    match &*held.reason {
        "deleted" | "deleted_and_changed" | "missing" | "truncated" | "merged" | "converted" => {
            one_is_gone(link)?;
            link.sever(&plan.policy);
        }
        "braked" | "epoch" | "blanked" => release(link, Release::Go, now),
        "stale" | "flapping" => {
            link.blocks.retain(|block| {
                !matches!(block.reason, BlockReason::Stale(_) | BlockReason::Flapping)
            });
            link.trail.clear();
        }
        "conflict" | "pairing" | "wider_opt_out" => return Err(NEEDS_TAKE),
        _ => return Err(NEEDS_RETRY),
    }
    Ok(())
}

/// Says what becomes of the record that is left, of two of which one is gone.
fn of_the_gone(
    link: &mut Link,
    held: &HeldRow,
    (how, now): (Release, Timestamp),
) -> Result<(), &'static str> {
    let absent = ["deleted", "deleted_and_changed", "missing", "truncated", "merged", "converted"];
    if !absent.contains(&&*held.reason) {
        return Err(NONE_GONE);
    }
    one_is_gone(link)?;
    release(link, how, now);
    Ok(())
}

/// Whether one record of a link is gone and the other there, as seen by now: what was held may be
/// older, and a record that is there on both sides is not let go silently.
fn one_is_gone(link: &Link) -> Result<(), &'static str> {
    match (&link.seen.campaign.bond, &link.seen.crm.bond) {
        (Bond::Gone(_), Bond::Here) | (Bond::Here, Bond::Gone(_)) => (),
        (Bond::Gone(_) | Bond::Here | Bond::Never, _) => return Err(BOTH_THERE),
    }
    let written = Side::BOTH.into_iter().any(|side| !link.sent[side].is_empty());
    if written { Err(UNDER_WAY) } else { Ok(()) }
}

fn release(link: &mut Link, how: Release, now: Timestamp) {
    let stays = |block: &Block| match block.reason {
        BlockReason::Refused { .. } | BlockReason::Swapping => true,
        BlockReason::Stale(_)
        | BlockReason::PutOff(_)
        | BlockReason::Flapping
        | BlockReason::Braked
        | BlockReason::Released(_) => false,
    };
    link.blocks.retain(stays);
    link.trail.clear();
    let reason = BlockReason::Released(how);
    link.blocks.push(Block { field: None, side: Side::Crm, reason, since: now });
}

/// Lets a mapping's brake go, and what it held.
pub async fn release_brake<L: Ledger>(
    ledger: &L,
    plans: &Plans,
    plan: &Plan,
    word: Word<'_>,
) -> Result<Opened, AgentError> {
    let fact = (brake_fact(plan), write_brake(&Brake::default()));
    store_fact(ledger, fact, word.at).await?;
    let (entity, reason) = (Some(plan.policy.entity), Some("braked".to_owned()));
    let filter = HeldFilter { entity, reason, ..HeldFilter::default() };
    open(ledger, plans, &Wanted { filter, keys: Vec::new() }, &Way::Release, word).await
}

/// Lets creates and deletes of a mapping go after a new epoch.
pub async fn release_epoch<L: Ledger>(
    ledger: &L,
    plans: &Plans,
    plan: &Plan,
    word: Word<'_>,
) -> Result<Opened, AgentError> {
    store_fact(ledger, (gate_fact(plan), Json::Null), word.at).await?;
    let (entity, reason) = (Some(plan.policy.entity), Some("epoch".to_owned()));
    let filter = HeldFilter { entity, reason, ..HeldFilter::default() };
    open(ledger, plans, &Wanted { filter, keys: Vec::new() }, &Way::Retry, word).await
}

/// Looks again at what is held for a reason that is no more.
pub async fn retry_held<L: Ledger>(
    ledger: &L,
    plans: &Plans,
    plan: &Plan,
    reason: &str,
    now: Timestamp,
) -> Result<Opened, AgentError> {
    let entity = Some(plan.policy.entity);
    let filter = HeldFilter { entity, reason: Some(reason.to_owned()), ..HeldFilter::default() };
    open(ledger, plans, &Wanted { filter, keys: Vec::new() }, &Way::Again, now.into()).await
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
