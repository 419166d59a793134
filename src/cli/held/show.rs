//! `truce held show`: what is held, with all that a person needs to decide.

use std::io::Write as _;

use anyhow::Result;

use crate::agent::held;
use crate::agent::story::{HeldStory, Story, tell};
use crate::cli::explain::{shown, span};
use crate::cli::visit::Visit;
use crate::ledger::Ledger as _;
use crate::reconcile::LinkId;

use super::{Choice, cut, wanted};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    #[command(flatten)]
    choice: Choice,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// At most so many records
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

pub(super) async fn show(options: Options) -> Result<()> {
    let visit = Visit::open(&options.choice.config).await?;
    let wanted = wanted(&visit, &options.choice)?;
    let field =
        wanted.filter.field.map(|f| options.choice.field.clone().unwrap_or(f.0.to_string()));
    let listed = held::list(&visit.ledger, &wanted, options.limit).await?;
    for found in &listed.links {
        let ids: [LinkId; 1] = [found.link];
        let Some(plan) = visit.plans.get(&found.entity) else { continue };
        for kept in visit.ledger.links(&ids).await? {
            let story = tell(&visit.ledger, plan, kept, 0).await?;
            let of_reason = |held: &&HeldStory| {
                wanted.filter.reason.as_ref().is_none_or(|reason| *reason == held.reason)
            };
            let of_field = |held: &&HeldStory| field.is_none() || held.field == field;
            for held in story.held.iter().filter(of_reason).filter(of_field) {
                print(&story, held, options.json)?;
            }
        }
    }
    cut(&listed)
}

fn print(story: &Story, held: &HeldStory, as_json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if as_json {
        let mut line = serde_json::to_value(held)?;
        line["mapping"] = story.mapping.clone().into();
        line["link"] = story.link.into();
        line["records"] =
            serde_json::json!({ "campaign": story.campaign.record, "crm": story.crm.record });
        return Ok(writeln!(out, "{line}")?);
    }
    let place = match &held.field {
        Some(field) => format!("{}.{field}", story.mapping),
        None => story.mapping.clone(),
    };
    writeln!(out, "{place}: {} since {}", held.reason, held.since)?;
    let record = |record: &Option<String>| record.clone().unwrap_or_else(|| "-".to_owned());
    let (campaign, crm) = (record(&story.campaign.record), record(&story.crm.record));
    writeln!(out, "  {:<9} campaign {campaign}, crm {crm}", "records")?;
    if let Some(values) = &held.values {
        writeln!(out, "  {:<9} {}", "base", shown(values.base.as_ref()))?;
        let sides = [
            ("campaign", &values.campaign, &held.changed.campaign, &held.by.campaign),
            ("crm", &values.crm, &held.changed.crm, &held.by.crm),
        ];
        for (side, value, changed, by) in sides {
            let by = by
                .as_ref()
                .map(|by| format!("; the record last changed by {by}"))
                .unwrap_or_default();
            let (value, span) = (shown(value.as_ref()), span(changed.as_ref()));
            writeln!(out, "  {side:<9} {value}{span}{by}")?;
        }
    }
    writeln!(out, "  {:<9} {}", "why", held.told.why)?;
    if let Some(words) = &held.words {
        let side = held.side.as_deref().unwrap_or("it");
        writeln!(out, "  {:<9} {side}: {words}", "said")?;
    }
    writeln!(out, "  {:<9} {}", "blocked", held.told.blocked)?;
    for (at, way) in held.told.ways.iter().enumerate() {
        writeln!(out, "  {:<9} {way}", if at == 0 { "ways out" } else { "" })?;
    }
    Ok(writeln!(out)?)
}
