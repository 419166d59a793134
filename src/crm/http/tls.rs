//! Whom we trust over TLS: what the system trusts, and one more file where the config names it.
//!
//! The provider is named explicitly (ring), since two packages in one build may each bring one
//! and rustls then refuses to choose.

use std::error::Error;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, ClientConfig, RootCertStore};

use crate::peer::PeerError;

/// The client's TLS settings; `ca_pem` is trusted beside what the system trusts.
pub(super) fn config(ca_pem: Option<&[u8]>) -> Result<ClientConfig, PeerError> {
    let unfit = |why: String| PeerError::Unfit { why };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = ca_pem {
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate
                .map_err(|error| unfit(format!("ca_file is not a PEM file: {error}")))?;
            roots.add(certificate).map_err(|error| {
                unfit(format!("ca_file holds a certificate that cannot be trusted: {error}"))
            })?;
        }
        if roots.len() == before {
            return Err(unfit("ca_file holds no certificate in PEM form".to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unfit(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// What is wrong with the server's certificate and what would mend it, where an error came of that.
pub(super) fn distrust(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return match tls {
                rustls::Error::InvalidCertificate(flaw) => Some(judged(flaw)),
                _ => None,
            };
        }
        // An I/O error tells the source of what it wraps, and not what it wraps.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

#[expect(clippy::wildcard_enum_match_arm, reason = "not our enum, and it may grow")]
fn judged(flaw: &CertificateError) -> String {
    match flaw {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "has expired; who runs that server, or the proxy in between, has to renew it, unless \
             the clock of this machine is wrong"
                .to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet; see the clock of this machine".to_owned()
        }
        // An authority of the same name with another key: one that was made anew.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "comes from an authority that is not known here; where it is a private one, name its \
             PEM file as ca_file"
                .to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("is for another host ({flaw}); correct the address")
        }
        other => format!("is refused: {other}"),
    }
}
