//! `truce sync`: a comparison that a person asks for, of some records or of all.
//!
//! The agent that leads carries it out. What is asked for is kept in the ledger, so it survives this
//! command, and the agent too.

mod report;
mod wait;

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use jiff::{SpanRelativeTo, Timestamp};

use crate::agent::Plan;
use crate::agent::epochs::demand_compare;
use crate::agent::repair;
use crate::crm::any::record_id;
use crate::peer::PeerError;
use crate::reconcile::{Entity, RecordId};

use super::failure::Unusable;
use super::lead::now;
use super::progress::Bars;
use super::survey::Survey;
use super::visit::Visit;

use wait::Waiting;

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["keys", "since", "all"])))]
pub(super) struct Options {
    /// The config file
    #[arg(long, value_name = "FILE", env = "TRUCE_CONFIG")]
    config: PathBuf,
    /// The mapping
    #[arg(value_name = "MAPPING")]
    mapping: String,
    /// Records by their keys in Campaign or their ids in the CRM; `-` reads them from standard
    /// input, separated by white space or commas
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    keys: Vec<String>,
    /// What either side changed since: a moment, or how long ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Everything, as after a restore: both sides are read whole
    #[arg(long)]
    all: bool,
    /// Ask for it, and leave
    #[arg(long)]
    no_wait: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The most records that are compared by their keys: reading both sides whole costs less.
const KEYS_MAX: usize = 200_000;

pub(super) async fn sync(options: Options) -> Result<()> {
    let visit = Visit::open(&options.config).await?;
    let entity = visit.entity(&options.mapping)?;
    let plan = &visit.plans[&entity];
    let mut waiting = Waiting::of(&visit, plan, options.json)?;
    if options.all {
        demand_compare(&visit.ledger, plan, now()).await?;
        if options.no_wait || !waiting.is_led().await? {
            return waiting.asked(None);
        }
        return waiting.for_all().await;
    }
    let keys = match &options.since {
        Some(since) => changed_since(&options, entity, moment(since)?).await?,
        None => named(&options.keys)?,
    };
    bounded(&keys)?;
    let request = repair::ask(&visit.ledger, plan, &keys, now()).await?;
    if options.no_wait || !waiting.is_led().await? {
        return waiting.asked(Some(keys.len()));
    }
    waiting.for_keys(&request, keys, options.since.is_none()).await
}

fn bounded(keys: &BTreeSet<RecordId>) -> Result<()> {
    if keys.len() <= KEYS_MAX {
        return Ok(());
    }
    let count = keys.len();
    Err(Unusable::new(format!(
        "{count} records are more than the {KEYS_MAX} that are compared one by one; use --all"
    ))
    .into())
}

/// The records that were named.
fn named(given: &[String]) -> Result<BTreeSet<RecordId>> {
    let text = match given {
        [dash] if dash == "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("reading keys")?;
            text
        }
        given => given.join(","),
    };
    let keys: BTreeSet<RecordId> = text
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|key| !key.is_empty())
        // Short ids are what error messages and addresses of pages show.
        .map(|key| record_id(key).unwrap_or_else(|| RecordId::from(key)))
        .collect();
    if keys.is_empty() {
        return Err(Unusable::new("no key was given: `--keys 4711,4712`, or `--keys -`").into());
    }
    Ok(keys)
}

/// A moment, or how long ago it was.
fn moment(text: &str) -> Result<Timestamp> {
    let now = now();
    let ago = || {
        let span: jiff::Span = text.parse().ok()?;
        let ago = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        now.checked_sub(ago).ok()
    };
    let moment = text.parse::<Timestamp>().ok().or_else(ago).ok_or_else(|| {
        Unusable::new(format!(
            "--since {text}: say a moment as in `2026-11-27T18:00Z`, or how long ago as in `2h` or \
             `3d`"
        ))
    })?;
    if moment <= now {
        return Ok(moment);
    }
    Err(Unusable::new(format!("--since {text} is in the future")).into())
}

/// What changed on either side since then, by the sides' own times.
async fn changed_since(
    options: &Options,
    entity: Entity,
    since: Timestamp,
) -> Result<BTreeSet<RecordId>> {
    let survey = Survey::open(&options.config).await?;
    let mapping = survey.config.mappings.iter().find(|(name, _)| name.as_str() == options.mapping);
    let Some((_, mapping)) = mapping else { return Ok(BTreeSet::new()) };
    let crm = survey.peer(&mapping.crm, &survey.accounts[&mapping.crm]).await?;
    let (mut campaign, crm) = (survey.campaign(), crm.scan());
    let listing = async {
        let mut keys = BTreeSet::new();
        let mut after = None;
        loop {
            let page = campaign.changed_since(entity, since, after.as_ref()).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            keys.extend(page);
            bounded(&keys)?;
        }
        let mut after = None;
        loop {
            let page = crm.changed_since(entity, since, after.as_ref()).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            keys.extend(page);
            bounded(&keys)?;
        }
        anyhow::Ok(keys)
    };
    let keys = Bars::on_stderr().during("listing what changed", listing).await;
    keys.map_err(|error| match error.downcast_ref::<PeerError>() {
        Some(PeerError::Unfit { why }) => {
            Unusable::new(format!("--since: {why}; use --keys or --all")).into()
        }
        _ => error,
    })
}

/// What a mapping is called, for messages.
fn name(plan: &Plan) -> &str {
    &plan.name
}
