//! A world from its beginning to its end: people, the agent's steps, troubles, quiet, checks.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use truce::agent::absorb::absorb;
use truce::agent::census::{self, Census};
use truce::agent::deliver::{ask_transactions, deliver, reads};
use truce::agent::settle::settle;
use truce::agent::time::Ticks;
use truce::agent::{AgentError, Clock as _, Desk, Plans};
use truce::ledger::{Ledger as _, MemoryLedger, Verdict};
use truce::peer::{Cursor, Feed as _, Page, Scan as _};
use truce::reconcile::decide::Gate;
use truce::reconcile::{Bond, Entity, Observation, RecordId, Side, Sides};

use super::campaign::{Campaign, CampaignPeer};
use super::checks;
use super::crm::{Crm, CrmPeer};
use super::operator::resolves;
use super::schema::{ACCOUNT, CONTACT, plans, rules};
use super::world::{Kind, Shared, SimClock, World, lock};

/// Gives way once: where a step may be killed.
pub(crate) fn pause() -> impl Future<Output = ()> + Send {
    Pause(false)
}

struct Pause(bool);

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // Nobody sleeps in a world; whoever drives it from a runtime is to ask again.
        context.waker().wake_by_ref();
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Drives a step to its end, or kills it after so many pauses.
pub(crate) fn drive<F: Future>(step: F, pauses: usize) -> Option<F::Output> {
    drive_beside(step, pauses, || ())
}

/// The same, while something else happens at each pause.
fn drive_beside<F: Future>(step: F, pauses: usize, mut beside: impl FnMut()) -> Option<F::Output> {
    let mut step = pin!(step);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..=pauses {
        if let Poll::Ready(output) = step.as_mut().poll(&mut context) {
            return Some(output);
        }
        beside();
    }
    None
}

struct Run {
    world: Shared,
    clock: SimClock,
    ledger: MemoryLedger,
    plans: Plans,
    /// Pages that were read and not taken in yet.
    in_flight: Sides<Option<Page>>,
    /// CRM records whose sighting said nothing, to be read again.
    deaf: BTreeSet<(Entity, RecordId)>,
    backups: Vec<Backup>,
}

struct Backup {
    campaign: Campaign,
    crm: Crm,
    ledger: MemoryLedger,
}

/// Runs a world; an error says what was broken.
pub(crate) fn run(seed: u64, kind: Kind) -> Result<[u64; 6], String> {
    let mut world = World::new(seed, kind);
    let rules = rules(&mut world.rng);
    let (troubles, ways) = (world.troubles, world.ways);
    world.tell(|| format!("{troubles:?} {ways:?} {rules:?}"));
    for _ in 0..world.rng.below(4) {
        world.create_campaign();
        world.create_crm();
    }
    let world = Arc::new(Mutex::new(world));
    let mut run = Run {
        clock: SimClock(Arc::clone(&world)),
        world,
        ledger: MemoryLedger::new(),
        plans: plans(kind, rules, troubles, ways),
        in_flight: Sides::default(),
        deaf: BTreeSet::new(),
        backups: Vec::new(),
    };
    run.scan_everything();
    for _ in 0..150 {
        run.step();
    }
    run.quieten();
    let decided = run.ledger.every_decision();
    let decisions = decided.iter().filter(|d| d.verdict == Verdict::Discarded).count() as u64;
    let world = lock(&run.world);
    if let Some(broken) = &world.broken {
        return Err(broken.clone());
    }
    let excused = checks::check(&world, &run.ledger, &run.plans)?;
    Ok([world.edits, world.writes, world.crashes, world.lost, decisions, excused])
}

impl Run {
    fn step(&mut self) {
        let (dice, restores, untold) = {
            let mut world = lock(&self.world);
            let passed = world.rng.below(1_200);
            world.millis += u64::try_from(passed).unwrap();
            world.crm_passes_time();
            (world.rng.below(20), world.troubles.restores, world.troubles.untold)
        };
        match dice {
            0..=5 => lock(&self.world).person_acts(),
            6 => lock(&self.world).commit_open(),
            7 | 8 => self.fetch(Side::Campaign),
            9 | 10 => self.fetch(Side::Crm),
            11 | 12 => self.take_in(Side::Campaign),
            13 | 14 => self.take_in(Side::Crm),
            17 if resolves(&self.ledger, &self.plans, &self.world) => (),
            18 if untold => {
                self.count_page(CONTACT);
            }
            19 if restores => self.backup_or_restore(),
            _ => {
                self.settle();
            }
        }
    }

    /// How many pauses the next step lives through.
    fn lifetime(&self) -> usize {
        let mut world = lock(&self.world);
        let crashes = world.troubles.crashes;
        if world.trouble(crashes, 6) { world.rng.below(8) } else { usize::MAX - 1 }
    }

    fn crash(&mut self) {
        let mut world = lock(&self.world);
        world.crashes += 1;
        world.tell(|| "agent: crashes".to_owned());
        world.abort_sessions();
        world.leading_since = world.tick();
        self.in_flight = Sides::default();
    }

    /// Reads again what was seen while a write of it was under way. A feed of the latest states
    /// tells it again by itself.
    fn read_deaf(&mut self) {
        for (entity, record) in std::mem::take(&mut self.deaf) {
            self.read(entity, Side::Crm, &[record]);
        }
    }

    /// Reads a page, which may be taken in much later.
    fn fetch(&mut self, side: Side) {
        if self.in_flight[side].is_some() {
            return;
        }
        if side == Side::Crm {
            self.read_deaf();
        }
        self.in_flight[side] = Some(page(&self.desk(), &self.world, side));
    }

    fn take_in(&mut self, side: Side) {
        let Some(page) = self.in_flight[side].take() else { return };
        let cursors: BTreeMap<String, Cursor> = [(side.name().to_owned(), page.cursor)].into();
        let again = lock(&self.world).rng.one_in(8);
        for _ in 0..=usize::from(again) {
            self.absorb(side, &page.observations, &cursors);
        }
    }

    fn absorb(&mut self, side: Side, seen: &[Observation], cursors: &BTreeMap<String, Cursor>) {
        let deaf = take(&self.desk(), side, seen, cursors);
        self.deaf.extend(deaf);
    }

    fn desk(&self) -> Desk<'_, MemoryLedger, SimClock> {
        Desk { ledger: &self.ledger, clock: &self.clock, plans: &self.plans, account: 0 }
    }

    /// One round of settling, delivering and reading; false where nothing was due.
    fn settle(&mut self) -> bool {
        self.note_borne();
        let lifetime = self.lifetime();
        let peers = (CampaignPeer(Arc::clone(&self.world)), CrmPeer(Arc::clone(&self.world)));
        let mut deaf = BTreeSet::new();
        let desk = self.desk();
        let done = drive_beside(round(&desk, peers), lifetime, || {
            deaf.extend(beside(&desk, &self.world));
        });
        self.deaf.extend(deaf);
        let Some(done) = done else {
            self.crash();
            return true;
        };
        done.unwrap()
    }

    /// Notes which records links bear: one that is made again has another counterpart than before.
    fn note_borne(&self) {
        let mut world = lock(&self.world);
        if !world.troubles.deletes {
            return;
        }
        for link in self.ledger.every_link() {
            for side in Side::BOTH {
                world.written.extend(link.record(side).map(|of| (link.id, side, of.clone())));
            }
        }
    }

    fn scan_everything(&mut self) {
        for entity in [ACCOUNT, CONTACT] {
            for side in Side::BOTH {
                self.scan(entity, side);
            }
        }
        for plan in self.plans.values_mut() {
            plan.creates = Gate::Open;
            plan.deletes = Gate::Open;
        }
    }

    fn scan(&mut self, entity: Entity, side: Side) {
        let mut after: Option<RecordId> = None;
        loop {
            let mut ticks = Ticks::new(&self.clock, 0, side);
            let world = Arc::clone(&self.world);
            let seen = match side {
                Side::Campaign => {
                    drive(CampaignPeer(world).scan(entity, after.as_ref(), 3, &mut ticks), 9)
                }
                Side::Crm => drive(CrmPeer(world).scan(entity, after.as_ref(), 3, &mut ticks), 9),
            };
            let seen = seen.unwrap().unwrap();
            let Some(last) = seen.last() else { return };
            after = Some(last.record.clone());
            self.absorb(side, &seen, &BTreeMap::new());
        }
    }

    /// Counts a page of the CRM's records; whether the census has ended.
    fn count_page(&self, entity: Entity) -> bool {
        let plan = &self.plans[&entity];
        let stands = drive(Census::of(&self.ledger, plan), usize::MAX - 1).unwrap().unwrap();
        let due = stands.and_then(|stands| stands.due(Duration::ZERO, self.clock.now()));
        let mut crm = CrmPeer(Arc::clone(&self.world));
        let desk = self.desk();
        let step = census::count(&desk, plan, &mut crm, due.unwrap_or_default());
        let page = drive(step, usize::MAX - 1).unwrap().unwrap();
        matches!(page.stands, Census::Done(_))
    }

    fn backup_or_restore(&mut self) {
        let mut world = lock(&self.world);
        if self.backups.is_empty() {
            let (campaign, crm) = (world.campaign.clone(), world.crm.clone());
            self.backups.push(Backup { campaign, crm, ledger: self.ledger.backup() });
            return;
        }
        if world.quiet || !world.rng.one_in(3) {
            return;
        }
        let Some(backup) = self.backups.pop() else { return };
        self.in_flight = Sides::default();
        world.leading_since = world.tick();
        match world.rng.below(3) {
            0 => {
                world.tell(|| "campaign is restored".to_owned());
                world.restore_campaign(&backup.campaign);
            }
            1 => {
                world.tell(|| "crm is refreshed".to_owned());
                world.restore_crm(&backup.crm);
            }
            _ => {
                world.tell(|| "the ledger is restored".to_owned());
                self.ledger = backup.ledger;
                world.ledger_epoch += 1;
                world.restart_log();
                world.epochs.crm += 1;
            }
        }
        world.disturb_all();
        drop(world);
        self.scan_everything();
        self.read_what_is_behind();
    }

    /// What a scan after a new epoch did not meet is read by its key.
    fn read_what_is_behind(&mut self) {
        let epochs = lock(&self.world).epochs;
        for link in self.ledger.every_link() {
            for side in Side::BOTH {
                let behind =
                    link.seen[side].bond == Bond::Here && link.seen[side].at.epoch < epochs[side];
                if let (true, Some(record)) = (behind, link.record(side)) {
                    self.read(link.entity, side, std::slice::from_ref(record));
                }
            }
        }
    }

    fn read(&mut self, entity: Entity, side: Side, records: &[RecordId]) {
        let mut ticks = Ticks::new(&self.clock, 0, side);
        let world = Arc::clone(&self.world);
        let seen = match side {
            Side::Campaign => drive(CampaignPeer(world).read(entity, records, &mut ticks), 9),
            Side::Crm => drive(CrmPeer(world).read(entity, records, &mut ticks), 9),
        };
        self.absorb(side, &seen.unwrap().unwrap(), &BTreeMap::new());
    }

    /// People stop. The last rounds must write nothing.
    fn quieten(&mut self) {
        {
            let mut world = lock(&self.world);
            world.quiet = true;
            world.tell(|| "quiet".to_owned());
            while !world.campaign.open.is_empty() {
                world.commit_open();
            }
        }
        let mut silent = 0;
        for round in 0..120 {
            {
                let mut world = lock(&self.world);
                world.millis += 1_500;
                world.crm_passes_time();
            }
            let before = lock(&self.world).writes;
            for side in Side::BOTH {
                self.take_in(side);
                loop {
                    self.fetch(side);
                    let more = self.in_flight[side].as_ref().is_some_and(|page| page.more);
                    self.take_in(side);
                    if !more {
                        break;
                    }
                }
            }
            let untold = lock(&self.world).troubles.untold;
            while untold && round % 30 == 0 && !self.count_page(CONTACT) {}
            self.settle();
            let wrote = lock(&self.world).writes - before;
            silent = if wrote == 0 { silent + 1 } else { 0 };
            if silent > 40 && round > 60 {
                return;
            }
        }
        lock(&self.world).broken = Some("still writing after everyone stopped".to_owned());
    }
}

/// A page of one side's feed, from where the ledger stands.
fn page(desk: &Desk<'_, MemoryLedger, SimClock>, world: &Shared, side: Side) -> Page {
    let cursor = drive(desk.ledger.cursor(side.name()), usize::MAX - 1).unwrap().unwrap();
    let mut ticks = Ticks::new(desk.clock, 0, side);
    let (world, patience) = (Arc::clone(world), Duration::ZERO);
    let page = match side {
        Side::Campaign => drive(CampaignPeer(world).page(&cursor, patience, &mut ticks), 9),
        Side::Crm => drive(CrmPeer(world).page(&cursor, patience, &mut ticks), 9),
    };
    page.unwrap().unwrap()
}

/// Takes in what was seen; which records must be read again.
fn take(
    desk: &Desk<'_, MemoryLedger, SimClock>,
    side: Side,
    seen: &[Observation],
    cursors: &BTreeMap<String, Cursor>,
) -> BTreeSet<(Entity, RecordId)> {
    let absorbed = drive(absorb(desk, side, seen, cursors), usize::MAX - 1).unwrap().unwrap();
    let deaf = seen.iter().filter(|seen| absorbed.deaf.contains(&seen.record));
    deaf.map(|seen| (seen.entity, seen.record.clone())).collect()
}

/// What happens while a round of settling waits: people act, the other loop takes a page in, and
/// another round looks at what is due while the answers of the first are still to come.
fn beside(desk: &Desk<'_, MemoryLedger, SimClock>, world: &Shared) -> BTreeSet<(Entity, RecordId)> {
    let side = {
        let mut world = lock(world);
        let on = world.troubles.beside;
        if world.trouble(on, 3) {
            world.person_acts();
        }
        if !world.trouble(on, 3) {
            return BTreeSet::new();
        }
        Side::BOTH[world.rng.below(2)]
    };
    let page = page(desk, world, side);
    let cursors = [(side.name().to_owned(), page.cursor)].into();
    let deaf = take(desk, side, &page.observations, &cursors);
    let again = {
        let mut world = lock(world);
        let on = world.troubles.beside;
        world.trouble(on, 3)
    };
    if again {
        let peers = (CampaignPeer(Arc::clone(world)), CrmPeer(Arc::clone(world)));
        drive(round(desk, peers), usize::MAX - 1).unwrap().unwrap();
    }
    deaf
}

async fn round(
    desk: &Desk<'_, MemoryLedger, SimClock>,
    (campaign, crm): (CampaignPeer, CrmPeer),
) -> Result<bool, AgentError> {
    let totals = BTreeMap::new();
    let settled = settle(desk, &campaign, &totals, &truce::reconcile::Lane::ALL, 50).await?;
    ask_transactions(desk, &campaign, &settled.unsettled).await?;
    deliver(desk, Side::Crm, &crm, &settled).await?;
    deliver(desk, Side::Campaign, &campaign, &settled).await?;
    for side in Side::BOTH {
        for (entity, records) in reads(&settled, side) {
            let mut ticks = Ticks::new(desk.clock, 0, side);
            let seen = match side {
                Side::Campaign => campaign.clone().read(entity, &records, &mut ticks).await?,
                Side::Crm => crm.clone().read(entity, &records, &mut ticks).await?,
            };
            pause().await;
            absorb(desk, side, &seen, &BTreeMap::new()).await?;
        }
    }
    Ok(settled.looked_at > 0)
}
