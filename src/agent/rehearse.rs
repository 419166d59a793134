//! What `run` would do, without doing it: the agent's own steps over a ledger in memory, with
//! writers that write nothing and say that they did.
//!
//! Both sides are read as a first scan reads them; what follows is decided by the same functions as
//! in `run`, until nothing is left to decide. What the feeds would tell of a record that is gone is
//! asked for by its key; which statement of Campaign's took it is told by its log alone, which is not
//! read here: there it is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::ledger::{Batch, Due, Keep, Ledger as _, MemoryLedger, State};
use crate::peer::{Ask, Ended, Notes, PeerError, Scan, Writer};
use crate::reconcile::{
    Bond, Change, Entity, Lane, Link, LinkId, LinkState, Observation, Outcome, Presence, Read,
    RecordId, Row, Side, Sides, Target, Write,
};

use super::absorb::absorb;
use super::clock::AgentClock;
use super::deliver::{deliver, reads, row_of};
use super::epochs::Epochs;
use super::error::unless_conflict;
use super::plan::{Plan, Plans};
use super::settle::{Settled, settle};
use super::time::{Clock as _, Ticks};
use super::working::keys;
use super::{AgentError, Desk};

/// A page of a scan; a side bounds its own reads below this.
const PAGE: usize = 2_000;

/// So many links are decided in one round, as in `run` under load.
const ROUND: usize = 2_000;

/// Keys of records that are only pretended begin so.
const PRETENDED: &str = "new ";

/// A write that would be made, and what its fields hold now.
#[derive(Clone, Debug)]
pub struct Intended {
    /// The write, in the terms of the side that it goes to.
    pub write: Write,
    /// What the record holds in these fields, where it is known.
    pub before: Row,
    /// The records of the pair.
    pub records: Sides<Option<RecordId>>,
}

/// A rehearsal of one account.
#[derive(Debug)]
pub struct Rehearsal<'a> {
    /// What is known of each pair.
    pub ledger: MemoryLedger,
    clock: AgentClock,
    plans: &'a Plans,
    account: usize,
    /// Campaign's transactions that were pretended.
    xid: AtomicU64,
}

impl<'a> Rehearsal<'a> {
    /// One that knows nothing yet; `epochs` are those of what it is going to be told.
    pub fn new(plans: &'a Plans, account: usize, epochs: Sides<u32>) -> Self {
        let crms = vec![epochs.crm; account + 1];
        let epochs = Epochs { ledger: 1, campaign: epochs.campaign, crms };
        // Above the ticks of every leader that there was.
        let clock = AgentClock::new((1 << 23) - 1, epochs);
        Self { ledger: MemoryLedger::new(), clock, plans, account, xid: AtomicU64::new(1 << 40) }
    }

    fn desk(&self) -> Desk<'_, MemoryLedger, AgentClock> {
        Desk { ledger: &self.ledger, clock: &self.clock, plans: self.plans, account: self.account }
    }

    /// Takes in what a ledger knows of these pairs; each is looked at again.
    pub async fn know(&self, links: Vec<Link>) -> Result<(), AgentError> {
        let now = self.clock.now();
        let mut batch = Batch::new(now);
        for mut link in links {
            let Some(plan) = self.plans.get(&link.entity) else { continue };
            // Nobody waits for the answers of what an agent sent: it is told by the records.
            link.orphan(now, Ticks::new(&self.clock, self.account, Side::Crm).position());
            self.ledger.skip_to(link.id);
            let keys = keys(&link, &plan.policy);
            let due =
                (link.state == LinkState::Live).then_some(Due { lane: Lane::Ordinary, at: now });
            batch.links.push(Keep { due, keys, ..Keep::new(link) });
        }
        match self.ledger.store(batch).await {
            Ok(()) => Ok(()),
            Err(error) => unless_conflict(error).map(drop),
        }
    }

    /// Takes in what a ledger keeps beside its links.
    pub async fn recall(&self, facts: BTreeMap<String, Json>) -> Result<(), AgentError> {
        let batch = Batch { facts, ..Batch::new(self.clock.now()) };
        match self.ledger.store(batch).await {
            Ok(()) => Ok(()),
            Err(error) => unless_conflict(error).map(drop),
        }
    }

    /// Reads all records of a mapping on both sides, page beside page, as a first scan does; says how many.
    /// What is known and not among them is read by its key, as a census does: it is told as gone, or
    /// missing.
    pub async fn read(
        &self,
        plan: &Plan,
        (ours, theirs): (&mut impl Scan, &mut impl Scan),
    ) -> Result<Sides<u64>, AgentError> {
        let mut campaign = Reading::of(self.borne(plan.policy.entity, Side::Campaign).await?);
        let mut crm = Reading::of(self.borne(plan.policy.entity, Side::Crm).await?);
        while !(campaign.done && crm.done) {
            self.read_page(plan, (Side::Campaign, &mut campaign), ours).await?;
            self.read_page(plan, (Side::Crm, &mut crm), theirs).await?;
        }
        self.read_absent(plan, (Side::Campaign, &campaign), ours).await?;
        self.read_absent(plan, (Side::Crm, &crm), theirs).await?;
        Ok(Sides { campaign: campaign.count, crm: crm.count })
    }

    async fn read_page(
        &self,
        plan: &Plan,
        (side, reading): (Side, &mut Reading),
        scan: &mut impl Scan,
    ) -> Result<(), AgentError> {
        if reading.done {
            return Ok(());
        }
        let mut ticks = Ticks::new(&self.clock, self.account, side);
        let page = scan.scan(plan.policy.entity, reading.after.as_ref(), PAGE, &mut ticks).await?;
        reading.done = page.is_empty();
        reading.after = page.last().map(|seen| seen.record.clone()).or(reading.after.take());
        for seen in &page {
            reading.absent.remove(&seen.record);
        }
        reading.count += page.len() as u64;
        absorb(&self.desk(), side, &page, &BTreeMap::new()).await.map(drop)
    }

    async fn read_absent(
        &self,
        plan: &Plan,
        (side, reading): (Side, &Reading),
        scan: &mut impl Scan,
    ) -> Result<(), AgentError> {
        let absent: Vec<RecordId> = reading.absent.iter().cloned().collect();
        for records in absent.chunks(PAGE) {
            let mut ticks = Ticks::new(&self.clock, self.account, side);
            let seen = scan.read(plan.policy.entity, records, &mut ticks).await?;
            absorb(&self.desk(), side, &seen, &BTreeMap::new()).await?;
        }
        Ok(())
    }

    /// The records of a side that are there, for all that is known.
    async fn borne(&self, entity: Entity, side: Side) -> Result<BTreeSet<RecordId>, AgentError> {
        let (mut after, mut borne) = (None, BTreeSet::new());
        loop {
            let page = self.ledger.walk(entity, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(borne) };
            after = Some(last.link.id);
            let there = |link: &Link| {
                let live = link.state == LinkState::Live && link.seen[side].bond == Bond::Here;
                let real = |record: &&RecordId| live && !record.0.starts_with(PRETENDED);
                link.record(side).filter(real).cloned()
            };
            borne.extend(page.iter().filter_map(|kept| there(&kept.link)));
        }
    }

    /// Decides until nothing is left; `round` is told of the writes of each round. Where the CRM's writer would
    /// rather take more at once, while so much waits, it is given that, as in `run`.
    pub async fn decide<W: Writer>(
        &self,
        crm_writer: &W,
        (ours, theirs): (&mut impl Scan, &mut impl Scan),
        mut round: impl FnMut(Vec<Intended>) + Send,
    ) -> Result<(), AgentError> {
        loop {
            let counts = self.ledger.counts(Timestamp::MAX).await?;
            let live = counts.links.iter().filter(|((_, state), _)| *state == State::Live);
            let totals = live.map(|((entity, _), count)| (*entity, *count)).collect();
            let ordinary = counts.due.iter().filter(|((_, lane), _)| *lane == Lane::Ordinary);
            let links = ROUND.max(crm_writer.appetite(ordinary.map(|(_, count)| count).sum()));
            let pretend = |side| Pretend { side, xid: &self.xid, written: Mutex::default() };
            let (campaign, crm) = (pretend(Side::Campaign), pretend(Side::Crm));
            let desk = self.desk();
            let settled = settle(&desk, &campaign, &totals, &Lane::ALL, links).await?;
            if settled.looked_at == 0 {
                return Ok(());
            }
            self.read_first(Side::Campaign, ours, &settled).await?;
            self.read_first(Side::Crm, theirs, &settled).await?;
            let intended = self.intended(&settled.writes).await?;
            round(intended);
            for (side, writer) in [(Side::Campaign, &campaign), (Side::Crm, &crm)] {
                deliver(&desk, side, writer, &settled).await?;
                self.echo(side, writer.take()).await?;
            }
        }
    }

    /// Reads what must be known before it can be decided, as `run` does: a record whose parent has
    /// found its counterpart since it was read, for one.
    async fn read_first(
        &self,
        side: Side,
        scan: &mut impl Scan,
        settled: &Settled,
    ) -> Result<(), AgentError> {
        for (entity, mut records) in reads(settled, side) {
            records.retain(|record| !record.0.starts_with(PRETENDED));
            for page in records.chunks(PAGE) {
                let mut ticks = Ticks::new(&self.clock, self.account, side);
                let seen = scan.read(entity, page, &mut ticks).await?;
                absorb(&self.desk(), side, &seen, &BTreeMap::new()).await?;
            }
        }
        Ok(())
    }

    async fn intended(&self, writes: &[Write]) -> Result<Vec<Intended>, AgentError> {
        let ids: Vec<LinkId> = writes.iter().map(|write| write.link).collect();
        let kept = self.ledger.links(&ids).await?;
        let links: BTreeMap<LinkId, Link> =
            kept.into_iter().map(|kept| (kept.link.id, kept.link)).collect();
        let mut intended = Vec::with_capacity(writes.len());
        for write in writes {
            let Some(link) = links.get(&write.link) else { continue };
            let seen = &link.seen[write.side];
            let before = row_of(write).into_iter().flat_map(Row::keys);
            let before =
                before.filter_map(|field| Some((*field, seen.value(*field)?.clone()))).collect();
            let records = Sides::of(|side| link.record(side).cloned());
            intended.push(Intended { write: write.clone(), before, records });
        }
        Ok(intended)
    }

    /// What was written is seen, as the log or the next poll would tell it.
    async fn echo(
        &self,
        side: Side,
        written: Vec<(Write, u64, RecordId)>,
    ) -> Result<(), AgentError> {
        let ids: Vec<LinkId> = written.iter().map(|(write, ..)| write.link).collect();
        let links: BTreeMap<LinkId, Link> = (self.ledger.links(&ids).await?.into_iter())
            .map(|kept| (kept.link.id, kept.link))
            .collect();
        let mut seen = Vec::with_capacity(written.len());
        for (write, xid, record) in written {
            let Some(link) = links.get(&write.link) else { continue };
            let position = Ticks::new(&self.clock, self.account, side).position();
            let read = match side {
                Side::Campaign => Read::Logged { xid },
                Side::Crm => Read::Asked(self.clock.now()),
            };
            let presence = match &write.change {
                Change::Delete => Presence::Gone(crate::reconcile::Gone::Deleted),
                Change::Set(row) => {
                    let known = &link.seen[side].fields;
                    let mut whole: Row =
                        known.iter().map(|(field, seen)| (*field, seen.value.clone())).collect();
                    whole.extend(row.iter().map(|(field, value)| (*field, value.clone())));
                    let (raw, unfit) = (BTreeMap::new(), BTreeMap::new());
                    Presence::Here { row: whole, raw, unfit }
                }
            };
            seen.push(Observation {
                entity: write.entity,
                record,
                was: None,
                at: position,
                read,
                presence,
                modified: None,
                by: None,
                stamp: Some(write.stamp),
                claims: None,
            });
        }
        absorb(&self.desk(), side, &seen, &BTreeMap::new()).await.map(drop)
    }
}

/// How far a side is read.
#[derive(Debug, Default)]
struct Reading {
    after: Option<RecordId>,
    count: u64,
    done: bool,
    /// What is known and was not met yet.
    absent: BTreeSet<RecordId>,
}

impl Reading {
    fn of(known: BTreeSet<RecordId>) -> Self {
        Self { absent: known, ..Self::default() }
    }
}

/// Says that it wrote.
struct Pretend<'a> {
    side: Side,
    xid: &'a AtomicU64,
    written: Mutex<Vec<(Write, u64, RecordId)>>,
}

impl Pretend<'_> {
    fn next(&self) -> u64 {
        self.xid.fetch_add(1, Ordering::Relaxed)
    }

    fn take(&self) -> Vec<(Write, u64, RecordId)> {
        std::mem::take(&mut *self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Writer for Pretend<'_> {
    async fn write(
        &self,
        writes: Vec<Write>,
        _: &(impl Notes + Sync),
        _: &mut (dyn Ask + Send),
    ) -> Result<Vec<Outcome>, PeerError> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = |write: Write| {
            let number = self.next();
            let new = || RecordId(Arc::from(format!("{PRETENDED}{number}")));
            let (record, created) = match &write.target {
                Target::Record(id) => (id.clone(), None),
                Target::New { key: Some(key), .. } => (key.clone(), Some(key.clone())),
                Target::New { key: None, .. } => {
                    let record = new();
                    (record.clone(), Some(record))
                }
            };
            written.push((write, number, record));
            let xid = (self.side == Side::Campaign).then_some(number);
            Outcome::Done { created, xid }
        };
        Ok(writes.into_iter().map(outcome).collect())
    }

    async fn draw_keys(&self, _: Entity, count: usize) -> Result<Vec<RecordId>, PeerError> {
        Ok((0..count).map(|_| RecordId(Arc::from(format!("{PRETENDED}{}", self.next())))).collect())
    }

    async fn transaction(&self, _: u64) -> Result<Option<Ended>, PeerError> {
        Ok(Some(Ended::Committed))
    }
}
