//! OAuth 2.0 client credentials: the only flow that a sidecar needs and a new org still offers.
//!
//! There is no refresh token and no word of when the token ends: it is asked for again when a call
//! is answered with 401 (Salesforce: OAuth 2.0 Client Credentials Flow).

use serde::Deserialize;

use crate::crm::http::{Answer, Token, TokenRefusal, TokenRequest};
use crate::crm::salesforce::Settings;

/// Asks for a token.
pub(super) fn token_request(settings: &Settings) -> TokenRequest {
    let own = || format!("{}/services/oauth2/token", settings.url.trim_end_matches('/'));
    TokenRequest {
        url: settings.token_url.clone().unwrap_or_else(own),
        form: vec![
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", settings.client_id.clone()),
            ("client_secret", settings.client_secret.reveal().to_owned()),
        ],
    }
}

#[derive(Deserialize)]
struct Granted {
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
pub(super) fn token(answer: &Answer) -> Result<Token, TokenRefusal> {
    if answer.status == 200 {
        let granted: Granted = serde_json::from_slice(&answer.body)
            .map_err(|error| TokenRefusal::Again(format!("not a token: {error}")))?;
        if granted.token_type.as_deref().is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(TokenRefusal::Denied(
                "Salesforce gives tokens that are no bearer tokens; turn off DPoP in the app"
                    .to_owned(),
            ));
        }
        let (organisation, user) = identity(&granted.id);
        return Ok(Token {
            bearer: granted.access_token,
            base: granted.instance_url.trim_end_matches('/').to_owned(),
            organisation,
            user,
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

fn refusal(refused: &Refused) -> TokenRefusal {
    let words = refused.error_description.as_deref().unwrap_or("no description");
    if refused.error == "unknown_error" || words.contains("login rate exceeded") {
        return TokenRefusal::Again(format!("{}: {words}", refused.error));
    }
    let remedy = match (refused.error.as_str(), words) {
        ("invalid_client_id", _) => "check client_id",
        ("invalid_client", _) => "check client_secret_file or client_secret_env",
        (_, words) if words.contains("no client credentials user") => {
            "name a run-as user in the app's client credentials flow"
        }
        (_, words) if words.contains("not supported on this domain") => {
            "set url to the My Domain, https://….my.salesforce.com"
        }
        (_, words) if words.contains("ip restricted") => {
            "let this address pass in the app's or the profile's IP ranges"
        }
        _ => "check client_id, client_secret and the app's policies",
    };
    TokenRefusal::Denied(format!(
        "Salesforce refuses to give a token: {} ({words}); {remedy}",
        refused.error
    ))
}

/// The organisation and the user in an identity URL, `https://host/id/00D…/005…`.
fn identity(url: &str) -> (String, String) {
    let mut parts = url.rsplit('/');
    let user = parts.next().unwrap_or_default().to_owned();
    (parts.next().unwrap_or_default().to_owned(), user)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        assert_eq!(token.organisation, "00Dxx0000001gPLEAY");
        assert_eq!(token.user, "005xx000001SwiUAAS");
        assert_eq!(token.base, "https://acme.my.salesforce.com");
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
    }
}
