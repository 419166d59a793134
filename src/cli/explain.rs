//! `truce explain`: the story of one record, both sides, and why.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};
use jiff::Timestamp;
use serde_json::Value as Json;

use crate::agent::story::{Event, PutOffStory, SideStory, Story, find, tell};

use super::visit::{Visit, keys};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The config file
    #[arg(long, value_name = "FILE", env = "TRUCE_CONFIG")]
    config: PathBuf,
    /// The mapping
    #[arg(value_name = "MAPPING")]
    mapping: String,
    /// The record: its key in Campaign or its id in the CRM
    #[arg(value_name = "KEY")]
    key: String,
    /// Print one JSON object a link
    #[arg(long)]
    json: bool,
    /// At most so many of the newest decisions, and as many answers
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

pub(super) async fn explain(options: Options) -> Result<()> {
    let visit = Visit::open(&options.config).await?;
    let entity = visit.entity(&options.mapping)?;
    let found = find(&visit.ledger, entity, &keys(&options.key)).await?;
    if found.is_empty() {
        bail!(
            "no record of `{}` has the key or id `{}`; it was not seen yet, or it is filtered out",
            options.mapping,
            options.key
        );
    }
    let mut out = std::io::stdout().lock();
    for kept in found {
        let story = tell(&visit.ledger, &visit.plans[&entity], kept, options.limit).await?;
        if options.json {
            writeln!(out, "{}", serde_json::to_string(&story)?)?;
        } else {
            print(&mut out, &story)?;
        }
    }
    Ok(())
}

fn print(out: &mut impl Write, story: &Story) -> Result<()> {
    writeln!(out, "{}, link {}, {}", story.mapping, story.link, story.state)?;
    for (name, side) in [("campaign", &story.campaign), ("crm", &story.crm)] {
        writeln!(out, "  {name:<9} {}", told(side))?;
    }
    writeln!(out)?;
    let width = story.fields.iter().map(|field| field.field.chars().count()).max().unwrap_or(0);
    for field in &story.fields {
        writeln!(
            out,
            "{:<width$}  campaign {}  crm {}  base {}",
            field.field,
            shown(field.campaign.as_ref()),
            shown(field.crm.as_ref()),
            shown(field.base.as_ref()),
        )?;
        writeln!(out, "{:<width$}    {}", "", field.why)?;
    }
    for held in story.held.iter().filter(|held| held.field.is_none()) {
        writeln!(out, "\nheld as a whole since {}: {}", held.since, held.told.why)?;
    }
    for write in &story.writes {
        let what = match &write.sets {
            Some(sets) => sets.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
            None => "the deletion".to_owned(),
        };
        let (number, to, answer) = (write.write, write.to, write.answer);
        writeln!(out, "\nwrite {number} to {to}, kept {}: {what}; answer {answer}", write.kept_at)?;
    }
    for put_off in &story.put_off {
        let PutOffStory { to, times, until, reason } = put_off;
        let often = match times {
            0 => "as it was not reached,".to_owned(),
            1 => "once,".to_owned(),
            times => format!("{times} times,"),
        };
        let reason = reason.as_deref().unwrap_or("it said no more");
        writeln!(out, "\nput off by {to} {often} until {until}: {reason}")?;
    }
    if let Some(since) = story.waiting_since {
        writeln!(out, "\nwaits for another record since {since}")?;
    }
    if let Some(due) = story.due {
        writeln!(out, "\nlooked at next at {due}")?;
    }
    writeln!(out, "\n{}", if story.log.is_empty() { "nothing was ever decided" } else { "log" })?;
    for event in &story.log {
        writeln!(out, "  {}  {}", event.at(), line(event))?;
    }
    Ok(writeln!(out)?)
}

fn told(side: &SideStory) -> String {
    let record = side.record.clone().unwrap_or_else(|| "no record".to_owned());
    let moments = [("changed", side.modified), ("read", side.read)];
    let moments = moments.into_iter().filter_map(|(word, at)| Some(format!("{word} {}", at?)));
    let position = side.position.iter().map(|position| format!("at {position} of the log"));
    let parts = [record, side.bond.clone()].into_iter().chain(moments).chain(position);
    parts.collect::<Vec<_>>().join(", ")
}

/// An event as one line.
fn line(event: &Event) -> String {
    match event {
        Event::Answered { side, write, answer, words, .. } => {
            let words = words.as_ref().map(|words| format!(" ({words})")).unwrap_or_default();
            format!("{side} answered write {write}: {answer}{words}")
        }
        Event::Decided { field, rule, verdict, winner, write, values, .. } => {
            let what = field.as_deref().unwrap_or("record");
            let mut told = vec![format!("{what}: {verdict} by {rule}")];
            for (name, value) in values["set"].as_object().into_iter().flatten() {
                told.push(format!("{name} {}", shown(Some(value))));
            }
            let sides = ["base", "campaign", "crm", "said"];
            let known = sides.into_iter().filter_map(|name| Some((name, values.get(name)?)));
            for (name, value) in known {
                let stands = if *winner == Some(name) { " (stands)" } else { "" };
                told.push(format!("{name} {}{stands}", shown(Some(value))));
            }
            told.extend(values["by"].as_str().map(|by| format!("said by {by}")));
            told.extend(write.map(|(to, number)| format!("as write {number} to {to}")));
            told.join(", ")
        }
    }
}

/// A value as a person reads it.
pub(super) fn shown(value: Option<&Json>) -> String {
    match value {
        None => "not known".to_owned(),
        Some(Json::Null) => "empty".to_owned(),
        Some(value) => value.to_string(),
    }
}

/// When a value came to be.
pub(super) fn span(changed: Option<&[Option<Timestamp>; 2]>) -> String {
    match changed {
        Some([Some(after), Some(until)]) if after != until => {
            format!(", since some moment from {after} to {until}")
        }
        Some([_, Some(until)]) => format!(", since {until} at the latest"),
        Some([_, None]) | None => String::new(),
    }
}
