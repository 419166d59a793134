//! Tokens: by client credentials, or by an assertion that the app signs (JWT bearer).
//!
//! Neither flow gives a refresh token or says when the token ends: it is asked for again when a call
//! is answered with 401. What is refused is told with what would mend it, and whether asking again
//! could help: most refusals last until a person has done something.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::crm::http::{Answer, Granted, Identity, TokenForm, TokenRefusal, TokenRequest};
use crate::crm::salesforce::assertion::{Subject, assertion};
use crate::crm::salesforce::{Credentials, Settings};
use crate::peer::PeerError;

/// Asks for a token.
pub(super) fn token_request(settings: &Settings) -> TokenRequest {
    let own = || format!("{}/services/oauth2/token", settings.url.trim_end_matches('/'));
    let url = settings.token_url.clone().unwrap_or_else(own);
    let client_id = settings.client_id.clone();
    match settings.credentials.clone() {
        Credentials::Secret(secret) => TokenRequest {
            url,
            form: Arc::new(move |_| -> TokenForm {
                Ok(vec![
                    ("grant_type", "client_credentials".to_owned()),
                    ("client_id", client_id.clone()),
                    ("client_secret", secret.reveal().to_owned()),
                ])
            }),
        },
        Credentials::Assertion { signer, username, audience } => {
            let subject = Subject { client_id, username, audience };
            TokenRequest {
                url,
                form: Arc::new(move |now| -> TokenForm {
                    let signed = assertion(&signer, &subject, now);
                    let assertion =
                        signed.map_err(|error| PeerError::Unfit { why: error.to_string() })?;
                    Ok(vec![("grant_type", JWT_BEARER.to_owned()), ("assertion", assertion)])
                }),
            }
        }
    }
}

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

#[derive(Deserialize)]
struct Given {
    access_token: String,
    instance_url: String,
    id: String,
    token_type: Option<String>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
    error_description: Option<String>,
}

/// Reads the answer to a request for a token.
pub(super) fn token(answer: &Answer) -> Result<Granted, TokenRefusal> {
    if answer.status == 200 {
        let given: Given = serde_json::from_slice(&answer.body)
            .map_err(|error| TokenRefusal::Again(format!("not a token: {error}")))?;
        if given.token_type.as_deref().is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(TokenRefusal::Denied(
                "Salesforce gives tokens that are no bearer tokens; turn off DPoP in the app"
                    .to_owned(),
            ));
        }
        return Ok(Granted {
            bearer: given.access_token,
            base: Some(given.instance_url.trim_end_matches('/').to_owned()),
            identity: Some(identity(&given.id)),
            good_for: None,
        });
    }
    Err(match serde_json::from_slice::<Refused>(&answer.body) {
        Ok(refused) => refusal(&refused),
        Err(_) if (400..500).contains(&answer.status) && answer.status != 429 => {
            TokenRefusal::Denied(format!(
                "Salesforce refuses to give a token, with HTTP status {}; check that url is the My \
                 Domain of the organisation",
                answer.status
            ))
        }
        Err(_) => TokenRefusal::Again(format!("HTTP status {}", answer.status)),
    })
}

/// What a refusal to give a token means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    /// It passes: asked again at once.
    Again,
    /// It passes: asked again after minutes.
    Later,
    /// It lasts until a person has done this: the account stops, and says so.
    Mend(&'static str),
}

/// A refusal as Salesforce words it; an empty text stands for any.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenError {
    pub(super) error: &'static str,
    /// Part of the description, which may be missing.
    pub(super) words: &'static str,
    pub(super) means: Means,
}

const fn token_error(error: &'static str, words: &'static str, means: Means) -> TokenError {
    TokenError { error, words, means }
}

/// Every refusal that is known; the first that fits counts.
pub(super) const TOKEN_ERRORS: &[TokenError] = &[
    token_error("", "login rate exceeded", Means::Later),
    token_error("unknown_error", "", Means::Again),
    token_error(
        "invalid_grant",
        "no client credentials user",
        Means::Mend("name a run-as user in the app's client credentials flow"),
    ),
    token_error(
        "invalid_grant",
        "not supported on this domain",
        Means::Mend("set url to the My Domain, https://….my.salesforce.com"),
    ),
    token_error(
        "invalid_grant",
        "ip restricted",
        Means::Mend("let this address pass in the app's or the profile's IP ranges"),
    ),
    token_error(
        "invalid_grant",
        "hasn't approved this consumer",
        Means::Mend(
            "approve the user for the app beforehand: admin-approved users, and a permission set \
             that holds the app",
        ),
    ),
    token_error(
        "invalid_grant",
        "audience is invalid",
        Means::Mend(
            "set audience to https://login.salesforce.com, or for a sandbox to \
             https://test.salesforce.com",
        ),
    ),
    token_error(
        "invalid_grant",
        "invalid assertion",
        Means::Mend(
            "give the app the certificate of the key in private_key_file, one that has not \
             expired; check username, and the clock of this machine",
        ),
    ),
    token_error(
        "invalid_grant",
        "expired",
        Means::Mend("check the clock of this machine, and whether the app's certificate is over"),
    ),
    token_error(
        "invalid_grant",
        "",
        Means::Mend(
            "check client_id, the secret or key, the user (active, not locked, API Enabled) and \
             the app's policies",
        ),
    ),
    token_error("invalid_client_id", "", Means::Mend("check client_id")),
    token_error("invalid_client", "", Means::Mend("check client_secret_file or client_secret_env")),
    token_error(
        "unsupported_grant_type",
        "",
        Means::Mend(
            "switch the flow on in the app: client credentials, or JWT bearer where \
             private_key_file is set",
        ),
    ),
    token_error("invalid_request", "", Means::Mend("check token_url and the app's flows")),
    token_error("redirect_uri_mismatch", "", Means::Mend("check the app's flows")),
    token_error(
        "invalid_app_access",
        "",
        Means::Mend("let the user use the app: its policies, or a permission set"),
    ),
    token_error("inactive_user", "", Means::Mend("activate the user, or name another")),
    token_error(
        "inactive_org",
        "",
        Means::Mend("the organisation is closed or locked: ask its administrator"),
    ),
    token_error("OAUTH_APP_BLOCKED", "", Means::Mend("unblock the app in the organisation")),
    token_error("", "", Means::Mend("check client_id, the secret or key, and the app's policies")),
];

/// The window in which logins are counted is an hour; five minutes later some have left it.
const LATER: Duration = Duration::from_mins(5);

fn refusal(refused: &Refused) -> TokenRefusal {
    let words = refused.error_description.as_deref().unwrap_or_default();
    let fits = |known: &&TokenError| {
        (known.error.is_empty() || known.error.eq_ignore_ascii_case(&refused.error))
            && words.contains(known.words)
    };
    let means = TOKEN_ERRORS.iter().find(fits).map(|known| known.means);
    let words = if words.is_empty() { "no description" } else { words };
    let told = format!("{} ({words})", refused.error);
    match means {
        Some(Means::Again) => TokenRefusal::Again(told),
        Some(Means::Later) => TokenRefusal::Later(
            LATER,
            format!("Salesforce takes no more logins of this user for now: {told}"),
        ),
        Some(Means::Mend(remedy)) => {
            TokenRefusal::Denied(format!("Salesforce refuses to give a token: {told}; {remedy}"))
        }
        None => TokenRefusal::Denied(format!("Salesforce refuses to give a token: {told}")),
    }
}

/// The organisation and the user in an identity URL, `https://host/id/00D…/005…`.
fn identity(url: &str) -> Identity {
    let mut parts = url.rsplit('/');
    let user = parts.next().unwrap_or_default().to_owned();
    Identity { organisation: parts.next().unwrap_or_default().to_owned(), user }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
            date: None,
            took: Duration::ZERO,
        }
    }

    #[test]
    fn a_token_names_its_instance_and_its_organisation() {
        let body = r#"{"access_token":"00Dxx!AQ","instance_url":"https://acme.my.salesforce.com",
            "id":"https://login.salesforce.com/id/00Dxx0000001gPLEAY/005xx000001SwiUAAS",
            "token_type":"Bearer","issued_at":"1795000000000"}"#;
        let token = token(&answer(200, body)).unwrap();
        let identity = token.identity.clone().unwrap();
        assert_eq!(identity.organisation, "00Dxx0000001gPLEAY");
        assert_eq!(identity.user, "005xx000001SwiUAAS");
        assert_eq!(token.base.as_deref(), Some("https://acme.my.salesforce.com"));
        assert!(!format!("{token:?}").contains("AQ"), "a token is never printed");
    }

    #[test]
    fn refusals_for_good_are_told_from_those_to_try_again() {
        let refused = |status, body| token(&answer(status, body)).unwrap_err();
        let wrong = refused(
            400,
            r#"{"error":"invalid_client","error_description":"invalid client credentials"}"#,
        );
        assert!(matches!(wrong, TokenRefusal::Denied(why) if why.contains("client_secret_file")));
        let bare = refused(400, r#"{"error":"invalid_grant"}"#);
        assert!(matches!(bare, TokenRefusal::Denied(_)));
        let again =
            refused(400, r#"{"error":"unknown_error","error_description":"retry your request"}"#);
        assert!(matches!(again, TokenRefusal::Again(_)));
        assert!(matches!(refused(503, "<html>"), TokenRefusal::Again(_)));
        let rate = r#"{"error":"invalid_grant","error_description":"login rate exceeded"}"#;
        assert!(matches!(refused(400, rate), TokenRefusal::Later(LATER, _)));
    }

    #[test]
    fn each_refusal_names_its_own_remedy() {
        let check = |error: &str, words: &str, remedy: &str| {
            let body = serde_json::json!({ "error": error, "error_description": words });
            match token(&answer(400, &body.to_string())) {
                Err(TokenRefusal::Denied(why)) => assert!(why.contains(remedy), "{why}"),
                other => panic!("{error} {words}: {other:?}"),
            }
        };
        check("invalid_grant", "user hasn't approved this consumer", "permission set");
        check("invalid_grant", "audience is invalid", "https://test.salesforce.com");
        check("invalid_grant", "invalid assertion", "private_key_file");
        check("invalid_grant", "authentication failure", "not locked");
        check("invalid_app_access", "user is not admin approved", "let the user use the app");
        check("OAUTH_APP_BLOCKED", "", "unblock");
        check("a_word_of_next_year", "", "the app's policies");
    }
}
