//! TLS to a server: what each `sslmode` demands of its certificate, and how a refusal is told.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::oid_registry as oid;

use super::error::{ConnectError, Endpoint};
use super::url::{Host, RootCert, ServerUrl, SslMode};
use super::verify::{Demand, Verifier};

/// What is wrong with the server's TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Past its date.
    #[error("the server's certificate has expired; renew it and reload the server")]
    Expired,
    /// Before its date.
    #[error("the server's certificate is not valid yet; compare the clocks of both machines")]
    NotYetValid,
    /// Signed by nobody we were told to trust.
    #[error(
        "the server's certificate comes from an issuer that is not known here; point sslrootcert \
         at the certificate of its issuer"
    )]
    UnknownIssuer,
    /// For somebody else.
    #[error(
        "the server's certificate is for {}, not for {host}; write one of those names in the \
         address, have the certificate name this host, or use sslmode=verify-ca",
        names(presented)
    )]
    WrongName {
        /// Whom we meant to reach.
        host: String,
        /// Whom the certificate names.
        presented: Vec<String>,
    },
    /// A host that cannot stand in a certificate.
    #[error("`{0}` is neither a host name nor an IP address")]
    Host(String, #[source] InvalidDnsNameError),
    /// Any other flaw of the certificate.
    #[error("the server's certificate is refused: {0:?}")]
    Certificate(CertificateError),
    /// The two ends have no common ground.
    #[error("no TLS with this server: {0}")]
    Handshake(Error),
    /// The connection broke in between.
    #[error("the connection broke during the TLS handshake: {0}")]
    Broken(io::Error),
}

fn names(presented: &[String]) -> String {
    if presented.is_empty() {
        return "nobody (it has no subject alternative name)".to_owned();
    }
    // `rustls` writes `DnsName("db.example.com")`.
    let bare = |name: &String| name.split('"').nth(1).unwrap_or(name).to_owned();
    presented.iter().map(bare).collect::<Vec<_>>().join(", ")
}

/// Secures a fresh connection on which the server has agreed to TLS.
pub(super) async fn secure(
    tcp: TcpStream,
    url: &ServerUrl,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let refused = |problem| ConnectError::Tls { at: Endpoint::of(url), problem };
    let Host::Tcp(host) = url.host() else { unreachable!("a Unix socket has no TLS") };
    let name = ServerName::try_from(host.clone())
        .map_err(|source| refused(TlsError::Host(host.clone(), source)))?;
    let connector = TlsConnector::from(client_config(url).await?);
    connector.connect(name, tcp).await.map_err(|error| refused(judged(error, host)))
}

/// What SCRAM binds the login to: a hash of the certificate, by the hash it was signed with, never
/// a weaker one than SHA-256 (RFC 5929). Nothing where the signature has no hash of its own, as
/// Ed25519: PostgreSQL cannot bind to such a certificate either.
pub(super) fn server_end_point(stream: &TlsStream<TcpStream>) -> Option<Vec<u8>> {
    let certificate = stream.get_ref().1.peer_certificates()?.first()?;
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let algorithm = &parsed.signature_algorithm.algorithm;
    let sha256 = [
        oid::OID_PKCS1_MD5WITHRSAENC,
        oid::OID_PKCS1_SHA1WITHRSA,
        oid::OID_PKCS1_SHA256WITHRSA,
        oid::OID_SIG_ECDSA_WITH_SHA256,
    ];
    if sha256.contains(algorithm) {
        Some(Sha256::digest(certificate).to_vec())
    } else if [oid::OID_PKCS1_SHA384WITHRSA, oid::OID_SIG_ECDSA_WITH_SHA384].contains(algorithm) {
        Some(Sha384::digest(certificate).to_vec())
    } else if [oid::OID_PKCS1_SHA512WITHRSA, oid::OID_SIG_ECDSA_WITH_SHA512].contains(algorithm) {
        Some(Sha512::digest(certificate).to_vec())
    } else {
        None
    }
}

/// Read anew for each connection: roots are renewed on disk while we run.
async fn client_config(url: &ServerUrl) -> Result<Arc<ClientConfig>, ConnectError> {
    let (mode, root_cert) = (url.ssl_mode(), url.root_cert().cloned());
    let read = tokio::task::spawn_blocking(move || verifier(mode, root_cert));
    let verifier = read.await.expect("reading roots does not panic")?;
    let builder = ClientConfig::builder_with_provider(verifier.provider())
        .with_safe_default_protocol_versions()
        .expect("ring has TLS 1.2 and 1.3");
    let config = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Ok(Arc::new(config.with_no_client_auth()))
}

fn verifier(mode: SslMode, root_cert: Option<RootCert>) -> Result<Verifier, ConnectError> {
    let (demand, root_cert) = match (mode, root_cert) {
        (SslMode::Disable | SslMode::Prefer, _) | (SslMode::Require, None) => {
            return Ok(Verifier::of_nothing());
        }
        // libpq's rule: whoever names roots wants them looked at.
        (SslMode::Require, Some(roots)) => (Demand::Chain, roots),
        (SslMode::VerifyCa, roots) => (Demand::Chain, roots.unwrap_or(RootCert::System)),
        (SslMode::VerifyFull, roots) => (Demand::ChainAndName, roots.unwrap_or(RootCert::System)),
    };
    match root_cert {
        RootCert::System => system_roots(demand),
        RootCert::File(path) => file_roots(demand, &path),
    }
}

fn system_roots(demand: Demand) -> Result<Verifier, ConnectError> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(found.certs);
    Verifier::of(demand, store, Vec::new()).map_err(|_| ConnectError::RootCert {
        path: PathBuf::from("system"),
        problem: "the system has no root certificates; install ca-certificates, or name a file"
            .to_owned(),
    })
}

fn file_roots(demand: Demand, path: &Path) -> Result<Verifier, ConnectError> {
    let wrong = |problem: String| ConnectError::RootCert { path: path.to_owned(), problem };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(format!("it cannot be read as PEM: {error}")))?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store
            .add(certificate.clone())
            .map_err(|error| wrong(format!("it holds a certificate that is none: {error}")))?;
    }
    Verifier::of(demand, store, certificates)
        .map_err(|_| wrong("it holds no certificate in PEM form".to_owned()))
}

/// What a failed handshake means.
fn judged(error: io::Error, host: &str) -> TlsError {
    let Some(cause) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return TlsError::Broken(error);
    };
    let Error::InvalidCertificate(flaw) = cause else {
        return TlsError::Handshake(cause.clone());
    };
    #[expect(clippy::wildcard_enum_match_arm, reason = "not our enum, and it may grow")]
    match flaw {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsError::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsError::NotYetValid
        }
        // An issuer of the same name with another key: one that was made anew.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsError::UnknownIssuer,
        CertificateError::NotValidForName => {
            TlsError::WrongName { host: host.to_owned(), presented: Vec::new() }
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            TlsError::WrongName { host: host.to_owned(), presented: presented.clone() }
        }
        other => TlsError::Certificate(other.clone()),
    }
}
