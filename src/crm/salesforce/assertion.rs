//! Assertions of the JWT bearer flow: who asks, for whom, for whom to read, until when; signed by a
//! private key whose certificate the app knows.
//!
//! No secret goes over the wire, and none is kept over there. An assertion is made anew for each
//! token and is good for three minutes at most (Salesforce: OAuth 2.0 JWT Bearer Flow), so the time
//! that it is made at is the server's wherever that is known.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;

/// Salesforce refuses more than three minutes; two leave room for clocks that differ.
const GOOD_FOR: SignedDuration = SignedDuration::from_mins(2);

/// Whom a token is asked for, and whom the assertion is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    /// The consumer key of the app.
    pub(super) client_id: String,
    /// The user that the app acts as; approved for the app beforehand.
    pub(super) username: String,
    /// The login server of production or of sandboxes.
    pub(super) audience: String,
}

/// A private key, ready to sign with. Never printed.
pub struct Signer(RsaKeyPair);

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
        if let Some(certificate) = CertificateDer::pem_slice_iter(text).flatten().next() {
            check(&certificate, &pair, now)?;
        }
        Ok(Self(pair))
    }

    /// An assertion about the subject, good from now for two minutes.
    pub(super) fn assertion(&self, subject: &Subject, now: Timestamp) -> Result<String, NotSigned> {
        let expires = now.saturating_add(GOOD_FOR).unwrap_or(now);
        let header = json!({ "alg": "RS256" });
        let claims = json!({
            "iss": subject.client_id,
            "sub": subject.username,
            "aud": subject.audience,
            "exp": expires.as_second(),
        });
        let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; self.0.public().modulus_len()];
        // The signature is the same each time: chance only hides the key from who measures.
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
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
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    const KEY: &[u8] = include_bytes!("../../../tests/keys/app.key");
    const OLD_FORM: &[u8] = include_bytes!("../../../tests/keys/pkcs1.key");
    const CERTIFICATE: &[u8] = include_bytes!("../../../tests/keys/app.crt");
    const PROTECTED: &[u8] = include_bytes!("../../../tests/keys/protected.key");
    const CURVE: &[u8] = include_bytes!("../../../tests/keys/curve.key");

    fn now() -> Timestamp {
        "2026-10-31T12:00:00Z".parse().unwrap()
    }

    fn read(parts: &[&[u8]]) -> Result<Signer, KeyError> {
        Signer::from_pem(&parts.concat(), now())
    }

    fn unpacked(part: &str) -> serde_json::Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn an_assertion_says_who_and_until_when_and_the_certificate_vouches_for_it() {
        let subject = Subject {
            client_id: "3MVG9".to_owned(),
            username: "truce@example.com".to_owned(),
            audience: "https://login.salesforce.com".to_owned(),
        };
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
        let (_, certificate) = x509_parser::parse_x509_certificate(&certificate).unwrap();
        let public = certificate.public_key().subject_public_key.data.to_vec();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
        for key in [KEY, OLD_FORM] {
            let assertion = read(&[key]).unwrap().assertion(&subject, now()).unwrap();
            let parts: Vec<&str> = assertion.split('.').collect();
            let [header, claims, signature] = parts.as_slice() else { panic!("{assertion}") };
            assert_eq!(unpacked(header), json!({ "alg": "RS256" }));
            assert_eq!(
                unpacked(claims),
                json!({
                    "iss": "3MVG9",
                    "sub": "truce@example.com",
                    "aud": "https://login.salesforce.com",
                    "exp": now().as_second() + 120,
                })
            );
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let signed = format!("{header}.{claims}");
            public.verify(signed.as_bytes(), &signature).unwrap();
            public.verify(format!("{signed}x").as_bytes(), &signature).unwrap_err();
        }
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
