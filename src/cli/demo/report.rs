//! The closing report: what happened, by count and by example.

use std::fmt::Write as _;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;

use super::play::{Play, Scene, UNKNOWN_SOURCE, What};
use crate::simulator::people::{Agent, Both, Difference, Where};

/// The report, but for its last word.
pub(super) async fn of(
    play: &Play<'_>,
    both: &Both,
    agent: &Agent,
    quiet: Duration,
) -> Result<String> {
    let page = agent.metrics().await.unwrap_or_default();
    let sum = |name: &str, with: &str| Agent::sum(&page, name, with).unwrap_or(0.0);
    let edits = |side| play.diary.0.iter().filter(|deed| deed.side == side).count();
    let counters = play.stage.screen.look("counters").await?;
    let mut text = String::from("\nWhat happened\n");
    writeln!(
        text,
        "  people      {} edits in Campaign, {} in the CRM, and {} scenes",
        edits(Where::Campaign),
        edits(Where::Crm),
        play.scenes.len()
    )?;
    writeln!(
        text,
        "  the agent   {} writes to the CRM, {} to Campaign; {} values gave way to the other side's",
        sum("truce_writes_total", "side=\"crm\",outcome=\"done\""),
        sum("truce_writes_total", "side=\"campaign\",outcome=\"done\""),
        sum("truce_conflicts_total", ""),
    )?;
    writeln!(
        text,
        "  calls       {} to the CRM ({} records written, {} read)",
        counters["api_used"], counters["records_written"], counters["records_read"]
    )?;
    writeln!(text, "  quiet       {:.1} s after the last edit\n\nBy example", quiet.as_secs_f64())?;
    for scene in &play.scenes {
        writeln!(text, "  {}", example(play, scene, both).await?)?;
    }
    writeln!(text, "\nHeld for a person (truce held list)")?;
    for line in play.stage.truce(&["held", "list"]).await?.lines() {
        writeln!(text, "  {line}")?;
    }
    Ok(text)
}

/// The last word.
pub(super) fn verdict(both: &Both, unexpected: &[Difference], status: ExitStatus) -> String {
    if !unexpected.is_empty() {
        let told: Vec<String> = unexpected.iter().take(20).map(|one| format!("  {one}")).collect();
        return format!("\nBOTH SIDES DIFFER in {} things:\n{}", unexpected.len(), told.join("\n"));
    }
    if !status.success() {
        return format!("\nThe agent ended with {status} when it was told to stop.");
    }
    let people = both.recipients.values().map(Vec::len).sum::<usize>();
    let firms = both.accounts.values().map(Vec::len).sum::<usize>();
    format!(
        "\nBoth sides hold the same: {people} people and {firms} accounts, compared field by field \
         by reading both; what is held is above."
    )
}

async fn example(play: &Play<'_>, scene: &Scene, both: &Both) -> Result<String> {
    let (campaign, crm) = both.person(&scene.who);
    let name = play.name(&scene.who);
    let value = |field: &str| {
        let one = |side: Option<&crate::simulator::people::Person>| {
            side.and_then(|person| person.get(field)).cloned().unwrap_or_default()
        };
        (one(campaign), one(crm))
    };
    Ok(match scene.what {
        What::TitleConflict | What::MobileConflict => {
            let field = if scene.what == What::TitleConflict { "Title" } else { "MobilePhone" };
            conflict(play, scene, field, value(field))
        }
        What::OptOutInCampaign => format!(
            "opt-out     {name} in Campaign; in the CRM {}",
            after(play.written_to_crm(&scene.who).await?.iter().find_map(moment(true)), scene.at)
        ),
        What::OptIn => format!(
            "opt-in      {name} in Campaign; in the CRM {}",
            after(
                play.written_to_crm(&scene.who).await?.iter().rev().find_map(moment(false)),
                scene.at
            )
        ),
        What::OptOutInCrm => {
            let sql = "select (extract(epoch from tslastmodified) * 1000)::bigint from nmsrecipient \
                       where semail = $1 and iblacklistemail = 1";
            let rows = play.stage.desk.read(sql, &[&scene.who]).await?;
            let at = rows.first().and_then(|row| Timestamp::from_millisecond(row.get(0)).ok());
            format!("opt-out     {name} in the CRM; in Campaign {}", after(at, scene.at))
        }
        What::CreateInCampaign => {
            format!("create      {name} in Campaign: {}", there(crm, "a contact"))
        }
        What::CreateInCrm => {
            format!("create      {name} in the CRM: {}", there(campaign, "a recipient"))
        }
        What::DeleteInCrm => format!(
            "delete      {name} in the CRM: by `delete = \"propagate\"` {}",
            if campaign.is_none() { "gone in Campaign too" } else { "STILL IN CAMPAIGN" }
        ),
        What::DeleteInCampaign => format!(
            "delete      {name} in Campaign: by `delete = \"propagate\"` {}",
            if crm.is_none() { "gone in the CRM too" } else { "STILL IN THE CRM" }
        ),
        What::DeleteAccount => format!(
            "delete      account {name} in the CRM: by `delete = \"hold\"` {}",
            if both.firms.contains_key(&scene.who) { "kept in Campaign, held" } else { "GONE" }
        ),
        What::Refused => {
            let (ours, theirs) = value("LeadSource");
            format!(
                "refused     source of {name}: `{UNKNOWN_SOURCE}` is none of the CRM's values; \
                 Campaign holds `{ours}`, the CRM `{theirs}`"
            )
        }
    })
}

/// Which of two values stands, and by which line of the config.
fn conflict(play: &Play<'_>, scene: &Scene, field: &str, held: (String, String)) -> String {
    let rule = if field == "Title" { "conflict = \"campaign\"" } else { "conflict = \"crm\"" };
    let (ours, theirs) = held;
    let said = |side| {
        let mut deeds = play.diary.of(&scene.who, field).filter(|deed| deed.side == side);
        deeds.next().map(|deed| deed.value.clone()).unwrap_or_default()
    };
    format!(
        "conflict    {field} of {}: Campaign said `{}`, the CRM `{}`; by `{rule}` both now hold \
         `{ours}`{}",
        play.name(&scene.who),
        said(Where::Campaign),
        said(Where::Crm),
        if ours == theirs { String::new() } else { format!(" and `{theirs}`") }
    )
}

fn there(record: Option<&crate::simulator::people::Person>, what: &str) -> String {
    record.map_or_else(|| format!("NO {what} across"), |_| format!("{what} was made across"))
}

/// When a change of the history set the flag to this.
fn moment(flag: bool) -> impl Fn(&serde_json::Value) -> Option<Timestamp> {
    move |change| {
        let new = &change["fields"]["HasOptedOutOfEmail"]["new"];
        let at = change["at_ms"].as_i64().filter(|_| *new == flag)?;
        Timestamp::from_millisecond(at).ok()
    }
}

fn after(at: Option<Timestamp>, since: Timestamp) -> String {
    match at {
        Some(at) => format!("{} ms later", at.duration_since(since).as_millis().max(0)),
        None => "NOT YET".to_owned(),
    }
}
