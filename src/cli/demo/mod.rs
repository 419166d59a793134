//! `truce demo`: the whole thing on one machine, with people editing both sides, and a report.
//!
//! The agent is a process of its own, as its users have it. Whether both sides agree at the end is
//! told by reading both; what the agent says of itself is shown while it works, and believed in
//! nothing.

mod play;
mod report;
mod view;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::{Instant, sleep};

use crate::simulator::people::{
    Agent, Both, Difference, Draw, Mappings, PeopleError, Stage, StageOptions,
};

use super::failure::Said;
use super::progress::Way;
use super::signals::Signals;
use play::Play;
use view::View;

/// How the demo is run.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// How long people edit both sides, in seconds
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(5..=3600))]
    seconds: u64,
    /// Which CRM is simulated
    #[arg(long, value_enum, default_value_t = Crm::Salesforce)]
    crm: Crm,
    /// How many records each side begins with
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(40..=100_000))]
    records: u32,
    /// Keep the databases, the config and the agent's log in this new or empty directory
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Crm {
    /// An organisation of Salesforce
    Salesforce,
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
    let Crm::Salesforce = options.crm;
    if let Some(directory) = &options.keep {
        refuse_what_is_there(directory)?;
    }
    let truce = std::env::current_exe().context("where this program is")?;
    let stage_options = StageOptions {
        directory: options.keep.clone(),
        mappings: Mappings::default(),
        settings: Vec::new(),
    };
    let what = "starting a private PostgreSQL with a Campaign database, and a simulated Salesforce";
    let stage = view.during(what, Stage::set(&truce, stage_options)).await?;
    let mut draw = Draw::new(7);
    let records = usize::try_from(options.records)?;
    let what = format!("filling both sides with {records} records each");
    let (cast, before) = view
        .during(&what, async {
            let cast = stage.fill(records, &mut draw).await?;
            let before = Both::read(&stage.desk, &stage.screen).await?;
            Ok::<_, PeopleError>((cast, before))
        })
        .await?;
    view.say(&format!(
        "{} recipients and {} contacts; {} people are on both sides, in {} things they differ",
        before.recipients.len(),
        before.contacts.len(),
        cast.both.len(),
        before.differences().len()
    ));
    view.during("truce setup", stage.truce(&["setup"])).await?;
    let begun = Instant::now();
    let mut agent = stage.agent()?;
    view.during("truce run", agent.leads()).await?;
    agree(&stage, &mut agent, &view, &[], PAIRING_MAX).await?;
    view.say(&format!("paired and in agreement after {:.1} s", begun.elapsed().as_secs_f64()));

    let mut play = Play::new(&stage, cast, draw);
    let seconds = Duration::from_secs(options.seconds);
    play.perform(&mut agent, &view, seconds).await?;
    view.say("everybody went home; waiting for quiet");
    let quiet = Instant::now();
    let left = agree(&stage, &mut agent, &view, &play.held_by_intent(), QUIET_MAX).await;
    let both = Both::read(&stage.desk, &stage.screen).await?;
    let report = report::of(&play, &both, &agent, quiet.elapsed()).await?;
    let unexpected = play::unexpected(&both, &play.held_by_intent());
    view.end();
    let mut out = std::io::stdout().lock();
    write!(out, "{report}")?;
    drop(out);
    let status = agent.stop().await?;
    keep(&stage, &options).await?;
    stage.crm.stop().await;
    writeln!(std::io::stdout(), "{}", report::verdict(&both, &unexpected, status))?;
    if left.is_err() || !unexpected.is_empty() || !status.success() {
        return Err(Said.into());
    }
    Ok(())
}

/// Waits until both sides hold the same but for what was made to be held, twice in a row.
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
        let both = Both::read(&stage.desk, &stage.screen).await?;
        let differences: Vec<Difference> = play::unexpected(&both, held);
        let due = agent.metric("truce_links_due", "").await.unwrap_or(0.0);
        quiet = if differences.is_empty() && due < 1.0 { quiet + 1 } else { 0 };
        if deadline < Instant::now() {
            anyhow::bail!(
                "both sides differ after {} s: {:?}",
                within.as_secs(),
                differences.first()
            );
        }
        let left = u64::try_from(differences.len())?;
        most = most.max(left);
        let elapsed = begun.elapsed();
        let way = Way { before: 0, done: most - left, total: Some(most), elapsed };
        view.show(&format!("settled {way}"), agent).await;
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

/// What `--keep` leaves: the server's files, the config, the log, and the CRM's records as JSON.
async fn keep(stage: &Stage, options: &Options) -> Result<()> {
    let Some(directory) = &options.keep else { return Ok(()) };
    for object in ["Account", "Contact"] {
        let records = stage.screen.look(&format!("records/{object}")).await?;
        let file = directory.join(format!("{object}.json"));
        std::fs::write(&file, serde_json::to_vec_pretty(&records)?)
            .with_context(|| file.display().to_string())?;
    }
    let config = stage.config();
    let postgres = stage.database.program("postgres");
    let place = directory.display();
    writeln!(
        std::io::stdout(),
        "\nKept in {place}: truce.toml, agent.log, Account.json, Contact.json, postgres/.\n\
         To look at it, as the user that owns it:\n  {} -D {place}/postgres/data -p {} -k {place}/postgres\n\
         then: truce status --config {config}; truce held list --config {config}",
        postgres.display(),
        stage.database.port(),
        config = config.display(),
    )?;
    Ok(())
}
