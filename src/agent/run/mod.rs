//! One process: its loops, started together and stopped together.
//!
//! ```text
//! Campaign's log ─ follow ─┐              ┌─ deliver ─ Campaign
//!                          ├─ the ledger ─┤   (a Settler an account)
//! a feed an object ─ follow┘              └─ deliver ─ the CRM
//!                     backfill: both sides scanned, then compared when that is asked for
//!                     tend: gates, totals, metrics
//! ```
//!
//! No loop talks to another but through the ledger; a wake-up only says that there is something
//! to look for. Each may be killed between any two steps.

mod ahead;
mod doors;
mod health;
mod settler;
mod shared;
mod tend;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch as channel};
use tokio::task::JoinSet;

use crate::ledger::Ledger;
use crate::peer::{Ahead, Outline};
use crate::reconcile::{Entity, Side};

use super::AgentError;
use super::backfill::Backfill;
use super::clock::AgentClock;
use super::plan::Plans;

pub use doors::{Doors, Watch};
pub use health::{Come, Health, Pass, Reads};
pub use shared::{After, Gates, Shared, after, stumble, told};
pub use tend::refresh;
pub use watch::{CAMPAIGN_FEED, crm_feed};

use settler::Settler;
use watch::{Followed, follow};

/// An account of a CRM, with its doors open.
pub struct Account<A, F> {
    /// Its name in the config.
    pub name: Arc<str>,
    /// Its doors.
    pub doors: Arc<A>,
    /// Its feeds, each with the mappings whose records it brings.
    pub feeds: Vec<(Entity, F)>,
    /// How old the last pass of a feed may be.
    pub fresh_within: Duration,
}

/// Everything that the loops work with.
pub struct Agent<L, C, CF, A, F> {
    /// Where things are kept.
    pub ledger: Arc<L>,
    /// What time it is.
    pub clock: Arc<AgentClock>,
    /// Where the loops say how they are.
    pub health: Arc<Health>,
    /// All mappings.
    pub plans: Arc<Plans>,
    /// Campaign's doors.
    pub campaign: Arc<C>,
    /// Campaign's feed.
    pub campaign_feed: CF,
    /// The accounts, in the order of their numbers.
    pub accounts: Vec<Account<A, F>>,
    /// The most links that are decided at once.
    pub round: usize,
    /// How long work that is under way may take to end.
    pub drain: Duration,
}

/// Campaign's log is followed all the time; a pass that is older than this is a problem.
const CAMPAIGN_FRESH_WITHIN: Duration = Duration::from_mins(1);

type Loops = JoinSet<Result<(), AgentError>>;

impl<L, C, CF, A, F> Agent<L, C, CF, A, F>
where
    L: Ledger + 'static,
    C: Doors<Scan: Ahead>,
    CF: Watch,
    A: Doors<Scan: Outline>,
    F: Watch,
{
    /// Runs until it is told to stop, the lead is lost, or a loop cannot go on.
    ///
    /// At `stop` the feeds stop, and deliveries that are under way have `drain` to end. At `lost`
    /// nothing more is written.
    pub async fn run(
        self,
        stop: impl Future<Output = ()> + Send,
        lost: impl Future<Output = AgentError> + Send,
    ) -> Result<(), AgentError> {
        let (stopping, stopped) = channel::channel(false);
        let drain = self.drain;
        tokio::pin!(stop, lost);
        let mut loops = tokio::select! {
            loops = self.start(stopped) => loops?,
            error = &mut lost => return Err(error),
        };
        let outcome = tokio::select! {
            () = &mut stop => Ok(()),
            ended = loops.join_next() => ended_early(ended),
            error = &mut lost => {
                stopping.send_replace(true);
                return lead_is_lost(error, &mut loops, drain).await;
            }
        };
        stopping.send_replace(true);
        if let Err(error @ AgentError::Deposed { .. }) = outcome {
            loops.abort_all();
            return Err(error);
        }
        let error = tokio::select! {
            () = drained(&mut loops, drain) => return outcome,
            error = &mut lost => error,
        };
        // Nothing is written on beyond the lease; that anything else is lost is no news any more.
        if matches!(error, AgentError::Deposed { .. }) {
            loops.abort_all();
            return Err(error);
        }
        drained(&mut loops, drain).await;
        outcome
    }

    async fn start(self, stop: channel::Receiver<bool>) -> Result<Loops, AgentError> {
        let count = self.accounts.len();
        let shared = Arc::new(Shared {
            ledger: self.ledger,
            clock: self.clock,
            health: self.health,
            plans: Arc::clone(&self.plans),
            wakes: (0..count).map(|_| Notify::new()).collect(),
            compares: (0..count).map(|_| Notify::new()).collect(),
            gates: channel::Sender::new(BTreeMap::new()),
            totals: channel::Sender::new(BTreeMap::new()),
            waiting: channel::Sender::new(BTreeMap::new()),
            round: self.round,
            behind: channel::Sender::new(None),
            stop,
        });
        refresh(&shared).await?;
        // A share of nothing is nothing: uncounted, a few deletions would put the brake on.
        tend::count(&shared, &mut BTreeSet::new()).await?;
        shared.health.begins_anew();
        shared.health.leads();
        let mut loops = JoinSet::new();
        let followed = Followed {
            name: CAMPAIGN_FEED.into(),
            side: Side::Campaign,
            account: 0,
            plans: self.plans,
            fresh_within: CAMPAIGN_FRESH_WITHIN,
        };
        spawn(&mut loops, &shared, followed, self.campaign_feed);
        for (number, account) in self.accounts.into_iter().enumerate() {
            for (entity, feed) in account.feeds {
                let Some(plan) = shared.plans.get(&entity) else { continue };
                let followed = Followed {
                    name: crm_feed(&account.name, &plan.name).into(),
                    side: Side::Crm,
                    account: number,
                    plans: Arc::new(Plans::from([(entity, plan.clone())])),
                    fresh_within: account.fresh_within,
                };
                spawn(&mut loops, &shared, followed, feed);
            }
            let settler = Settler::new(&shared, number, &self.campaign, &account.doors);
            loops.spawn(settler.run());
            let backfill =
                Backfill::new(&shared, (number, account.name), &self.campaign, &account.doors);
            loops.spawn(backfill.run());
        }
        loops.spawn(ahead::look_ahead(Arc::clone(&shared), self.campaign));
        loops.spawn(tend::tend(shared));
        Ok(loops)
    }
}

fn spawn<L: Ledger + 'static, F: Watch>(
    loops: &mut Loops,
    shared: &Arc<Shared<L>>,
    followed: Followed,
    feed: F,
) {
    let shared = Arc::clone(shared);
    loops.spawn(async move { follow(&shared, &followed, feed).await });
}

/// Ends the loops: at once where another leads, in order otherwise.
async fn lead_is_lost(
    error: AgentError,
    loops: &mut Loops,
    drain: Duration,
) -> Result<(), AgentError> {
    if matches!(error, AgentError::Deposed { .. }) {
        loops.abort_all();
    } else {
        drained(loops, drain).await;
    }
    Err(error)
}

/// Lets what is under way come to its end, for so long.
async fn drained(loops: &mut Loops, drain: Duration) {
    tracing::info!(drain_s = drain.as_secs(), "draining");
    if tokio::time::timeout(drain, all_ended(loops)).await.is_err() {
        tracing::warn!("not everything under way ended in time; the next start resolves it");
        loops.abort_all();
    }
}

/// A loop that ends before it is told to has an error, or died.
fn ended_early(
    ended: Option<Result<Result<(), AgentError>, tokio::task::JoinError>>,
) -> Result<(), AgentError> {
    match ended {
        Some(Ok(result)) => result,
        Some(Err(source)) => Err(AgentError::Died { source }),
        None => Ok(()),
    }
}

async fn all_ended(loops: &mut Loops) {
    while let Some(ended) = loops.join_next().await {
        if let Err(error) = ended_early(Some(ended)) {
            tracing::warn!(error = told(&error), "a loop ended with an error while draining");
        }
    }
}
