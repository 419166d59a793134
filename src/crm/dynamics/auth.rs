//! Tokens of Entra ID: client credentials, by a secret or by what the app signs with the key of a
//! certificate.
//!
//! A token says how long it lives and not which organisation it opens: `WhoAmI` does, and is asked with
//! each token. There is no refresh token; the grant is asked for again. What is refused is told with
//! what would mend it, and only what passes by itself is asked for again.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::crm::dynamics::{Credentials, Settings};
use crate::crm::http::{
    Answer, Granted, Identity, Introduction, TokenForm, TokenRefusal, TokenRequest,
};
use crate::crm::signer::{Algorithm, Signer, Thumbprint};
use crate::peer::PeerError;

/// What tells of whom a token is.
pub(super) const WHO_AM_I: Introduction =
    Introduction { path: "/api/data/v9.2/WhoAmI", read: identity };

/// Entra ID takes minutes; clocks that differ by less than half are no obstacle.
const GOOD_FOR: SignedDuration = SignedDuration::from_mins(5);

/// As long before now it is good already.
const LEEWAY: SignedDuration = SignedDuration::from_mins(1);

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Asks for a token.
pub(super) fn token_request(settings: &Settings) -> TokenRequest {
    let url = settings.token_url.clone();
    let common = vec![
        ("grant_type", "client_credentials".to_owned()),
        ("client_id", settings.client_id.clone()),
        ("scope", format!("{}/.default", settings.url)),
    ];
    let client_id = settings.client_id.clone();
    match settings.credentials.clone() {
        Credentials::Secret(secret) => TokenRequest {
            url,
            form: Arc::new(move |_| -> TokenForm {
                let mut form = common.clone();
                form.push(("client_secret", secret.reveal().to_owned()));
                Ok(form)
            }),
        },
        Credentials::Certificate { signer, algorithm } => {
            let audience = url.clone();
            TokenRequest {
                url,
                form: Arc::new(move |now| -> TokenForm {
                    let signed = assertion((&signer, algorithm), &client_id, &audience, now)
                        .map_err(|why| PeerError::Unfit { why })?;
                    let mut form = common.clone();
                    form.push(("client_assertion_type", JWT_BEARER.to_owned()));
                    form.push(("client_assertion", signed));
                    Ok(form)
                }),
            }
        }
    }
}

/// What the app says of itself, signed.
fn assertion(
    (signer, algorithm): (&Signer, Algorithm),
    client_id: &str,
    audience: &str,
    now: Timestamp,
) -> Result<String, String> {
    let (name, thumbprint) = match algorithm {
        Algorithm::Rs256 => ("x5t", Thumbprint::Sha1),
        Algorithm::Ps256 => ("x5t#S256", Thumbprint::Sha256),
    };
    let thumbprint = signer.thumbprint(thumbprint).ok_or(
        "the key file holds no certificate, by which Entra ID finds the key; put the app's \
         certificate into it, in PEM form",
    )?;
    let mut header = json!({ "typ": "JWT" });
    header[name] = Json::from(thumbprint);
    let shifted = |by: SignedDuration| now.saturating_add(by).unwrap_or(now).as_second();
    let claims = json!({
        "aud": audience,
        "iss": client_id,
        "sub": client_id,
        "jti": fresh_id().ok_or("this system gives no random numbers")?,
        "nbf": shifted(-LEEWAY),
        "exp": shifted(GOOD_FOR),
    });
    signer.sign(algorithm, header, &claims).map_err(|error| error.to_string())
}

/// An id that no assertion had before.
fn fresh_id() -> Option<String> {
    use ring::rand::SecureRandom as _;
    let mut bytes = [0; 16];
    ring::rand::SystemRandom::new().fill(&mut bytes).ok()?;
    Some(format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[derive(Deserialize)]
struct Given {
    access_token: String,
    token_type: Option<String>,
    /// A number, or one as text (the older endpoint).
    expires_in: Option<Json>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    error_codes: Vec<u64>,
}

/// Reads the answer to a request for a token.
pub(super) fn token(answer: &Answer) -> Result<Granted, TokenRefusal> {
    if answer.status == 200 {
        let given: Given = serde_json::from_slice(&answer.body)
            .map_err(|error| TokenRefusal::Again(format!("not a token: {error}")))?;
        if given.token_type.as_deref().is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(TokenRefusal::Denied(
                "Entra ID gives tokens that are no bearer tokens; check token_url".to_owned(),
            ));
        }
        return Ok(Granted {
            bearer: given.access_token,
            base: None,
            identity: None,
            good_for: given.expires_in.as_ref().and_then(seconds),
        });
    }
    Err(match serde_json::from_slice::<Refused>(&answer.body) {
        Ok(refused) => refusal(answer.status, &refused),
        Err(_) if (400..500).contains(&answer.status) && answer.status != 429 => {
            TokenRefusal::Denied(format!(
                "Entra ID refuses to give a token, with HTTP status {}; check tenant and token_url",
                answer.status
            ))
        }
        Err(_) => TokenRefusal::Again(format!("HTTP status {}", answer.status)),
    })
}

fn seconds(told: &Json) -> Option<Duration> {
    let seconds = told.as_u64().or_else(|| told.as_str()?.parse().ok())?;
    Some(Duration::from_secs(seconds))
}

/// What mends a refusal, by its AADSTS number.
pub(super) const TOKEN_ERRORS: &[(u64, &str)] = &[
    (
        7_000_215,
        "the secret is wrong; check client_secret_file or client_secret_env (its value, not its id)",
    ),
    (7_000_218, "it wants a secret or a certificate; name client_secret_file or private_key_file"),
    (7_000_222, "the secret has expired; make a new one in the app registration"),
    (
        700_027,
        "it does not know the certificate; upload the one in private_key_file to the app registration, and see that it has not expired",
    ),
    (700_024, "what was signed is out of its time; check the clock of this machine"),
    (700_016, "the app is unknown in this tenant; check client_id and tenant"),
    (70_011, "the scope is wrong; check that url is the environment's address"),
    (500_011, "the environment is unknown in this tenant; check url and tenant"),
    (90_002, "there is no such tenant; check tenant"),
    (53_003, "a Conditional Access policy blocks the app; let it pass for this workload"),
];

fn refusal(status: u16, refused: &Refused) -> TokenRefusal {
    // The rest of the description is trace numbers and the time.
    let words = refused.error_description.lines().next().unwrap_or_default();
    let told = format!("{} ({words})", refused.error);
    if status == 429 || 500 <= status || refused.error == "temporarily_unavailable" {
        return TokenRefusal::Again(told);
    }
    let of = |code: &u64| TOKEN_ERRORS.iter().find(|(known, _)| known == code);
    let named = |(code, _): &&(u64, &str)| words.contains(&format!("AADSTS{code}:"));
    let known = refused.error_codes.iter().find_map(of);
    let known = known.or_else(|| TOKEN_ERRORS.iter().find(named));
    let remedy = known.map_or("check tenant, client_id, and the secret or key", |(_, told)| told);
    TokenRefusal::Denied(format!("Entra ID refuses to give a token: {told}; {remedy}"))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WhoAmI {
    user_id: String,
    organization_id: String,
}

fn identity(answer: &Answer) -> Option<Identity> {
    let who: WhoAmI = serde_json::from_slice(&answer.body).ok()?;
    Some(Identity {
        organisation: who.organization_id.to_ascii_lowercase(),
        user: who.user_id.to_ascii_lowercase(),
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use reqwest::header::HeaderMap;

    use crate::crm::secret::Secret;

    use super::*;

    const KEY: &[u8] = include_bytes!("../../../tests/keys/app.key");
    const CERTIFICATE: &[u8] = include_bytes!("../../../tests/keys/app.crt");

    fn now() -> Timestamp {
        "2026-10-31T12:00:00Z".parse().unwrap()
    }

    fn form(credentials: Credentials) -> TokenForm {
        let url = "https://acme.crm.dynamics.com/";
        let settings = Settings::new("d", url, "acme.example", ("app".to_owned(), credentials));
        (token_request(&settings).form)(now())
    }

    fn of<'a>(form: &'a [(&str, String)], name: &str) -> Option<&'a str> {
        form.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    fn unpacked(part: &str) -> Json {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    fn answer(status: u16, body: &Json) -> Answer {
        let body = body.to_string().into_bytes();
        Answer { status, headers: HeaderMap::new(), body, date: None, took: Duration::ZERO }
    }

    #[test]
    fn a_secret_is_sent_for_one_resource() {
        let form = form(Credentials::Secret(Secret::new("s"))).unwrap();
        assert_eq!(of(&form, "grant_type"), Some("client_credentials"));
        assert_eq!(of(&form, "scope"), Some("https://acme.crm.dynamics.com/.default"));
        assert_eq!(of(&form, "client_secret"), Some("s"));
        assert_eq!(of(&form, "client_assertion"), None);
    }

    #[test]
    fn a_certificate_signs_and_is_named_by_the_digest_that_belongs_to_the_algorithm() {
        for (algorithm, alg, named) in
            [(Algorithm::Rs256, "RS256", "x5t"), (Algorithm::Ps256, "PS256", "x5t#S256")]
        {
            let signer = Arc::new(Signer::from_pem(&[KEY, CERTIFICATE].concat(), now()).unwrap());
            let form = form(Credentials::Certificate { signer, algorithm }).unwrap();
            assert_eq!(of(&form, "client_secret"), None);
            assert_eq!(of(&form, "client_assertion_type"), Some(JWT_BEARER));
            let parts: Vec<&str> = of(&form, "client_assertion").unwrap().split('.').collect();
            let (header, claims) = (unpacked(parts[0]), unpacked(parts[1]));
            assert_eq!(header["alg"], alg);
            assert!(header[named].is_string() && header.as_object().unwrap().len() == 3);
            let token_url = "https://login.microsoftonline.com/acme.example/oauth2/v2.0/token";
            assert_eq!(claims["aud"], token_url);
            assert_eq!((&claims["iss"], &claims["sub"]), (&json!("app"), &json!("app")));
            assert_eq!(claims["exp"], now().as_second() + 300);
        }
    }

    #[test]
    fn a_key_without_its_certificate_is_told_with_the_remedy() {
        let signer = Arc::new(Signer::from_pem(KEY, now()).unwrap());
        let refused = form(Credentials::Certificate { signer, algorithm: Algorithm::Rs256 });
        assert!(refused.unwrap_err().to_string().contains("put the app's certificate into it"));
    }

    #[test]
    fn a_token_says_how_long_it_lives_as_a_number_or_as_text() {
        for life in [json!(3599), json!("3599")] {
            let body = json!({ "token_type": "Bearer", "expires_in": life, "access_token": "t" });
            let granted = token(&answer(200, &body)).unwrap();
            assert_eq!(granted.good_for, Some(Duration::from_secs(3599)));
            assert_eq!((granted.base, granted.identity), (None, None));
        }
    }

    #[test]
    fn a_refusal_is_told_with_its_remedy_and_an_outage_is_asked_again() {
        let refused = |status, error: &str, code: u64| {
            let words = format!("AADSTS{code}: No.\r\nTrace ID: 9d2c");
            let body = json!({ "error": error, "error_description": words, "error_codes": [code] });
            token(&answer(status, &body)).unwrap_err()
        };
        let check = |status, error: &str, code, words: &str| match refused(status, error, code) {
            TokenRefusal::Denied(why) => {
                assert!(why.contains(words) && !why.contains("Trace"), "{why}");
            }
            other @ (TokenRefusal::Again(_) | TokenRefusal::Later(..)) => panic!("{other:?}"),
        };
        check(401, "invalid_client", 7_000_215, "client_secret_file");
        check(401, "invalid_client", 700_027, "upload the one in private_key_file");
        check(400, "unauthorized_client", 700_016, "client_id and tenant");
        check(400, "invalid_request", 1, "check tenant");
        let again =
            |status, error: &str| matches!(refused(status, error, 90_033), TokenRefusal::Again(_));
        assert!(again(503, "temporarily_unavailable") && again(429, "x"));
    }

    #[test]
    fn who_answers_is_the_organisation_and_the_application_user() {
        let body = json!({ "UserId": "6F1E", "OrganizationId": "A3B7", "BusinessUnitId": "4d0c" });
        let identity = identity(&answer(200, &body)).unwrap();
        assert_eq!((&*identity.organisation, &*identity.user), ("a3b7", "6f1e"));
    }
}
