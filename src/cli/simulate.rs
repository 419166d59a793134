//! `truce simulate salesforce|dynamics`: one simulated CRM, until it is told to end.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;

use crate::simulator::any::{Kind, Options};

use super::signals::Signals;

/// What can be simulated.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Simulate {
    /// A Salesforce organisation over https, with a control address for tests
    #[command(after_help = "Examples:\n  truce simulate salesforce --ca-file ca.pem\n  \
        truce simulate salesforce --listen 127.0.0.1:8443 --control 127.0.0.1:8081 --seed 7")]
    Salesforce(SalesforceOptions),
    /// A Dynamics 365 environment (Dataverse Web API) over https, with a control address for tests
    #[command(after_help = "Examples:\n  truce simulate dynamics --ca-file ca.pem\n  \
        truce simulate dynamics --listen 127.0.0.1:8443 --control 127.0.0.1:8081 --seed 7\n  \
        truce simulate dynamics --app-certificate app.crt")]
    Dynamics(DynamicsOptions),
}

/// How any of them is started.
#[derive(Debug, clap::Args)]
struct Common {
    /// Where clients connect; port 0 is any
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where a test gives its orders; port 0 is any
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// The file that the certificate to trust is written to
    #[arg(long, value_name = "PATH")]
    ca_file: Option<PathBuf>,
    /// From which ids and credentials are drawn: the same seed gives the same ones
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// How a Salesforce is started.
#[derive(Debug, clap::Args)]
pub(super) struct SalesforceOptions {
    #[command(flatten)]
    common: Common,
    /// The certificate of the app (PEM, RSA), which proves assertions of the JWT bearer flow
    #[arg(long, value_name = "PATH")]
    jwt_certificate: Option<PathBuf>,
}

/// How a Dynamics is started.
#[derive(Debug, clap::Args)]
pub(super) struct DynamicsOptions {
    #[command(flatten)]
    common: Common,
    /// The certificate of the app (PEM, RSA), which proves its client assertions
    #[arg(long, value_name = "PATH")]
    app_certificate: Option<PathBuf>,
}

pub(super) async fn simulate(what: Simulate) -> Result<()> {
    let (kind, common, app_certificate) = match what {
        Simulate::Salesforce(given) => (Kind::Salesforce, given.common, given.jwt_certificate),
        Simulate::Dynamics(given) => (Kind::Dynamics, given.common, given.app_certificate),
    };
    let mut signals = Signals::install()?;
    let Common { listen, control, ca_file, seed } = common;
    let running = kind.start(Options { listen, control, ca_file, seed, app_certificate }).await?;
    writeln!(std::io::stdout(), "{}", running.announcement())?;
    signals.stop().await;
    running.stop().await;
    Ok(())
}
