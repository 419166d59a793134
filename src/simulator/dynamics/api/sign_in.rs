//! The token endpoint of Entra ID, and the documents by which a client finds it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::super::super::wire::{decode_path, pairs};
use super::super::exchange::{Answer, Request};
use super::super::guid::Guid;
use super::super::org::Org;
use super::super::value::stamp;
use super::assertion;

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Why no token is given: status, error, number, words.
type Denied = (u16, &'static str, u32, String);

/// A form, with the credentials of an `Authorization` header of kind Basic.
struct Form {
    fields: Vec<(String, String)>,
    basic: Option<(String, String)>,
}

impl Form {
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// `POST /{tenant}/oauth2/v2.0/token`, and the older form without a version.
pub(super) fn token(org: &mut Org, request: &Request, (tenant, is_v2): (&str, bool)) -> Answer {
    if request.method != "POST" {
        let message = "AADSTS900561: The endpoint only accepts POST requests.";
        return token_error(org.now(), 400, "invalid_request", (900_561, message));
    }
    let fields = pairs(&String::from_utf8_lossy(&request.body));
    let form = Form { fields, basic: basic(request) };
    match granted(org, &form, (request, tenant, is_v2)) {
        Ok(()) => grant(org, is_v2),
        Err((status, error, number, words)) => {
            token_error(org.now(), status, error, (number, &format!("AADSTS{number}: {words}")))
        }
    }
}

fn granted(
    org: &Org,
    form: &Form,
    (request, tenant, is_v2): (&Request, &str, bool),
) -> Result<(), Denied> {
    if tenant != org.names.tenant.to_string() {
        let words = format!("Tenant '{tenant}' not found.");
        return Err((400, "invalid_request", 90_002, words));
    }
    if form.get("grant_type") != Some("client_credentials") {
        let words = "The app requested an unsupported grant type.".to_owned();
        return Err((400, "unsupported_grant_type", 70_003, words));
    }
    let basic = form.basic.as_ref();
    let id = form.get("client_id").or(basic.map(|(id, _)| id.as_str())).unwrap_or_default();
    if !id.eq_ignore_ascii_case(&org.names.client_id) {
        let words = format!(
            "Application with identifier '{id}' was not found in the directory '{tenant}'."
        );
        return Err((400, "unauthorized_client", 700_016, words));
    }
    scope(form, request, is_v2)?;
    let secret = form.get("client_secret").or(basic.map(|(_, secret)| secret.as_str()));
    if let Some(assertion) = form.get("client_assertion") {
        let kind = form.get("client_assertion_type").unwrap_or_default();
        if kind != ASSERTION {
            let words = "The client assertion type is not supported.".to_owned();
            return Err((400, "invalid_request", 50_027, words));
        }
        let checked = assertion::check(org, assertion, &request.origin);
        return checked.map_err(|words| (401, "invalid_client", 700_027, words.to_owned()));
    }
    match secret {
        None => {
            let words = "The request body must contain the following parameter: \
                         'client_assertion' or 'client_secret'.";
            Err((401, "invalid_client", 7_000_218, words.to_owned()))
        }
        Some(secret) if secret != org.names.client_secret => {
            let words = format!("Invalid client secret provided. App: '{id}'.");
            Err((401, "invalid_client", 7_000_215, words))
        }
        Some(_) if org.app.secret_expired => {
            let words = format!("The provided client secret keys for app '{id}' are expired.");
            Err((401, "invalid_client", 7_000_222, words))
        }
        Some(_) => Ok(()),
    }
}

/// Exactly one resource: this environment.
fn scope(form: &Form, request: &Request, is_v2: bool) -> Result<(), Denied> {
    let given = form.get("scope").or(form.get("resource"));
    let scope = given.unwrap_or_default();
    let is_scope = form.get("scope").is_some() || is_v2;
    let resource = match scope.strip_suffix("/.default") {
        Some(resource) => resource,
        None if is_scope => {
            let words = format!("The provided value for scope {scope} is not valid.");
            return Err((400, "invalid_scope", 70_011, words));
        }
        None => scope,
    };
    let port = |url: &str| url.rsplit_once(':').map(|(_, port)| port.to_owned());
    let resource = resource.trim_end_matches('/');
    let is_here =
        ["https://localhost:", "https://127.0.0.1:"].iter().any(|host| resource.starts_with(host))
            && port(resource) == port(&request.origin);
    if is_here {
        return Ok(());
    }
    let words = format!("The resource principal named {resource} was not found in the tenant.");
    Err((400, "invalid_resource", 500_011, words))
}

fn basic(request: &Request) -> Option<(String, String)> {
    let (scheme, code) = request.header("authorization")?.split_once(' ')?;
    let text = String::from_utf8(STANDARD.decode(code.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let credentials = (decode_path(id), decode_path(secret));
    scheme.eq_ignore_ascii_case("basic").then_some(credentials)
}

fn grant(org: &mut Org, is_v2: bool) -> Answer {
    let now = org.now();
    let names = &org.names;
    let claims = json!({
        "aud": names.base_url, "iss": format!("https://sts.windows.net/{}/", names.tenant),
        "appid": names.client_id, "oid": names.api_user.to_string(),
        "tid": names.tenant.to_string(), "iat": now, "nbf": now,
        "exp": now + org.tokens.lifetime_s,
    });
    let head = URL_SAFE_NO_PAD.encode(json!({ "typ": "JWT", "alg": "RS256" }).to_string());
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    let token = format!("{head}.{claims}.{}", org.draw.word(86));
    org.tokens.add(token.clone(), now);
    let lifetime = org.tokens.lifetime_s;
    let body = if is_v2 {
        json!({
            "token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime,
            "access_token": token,
        })
    } else {
        json!({
            "token_type": "Bearer", "expires_in": lifetime.to_string(),
            "ext_expires_in": lifetime.to_string(), "expires_on": (now + lifetime).to_string(),
            "not_before": now.to_string(), "resource": org.names.base_url, "access_token": token,
        })
    };
    Answer::new(200, body).with("cache-control", "no-store, no-cache")
}

/// An error of the token endpoint, which has a form of its own.
pub(in super::super) fn token_error(
    now: i64,
    status: u16,
    error: &str,
    (number, words): (u32, &str),
) -> Answer {
    let trace = Guid::named(&format!("trace {words}"));
    let correlation = Guid::named(&format!("correlation {words}"));
    let at = stamp(now).replace('T', " ");
    Answer::new(
        status,
        json!({
            "error": error,
            "error_description": format!(
                "{words}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {at}"
            ),
            "error_codes": [number], "timestamp": at,
            "trace_id": trace.to_string(), "correlation_id": correlation.to_string(),
            "error_uri": format!("https://login.microsoftonline.com/error?code={number}"),
        }),
    )
}

/// What a client that knows the authority only reads first.
pub(super) fn configuration(org: &Org, request: &Request, tenant: &str) -> Answer {
    if tenant != org.names.tenant.to_string() {
        let words = format!("AADSTS90002: Tenant '{tenant}' not found.");
        return token_error(org.now(), 400, "invalid_tenant", (90_002, &words));
    }
    let base = format!("{}/{tenant}", request.origin);
    Answer::new(
        200,
        json!({
            "issuer": format!("{base}/v2.0"),
            "token_endpoint": format!("{base}/oauth2/v2.0/token"),
            "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
            "jwks_uri": format!("{base}/discovery/v2.0/keys"),
            "token_endpoint_auth_methods_supported":
                ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "response_types_supported": ["code", "id_token", "token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "tenant_region_scope": "EU",
        }),
    )
}

/// Which authorities belong together: this one stands alone.
pub(super) fn instance(request: &Request) -> Answer {
    let host = request.origin.trim_start_matches("https://");
    let asked = request.option("authorization_endpoint").unwrap_or_default();
    let base = asked.split("/oauth2/").next().unwrap_or_default();
    Answer::new(
        200,
        json!({
            "tenant_discovery_endpoint": format!("{base}/v2.0/.well-known/openid-configuration"),
            "api-version": "1.1",
            "metadata": [{
                "preferred_network": host, "preferred_cache": host, "aliases": [host],
            }],
        }),
    )
}
