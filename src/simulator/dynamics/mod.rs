//! A Dataverse environment (Dynamics 365) in memory, served over https to clients we did not write.
//!
//! It speaks the Web API as Microsoft documents it: tokens of Entra ID for an app with a secret or
//! a certificate, definitions, queries, change tracking, single records, batches and the actions
//! for many records, with the checks, the error codes and the small habits that real clients trip
//! over. One table model drives definitions, the checks of a write and queries. Its certificate is
//! made at start and is good for `localhost` and `127.0.0.1`; the token endpoint is on the same
//! host, below the tenant's id.
//!
//! Beside the API there is a control address, plain http on loopback, by which a test is a person
//! at the screen, a failing network, or the one who looks: [`control`] lists its routes.
//!
//! Nothing here imports from the rest of the package, so that what the connector believes about
//! Dynamics is judged by someone who does not share its code. Deep inserts, `FetchXML`, files and
//! images are not simulated and say so with status 501.

mod address;
mod api;
mod catalog;
mod catalog_service;
mod columns;
pub mod control;
mod convert;
mod csdl;
mod data;
mod definitions;
mod exchange;
mod fault;
mod guid;
mod history;
mod model;
mod number;
mod odata;
mod org;
mod plugin;
mod protection;
mod refusal;
mod server;
mod value;
mod write;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::json;

use super::https::{Doors, Served};
pub use super::https::{SimulatorError, Validity};
use org::{Names, Org};
use server::Shared;

/// How a simulator is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where clients connect; port 0 is any.
    pub listen: SocketAddr,
    /// Where a test gives its orders; port 0 is any.
    pub control: SocketAddr,
    /// Where the certificate of the authority is written, for clients to trust.
    pub ca_file: Option<PathBuf>,
    /// From which ids and tokens are drawn: the same seed gives the same ones.
    pub seed: u64,
    /// What its clients are to find of its certificate.
    pub certificate: Validity,
    /// The certificate of the app, which proves its assertions.
    pub app_certificate: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Options {
            listen: any,
            control: any,
            ca_file: None,
            seed: 1,
            certificate: Validity::Current,
            app_certificate: None,
        }
    }
}

/// A simulator that serves.
#[derive(Debug)]
pub struct Running {
    /// `https://localhost:PORT`: what clients call their environment.
    pub base_url: String,
    /// Where clients ask for tokens.
    pub token_url: String,
    /// `http://127.0.0.1:PORT`: where a test gives its orders.
    pub control_url: String,
    /// The certificate to trust.
    pub ca_pem: String,
    /// The tenant.
    pub tenant_id: String,
    /// The app's id.
    pub client_id: String,
    /// The app's secret.
    pub client_secret: String,
    /// The organisation, as `WhoAmI` tells it.
    pub org_id: String,
    /// The application user, as `WhoAmI` tells it.
    pub user_id: String,
    served: Served,
}

/// Starts a simulator; it serves when this returns.
pub async fn start(options: Options) -> Result<Running, SimulatorError> {
    let (doors, ports) = Doors::open((options.listen, options.control), options.certificate)?;
    if let Some(path) = &options.ca_file {
        doors.write_ca(path).await?;
    }
    let mut org = Org::new(options.seed, &ports.base_url);
    if let Some(path) = options.app_certificate {
        org.app.key = Some(app_key(path).await?);
    }
    let names = org.names.clone();
    let shared = Shared::new(org);
    let lines = shared.lines.clone();
    let ca_pem = doors.ca_pem.clone();
    let served = doors.serve(lines, (server::router(shared.clone()), control::router(shared)))?;
    Ok(Running::new(&names, ports.control_url, ca_pem, served))
}

impl Running {
    fn new(names: &Names, control_url: String, ca_pem: String, served: Served) -> Running {
        Running {
            base_url: names.base_url.clone(),
            token_url: names.token_url(),
            control_url,
            ca_pem,
            tenant_id: names.tenant.to_string(),
            client_id: names.client_id.clone(),
            client_secret: names.client_secret.clone(),
            org_id: names.org.to_string(),
            user_id: names.api_user.to_string(),
            served,
        }
    }

    /// What a program that started the simulator has to know, in one JSON object.
    pub fn announcement(&self) -> serde_json::Value {
        json!({
            "kind": "dynamics",
            "base_url": self.base_url,
            "token_url": self.token_url,
            "control_url": self.control_url,
            "tenant_id": self.tenant_id,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "scope": format!("{}/.default", self.base_url),
            "org_id": self.org_id,
            "user_id": self.user_id,
        })
    }

    /// Stops serving; open requests have two seconds.
    pub async fn stop(self) {
        self.served.stop().await;
    }
}

async fn app_key(path: PathBuf) -> Result<org::AppKey, SimulatorError> {
    match tokio::fs::read_to_string(&path).await {
        Ok(pem) => {
            api::key_of(&pem).map_err(|wrong| SimulatorError::JwtCertificate { path, wrong })
        }
        Err(source) => Err(SimulatorError::JwtCertificateFile { path, source }),
    }
}
