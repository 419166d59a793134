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

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::ledger::{Batch, Kept, Ledger};
use crate::peer::{Outline, Scan};
use crate::reconcile::{Bond, Entity, Lane, LinkId, LinkState, Observation, RecordId, Side};
use crate::telemetry::{self, metrics};

use super::absorb::absorb;
use super::census::{self, Census};
use super::compared::{
    Compared, Progress, compared, compared_fact, in_order, is_open, scan_cursor, shut,
};
use super::epochs::wanted_generation;
use super::error::unless_conflict;
use super::held::retry_held;
use super::plan::Plan;
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

/// The most links that are taken in or looked at again at once: one transaction of the ledger.
const PAGE: usize = 2000;

/// The most rows of a page of a scan. Each side bounds its own
/// reads below this, by its part of the config.
const ROWS_MAX: usize = 100_000;

/// The most records that are read by their keys at once: a call of Salesforce takes no more.
const READ: usize = 2000;

/// The most pages that a census takes at a look: comparisons that are asked for go first.
const CENSUS_PAGES: usize = 50;

/// How often to look whether a comparison is wanted, besides being told.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How often a record is read again while a write of it is under way; a bulk job may take minutes,
/// and no longer than this in all.
const HEAR_EVERY: Duration = Duration::from_secs(2);
const HEARD_WITHIN: Duration = Duration::from_mins(15);

/// How long a scan waits for its feeds before it looks after others.
const PASS_WITHIN: Duration = Duration::from_secs(10);

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
        // One whose object is blocked keeps no other from being scanned.
        let mut first = Ok(());
        for entity in &self.order {
            if let Some(plan) = self.shared.plans.get(entity) {
                first = first.and(self.bring(plan).await);
            }
        }
        first
    }

    /// Brings a mapping to the comparison that is wanted.
    async fn bring(&self, plan: &Plan) -> Result<(), AgentError> {
        let ledger = &*self.shared.ledger;
        let wanted = wanted_generation(ledger, plan).await?;
        let done = compared(ledger, plan).await?;
        if done.generation < wanted {
            let feeds = self.feeds(plan);
            // What changes from here on comes by the feeds.
            if !self.have_passed(&feeds, 0).await {
                return Ok(());
            }
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
            if !self.have_passed(&feeds, self.shared.clock.tick()).await {
                return Ok(());
            }
            let woken = 0 < done.generation;
            self.keep(plan, Compared { generation: wanted, woken }).await?;
            if 1 < wanted {
                // What was refused may be taken by now; a field that is back was refused until then.
                let (plans, now) = (&self.shared.plans, self.shared.clock.now());
                retry_held(ledger, plans, plan, "refused", now).await?;
                self.shared.wakes[self.account].notify_one();
            }
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
            let repair::Read { records, deaf } =
                repair::read_part(&self.desk(), plan, &part, sides).await?;
            self.hear(plan, Side::Crm, &mut crm, deaf).await?;
            repair::decide_again(&self.desk(), plan, &part).await?;
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

    /// Whether the feeds see the end of what there was by this tick; they are waited for a while, so
    /// that a feed that fails keeps no other mapping from being scanned.
    async fn have_passed(&self, feeds: &[Arc<str>], tick: u64) -> bool {
        let passed = self.shared.health.all_pass(feeds, tick);
        tokio::time::timeout(PASS_WITHIN, passed).await.is_ok()
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
        let mut deaf = BTreeSet::new();
        while !progress.done {
            let mut ticks = Ticks::new(&*self.shared.clock, self.account, side);
            let after = progress.after.as_ref();
            let rows = scan.scan(plan.policy.entity, after, ROWS_MAX, &mut ticks).await?;
            progress.done = rows.is_empty();
            // A large page saves calls; its links would take ten times its own memory.
            let parts: Vec<&[Observation]> =
                if progress.done { vec![&[]] } else { rows.chunks(PAGE).collect() };
            for part in parts {
                progress.count += part.len() as u64;
                progress.after = part.last().map(|row| row.record.clone()).or(progress.after);
                let cursors = BTreeMap::from([(name.clone(), progress.cursor())]);
                deaf.extend(absorb(&self.desk(), side, part, &cursors).await?.deaf);
                self.shared.wakes[self.account].notify_one();
                self.shared.health.beats(&self.name);
                metrics::observed(&plan.name, side, part.len() as u64);
            }
            if TELL_EVERY < told.elapsed() || progress.done {
                told = tokio::time::Instant::now();
                let records = progress.count;
                tracing::info!(mapping = %plan.name, %side, records, done = progress.done, "scanned");
            }
            self.measure(plan, side, &progress);
        }
        self.hear(plan, side, &mut scan, deaf).await?;
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
        let mut deaf = BTreeSet::new();
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
            deaf.extend(absorb(&self.desk(), side, &found, &cursors).await?.deaf);
            self.shared.wakes[self.account].notify_one();
            self.shared.health.beats(&self.name);
            let total = self.shared.totals.borrow().get(&plan.policy.entity).copied();
            self.shared.health.reads(&what, Come { done: progress.count, total });
        }
        self.hear(plan, side, &mut scan, deaf).await?;
        self.shared.health.has_read(&what);
        Ok(())
    }

    /// Reads those again whose sighting said nothing, as a write of theirs was under way, until
    /// they say something: else a comparison would have left them out. After a kill the next leader
    /// reads them anyhow, to learn what became of the writes.
    async fn hear(
        &self,
        plan: &Plan,
        side: Side,
        scan: &mut impl Scan,
        mut deaf: BTreeSet<RecordId>,
    ) -> Result<(), AgentError> {
        let until = tokio::time::Instant::now() + HEARD_WITHIN;
        while !deaf.is_empty() && !self.shared.is_stopping() {
            self.shared.rest(HEAR_EVERY).await;
            deaf = repair::read_again(&self.desk(), plan, (side, deaf), scan).await?;
            self.shared.health.beats(&self.name);
            if until < tokio::time::Instant::now() {
                let records = deaf.len();
                tracing::warn!(mapping = %plan.name, %side, records, "not compared: writes hang");
                return Ok(());
            }
        }
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
