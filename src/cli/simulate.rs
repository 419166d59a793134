//! `truce simulate salesforce`: one simulated organisation, until it is told to end.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;

use crate::simulator::salesforce::{self, Options};

use super::signals::Signals;

/// What can be simulated.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Simulate {
    /// A Salesforce organisation over https, with a control address for tests
    #[command(after_help = "Examples:\n  truce simulate salesforce --ca-file ca.pem\n  \
        truce simulate salesforce --listen 127.0.0.1:8443 --control 127.0.0.1:8081 --seed 7")]
    Salesforce(SalesforceOptions),
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

pub(super) async fn simulate(what: Simulate) -> Result<()> {
    let Simulate::Salesforce(given) = what;
    let mut signals = Signals::install()?;
    let options = Options {
        listen: given.listen,
        control: given.control,
        ca_file: given.ca_file,
        seed: given.seed,
        jwt_certificate: given.jwt_certificate,
        ..Options::default()
    };
    let running = salesforce::start(options).await?;
    writeln!(std::io::stdout(), "{}", running.announcement())?;
    signals.stop().await;
    running.stop().await;
    Ok(())
}
