//! The `truce` command: arguments in, exit codes out. The only place that names concrete peers.

mod accounts;
mod attend;
mod changes;
mod check;
mod demo;
mod discover;
mod drift;
mod explain;
mod failure;
mod finding;
mod fitted;
mod held;
mod lead;
mod lease;
mod mapped;
mod narrow;
mod options;
mod organisation;
mod peers;
mod places;
mod plan;
mod progress;
mod readings;
mod reload;
mod remembered;
mod run;
mod schemas;
mod setup;
mod signals;
mod simulate;
mod status;
mod survey;
mod sync;
mod visit;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use failure::Said;

/// Keeps the records of an Adobe Campaign Classic database and of a CRM in agreement, both ways
#[derive(Debug, Parser)]
#[command(
    name = "truce",
    version,
    max_term_width = 100,
    after_help = "\
Exit codes: 0 done, 1 the world is not as it must be, 2 unusable arguments or config file.

Examples:
  truce check --config truce.toml
  truce setup --config truce.toml
  truce run --config truce.toml"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent; SIGTERM lets what is under way come to its end
    #[command(after_help = "\
Endpoints (agent.listen): /metrics, /livez, /readyz. A second agent with the same config stands by
and takes over. SIGHUP has the config read again: policies, limits, mappings and credentials are
taken up without another start, and a file that cannot be is refused in the log.

Examples:
  truce run --config /etc/truce/truce.toml
  TRUCE_LOG=info,truce::campaign=debug truce run --config truce.toml")]
    Run(ConfigFile),
    /// Say everything that would keep the agent from running, with what mends it
    #[command(after_help = "\
Examples:
  truce check --config truce.toml
  truce check --config truce.toml --json")]
    Check(check::Options),
    /// List the CRM's objects, and write a mapping, Campaign's schemas and their SQL for what is chosen
    #[command(after_help = "\
On a terminal it asks which; elsewhere, without --object or --all, it lists them. The config file has
[campaign] and a [crm.NAME]; mappings are added to it, and what is in it stays. A second run adds
what is new in the CRM and marks what is gone. Neither side is written to.

Examples:
  truce discover --config truce.toml
  truce discover --config truce.toml --object Contact --object Project__c --namespace acme
  truce discover --config truce.toml --crm sales --all")]
    Discover(discover::Options),
    /// Make replica identity, publication, slot and ledger; or print the SQL, or take it all away
    #[command(after_help = "\
Examples:
  truce setup --config truce.toml --print > setup.sql
  truce setup --config truce.toml
  truce setup --config truce.toml --undo --yes")]
    Setup(setup::Options),
    /// Say where everything stands: mappings, feeds, scans, what is due and what is held
    #[command(after_help = "\
Examples:
  truce status --config truce.toml
  truce status --config truce.toml --json")]
    Status(status::Options),
    /// Tell the story of one record: both sides, why each field has its value, what was decided
    #[command(after_help = "\
Told from the ledger and its decision log ([ledger] decision_keep_days); neither side is asked.
Prints values of records.

Examples:
  truce explain --config truce.toml contacts 4711
  truce explain --config truce.toml contacts 0035g00000ABCDEAA4 --json")]
    Explain(explain::Options),
    /// Say what `run` would write where, with samples and its cost in calls; writes nothing
    #[command(after_help = "\
Reads both sides whole, as a first scan does. What only the feeds tell, deletions and merges, is not in it.

Examples:
  truce plan --config truce.toml
  truce plan --config truce.toml --samples 20 --json")]
    Plan(plan::Options),
    /// Compare records once, now, and have what differs decided: some, what changed lately, or all
    #[command(after_help = "\
Asks the agent that leads and waits for it; without one the next to lead carries it out. Records are
read on both sides and decided as if they had just changed. What is held stays held: `truce held`.
--since goes by tslastmodified in Campaign, which plain SQL does not move, and by SystemModstamp or
modifiedon in the CRM.

Examples:
  truce sync --config truce.toml contacts --keys 4711,0035g00000ABCDEAA4
  truce sync --config truce.toml contacts --keys - < keys.txt
  truce sync --config truce.toml contacts --since 2h
  truce sync --config truce.toml contacts --since 2026-11-27T18:00Z --json
  truce sync --config truce.toml contacts --all --no-wait")]
    Sync(sync::Options),
    /// What waits for a person: list it, show it, resolve it, try it again, or let it go
    #[command(subcommand)]
    Held(held::Held),
    /// Show the whole thing on this machine: Campaign, CRMs, people editing all, the agent, a report
    #[command(after_help = "\
Needs the programs of a PostgreSQL server on this machine, and nothing else. All of it ends by itself.

Examples:
  truce demo
  truce demo --crm dynamics
  truce demo --seconds 120 --records 5000 --keep ./kept")]
    Demo(demo::Options),
    /// A simulated CRM
    #[command(subcommand)]
    Simulate(simulate::Simulate),
    /// About the config file
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the JSON Schema of the config file
    #[command(after_help = "Example:\n  truce config schema > truce.schema.json")]
    Schema,
}

/// Which config.
#[derive(Clone, Debug, clap::Args)]
struct ConfigFile {
    /// The config file
    #[arg(long, value_name = "FILE", env = "TRUCE_CONFIG")]
    config: PathBuf,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return end(&anyhow::Error::new(error).context("no runtime")),
    };
    let outcome = runtime.block_on(carry_out(arguments.command));
    // Nothing of what is left is waited for: it was either ended in order or given up.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => end(&error),
    }
}

async fn carry_out(command: Command) -> Result<()> {
    match command {
        Command::Run(ConfigFile { config }) => Box::pin(run::run(&config)).await,
        Command::Check(options) => Box::pin(check::check(options)).await,
        Command::Discover(options) => Box::pin(discover::discover(options)).await,
        Command::Setup(options) => Box::pin(setup::setup(options)).await,
        Command::Status(options) => Box::pin(status::status(options)).await,
        Command::Explain(options) => Box::pin(explain::explain(options)).await,
        Command::Plan(options) => Box::pin(plan::plan(options)).await,
        Command::Sync(options) => Box::pin(sync::sync(options)).await,
        Command::Held(what) => Box::pin(held::held(what)).await,
        Command::Demo(options) => Box::pin(demo::demo(options)).await,
        Command::Simulate(what) => Box::pin(simulate::simulate(what)).await,
        Command::Config(ConfigCommand::Schema) => {
            let schema = serde_json::to_string_pretty(&crate::config::schema())?;
            Ok(writeln!(std::io::stdout(), "{schema}")?)
        }
    }
}

fn end(error: &anyhow::Error) -> ExitCode {
    let mut told = String::new();
    if !error.is::<Said>() {
        told = failure::told(error);
    }
    // A closed standard error takes nothing away from the exit code.
    drop(std::io::stderr().write_all(told.as_bytes()));
    ExitCode::from(failure::code(error))
}
