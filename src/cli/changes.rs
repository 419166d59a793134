//! What each mapping was when an agent last led by it: what a changed config leaves to be made good.
//!
//! A mapping that was taken out of the config for a while, and a field that is new to it, were
//! followed by nobody: everything is compared. What was left to a person under other policies is
//! decided by those of now. It is kept as facts, so that neither a restart nor a crash forgets it.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use anyhow::Result;
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::agent::Plans;
use crate::agent::compared::compared;
use crate::agent::deliver::job_fact;
use crate::agent::epochs::demand_compare;
use crate::agent::error::unless_conflict;
use crate::agent::held::{retry_held, store_fact};
use crate::config::{Config, Label};
use crate::ledger::{Batch, Ledger as _, PostgresLedger};

use super::mapped::Mapped;

const PREFIX: &str = "mapping/";

/// What is left to a person for the sake of a policy.
const BY_POLICY: [&str; 4] = ["conflict", "pairing", "deleted", "deleted_and_changed"];

/// Makes good what follows from how the config differs from that by which an agent led last.
pub(super) async fn make_good(
    ledger: &PostgresLedger,
    config: &Config,
    mapped: &[Mapped],
    now: Timestamp,
) -> Result<()> {
    renumber(ledger, config, now).await?;
    let plans: Plans =
        mapped.iter().map(|one| (one.plan.policy.entity, one.plan.clone())).collect();
    for one in mapped {
        let (name, plan) = (format!("{PREFIX}{}", one.name), &one.plan);
        let fields: BTreeSet<u64> =
            plan.policy.fields.keys().map(|field| u64::from(field.0)).collect();
        let is = json!({ "fields": fields, "policies": print(&config.mappings[&one.name]) });
        let was = ledger.fact(&name).await?;
        if was.as_ref() == Some(&is) {
            continue;
        }
        if let Some(was) = was {
            let known: BTreeSet<u64> =
                was["fields"].as_array().into_iter().flatten().filter_map(Json::as_u64).collect();
            let begun = 0 < compared(ledger, plan).await?.generation;
            if begun && !fields.is_subset(&known) {
                tracing::warn!(
                    mapping = %one.name,
                    "it was not followed for a while, or a field of it was not: all is compared"
                );
                demand_compare(ledger, plan, now).await?;
            }
            for reason in BY_POLICY {
                retry_held(ledger, &plans, plan, reason, now).await?;
            }
        }
        // Last, so that a crash before does it all once more.
        store_fact(ledger, (name, is), now).await?;
    }
    for (name, was) in ledger.facts(PREFIX).await? {
        let followed = mapped.iter().any(|one| name[PREFIX.len()..] == *one.name.as_str());
        let nothing = json!({ "fields": [] });
        if !followed && was != nothing {
            store_fact(ledger, (name, nothing), now).await?;
        }
    }
    Ok(())
}

/// A job that a CRM may be running is kept by its account's number, and numbers move where accounts
/// come and go: it goes with its account.
async fn renumber(ledger: &PostgresLedger, config: &Config, now: Timestamp) -> Result<()> {
    const ACCOUNTS: &str = "accounts";
    let names: Vec<&str> = config.crms.keys().map(Label::as_str).collect();
    let is = json!(names);
    let was = ledger.fact(ACCOUNTS).await?.unwrap_or_else(|| is.clone());
    let mut batch = Batch::new(now);
    let mut running = Vec::new();
    for (number, name) in was.as_array().into_iter().flatten().enumerate() {
        if let Some(job) = ledger.fact(&job_fact(number)).await? {
            batch.facts.insert(job_fact(number), Json::Null);
            running.push((name.as_str().unwrap_or_default().to_owned(), job));
        }
    }
    for (name, job) in running {
        if let Some(number) = names.iter().position(|known| **known == *name) {
            batch.facts.insert(job_fact(number), job);
        } else {
            tracing::error!(crm = name, %job, "a job may be running there: end it by hand");
        }
    }
    batch.facts.insert(ACCOUNTS.to_owned(), is);
    match ledger.store(batch).await {
        Ok(()) => Ok(()),
        Err(error) => Ok(unless_conflict(error).map(drop)?),
    }
}

/// A print of what a mapping says: another version may print it otherwise, which costs a look at
/// what is held.
fn print(mapping: &crate::config::Mapping) -> String {
    let mut hasher = DefaultHasher::new();
    format!("{mapping:?}").hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
