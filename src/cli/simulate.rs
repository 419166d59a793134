//! `truce simulate salesforce|dynamics`: one simulated CRM, until it is told to end.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;

use crate::simulator::{dynamics, salesforce};

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

/// How it is started.
#[derive(Debug, clap::Args)]
pub(super) struct SalesforceOptions {
    /// Where clients connect; port 0 is any
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where a test gives its orders; port 0 is any
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// The file that the certificate to trust is written to
    #[arg(long, value_name = "PATH")]
    ca_file: Option<PathBuf>,
    /// From which credentials are drawn: the same seed gives the same ones
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The certificate of the app (PEM, RSA), which proves assertions of the JWT bearer flow
    #[arg(long, value_name = "PATH")]
    jwt_certificate: Option<PathBuf>,
}

/// How it is started.
#[derive(Debug, clap::Args)]
pub(super) struct DynamicsOptions {
    /// Where clients connect; port 0 is any
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where a test gives its orders; port 0 is any
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// The file that the certificate to trust is written to
    #[arg(long, value_name = "PATH")]
    ca_file: Option<PathBuf>,
    /// From which ids and tokens are drawn: the same seed gives the same ones
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The certificate of the app (PEM, RSA), which proves its client assertions
    #[arg(long, value_name = "PATH")]
    app_certificate: Option<PathBuf>,
}

pub(super) async fn simulate(what: Simulate) -> Result<()> {
    match what {
        Simulate::Salesforce(given) => salesforce(given).await,
        Simulate::Dynamics(given) => dynamics(given).await,
    }
}

async fn salesforce(given: SalesforceOptions) -> Result<()> {
    let mut signals = Signals::install()?;
    let options = salesforce::Options {
        listen: given.listen,
        control: given.control,
        ca_file: given.ca_file,
        seed: given.seed,
        jwt_certificate: given.jwt_certificate,
        ..salesforce::Options::default()
    };
    let running = salesforce::start(options).await?;
    writeln!(std::io::stdout(), "{}", running.announcement())?;
    signals.stop().await;
    running.stop().await;
    Ok(())
}

async fn dynamics(given: DynamicsOptions) -> Result<()> {
    let mut signals = Signals::install()?;
    let options = dynamics::Options {
        listen: given.listen,
        control: given.control,
        ca_file: given.ca_file,
        seed: given.seed,
        app_certificate: given.app_certificate,
        ..dynamics::Options::default()
    };
    let running = dynamics::start(options).await?;
    writeln!(std::io::stdout(), "{}", running.announcement())?;
    signals.stop().await;
    running.stop().await;
    Ok(())
}
