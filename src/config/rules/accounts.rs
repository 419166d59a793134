//! Rules within `[campaign]`, `[ledger]` and one `[crm.NAME]`.

use std::path::PathBuf;

use super::Findings;
use crate::config::{Campaign, ConsentOptions, Crm, CrmKind, Label, Ledger};

pub(super) fn campaign(campaign: &Campaign, findings: &mut Findings) {
    let (file, env) = (campaign.password_file.as_ref(), campaign.password_env.as_ref());
    at_most_one_password("campaign", file, env, findings);
    external_id_format(&campaign.external_id_format, findings);
}

fn external_id_format(format: &str, findings: &mut Findings) {
    const KEY: &str = "campaign.external_id_format";
    match format.matches("{key}").count() {
        0 => findings.add(
            KEY,
            "has no {key}, so that all records would have one id; write {instance}:{key}",
        ),
        1 => {}
        _ => findings.add(KEY, "has {key} more than once; write {instance}:{key}"),
    }
    let mut rest = format.to_owned();
    for known in ["{instance}", "{mapping}", "{key}"] {
        rest = rest.replace(known, "");
    }
    if rest.contains(['{', '}']) {
        findings.add(KEY, "has a word in braces that is none of {instance}, {mapping}, {key}");
    }
}

pub(super) fn ledger(ledger: &Ledger, campaign: &Campaign, findings: &mut Findings) {
    let (file, env) = (ledger.password_file.as_ref(), ledger.password_env.as_ref());
    at_most_one_password("ledger", file, env, findings);
    match &ledger.url {
        Some(url) if *url == campaign.url => findings.add(
            "ledger.url",
            "is Campaign's own database; the ledger needs one of its own (leave url out, and \
             `database` on Campaign's server is used)",
        ),
        None if file.is_some() || env.is_some() => findings.add(
            if file.is_some() { "ledger.password_file" } else { "ledger.password_env" },
            "has no effect without ledger.url: on Campaign's server the password is that of \
             [campaign]; remove it, or name a url",
        ),
        Some(_) | None => {}
    }
}

fn at_most_one_password(
    table: &str,
    file: Option<&PathBuf>,
    env: Option<&String>,
    findings: &mut Findings,
) {
    if file.is_some() && env.is_some() {
        findings.add(
            format!("{table}.password_env"),
            "stands beside password_file, and there is one password; remove one of both",
        );
    }
}

pub(super) fn crm(name: &Label, crm: &Crm, findings: &mut Findings) {
    let key = |key: &str| format!("crm.{name}.{key}");
    match crm.kind {
        CrmKind::Salesforce => {
            address(name, crm, findings);
            acting_user(name, crm, findings);
            if !is_version(&crm.api_version) {
                findings.add(key("api_version"), "is not a version such as \"66.0\"");
            }
        }
        CrmKind::Dynamics => environment(name, crm, findings),
    }
    foreign_keys(name, crm, findings);
    proof(name, crm, findings);
    if crm.client_id.trim().is_empty() {
        findings.add(
            key("client_id"),
            match crm.kind {
                CrmKind::Salesforce => "is empty; write the consumer key of the connected app",
                CrmKind::Dynamics => "is empty; write the application (client) id of the app",
            },
        );
    }
    limits(name, crm, findings);
}

/// What has a meaning for one CRM only.
fn foreign_keys(name: &Label, crm: &Crm, findings: &mut Findings) {
    let keys = [
        ("tenant", CrmKind::Dynamics, crm.tenant.is_some()),
        ("certificate_file", CrmKind::Dynamics, crm.certificate_file.is_some()),
        ("duplicate_detection", CrmKind::Dynamics, crm.duplicate_detection),
        ("secured_columns", CrmKind::Dynamics, !crm.secured_columns.is_empty()),
        ("consent_options", CrmKind::Dynamics, !crm.consent_options.is_empty()),
        ("username", CrmKind::Salesforce, crm.username.is_some()),
        ("audience", CrmKind::Salesforce, crm.audience.is_some()),
        ("sandbox", CrmKind::Salesforce, crm.sandbox.is_some()),
    ];
    for (key, of, given) in keys {
        if given && of != crm.kind {
            let of = match of {
                CrmKind::Salesforce => "salesforce",
                CrmKind::Dynamics => "dynamics",
            };
            findings.add(
                format!("crm.{name}.{key}"),
                format!("has a meaning for kind = \"{of}\" only; remove it"),
            );
        }
    }
}

/// Addresses that look like an environment's and are not.
const STRANGE_ENVIRONMENTS: [(&str, &str); 4] = [
    ("login.microsoftonline.com", "is where tokens come from"),
    ("make.powerapps.com", "is where makers work"),
    ("admin.powerplatform.microsoft.com", "is where administrators work"),
    ("graph.microsoft.com", "is another service"),
];

fn environment(name: &Label, crm: &Crm, findings: &mut Findings) {
    let (key, host) = (|key: &str| format!("crm.{name}.{key}"), crm.url.host());
    let wanted = "write the environment's address, such as https://example.crm4.dynamics.com";
    if let Some((_, why)) = STRANGE_ENVIRONMENTS.iter().find(|(strange, _)| host == *strange) {
        findings.add(key("url"), format!("{why}; {wanted}"));
    } else if crm.url.as_str().trim_start_matches("https://").contains('/') {
        findings.add(key("url"), format!("has a path; {wanted}, without anything behind it"));
    }
    let tenant = crm.tenant.as_deref().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if tenant.is_empty() && crm.token_url.is_none() {
        findings.add(
            key("tenant"),
            "is missing; write the id of the tenant that the app is registered in, or a domain of it",
        );
    } else if !tenant.chars().all(plain) {
        findings.add(key("tenant"), "is no id and no domain of a tenant; write one of both");
    }
    if crm.certificate_file.is_some() && crm.private_key_file.is_none() {
        findings.add(
            key("certificate_file"),
            "stands without private_key_file, which signs; name the file of its key",
        );
    }
    for (column, options) in &crm.consent_options {
        let allows = crm.allowing_columns.iter().any(|allowing| allowing.same_as(column));
        if let Some(wrong) = unclear(options, allows) {
            findings.add(key(&format!("consent_options.{column}")), wrong);
        }
    }
}

/// Why the options of a choice do not say what is consent.
fn unclear(ConsentOptions { out, allowed }: &ConsentOptions, allows: bool) -> Option<String> {
    if out.is_empty() || allowed.is_empty() {
        let empty = if out.is_empty() { "out" } else { "in" };
        return Some(format!("names no option in `{empty}`; one is written there"));
    }
    if let Some(both) = out.iter().find(|option| allowed.contains(option)) {
        return Some(format!(
            "names the option {both} in `out` and in `in`; leave it in one of both"
        ));
    }
    allows.then(|| "is in allowing_columns too, which are flags; remove one of both".to_owned())
}

/// Addresses that look like an organisation's and are not.
const STRANGE_HOSTS: [(&str, &str); 4] = [
    ("login.salesforce.com", "is the login page of all organisations"),
    ("test.salesforce.com", "is the login page of all sandboxes"),
    (".lightning.force.com", "is where people work, and not where programs do"),
    (".my.salesforce-setup.com", "is where administrators work, and not where programs do"),
];

fn address(name: &Label, crm: &Crm, findings: &mut Findings) {
    let host = crm.url.host();
    let strange = STRANGE_HOSTS.iter().find(|(end, _)| host.ends_with(end));
    if let Some((_, why)) = strange {
        findings.add(
            format!("crm.{name}.url"),
            format!(
                "{why}; write the My Domain, https://….my.salesforce.com, of this organisation"
            ),
        );
    }
    if let (Some(said), Some(named)) = (crm.sandbox, crm.url.names_sandbox())
        && said != named
    {
        let form = if named { "a sandbox's" } else { "production's" };
        findings.add(
            format!("crm.{name}.sandbox"),
            format!("is {said}, and url is {form} address; correct one of both"),
        );
    }
}

/// One way to prove who asks, and all that it takes.
fn proof(name: &Label, crm: &Crm, findings: &mut Findings) {
    let key = |key: &str| format!("crm.{name}.{key}");
    let signs = crm.private_key_file.is_some();
    match (&crm.client_secret_file, &crm.client_secret_env) {
        (Some(_), None) if signs => findings.add(
            key("client_secret_file"),
            "stands beside private_key_file, by which no secret is sent; remove one of both",
        ),
        (None, Some(_)) if signs => findings.add(
            key("client_secret_env"),
            "stands beside private_key_file, by which no secret is sent; remove one of both",
        ),
        (None, None) if !signs => findings.add(
            key("client_secret_file"),
            "is missing; name the file that holds the consumer secret, or client_secret_env, or \
             private_key_file to sign for tokens",
        ),
        (Some(_), Some(_)) => findings.add(
            key("client_secret_env"),
            "stands beside client_secret_file, and there is one secret; remove one of both",
        ),
        (Some(_), None) | (None, Some(_) | None) => {}
    }
}

/// The user that an app acts as, and who checks that.
fn acting_user(name: &Label, crm: &Crm, findings: &mut Findings) {
    let key = |key: &str| format!("crm.{name}.{key}");
    let signs = crm.private_key_file.is_some();
    let named = crm.username.as_deref().is_some_and(|username| !username.trim().is_empty());
    if signs && !named {
        findings.add(
            key("username"),
            "is missing; name the user that the app acts as, who is approved for it beforehand",
        );
    }
    let needless = [("username", crm.username.is_some()), ("audience", crm.audience.is_some())];
    for (needless, given) in needless {
        if given && !signs {
            findings.add(
                key(needless),
                format!(
                    "has no effect without private_key_file: with a secret the app acts as its \
                     run-as user; remove {needless}, or name the key"
                ),
            );
        }
    }
}

fn is_version(version: &str) -> bool {
    version
        .split_once('.')
        .is_some_and(|(major, minor)| minor == "0" && matches!(major.parse(), Ok(1..=999_u16)))
}

/// Something must be left to write with.
const RESERVE_MAX: f64 = 0.9;

fn limits(name: &Label, crm: &Crm, findings: &mut Findings) {
    let (in_flight, calls_per_day) = (crm.in_flight.get(), crm.calls_per_day.get());
    if calls_per_day < in_flight {
        findings.add(
            format!("crm.{name}.in_flight"),
            format!("in_flight ({in_flight}) is more than calls_per_day ({calls_per_day})"),
        );
    }
    if RESERVE_MAX < crm.reserve.get() {
        findings.add(
            format!("crm.{name}.reserve"),
            format!(
                "{} leaves nothing to write with but consent; at most {RESERVE_MAX}",
                crm.reserve.get()
            ),
        );
    }
    let seconds = [
        ("poll_seconds", crm.poll_seconds.get(), "poll_idle_seconds", crm.poll_idle_seconds.get()),
        (
            "overlap_seconds",
            crm.overlap_seconds.get(),
            "deep_overlap_seconds",
            crm.deep_overlap_seconds.get(),
        ),
        (
            "late_commit_seconds",
            crm.late_commit_seconds.get(),
            "deep_overlap_seconds",
            crm.deep_overlap_seconds.get(),
        ),
    ];
    for (smaller, small, larger, large) in seconds {
        if large < small {
            findings.add(
                format!("crm.{name}.{smaller}"),
                format!(
                    "{smaller} ({}) is more than {larger} ({}); lower the first or raise the \
                     second",
                    small.as_secs_f64(),
                    large.as_secs_f64()
                ),
            );
        }
    }
}
