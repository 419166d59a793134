//! The mappings as both sides looked when they last fitted: for commands that need the fields' types
//! and ask nobody but the ledger.

use anyhow::{Result, bail};
use jiff::tz::TimeZone;

use crate::agent::Plans;

use super::finding::Findings;
use super::mapped::map_all;
use super::schemas::Schemas;
use super::visit::Visit;
use super::{accounts, fitted};

/// What an agent that ran kept of both sides, made into the mappings' rules.
pub(super) async fn plans(visit: &Visit) -> Result<Plans> {
    let Visit { config, ledger, catalog, .. } = visit;
    let tables = fitted::kept(ledger, config).await?;
    let objects = accounts::kept(ledger, config).await?;
    if tables.is_empty() || objects.is_empty() {
        bail!("what the fields' types are is known once `truce run` has run with this config");
    }
    // No time is read here.
    let schemas = Schemas { tables, objects, zone: TimeZone::UTC };
    let mapped = map_all(config, catalog, &schemas, &mut Findings::default());
    Ok(mapped.into_iter().map(|one| (one.plan.policy.entity, one.plan)).collect())
}
