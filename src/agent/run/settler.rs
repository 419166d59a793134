//! From the ledger to the writers: one loop an account, woken by what its feeds bring.
//!
//! A round decides what is due and keeps what is to be written; the deliveries go on beside the
//! next rounds, a bounded number at once, so that an opt-out never waits for a slow call. While a
//! lane of a side cannot be written nothing of that lane is decided for this account: what its feeds
//! bring is kept all the same, and neither the other lane nor another account waits. So a day's
//! calls that are used up for ordinary writes stop no opt-out, for which some are kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::agent::AgentError;
use crate::agent::absorb::absorb;
use crate::agent::deliver::{Delivered, ask_transactions, deliver, end_job, reads};
use crate::agent::plan::Plans;
use crate::agent::settle::{Settled, settle};
use crate::agent::time::Ticks;
use crate::ledger::{Ledger, LedgerError};
use crate::peer::{Scan, Writer as _};
use crate::reconcile::{Entity, Lane, LinkId, RecordId, Side, Sides};
use crate::telemetry::metrics;

use super::doors::Doors;
use super::shared::{Gates, Shared, stumble};

/// What settles one account.
pub(super) struct Settler<L, C: Doors, A: Doors> {
    shared: Arc<Shared<L>>,
    account: usize,
    name: Arc<str>,
    campaign: Arc<C>,
    crm: Arc<A>,
    plans: Arc<Plans>,
    gates: watch::Receiver<BTreeMap<Entity, Gates>>,
    /// What goes on beside the rounds.
    under_way: JoinSet<Ended<C::Scan, A::Scan>>,
    /// How many deliveries are under way, by side and lane.
    busy: BTreeMap<(Side, Lane), usize>,
    /// Here while nobody reads with them.
    scans: (Option<C::Scan>, Option<A::Scan>),
    /// Whether no job of an earlier leader is running any more.
    jobs_ended: bool,
    /// What stumbled, and until when it is left alone.
    stumbled: BTreeMap<Way, Stumbled>,
}

/// A way to a side: what stumbles there is left alone, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// Writing, by lane.
    Write(Side, Lane),
    /// Reading.
    Read(Side),
}

#[derive(Clone, Copy, Debug)]
struct Stumbled {
    /// How often in a row.
    times: u32,
    until: Instant,
}

/// Something that went on beside the rounds, and came to its end.
enum Ended<C, A> {
    Delivered { side: Side, lane: Lane, result: Result<Delivered, AgentError> },
    CampaignRead { scan: C, result: Result<(), AgentError> },
    CrmRead { scan: A, result: Result<(), AgentError> },
    Asked(Result<(), AgentError>),
}

/// How many deliveries of one side and lane are under way at once. A full one is ten calls of 200
/// side by side, and while the second reads or is concluded the first writes; more would only queue
/// at the account's own limits.
const DELIVERIES: usize = 2;

/// Links become due by time too (a limit, a second look); this is how late they may be looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl<L, C, A> Settler<L, C, A>
where
    L: Ledger + 'static,
    C: Doors,
    A: Doors,
{
    /// What settles this account.
    pub(super) fn new(
        shared: &Arc<Shared<L>>,
        account: usize,
        campaign: &Arc<C>,
        crm: &Arc<A>,
    ) -> Self {
        let of_account = shared.plans.iter().filter(|(_, plan)| plan.account == account);
        let plans: Plans = of_account.map(|(entity, plan)| (*entity, plan.clone())).collect();
        let mut gates = shared.gates.subscribe();
        gates.mark_changed();
        Self {
            account,
            name: format!("settle/{account}").into(),
            scans: (Some(campaign.reader()), Some(crm.reader())),
            campaign: Arc::clone(campaign),
            crm: Arc::clone(crm),
            plans: Arc::new(plans),
            gates,
            under_way: JoinSet::new(),
            busy: BTreeMap::new(),
            jobs_ended: false,
            stumbled: BTreeMap::new(),
            shared: Arc::clone(shared),
        }
    }

    /// Settles until the loops stop, then lets what is under way come to its end.
    pub(super) async fn run(mut self) -> Result<(), AgentError> {
        self.shared.health.begins(&self.name, None);
        let mut failures = 0;
        while !self.shared.is_stopping() {
            let looked_at = match self.round().await {
                Ok(looked_at) => {
                    failures = 0;
                    looked_at
                }
                Err(error) if unsure(&error) => return Err(error),
                Err(error) => {
                    let shared = Arc::clone(&self.shared);
                    let Some(delay) = stumble(&shared.health, &self.name, &error, failures) else {
                        return Err(error);
                    };
                    failures += 1;
                    shared.rest(delay).await;
                    0
                }
            };
            self.gather(self.shared.round <= looked_at).await?;
        }
        while let Some(ended) = self.under_way.join_next().await {
            self.end(ended.map_err(died)?)?;
        }
        Ok(())
    }

    /// Decides what is due and begins what follows; says how many links it looked at.
    async fn round(&mut self) -> Result<usize, AgentError> {
        let lanes = self.open_lanes();
        if lanes.is_empty() {
            return Ok(0);
        }
        self.take_gates();
        let shared = Arc::clone(&self.shared);
        let plans = Arc::clone(&self.plans);
        let desk = shared.desk(&plans, self.account);
        if !self.jobs_ended {
            end_job(&desk, self.crm.writer()).await?;
            self.jobs_ended = true;
        }
        let totals = shared.totals.borrow().clone();
        let (campaign, crm) = (self.campaign.writer(), self.crm.writer());
        let round = shared.round.max(crm.appetite(self.waiting()));
        let settled = settle(&desk, campaign, &totals, &lanes, round).await?;
        for entity in &settled.braked {
            if let Some(plan) = plans.get(entity) {
                tracing::error!(mapping = %plan.name, "the brake went on; see truce held");
                metrics::brake(&plan.name, true);
            }
        }
        let looked_at = settled.looked_at;
        self.begin(settled);
        Ok(looked_at)
    }

    /// The lanes in which another delivery may begin: consent goes on while ordinary writes are as
    /// many as may be under way, or may not be made for a while.
    fn open_lanes(&self) -> Vec<Lane> {
        let full = |lane: Lane| {
            let busy = |side| self.busy.get(&(side, lane)).copied().unwrap_or(0);
            Side::BOTH.into_iter().any(|side| DELIVERIES <= busy(side))
        };
        // What cannot be read is looked at again and again in vain, but for consent.
        let paused = |lane| {
            Side::BOTH.into_iter().any(|side| {
                let unread = lane == Lane::Ordinary && self.is_paused(Way::Read(side));
                unread || self.is_paused(Way::Write(side, lane))
            })
        };
        let consent_full = full(Lane::Consent);
        let open = |lane: &Lane| !consent_full && !full(*lane) && !paused(*lane);
        Lane::ALL.into_iter().filter(open).collect()
    }

    /// Whether a way is left alone now.
    fn is_paused(&self, way: Way) -> bool {
        self.stumbled.get(&way).is_some_and(|stumbled| Instant::now() < stumbled.until)
    }

    /// How many of this account's links wait to be looked at, as of a few seconds ago.
    fn waiting(&self) -> u64 {
        let waiting = self.shared.waiting.borrow();
        self.plans.keys().filter_map(|entity| waiting.get(entity)).sum()
    }

    /// Puts what may be created and deleted now into the mappings.
    fn take_gates(&mut self) {
        if !self.gates.has_changed().unwrap_or(false) {
            return;
        }
        let gates = self.gates.borrow_and_update().clone();
        let mut plans = (*self.plans).clone();
        for (entity, plan) in &mut plans {
            if let Some(gates) = gates.get(entity) {
                (plan.creates, plan.deletes) = (gates.creates, gates.deletes);
            }
        }
        self.plans = Arc::new(plans);
    }

    /// Begins deliveries, reads and questions.
    fn begin(&mut self, settled: Settled) {
        for (side, lane) in Side::BOTH.into_iter().flat_map(|s| Lane::ALL.map(|l| (s, l))) {
            let of_lane =
                |write: &&crate::reconcile::Write| write.side == side && write.lane == lane;
            let writes: Vec<_> = settled.writes.iter().filter(of_lane).cloned().collect();
            if !writes.is_empty() {
                self.deliver(side, lane, Settled { writes, ..Settled::default() });
            }
        }
        let of_side = Sides::of(|side| reads(&settled, side));
        self.read(of_side);
        if !settled.unsettled.is_empty() {
            self.ask(settled.unsettled);
        }
    }

    fn deliver(&mut self, side: Side, lane: Lane, batch: Settled) {
        *self.busy.entry((side, lane)).or_default() += 1;
        let (shared, plans) = (Arc::clone(&self.shared), Arc::clone(&self.plans));
        let (campaign, crm) = (Arc::clone(&self.campaign), Arc::clone(&self.crm));
        let account = self.account;
        self.under_way.spawn(async move {
            let desk = shared.desk(&plans, account);
            let result = match side {
                Side::Campaign => deliver(&desk, side, campaign.writer(), &batch).await,
                Side::Crm => deliver(&desk, side, crm.writer(), &batch).await,
            };
            Ended::Delivered { side, lane, result }
        });
    }

    /// Reads what must be known first, with the scan of each side that is free.
    fn read(&mut self, mut wanted: Sides<BTreeMap<Entity, Vec<RecordId>>>) {
        let account = self.account;
        // What is not read now is asked for again by the link's next look.
        if !wanted.campaign.is_empty()
            && !self.is_paused(Way::Read(Side::Campaign))
            && let Some(mut scan) = self.scans.0.take()
        {
            let (shared, plans) = (Arc::clone(&self.shared), Arc::clone(&self.plans));
            let wanted = std::mem::take(&mut wanted.campaign);
            self.under_way.spawn(async move {
                let place = (account, Side::Campaign);
                let result = read(&shared, &plans, place, &mut scan, wanted).await;
                Ended::CampaignRead { scan, result }
            });
        }
        if !wanted.crm.is_empty()
            && !self.is_paused(Way::Read(Side::Crm))
            && let Some(mut scan) = self.scans.1.take()
        {
            let (shared, plans) = (Arc::clone(&self.shared), Arc::clone(&self.plans));
            self.under_way.spawn(async move {
                let place = (account, Side::Crm);
                let result = read(&shared, &plans, place, &mut scan, wanted.crm).await;
                Ended::CrmRead { scan, result }
            });
        }
    }

    fn ask(&mut self, unsettled: Vec<(LinkId, u64)>) {
        let (shared, plans) = (Arc::clone(&self.shared), Arc::clone(&self.plans));
        let (campaign, account) = (Arc::clone(&self.campaign), self.account);
        self.under_way.spawn(async move {
            let desk = shared.desk(&plans, account);
            let result = ask_transactions(&desk, campaign.writer(), &unsettled).await;
            Ended::Asked(result)
        });
    }

    /// Waits for news, for something under way to end, or for the next look.
    async fn gather(&mut self, more: bool) -> Result<(), AgentError> {
        while let Some(ended) = self.under_way.try_join_next() {
            self.end(ended.map_err(died)?)?;
        }
        let shut = self.open_lanes().is_empty();
        if more && !shut {
            return Ok(());
        }
        let look = Instant::now() + LOOK_EVERY;
        let shared = Arc::clone(&self.shared);
        tokio::select! {
            () = shared.stopped() => (),
            Some(ended) = self.under_way.join_next(), if !self.under_way.is_empty() => {
                self.end(ended.map_err(died)?)?;
            }
            () = shared.wakes[self.account].notified(), if !shut => (),
            () = tokio::time::sleep_until(look) => (),
        }
        if self.stumbled.keys().any(|way| self.is_paused(*way)) {
            self.shared.health.lives(&self.name);
        } else {
            self.shared.health.beats(&self.name);
        }
        Ok(())
    }

    fn end(&mut self, ended: Ended<C::Scan, A::Scan>) -> Result<(), AgentError> {
        let (way, result) = match ended {
            Ended::Delivered { side, lane, result } => {
                if let Some(busy) = self.busy.get_mut(&(side, lane)) {
                    *busy -= 1;
                }
                (Way::Write(side, lane), result.map(drop))
            }
            Ended::CampaignRead { scan, result } => {
                self.scans.0 = Some(scan);
                (Way::Read(Side::Campaign), result)
            }
            Ended::CrmRead { scan, result } => {
                self.scans.1 = Some(scan);
                (Way::Read(Side::Crm), result)
            }
            Ended::Asked(result) => (Way::Read(Side::Campaign), result),
        };
        let Err(error) = result else {
            self.stumbled.remove(&way);
            // What was answered may make another decision due.
            self.shared.wakes[self.account].notify_one();
            return Ok(());
        };
        // What the ledger did not take of an answer nobody knows: the next term resolves it.
        if unsure(&error) || matches!(error, AgentError::Ledger(_)) {
            return Err(error);
        }
        let shared = Arc::clone(&self.shared);
        let times = self.stumbled.get(&way).map_or(0, |stumbled| stumbled.times);
        let Some(delay) = stumble(&shared.health, &self.name, &error, times) else {
            return Err(error);
        };
        let until = Instant::now() + delay;
        self.stumbled.insert(way, Stumbled { times: times.saturating_add(1), until });
        Ok(())
    }
}

/// Reads records and takes in what they hold.
async fn read<L: Ledger, S: Scan>(
    shared: &Shared<L>,
    plans: &Plans,
    (account, side): (usize, Side),
    scan: &mut S,
    wanted: BTreeMap<Entity, Vec<RecordId>>,
) -> Result<(), AgentError> {
    for (entity, records) in wanted {
        let mut ticks = Ticks::new(&*shared.clock, account, side);
        let found = scan.read(entity, &records, &mut ticks).await?;
        absorb(&shared.desk(plans, account), side, &found, &BTreeMap::new()).await?;
    }
    Ok(())
}

/// Whether the ledger may not hold what we did. Nobody waits for such writes any more: the next
/// term finds them and resolves them, and this one must end for that.
fn unsure(error: &AgentError) -> bool {
    match error {
        AgentError::Ledger(LedgerError::Unavailable { .. }) | AgentError::Contended { .. } => true,
        AgentError::Ledger(_)
        | AgentError::Peer(_)
        | AgentError::Deposed { .. }
        | AgentError::Outdated { .. }
        | AgentError::Died { .. } => false,
    }
}

/// A task that panicked takes the agent with it: its links are loaded afresh by the next leader.
fn died(error: tokio::task::JoinError) -> AgentError {
    AgentError::Died { source: error }
}
