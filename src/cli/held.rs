//! `truce held`: what waits for a person, and the ways out.

mod resolve;
mod show;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use crate::agent::held::{self, COUNTED_MAX, Listed, Opened, Wanted, Way, Word};
use crate::ledger::{HeldFilter, HeldLink};
use crate::reconcile::Side;

use super::failure::Unusable;
use super::lead::now;
use super::places::operator;
use super::visit::{Visit, keys};

/// What to do about the held.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Held {
    /// List what is held, with the reason
    #[command(after_help = "\
Examples:
  truce held list --config truce.toml
  truce held list --config truce.toml --mapping contacts --reason refused --json")]
    List(List),
    /// Show what is held with all that a person needs to decide: values, times, why, the ways out
    #[command(after_help = "\
Prints values of records. `truce explain` has the whole story of one record.

Examples:
  truce held show --config truce.toml --key 4711
  truce held show --config truce.toml --mapping contacts --reason conflict --json")]
    Show(show::Options),
    /// Say what is to be held by a field of which two values differ
    #[command(after_help = "\
--take lets one side's value stand, --value one of your own, on both sides. --ignore leaves both as
they are until either side moves. An agent that runs carries it out; one that is started later does.
Of an opt-out that one side holds, --take can only say that it stands.

Examples:
  truce held resolve --config truce.toml --key 4711 --take crm
  truce held resolve --config truce.toml --mapping contacts --field city --key 4711 --value Lyon
  truce held resolve --config truce.toml --mapping contacts --reason conflict --take campaign
  truce held resolve --config truce.toml --mapping contacts --field phone --ignore --json")]
    Resolve(resolve::Options),
    /// Try again what was refused or is stuck: for when the cause was mended
    #[command(after_help = "\
Examples:
  truce held retry --config truce.toml --mapping contacts --reason refused
  truce held retry --config truce.toml --key 4711")]
    Retry(Retry),
    /// Let go what the brake, a new epoch or a deletion holds
    #[command(after_help = "\
A deletion that is held is released by leaving the record that remains alone from then on; with
--delete that record is deleted too, with --recreate the deleted one is made again from it. A field
of which two values differ is for `truce held resolve`.

Examples:
  truce held release --config truce.toml --brake contacts
  truce held release --config truce.toml --epoch
  truce held release --config truce.toml --reason deleted --key 4711
  truce held release --config truce.toml --mapping contacts --reason deleted --delete")]
    Release(Release),
}

#[derive(Debug, clap::Args)]
pub(super) struct Choice {
    /// The config file
    #[arg(long, value_name = "FILE", env = "TRUCE_CONFIG")]
    config: PathBuf,
    /// Of this mapping
    #[arg(long)]
    mapping: Option<String>,
    /// For this reason, as `held list` shows it
    #[arg(long)]
    reason: Option<String>,
    /// Of this field
    #[arg(long, requires = "mapping")]
    field: Option<String>,
    /// Of the record with this key, on either side
    #[arg(long)]
    key: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Retry {
    #[command(flatten)]
    choice: Choice,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    choice: Choice,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// At most so many records
    #[arg(long, default_value_t = 1000)]
    limit: usize,
}

#[derive(Debug, clap::Args)]
pub(super) struct Release {
    #[command(flatten)]
    choice: Choice,
    /// Let the brake of this mapping go, and all that it held
    #[arg(long, value_name = "MAPPING", conflicts_with = "epoch")]
    brake: Option<String>,
    /// Let creates and deletes go after a new epoch, of `--mapping` or of all
    #[arg(long)]
    epoch: bool,
    /// Delete the record that remains where the other is gone
    #[arg(long, conflicts_with_all = ["brake", "epoch"])]
    delete: bool,
    /// Make the record that is gone again, from the one that remains
    #[arg(long, conflicts_with_all = ["brake", "epoch", "delete"])]
    recreate: bool,
    #[command(flatten)]
    print: Print,
}

#[derive(Debug, clap::Args)]
pub(super) struct Print {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn held(what: Held) -> Result<()> {
    match what {
        Held::List(list) => print(list).await,
        Held::Show(options) => show::show(options).await,
        Held::Resolve(options) => resolve::resolve(options).await,
        Held::Retry(Retry { choice, json }) => {
            let visit = Visit::open(&choice.config).await?;
            let (wanted, by) = (wanted(&visit, &choice)?, operator());
            let opened =
                held::open(&visit.ledger, &visit.plans, &wanted, &Way::Retry, word(&by)).await?;
            say(&opened, "will be tried again", json)
        }
        Held::Release(release) => let_go(release).await,
    }
}

async fn let_go(release: Release) -> Result<()> {
    let choice = &release.choice;
    let visit = Visit::open(&choice.config).await?;
    let (ledger, plans, by) = (&visit.ledger, &visit.plans, operator());
    if let Some(mapping) = &release.brake {
        let entity = visit.entity(mapping)?;
        let plan = &plans[&entity];
        let opened = held::release_brake(ledger, plans, plan, word(&by)).await?;
        return say(&opened, "released from the brake", release.print.json);
    }
    if release.epoch {
        let only = choice.mapping.as_deref().map(|name| visit.entity(name)).transpose()?;
        let mut opened = Opened::default();
        for plan in plans.values().filter(|p| only.is_none_or(|only| p.policy.entity == only)) {
            opened.add(held::release_epoch(ledger, plans, plan, word(&by)).await?);
        }
        return say(&opened, "released after the new epoch", release.print.json);
    }
    if !choice.names_some() {
        let why = "say what to release: --mapping, --reason or --key, --brake or --epoch";
        return Err(Unusable::new(why).into());
    }
    let wanted = wanted(&visit, choice)?;
    let way = match (release.delete, release.recreate) {
        (true, _) => Way::Delete,
        (false, true) => Way::Recreate,
        (false, false) => Way::Release,
    };
    let opened = held::open(ledger, plans, &wanted, &way, word(&by)).await?;
    say(&opened, "released", release.print.json)
}

/// What is said now, by this operator.
fn word(by: &str) -> Word<'_> {
    Word { at: now(), by: Some(by) }
}

impl Choice {
    /// Whether it is less than everything that is held.
    fn names_some(&self) -> bool {
        [&self.mapping, &self.reason, &self.key].iter().any(|part| part.is_some())
    }
}

fn wanted(visit: &Visit, choice: &Choice) -> Result<Wanted> {
    let entity = choice.mapping.as_deref().map(|name| visit.entity(name)).transpose()?;
    let field = match (&choice.mapping, &choice.field) {
        (Some(mapping), Some(field)) => Some(visit.field(mapping, field)?),
        (_, None) | (None, Some(_)) => None,
    };
    let filter = HeldFilter { entity, field, reason: choice.reason.clone(), link: None };
    Ok(Wanted { filter, keys: choice.key.as_deref().map(keys).unwrap_or_default() })
}

async fn print(list: List) -> Result<()> {
    let visit = Visit::open(&list.choice.config).await?;
    let wanted = wanted(&visit, &list.choice)?;
    let found = held::list(&visit.ledger, &wanted, list.limit).await?;
    let mut out = std::io::stdout().lock();
    for link in &found.links {
        for held in &link.held {
            let field = held.field.map(|field| visit.field_name(link.entity, field));
            let mapping = visit.mapping_name(link.entity);
            if list.json {
                let line = json!({
                    "mapping": mapping,
                    "campaign": record(link, Side::Campaign),
                    "crm": record(link, Side::Crm),
                    "field": field,
                    "reason": held.reason,
                    "since": held.since.to_string(),
                    "side": held.detail["side"],
                    "words": held.detail["words"],
                });
                writeln!(out, "{line}")?;
                continue;
            }
            let place = match field {
                Some(field) => format!("{mapping}.{field}"),
                None => mapping.to_owned(),
            };
            let (campaign, crm) = (record(link, Side::Campaign), record(link, Side::Crm));
            let words = held.detail["words"].as_str().map(|words| format!("  {words}"));
            writeln!(
                out,
                "{:<28} {:<12} {:<20} {:<22} since {}{}",
                place,
                campaign.unwrap_or_else(|| "-".to_owned()),
                crm.unwrap_or_else(|| "-".to_owned()),
                held.reason,
                held.since,
                words.unwrap_or_default()
            )?;
        }
    }
    drop(out);
    cut(&found)
}

/// Says how many records the limit left out, beside what is printed for machines.
fn cut(listed: &Listed) -> Result<()> {
    let (more, shown) = (listed.more, listed.links.len());
    if more == 0 {
        return Ok(());
    }
    let least = if COUNTED_MAX <= more { "at least " } else { "" };
    Ok(writeln!(
        std::io::stderr(),
        "and {least}{} more; --limit shows more than {shown}",
        records(more)
    )?)
}

fn record(link: &HeldLink, side: Side) -> Option<String> {
    link.records[side].as_ref().map(ToString::to_string)
}

/// Says what was changed, and what was left with what would be right; an error where nothing was
/// changed that a person wanted changed.
fn say(opened: &Opened, what: &str, as_json: bool) -> Result<()> {
    if as_json && (0 < opened.changed || opened.left.is_empty()) {
        let line = json!({ "changed": opened.changed, "left": opened.left });
        return Ok(writeln!(std::io::stdout(), "{line}")?);
    }
    let left: Vec<String> =
        opened.left.iter().map(|(why, links)| format!("{} left: {why}", records(*links))).collect();
    if opened.changed == 0 && !left.is_empty() {
        anyhow::bail!("nothing {what}; {}", left.join("; "));
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} {what}", records(opened.changed))?;
    for line in left {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn records(count: usize) -> String {
    let noun = if count == 1 { "record" } else { "records" };
    format!("{count} {noun}")
}
