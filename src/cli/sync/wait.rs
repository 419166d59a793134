//! Waiting for the agent to carry out what was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Result, bail};
use jiff::Timestamp;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::agent::Plan;
use crate::agent::compared::{compared, scanned};
use crate::agent::epochs::wanted_generation;
use crate::agent::repair;
use crate::agent::status::{MappingStatus, status};
use crate::agent::working::later;
use crate::cli::lead::now;
use crate::cli::places::Places;
use crate::cli::progress::{Bars, Way};
use crate::cli::visit::Visit;
use crate::ledger::{Bearer, Leader, Ledger as _, Verdict};
use crate::reconcile::{Answer, RecordId, Sent, Side};

use super::name;
use super::report::{self, Report};

/// Between two looks at the ledger.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is due within this is waited for; what is due later waits for something else, and is told.
const SOON: Duration = Duration::from_secs(5);

/// Between two questions whether anybody leads.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// So many links are looked at at once.
const PAGE: usize = 1000;

/// A command that waits.
pub(super) struct Waiting<'a> {
    visit: &'a Visit,
    plan: &'a Plan,
    leader: Leader,
    json: bool,
    begun: Timestamp,
    /// When somebody was last known to lead.
    asked: Instant,
}

impl<'a> Waiting<'a> {
    pub(super) fn of(visit: &'a Visit, plan: &'a Plan, json: bool) -> Result<Self> {
        let url = Places::of(&visit.config)?.ledger;
        let leader = Leader::new(&url, "truce sync", Duration::ZERO, Duration::ZERO);
        Ok(Self { visit, plan, leader, json, begun: now(), asked: Instant::now() })
    }

    /// Whether an agent leads.
    pub(super) async fn is_led(&mut self) -> Result<bool> {
        self.asked = Instant::now();
        Ok(self.leader.holder().await?.is_some())
    }

    /// Says that it was asked for and is not waited for.
    pub(super) fn asked(&self, keys: Option<usize>) -> Result<()> {
        let mapping = name(self.plan);
        let mut out = std::io::stdout().lock();
        if self.json {
            let line = json!({ "mapping": mapping, "asked": keys, "done": false });
            return Ok(writeln!(out, "{line}")?);
        }
        let what = keys.map_or("everything".to_owned(), report::records);
        Ok(writeln!(
            out,
            "{what} of {mapping} will be compared by the agent that leads, or by the next that does; \
             `truce status` and `truce explain` tell what comes of it"
        )?)
    }

    async fn must_be_led(&mut self) -> Result<()> {
        if self.asked.elapsed() < ASK_EVERY || self.is_led().await? {
            return Ok(());
        }
        bail!(
            "no agent leads any more; what was asked for stays in the ledger, and the next that \
             leads carries it out"
        )
    }

    /// Waits until both sides are read whole and what was found is decided; tells what came of it.
    pub(super) async fn for_all(mut self) -> Result<()> {
        let bars = Bars::on_stderr();
        let names = ["campaign", "crm"].map(|side| format!("reading {side}'s {}", name(self.plan)));
        let mut shown = names.map(|name| bars.add(name));
        let begun = Instant::now();
        let wanted = wanted_generation(&self.visit.ledger, self.plan).await?;
        let done = loop {
            let (ledger, plan) = (&self.visit.ledger, self.plan);
            let stands = compared(ledger, plan).await?;
            if wanted <= stands.generation && stands.woken {
                // What is due later waits for something else.
                let counts = ledger.counts(later(now(), SOON)).await?;
                let due = counts.due.iter().filter(|((of, _), _)| *of == plan.policy.entity);
                if due.map(|(_, count)| *count).sum::<u64>() == 0 {
                    break self.mapping().await?;
                }
            } else {
                for (side, bar) in Side::BOTH.into_iter().zip(&mut shown) {
                    let done = scanned(ledger, plan, side).await?;
                    let elapsed = begun.elapsed();
                    bar.tell(&Way { before: 0, done, total: None, elapsed });
                }
            }
            self.must_be_led().await?;
            sleep(LOOK_EVERY).await;
        };
        bars.clear();
        let mut decided: BTreeMap<Verdict, u64> = BTreeMap::new();
        self.decisions(|verdict| *decided.entry(verdict).or_default() += 1).await?;
        report::all(&done, &decided, self.json)
    }

    async fn mapping(&self) -> Result<MappingStatus> {
        let plans = [(self.plan.policy.entity, self.plan.clone())].into();
        let mut all = status(&self.visit.ledger, &plans, now()).await?;
        Ok(all.remove(0))
    }

    /// What was decided of this mapping since this command began.
    async fn decisions(&self, mut told: impl FnMut(Verdict)) -> Result<()> {
        let ledger = &self.visit.ledger;
        let mut after = 0;
        loop {
            let page = ledger.decisions_since(self.begun, after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = *last;
            let ids: BTreeSet<_> = page.iter().map(|(_, decision)| decision.link).collect();
            let links = ledger.links(&ids.into_iter().collect::<Vec<_>>()).await?;
            let ours: BTreeSet<_> = links
                .iter()
                .filter(|kept| kept.link.entity == self.plan.policy.entity)
                .map(|kept| kept.link.id)
                .collect();
            page.iter().filter(|(_, one)| ours.contains(&one.link)).for_each(|(_, one)| {
                told(one.verdict);
            });
        }
    }

    /// Waits until these are read and decided; tells what came of each.
    pub(super) async fn for_keys(
        mut self,
        request: &str,
        keys: BTreeSet<RecordId>,
        named: bool,
    ) -> Result<()> {
        let bars = Bars::on_stderr();
        let mut bar = bars.add(format!("comparing {}", name(self.plan)));
        let begun = Instant::now();
        let parts = repair::left(&self.visit.ledger, request).await?.max(1) as u64;
        loop {
            let left = repair::left(&self.visit.ledger, request).await? as u64;
            let (done, total) = (parts.saturating_sub(left), Some(parts));
            let all = keys.len() as u64;
            let way = |part: u64| part.saturating_mul(all) / parts;
            let elapsed = begun.elapsed();
            bar.tell(&Way { before: 0, done: way(done), total: total.map(way), elapsed });
            if left == 0 {
                break;
            }
            self.must_be_led().await?;
            sleep(LOOK_EVERY).await;
        }
        let keys: Vec<RecordId> = keys.into_iter().collect();
        let mut report = Report::new(self.visit, self.plan, self.begun, named);
        for keys in keys.chunks(PAGE) {
            let bearers = self.bearers(keys);
            while self.is_busy(&bearers).await? {
                self.must_be_led().await?;
                sleep(LOOK_EVERY).await;
            }
            report.add(keys, self.visit.ledger.links_of(&bearers).await?).await?;
        }
        bars.clear();
        report.print(self.json)
    }

    fn bearers(&self, keys: &[RecordId]) -> Vec<Bearer> {
        let entity = self.plan.policy.entity;
        keys.iter().flat_map(|key| Side::BOTH.map(|side| (entity, side, key.clone()))).collect()
    }

    /// Whether any of these is about to be looked at or being written.
    async fn is_busy(&self, bearers: &[Bearer]) -> Result<bool> {
        let soon = later(now(), SOON);
        let links = self.visit.ledger.links_of(bearers).await?;
        Ok(links.iter().any(|kept| {
            let due = kept.mark.due().is_some_and(|due| due.at <= soon);
            let pending = |sent: &Sent| sent.answer == Answer::Pending;
            due || Side::BOTH.into_iter().any(|side| kept.link.sent[side].iter().any(pending))
        }))
    }
}
