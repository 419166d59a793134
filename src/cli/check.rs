//! `truce check`: everything that would keep the agent from running, with what mends it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use serde_json::json;

use crate::agent::run::told;
use crate::campaign::settings;
use crate::campaign::setup::plan;
use crate::config::{self, Config, Label};
use crate::crm::salesforce::Account;
use crate::ledger::check_schema;
use crate::postgres::{Session, connect};

use super::failure::Said;
use super::finding::{Finding, Findings};
use super::mapped::{map_all, provisional};
use super::peers::tables;
use super::places::Places;
use super::run::open_accounts;
use super::schemas::Schemas;
use super::setup::wanted;

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
    let answering = crms(&accounts, &mut findings).await;
    if let Some(session) = session {
        mappings(&config, &session, &answering, &mut findings).await;
    }
    if let Err(error) = check_schema(&places.ledger).await {
        findings.problem(Finding::at("ledger", told(&error)).sql("truce setup"));
    }
    print(&findings, options.json)?;
    if findings.problems() == 0 { Ok(()) } else { Err(Said.into()) }
}

/// Campaign's server: reached, set for logical decoding, set up.
async fn campaign(config: &Config, places: &Places, findings: &mut Findings) -> Option<Session> {
    let schema = config.campaign.schema.as_str();
    let session = match connect(&places.campaign, &settings(schema)).await {
        Ok(session) => session,
        Err(error) => {
            findings.problem(Finding::at("campaign", told(&error)));
            return None;
        }
    };
    server(&session, places, findings).await;
    match plan(&session, &wanted(config)).await {
        Ok(steps) => {
            for step in steps {
                findings.problem(Finding::at("campaign", step.why).sql(step.sql));
            }
        }
        Err(error) => findings.problem(Finding::at("campaign", told(&error))),
    }
    Some(session)
}

async fn server(session: &Session, places: &Places, findings: &mut Findings) {
    let query = "select current_setting('wal_level'), current_setting('server_version_num')::int,
                        (select rolreplication or rolsuper from pg_roles where rolname = current_user)";
    match session.query_one(query, &[]).await {
        Ok(row) => {
            let (level, version): (String, i32) = (row.get(0), row.get(1));
            if level != "logical" {
                let why = format!(
                    "wal_level is {level}, and changes can only be followed at logical; set it and \
                     restart the server"
                );
                let sql = "alter system set wal_level = logical";
                findings.problem(Finding::at("campaign", why).sql(sql));
            }
            if version < 110_000 {
                let why = format!("the server is of version {version}; 110000 (11) is the oldest");
                findings.problem(Finding::at("campaign", why));
            }
            if row.get::<_, Option<bool>>(2) != Some(true) {
                let user = places.campaign.user();
                let why = format!("the role {user} may not replicate");
                let sql = format!("alter role \"{user}\" replication");
                findings.problem(Finding::at("campaign", why).sql(sql));
            }
        }
        Err(error) => findings.problem(Finding::at("campaign", told(&error))),
    }
}

/// The accounts that answer.
async fn crms(
    accounts: &BTreeMap<Label, Arc<Account>>,
    findings: &mut Findings,
) -> BTreeMap<Label, Arc<Account>> {
    let mut answering = BTreeMap::new();
    for (name, account) in accounts {
        match account.inspect().await {
            Ok(_) => drop(answering.insert(name.clone(), Arc::clone(account))),
            Err(error) => findings.problem(Finding::at(format!("crm.{name}"), told(&error))),
        }
    }
    answering
}

async fn mappings(
    config: &Config,
    session: &Session,
    accounts: &BTreeMap<Label, Arc<Account>>,
    findings: &mut Findings,
) {
    let schemas = match Schemas::read(config, session, accounts).await {
        Ok(schemas) => schemas,
        Err(error) => return findings.problem(Finding::at("campaign", told(&error))),
    };
    let mapped = map_all(config, &provisional(config), &schemas, findings);
    if let Err(why) = tables(&mapped, &schemas) {
        findings.problem(Finding::at("campaign", why));
    }
    for one in &mapped {
        let table = &one.sides.campaign.table;
        let query =
            "select has_table_privilege(format('%I.%I', $1::text, $2::text), 'select, insert'),
                            has_table_privilege(format('%I.%I', $1::text, $2::text), 'update')";
        let schema = config.campaign.schema.as_str();
        if let Ok(row) = session.query_one(query, &[&schema, &&**table]).await
            && !(row.get::<_, bool>(0) && row.get::<_, bool>(1))
        {
            let why = format!("the agent's role may not read and write `{table}`");
            let sql = format!(
                "grant select, insert, update, delete on \"{schema}\".\"{table}\" to current_user"
            );
            findings.problem(Finding::of(&one.name, why).sql(sql));
        }
    }
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
