//! `truce check`: everything that would keep the agent from running, with what mends it.

mod cautions;
mod clocks;
mod costs;
mod ledger;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use serde_json::json;

use crate::agent::run::{CAMPAIGN_FEED, told};
use crate::campaign::inspect::{
    Expectations, Finding as Inspected, Health, MappingNeeds, inspect, inspect_server,
    inspect_source,
};
use crate::campaign::{settings, skew};
use crate::config::{self, Config, Label};
use crate::crm::any::Account;
use crate::ledger::{Ledger as _, PostgresLedger};
use crate::peer::PeerError;
use crate::postgres::{Session, connect};
use crate::reconcile::mapping::Kind;

use super::failure::Said;
use super::finding::{Finding, Findings, Level};
use super::lead::{now, refuse};
use super::mapped::{map_all, provisional};
use super::options::retained_max;
use super::organisation::{Known, misfit};
use super::peers::tables;
use super::places::Places;
use super::progress::Bars;
use super::run::open_accounts;
use super::schemas::{Schemas, describe};
use super::setup::{chosen, wanted};

pub(super) use cautions::Said as SaidCautions;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The config file
    #[arg(long, value_name = "FILE", env = "TRUCE_CONFIG")]
    config: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn check(options: Options) -> Result<()> {
    let config = config::load(&options.config)?;
    let places = Places::of(&config)?;
    let accounts = open_accounts(&config)?;
    let mut findings = Findings::default();
    let session = campaign(&config, &places, &mut findings).await;
    let asking = crms(&config, &accounts, &mut findings);
    let answering = Bars::on_stderr().during("asking the CRM", asking).await;
    let mut records = None;
    if let Some(session) = session {
        records = mappings(&config, &session, &answering, &mut findings).await;
    }
    ledger::look(&places.ledger, &config, records, &mut findings).await;
    print(&findings, options.json)?;
    if findings.problems() == 0 { Ok(()) } else { Err(Said.into()) }
}

/// Campaign's server, where it lets us in.
async fn campaign(config: &Config, places: &Places, findings: &mut Findings) -> Option<Session> {
    let schema = config.campaign.schema.as_str();
    match connect(&places.campaign, &settings(schema)).await {
        Ok(session) => Some(session),
        Err(error) => {
            findings.problem(Finding::at("campaign", told(&error)));
            None
        }
    }
}

/// The accounts that answer.
async fn crms(
    config: &Config,
    accounts: &BTreeMap<Label, Arc<Account>>,
    findings: &mut Findings,
) -> BTreeMap<Label, Arc<Account>> {
    let mut answering = BTreeMap::new();
    for (name, account) in accounts {
        match account.inspect().await {
            Ok(org) => {
                let place = format!("crm.{name}");
                let is = Known { id: &org.id, sandbox: org.sandbox };
                if let Some(why) = misfit(name, &config.crms[name], None, is) {
                    findings.problem(Finding::at(place, why));
                    continue;
                }
                findings.good(Finding::at(place, org.words));
                costs::look(config, name, org.usage, findings);
                if let Some(edition) = &org.edition {
                    costs::at_once(config, name, edition, findings);
                }
                if let Some(there) = account.server_clock() {
                    clocks::crm(name, there, now(), findings);
                }
                answering.insert(name.clone(), Arc::clone(account));
            }
            Err(error) => findings.problem(of_account(name, config, &error)),
        }
    }
    answering
}

/// Why an account does not answer. Nothing is tried again after a check.
fn of_account(name: &Label, config: &Config, error: &PeerError) -> Finding {
    let place = format!("crm.{name}");
    let PeerError::Transient { source, .. } = error else { return Finding::at(place, told(error)) };
    let url = config.crms[name].url.as_str();
    let why = told(&**source);
    let what = format!(
        "`{url}` does not answer ({why}); correct crm.{name}.url, or let this machine reach it"
    );
    Finding::at(place, what)
}

/// The mappings against both sides; about how many records they have in Campaign.
async fn mappings(
    config: &Config,
    session: &Session,
    accounts: &BTreeMap<Label, Arc<Account>>,
    findings: &mut Findings,
) -> Option<u64> {
    let schemas = match Schemas::read(config, session, describe(config, accounts).await).await {
        Ok(schemas) => Some(schemas),
        Err(error) => {
            findings.problem(Finding::at("campaign", told(&error)));
            None
        }
    };
    if let Some(schemas) = &schemas {
        let mapped = map_all(config, &provisional(config), schemas, findings);
        if let Err(why) = tables(&mapped, schemas) {
            findings.problem(Finding::at("campaign", why));
        }
        clocks::zone(config, schemas, findings);
    }
    match inspect(session, &expectations(config, schemas.as_ref())).await {
        Ok(inspected) => inspected.into_iter().for_each(|one| take(one, findings)),
        Err(error) => findings.problem(Finding::at("campaign", told(&error))),
    }
    match skew::measure(session, &mut now).await {
        Ok(skew) => clocks::campaign(skew, findings),
        Err(error) => findings.problem(Finding::at("campaign", told(&error))),
    }
    ledger::records(session, &schemas?).await.ok()
}

/// What of Campaign's database stands against running, what setup could not make among it; and what
/// an operator should know of.
pub(super) async fn standing(
    config: &Config,
    session: &Session,
    schemas: Option<&Schemas>,
) -> Result<Findings, PeerError> {
    let mut wanted = expectations(config, schemas);
    // What rows hold is for `check`: nothing that is found in them keeps the agent from running.
    wanted.mappings.iter_mut().for_each(|mapping| mapping.flags.clear());
    Ok(lasting(inspect(session, &wanted).await?))
}

/// What is not good, and will not be in a moment.
fn lasting(inspected: Vec<Inspected>) -> Findings {
    // Senders are free again in a moment, and the feed asks again.
    let lasting = |one: &Inspected| one.health != Health::Good && one.what != "max_wal_senders";
    let mut findings = Findings::default();
    inspected.into_iter().filter(lasting).for_each(|one| take(one, &mut findings));
    findings
}

/// Refuses what stands against running, on a first start. Later, only that without which the log
/// cannot be followed: the rest is said, and the log is let go, as the server would keep it for us
/// until its disk is full.
pub(super) async fn allow(
    config: &Config,
    ledger: &PostgresLedger,
    session: &Session,
    found: &Findings,
) -> Result<()> {
    if found.problems() == 0 || ledger.cursor(CAMPAIGN_FEED).await?.is_start() {
        return refuse(found);
    }
    let inspected = inspect_source(session, &expectations(config, None)).await?;
    refuse(&lasting(inspected))?;
    for finding in found.0.iter().filter(|finding| finding.level == Level::Problem) {
        let what = finding.to_string();
        tracing::error!(what, "not as it must be; Campaign's log is followed all the same");
    }
    Ok(())
}

/// What of Campaign's server stands against setting it up.
pub(super) async fn server_standing(
    config: &Config,
    session: &Session,
) -> Result<Findings, PeerError> {
    let inspected = inspect_server(session, &expectations(config, None)).await?;
    let mut findings = Findings::default();
    let failed = inspected.into_iter().filter(|one| one.health == Health::Fail);
    failed.for_each(|one| take(one, &mut findings));
    Ok(findings)
}

fn take(one: Inspected, findings: &mut Findings) {
    let mut finding = Finding::at(one.what, one.cause);
    finding.sql = one.remedy;
    match one.health {
        Health::Good => findings.good(finding),
        Health::Warn => findings.warning(finding),
        Health::Fail => findings.problem(finding),
    }
}

/// What is asked of Campaign's database. What is not there at all was told of with its field.
fn expectations(config: &Config, schemas: Option<&Schemas>) -> Expectations {
    let wanted = wanted(config);
    let needs = config.in_order().filter_map(|(name, mapping)| {
        let table = schemas.map(|schemas| schemas.tables.get(name).and_then(Option::as_ref));
        let there = |column: &str| match table {
            Some(table) => table.is_some_and(|table| table.column(column).is_some()),
            None => true,
        };
        if !there(mapping.key.as_str()) {
            return None;
        }
        let matched = mapping.match_on.iter().filter_map(|name| mapping.fields.get(name));
        let matched = matched.flat_map(|field| field.campaign.iter()).map(config::SqlName::as_str);
        let columns = |writes: &dyn Fn(&config::Field) -> bool| -> Vec<Arc<str>> {
            let fields = mapping.fields.values().filter(|field| writes(field));
            let names = fields.flat_map(|field| field.campaign.iter()).map(config::SqlName::as_str);
            names.filter(|name| there(name)).map(Into::into).collect()
        };
        Some(MappingNeeds {
            name: name.as_str().into(),
            table: mapping.table.as_str().into(),
            key: mapping.key.as_str().into(),
            identity: chosen(mapping),
            columns: columns(&|_| true),
            written: columns(&|field| field.direction.writes(config::Side::Campaign)),
            matched: matched.filter(|name| there(name)).map(Into::into).collect(),
            flags: columns(&|field| !field.is_consent() && is_checkbox(schemas, name, field)),
            creates: mapping.create.contains(&config::Side::Campaign),
            deletes: mapping.delete == config::Delete::Propagate,
            id_function: mapping.id_function.as_ref().map(ToString::to_string),
            misses_blacklist: mapping.fields.values().any(misses_blacklist),
        })
    });
    Expectations {
        schema: wanted.schema,
        publication: wanted.publication,
        slot: wanted.slot,
        lock_timeout_ms: u64::from(config.campaign.lock_timeout_ms.get()),
        retained_max: retained_max(&config.campaign),
        mappings: needs.collect(),
    }
}

/// Whether a field stands for a checkbox of the CRM.
fn is_checkbox(schemas: Option<&Schemas>, mapping: &Label, field: &config::Field) -> bool {
    let object = schemas.and_then(|schemas| schemas.objects.get(mapping)?.as_ref().ok());
    let column = |name: &config::ApiName| object.and_then(|object| object.column(name.as_str()));
    field.crm.iter().filter_map(column).any(|column| column.kind == Kind::Bool)
}

/// Whether a field says one channel's consent, without the flag that implies all channels.
fn misses_blacklist(field: &config::Field) -> bool {
    let maps = |name: &str| field.campaign.iter().any(|column| column.as_str() == name);
    let channel = |column: &config::SqlName| column.as_str().starts_with("iblacklist");
    field.is_consent() && field.campaign.iter().any(channel) && !maps("iblacklist")
}

fn print(findings: &Findings, json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        let would_run = findings.problems() == 0;
        writeln!(out, "{}", json!({ "would_run": would_run, "findings": findings.0 }))?;
        return Ok(());
    }
    for finding in &findings.0 {
        writeln!(out, "{finding}")?;
    }
    match findings.problems() {
        0 => writeln!(out, "it would run")?,
        1 => writeln!(out, "1 problem: it would not run")?,
        many => writeln!(out, "{many} problems: it would not run")?,
    }
    Ok(())
}
