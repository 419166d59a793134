//! From a feed to the ledger: one loop a feed, the same for both sides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::agent::AgentError;
use crate::agent::absorb::absorb;
use crate::agent::epochs::demand_compare;
use crate::agent::error::unless_conflict;
use crate::agent::plan::Plans;
use crate::agent::time::{Clock as _, Ticks};
use crate::ledger::{Batch, Ledger};
use crate::peer::{Cursor, Page};
use crate::reconcile::{Entity, Side, Skew};
use crate::telemetry::metrics;

use super::doors::Watch;
use super::shared::{After, Shared, after, stumble};

/// Which feed a loop follows.
#[derive(Clone, Debug)]
pub(super) struct Followed {
    /// The feed's name, under which its cursor is kept.
    pub(super) name: Arc<str>,
    /// Whose it is.
    pub(super) side: Side,
    /// Of which account; Campaign's is that of all, and takes the first's number.
    pub(super) account: usize,
    /// The mappings whose records it brings.
    pub(super) plans: Arc<Plans>,
    /// How old its last pass may be.
    pub(super) fresh_within: Duration,
}

/// How long a feed waits for something to come. It also bounds how late a quiet feed is known to
/// have passed a moment, which first scans wait for.
const PATIENCE: Duration = Duration::from_millis(250);

/// Between two new beginnings of a feed, but for the first.
const OVER_AGAIN: Duration = Duration::from_secs(30);

/// Follows a feed until the loops stop.
pub(super) async fn follow<L: Ledger, F: Watch>(
    shared: &Shared<L>,
    followed: &Followed,
    mut feed: F,
) -> Result<(), AgentError> {
    let Followed { name, .. } = followed;
    shared.health.begins(name, Some(followed.fresh_within));
    let mut cursor: Option<Cursor> = None;
    let (mut failures, mut passed) = (0, Timestamp::MIN);
    while !shared.is_stopping() {
        match step(shared, followed, &mut feed, &mut cursor).await {
            Ok(more) => {
                failures = 0;
                if followed.side == Side::Campaign {
                    passed = if more { passed } else { shared.clock.now() };
                    let behind = more.then_some(passed);
                    shared.behind.send_if_modified(|known| {
                        let differs = *known != behind;
                        *known = behind;
                        differs
                    });
                }
                shared.health.beats(name);
            }
            Err(error) => {
                // What was not stored is read again.
                cursor = None;
                let delay = match (stumble(&shared.health, name, &error, failures), error) {
                    (Some(delay), _) => delay,
                    (None, error) if after(&error, failures) == After::Compare => {
                        tracing::error!(feed = %name, %error, "the feed has a gap: comparing");
                        start_over(shared, followed).await?;
                        // A slot that is lost for good stays lost until somebody mends it.
                        if failures == 0 { Duration::ZERO } else { OVER_AGAIN }
                    }
                    (None, error) => return Err(error),
                };
                failures += 1;
                shared.rest(delay).await;
            }
        }
    }
    feed.stop().await;
    Ok(())
}

/// One page: read, kept, confirmed; says whether there is more.
async fn step<L: Ledger, F: Watch>(
    shared: &Shared<L>,
    followed: &Followed,
    feed: &mut F,
    cursor: &mut Option<Cursor>,
) -> Result<bool, AgentError> {
    let Followed { name, side, account, .. } = followed;
    let known = match cursor.take() {
        Some(known) => known,
        None => shared.ledger.cursor(name).await?,
    };
    let begun = shared.clock.tick();
    let mut ticks = Ticks::new(&*shared.clock, *account, *side);
    let page = tokio::select! {
        biased;
        () = shared.stopped() => return Ok(false),
        page = feed.page(&known, PATIENCE, &mut ticks) => page?,
    };
    let more = page.more;
    let moved = page.cursor != known;
    let durable = page.cursor.clone();
    if moved || !page.observations.is_empty() || !page.compare.is_empty() {
        keep(shared, followed, feed, page).await?;
    } else if let Some(skew) = page.skew {
        measured(shared, followed, skew);
    }
    if moved {
        feed.confirm(&durable).await?;
    }
    if !more {
        shared.health.passes(name, begun);
    }
    *cursor = Some(durable);
    Ok(more)
}

/// Keeps how far a side's clock is ahead of ours.
fn measured<L: Ledger>(shared: &Shared<L>, followed: &Followed, skew: Skew) {
    shared.clock.measured(followed.account, followed.side, skew);
    let seconds = skew.offset.as_secs_f64();
    match followed.side {
        Side::Campaign => metrics::campaign_clock_offset(seconds),
        Side::Crm => metrics::clock_offset(account_name(&followed.name), seconds),
    }
}

/// Makes a page durable, and wakes whoever has something to do with it.
async fn keep<L: Ledger, F: Watch>(
    shared: &Shared<L>,
    followed: &Followed,
    feed: &mut F,
    page: Page,
) -> Result<(), AgentError> {
    let Followed { name, side, account, plans, .. } = followed;
    if let Some(skew) = page.skew {
        measured(shared, followed, skew);
    }
    // Asked for before the page is kept: a crash between the two compares once too often.
    for entity in &page.compare {
        if let Some(plan) = plans.get(entity) {
            tracing::warn!(mapping = %plan.name, "the feed asks for a comparison");
            demand_compare(&*shared.ledger, plan, shared.clock.now()).await?;
            shared.compares[plan.account].notify_one();
        }
    }
    let begun = tokio::time::Instant::now();
    let desk = shared.desk(plans, *account);
    let cursors = BTreeMap::from([(name.to_string(), page.cursor)]);
    let absorbed = absorb(&desk, *side, &page.observations, &cursors).await?;
    metrics::saved(begun.elapsed());
    feed.forget(&absorbed.deaf);
    let mut seen: BTreeMap<Entity, u64> = BTreeMap::new();
    for observation in &page.observations {
        *seen.entry(observation.entity).or_default() += 1;
    }
    for (entity, count) in seen {
        if let Some(plan) = plans.get(&entity) {
            metrics::observed(&plan.name, *side, count);
            shared.wakes[plan.account].notify_one();
        }
    }
    Ok(())
}

/// Begins a feed anew where it can no longer go on, with a comparison for what was missed.
async fn start_over<L: Ledger>(shared: &Shared<L>, followed: &Followed) -> Result<(), AgentError> {
    for plan in followed.plans.values() {
        demand_compare(&*shared.ledger, plan, shared.clock.now()).await?;
        shared.compares[plan.account].notify_one();
    }
    let mut batch = Batch::new(shared.clock.now());
    batch.cursors.insert(followed.name.to_string(), Cursor::start());
    match shared.ledger.store(batch).await {
        Ok(()) => Ok(()),
        Err(error) => unless_conflict(error).map(drop),
    }
}

/// The name of Campaign's feed.
pub const CAMPAIGN_FEED: &str = "feed/campaign";

/// The name of the feed of an account's mapping.
pub fn crm_feed(account: &str, mapping: &str) -> String {
    format!("feed/{account}/{mapping}")
}

fn account_name(feed: &str) -> &str {
    feed.split('/').nth(1).unwrap_or(feed)
}

/// Says how old the CRM feeds' last passes are: also of those that hang in a call, or fail.
pub(super) fn tell_ages<L>(shared: &Shared<L>) {
    for (name, age) in shared.health.ages() {
        if let Some((account, mapping)) =
            name.strip_prefix("feed/").and_then(|rest| rest.split_once('/'))
        {
            metrics::poll_age(account, mapping, age);
        }
    }
}
