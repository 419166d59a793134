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
mod draw;
mod fault;
mod history;
mod id;
mod line;
mod model;
mod org;
mod parse;
mod refusal;
mod server;
mod soql;
mod sosl;
mod table;
mod tls;
mod tokens;
mod trigger;
mod value;
mod wish;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use serde_json::json;
use tokio::task::JoinHandle;

use org::{Names, Org};
use server::Shared;

/// How long open requests have when the simulator stops.
const STOP_WITHIN: Duration = Duration::from_secs(2);

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

/// Whether a certificate is valid today.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validity {
    /// It is.
    #[default]
    Current,
    /// It expired at the end of 2024: for those who test what a client says of it.
    Over,
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

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The address is not this machine's own.
    #[error("{0} is not a loopback address; the simulator serves this machine only")]
    NotLoopback(SocketAddr),
    /// The address cannot be bound.
    #[error("could not listen on {address}; choose another address or port 0")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The certificate file cannot be written.
    #[error("could not write the certificate to {}; choose a file in a writable folder", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The app's certificate cannot be read.
    #[error("could not read the app's certificate {}; name a PEM file", path.display())]
    JwtCertificateFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The app's certificate is of no use.
    #[error("{} {wrong}", path.display())]
    JwtCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        wrong: &'static str,
    },
    /// A certificate could not be made.
    #[error("could not make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// The certificate is not accepted by the TLS library.
    #[error("could not use the certificate just made")]
    Tls(#[from] rustls::Error),
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
    handles: [Handle<SocketAddr>; 2],
    tasks: [JoinHandle<io::Result<()>>; 2],
}

/// Starts a simulator; it serves when this returns.
pub async fn start(options: Options) -> Result<Running, SimulatorError> {
    let identity = tls::identity(options.certificate)?;
    if let Some(path) = &options.ca_file {
        tokio::fs::write(path, &identity.ca_pem)
            .await
            .map_err(|source| SimulatorError::CaFile { path: path.clone(), source })?;
    }
    let (listener, address) = bind(options.listen)?;
    let (control, control_address) = bind(options.control)?;
    let base_url = format!("https://localhost:{}", address.port());
    let mut org = Org::new(options.seed, &base_url);
    if let Some(path) = options.jwt_certificate {
        org.app.key = Some(app_key(path).await?);
    }
    let names = org.names.clone();
    let shared = Shared::new(org);

    let config = RustlsConfig::from_config(identity.config);
    let acceptor = RustlsAcceptor::new(config).acceptor(shared.lines.clone());
    let handles = [Handle::new(), Handle::new()];
    let service = server::router(shared.clone());
    let served = axum_server::from_tcp(listener)
        .map_err(|source| SimulatorError::Listen { address, source })?
        .handle(handles[0].clone())
        .acceptor(acceptor)
        .serve(service.into_make_service_with_connect_info::<SocketAddr>());
    let controlled = axum_server::from_tcp(control)
        .map_err(|source| SimulatorError::Listen { address: control_address, source })?
        .handle(handles[1].clone())
        .serve(control::router(shared).into_make_service());
    let tasks = [tokio::spawn(served), tokio::spawn(controlled)];
    Ok(Running::new(&names, control_address, identity.ca_pem, (handles, tasks)))
}

type Served = ([Handle<SocketAddr>; 2], [JoinHandle<io::Result<()>>; 2]);

impl Running {
    fn new(names: &Names, control: SocketAddr, ca_pem: String, served: Served) -> Running {
        Running {
            base_url: names.base_url.clone(),
            token_url: format!("{}/services/oauth2/token", names.base_url),
            control_url: format!("http://{control}"),
            ca_pem,
            client_id: names.client_id.clone(),
            client_secret: names.client_secret.clone(),
            username: names.username.clone(),
            password: names.password.clone(),
            security_token: names.security_token.clone(),
            refresh_token: names.refresh_token.clone(),
            org_id: names.org.to_string(),
            handles: served.0,
            tasks: served.1,
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
        for handle in &self.handles {
            handle.graceful_shutdown(Some(STOP_WITHIN));
        }
        for task in self.tasks {
            if let Ok(Err(error)) = task.await {
                tracing::warn!(%error, "a simulated server ended badly");
            }
        }
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

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), SimulatorError> {
    if !address.ip().is_loopback() {
        return Err(SimulatorError::NotLoopback(address));
    }
    let listen = |source| SimulatorError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;
    Ok((listener, bound))
}
