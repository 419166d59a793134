//! The Web API: what a request asks for, who answers it, and in which form.

mod actions;
mod assertion;
mod batch;
mod delta;
mod inquiry;
mod many;
mod metadata;
mod multipart;
mod page;
mod query;
mod references;
mod render;
mod rows;
mod sign_in;

use serde_json::{Value as Json, json};

pub(super) use assertion::key_of;
pub(super) use multipart::operations;
pub(super) use sign_in::token_error;

use super::super::clock::http_date;
use super::definitions::privilege_of;
use super::exchange::{Answer, Answered, Request};
use super::guid::Guid;
use super::org::{Org, Standing};
use super::refusal::Refusal;

/// Longest address, and longest address of a part of a batch.
const TARGET_MAX: usize = 32_768;
const TARGET_IN_BATCH_MAX: usize = 65_536;

/// A request of a resource, let in.
struct Call<'a> {
    request: &'a Request,
    /// `https://localhost:8443/api/data/v9.2`.
    root: String,
    in_batch: bool,
}

impl Call<'_> {
    fn method(&self) -> &str {
        &self.request.method
    }

    /// The address of what an answer is about.
    fn context(&self, what: &str) -> String {
        format!("{}/$metadata#{what}", self.root)
    }
}

/// Whether a request is one of the service, and not of the token endpoint.
pub(super) fn is_of_service(request: &Request) -> bool {
    request.target.starts_with("/api/data")
}

/// Answers a request.
pub(super) fn answer(org: &mut Org, request: &Request) -> Answer {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let answer = match path.as_slice() {
        ["api", "data", rest @ ..] => service(org, request, rest),
        [tenant, "oauth2", "v2.0", "token"] => sign_in::token(org, request, (tenant, true)),
        [tenant, "oauth2", "token"] => sign_in::token(org, request, (tenant, false)),
        [tenant, "v2.0", ".well-known", "openid-configuration"]
        | [tenant, ".well-known", "openid-configuration"] => {
            sign_in::configuration(org, request, tenant)
        }
        ["common", "discovery", "instance"] => sign_in::instance(request),
        [_, "discovery", "v2.0" | "keys", ..] => Answer::new(200, json!({ "keys": [] })),
        _ => Answer::html(404, "Not Found"),
    };
    answer.with("date", http_date(org.now()))
}

/// Lets a request of the service in, and answers it with the headers that all have.
fn service(org: &mut Org, request: &Request, path: &[&str]) -> Answer {
    let answer = match let_in(org, request) {
        Err(answer) => answer,
        Ok(()) => match path.split_first() {
            Some((version, rest)) if is_version(version) => {
                let root = format!("{}/api/data/{version}", request.origin);
                let call = Call { request, root, in_batch: false };
                resource(org, &call, rest).unwrap_or_else(Answer::from)
            }
            Some((version, _)) => Refusal::segment(version).into(),
            None => Answer::html(404, "Not Found"),
        },
    };
    let now = org.clock.now();
    let (requests, seconds) = org.protection.left(now);
    let id = Guid::draw(&mut org.draw).to_string();
    answer
        .with("odata-version", "4.0")
        .with("cache-control", "no-cache")
        .with("x-ms-service-request-id", id.clone())
        .with("req_id", id)
        .with("x-ms-ratelimit-burst-remaining-xrm-requests", requests.to_string())
        .with("x-ms-ratelimit-time-remaining-xrm-requests", seconds)
        .with("x-ms-dop-hint", org.protection.parallelism.to_string())
        .with("set-cookie", "ARRAffinity=simulated; Path=/; HttpOnly; Secure")
}

fn is_version(text: &str) -> bool {
    matches!(text, "v9.0" | "v9.1" | "v9.2")
}

fn let_in(org: &mut Org, request: &Request) -> Result<(), Answer> {
    if request.admitted {
        return Ok(());
    }
    if TARGET_MAX < request.target.len() {
        return Err(Answer::html(414, "Request-URI Too Long"));
    }
    let token = request.header("authorization").and_then(|header| {
        let (scheme, token) = header.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    if !token.is_some_and(|token| org.tokens.accept(token, org.now())) {
        return Err(challenge(request));
    }
    stands(org).map_err(Answer::from)?;
    let now = org.clock.now();
    org.protection.admit(request.number, now).map_err(|met| {
        let refusal = Refusal::new(429, met.code, met.message);
        Answer::from(refusal).with("retry-after", met.retry_after_s.to_string())
    })
}

/// The answer to a request without a valid token: no JSON, but where to get one.
pub(super) fn challenge(request: &Request) -> Answer {
    let value = format!(
        "Bearer authorization_uri=https://login.microsoftonline.com/common/oauth2/authorize, \
         resource_id={}/",
        request.origin
    );
    Answer::html(401, "Unauthorized").with("www-authenticate", value)
}

/// Whether the application user may come in at all.
fn stands(org: &Org) -> Result<(), Refusal> {
    let (code, message) = match org.app.standing {
        Standing::Good => return Ok(()),
        Standing::NotAMember => ("0x80072560", "The user is not a member of the organization."),
        Standing::Blocked => {
            ("0x80095ffc", "The application is blocked by the policy of this environment.")
        }
        Standing::Disabled => ("0x80040225", "The specified user is disabled."),
        Standing::Unlicensed => ("0x8004D24B", "The user has no license for this environment."),
        Standing::NoRole => ("0x80042F09", "The user has no security roles assigned."),
        Standing::OrganisationDisabled => ("0x8004A104", "The organization is disabled."),
    };
    Err(Refusal::new(403, code, message))
}

/// Answers a request of a resource, or a part of a batch.
fn resource(org: &mut Org, call: &Call<'_>, path: &[&str]) -> Answered {
    if call.in_batch && TARGET_IN_BATCH_MAX < call.request.target.len() {
        return Err(Refusal::new(414, "0x80060888", "The address of a part is too long."));
    }
    match (path, call.method()) {
        ([], "GET") => Ok(metadata::service_document(org, call)),
        (["$metadata"], "GET") => Ok(metadata::csdl(org, call)),
        (["$batch"], "POST") if !call.in_batch => batch::batch(org, call),
        (["WhoAmI" | "WhoAmI()"], "GET") => Ok(actions::who_am_i(org, call)),
        (["Merge"], "POST") => actions::merge(org, call),
        ([first, rest @ ..], "GET") if metadata::is_definition(first) => {
            metadata::definitions(org, call, (first, rest))
        }
        ([function], "GET") if function.starts_with("RetrieveTotalRecordCount(") => {
            actions::total_record_count(org, call, function)
        }
        ([function], _) if actions::is_known_elsewhere(function) => {
            Err(Refusal::not_simulated(&format!("'{function}'")))
        }
        ([first, rest @ ..], _) => records(org, call, (first, rest)),
        _ => Err(not_allowed(call)),
    }
}

/// Answers a request of records: of a set, or of one.
fn records(org: &mut Org, call: &Call<'_>, (first, rest): (&str, &[&str])) -> Answered {
    let (set, key) = super::address::segment(first);
    let table = org.data.model.by_set(set).ok_or_else(|| Refusal::segment(set))?;
    let Some(key) = key else {
        return match (rest, call.method()) {
            ([], "GET") => {
                check_privilege(org, table, "Read")?;
                query::collection(org, call, table)
            }
            (["$count"], "GET") => {
                check_privilege(org, table, "Read")?;
                query::count(org, call, table)
            }
            ([], "POST") => rows::create(org, call, table),
            ([action], "POST") if action.starts_with("Microsoft.Dynamics.CRM.") => {
                let action = action.trim_start_matches("Microsoft.Dynamics.CRM.");
                many::action(org, call, (table, action))
            }
            _ => Err(not_allowed(call)),
        };
    };
    let named = super::address::key(&org.data, table, key)?;
    match (rest, call.method()) {
        ([], "GET") => rows::read(org, call, (table, &named)),
        ([], "PATCH") => rows::change(org, call, (table, &named)),
        ([], "DELETE") => rows::delete(org, call, (table, &named)),
        ([function], "GET") if is_privileges(org, table, function) => {
            let user = named.found(&org.data, table)?;
            Ok(actions::user_privileges(org, call, user))
        }
        (rest, _) => references::answer(org, call, (table, &named, rest)),
    }
}

/// Whether a user is asked what it may do.
fn is_privileges(org: &Org, table: usize, function: &str) -> bool {
    let name = function.trim_end_matches("()");
    org.data.model.table(table).name == "systemuser"
        && name == "Microsoft.Dynamics.CRM.RetrieveUserPrivileges"
}

fn not_allowed(call: &Call<'_>) -> Refusal {
    let message =
        format!("The requested resource does not support http method '{}'.", call.method());
    Refusal::new(405, "0x80060888", message)
}

/// Whether the app's role has a privilege on a table.
fn check_privilege(org: &Org, table: usize, verb: &'static str) -> Result<(), Refusal> {
    if !org.app.lacks.contains(&(table, verb)) {
        return Ok(());
    }
    let spec = org.data.model.table(table);
    let (privilege, id) = privilege_of(spec, verb);
    let message = format!(
        "Principal user (Id={}, type=8, roleCount=1, privilegeCount=100, accessMode='4 Non-interactive') \
         is missing {privilege} privilege (Id={id}) on OTC={} for entity '{}'.",
        org.names.api_user, spec.code, spec.name
    );
    Err(Refusal::new(403, "0x80040220", message))
}

/// What a request is for, as counters tell it.
pub(super) fn kind_of(request: &Request) -> &'static str {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let ["api", "data", _, rest @ ..] = path.as_slice() else {
        return if path.last() == Some(&"token") { "token" } else { "other" };
    };
    let is_delta = request.option("$deltatoken").is_some()
        || request.preference("odata.track-changes").is_some();
    match (request.method.as_str(), rest) {
        (_, [] | ["$metadata"]) => "metadata",
        (_, ["$batch"]) => "batch",
        (_, [first, ..]) if metadata::is_definition(first) => "metadata",
        (_, ["WhoAmI" | "WhoAmI()"]) => "whoami",
        ("POST", ["Merge"]) => "merge",
        ("POST", [_, action]) if action.ends_with("Multiple") => "multiple",
        ("POST", [_]) => "create",
        ("PATCH" | "PUT", _) => "update",
        ("DELETE", _) => "delete",
        ("GET", [set]) if set.contains('(') => "read",
        ("GET", [_]) if is_delta => "changes",
        ("GET", [_]) => "query",
        _ => "other",
    }
}

fn json_object(json: Json) -> serde_json::Map<String, Json> {
    if let Json::Object(object) = json { object } else { serde_json::Map::new() }
}
