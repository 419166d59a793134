//! What only the leader can look at from beside the loops: tables that come undone, what the slot
//! holds back, how the accounts are spent.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};

use crate::agent::clock::AgentClock;
use crate::agent::epochs::demand_compare;
use crate::agent::held::retry_held;
use crate::agent::run::CAMPAIGN_FEED;
use crate::agent::{Clock as _, Plans};
use crate::campaign::carry_out::Patience;
use crate::campaign::cursor::LogCursor;
use crate::campaign::setup::Wanted;
use crate::campaign::table::Tables;
use crate::campaign::watch::TableWatch;
use crate::campaign::{settings, skew, slot};
use crate::config::Label;
use crate::crm::any::Account;
use crate::crm::http::{Call, Paused};
use crate::ledger::{Ledger as _, PostgresLedger};
use crate::postgres::{ServerUrl, Session, Settings, connect};
use crate::reconcile::Side;
use crate::telemetry::{ApiCall, metrics};

use super::lead::now;
use super::setup::remember;

/// How often to look.
const EVERY: Duration = Duration::from_secs(5);

/// Tables are looked at every so many rounds: a structure update is rare, and a look costs a few
/// queries of the catalog.
const TABLES_EVERY: u32 = 6;

/// The ledger is weighed every so many rounds, that is every minute, and in the first.
const SIZE_EVERY: u32 = 12;

/// The clocks are compared in every so many rounds, which is every two minutes: a good one drifts
/// by a millisecond meanwhile, and what was set is not taken for long.
const CLOCKS_EVERY: u32 = 24;

/// What is looked at.
pub(super) struct Attendant {
    pub(super) url: ServerUrl,
    /// Where the ledger is.
    pub(super) ledger_url: ServerUrl,
    pub(super) wanted: Wanted,
    pub(super) tables: Tables,
    /// How long one of its statements may run.
    pub(super) statement_timeout: Duration,
    /// How much of the log the slot may keep, in bytes.
    pub(super) retained_max: u64,
    pub(super) plans: Arc<Plans>,
    pub(super) clock: Arc<AgentClock>,
    pub(super) ledger: Arc<PostgresLedger>,
    pub(super) accounts: BTreeMap<Label, Arc<Account>>,
    /// How long writes to each account may wait for company.
    pub(super) linger_max: BTreeMap<Label, Duration>,
    /// How long decisions are kept.
    pub(super) keep: SignedDuration,
    /// How much disk the ledger may take, in bytes, before it is an alarm.
    pub(super) ledger_max: u64,
}

impl Attendant {
    /// Looks for as long as it is let.
    pub(super) async fn attend(&self) -> Infallible {
        let mut tables = TableWatch::new(&self.tables);
        let mut counted = BTreeMap::new();
        let mut session = None;
        let mut round = 0_u32;
        let mut too_large = false;
        loop {
            tokio::time::sleep(EVERY).await;
            round = round.wrapping_add(1);
            self.count(&mut counted);
            if round % SIZE_EVERY == 1
                && let Err(error) = self.weigh(&mut too_large).await
            {
                tracing::warn!(error = format!("{error:#}"), "could not ask for the ledger's size");
            }
            let looked = async {
                self.look(&mut session, &mut tables, round.is_multiple_of(TABLES_EVERY)).await?;
                match &session {
                    Some(open) if round.is_multiple_of(CLOCKS_EVERY) => self.compare(open).await,
                    Some(_) | None => Ok(()),
                }
            };
            if let Err(error) = looked.await {
                session = None;
                tracing::warn!(error = format!("{error:#}"), "could not look at the tables");
            }
        }
    }

    async fn look(
        &self,
        session: &mut Option<Session>,
        tables: &mut TableWatch,
        whole: bool,
    ) -> Result<()> {
        let open = if let Some(open) = session.take().filter(|session| !session.is_closed()) {
            open
        } else {
            let settings = settings(&self.wanted.schema).bounded(self.statement_timeout);
            connect(&self.url, &settings).await?
        };
        let session = session.insert(open);
        let retained = self.measure(session).await?;
        if !whole {
            return Ok(());
        }
        if self.retained_max < retained {
            tracing::error!(
                slot = %self.wanted.slot,
                retained,
                retained_max = self.retained_max,
                "the slot keeps more of the log on Campaign's server than \
                 campaign.retained_megabytes_max"
            );
        }
        let before = now().checked_sub(self.keep).unwrap_or(Timestamp::MIN);
        self.ledger.prune(before).await?;
        let patience = Patience { attempts: 1, ..Patience::default() };
        let watched = tables.look(session, &self.wanted, &self.tables, patience).await?;
        remember(&self.ledger, watched.found).await?;
        for alarm in watched.alarms {
            let (what, sql, mended) = (alarm.what, alarm.sql, alarm.mended);
            tracing::error!(what, sql, mended, "a table came undone");
        }
        for plan in watched.back.iter().filter_map(|entity| self.plans.get(entity)) {
            retry_held(&*self.ledger, &self.plans, plan, "refused", now()).await?;
        }
        for entity in watched.compare {
            if let Some(plan) = self.plans.get(&entity) {
                tracing::warn!(mapping = %plan.name, "its table was rebuilt: comparing");
                demand_compare(&*self.ledger, plan, now()).await?;
            }
        }
        Ok(())
    }

    /// Campaign's clock against ours, which the times of edits are compared by.
    async fn compare(&self, session: &Session) -> Result<()> {
        let known = self.clock.clocks(0).campaign;
        let skew = skew::measure(session, &mut now).await?;
        if let Some(moved) = skew::jumped(known, skew) {
            tracing::warn!(
                %moved,
                offset = %skew.offset,
                uncertainty = %skew.uncertainty,
                "Campaign's clock and ours moved against each other"
            );
        }
        self.clock.measured(0, Side::Campaign, skew);
        metrics::campaign_clock_offset(skew.offset.as_secs_f64());
        Ok(())
    }

    /// What of the log is not durable yet, and what the server keeps for us.
    async fn measure(&self, session: &Session) -> Result<u64> {
        let end = slot::current_position(session).await?;
        let slot = slot::find(session, &self.wanted.slot).await?;
        let cursor = self.ledger.cursor(CAMPAIGN_FEED).await?;
        let durable = LogCursor::read(&cursor).ok().flatten().map_or(end, |cursor| cursor.end);
        let retained = slot.and_then(|slot| slot.retained_bytes).unwrap_or(0);
        let retained = u64::try_from(retained).unwrap_or(0);
        metrics::wal(end.0.saturating_sub(durable.0), retained);
        Ok(retained)
    }

    /// How much disk the ledger takes; a connection a minute is cheaper than one kept for it.
    async fn weigh(&self, too_large: &mut bool) -> Result<()> {
        let session = connect(&self.ledger_url, &Settings::default()).await?;
        let size = "select pg_database_size(current_database())";
        let size: i64 = session.query_one(size, &[]).await?.get(0);
        let size = u64::try_from(size)?;
        metrics::ledger_size(size);
        let known = std::mem::replace(too_large, self.ledger_max < size);
        if *too_large && !known {
            let max = self.ledger_max;
            tracing::error!(
                size,
                max,
                "the ledger takes more disk than ledger.disk_megabytes_max; see `truce status` for \
                 its links, and vacuum it or raise the limit"
            );
        }
        session.close().await;
        Ok(())
    }

    fn count(&self, counted: &mut BTreeMap<(Label, &'static str), u64>) {
        for (number, (name, account)) in self.accounts.iter().enumerate() {
            for call in Call::ALL {
                let made = account.calls().made(call);
                let known = counted.entry((name.clone(), call.name())).or_default();
                for _ in *known..made {
                    metrics::called(name.as_str(), kind(call));
                }
                *known = made;
            }
            let (repeated, lost) = (account.calls().repeated(), account.calls().lost());
            let mut since = |what, made: u64| {
                let known = counted.entry((name.clone(), what)).or_default();
                made - std::mem::replace(known, made)
            };
            metrics::faltered(name.as_str(), since("repeated", repeated), since("lost", lost));
            let usage = account.usage();
            let used = usage.reported.map_or(usage.ours, |reported| reported.used);
            metrics::workers(name.as_str(), usage.at_once);
            metrics::calls(name.as_str(), used, usage.left);
            for reason in Paused::ALL {
                metrics::paused(name.as_str(), word(reason), usage.paused == Some(reason));
            }
            if let Some(share) = usage.share_left() {
                metrics::budget(name.as_str(), share);
                let longest = self.linger_max.get(name).copied().unwrap_or_default();
                for plan in self.plans.values().filter(|plan| plan.account == number) {
                    plan.linger.set(share, longest);
                }
            }
        }
    }
}

fn word(reason: Paused) -> &'static str {
    match reason {
        Paused::Budget => "budget",
        Paused::Asked => "asked",
        Paused::Refused => "refused",
    }
}

fn kind(call: Call) -> ApiCall {
    match call {
        Call::Token => ApiCall::Token,
        Call::Describe => ApiCall::Describe,
        Call::Feed => ApiCall::Poll,
        Call::Scan => ApiCall::Scan,
        Call::Read => ApiCall::Read,
        Call::Write => ApiCall::Write,
        Call::Limits => ApiCall::Limits,
    }
}
