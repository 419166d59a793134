//! Private keys to sign assertions with, by which an app proves that it is who it says: no secret
//! goes over the wire, and none is kept over there.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value as Json;

/// A private key, ready to sign with. Never printed.
pub struct Signer {
    key: RsaKeyPair,
    /// The certificate that stood beside it.
    certificate: Option<Vec<u8>>,
}

/// How it is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA with the padding of PKCS #1, version 1.5.
    Rs256,
    /// RSA with probabilistic padding.
    Ps256,
}

/// A certificate's digest, by which the other side finds it among those that it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thumbprint {
    /// By SHA-1, `x5t`.
    Sha1,
    /// By SHA-256, `x5t#S256`.
    Sha256,
}

/// Why a file holds no key to sign with, and what would.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing in it is a private key.
    #[error(
        "holds no private key in PEM form; write the one that the app's certificate was made with"
    )]
    NoKey,
    /// It is not PEM.
    #[error("is not a PEM file: {0}")]
    NotPem(String),
    /// A passphrase protects it.
    #[error(
        "holds a private key that a passphrase protects, and nobody is there to type it; write it \
         without, by `openssl pkcs8 -in FILE -out OTHER`, for the agent's user alone to read"
    )]
    Encrypted,
    /// It is a key of another kind, or of an unusable size.
    #[error("holds a private key that cannot sign RS256 ({0}); make one by `openssl genrsa 2048`")]
    Unusable(String),
    /// The certificate beside it is over.
    #[error(
        "holds a certificate that expired at {0}; make a new one, give it to the app, and put it \
         here"
    )]
    Expired(Timestamp),
    /// The certificate beside it is of another key.
    #[error("holds a certificate of another key; put the certificate of this key there, or none")]
    Foreign,
}

impl Signer {
    /// Reads a PEM file: a private key, and perhaps the certificate that was given to the app, which
    /// is then looked at as well.
    pub fn from_pem(text: &[u8], now: Timestamp) -> Result<Self, KeyError> {
        let key = match PrivateKeyDer::from_pem_slice(text) {
            Ok(key) => key,
            Err(_) if is_encrypted(text) => return Err(KeyError::Encrypted),
            Err(pem::Error::NoItemsFound) => return Err(KeyError::NoKey),
            Err(error) => return Err(KeyError::NotPem(error.to_string())),
        };
        let pair = match &key {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Sec1(_) | _ => {
                return Err(KeyError::Unusable("not an RSA key".to_owned()));
            }
        };
        let pair = pair.map_err(|error| KeyError::Unusable(error.to_string()))?;
        let certificate = CertificateDer::pem_slice_iter(text).flatten().next();
        if let Some(certificate) = &certificate {
            check(certificate, &pair, now)?;
        }
        let certificate = certificate.map(|certificate| certificate.to_vec());
        Ok(Self { key: pair, certificate })
    }

    /// The digest of the certificate beside the key, as a header names it; `None` without one.
    pub(super) fn thumbprint(&self, of: Thumbprint) -> Option<String> {
        let algorithm = match of {
            Thumbprint::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
            Thumbprint::Sha256 => &SHA256,
        };
        let certificate = self.certificate.as_ref()?;
        Some(URL_SAFE_NO_PAD.encode(digest(algorithm, certificate)))
    }

    /// A signed token of these claims (JWT, compact form); the header gets its `alg`.
    pub(super) fn sign(
        &self,
        algorithm: Algorithm,
        mut header: Json,
        claims: &Json,
    ) -> Result<String, NotSigned> {
        let (name, encoding): (_, &'static dyn RsaEncoding) = match algorithm {
            Algorithm::Rs256 => ("RS256", &RSA_PKCS1_SHA256),
            Algorithm::Ps256 => ("PS256", &RSA_PSS_SHA256),
        };
        header["alg"] = Json::from(name);
        let part = |json: &Json| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        // For RS256 the signature is the same each time: chance only hides the key from who measures.
        self.key
            .sign(encoding, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| NotSigned)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// The system gave no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the private key could not sign: this system gives no random numbers")]
pub(super) struct NotSigned;

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(private key)")
    }
}

/// Whether what could not be read as a key is one under a passphrase, in either form that openssl
/// writes.
fn is_encrypted(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED")
}

fn check(der: &CertificateDer<'_>, key: &RsaKeyPair, now: Timestamp) -> Result<(), KeyError> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der)
        .map_err(|error| KeyError::NotPem(error.to_string()))?;
    if certificate.public_key().subject_public_key.data.as_ref() != key.public().as_ref() {
        return Err(KeyError::Foreign);
    }
    let until = certificate.validity().not_after.timestamp();
    match Timestamp::from_second(until) {
        Ok(until) if until < now => Err(KeyError::Expired(until)),
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::json;

    use super::*;

    const KEY: &[u8] = include_bytes!("../../tests/keys/app.key");
    const CERTIFICATE: &[u8] = include_bytes!("../../tests/keys/app.crt");
    const PROTECTED: &[u8] = include_bytes!("../../tests/keys/protected.key");
    const CURVE: &[u8] = include_bytes!("../../tests/keys/curve.key");

    fn now() -> Timestamp {
        "2026-10-31T12:00:00Z".parse().unwrap()
    }

    fn read(parts: &[&[u8]]) -> Result<Signer, KeyError> {
        Signer::from_pem(&parts.concat(), now())
    }

    #[test]
    fn either_padding_is_vouched_for_by_the_certificate_that_the_header_names() {
        let signer = read(&[CERTIFICATE, KEY]).unwrap();
        let der = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
        let public = certificate.public_key().subject_public_key.data.to_vec();
        let token = signer.sign(Algorithm::Ps256, json!({ "typ": "JWT" }), &json!({})).unwrap();
        let (said, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let public = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, public);
        public.verify(said.as_bytes(), &signature).unwrap();
        assert_eq!(signer.thumbprint(Thumbprint::Sha1).unwrap().len(), 27);
        assert_eq!(signer.thumbprint(Thumbprint::Sha256).unwrap().len(), 43);
        assert_eq!(read(&[KEY]).unwrap().thumbprint(Thumbprint::Sha1), None);
    }

    #[test]
    fn a_file_that_cannot_sign_is_told_with_the_remedy() {
        let check = |parts: &[&[u8]], words: &str| {
            let said = read(parts).unwrap_err().to_string();
            assert!(said.contains(words), "{said}");
        };
        check(&[b"no key"], "holds no private key");
        check(&[CERTIFICATE], "holds no private key");
        check(&[PROTECTED], "openssl pkcs8 -in FILE");
        check(&[CURVE], "cannot sign RS256");
        check(&[&KEY[..KEY.len() / 2]], "is not a PEM file");
    }

    #[test]
    fn the_certificate_beside_the_key_is_looked_at() {
        assert!(read(&[KEY, CERTIFICATE]).is_ok());
        let later = "2200-01-01T00:00:00Z".parse().unwrap();
        let over = Signer::from_pem(&[CERTIFICATE, KEY].concat(), later);
        assert!(matches!(over, Err(KeyError::Expired(until)) if until < later), "{over:?}");
        let other = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap().cert.pem();
        assert_eq!(read(&[KEY, other.as_bytes()]).err(), Some(KeyError::Foreign));
        assert_eq!(format!("{:?}", read(&[KEY]).unwrap()), "(private key)");
    }
}
