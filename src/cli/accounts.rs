//! What each account of a CRM says of itself at the start: asked, or remembered from its last answer.
//!
//! A CRM that is down must not keep the agent from following Campaign's log: its server would keep
//! the log's files for us until its disk is full. So what an account said last (which organisation
//! it is, what its objects look like) is a fact of the ledger, and the agent starts by it. No other
//! organisation may answer then, and once the account answers, what it says is compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::agent::AgentError;
use crate::agent::held::store_fact;
use crate::agent::run::told;
use crate::config::{Config, Label};
use crate::crm::salesforce::{Account, Described};
use crate::ledger::{Ledger as _, PostgresLedger};
use crate::peer::PeerError;

use super::lead::now;
use super::schemas::Objects;

/// How long an account may take to answer where its last answers are remembered.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often an account that did not answer at the start is asked again what it looks like.
const AGAIN_EVERY: Duration = Duration::from_secs(5);

/// What an account said of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answers {
    /// The organisation's id.
    pub(super) organisation: String,
    /// Its mapped objects, by the names in the config.
    objects: BTreeMap<String, Described>,
}

/// The accounts, each with what is known of it.
pub(super) struct Accounts {
    pub(super) known: BTreeMap<Label, Answers>,
    /// Those that did not answer, by what they said before.
    remembered: BTreeMap<Label, Arc<Account>>,
}

impl Accounts {
    /// Asks all accounts, and remembers what they say; what the mappings' objects look like.
    pub(super) async fn meet(
        config: &Config,
        accounts: &BTreeMap<Label, Arc<Account>>,
        ledger: &PostgresLedger,
    ) -> Result<(Self, Objects)> {
        let met = accounts.iter().map(|(name, account)| meet(config, name, account, ledger));
        let met = futures_util::future::try_join_all(met).await?;
        let mut all = Self { known: BTreeMap::new(), remembered: BTreeMap::new() };
        let mut objects = Objects::new();
        for ((name, account), met) in accounts.iter().zip(met) {
            let Met { answers, mut unfit, remembered } = met;
            for (mapping, of) in config.in_order().filter(|(_, mapping)| mapping.crm == *name) {
                let object = of.object.as_str();
                if let Some(error) = unfit.remove(object) {
                    objects.insert(mapping.clone(), Err(error));
                } else if let Some(described) = answers.objects.get(object) {
                    objects.insert(mapping.clone(), Ok(described.object()));
                }
            }
            all.known.insert(name.clone(), answers);
            if remembered {
                all.remembered.insert(name.clone(), Arc::clone(account));
            }
        }
        Ok((all, objects))
    }

    /// Ends when an account that did not answer at the start does, and says something else now.
    pub(super) async fn contradicted(&self, config: &Config) -> AgentError {
        let mut rest = self.remembered.clone();
        while !rest.is_empty() {
            tokio::time::sleep(AGAIN_EVERY).await;
            for (name, account) in &self.remembered {
                let Some(known) = self.known.get(name).filter(|_| rest.contains_key(name)) else {
                    continue;
                };
                let Ok((described, unfit)) = describe(config, name, account).await else {
                    continue;
                };
                if described != known.objects || !unfit.is_empty() {
                    return AgentError::Outdated { what: format!("crm.{name}") };
                }
                tracing::info!(account = %name, "the CRM answers, and looks as it did");
                rest.remove(name);
            }
        }
        std::future::pending().await
    }
}

/// What came of asking one account.
struct Met {
    answers: Answers,
    /// Objects that are not there to be described.
    unfit: BTreeMap<String, PeerError>,
    remembered: bool,
}

async fn meet(
    config: &Config,
    name: &Label,
    account: &Account,
    ledger: &PostgresLedger,
) -> Result<Met> {
    let fact = format!("answers/{name}");
    let kept = ledger.fact(&fact).await?.and_then(|kept| serde_json::from_value(kept).ok());
    let kept = kept.filter(|kept: &Answers| knows(kept, config, name));
    let Some(known) = kept else {
        let met = ask(config, name, account).await.with_context(|| format!("crm.{name}"))?;
        remember(ledger, fact, &met.answers).await?;
        return Ok(met);
    };
    let why = match tokio::time::timeout(PATIENCE, ask(config, name, account)).await {
        Ok(Ok(met)) => {
            if met.answers != known {
                remember(ledger, fact, &met.answers).await?;
            }
            return Ok(met);
        }
        // Credentials, rights and certificates do not mend themselves: that is for a person, now.
        Ok(Err(error @ (PeerError::Denied { .. } | PeerError::Unfit { .. }))) => {
            return Err(anyhow::Error::new(error).context(format!("crm.{name}")));
        }
        Ok(Err(error)) => told(&error),
        Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    tracing::error!(
        account = %name,
        why,
        "the CRM does not answer: starting by what it said last, so that Campaign's log is followed"
    );
    account.assume(&known.organisation).await;
    Ok(Met { answers: known, unfit: BTreeMap::new(), remembered: true })
}

/// Whether what is remembered is enough for all mappings of an account.
fn knows(kept: &Answers, config: &Config, name: &Label) -> bool {
    objects(config, name).iter().all(|object| kept.objects.contains_key(*object))
}

fn objects<'a>(config: &'a Config, name: &Label) -> BTreeSet<&'a str> {
    let mappings = config.mappings.values().filter(|mapping| mapping.crm == *name);
    mappings.map(|mapping| mapping.object.as_str()).collect()
}

async fn ask(config: &Config, name: &Label, account: &Account) -> Result<Met, PeerError> {
    let organisation = account.organisation().await?;
    let (objects, unfit) = describe(config, name, account).await?;
    Ok(Met { answers: Answers { organisation, objects }, unfit, remembered: false })
}

/// The mapped objects of an account, and why one cannot be described.
async fn describe(
    config: &Config,
    name: &Label,
    account: &Account,
) -> Result<(BTreeMap<String, Described>, BTreeMap<String, PeerError>), PeerError> {
    let (mut described, mut unfit) = (BTreeMap::new(), BTreeMap::new());
    for object in objects(config, name) {
        match account.describe(object).await {
            Ok(found) => drop(described.insert(object.to_owned(), found)),
            Err(error @ PeerError::Unfit { .. }) => drop(unfit.insert(object.to_owned(), error)),
            Err(error) => return Err(error),
        }
    }
    Ok((described, unfit))
}

async fn remember(ledger: &PostgresLedger, fact: String, answers: &Answers) -> Result<()> {
    Ok(store_fact(ledger, (fact, serde_json::to_value(answers)?), now()).await?)
}
