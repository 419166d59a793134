//! Whichever CRM is simulated: the one place that names them all.
//!
//! A further simulator is a folder beside the others and an arm in each match here.

use std::net::SocketAddr;
use std::path::PathBuf;

pub use super::https::SimulatorError;
use super::{dynamics, salesforce};

/// A CRM that can be simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// An organisation of Salesforce
    Salesforce,
    /// An environment of Dynamics 365
    Dynamics,
}

/// How one is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where clients connect; port 0 is any.
    pub listen: SocketAddr,
    /// Where a test gives its orders; port 0 is any.
    pub control: SocketAddr,
    /// Where the certificate of the authority is written, for clients to trust.
    pub ca_file: Option<PathBuf>,
    /// From which ids and credentials are drawn: the same seed gives the same ones.
    pub seed: u64,
    /// The certificate of the app, which proves its assertions.
    pub app_certificate: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { listen: any, control: any, ca_file: None, seed: 1, app_certificate: None }
    }
}

/// A simulator that serves.
#[derive(Debug)]
pub enum Running {
    /// An organisation of Salesforce.
    Salesforce(Box<salesforce::Running>),
    /// An environment of Dynamics 365.
    Dynamics(Box<dynamics::Running>),
}

/// What a client of a simulator has to know.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// What clients call their instance or environment.
    pub base_url: &'a str,
    /// Where clients ask for tokens.
    pub token_url: &'a str,
    /// Where a test gives its orders.
    pub control_url: &'a str,
    /// The certificate to trust.
    pub ca_pem: &'a str,
    /// The tenant that the app is of, where there are tenants.
    pub tenant: Option<&'a str>,
    /// The app.
    pub client_id: &'a str,
    /// The app's secret.
    pub client_secret: &'a str,
}

impl Kind {
    /// The word for it in a config.
    pub fn word(self) -> &'static str {
        match self {
            Self::Salesforce => "salesforce",
            Self::Dynamics => "dynamics",
        }
    }

    /// The product's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Salesforce => "Salesforce",
            Self::Dynamics => "Dynamics 365",
        }
    }

    /// Starts one; it serves when this returns.
    pub async fn start(self, options: Options) -> Result<Running, SimulatorError> {
        let Options { listen, control, ca_file, seed, app_certificate } = options;
        Ok(match self {
            Self::Salesforce => {
                let own = salesforce::Options {
                    listen,
                    control,
                    ca_file,
                    seed,
                    jwt_certificate: app_certificate,
                    ..salesforce::Options::default()
                };
                Running::Salesforce(Box::new(salesforce::start(own).await?))
            }
            Self::Dynamics => {
                let own = dynamics::Options {
                    listen,
                    control,
                    ca_file,
                    seed,
                    app_certificate,
                    ..dynamics::Options::default()
                };
                Running::Dynamics(Box::new(dynamics::start(own).await?))
            }
        })
    }
}

impl Running {
    /// What a client has to know.
    pub fn access(&self) -> Access<'_> {
        match self {
            Self::Salesforce(running) => Access {
                base_url: &running.base_url,
                token_url: &running.token_url,
                control_url: &running.control_url,
                ca_pem: &running.ca_pem,
                tenant: None,
                client_id: &running.client_id,
                client_secret: &running.client_secret,
            },
            Self::Dynamics(running) => Access {
                base_url: &running.base_url,
                token_url: &running.token_url,
                control_url: &running.control_url,
                ca_pem: &running.ca_pem,
                tenant: Some(&running.tenant_id),
                client_id: &running.client_id,
                client_secret: &running.client_secret,
            },
        }
    }

    /// What a program that started it has to know, in one JSON object.
    pub fn announcement(&self) -> serde_json::Value {
        match self {
            Self::Salesforce(running) => running.announcement(),
            Self::Dynamics(running) => running.announcement(),
        }
    }

    /// Stops serving; open requests have two seconds.
    pub async fn stop(self) {
        match self {
            Self::Salesforce(running) => running.stop().await,
            Self::Dynamics(running) => running.stop().await,
        }
    }
}
