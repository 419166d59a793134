//! `truce demo`: the whole thing on one machine, with people editing all sides, and a report.
//!
//! The agent is a process of its own, as its users have it. Whether all sides agree at the end is
//! told by reading each; what the agent says of itself is shown while it works, and believed in
//! nothing.

mod play;
mod report;
mod sides;
mod view;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::{Instant, sleep};

use crate::simulator::any::Kind;
use crate::simulator::people::{Agent, Cast, Difference, Draw, Roster, Stage, StageOptions};

use super::failure::Said;
use super::progress::Way;
use super::signals::Signals;
use play::Play;
use sides::{Pair, Sides};
use view::View;

/// How the demo is run.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// How long people edit all sides, in seconds
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(5..=3600))]
    seconds: u64,
    /// Which CRMs are simulated, separated by commas; people come from the first
    #[arg(long, value_enum, value_delimiter = ',', default_value = "salesforce,dynamics")]
    crm: Vec<Kind>,
    /// How many records each side begins with
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(40..=100_000))]
    records: u32,
    /// Keep the databases, the config and the agent's log in this new or empty directory
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// From the last edit on: agreement takes a second or two, and a busy machine a while.
const QUIET_MAX: Duration = Duration::from_mins(2);
/// The first meeting of two populated sides; a hundred thousand records take a few minutes.
const PAIRING_MAX: Duration = Duration::from_mins(15);
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub(super) async fn demo(options: Options) -> Result<()> {
    let mut signals = Signals::install()?;
    tokio::select! {
        outcome = Box::pin(show(options)) => outcome,
        // Dropping the stage ends its server, its simulator and the agent.
        () = signals.stop() => anyhow::bail!("stopped before the end"),
    }
}

async fn show(options: Options) -> Result<()> {
    let view = View::new();
    if let Some(directory) = &options.keep {
        refuse_what_is_there(directory)?;
    }
    let (stage, cast, draw) = set(&options, &view).await?;
    let begun = Instant::now();
    let mut agent = stage.agent()?;
    view.during("truce run", agent.leads()).await?;
    agree(&stage, &mut agent, &view, &[], PAIRING_MAX).await?;
    view.say(&format!("paired and in agreement after {:.1} s", begun.elapsed().as_secs_f64()));

    let mut play = Play::new(&stage, cast, draw);
    play.perform(&mut agent, &view, Duration::from_secs(options.seconds)).await?;
    view.say("everybody went home; waiting for quiet");
    let (quiet, held) = (Instant::now(), play.held_by_intent());
    let left = agree(&stage, &mut agent, &view, &held, QUIET_MAX).await;
    let sides = Sides::read(&stage).await?;
    let report = report::of(&play, &sides, &agent, quiet.elapsed()).await?;
    view.end();
    let mut out = std::io::stdout().lock();
    write!(out, "{report}")?;
    drop(out);
    let status = agent.stop().await?;
    keep(&stage, &options).await?;
    stage.close().await;
    writeln!(std::io::stdout(), "{}", report::verdict(&sides, &held, status)?)?;
    let differ = sides.pairs().iter().any(|pair| !pair.unexpected(&held).is_empty());
    if left.is_err() || differ || !status.success() {
        return Err(Said.into());
    }
    Ok(())
}
/// Sets the stage, fills all sides and tells what is there; the agent is set up and not there yet.
async fn set(options: &Options, view: &View) -> Result<(Stage, Cast, Draw)> {
    let truce = std::env::current_exe().context("where this program is")?;
    let roster = Roster::of(options.crm.iter().copied());
    let names: Vec<&str> = roster.kinds().iter().map(|kind| kind.name()).collect();
    let names = names.join(" and a simulated ");
    let what =
        format!("starting a private PostgreSQL with a Campaign database, a simulated {names}");
    let stage_options =
        StageOptions { directory: options.keep.clone(), roster, ..StageOptions::default() };
    let stage = view.during(&what, Stage::set(&truce, stage_options)).await?;
    let mut draw = Draw::new(7);
    let records = usize::try_from(options.records)?;
    let what = format!("filling all sides with {records} records each");
    let cast = view.during(&what, stage.fill(records, &mut draw)).await?;
    let sides = Sides::read(&stage).await?;
    let (recipients, contacts) = sides.people();
    let mut told = format!("{recipients} recipients in Campaign");
    for (name, count) in contacts {
        write!(told, ", {count} contacts in {name}")?;
    }
    view.say(&told);
    for pair in sides.pairs() {
        let [first, second] = pair.names;
        let (both, differing) = (pair.people_in_both(), pair.both.differences().len());
        view.say(&format!(
            "{first} and {second} have {both} people in common, and differ in {differing} things"
        ));
    }
    if let [first, second, ..] = stage.offices.as_slice() {
        let (first, second) = (first.kind.name(), second.kind.name());
        view.say(&format!(
            "by the config {first} makes people and has the say on them, {second} on their phone \
             numbers; an opt-out counts from everywhere"
        ));
    }
    view.during("truce setup", stage.truce(&["setup"])).await?;
    Ok((stage, cast, draw))
}

/// Waits until all sides hold the same but for what was made to be held, twice in a row.
async fn agree(
    stage: &Stage,
    agent: &mut Agent,
    view: &View,
    held: &[String],
    within: Duration,
) -> Result<()> {
    let begun = Instant::now();
    let deadline = begun + within;
    let (mut quiet, mut most) = (0, 0);
    while quiet < 2 {
        agent.must_live()?;
        let sides = Sides::read(stage).await?;
        let differing = |pair: &Pair| {
            let told = |one: Difference| one.told(pair.names);
            pair.unexpected(held).into_iter().map(told).collect::<Vec<_>>()
        };
        let differences: Vec<String> = sides.pairs().iter().flat_map(differing).collect();
        let due = agent.metric("truce_links_due", "").await.unwrap_or(0.0);
        quiet = if differences.is_empty() && due < 1.0 { quiet + 1 } else { 0 };
        if deadline < Instant::now() {
            let first = differences.first();
            anyhow::bail!("the sides differ after {} s: {first:?}", within.as_secs());
        }
        let left = u64::try_from(differences.len())?;
        most = most.max(left);
        let elapsed = begun.elapsed();
        let way = Way { before: 0, done: most - left, total: Some(most), elapsed };
        view.show(&format!("settled {way}"), stage, agent).await;
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

fn refuse_what_is_there(directory: &std::path::Path) -> Result<()> {
    match std::fs::read_dir(directory).map(Iterator::count) {
        Ok(entries) if 0 < entries => {
            let why = format!("--keep {}: the directory is not empty", directory.display());
            Err(super::failure::Unusable::new(why).into())
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            Err(super::failure::Unusable::caused(format!("--keep {}", directory.display()), error)
                .into())
        }
    }
}

/// What `--keep` leaves: the server's files, the config, the log, and the CRMs' records as JSON.
async fn keep(stage: &Stage, options: &Options) -> Result<()> {
    let Some(directory) = &options.keep else { return Ok(()) };
    let mut files = Vec::new();
    for office in &stage.offices {
        for object in ["Account", "Contact"] {
            let records = office.screen.all(object).await?;
            let name = format!("{}-{}.json", office.kind.word(), object.to_lowercase());
            let file = directory.join(&name);
            std::fs::write(&file, serde_json::to_vec_pretty(&records)?)
                .with_context(|| file.display().to_string())?;
            files.push(name);
        }
    }
    let config = stage.config();
    let postgres = stage.database.program("postgres");
    let place = directory.display();
    writeln!(
        std::io::stdout(),
        "\nKept in {place}: truce.toml, agent.log, {}, postgres/.\n\
         To look at it, as the user that owns it:\n  {} -D {place}/postgres/data -p {} -k {place}/postgres\n\
         then: truce status --config {config}; truce held list --config {config}",
        files.join(", "),
        postgres.display(),
        stage.database.port(),
        config = config.display(),
    )?;
    Ok(())
}
