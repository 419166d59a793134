//! What follows when an object of a CRM is not as it was mapped: it is told, kept for `status`, and
//! made good once it is mended.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Result;
use serde_json::json;

use crate::agent::epochs::demand_compare;
use crate::agent::held::{retry_held, store_fact};
use crate::agent::run::told;
use crate::agent::status::paused_fact;
use crate::agent::{Plan, Plans};
use crate::config::Label;
use crate::crm::Drift;
use crate::crm::any::DriftWatch;
use crate::ledger::{Ledger as _, PostgresLedger};
use crate::telemetry::metrics;

use super::lead::now;

/// The watches of all accounts.
pub(super) struct Drifts {
    pub(super) watches: Vec<(Label, DriftWatch)>,
    pub(super) ledger: Arc<PostgresLedger>,
    pub(super) plans: Arc<Plans>,
}

impl Drifts {
    /// Watches for as long as it is let.
    pub(super) async fn watch(self) -> Infallible {
        let Self { watches, ledger, plans } = self;
        let watching = watches.into_iter().map(|(account, watch)| {
            let (ledger, plans) = (Arc::clone(&ledger), Arc::clone(&plans));
            async move { follow(&account, watch, &ledger, &plans).await }
        });
        futures_util::future::join_all(watching).await;
        std::future::pending().await
    }
}

async fn follow(
    account: &Label,
    mut watch: DriftWatch,
    ledger: &PostgresLedger,
    plans: &Plans,
) -> Infallible {
    loop {
        watch.due().await;
        let drifts = match watch.look().await {
            Ok(drifts) => drifts,
            Err(error) => {
                // What keeps the account from answering is told by its feeds.
                tracing::debug!(%account, error = told(&error), "could not look at the objects");
                continue;
            }
        };
        for drift in &drifts {
            let Some(plan) = plans.get(&drift.entity) else { continue };
            if let Err(error) = follow_up(drift, plan, ledger, plans).await {
                let (mapping, error) = (&plan.name, format!("{error:#}"));
                tracing::warn!(%mapping, error, "could not keep which fields are paused");
            }
        }
    }
}

async fn follow_up(
    drift: &Drift,
    plan: &Plan,
    ledger: &PostgresLedger,
    plans: &Plans,
) -> Result<()> {
    let all = plan.field_names.len();
    let count = if drift.blocked.is_some() { all } else { drift.paused.len() };
    metrics::paused_fields(&plan.name, u64::try_from(count)?);
    let mut fields: BTreeMap<&str, &str> =
        drift.paused.iter().map(|(name, why)| (&**name, why.as_str())).collect();
    if let Some(why) = &drift.blocked {
        fields.insert("all", why);
    }
    let (name, fact) = (paused_fact(plan), json!(fields));
    let known = ledger.fact(&name).await?.unwrap_or_else(|| json!({}));
    // What came back while nobody looked is told by what is kept.
    let gone_before = known
        .as_object()
        .is_some_and(|known| known.keys().any(|field| !fields.contains_key(field.as_str())));
    if drift.back || gone_before {
        retry_held(ledger, plans, plan, "refused", now()).await?;
        demand_compare(ledger, plan, now()).await?;
    }
    if known != fact {
        store_fact(ledger, (name, fact), now()).await?;
    }
    Ok(())
}
