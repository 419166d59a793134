//! How long an agent leads: until the lease is not renewed, or the session with the lock is gone.

use std::time::Duration;

use crate::agent::AgentError;
use crate::agent::run::told;
use crate::ledger::{Leader, LeaseError};

use super::peers::CampaignDoors;

/// How often the session that holds the lock is asked for a sign of life.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// Renews the lease until it is lost.
pub(super) async fn renew(lease: &mut Leader, every: Duration) -> AgentError {
    loop {
        tokio::time::sleep(every).await;
        // A ledger that hangs is worse than one that refuses: nobody may write on beyond the lease.
        let Ok(renewed) = tokio::time::timeout(lease.left(), lease.renew()).await else {
            tracing::error!("the ledger did not renew the lease in time");
            let ours = lease.term();
            return AgentError::Deposed { ours, current: ours };
        };
        match renewed {
            Ok(()) => (),
            Err(LeaseError::Deposed { ours, current }) => {
                return AgentError::Deposed { ours, current };
            }
            Err(error) if lease.leads() => {
                tracing::warn!(error = told(&error), "the lease was not renewed, will retry");
            }
            Err(error) => {
                tracing::error!(error = told(&error), "the lease was not renewed in time");
                let ours = lease.term();
                return AgentError::Deposed { ours, current: ours };
            }
        }
    }
}

/// Asks the session that holds the lock for a sign of life until there is none.
pub(super) async fn check(campaign: &CampaignDoors) -> AgentError {
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        if let Err(error) = campaign.writer.check().await {
            return error.into();
        }
    }
}
