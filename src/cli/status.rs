//! `truce status`: where everything stands.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use crate::agent::run::{CAMPAIGN_FEED, crm_feed};
use crate::agent::status::{MappingStatus, status as status_of};
use crate::ledger::Ledger as _;

use super::lead::now;
use super::visit::Visit;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The config file
    #[arg(long, value_name = "FILE", env = "TRUCE_CONFIG")]
    config: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn status(options: Options) -> Result<()> {
    let visit = Visit::open(&options.config).await?;
    let mappings = status_of(&visit.ledger, &visit.plans, now()).await?;
    let mut feeds = vec![(CAMPAIGN_FEED.to_owned(), visit.ledger.cursor(CAMPAIGN_FEED).await?)];
    for (name, mapping) in visit.config.in_order() {
        let feed = crm_feed(mapping.crm.as_str(), name.as_str());
        let cursor = visit.ledger.cursor(&feed).await?;
        feeds.push((feed, cursor));
    }
    let mut out = std::io::stdout().lock();
    if options.json {
        let feeds: serde_json::Map<_, _> =
            feeds.into_iter().map(|(name, cursor)| (name, cursor.0)).collect();
        writeln!(out, "{}", json!({ "mappings": mappings, "feeds": feeds }))?;
        return Ok(());
    }
    writeln!(
        out,
        "{:<20} {:>10} {:>10} {:>8} {:>6}  STATE",
        "MAPPING", "LINKS", "TOMBSTONES", "DUE", "HELD"
    )?;
    for one in &mappings {
        let held: u64 = one.held.values().sum();
        let (live, gone) = (one.links["live"], one.links["tombstone"]);
        let state = state(one);
        writeln!(
            out,
            "{:<20} {live:>10} {gone:>10} {:>8} {held:>6}  {state}",
            one.mapping, one.due
        )?;
        for (field, why) in &one.paused {
            writeln!(out, "{:<20} {field} is paused: {why}", "")?;
        }
        for (reason, count) in &one.held {
            writeln!(out, "{:<20} {:>46}  {reason}", "", count)?;
        }
    }
    for (name, cursor) in feeds {
        let told = if cursor.is_start() { "not begun" } else { "under way" };
        writeln!(out, "{name}: {told}")?;
    }
    Ok(())
}

fn state(one: &MappingStatus) -> String {
    let mut words = Vec::new();
    if one.scan.done == 0 {
        let (campaign, crm) = (one.scan.campaign, one.scan.crm);
        words.push(format!("first scan: {campaign} of campaign, {crm} of the crm read"));
    } else if one.scan.done < one.scan.wanted {
        words.push("being compared".to_owned());
    } else {
        words.push("in step".to_owned());
    }
    if one.braked_since.is_some() {
        words.push(format!("BRAKE ON; truce held release --brake {}", one.mapping));
    }
    if one.epoch_held {
        words.push("NEW EPOCH; truce held release --epoch".to_owned());
    }
    words.join("; ")
}
