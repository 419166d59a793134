//! `truce run`: stands by until it leads, leads until it is told to stop.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use crate::agent::run::Health;
use crate::agent::{AgentError, http};
use crate::config::{self, Config, CrmKind, Label};
use crate::crm::any::Account;
use crate::crm::{dynamics, salesforce};
use crate::ledger::{LeaseError, LedgerError};
use crate::peer::PeerError;
use crate::telemetry::{Page, logs, metrics};

use super::failure::Unusable;
use super::lead::Candidate;
use super::places;
use super::progress::Bars;
use super::readings::{self, Estimates};
use super::reload::{self, Order, order};
use super::signals::Signals;
use super::visit::Unreached;

/// Between two attempts to lead in one process; each further one in a row takes twice as long.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// But no longer than this.
const AGAIN_AFTER_MAX: Duration = Duration::from_mins(1);

/// An attempt that went well for this long is not one of a row.
const WENT_WELL: Duration = Duration::from_mins(2);

/// Histograms grow between two folds, where nobody reads the page.
const FOLD_EVERY: Duration = Duration::from_secs(5);

/// Runs the agent.
pub(super) async fn run(path: &Path) -> Result<()> {
    let config = config::load(path)?;
    let bars = Bars::on_stderr();
    install_logs(&config, &bars)?;
    let page = metrics::install()?;
    let health = Arc::new(Health::default());
    let mut candidate = Candidate::new(path, config, Arc::clone(&health))?;
    let config = &candidate.config;
    let mut signals = Signals::install()?;
    let address = http::serve(config.agent.listen, Arc::clone(&health), page.clone()).await?;
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "truce runs");
    tokio::spawn(fold(page));
    let estimates = Estimates::of(config, &candidate.places.campaign);
    let outcome = tokio::select! {
        never = readings::show(&bars, &health, estimates) => match never {},
        outcome = live(&mut candidate, &health, &mut signals) => outcome,
    };
    bars.clear();
    outcome
}

/// From standing by to the end, however often the lead is lost in between.
async fn live(candidate: &mut Candidate, health: &Health, signals: &mut Signals) -> Result<()> {
    let (mut come, mut delay) = (Come::default(), AGAIN_AFTER);
    loop {
        let begun = Instant::now();
        match Box::pin(candidate.live(signals, &mut come)).await {
            Ok(()) => return Ok(()),
            // What is wrong at the very start is for the person who started it.
            Err(error) if !come.led && !is_passing(&error, come) => return Err(error),
            Err(error) => {
                // Who lost the lead asks for it again; nothing else is asked before it has it.
                let again = WENT_WELL < begun.elapsed() || is_deposed(&error);
                delay = if again { AGAIN_AFTER } else { delay };
                let error = format!("{error:#}");
                tracing::error!(error, again_in = ?delay, "beginning anew");
                health.stands_by(&error);
            }
        }
        tokio::select! {
            order = order(signals, &candidate.path, &candidate.config) => match order {
                Order::Stop => return Ok(()),
                Order::Reload(config) => {
                    if let Err(error) = candidate.adopt(*config) {
                        reload::refused(&error);
                    }
                }
            },
            () = tokio::time::sleep(delay) => (),
        }
        delay = (2 * delay).min(AGAIN_AFTER_MAX);
    }
}

/// How far this process has come since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Come {
    /// It has reached the ledger.
    pub(super) opened: bool,
    /// It has led.
    pub(super) led: bool,
}

fn is_deposed(error: &anyhow::Error) -> bool {
    let deposed = |error: &AgentError| matches!(error, AgentError::Deposed { .. });
    error.chain().any(|cause| cause.downcast_ref::<AgentError>().is_some_and(deposed))
}

/// Whether a server is away that was there, or only starting: waiting may help.
pub(super) fn is_away(error: &anyhow::Error) -> bool {
    is_passing(error, Come { opened: true, led: true })
}

/// Whether waiting may help: a server that is only starting must not end the agent.
fn is_passing(error: &anyhow::Error, come: Come) -> bool {
    let passing = |error: &PeerError| {
        matches!(error, PeerError::Transient { .. } | PeerError::Throttled { .. })
    };
    let away = |error: &LedgerError| matches!(error, LedgerError::Unavailable { .. });
    // A transparent wrapper stands in the chain in the place of what it wraps.
    let ledgers = |cause: &'_ (dyn std::error::Error + 'static)| {
        let direct = cause.downcast_ref::<LedgerError>().is_some_and(away);
        let agents = matches!(cause.downcast_ref(), Some(AgentError::Ledger(error)) if away(error));
        let leases = matches!(cause.downcast_ref(), Some(LeaseError::Ledger(error)) if away(error));
        direct || agents || leases
    };
    let unavailable =
        |cause: &(dyn std::error::Error + 'static)| ledgers(cause) || cause.is::<Unreached>();
    let gone = come.opened && error.chain().any(unavailable);
    gone || error.chain().any(|cause| {
        cause.downcast_ref::<PeerError>().is_some_and(passing)
            || cause.downcast_ref::<AgentError>().is_some_and(|error| match error {
                AgentError::Peer(error) => passing(error),
                AgentError::Deposed { .. } | AgentError::Outdated { .. } => true,
                AgentError::Ledger(_) | AgentError::Contended { .. } | AgentError::Died { .. } => {
                    false
                }
            })
    })
}

fn install_logs(config: &Config, bars: &Bars) -> Result<()> {
    let terminal = std::io::stderr().is_terminal();
    let text = logs::Format::Text { colours: terminal };
    let format = match config.agent.log_format {
        config::LogFormat::Auto if terminal => text,
        config::LogFormat::Text => text,
        config::LogFormat::Auto | config::LogFormat::Json => logs::Format::Json,
    };
    let filter = std::env::var("TRUCE_LOG").unwrap_or_else(|_| config.agent.log.clone());
    logs::install(format, &filter, bars.clone())
        .map_err(|error| Unusable::caused("agent.log", error).into())
}

async fn fold(page: Page) {
    loop {
        tokio::time::sleep(FOLD_EVERY).await;
        page.fold();
    }
}

/// The accounts of the config, none called yet.
pub(super) fn open_accounts(config: &Config) -> Result<BTreeMap<Label, Arc<Account>>> {
    let mut accounts = BTreeMap::new();
    for (name, crm) in &config.crms {
        let opened = match crm.kind {
            CrmKind::Salesforce => {
                salesforce::Account::open(places::salesforce(config, name, crm)?)
                    .map(|account| Account::Salesforce(Arc::new(account)))
            }
            CrmKind::Dynamics => dynamics::Account::open(places::dynamics(config, name, crm)?)
                .map(|account| Account::Dynamics(Arc::new(account))),
        };
        let account = opened.map_err(|error| {
            // An address that is not https was refused before: what is left is the file.
            let file = crm.ca_file.as_ref().map(|file| file.display().to_string());
            let file = file.unwrap_or_default();
            Unusable::caused(format!("crm.{name}.ca_file = \"{file}\""), error)
        })?;
        accounts.insert(name.clone(), Arc::new(account));
    }
    Ok(accounts)
}
