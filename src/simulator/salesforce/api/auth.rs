//! Tokens: the flows by which a client gets one, and who a request comes from.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::super::clock::{Millis, second};
use super::super::org::Org;
use super::super::refusal::Refusal;
use super::super::tokens::Refreshed;
use super::{Answer, Failure, Request, jwt, pairs};

const CLIENT_CREDENTIALS: &str = "client_credentials";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const NOT_US: (&str, &str) = ("invalid_grant", "authentication failure");

/// A form, with the credentials of an `Authorization` header of kind Basic.
struct Form {
    fields: Vec<(String, String)>,
    basic: Option<(String, String)>,
}

impl Form {
    fn of(request: &Request) -> Form {
        let mut fields = pairs(&String::from_utf8_lossy(&request.body));
        fields.extend(request.query.iter().cloned());
        Form { fields, basic: basic_credentials(request) }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn needed(&self, name: &'static str) -> Result<&str, Answer> {
        self.get(name).ok_or_else(|| {
            denied("invalid_request", &format!("missing required parameter: {name}"))
        })
    }

    /// Checks the app's key, and its secret where one is needed or given.
    fn app(&self, org: &Org, needs_secret: bool) -> Result<(), Answer> {
        let basic = self.basic.as_ref();
        let id = match (self.get("client_id"), basic) {
            (Some(id), _) => id,
            (None, Some((id, _))) => id,
            (None, None) => self.needed("client_id")?,
        };
        let secret = self.get("client_secret").or(basic.map(|(_, secret)| secret.as_str()));
        if id != org.names.client_id {
            return Err(denied("invalid_client_id", "client identifier invalid"));
        }
        match secret {
            None if needs_secret => self.needed("client_secret").map(drop),
            Some(secret) if secret != org.names.client_secret => {
                Err(denied("invalid_client", "invalid client credentials"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// `POST /services/oauth2/token`.
pub(super) fn token(org: &mut Org, request: &Request, now: Millis) -> Answer {
    if request.method != "POST" {
        return denied("invalid_request", "must use HTTP POST");
    }
    let form = Form::of(request);
    granted(org, &form, now).unwrap_or_else(|denial| denial)
}

fn granted(org: &mut Org, form: &Form, now: Millis) -> Result<Answer, Answer> {
    let mut refresh = None;
    match form.needed("grant_type")? {
        CLIENT_CREDENTIALS => form.app(org, true)?,
        JWT_BEARER => {
            let assertion = form.needed("assertion")?;
            jwt::check(org, assertion, second(now)).map_err(|(error, why)| denied(error, why))?;
        }
        "password" => {
            form.app(org, true)?;
            let (name, password) = (form.needed("username")?, form.needed("password")?);
            let whole = format!("{}{}", org.names.password, org.names.security_token);
            if !org.app.password_flow || name != org.names.username || password != whole {
                return Err(denied(NOT_US.0, NOT_US.1));
            }
        }
        "refresh_token" => {
            form.app(org, false)?;
            match org.tokens.use_refresh(form.needed("refresh_token")?) {
                Refreshed::Granted(None) => {}
                Refreshed::Granted(Some(grant)) => refresh = Some(add_refresh(org, grant)),
                Refreshed::Unknown => {
                    return Err(denied("invalid_grant", "expired access/refresh token"));
                }
            }
        }
        _ => return Err(denied("unsupported_grant_type", "grant type not supported")),
    }
    if !org.tokens.count_login(second(now)) {
        return Err(denied("invalid_grant", "login rate exceeded"));
    }
    Ok(grant(org, refresh, now))
}

/// A new access token.
pub(super) fn session(org: &mut Org, now: Millis) -> String {
    let token = format!("{}!AQ{}", org.names.org.short(), org.draw.word(80));
    org.tokens.add(token.clone(), second(now));
    token
}

/// A new refresh token of a grant.
pub(in super::super) fn add_refresh(org: &mut Org, grant: u64) -> String {
    let token = format!("5Aep861{}", org.draw.word(80));
    org.tokens.add_refresh(token.clone(), grant);
    token
}

fn grant(org: &mut Org, refresh: Option<String>, now: Millis) -> Answer {
    let token = session(org, now);
    let id = identity_url(org);
    let signed = Sha256::digest(format!("{id}{now}{}", org.names.client_secret));
    let mut body = json!({
        "access_token": token,
        "signature": STANDARD.encode(signed),
        "scope": "api",
        "instance_url": org.names.base_url,
        "id": id,
        "token_type": "Bearer",
        "issued_at": now.to_string(),
    });
    if let Some(refresh) = refresh {
        body["refresh_token"] = json!(refresh);
    }
    Answer::new(200, body).with("cache-control", "no-store")
}

/// `POST /services/oauth2/revoke`.
pub(super) fn revoke(org: &mut Org, request: &Request) -> Answer {
    match Form::of(request).needed("token") {
        Ok(token) => {
            org.tokens.revoke(token);
            Answer::empty(200)
        }
        Err(denial) => denial,
    }
}

/// `POST /services/oauth2/introspect`.
pub(super) fn introspect(org: &Org, request: &Request, now: Millis) -> Answer {
    let form = Form::of(request);
    let token = match form.app(org, true).and_then(|()| form.needed("token")) {
        Ok(token) => token,
        Err(denial) => return denial,
    };
    let names = &org.names;
    let mut body = json!({ "active": false });
    if let Some((issued, expires)) = org.tokens.look(token, second(now)) {
        body = json!({
            "active": true, "scope": "api", "client_id": names.client_id,
            "username": names.username, "sub": identity_url(org), "token_type": "access_token",
            "iat": issued, "nbf": issued, "exp": expires,
        });
    } else if org.tokens.knows_refresh(token) {
        body = json!({
            "active": true, "scope": "api refresh_token", "client_id": names.client_id,
            "username": names.username, "sub": identity_url(org), "token_type": "refresh_token",
        });
    }
    Answer::new(200, body)
}

fn identity_url(org: &Org) -> String {
    format!("{}/id/{}/{}", org.names.base_url, org.names.org, org.names.api_user)
}

/// Whom a token stands for.
pub(super) fn identity(org: &mut Org, request: &Request, now: Millis) -> super::Answered {
    authenticate(org, request, now)?;
    let names = &org.names;
    let base = &names.base_url;
    let soap =
        |kind: &str| format!("{base}/services/Soap/{kind}/{{version}}/{}", names.org.short());
    Ok(Answer::new(
        200,
        json!({
            "id": identity_url(org), "sub": identity_url(org), "asserted_user": true,
            "user_id": names.api_user.as_str(), "organization_id": names.org.as_str(),
            "username": names.username, "preferred_username": names.username,
            "nick_name": "integration", "nickname": "integration",
            "display_name": "Integration User", "name": "Integration User",
            "email": names.username, "email_verified": true,
            "first_name": "Integration", "given_name": "Integration",
            "last_name": "User", "family_name": "User",
            "active": true, "user_type": "STANDARD", "language": "en_US", "locale": "en_US",
            "utcOffset": 0, "zoneinfo": "GMT", "timezone": "GMT",
            "is_app_installed": true, "addr_city": null, "addr_country": null,
            "urls": {
                "enterprise": soap("c"), "partner": soap("u"), "metadata": soap("m"),
                "rest": format!("{base}/services/data/v{{version}}/"),
                "sobjects": format!("{base}/services/data/v{{version}}/sobjects/"),
                "query": format!("{base}/services/data/v{{version}}/query/"),
                "search": format!("{base}/services/data/v{{version}}/search/"),
                "profile": format!("{base}/{}", names.api_user),
            },
        }),
    ))
}

/// `GET /id/{org}/{user}`: the token's own identity only.
pub(super) fn identity_at(
    org: &mut Org,
    request: &Request,
    (of_org, of_user): (&str, &str),
    now: Millis,
) -> super::Answered {
    let is = |id: super::super::id::Id, text: &str| text == id.as_str() || text == id.short();
    if !is(org.names.org, of_org) || !is(org.names.api_user, of_user) {
        return Err(Answer::error(404, &Refusal::new("NOT_FOUND", "Bad_Id")).into());
    }
    identity(org, request, now)
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

/// An error of the token endpoint, which has a form of its own.
fn denied(error: &str, description: &str) -> Answer {
    Answer::new(400, json!({ "error": error, "error_description": description }))
}
