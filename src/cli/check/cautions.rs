//! The warnings of `check`, told by `run` at its start: each once, on a line of its own.
//!
//! They stop nothing. An agent that begins anew says only what it has not said; one that took up
//! another config says all of it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::agent::run::told;
use crate::campaign::skew;
use crate::postgres::Session;

use super::super::finding::{Finding, Findings, Level};
use super::super::lead::{Candidate, now};
use super::super::mapped::{map_all, provisional};
use super::super::schemas::Schemas;
use super::{clocks, costs, ledger};

/// What was said already.
#[derive(Default)]
pub(in crate::cli) struct Said(Mutex<BTreeSet<String>>);

impl Candidate {
    /// Says every warning that `check` would give, besides those that were found by now.
    pub(in crate::cli) async fn caution(
        &self,
        session: &Session,
        schemas: &Schemas,
        mut found: Findings,
    ) {
        let config = &self.config;
        map_all(config, &provisional(config), schemas, &mut found);
        clocks::zone(config, schemas, &mut found);
        match skew::measure(session, &mut now).await {
            Ok(skew) => clocks::campaign(skew, &mut found),
            Err(error) => tracing::debug!(error = told(&error), "the clocks were not compared"),
        }
        for (name, account) in &self.accounts {
            costs::look(config, name, account.usage(), &mut found);
            if let Some(edition) = account.edition() {
                costs::at_once(config, name, edition, &mut found);
            }
            if let Some(there) = account.server_clock() {
                clocks::crm(name, there, now(), &mut found);
            }
        }
        let records = ledger::records(session, schemas).await.ok();
        ledger::look(&self.places.ledger, config, records, &mut found).await;
        found.0.iter().filter(|one| one.level == Level::Warning).for_each(|one| self.said.say(one));
    }
}

impl Said {
    fn say(&self, finding: &Finding) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.insert(finding.to_string()) {
            let (place, what, remedy) = (finding.path(), &finding.what, finding.sql.as_deref());
            tracing::warn!(place, what, remedy, "it runs, and `truce check` warns");
        }
    }
}
