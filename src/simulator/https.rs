//! Two servers of one simulator: https for its clients, plain http on loopback for a test's orders.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use tokio::task::JoinHandle;

use super::line::Lines;
use super::tls::{self, Identity};

/// How long open requests have when the simulator stops.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Whether a certificate is valid today.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validity {
    /// It is.
    #[default]
    Current,
    /// It expired at the end of 2024: for those who test what a client says of it.
    Over,
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

/// Where a simulator is found.
pub(super) struct Ports {
    /// `https://localhost:PORT`.
    pub(super) base_url: String,
    /// `http://127.0.0.1:PORT`.
    pub(super) control_url: String,
}

/// Addresses that are taken, and what is needed to serve there.
pub(super) struct Doors {
    clients: TcpListener,
    control: TcpListener,
    identity: Identity,
    addresses: [SocketAddr; 2],
    /// The certificate to trust.
    pub(super) ca_pem: String,
}

impl Doors {
    /// Takes the addresses of clients and of control, and makes a certificate.
    pub(super) fn open(
        (listen, control): (SocketAddr, SocketAddr),
        validity: Validity,
    ) -> Result<(Doors, Ports), SimulatorError> {
        let identity = tls::identity(validity)?;
        let (clients, address) = bind(listen)?;
        let (control, control_address) = bind(control)?;
        let ports = Ports {
            base_url: format!("https://localhost:{}", address.port()),
            control_url: format!("http://{control_address}"),
        };
        let ca_pem = identity.ca_pem.clone();
        let addresses = [address, control_address];
        Ok((Doors { clients, control, identity, addresses, ca_pem }, ports))
    }

    /// Writes the certificate to trust.
    pub(super) async fn write_ca(&self, path: &Path) -> Result<(), SimulatorError> {
        tokio::fs::write(path, &self.ca_pem)
            .await
            .map_err(|source| SimulatorError::CaFile { path: path.to_owned(), source })
    }

    /// Serves clients by the first router, a test's orders by the second.
    pub(super) fn serve(
        self,
        lines: Lines,
        (clients, control): (Router, Router),
    ) -> Result<Served, SimulatorError> {
        let [address, control_address] = self.addresses;
        let acceptor = RustlsAcceptor::new(RustlsConfig::from_config(self.identity.config));
        let handles = [Handle::new(), Handle::new()];
        let served = axum_server::from_tcp(self.clients)
            .map_err(|source| SimulatorError::Listen { address, source })?
            .handle(handles[0].clone())
            .acceptor(acceptor.acceptor(lines))
            .serve(clients.into_make_service_with_connect_info::<SocketAddr>());
        let controlled = axum_server::from_tcp(self.control)
            .map_err(|source| SimulatorError::Listen { address: control_address, source })?
            .handle(handles[1].clone())
            .serve(control.into_make_service());
        Ok(Served { handles, tasks: [tokio::spawn(served), tokio::spawn(controlled)] })
    }
}

/// Servers that run.
#[derive(Debug)]
pub(super) struct Served {
    handles: [Handle<SocketAddr>; 2],
    tasks: [JoinHandle<io::Result<()>>; 2],
}

impl Served {
    /// Stops serving; open requests have two seconds.
    pub(super) async fn stop(self) {
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

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), SimulatorError> {
    if !address.ip().is_loopback() {
        return Err(SimulatorError::NotLoopback(address));
    }
    let listen = |source| SimulatorError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;
    Ok((listener, bound))
}
