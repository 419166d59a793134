//! SIGHUP: the config file is read again, and taken up where it may be.
//!
//! What a running agent cannot change is what it is known by: where it answers, which databases it
//! stands between, by which slot it reads. A file that says otherwise, or that cannot be used, is
//! refused aloud, and the old one stays. What it takes up it takes up as a whole: the loops come to
//! their end in order and begin anew under the same lease, in a term of their own: nobody else leads
//! in between, and what they left unanswered is resolved as after another leader.

use std::path::Path;

use anyhow::Result;

use crate::config::{self, Config};
use crate::telemetry::metrics;

use super::failure::Unusable;
use super::signals::{Signal, Signals};

/// What a running agent was told to do.
pub(super) enum Order {
    /// To end.
    Stop,
    /// To go on by this config.
    Reload(Box<Config>),
}

/// Waits until the agent is told to end, or to go on by a config that it can take up.
pub(super) async fn order(signals: &mut Signals, path: &Path, known: &Config) -> Order {
    loop {
        match signals.next().await {
            Signal::Stop => return Order::Stop,
            Signal::Reload => match read(path, known) {
                Ok(Some(config)) => {
                    tracing::info!(config = %path.display(), "the config has changed: taking it up");
                    return Order::Reload(Box::new(config));
                }
                Ok(None) => {
                    metrics::reloaded(true);
                    tracing::info!(config = %path.display(), "the config has not changed");
                }
                Err(error) => refused(&error),
            },
        }
    }
}

/// Says that a config was not taken up.
pub(super) fn refused(error: &anyhow::Error) {
    metrics::reloaded(false);
    let error = format!("{error:#}");
    tracing::error!(error, "the config was not taken up; what was read before stands");
}

/// The file's config, where it differs from this one and may be taken up.
fn read(path: &Path, known: &Config) -> Result<Option<Config>> {
    let config = config::load(path)?;
    if config == *known {
        return Ok(None);
    }
    let fixed = fixed(known, &config);
    if fixed.is_empty() {
        return Ok(Some(config));
    }
    let (keys, verb) = (fixed.join(", "), if fixed.len() == 1 { "differs" } else { "differ" });
    Err(Unusable::new(format!("{}: {keys} {verb}, which only a restart takes up", path.display()))
        .into())
}

/// The keys that differ and cannot be taken up while the agent runs.
fn fixed(known: &Config, new: &Config) -> Vec<&'static str> {
    let (ours, theirs) = (&known.campaign, &new.campaign);
    let same = [
        ("agent.listen", known.agent.listen == new.agent.listen),
        ("agent.log", known.agent.log == new.agent.log),
        ("agent.log_format", known.agent.log_format == new.agent.log_format),
        ("campaign.url", ours.url == theirs.url),
        ("campaign.schema", ours.schema == theirs.schema),
        ("campaign.slot", ours.slot == theirs.slot),
        ("campaign.publication", ours.publication == theirs.publication),
        ("campaign.instance", ours.instance == theirs.instance),
        ("ledger.url", known.ledger.url == new.ledger.url),
        ("ledger.database", known.ledger.database == new.ledger.database),
        ("ledger.lease_seconds", known.ledger.lease_seconds == new.ledger.lease_seconds),
    ];
    same.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::parsed_with;

    #[test]
    fn what_an_agent_is_known_by_takes_a_restart() {
        let known = parsed_with("write_rows = 11");
        assert_eq!(fixed(&known, &parsed_with("write_rows = 12")), [""; 0]);
        let moved = parsed_with("slot = \"another\"\nschema = \"neolane\"");
        assert_eq!(fixed(&known, &moved), ["campaign.schema", "campaign.slot"]);
    }
}
