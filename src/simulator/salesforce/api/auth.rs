//! Tokens: the client-credentials flow, and who a request comes from.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::super::clock::{Millis, second};
use super::super::org::Org;
use super::super::refusal::Refusal;
use super::{Answer, Failure, Request, pairs};

/// `POST /services/oauth2/token`.
pub(super) fn token(org: &mut Org, request: &Request, now: Millis) -> Answer {
    if request.method != "POST" {
        return denied("invalid_request", "must use HTTP POST");
    }
    let form = pairs(&String::from_utf8_lossy(&request.body));
    let given = |name: &str| {
        form.iter().chain(&request.query).find(|(key, _)| key == name).map(|(_, v)| v.clone())
    };
    match given("grant_type").as_deref() {
        Some("client_credentials") => {}
        Some(_) => return denied("unsupported_grant_type", "grant type not supported"),
        None => return denied("invalid_request", "missing required parameter: grant_type"),
    }
    let basic = basic_credentials(request);
    let (id, secret) = match (given("client_id"), given("client_secret"), basic) {
        (Some(id), Some(secret), _) | (_, _, Some((id, secret))) => (id, secret),
        (None, _, None) => {
            return denied("invalid_request", "missing required parameter: client_id");
        }
        (Some(_), None, None) => {
            return denied("invalid_request", "missing required parameter: client_secret");
        }
    };
    if id != org.names.client_id {
        return denied("invalid_client_id", "client identifier invalid");
    }
    if secret != org.names.client_secret {
        return denied("invalid_client", "invalid client credentials");
    }
    grant(org, now)
}

fn grant(org: &mut Org, now: Millis) -> Answer {
    let token = format!("{}!AQ{}", org.names.org.short(), org.draw.word(80));
    org.tokens.add(token.clone(), second(now));
    let id = format!("{}/id/{}/{}", org.names.base_url, org.names.org, org.names.api_user);
    let signed = Sha256::digest(format!("{id}{now}{}", org.names.client_secret));
    Answer::new(
        200,
        json!({
            "access_token": token,
            "signature": STANDARD.encode(signed),
            "scope": "api",
            "instance_url": org.names.base_url,
            "id": id,
            "token_type": "Bearer",
            "issued_at": now.to_string(),
        }),
    )
    .with("cache-control", "no-store")
}

/// `POST /services/oauth2/revoke`.
pub(super) fn revoke(org: &mut Org, request: &Request) -> Answer {
    let form = pairs(&String::from_utf8_lossy(&request.body));
    match form.iter().chain(&request.query).find(|(key, _)| key == "token") {
        Some((_, token)) => {
            org.tokens.remove(token);
            Answer::empty(200)
        }
        None => denied("invalid_request", "missing required parameter: token"),
    }
}

/// Whom a token stands for.
pub(super) fn identity(org: &mut Org, request: &Request, now: Millis) -> super::Answered {
    authenticate(org, request, now)?;
    let names = &org.names;
    Ok(Answer::new(
        200,
        json!({
            "id": format!("{}/id/{}/{}", names.base_url, names.org, names.api_user),
            "sub": format!("{}/id/{}/{}", names.base_url, names.org, names.api_user),
            "user_id": names.api_user.as_str(),
            "organization_id": names.org.as_str(),
            "username": "integration@example.com",
            "preferred_username": "integration@example.com",
            "display_name": "Integration User",
            "active": true,
        }),
    ))
}

/// Checks the token of a request.
pub(super) fn authenticate(org: &mut Org, request: &Request, now: Millis) -> Result<(), Failure> {
    let header = request.header("authorization").unwrap_or_default();
    let token = header.split_once(' ').filter(|(scheme, _)| {
        scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("oauth")
    });
    let refusal = match token {
        Some((_, token)) if org.tokens.accept(token.trim(), second(now)) => return Ok(()),
        None if !header.is_empty() => Refusal::new("INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE"),
        Some(_) | None => Refusal::new("INVALID_SESSION_ID", "Session expired or invalid"),
    };
    Err(Answer::error(401, &refusal).with("www-authenticate", "Token").into())
}

fn basic_credentials(request: &Request) -> Option<(String, String)> {
    let (scheme, code) = request.header("authorization")?.split_once(' ')?;
    let text = String::from_utf8(STANDARD.decode(code.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    scheme.eq_ignore_ascii_case("basic").then(|| (id.to_owned(), secret.to_owned()))
}

fn denied(error: &str, description: &str) -> Answer {
    Answer::new(400, json!({ "error": error, "error_description": description }))
}
