//! A Salesforce organisation in memory, served over https to clients we did not write.
//!
//! It speaks the APIs as Salesforce documents them: the OAuth flows and SOAP login, describe, SOQL
//! and SOSL, single records, composites and collections, updated and deleted, Bulk API 2.0, with
//! the checks, the error codes and the small habits that real clients trip over. One table model drives describe, the checks of a
//! write and SOQL. Its certificate is made at start and is good for `localhost` and `127.0.0.1`.
//!
//! Beside the API there is a control address, plain http on loopback, by which a test is a person
//! at the screen, a failing network, or the one who looks: [`control`] lists its routes.
//!
//! Nothing here imports from the rest of the package, so that what the connector believes about
//! Salesforce is judged by someone who does not share its code.

mod api;
mod bulk;
mod catalog;
mod clock;
mod concurrency;
pub mod control;
mod convert;
mod convert_lead;
mod data;
mod describe;
mod fault;
mod history;
mod id;
mod model;
mod org;
mod parse;
mod refusal;
mod server;
mod soql;
mod sosl;
mod table;
mod tokens;
mod trigger;
mod value;
mod wish;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::json;

use super::https::{Doors, Served};
pub use super::https::{SimulatorError, Validity};
use super::{draw, line};
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
    /// From which tokens and credentials are drawn: the same seed gives the same ones.
    pub seed: u64,
    /// What its clients are to find of its certificate.
    pub certificate: Validity,
    /// The certificate of the app, which proves the assertions of the JWT bearer flow.
    pub jwt_certificate: Option<PathBuf>,
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
            jwt_certificate: None,
        }
    }
}

/// A simulator that serves.
#[derive(Debug)]
pub struct Running {
    /// `https://localhost:PORT`: what clients call their instance.
    pub base_url: String,
    /// Where clients ask for tokens.
    pub token_url: String,
    /// `http://127.0.0.1:PORT`: where a test gives its orders.
    pub control_url: String,
    /// The certificate to trust.
    pub ca_pem: String,
    /// The consumer key.
    pub client_id: String,
    /// The consumer secret.
    pub client_secret: String,
    /// The integration user's name.
    pub username: String,
    /// The integration user's password.
    pub password: String,
    /// What is appended to the password.
    pub security_token: String,
    /// A token of an approval that was given before.
    pub refresh_token: String,
    /// The organisation's id, 18 characters.
    pub org_id: String,
    served: Served,
}

/// Starts a simulator; it serves when this returns.
pub async fn start(options: Options) -> Result<Running, SimulatorError> {
    let (doors, ports) = Doors::open((options.listen, options.control), options.certificate)?;
    if let Some(path) = &options.ca_file {
        doors.write_ca(path).await?;
    }
    let mut org = Org::new(options.seed, &ports.base_url);
    if let Some(path) = options.jwt_certificate {
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
            token_url: format!("{}/services/oauth2/token", names.base_url),
            control_url,
            ca_pem,
            client_id: names.client_id.clone(),
            client_secret: names.client_secret.clone(),
            username: names.username.clone(),
            password: names.password.clone(),
            security_token: names.security_token.clone(),
            refresh_token: names.refresh_token.clone(),
            org_id: names.org.to_string(),
            served,
        }
    }

    /// What a program that started the simulator has to know, in one JSON object.
    pub fn announcement(&self) -> serde_json::Value {
        json!({
            "kind": "salesforce",
            "base_url": self.base_url,
            "token_url": self.token_url,
            "control_url": self.control_url,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "username": self.username,
            "password": self.password,
            "security_token": self.security_token,
            "refresh_token": self.refresh_token,
            "org_id": self.org_id,
        })
    }

    /// Stops serving; open requests have two seconds.
    pub async fn stop(self) {
        self.served.stop().await;
    }
}

async fn app_key(path: PathBuf) -> Result<Vec<u8>, SimulatorError> {
    match tokio::fs::read_to_string(&path).await {
        Ok(pem) => {
            api::key_of(&pem).map_err(|wrong| SimulatorError::JwtCertificate { path, wrong })
        }
        Err(source) => Err(SimulatorError::JwtCertificateFile { path, source }),
    }
}
