//! `truce discover`: lists what the CRM has, and maps what is chosen; writes the config, the schemas for
//! Campaign's console, and the SQL of what is not there yet. Neither side is written to.

mod choose;
mod files;
mod listing;
mod read;
mod report;

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};

use crate::campaign::settings;
use crate::config::{self, Config, CrmKind, Label};
use crate::crm::any;
use crate::discover::object::{self, Crm};
use crate::discover::propose::{World, propose};
use crate::discover::{config_text, names, schema, view};
use crate::postgres::connect;

use super::failure::{Said, Unusable};
use super::places::Places;
use super::progress::Bars;
use super::run::open_accounts;

use files::Folder;
use read::Reader;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The config file; mappings are written into it
    #[arg(long, value_name = "FILE", env = "TRUCE_CONFIG")]
    config: PathBuf,
    /// The account: the NAME of a [crm.NAME], where there are several
    #[arg(long, value_name = "NAME")]
    crm: Option<String>,
    /// Map this object of the CRM, by its API name; may be repeated
    #[arg(long = "object", value_name = "NAME", conflicts_with = "all")]
    objects: Vec<String>,
    /// Map every object that is listed
    #[arg(long)]
    all: bool,
    /// The namespace of schemas that are made: one of your own
    #[arg(long, value_name = "NAME", default_value = "cus")]
    namespace: String,
    /// Give recipients columns for fields that they have none for, by an extension of their schema
    #[arg(long)]
    extend: bool,
    /// Where schemas and SQL go; beside the config file, `discovered`, where it is not given
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn discover(options: Options) -> Result<()> {
    if let Some(why) = names::unfit_namespace(&options.namespace) {
        return Err(Unusable::new(format!("--namespace: {why}")).into());
    }
    let config = config::load(&options.config)?;
    let name = account(&config, options.crm.as_deref())?;
    let accounts = open_accounts(&config)?;
    let account = Arc::clone(&accounts[name]);
    let bars = Bars::on_stderr();
    let listing = listing::ask(name, &account);
    let listed = bars.during("listing the CRM's objects", listing).await?;
    let chosen = if options.all {
        listed.iter().map(|one| Arc::clone(&one.object.name)).collect()
    } else if !options.objects.is_empty() {
        listing::named(&listed, &options.objects)?
    } else if is_interactive() && !options.json {
        choose::choose(&listed, &config, name).await?
    } else {
        return listing::print(&listed, options.json);
    };
    let places = Places::of(&config)?;
    let schema = config.campaign.schema.as_str();
    let session = connect(&places.campaign, &settings(schema)).await.context("campaign.url")?;
    let reader = Reader { bars: &bars, config: &config };
    let (objects, refused) = reader.objects(name, &account, &listed, &chosen).await?;
    let tables = reader.tables(&session).await?;
    session.close().await;
    let account = object::Account { name: name.to_string(), crm: kind(config.crms[name].kind) };
    let folder = Folder::open(out(&options), &account)?;
    let text = std::fs::read_to_string(&options.config)
        .with_context(|| format!("{}", options.config.display()))?;
    let mappings = config_text::mappings(&text).map_err(Unusable::new)?;
    let world = World {
        tables: &tables.fit,
        mappings: &mappings,
        schemas: &folder.own,
        earlier: folder.earlier.as_ref(),
        namespace: &options.namespace,
        extend: options.extend,
    };
    let drafts = propose(&account, &objects, &world);
    let written = config_text::written(&text, &account, &drafts).map_err(Unusable::new)?;
    // What would not be a config is not written.
    config::parse(&written, &options.config, &config::process_environment)
        .context("what was proposed does not fit the config")?;
    let seen = view::schema(&account, &objects, folder.earlier.as_ref());
    let made = folder.own_with(&drafts);
    sound(made.iter().chain([&seen]))?;
    let mut done = folder.write(&made, &tables.columns, schema)?;
    if written != text {
        files::replace(&options.config, &written)?;
        done.push(options.config.clone());
    }
    done.extend(folder.remember(&seen)?);
    report::print(
        &report::Report { drafts: &drafts, refused: &refused, files: &done },
        options.json,
    )?;
    if objects.is_empty() { Err(Said.into()) } else { Ok(()) }
}

/// Whether a person sits there, and no program reads what is told.
fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal()
}

/// Only a mistake of ours makes a schema that Campaign would not take: it is said and not written.
fn sound<'a>(schemas: impl Iterator<Item = &'a schema::Schema>) -> Result<()> {
    for schema in schemas {
        let problems = schema::problems(schema);
        if !problems.is_empty() {
            let (name, problems) = (schema.full_name(), problems.join("; "));
            anyhow::bail!("the schema {name} would not be taken by Campaign: {problems}");
        }
    }
    Ok(())
}

fn kind(kind: CrmKind) -> Crm {
    match kind {
        CrmKind::Salesforce => Crm::Salesforce,
        CrmKind::Dynamics => Crm::Dynamics,
    }
}

fn out(options: &Options) -> PathBuf {
    let beside = || options.config.parent().unwrap_or(Path::new("")).join("discovered");
    options.out.clone().unwrap_or_else(beside)
}

fn account<'a>(config: &'a Config, wanted: Option<&str>) -> Result<&'a Label> {
    let names = || config.crms.keys().map(Label::as_str).collect::<Vec<_>>().join(", ");
    let unusable = |what: String| anyhow::Error::from(Unusable::new(what));
    match wanted {
        Some(wanted) => config.crms.keys().find(|name| name.as_str() == wanted).ok_or_else(|| {
            unusable(format!("--crm: there is no [crm.{wanted}]; there are: {}", names()))
        }),
        None if config.crms.len() == 1 => Ok(config.crms.keys().next().expect("there is one")),
        None if config.crms.is_empty() => {
            Err(unusable("there is no [crm.NAME]; add an account to the config".to_owned()))
        }
        None => Err(unusable(format!("--crm NAME is needed; there are: {}", names()))),
    }
}

/// An account, whichever CRM it is of.
type Account = any::Account;
