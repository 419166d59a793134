//! Both sides of a config, opened by a command that reads their records itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};

use crate::agent::Plans;
use crate::campaign::scan::CampaignScan;
use crate::campaign::settings;
use crate::campaign::table::Tables;
use crate::config::{self, Config, Label};
use crate::crm::any::{Account, Peer};
use crate::ledger::{Catalog, PostgresLedger};
use crate::postgres::{ConnectError, connect};

use super::failure::Unusable;
use super::finding::Findings;
use super::lead::refuse;
use super::mapped::{self, Mapped, map_all, provisional};
use super::options;
use super::peers::tables;
use super::places::Places;
use super::run::open_accounts;
use super::schemas::{Schemas, describe};
use super::visit::open_ledger;

/// What is there, and that it fits the config.
pub(super) struct Survey {
    pub(super) config: Config,
    pub(super) accounts: BTreeMap<Label, Arc<Account>>,
    /// The ledger, where setup has made one.
    pub(super) ledger: Option<PostgresLedger>,
    pub(super) plans: Plans,
    places: Places,
    schemas: Schemas,
    mapped: Vec<Mapped>,
    tables: Tables,
}

impl Survey {
    /// Opens both sides; an error names everything that does not fit.
    pub(super) async fn open(path: &Path) -> Result<Self> {
        let config = config::load(path)?;
        let places = Places::of(&config)?;
        let accounts = open_accounts(&config)?;
        let session = connect(&places.campaign, &settings(config.campaign.schema.as_str()))
            .await
            .context("campaign.url")?;
        let schemas = Schemas::read(&config, &session, describe(&config, &accounts).await).await?;
        let (catalog, ledger) = remembered(&config, &places).await?;
        let mut findings = Findings::default();
        let mapped = map_all(&config, &catalog, &schemas, &mut findings);
        refuse(&findings)?;
        let plans = (mapped.iter()).map(|one| (one.plan.policy.entity, one.plan.clone())).collect();
        let tables = tables(&mapped, &schemas).map_err(Unusable::new)?;
        Ok(Self { config, accounts, ledger, plans, places, schemas, mapped, tables })
    }

    /// Reads Campaign's rows.
    pub(super) fn campaign(&self) -> CampaignScan {
        let (url, schema) = (self.places.campaign.clone(), self.config.campaign.schema.as_str());
        let options = options::scan(&self.config.campaign);
        CampaignScan::new(url, schema, self.tables.clone(), options)
    }

    /// An account with its mappings.
    pub(super) async fn peer(&self, name: &Label, account: &Arc<Account>) -> Result<Peer> {
        let organisation = account.organisation().await.with_context(|| format!("crm.{name}"))?;
        let of_account = |one: &&Mapped| self.config.mappings[&one.name].crm == *name;
        let described = self.mapped.iter().filter(of_account).filter_map(|one| {
            let object = self.schemas.objects.get(&one.name)?.as_ref().ok()?;
            Some((one.sides.crm.clone(), object))
        });
        Peer::with(account, &organisation, described.collect())
            .with_context(|| format!("crm.{name}"))
    }
}

/// What a ledger remembers, where setup has made one; without one nothing is known of any pair.
async fn remembered(config: &Config, places: &Places) -> Result<(Catalog, Option<PostgresLedger>)> {
    match open_ledger(&places.ledger).await {
        Ok(ledger) => {
            let catalog = ledger.known(&mapped::names(config)).await?;
            Ok((catalog, Some(ledger)))
        }
        Err(error) if is_missing(&error) => Ok((provisional(config), None)),
        Err(error) => Err(error),
    }
}

fn is_missing(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<ConnectError>());
    causes.any(|error| matches!(error, ConnectError::NoDatabase { .. }))
}
