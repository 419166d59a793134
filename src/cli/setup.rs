//! `truce setup`: replica identity, publication, slot and ledger; its SQL; its undoing.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value as Json, json};

use crate::campaign::carry_out::{Patience, carry_out};
use crate::campaign::settings;
use crate::campaign::setup::{
    Chosen, DatabaseStanding, Found, Record, Step, Touches, Wanted, WantedTable, begin_database,
    database_standing, drop_database, finish_database, left, plan, plan_database, script,
};
use crate::config::{self, Config};
use crate::ledger::{Batch, Counts, Ledger as _, PostgresLedger, State, migrate};
use crate::postgres::{ServerUrl, Session, Settings, connect};

use super::check::server_standing;
use super::failure::Unusable;
use super::finding::Finding;
use super::lead::{now, refuse};
use super::places::Places;
use super::progress::Bars;
use super::visit::open_ledger;

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Options {
    /// The config file
    #[arg(long, value_name = "FILE", env = "TRUCE_CONFIG")]
    config: PathBuf,
    /// Print the SQL for a DBA instead of carrying it out
    #[arg(long, conflicts_with = "undo")]
    print: bool,
    /// Take everything away again and leave the database as it was found
    #[arg(long)]
    undo: bool,
    /// Do not ask
    #[arg(long, requires = "undo")]
    yes: bool,
    /// Print one JSON object a line
    #[arg(long, conflicts_with = "print")]
    json: bool,
}

/// The fact that remembers what was found.
const RECORD: &str = "setup";

pub(super) async fn setup(options: Options) -> Result<()> {
    let config = config::load(&options.config)?;
    let places = Places::of(&config)?;
    let task = Task { config, places, bars: Bars::on_stderr(), json: options.json };
    if options.undo && options.json && !options.yes {
        bail!(Unusable::new("with --json nobody is asked; say --yes"));
    }
    if options.undo {
        task.undo(options.yes).await
    } else if options.print {
        task.print().await
    } else {
        task.carry_out().await
    }
}

struct Task {
    config: Config,
    places: Places,
    bars: Bars,
    /// Whether machines read what is told.
    json: bool,
}

/// What setup wants in Campaign's database, by the config.
pub(super) fn wanted(config: &Config) -> Wanted {
    let mut tables: Vec<WantedTable> = Vec::new();
    for (_, mapping) in config.in_order() {
        let name: Arc<str> = mapping.table.as_str().into();
        if tables.iter().any(|table| table.name == name) {
            continue;
        }
        let (key, identity) = (mapping.key.as_str().into(), chosen(mapping));
        tables.push(WantedTable { name, key, identity });
    }
    Wanted {
        schema: config.campaign.schema.as_str().into(),
        publication: config.campaign.publication.as_str().into(),
        slot: config.campaign.slot.as_str().into(),
        tables,
    }
}

/// How a mapping's table is to tell which row changed.
pub(super) fn chosen(mapping: &config::Mapping) -> Chosen {
    match mapping.identity {
        config::Identity::Index => Chosen::Index,
        config::Identity::Full => Chosen::Full,
    }
}

impl Task {
    async fn campaign(&self) -> Result<Session> {
        let settings = settings(self.config.campaign.schema.as_str());
        connect(&self.places.campaign, &settings).await.context("campaign.url")
    }

    /// A session on the ledger's server, in a database that is there already.
    async fn ledger_server(&self) -> Result<Session> {
        let url = self.server_of_ledger();
        connect(&url, &Settings::default()).await.context("ledger.url")
    }

    fn server_of_ledger(&self) -> ServerUrl {
        if self.places.together {
            self.places.campaign.clone()
        } else {
            self.places.ledger.clone().with_database("postgres")
        }
    }

    async fn print(&self) -> Result<()> {
        let server = self.ledger_server().await?;
        let database = plan_database(&server, self.places.ledger.database()).await?;
        let campaign = self.campaign().await?;
        let steps = plan(&campaign, &wanted(&self.config)).await?;
        let first = server_standing(&self.config, &campaign).await?;
        let mut out = std::io::stdout().lock();
        for Finding { what, sql, .. } in &first.0 {
            writeln!(out, "-- first, as what follows fails without it: {what}")?;
            writeln!(out, "-- {}\n", sql.as_deref().unwrap_or_default())?;
        }
        if let Some(step) = &database {
            writeln!(
                out,
                "-- on the ledger's server\n{}",
                script(std::slice::from_ref(step), None)
            )?;
        }
        if !steps.is_empty() {
            let lock_timeout = Patience::default().lock_timeout;
            writeln!(out, "-- in Campaign's database\n{}", script(&steps, Some(lock_timeout)))?;
        }
        if database.is_none() && steps.is_empty() {
            writeln!(out, "-- everything is there")?;
        }
        writeln!(
            out,
            "-- the ledger's tables are made by `truce setup`, which finds the rest there"
        )?;
        Ok(())
    }

    async fn carry_out(&self) -> Result<()> {
        // What cannot be planned, or not be done to its end, is said before anything is made.
        let campaign = self.campaign().await?;
        refuse(&server_standing(&self.config, &campaign).await?)?;
        let steps = plan(&campaign, &wanted(&self.config)).await?;
        let server = self.ledger_server().await?;
        let name = self.places.ledger.database();
        let standing = database_standing(&server, name).await?;
        let made = begin_database(name);
        if standing == DatabaseStanding::Missing {
            self.one(&server, &made).await?;
        }
        let migrate = migrate(&self.places.ledger);
        let migrated = self.bars.during("the ledger's schema", migrate).await;
        let migrated = migrated.context("the ledger's schema")?;
        if 0 < migrated {
            self.done(&format!("the ledger's schema in {name}"))?;
        }
        let ledger = PostgresLedger::open(&self.places.ledger).await?;
        let mut record = read_record(&ledger).await?;
        if standing != DatabaseStanding::There {
            record.merge(made.found.into_iter().collect());
            keep_record(&ledger, &record).await?;
            self.one(&server, &finish_database(name)).await?;
        }
        for step in &steps {
            // Kept before it is done: putting back what did not change changes nothing.
            record.merge(step.found.iter().cloned().collect());
            keep_record(&ledger, &record).await?;
            self.one(&campaign, step).await?;
        }
        if steps.is_empty() && migrated == 0 {
            self.done("everything was there already")?;
        }
        Ok(())
    }

    async fn undo(&self, yes: bool) -> Result<()> {
        let name = self.places.ledger.database();
        let server = self.ledger_server().await?;
        if database_standing(&server, name).await? == DatabaseStanding::Unfinished {
            return self.drop_unfinished(&server, yes).await;
        }
        server.close().await;
        let ledger = open_ledger(&self.places.ledger)
            .await
            .context("nothing was taken away: what setup found is remembered by the ledger")?;
        let record = read_record(&ledger).await?;
        let Counts { links, .. } = ledger.counts(now()).await?;
        let count = |state| -> u64 {
            links.iter().filter(|((_, of), _)| *of == state).map(|(_, count)| count).sum()
        };
        let (live, tombstones) = (count(State::Live), count(State::Tombstone));
        self.say(
            &json!({ "ledger": name, "links": live, "tombstones": tombstones }),
            &format!(
                "the ledger {name} goes with {live} links and {tombstones} tombstones, which keep the \
                 consent of deleted records"
            ),
        )?;
        if !yes {
            confirm()?;
        }
        let campaign = self.campaign().await?;
        for step in record.undo(&campaign).await? {
            self.one(&campaign, &step).await?;
        }
        for (what, sql) in left(&campaign, &wanted(&self.config), &record).await? {
            let told = format!("left  {what}; it was not made by truce setup, and goes by: {sql};");
            self.say(&json!({ "left": what, "sql": sql }), &told)?;
        }
        drop(ledger);
        self.drop_ledger(&record).await
    }

    /// Setup died before it made anything but the ledger's database.
    async fn drop_unfinished(&self, server: &Session, yes: bool) -> Result<()> {
        let name = self.places.ledger.database();
        let told = format!("setup did not get further than the database {name}, which is empty");
        self.say(&json!({ "ledger": name, "links": 0, "tombstones": 0 }), &told)?;
        if !yes {
            confirm()?;
        }
        self.one(server, &finish_database(name)).await?;
        self.one(server, &taking_away(drop_database(name))).await
    }

    /// Carries out one step. It may wait: for a lock, a slot for every transaction under way.
    async fn one(&self, session: &Session, step: &Step) -> Result<()> {
        let work = carry_out(session, std::slice::from_ref(step), Patience::default(), |_| ());
        let what = format!("{}: {}", step.why, step.sql);
        self.bars.during(&what, work).await?;
        self.done(&step.sql)
    }

    fn done(&self, what: &str) -> Result<()> {
        self.say(&json!({ "done": what }), &format!("done  {what}"))
    }

    /// Says it to machines, or to people.
    fn say(&self, object: &Json, words: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        Ok(if self.json { writeln!(out, "{object}") } else { writeln!(out, "{words}") }?)
    }

    /// The ledger's database where it was made by us, its schema where it was not.
    async fn drop_ledger(&self, record: &Record) -> Result<()> {
        let name = self.places.ledger.database();
        let made = |found: &Found| match found {
            Found::NoDatabase { database } => database == name,
            Found::Identity { .. }
            | Found::NoPublication { .. }
            | Found::NotPublished { .. }
            | Found::NoSlot { .. } => false,
        };
        let (session, sql) = if record.found.iter().any(made) {
            (self.ledger_server().await?, drop_database(name))
        } else {
            let session = connect(&self.places.ledger, &Settings::default()).await?;
            (session, "drop schema if exists truce cascade".to_owned())
        };
        self.one(&session, &taking_away(sql)).await
    }
}

fn taking_away(sql: String) -> Step {
    Step {
        sql,
        undo: String::new(),
        why: "the ledger".to_owned(),
        touches: Touches::Nothing,
        found: None,
    }
}

fn confirm() -> Result<()> {
    if !std::io::stdin().is_terminal() {
        bail!(Unusable::new("nobody can be asked here; say --yes"));
    }
    let mut out = std::io::stdout().lock();
    write!(out, "take everything away? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if answer.trim().eq_ignore_ascii_case("y") { Ok(()) } else { bail!("nothing was taken away") }
}

async fn read_record(ledger: &PostgresLedger) -> Result<Record> {
    match ledger.fact(RECORD).await? {
        Some(fact) => Ok(serde_json::from_value(fact).context("what setup found cannot be read")?),
        None => Ok(Record::default()),
    }
}

/// Adds what the running agent found before it mended something, so that it can be put back too.
pub(super) async fn remember(ledger: &PostgresLedger, found: Vec<Found>) -> Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    let mut record = read_record(ledger).await?;
    record.merge(found);
    keep_record(ledger, &record).await
}

async fn keep_record(ledger: &PostgresLedger, record: &Record) -> Result<()> {
    let mut batch = Batch::new(now());
    batch.facts.insert(RECORD.to_owned(), json!(record));
    Ok(ledger.store(batch).await?)
}
