//! Opt-outs past the log: while Campaign's log is behind, who opted out lately is looked for in the
//! tables themselves.
//!
//! The log is told in the order of its commits, and what was committed behind a mass update comes
//! after it. So as long as the feed has more to tell than it has told, the rows that say no and were
//! touched since it last had nothing more to tell are read, and taken in like any other read: their
//! snapshot orders them against the log, which tells of them once more and says nothing new. A row
//! that was changed without its time of change comes with the log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::agent::AgentError;
use crate::agent::absorb::absorb;
use crate::agent::plan::Plan;
use crate::agent::time::{Clock as _, Ticks};
use crate::ledger::Ledger;
use crate::peer::Ahead;
use crate::reconcile::{RecordId, Shape, Side};

use super::doors::Doors;
use super::shared::{After, Shared, after, told};

/// Between two looks, at the least.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// This many times what a look took passes before the next: without an index on the time of change
/// it reads the table whole.
const LOOK_SHARE: u32 = 10;

/// A row's time of change is set before its commit: a transaction that took longer comes with the log.
const MARGIN: SignedDuration = SignedDuration::from_mins(1);

/// How far a look goes back where nobody knows when the log was last read to its end.
const FIRST: SignedDuration = SignedDuration::from_hours(24);

/// Looks ahead whenever the log is behind, until the loops stop.
pub(super) async fn look_ahead<L, C>(
    shared: Arc<Shared<L>>,
    campaign: Arc<C>,
) -> Result<(), AgentError>
where
    L: Ledger + 'static,
    C: Doors<Scan: Ahead>,
{
    let mut behind = shared.behind.subscribe();
    let mut scan = campaign.scan();
    while !shared.is_stopping() {
        let passed = tokio::select! {
            () = shared.stopped() => return Ok(()),
            behind = behind.wait_for(Option::is_some) => match behind {
                Ok(behind) => behind.unwrap_or(Timestamp::MIN),
                Err(_) => return Ok(()),
            },
        };
        let (mut since, mut failures) = (passed.max(back(shared.clock.now(), FIRST)), 0);
        while behind.borrow().is_some() && !shared.is_stopping() {
            let (timer, looked_at) = (Instant::now(), shared.clock.now());
            match look(&shared, &mut scan, since).await {
                Ok(()) => (since, failures) = (looked_at, 0),
                // The log brings them all the same, only later.
                Err(error) => {
                    if after(&error, failures) == After::Stop {
                        return Err(error);
                    }
                    if failures == 0 {
                        let error = told(&error);
                        tracing::warn!(error, "could not look ahead of the log for opt-outs");
                    }
                    failures += 1;
                }
            }
            shared.rest(LOOK_EVERY.max(timer.elapsed().saturating_mul(LOOK_SHARE))).await;
        }
    }
    Ok(())
}

fn back(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// Takes in who opted out since then, in all mappings.
async fn look<L: Ledger>(
    shared: &Shared<L>,
    scan: &mut (impl Ahead + Send),
    since: Timestamp,
) -> Result<(), AgentError> {
    let says_no = |plan: &&Plan| {
        plan.policy
            .fields
            .values()
            .any(|rule| rule.shape == Shape::Consent && rule.direction.allows(Side::Crm))
    };
    for plan in shared.plans.values().filter(says_no) {
        let entity = plan.policy.entity;
        let offset = shared.clock.clocks(plan.account).campaign.offset;
        let since = back(since, MARGIN);
        let since = since.checked_add(offset).unwrap_or(since);
        let mut behind: Option<RecordId> = None;
        loop {
            let page = scan.opted_out_since(entity, since, behind.as_ref()).await?;
            let Some(last) = page.last() else { break };
            behind = Some(last.clone());
            let mut ticks = Ticks::new(&*shared.clock, plan.account, Side::Campaign);
            let seen = scan.read(entity, &page, &mut ticks).await?;
            let desk = shared.desk(&shared.plans, plan.account);
            if 0 < absorb(&desk, Side::Campaign, &seen, &BTreeMap::new()).await?.changed {
                shared.wakes[plan.account].notify_one();
            }
        }
    }
    Ok(())
}
