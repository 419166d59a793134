//! The closing report: what happened, by count and by example, and what each two sides hold.

use std::fmt::Write as _;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;

use super::play::{Play, Scene, UNKNOWN_SOURCE, What};
use super::sides::Sides;
use super::view::Done;
use crate::simulator::people::{Agent, Person, Where};

/// The report, but for its last words.
pub(super) async fn of(
    play: &Play<'_>,
    sides: &Sides,
    agent: &Agent,
    quiet: Duration,
) -> Result<String> {
    let mut text = String::from("\nWhat happened\n");
    text.push_str(&counts(play, agent).await?);
    writeln!(text, "  quiet       {:.1} s after the last edit\n\nBy example", quiet.as_secs_f64())?;
    for scene in &play.scenes {
        writeln!(text, "  {}", example(play, scene, sides).await?)?;
    }
    writeln!(text, "\nHeld for a person (truce held list)")?;
    for line in play.stage.truce(&["held", "list"]).await?.lines() {
        writeln!(text, "  {line}")?;
    }
    Ok(text)
}

async fn counts(play: &Play<'_>, agent: &Agent) -> Result<String> {
    let page = agent.metrics().await.unwrap_or_default();
    let (mut edits, mut writes) =
        (vec![format!("{} edits in Campaign", play.edits[0])], Vec::new());
    let (mut calls, mut to_campaign) = (Vec::new(), 0.0);
    for (at, office) in play.stage.offices.iter().enumerate() {
        let (name, done) = (office.kind.name(), Done::of(play.stage, at, &page));
        edits.push(format!("{} in {name}", play.edits[1 + at]));
        writes.push(format!("{} to {name}", done.to_crm));
        to_campaign += done.to_campaign;
        let (made, read) = office.screen.calls().await?;
        calls.push(format!("{made} to {name} ({read} records read)"));
    }
    let conflicts = Agent::sum(&page, "truce_conflicts_total", "").unwrap_or(0.0);
    Ok(format!(
        "  people      {}; {} scenes\n  \
           the agent   {to_campaign} writes to Campaign, {}; {conflicts} values gave way to another side's\n  \
           calls       {}\n",
        listed(&edits),
        play.scenes.len(),
        listed(&writes),
        listed(&calls),
    ))
}

/// The last words: what each two sides hold, by reading them, and whether all is well.
pub(super) fn verdict(sides: &Sides, held: &[String], status: ExitStatus) -> Result<String> {
    let mut text = String::from("\nSide by side, by reading each\n");
    let mut differing = 0;
    for pair in sides.pairs() {
        let unexpected = pair.unexpected(held);
        differing += unexpected.len();
        let [first, second] = pair.names;
        let between = format!("{first} and {second}");
        let (people, firms) = (pair.people_in_both(), pair.firms_in_both());
        let waiting = pair.both.differences().len() - unexpected.len();
        let told = if unexpected.is_empty() {
            format!("the same in {people} people and {firms} accounts")
        } else {
            format!("DIFFER in {} things", unexpected.len())
        };
        let held = match waiting {
            0 => String::new(),
            1 => ", but for one thing that is held".to_owned(),
            more => format!(", but for {more} things that are held"),
        };
        writeln!(text, "  {between:<30}{told}{held}")?;
        for one in unexpected.iter().take(20) {
            writeln!(text, "    {}", one.told(pair.names))?;
        }
    }
    let counted = sides.counted();
    if 0 < differing {
        write!(text, "\n{} DIFFER in {differing} things: see above.", counted.to_uppercase())?;
    } else if status.success() {
        write!(text, "\n{counted} hold the same, compared field by field by reading them")?;
        write!(text, "; what is held is above.")?;
    } else {
        write!(text, "\nThe agent ended with {status} when it was told to stop.")?;
    }
    Ok(text)
}

async fn example(play: &Play<'_>, scene: &Scene, sides: &Sides) -> Result<String> {
    let who = scene.who.as_str();
    let name = play.name(who);
    let there = play.stage.offices[scene.office].kind.name();
    let others = || sides.in_crms(who).filter(|(name, _)| *name != there);
    let campaign = ("Campaign", sides.in_campaign(who));
    let elsewhere = || std::iter::once(campaign).chain(others());
    Ok(match scene.what {
        What::TitleConflict => conflict(play, scene, sides, ("Title", "campaign")),
        What::MobileConflict => conflict(play, scene, sides, ("MobilePhone", "crm")),
        What::OptOutInCampaign => {
            let told = opted(play, scene, true).await?;
            format!("opt-out     {name} in Campaign: {}", listed(&told))
        }
        What::OptIn => {
            let told = opted(play, scene, false).await?;
            format!("opt-in      {name} in Campaign: {}", listed(&told))
        }
        What::OptOutInCrm => {
            let mut told = vec![format!("in Campaign {}", opted_in_campaign(play, scene).await?)];
            told.extend(opted(play, scene, true).await?);
            format!("opt-out     {name} in {there}: {}", listed(&told))
        }
        What::CreateInCampaign => {
            format!("create      {name} in Campaign: {}", made(sides.in_crms(who)))
        }
        What::CreateInCrm => format!("create      {name} in {there}: {}", made(elsewhere())),
        What::DeleteInCrm => {
            let gone = gone(elsewhere());
            format!("delete      {name} in {there}: by `delete = \"propagate\"` {gone}")
        }
        What::DeleteInCampaign => {
            let gone = gone(sides.in_crms(who));
            format!("delete      {name} in Campaign: by `delete = \"propagate\"` {gone}")
        }
        What::DeleteAccount => format!(
            "delete      account {name} in {there}: by `delete = \"hold\"` {}",
            if sides.has_firm(who) { "kept in Campaign, held" } else { "GONE" }
        ),
        What::Refused => refused(&name, who, sides),
    })
}

/// In which of these a record was made.
fn made<'a>(sides: impl Iterator<Item = (&'static str, Option<&'a Person>)>) -> String {
    let told = |(side, one): (&str, Option<&Person>)| match one {
        Some(_) => format!("in {side}"),
        None => format!("NOT in {side}"),
    };
    format!("made {}", listed(&sides.map(told).collect::<Vec<_>>()))
}

/// In which of these a record is no more.
fn gone<'a>(sides: impl Iterator<Item = (&'static str, Option<&'a Person>)>) -> String {
    let told = |(side, one): (&str, Option<&Person>)| match one {
        None => format!("in {side}"),
        Some(_) => format!("NOT in {side}"),
    };
    format!("gone {} too", listed(&sides.map(told).collect::<Vec<_>>()))
}

fn refused(name: &str, who: &str, sides: &Sides) -> String {
    let source = |one: Option<&Person>| field(one, "LeadSource");
    let theirs: Vec<_> =
        sides.in_crms(who).map(|(side, one)| format!("{side} `{}`", source(one))).collect();
    format!(
        "refused     source of {name}: `{UNKNOWN_SOURCE}` is none of the values there; Campaign holds \
         `{}`, {}",
        source(sides.in_campaign(who)),
        listed(&theirs)
    )
}

/// Which of two values stands, and by which line of the config.
fn conflict(play: &Play<'_>, scene: &Scene, sides: &Sides, (name, rule): (&str, &str)) -> String {
    let said = |side| {
        let mut deeds = play.diary.of(&scene.who, name).filter(|deed| deed.side == side);
        deeds.next().map(|deed| deed.value.clone()).unwrap_or_default()
    };
    let ours = field(sides.in_campaign(&scene.who), name);
    let theirs = sides.in_crms(&scene.who).map(|(side, one)| (side, field(one, name)));
    let other = theirs.filter(|(_, value)| *value != ours);
    let other: Vec<_> = other.map(|(side, value)| format!(", but {side} `{value}`")).collect();
    format!(
        "conflict    {name} of {}: Campaign said `{}`, {} `{}`; by `conflict = \"{rule}\"` all now hold \
         `{ours}`{}",
        play.name(&scene.who),
        said(Where::Campaign),
        play.stage.offices[scene.office].kind.name(),
        said(Where::Crm),
        other.concat(),
    )
}

fn field(person: Option<&Person>, name: &str) -> String {
    person.and_then(|person| person.get(name)).cloned().unwrap_or_default()
}

/// How long it took until the CRMs knew it, but for the one that it happened in.
async fn opted(play: &Play<'_>, scene: &Scene, out: bool) -> Result<Vec<String>> {
    let mut told = Vec::new();
    for (at, office) in play.stage.offices.iter().enumerate() {
        if scene.what == What::OptOutInCrm && at == scene.office {
            continue;
        }
        let set = play.opted(at, &scene.who, out).await?;
        let set = set.into_iter().find(|set| scene.at <= *set);
        told.push(format!("in {} {}", office.kind.name(), after(set, scene.at)));
    }
    Ok(told)
}

async fn opted_in_campaign(play: &Play<'_>, scene: &Scene) -> Result<String> {
    let sql = "select (extract(epoch from tslastmodified) * 1000)::bigint from nmsrecipient \
               where semail = $1 and iblacklistemail = 1";
    let rows = play.stage.desk.read(sql, &[&scene.who]).await?;
    let at = rows.first().and_then(|row| Timestamp::from_millisecond(row.get(0)).ok());
    Ok(after(at, scene.at))
}

fn after(at: Option<Timestamp>, since: Timestamp) -> String {
    match at {
        Some(at) => format!("{} ms later", at.duration_since(since).as_millis().max(0)),
        None => "NOT YET".to_owned(),
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(all: &[String]) -> String {
    match all {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
