//! Assertions of the JWT bearer flow: who asks, for whom, for whom to read, until when; signed by a
//! private key whose certificate the app knows.
//!
//! No secret goes over the wire, and none is kept over there. An assertion is made anew for each
//! token and is good for three minutes at most (Salesforce: OAuth 2.0 JWT Bearer Flow), so the time
//! that it is made at is the server's wherever that is known.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::crm::signer::{Algorithm, NotSigned, Signer};

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

/// An assertion about the subject, good from now for two minutes.
pub(super) fn assertion(
    signer: &Signer,
    subject: &Subject,
    now: Timestamp,
) -> Result<String, NotSigned> {
    let expires = now.saturating_add(GOOD_FOR).unwrap_or(now);
    let claims = json!({
        "iss": subject.client_id,
        "sub": subject.username,
        "aud": subject.audience,
        "exp": expires.as_second(),
    });
    signer.sign(Algorithm::Rs256, json!({}), &claims)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    const KEY: &[u8] = include_bytes!("../../../tests/keys/app.key");
    const OLD_FORM: &[u8] = include_bytes!("../../../tests/keys/pkcs1.key");
    const CERTIFICATE: &[u8] = include_bytes!("../../../tests/keys/app.crt");

    fn now() -> Timestamp {
        "2026-10-31T12:00:00Z".parse().unwrap()
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
            let assertion =
                assertion(&Signer::from_pem(key, now()).unwrap(), &subject, now()).unwrap();
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
}
