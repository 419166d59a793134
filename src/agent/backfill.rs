//! First scans and comparisons: both sides read whole, in bounded memory, while the feeds go on.
//!
//! A mapping's progress is kept with the rows that made it, so a scan goes on where it was killed.
//! Nothing is created, nor paired by its values alone, before both sides of a mapping, and of those
//! it refers to, were read to their ends and the feeds have passed that moment: until then a
//! record's counterpart, or another that matches as well, may only not have come by yet. Then links
//! that stand alone are looked at again.
//!
//! A comparison is the same scan once more. After it each record that a link names is read by its
//! key, so that one which is no longer there is noticed; that is held, as absence is not deletion.
//! Between comparisons, the CRM's records are counted now and then (`census`), and single records
//! that a person asks for are compared (`repair`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::ledger::{Batch, Kept, Ledger};
use crate::peer::{Cursor, Outline, Scan};
use crate::reconcile::{Bond, Entity, Lane, LinkId, LinkState, RecordId, Side};
use crate::telemetry::{self, metrics};

use super::absorb::absorb;
use super::census::{self, Census};
use super::epochs::wanted_generation;
use super::error::unless_conflict;
use super::plan::{Plan, Plans};
use super::prepare::alone;
use super::repair;
use super::run::{CAMPAIGN_FEED, Come, Doors, Pass, Reads, Shared, crm_feed, stumble};
use super::time::{Clock as _, Ticks};
use super::working::{Bench, later};
use super::{AgentError, Desk};

/// What scans one account's mappings.
pub struct Backfill<L, C: Doors, A: Doors> {
    shared: Arc<Shared<L>>,
    account: usize,
    account_name: Arc<str>,
    name: Arc<str>,
    /// In the order of their references.
    order: Vec<Entity>,
    campaign: Arc<C>,
    crm: Arc<A>,
}

/// The most links that are looked at again at once; these are one transaction of the ledger.
const PAGE: usize = 2000;

/// The most rows of a page of a scan, also one transaction of the ledger. Each side bounds its own
/// reads below this, by its part of the config.
const ROWS_MAX: usize = 100_000;

/// The most records that are read by their keys at once: a call of Salesforce takes no more.
const READ: usize = 2000;

/// The most pages that a census takes at a look: comparisons that are asked for go first.
const CENSUS_PAGES: usize = 50;

/// How often to look whether a comparison is wanted, besides being told.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How often a line says how far a scan has come.
const TELL_EVERY: Duration = Duration::from_secs(10);

impl<L, C, A> Backfill<L, C, A>
where
    L: Ledger + 'static,
    C: Doors,
    A: Doors<Scan: Outline>,
{
    /// What scans this account's mappings.
    pub fn new(
        shared: &Arc<Shared<L>>,
        (account, account_name): (usize, Arc<str>),
        campaign: &Arc<C>,
        crm: &Arc<A>,
    ) -> Self {
        Self {
            account,
            account_name,
            name: format!("backfill/{account}").into(),
            order: in_order(&shared.plans, account),
            campaign: Arc::clone(campaign),
            crm: Arc::clone(crm),
            shared: Arc::clone(shared),
        }
    }

    /// Scans what is wanted until the loops stop.
    pub async fn run(self) -> Result<(), AgentError> {
        let shared = &self.shared;
        shared.health.begins(&self.name, None);
        let mut failures = 0;
        while !shared.is_stopping() {
            let done = tokio::select! {
                biased;
                () = shared.stopped() => return Ok(()),
                done = self.bring_all() => done,
            };
            let delay = match done {
                Ok(()) => {
                    failures = 0;
                    shared.health.beats(&self.name);
                    LOOK_EVERY
                }
                Err(error) => {
                    failures += 1;
                    match stumble(&shared.health, &self.name, &error, failures) {
                        Some(delay) => delay,
                        None => return Err(error),
                    }
                }
            };
            tokio::select! {
                () = shared.compares[self.account].notified() => (),
                () = shared.rest(delay) => (),
            }
        }
        Ok(())
    }

    async fn bring_all(&self) -> Result<(), AgentError> {
        let (ledger, plans) = (&*self.shared.ledger, &self.shared.plans);
        // Before any is scanned: what is looked at meanwhile waits for the end of that.
        for plan in self.order.iter().filter_map(|entity| plans.get(entity)) {
            shut(ledger, plans, plan, self.shared.clock.now()).await?;
        }
        for entity in &self.order {
            if let Some(plan) = self.shared.plans.get(entity) {
                self.bring(plan).await?;
            }
        }
        Ok(())
    }

    /// Brings a mapping to the comparison that is wanted.
    async fn bring(&self, plan: &Plan) -> Result<(), AgentError> {
        let ledger = &*self.shared.ledger;
        let wanted = wanted_generation(ledger, plan).await?;
        let done = compared(ledger, plan).await?;
        if done.generation < wanted {
            let feeds = self.feeds(plan);
            // What changes from here on comes by the feeds.
            self.shared.health.all_pass(&feeds, 0).await;
            tracing::info!(mapping = %plan.name, generation = wanted, "scanning both sides");
            tokio::try_join!(
                self.scan(plan, Side::Campaign, self.campaign.scan(), wanted),
                self.scan(plan, Side::Crm, self.crm.scan(), wanted),
            )?;
            if 1 < wanted {
                tokio::try_join!(
                    self.sweep(plan, Side::Campaign, self.campaign.scan(), wanted),
                    self.sweep(plan, Side::Crm, self.crm.scan(), wanted),
                )?;
            }
            self.shared.health.all_pass(&feeds, self.shared.clock.tick()).await;
            let woken = 0 < done.generation;
            self.keep(plan, Compared { generation: wanted, woken }).await?;
            tracing::info!(mapping = %plan.name, "both sides are scanned");
        }
        let done = compared(ledger, plan).await?;
        if !done.woken && is_open(ledger, &self.shared.plans, plan).await? {
            super::run::refresh(&self.shared).await?;
            self.wake(plan).await?;
            self.keep(plan, Compared { woken: true, ..done }).await?;
        }
        self.repair(plan).await?;
        self.count(plan).await
    }

    /// Compares the records that a person asks for.
    async fn repair(&self, plan: &Plan) -> Result<(), AgentError> {
        while let Some(part) = repair::next(&*self.shared.ledger, plan).await? {
            let (mut campaign, mut crm) = (self.campaign.scan(), self.crm.scan());
            let sides = (&mut campaign, &mut crm);
            let records = repair::repair(&self.desk(), plan, &part, sides).await?;
            tracing::info!(mapping = %plan.name, records, "compared what was asked for");
            self.shared.wakes[self.account].notify_one();
            self.shared.health.beats(&self.name);
        }
        Ok(())
    }

    /// Goes on with a census that is due, for some pages.
    async fn count(&self, plan: &Plan) -> Result<(), AgentError> {
        let Some(every) = plan.census else { return Ok(()) };
        let mut scan = self.crm.scan();
        for _ in 0..CENSUS_PAGES {
            let stands = Census::of(&*self.shared.ledger, plan).await?;
            let due = stands.and_then(|stands| stands.due(every, self.shared.clock.now()));
            let Some(count) = due else { return Ok(()) };
            let before = count.differing();
            let page = census::count(&self.desk(), plan, &mut scan, count).await?;
            let census::Counted { stands, counted, differing } = page;
            self.shared.health.beats(&self.name);
            if before < differing {
                metrics::census(&plan.name, differing - before);
                self.shared.wakes[self.account].notify_one();
            }
            if matches!(stands, Census::Done(_)) {
                tracing::info!(mapping = %plan.name, counted, differing, "all records are counted");
            }
        }
        Ok(())
    }

    fn feeds(&self, plan: &Plan) -> [Arc<str>; 2] {
        [CAMPAIGN_FEED.into(), crm_feed(&self.account_name, &plan.name).into()]
    }

    /// Reads one side's records from where that was left off to their end.
    async fn scan<S: Scan>(
        &self,
        plan: &Plan,
        side: Side,
        mut scan: S,
        generation: u64,
    ) -> Result<(), AgentError> {
        let name = scan_cursor(plan, side);
        let kept = self.shared.ledger.cursor(&name).await?;
        let mut progress = Progress::of(&kept, generation);
        let mut told = tokio::time::Instant::now();
        while !progress.done {
            let mut ticks = Ticks::new(&*self.shared.clock, self.account, side);
            let after = progress.after.as_ref();
            let rows = scan.scan(plan.policy.entity, after, ROWS_MAX, &mut ticks).await?;
            progress.count += rows.len() as u64;
            progress.done = rows.is_empty();
            progress.after = rows.last().map(|row| row.record.clone()).or(progress.after);
            let cursors = BTreeMap::from([(name.clone(), progress.cursor())]);
            absorb(&self.desk(), side, &rows, &cursors).await?;
            self.shared.wakes[self.account].notify_one();
            self.shared.health.beats(&self.name);
            metrics::observed(&plan.name, side, rows.len() as u64);
            if TELL_EVERY < told.elapsed() || progress.done {
                told = tokio::time::Instant::now();
                let records = progress.count;
                tracing::info!(mapping = %plan.name, %side, records, done = progress.done, "scanned");
            }
            self.measure(plan, side, &progress);
        }
        self.shared.health.has_read(&reads(plan, side, Pass::Scan));
        Ok(())
    }

    /// The number of records is not known before the end: what the mapping has links for stands
    /// for it, and the ratio is 1 only at the end.
    fn measure(&self, plan: &Plan, side: Side, progress: &Progress) {
        let links = self.shared.totals.borrow().get(&plan.policy.entity).copied().unwrap_or(0);
        let rest = u64::from(!progress.done);
        let total = if progress.done { progress.count } else { links.max(progress.count) + rest };
        metrics::backfill(&plan.name, side, telemetry::Scan { done: progress.count, total });
        // In the first scan the links are only being made.
        let total = (1 < progress.generation).then_some(links);
        self.shared
            .health
            .reads(&reads(plan, side, Pass::Scan), Come { done: progress.count, total });
    }

    /// Reads each record that a link names, to notice those that are no longer there.
    async fn sweep<S: Scan>(
        &self,
        plan: &Plan,
        side: Side,
        mut scan: S,
        generation: u64,
    ) -> Result<(), AgentError> {
        let name = format!("sweep/{}/{side}", plan.name);
        let what = reads(plan, side, Pass::Sweep);
        let kept = self.shared.ledger.cursor(&name).await?;
        let mut progress = Progress::of(&kept, generation);
        while !progress.done {
            let after = progress.after.as_ref().and_then(|after| after.0.parse().ok()).map(LinkId);
            let links = self.shared.ledger.walk(plan.policy.entity, after, READ).await?;
            progress.done = links.is_empty();
            let last = links.last().map(|kept| kept.link.id.to_string().into());
            progress.after = last.or(progress.after);
            progress.count += links.len() as u64;
            let records = standing(&links, side);
            let mut ticks = Ticks::new(&*self.shared.clock, self.account, side);
            let found = match records.as_slice() {
                [] => Vec::new(),
                some => scan.read(plan.policy.entity, some, &mut ticks).await?,
            };
            let cursors = BTreeMap::from([(name.clone(), progress.cursor())]);
            absorb(&self.desk(), side, &found, &cursors).await?;
            self.shared.wakes[self.account].notify_one();
            self.shared.health.beats(&self.name);
            let total = self.shared.totals.borrow().get(&plan.policy.entity).copied();
            self.shared.health.reads(&what, Come { done: progress.count, total });
        }
        self.shared.health.has_read(&what);
        Ok(())
    }

    /// Looks at every link again that stands alone: its counterpart may be made now.
    async fn wake(&self, plan: &Plan) -> Result<(), AgentError> {
        let ledger = &*self.shared.ledger;
        let mut after = None;
        loop {
            let links = ledger.walk(plan.policy.entity, after, PAGE).await?;
            let Some(last) = links.last().map(|kept| kept.link.id) else { return Ok(()) };
            let mut bench = Bench::default();
            bench.add(links.into_iter().filter(|kept| alone(&kept.link).is_some()).collect());
            let now = self.shared.clock.now();
            for piece in bench.pieces.values_mut() {
                piece.due_at(later(now, plan.linger.get()), Lane::Ordinary);
            }
            let stored = match bench.into_batch(&self.shared.plans, now) {
                batch if batch.is_empty() => Ok(()),
                batch => ledger.store(batch).await,
            };
            match stored {
                Ok(()) => after = Some(last),
                // Somebody else has moved one of them: the page is taken again.
                Err(error) => drop(unless_conflict(error)?),
            }
            self.shared.wakes[self.account].notify_one();
        }
    }

    async fn keep(&self, plan: &Plan, compared: Compared) -> Result<(), AgentError> {
        let mut batch = Batch::new(self.shared.clock.now());
        batch.facts.insert(compared_fact(plan), compared.fact());
        // What was compared is counted.
        batch.cursors.insert(census::cursor_name(plan), Census::Done(batch.now).cursor());
        match self.shared.ledger.store(batch).await {
            Ok(()) => Ok(()),
            Err(error) => unless_conflict(error).map(drop),
        }
    }

    fn desk(&self) -> Desk<'_, L, super::clock::AgentClock> {
        self.shared.desk(&self.shared.plans, self.account)
    }
}

fn reads(plan: &Plan, side: Side, pass: Pass) -> Reads {
    Reads { mapping: Arc::clone(&plan.name), side, pass }
}

/// Which records of a side the links name, and saw there last.
fn standing(links: &[Kept], side: Side) -> Vec<RecordId> {
    let here = |kept: &&Kept| match kept.link.state {
        LinkState::Live | LinkState::Alias(_) => kept.link.seen[side].bond == Bond::Here,
        LinkState::Severed | LinkState::Tombstone => false,
    };
    links.iter().filter(here).filter_map(|kept| kept.link.record(side).cloned()).collect()
}

/// How far a scan has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Progress {
    generation: u64,
    after: Option<RecordId>,
    count: u64,
    done: bool,
}

impl Progress {
    /// What was kept, if it is of this scan and not of an earlier one.
    fn of(cursor: &Cursor, generation: u64) -> Self {
        let kept = &cursor.0;
        if kept["generation"].as_u64() != Some(generation) {
            return Self { generation, ..Self::default() };
        }
        Self {
            generation,
            after: kept["after"].as_str().map(RecordId::from),
            count: kept["count"].as_u64().unwrap_or(0),
            done: kept["done"].as_bool().unwrap_or(false),
        }
    }

    fn cursor(&self) -> Cursor {
        Cursor(json!({
            "generation": self.generation,
            "after": self.after.as_ref().map(ToString::to_string),
            "count": self.count,
            "done": self.done,
        }))
    }
}

/// Which comparison of a mapping is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Its number; 0 before the first scan is done.
    pub generation: u64,
    /// Whether the links that stood alone were looked at again since.
    pub woken: bool,
}

impl Compared {
    fn fact(self) -> Json {
        json!({ "generation": self.generation, "woken": self.woken })
    }
}

fn compared_fact(plan: &Plan) -> String {
    format!("compared/{}", plan.name)
}

/// Which comparison of a mapping is done.
pub async fn compared<L: Ledger>(ledger: &L, plan: &Plan) -> Result<Compared, AgentError> {
    let fact = ledger.fact(&compared_fact(plan)).await?.unwrap_or(Json::Null);
    Ok(Compared {
        generation: fact["generation"].as_u64().unwrap_or(0),
        woken: fact["woken"].as_bool().unwrap_or(false),
    })
}

fn scan_cursor(plan: &Plan, side: Side) -> String {
    format!("scan/{}/{side}", plan.name)
}

/// How many records of a side the last scan has read.
pub async fn scanned<L: Ledger>(ledger: &L, plan: &Plan, side: Side) -> Result<u64, AgentError> {
    let cursor = ledger.cursor(&scan_cursor(plan, side)).await?;
    Ok(cursor.0["count"].as_u64().unwrap_or(0))
}

/// Whether a mapping and those it refers to were scanned to their ends.
pub async fn is_open<L: Ledger>(
    ledger: &L,
    plans: &Plans,
    plan: &Plan,
) -> Result<bool, AgentError> {
    let parents = parents(plan).filter_map(|entity| plans.get(&entity));
    for plan in parents.chain([plan]) {
        if compared(ledger, plan).await?.generation == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A mapping that has come to refer to one which is not scanned yet makes no records until that is
/// done; then all that stand alone are looked at once more.
pub async fn shut<L: Ledger>(
    ledger: &L,
    plans: &Plans,
    plan: &Plan,
    now: Timestamp,
) -> Result<(), AgentError> {
    let done = compared(ledger, plan).await?;
    if !done.woken || is_open(ledger, plans, plan).await? {
        return Ok(());
    }
    let fact = Compared { woken: false, ..done }.fact();
    super::held::store_fact(ledger, (compared_fact(plan), fact), now).await
}

fn parents(plan: &Plan) -> impl Iterator<Item = Entity> {
    plan.policy.fields.keys().filter_map(|field| plan.refers_to(*field))
}

/// An account's mappings, those first that others refer to.
fn in_order(plans: &Plans, account: usize) -> Vec<Entity> {
    let mut order: Vec<Entity> = Vec::new();
    let mut rest: Vec<&Plan> = plans.values().filter(|plan| plan.account == account).collect();
    while !rest.is_empty() {
        let waits = |plan: &&&Plan| {
            parents(plan).any(|parent| {
                parent != plan.policy.entity && rest.iter().any(|o| o.policy.entity == parent)
            })
        };
        // A circle has no first: any of it will do, as references that wait are looked at again.
        let next = rest.iter().position(|plan| !waits(&plan)).unwrap_or(0);
        order.push(rest.remove(next).policy.entity);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_as_it_was_kept_and_only_by_the_same_scan() {
        let progress =
            Progress { generation: 3, after: Some("17".into()), count: 4000, done: false };
        assert_eq!(Progress::of(&progress.cursor(), 3), progress);
        let anew = Progress { generation: 4, ..Progress::default() };
        assert_eq!(Progress::of(&progress.cursor(), 4), anew);
        let begun = Progress { generation: 1, ..Progress::default() };
        assert_eq!(Progress::of(&Cursor::start(), 1), begun);
    }
}
