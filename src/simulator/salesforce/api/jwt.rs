//! The JWT bearer flow: an assertion that the app's registered certificate proves.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value as Json;
use x509_parser::pem::parse_x509_pem;
use x509_parser::public_key::PublicKey;

use super::super::org::Org;

/// How far ahead an assertion may expire, in seconds.
const AHEAD_MAX_S: i64 = 180;
/// By how much two clocks may differ: a client that rounds up must not be refused.
const SLACK_S: i64 = 5;

/// Shortest key, in bits.
const KEY_BITS_MIN: usize = 2048;

/// Why an assertion is not accepted: error and description of the token endpoint.
pub(super) type Denied = (&'static str, &'static str);

const INVALID: Denied = ("invalid_grant", "invalid assertion");

/// The public key of a PEM certificate, or what is wrong with it.
pub(in super::super) fn key_of(pem: &str) -> Result<Vec<u8>, &'static str> {
    let (_, pem) = parse_x509_pem(pem.as_bytes()).map_err(|_| "is not a PEM certificate")?;
    let certificate = pem.parse_x509().map_err(|_| "is not an X.509 certificate")?;
    let key = certificate.public_key();
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) if KEY_BITS_MIN <= rsa.key_size() => {
            Ok(key.subject_public_key.data.to_vec())
        }
        Ok(_) | Err(_) => Err("has no RSA key of at least 2048 bits, which RS256 needs"),
    }
}

/// Checks an assertion: by whom it is signed, for whom, to whom, until when.
pub(super) fn check(org: &Org, assertion: &str, now: i64) -> Result<(), Denied> {
    let (signed, signature) = assertion.rsplit_once('.').ok_or(INVALID)?;
    let (head, claims) = signed.split_once('.').ok_or(INVALID)?;
    let (head, claims) = (object(head)?, object(claims)?);
    if head["alg"] != "RS256" {
        return Err(INVALID);
    }
    if claims["iss"] != org.names.client_id.as_str() {
        return Err(("invalid_client_id", "client identifier invalid"));
    }
    let key = org.app.key.as_ref().ok_or(INVALID)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| INVALID)?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| INVALID)?;
    if !is_for_us(org, claims["aud"].as_str().unwrap_or_default()) {
        return Err(("invalid_grant", "audience is invalid"));
    }
    let expires = seconds(&claims["exp"]).ok_or(INVALID)?;
    if expires + SLACK_S < now || now + AHEAD_MAX_S + SLACK_S < expires {
        return Err(INVALID);
    }
    if claims["sub"] != org.names.username.as_str() {
        return Err(("invalid_grant", "user hasn't approved this consumer"));
    }
    Ok(())
}

/// The login host of the organisation's kind, or its own address.
fn is_for_us(org: &Org, audience: &str) -> bool {
    let audience = audience.trim_end_matches('/');
    let login = if org.app.sandbox {
        "https://test.salesforce.com"
    } else {
        "https://login.salesforce.com"
    };
    audience == login || audience == org.names.base_url
}

/// A number, or a text of digits: one client sends it so.
fn seconds(value: &Json) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn object(part: &str) -> Result<Json, Denied> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| INVALID)?;
    serde_json::from_slice(&bytes).ok().filter(Json::is_object).ok_or(INVALID)
}
