//! What Campaign's tables looked like when every mapping fitted them, to start by where one no longer
//! does.
//!
//! A column that is dropped while the agent is away must not keep it from following the log: the
//! server would keep the log's files until its disk is full. By the table as it was, that column is
//! paused like one that is dropped while the agent runs.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::agent::epochs::demand_compare;
use crate::agent::held::store_fact;
use crate::campaign::catalog::Table;
use crate::config::{Config, Label};
use crate::ledger::{Ledger as _, PostgresLedger};

use super::lead::now;
use super::mapped::Mapped;

const FACT: &str = "fitted/campaign";

/// Remembers the tables, by mapping.
pub(super) async fn keep(
    ledger: &PostgresLedger,
    tables: &BTreeMap<Label, Option<Table>>,
) -> Result<()> {
    let tables: BTreeMap<&str, &Option<Table>> =
        tables.iter().map(|(name, table)| (name.as_str(), table)).collect();
    let fact = json!(tables);
    if ledger.fact(FACT).await?.as_ref() != Some(&fact) {
        store_fact(ledger, (FACT.to_owned(), fact), now()).await?;
    }
    Ok(())
}

/// The tables as they are remembered, by mapping; those that are not are left out.
pub(super) async fn kept(
    ledger: &PostgresLedger,
    config: &Config,
) -> Result<BTreeMap<Label, Option<Table>>> {
    let misfits: Vec<&Label> = config.mappings.keys().collect();
    let mut tables = BTreeMap::new();
    fall_back(ledger, &misfits, &mut tables).await?;
    Ok(tables)
}

/// Puts the tables of these mappings back as they are remembered, where they are.
pub(super) async fn fall_back(
    ledger: &PostgresLedger,
    misfits: &[&Label],
    tables: &mut BTreeMap<Label, Option<Table>>,
) -> Result<()> {
    let mut kept = ledger.fact(FACT).await?.unwrap_or(Json::Null);
    for name in misfits {
        let table = kept.get_mut(name.as_str()).map(Json::take);
        let table = table.and_then(|table| serde_json::from_value(table).ok());
        if let Some(table) = table {
            tables.insert((*name).clone(), Some(table));
        }
    }
    Ok(())
}

fn misfit_fact(name: &str) -> String {
    format!("misfit/{name}")
}

/// Remembers which mappings go by what they fitted last: what is written meanwhile lacks something.
pub(super) async fn remember(
    ledger: &PostgresLedger,
    misfits: &[&Label],
    now: Timestamp,
) -> Result<()> {
    for name in misfits {
        store_fact(ledger, (misfit_fact(name.as_str()), Json::Bool(true)), now).await?;
    }
    Ok(())
}

/// Has those that fit again compared.
pub(super) async fn compare_again(
    ledger: &PostgresLedger,
    mapped: &[Mapped],
    now: Timestamp,
) -> Result<()> {
    for one in mapped {
        let fact = misfit_fact(one.name.as_str());
        if ledger.fact(&fact).await? == Some(Json::Bool(true)) {
            demand_compare(ledger, &one.plan, now).await?;
            store_fact(ledger, (fact, Json::Bool(false)), now).await?;
        }
    }
    Ok(())
}
