//! `truce plan`: what `run` would write where, and what that would cost; writes nothing.

mod report;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use serde_json::Value as Json;

use crate::agent::epochs::gate_fact;
use crate::agent::kept::brake_fact;
use crate::agent::rehearse::{Intended, Rehearsal};
use crate::agent::{Plan, Plans};
use crate::crm::Cost;
use crate::crm::any::Writer;
use crate::crm::http::Call;
use crate::ledger::{HeldFilter, HeldPage, Ledger as _, PostgresLedger};
use crate::reconcile::decide::Gate;
use crate::reconcile::{Link, Side, Sides, Write};

use super::failure::Unusable;
use super::progress::Bars;
use super::survey::Survey;

use report::Report;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The config file
    #[arg(long, value_name = "FILE", env = "TRUCE_CONFIG")]
    config: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Show so many records of each kind
    #[arg(long, default_value_t = 3, value_name = "N")]
    samples: usize,
    /// Plan for at most so many records of both sides together: each takes some 4 kB of memory
    #[arg(long, default_value_t = 2_000_000, value_name = "N")]
    records_max: u64,
}

/// Links are copied from a ledger so many at a time.
const PAGE: usize = 2_000;

/// What is held is listed up to this many records.
const HELD_MAX: usize = 10_000_000;

pub(super) async fn plan(options: Options) -> Result<()> {
    let survey = Survey::open(&options.config).await?;
    let (config, plans) = (&survey.config, &survey.plans);
    let mut report = Report::new(options.samples);
    for (number, (name, account)) in survey.accounts.iter().enumerate() {
        let of_account = accounts_plans(plans, number, survey.ledger.as_ref()).await?;
        let peer = survey.peer(name, account).await?;
        let known = links(survey.ledger.as_ref(), &of_account).await?;
        let rehearsal = Rehearsal::new(&of_account, number, epochs(&known));
        rehearsal.recall(brakes(survey.ledger.as_ref(), &of_account).await?).await?;
        let (mut campaign, mut crm, writer) = (survey.campaign(), peer.scan(), peer.writer());
        let bars = Bars::on_stderr();
        for (label, _) in config.in_order() {
            let plan = of_account.values().find(|plan| *plan.name == *label.as_str());
            let Some(plan) = plan else { continue };
            // Not before its turn: what is known of a mapping is decided once it is read.
            let of_mapping = known.iter().filter(|link| link.entity == plan.policy.entity);
            rehearsal.know(of_mapping.cloned().collect()).await?;
            let reading = rehearsal.read(plan, (&mut campaign, &mut crm));
            let read = bars.during(&format!("reading both sides of {label}"), reading).await?;
            report.read(label.as_str(), read);
            bounded(&report, options.records_max)?;
            let before = account.calls();
            let told = Mutex::new(Vec::new());
            // As in `run`, where a mapping waits for those that it refers to.
            let deciding = rehearsal.decide(&writer, (&mut campaign, &mut crm), |round| {
                told.lock().unwrap_or_else(PoisonError::into_inner).push(round);
            });
            bars.during(&format!("deciding {label}"), deciding).await?;
            let reads = account.calls().made(Call::Read) - before.made(Call::Read);
            report.cost(name.as_str(), Cost { reads, writes: 0 });
            for round in told.into_inner().unwrap_or_else(PoisonError::into_inner) {
                report.cost(name.as_str(), cost(&writer, &round)?);
                for one in &round {
                    report.intend(&of_account, one);
                }
            }
        }
        report.calls(name.as_str(), account.calls().made(Call::Scan));
        let page = HeldPage { after: None, limit: HELD_MAX };
        for link in rehearsal.ledger.held(&HeldFilter::default(), page).await? {
            report.held(&of_account, &link);
        }
        report.budget(name.as_str(), account.usage().left);
    }
    report.print(options.json)
}

/// Whether what was read so far is not too much for a plan.
fn bounded(report: &Report, most: u64) -> Result<()> {
    if report.records() <= most {
        return Ok(());
    }
    Err(Unusable::new(format!(
        "there are more than {most} records on both sides together; each takes some 4 kB of memory \
         here: raise --records-max where there is that much"
    ))
    .into())
}

/// An account's mappings, as they stand once both sides are read to their ends: open, unless they
/// wait for a person after a new epoch.
async fn accounts_plans(
    plans: &Plans,
    account: usize,
    ledger: Option<&PostgresLedger>,
) -> Result<Plans> {
    let mut of_account = Plans::new();
    for (entity, plan) in plans.iter().filter(|(_, plan)| plan.account == account) {
        let kept = match ledger {
            Some(ledger) => ledger.fact(&gate_fact(plan)).await?,
            None => None,
        };
        let gate = if kept.is_some_and(|fact| !fact.is_null()) { Gate::Held } else { Gate::Open };
        of_account.insert(*entity, Plan { creates: gate, deletes: gate, ..plan.clone() });
    }
    Ok(of_account)
}

/// How the brakes of mappings stand.
async fn brakes(ledger: Option<&PostgresLedger>, plans: &Plans) -> Result<BTreeMap<String, Json>> {
    let mut brakes = BTreeMap::new();
    let Some(ledger) = ledger else { return Ok(brakes) };
    for name in plans.values().map(brake_fact) {
        if let Some(brake) = ledger.fact(&name).await? {
            brakes.insert(name, brake);
        }
    }
    Ok(brakes)
}

/// The links of an account's mappings that a ledger holds.
async fn links(ledger: Option<&PostgresLedger>, plans: &Plans) -> Result<Vec<Link>> {
    let Some(ledger) = ledger else { return Ok(Vec::new()) };
    let mut links = Vec::new();
    for entity in plans.keys() {
        let mut after = None;
        loop {
            let page = ledger.walk(*entity, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.link.id);
            links.extend(page.into_iter().map(|kept| kept.link));
        }
    }
    Ok(links)
}

/// The epochs in which these were seen; the first, where there are none.
fn epochs(links: &[Link]) -> Sides<u32> {
    Sides::of(|side| links.iter().map(|link| link.seen[side].at.epoch).max().unwrap_or(0).max(1))
}

/// What the writes of a round to the CRM would cost.
fn cost(writer: &Writer, round: &[Intended]) -> Result<Cost> {
    let all = round.iter().map(|one| &one.write);
    let to_crm: Vec<Write> = all.filter(|write| write.side == Side::Crm).cloned().collect();
    Ok(writer.cost(&to_crm)?)
}

/// Counts by name.
type Counts = BTreeMap<String, u64>;
