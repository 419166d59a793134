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
use crate::agent::run::{CAMPAIGN_FEED, told};
use crate::config::{Config, Label};
use crate::crm::any::{Account, Described};
use crate::ledger::{Ledger as _, PostgresLedger};
use crate::peer::PeerError;

use super::lead::now;
use super::organisation::{Known, misfit};
use super::schemas::Objects;

/// How long an account may take to answer where its last answers are remembered.
const PATIENCE: Duration = Duration::from_secs(10);

/// How soon an account that works by what it said before is asked again what it looks like; each
/// further time takes twice as long, as it costs calls.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// But no longer than this.
const AGAIN_AFTER_MAX: Duration = Duration::from_mins(1);

/// What an account said of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answers {
    /// The organisation's id.
    pub(super) organisation: String,
    /// Whether it is a sandbox, where that was told.
    #[serde(default)]
    sandbox: Option<bool>,
    /// Its mapped objects, by the names in the config.
    objects: BTreeMap<String, Described>,
}

/// The accounts, each with what is known of it.
pub(super) struct Accounts {
    pub(super) known: BTreeMap<Label, Answers>,
    /// What each said when everything fitted.
    fitted: BTreeMap<Label, Answers>,
    /// Those whose mappings work by something else than what they say now.
    doubtful: BTreeMap<Label, Doubtful>,
}

/// An account whose mappings work by what it said before.
struct Doubtful {
    account: Arc<Account>,
    /// What it looked like at the start; where it did not answer, what it looked like before.
    looked: BTreeMap<String, Described>,
    /// The objects that were not there to be described.
    unfit: BTreeSet<String>,
    /// Whether it answered at the start.
    answered: bool,
}

impl Answers {
    fn known(&self) -> Known<'_> {
        Known { id: &self.organisation, sandbox: self.sandbox }
    }
}

impl Accounts {
    /// Asks all accounts; what the mappings' objects look like.
    pub(super) async fn meet(
        config: &Config,
        accounts: &BTreeMap<Label, Arc<Account>>,
        ledger: &PostgresLedger,
    ) -> Result<(Self, Objects)> {
        let met = accounts.iter().map(|(name, account)| meet(config, name, account, ledger));
        let met = futures_util::future::try_join_all(met).await?;
        let mut all =
            Self { known: BTreeMap::new(), fitted: BTreeMap::new(), doubtful: BTreeMap::new() };
        let mut objects = Objects::new();
        for ((name, account), met) in accounts.iter().zip(met) {
            let Met { answers, fitted, unfit: mut missing, answered } = met;
            let unfit = missing.keys().cloned().collect();
            for (mapping, of) in config.in_order().filter(|(_, mapping)| mapping.crm == *name) {
                let object = of.object.as_str();
                if let Some(error) = missing.remove(object) {
                    objects.insert(mapping.clone(), Err(error));
                } else if let Some(described) = answers.objects.get(object) {
                    objects.insert(mapping.clone(), Ok(described.object()));
                }
            }
            let (account, looked) = (Arc::clone(account), answers.objects.clone());
            all.doubtful.insert(name.clone(), Doubtful { account, looked, unfit, answered });
            all.known.insert(name.clone(), answers);
            all.fitted.extend(fitted.map(|fitted| (name.clone(), fitted)));
        }
        Ok((all, objects))
    }

    /// Everything fits: what the accounts say is worked by, and what later starts may fall back on.
    pub(super) async fn settle(&mut self, ledger: &PostgresLedger) -> Result<()> {
        self.doubtful.retain(|_, doubtful| !doubtful.answered);
        for (name, answers) in &self.known {
            if self.fitted.get(name) != Some(answers) {
                let fact = (fact(name), serde_json::to_value(answers)?);
                store_fact(ledger, fact, now()).await?;
            }
        }
        Ok(())
    }

    /// Some mappings do not fit; what their objects looked like when they did, where that is known.
    pub(super) fn fall_back(&mut self, config: &Config, misfits: &[&Label], objects: &mut Objects) {
        let of = |mapping: &&Label| config.mappings[*mapping].crm.clone();
        let accounts: BTreeSet<Label> = misfits.iter().map(of).collect();
        self.doubtful.retain(|name, doubtful| !doubtful.answered || accounts.contains(name));
        for mapping in misfits {
            let wanted = &config.mappings[*mapping];
            let fitted = self.fitted.get(&wanted.crm);
            let fitted = fitted.and_then(|fitted| fitted.objects.get(wanted.object.as_str()));
            if let Some(described) = fitted {
                objects.insert((*mapping).clone(), Ok(described.object()));
            }
        }
    }

    /// Ends when an account whose mappings work by what it said before says something else now.
    pub(super) async fn contradicted(&self, config: &Config) -> AgentError {
        let mut rest: BTreeSet<&Label> = self.doubtful.keys().collect();
        let mut delay = AGAIN_AFTER;
        while !rest.is_empty() {
            tokio::time::sleep(delay).await;
            delay = (2 * delay).min(AGAIN_AFTER_MAX);
            for (name, doubtful) in &self.doubtful {
                if !rest.contains(name) {
                    continue;
                }
                let Ok((looks, unfit)) = describe(config, name, &doubtful.account).await else {
                    continue;
                };
                if looks != doubtful.looked || !unfit.keys().eq(&doubtful.unfit) {
                    return AgentError::Outdated { what: format!("crm.{name}") };
                }
                if !doubtful.answered {
                    tracing::info!(account = %name, "the CRM answers, and looks as it did");
                    rest.remove(name);
                }
            }
        }
        std::future::pending().await
    }
}

/// What came of asking one account.
struct Met {
    answers: Answers,
    /// What it said when everything fitted.
    fitted: Option<Answers>,
    /// Objects that are not there to be described.
    unfit: BTreeMap<String, PeerError>,
    answered: bool,
}

fn fact(name: &Label) -> String {
    format!("answers/{name}")
}

async fn meet(
    config: &Config,
    name: &Label,
    account: &Account,
    ledger: &PostgresLedger,
) -> Result<Met> {
    let kept = ledger.fact(&fact(name)).await?.and_then(|kept| serde_json::from_value(kept).ok());
    // Before the log was ever followed, a person is there who can mend what is wrong.
    let followed = !ledger.cursor(CAMPAIGN_FEED).await?.is_start();
    let kept = kept.filter(|kept: &Answers| followed && knows(kept, config, name));
    let crm = &config.crms[name];
    let Some(known) = kept else {
        let met = ask(config, name, account).await.with_context(|| format!("crm.{name}"))?;
        return match misfit(name, crm, None, met.answers.known()) {
            Some(why) => Err(PeerError::Unfit { why }.into()),
            None => Ok(met),
        };
    };
    let why = match tokio::time::timeout(PATIENCE, ask(config, name, account)).await {
        Ok(Ok(met)) => match misfit(name, crm, Some(known.known()), met.answers.known()) {
            None => return Ok(Met { fitted: Some(known), ..met }),
            // The log is followed all the same; nothing is asked of the other organisation.
            Some(why) => {
                account.bar(why.clone());
                why
            }
        },
        Ok(Err(error)) => told(&error),
        Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    tracing::error!(
        account = %name,
        why,
        "the CRM does not answer as it did: starting by what it said last, so that Campaign's log is \
         followed"
    );
    account.assume(&known.organisation).await;
    Ok(Met { answers: known.clone(), fitted: Some(known), unfit: BTreeMap::new(), answered: false })
}

/// The objects of all mappings as they are remembered; those that are not are left out.
pub(super) async fn kept(ledger: &PostgresLedger, config: &Config) -> Result<Objects> {
    let mut objects = Objects::new();
    for name in config.crms.keys() {
        let kept = ledger.fact(&fact(name)).await?;
        let kept = kept.and_then(|kept| serde_json::from_value::<Answers>(kept).ok());
        let Some(Answers { objects: known, .. }) = kept else { continue };
        for (mapping, of) in config.mappings.iter().filter(|(_, of)| of.crm == *name) {
            if let Some(described) = known.get(of.object.as_str()) {
                objects.insert(mapping.clone(), Ok(described.object()));
            }
        }
    }
    Ok(objects)
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
    let sandbox = account.is_sandbox().await?;
    let (objects, unfit) = describe(config, name, account).await?;
    Ok(Met {
        answers: Answers { organisation, sandbox, objects },
        fitted: None,
        unfit,
        answered: true,
    })
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
