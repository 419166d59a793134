//! A client assertion that the app's registered certificate proves.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters, UnparsedPublicKey,
};
use serde_json::Value as Json;
use x509_parser::pem::parse_x509_pem;
use x509_parser::public_key::PublicKey;

use super::super::org::{AppKey, Org};

/// By how much two clocks may differ.
const SLACK_S: i64 = 300;
/// How far ahead an assertion may expire: the service takes a day at most.
const AHEAD_MAX_S: i64 = 86_400;
/// Shortest key, in bits.
const KEY_BITS_MIN: usize = 2048;

/// The key of a PEM certificate with its thumbprints, or what is wrong with it.
pub(in super::super) fn key_of(pem: &str) -> Result<AppKey, &'static str> {
    let (_, pem) = parse_x509_pem(pem.as_bytes()).map_err(|_| "is not a PEM certificate")?;
    let certificate = pem.parse_x509().map_err(|_| "is not an X.509 certificate")?;
    let key = certificate.public_key();
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) if KEY_BITS_MIN <= rsa.key_size() => {}
        Ok(_) | Err(_) => {
            return Err("has no RSA key of at least 2048 bits, which assertions need");
        }
    }
    let validity = certificate.validity();
    Ok(AppKey {
        public: key.subject_public_key.data.to_vec(),
        sha1: URL_SAFE_NO_PAD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &pem.contents)),
        sha256: URL_SAFE_NO_PAD.encode(digest(&SHA256, &pem.contents)),
        valid: (validity.not_before.timestamp(), validity.not_after.timestamp()),
    })
}

/// Checks an assertion: by whom it is signed, for whom, to whom, until when.
pub(super) fn check(org: &Org, assertion: &str, origin: &str) -> Result<(), &'static str> {
    const MALFORMED: &str = "Client assertion is not a signed JSON web token.";
    let (signed, signature) = assertion.rsplit_once('.').ok_or(MALFORMED)?;
    let (head, claims) = signed.split_once('.').ok_or(MALFORMED)?;
    let head = object(head).ok_or(MALFORMED)?;
    let claims = object(claims).ok_or(MALFORMED)?;
    let key = org.app.key.as_ref().ok_or(
        "The certificate with identifier used to sign the client assertion is not registered on \
         application.",
    )?;
    check_thumbprint(&head, key)?;
    let algorithm: &'static RsaParameters = match head["alg"].as_str() {
        Some("RS256") => &RSA_PKCS1_2048_8192_SHA256,
        Some("PS256") => &RSA_PSS_2048_8192_SHA256,
        Some(_) | None => return Err("Client assertion has an unsupported signature algorithm."),
    };
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| MALFORMED)?;
    UnparsedPublicKey::new(algorithm, &key.public)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| "Client assertion contains an invalid signature.")?;
    let now = org.now();
    if now < key.valid.0 || key.valid.1 < now {
        return Err(
            "The certificate used to sign the client assertion is expired or not yet valid.",
        );
    }
    let id = org.names.client_id.as_str();
    if claims["iss"] != id || claims["sub"] != id {
        return Err("Client assertion names another issuer or subject than the client.");
    }
    if !is_for_us(org, claims["aud"].as_str().unwrap_or_default(), origin) {
        return Err("Client assertion audience claim does not match the token endpoint.");
    }
    if claims["jti"].as_str().is_none_or(str::is_empty) {
        return Err("Client assertion has no 'jti' claim.");
    }
    let expires = claims["exp"].as_i64().ok_or("Client assertion has no 'exp' claim.")?;
    let from = claims["nbf"].as_i64().unwrap_or(now);
    if expires + SLACK_S < now || now + SLACK_S < from || now + AHEAD_MAX_S < expires {
        return Err("Client assertion is not within its valid time range.");
    }
    Ok(())
}

/// The newer form with SHA-256 comes with PS256, the older with RS256; either is taken.
fn check_thumbprint(head: &Json, key: &AppKey) -> Result<(), &'static str> {
    let given = [(&head["x5t#S256"], &key.sha256), (&head["x5t"], &key.sha1)];
    let mut named = given.iter().filter_map(|(given, own)| Some((given.as_str()?, own.as_str())));
    match named.next() {
        None => Err("Client assertion has no thumbprint: 'x5t' or 'x5t#S256' is needed."),
        Some((given, own)) if given.trim_end_matches('=') == own => Ok(()),
        Some(_) => Err("The key was not found: the thumbprint is of no registered certificate."),
    }
}

/// The token endpoint, by any name of this host.
fn is_for_us(org: &Org, audience: &str, origin: &str) -> bool {
    let tenant = org.names.tenant;
    [origin, &org.names.base_url].iter().any(|base| {
        audience == format!("{base}/{tenant}/oauth2/v2.0/token")
            || audience == format!("{base}/{tenant}/oauth2/token")
            || audience == format!("{base}/{tenant}/v2.0")
    })
}

fn object(part: &str) -> Option<Json> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&bytes).ok().filter(Json::is_object)
}
