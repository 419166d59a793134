//! What is demanded of a server's certificate, mode by mode.
//!
//! `rustls` verifies all or nothing. PostgreSQL's modes lie in between, and its manual's own recipe
//! for a certificate (`openssl req -x509`) makes one that signs itself and calls itself an issuer,
//! which `webpki` never accepts of a server. So a certificate that is itself among the roots is
//! trusted as it stands, its dates and its name still looked at.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// What must hold beside the signatures of the handshake itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// The chain leads to a root.
    Chain,
    /// And the certificate names the host.
    ChainAndName,
}

#[derive(Debug)]
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    chain: Option<Chain>,
}

#[derive(Debug)]
struct Chain {
    demand: Demand,
    webpki: Arc<WebPkiServerVerifier>,
    roots: Vec<CertificateDer<'static>>,
}

impl Verifier {
    /// Whoever answers is believed.
    pub(super) fn of_nothing() -> Self {
        Self { provider: Arc::new(ring::default_provider()), chain: None }
    }

    pub(super) fn of(
        demand: Demand,
        store: RootCertStore,
        roots: Vec<CertificateDer<'static>>,
    ) -> Result<Self, VerifierBuilderError> {
        let provider = Arc::new(ring::default_provider());
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider));
        Ok(Self { provider, chain: Some(Chain { demand, webpki: builder.build()?, roots }) })
    }

    pub(super) fn provider(&self) -> Arc<CryptoProvider> {
        Arc::clone(&self.provider)
    }
}

impl Chain {
    /// A root that the server presents as its own certificate.
    fn verify_root(
        &self,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let validity = parsed.validity();
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if seconds < validity.not_before.timestamp() {
            return Err(Error::InvalidCertificate(CertificateError::NotValidYet));
        }
        if validity.not_after.timestamp() < seconds {
            return Err(Error::InvalidCertificate(CertificateError::Expired));
        }
        match self.demand {
            Demand::Chain => Ok(()),
            Demand::ChainAndName => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
            }
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let trusted = ServerCertVerified::assertion();
        let Some(chain) = &self.chain else { return Ok(trusted) };
        if chain.roots.iter().any(|root| root == end_entity) {
            return chain.verify_root(end_entity, name, now).map(|()| trusted);
        }
        match chain.webpki.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            // Names are compared last, so that everything else holds here.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if chain.demand == Demand::Chain => Ok(trusted),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
