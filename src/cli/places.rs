//! Where things are, from the config: addresses with their passwords, accounts with their secrets.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};

use crate::config::{self, Config, Crm, Label, PostgresUrl, Proof, SecretSource, Signing};
use crate::crm::delays::Pace;
use crate::crm::http::Limits;
use crate::crm::salesforce::{Bulk, Credentials, Polling, Settings};
use crate::crm::{Algorithm, Secret, Signer, dynamics};
use crate::postgres::ServerUrl;

use super::failure::Unusable;
use super::lead::now;
use super::options;

/// The databases.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// Campaign's.
    pub(super) campaign: ServerUrl,
    /// The ledger's.
    pub(super) ledger: ServerUrl,
    /// Whether the ledger is on Campaign's server.
    pub(super) together: bool,
}

impl Places {
    /// Those of the config; reads the secrets.
    pub(super) fn of(config: &Config) -> Result<Self> {
        let password = config.campaign.password();
        let campaign = server(&config.campaign.url, password.as_ref(), "campaign")?;
        let campaign = options::server(&config.campaign, campaign);
        let (ledger, together) = match &config.ledger.url {
            Some(url) => (server(url, config.ledger.password().as_ref(), "ledger")?, false),
            None => (campaign.clone().with_database(config.ledger.database.as_str()), true),
        };
        if ledger == campaign {
            return Err(Unusable::new(
                "the ledger would be in Campaign's own database; give [ledger] another `database`",
            )
            .into());
        }
        Ok(Self { campaign, ledger, together })
    }
}

fn server(url: &PostgresUrl, password: Option<&SecretSource>, table: &str) -> Result<ServerUrl> {
    let parsed: ServerUrl = (url.as_str().parse())
        .map_err(|error| Unusable::new(format!("{table}.url = \"{}\": {error}", url.as_str())))?;
    Ok(match password {
        Some(source) => parsed.with_password(read(source, &format!("{table}.password"))?.expose()),
        None => parsed,
    })
}

/// Reads a secret; `key` is the one that names it in the config, but for `_file` or `_env`.
fn read(source: &SecretSource, key: &str) -> Result<config::Secret, Unusable> {
    let form = match source {
        SecretSource::File(_) => "file",
        SecretSource::Env(_) => "env",
    };
    source
        .read(&config::process_environment)
        .map_err(|error| Unusable::caused(format!("{key}_{form} gives no secret"), error))
}

/// How an account of Salesforce is reached.
pub(super) fn salesforce(config: &Config, name: &Label, crm: &Crm) -> Result<Settings> {
    let ca_pem = ca_pem(name, crm)?;
    let credentials = credentials(name, crm)?;
    let mut settings = Settings::new(name.as_str(), crm.url.as_str(), &crm.client_id, credentials);
    settings.token_url = crm.token_url.as_ref().map(ToString::to_string);
    settings.api_version.clone_from(&crm.api_version);
    settings.ca_pem = ca_pem;
    settings.instance = config.campaign.instance.to_string();
    settings.external_id_format.clone_from(&config.campaign.external_id_format);
    settings.limits = limits(crm)?;
    settings.pace = pace(crm);
    settings.batch = crm.batch.size();
    settings.describe_every = crm.describe_seconds.get();
    settings.connect_timeout = crm.connect_timeout_seconds.get();
    settings.answer_timeout = crm.timeout_seconds.get();
    let from_records = Some(crm.bulk_records.size()).filter(|from| *from > 0);
    settings.bulk = Bulk { from_records, ..Bulk::default() };
    settings.polling = Polling {
        interval: crm.poll_seconds.get(),
        interval_max: crm.poll_idle_seconds.get().max(crm.poll_seconds.get()),
        overlap: crm.overlap_seconds.get(),
        wide_every: crm.wide_seconds.get(),
        late_commit: crm.late_commit_seconds.get(),
        deep_every: crm.deep_seconds.get(),
        deep_overlap: crm.deep_overlap_seconds.get(),
        page: crm.page.size(),
    };
    Ok(settings)
}

/// How an account of Dynamics is reached.
pub(super) fn dynamics(config: &Config, name: &Label, crm: &Crm) -> Result<dynamics::Settings> {
    let credentials = match crm.proof() {
        Proof::Secret(source) => {
            let secret = read(&source, &format!("crm.{name}.client_secret"))?;
            dynamics::Credentials::Secret(Secret::new(secret.expose()))
        }
        Proof::PrivateKey { file, .. } => {
            let certificate = crm.certificate_file.as_deref();
            let algorithm = match crm.signing {
                Signing::Rs256 => Algorithm::Rs256,
                Signing::Ps256 => Algorithm::Ps256,
            };
            let signer = Arc::new(signer(name, file, certificate)?);
            dynamics::Credentials::Certificate { signer, algorithm }
        }
    };
    let tenant = crm.tenant.as_deref().unwrap_or_default();
    let credentials = (crm.client_id.clone(), credentials);
    let mut settings =
        dynamics::Settings::new(name.as_str(), crm.url.as_str(), tenant, credentials);
    settings.token_url = crm.token_url();
    settings.ca_pem = ca_pem(name, crm)?;
    settings.instance = config.campaign.instance.to_string();
    settings.external_id_format.clone_from(&config.campaign.external_id_format);
    settings.limits = limits(crm)?;
    settings.pace = pace(crm);
    settings.batch = crm.batch.size();
    settings.describe_every = crm.describe_seconds.get();
    settings.connect_timeout = crm.connect_timeout_seconds.get();
    settings.answer_timeout = crm.timeout_seconds.get();
    settings.multiple_from = Some(crm.bulk_records.size()).filter(|from| *from > 0);
    settings.plugin_retries = crm.plugin_retries.get();
    settings.duplicate_detection = crm.duplicate_detection;
    let names = |names: &[config::ApiName]| {
        names.iter().map(|name| name.as_str().to_ascii_lowercase().into()).collect()
    };
    settings.allows = names(&crm.allowing_columns);
    settings.secured = names(&crm.secured_columns);
    settings.consent_options = consent_options(crm);
    settings.polling = dynamics::Polling {
        interval: crm.poll_seconds.get(),
        interval_max: crm.poll_idle_seconds.get().max(crm.poll_seconds.get()),
        page: crm.page.size(),
        ..dynamics::Polling::default()
    };
    Ok(settings)
}

/// What the options of choices say of consent, by column.
fn consent_options(crm: &Crm) -> BTreeMap<Arc<str>, dynamics::ConsentOptions> {
    let options = crm.consent_options.iter();
    options
        .map(|(column, config::ConsentOptions { out, allowed })| {
            let options = dynamics::ConsentOptions { out: out.clone(), allowed: allowed.clone() };
            (column.as_str().to_ascii_lowercase().into(), options)
        })
        .collect()
}

fn ca_pem(name: &Label, crm: &Crm) -> Result<Option<Vec<u8>>, Unusable> {
    let Some(file) = &crm.ca_file else { return Ok(None) };
    let key = format!("crm.{name}.ca_file = \"{}\" cannot be read", file.display());
    std::fs::read(file).map(Some).map_err(|error| Unusable::caused(key, error))
}

fn limits(crm: &Crm) -> Result<Limits> {
    let number = |value: u32| NonZeroU32::new(value).context("a limit of zero is refused");
    Ok(Limits {
        per_second: number(crm.requests_per_second.get())?,
        in_flight: number(crm.in_flight.get())?,
        per_day: Some(u64::from(crm.calls_per_day.get())),
        reserve_percent: percent(crm.reserve.get()),
        ..Limits::default()
    })
}

fn pace(crm: &Crm) -> Pace {
    Pace { longest: crm.retry_seconds_max.get(), again: crm.retries.get(), ..Pace::default() }
}

/// Reads a key, with a certificate that stands in another file.
fn signer(name: &Label, file: &Path, certificate: Option<&Path>) -> Result<Signer, Unusable> {
    let read = |key: &str, file: &Path| {
        let key = format!("crm.{name}.{key} = \"{}\"", file.display());
        let text = std::fs::read(file)
            .map_err(|error| Unusable::caused(format!("{key} cannot be read"), error))?;
        Ok::<_, Unusable>((key, text))
    };
    let (mut key, mut text) = read("private_key_file", file)?;
    if let Some(certificate) = certificate {
        let (named, more) = read("certificate_file", certificate)?;
        key = named;
        text.push(b'\n');
        text.extend(more);
    }
    Signer::from_pem(&text, now()).map_err(|error| Unusable::new(format!("{key} {error}")))
}

/// How the app proves that it is who it says; reads the secret or the key.
fn credentials(name: &Label, crm: &Crm) -> Result<Credentials> {
    match crm.proof() {
        Proof::Secret(source) => {
            let secret = read(&source, &format!("crm.{name}.client_secret"))?;
            Ok(Credentials::Secret(Secret::new(secret.expose())))
        }
        Proof::PrivateKey { file, username, audience } => {
            let signer = signer(name, file, None)?;
            Ok(Credentials::Assertion {
                signer: Arc::new(signer),
                username: username.to_owned(),
                audience: audience.to_owned(),
            })
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share is between 0 and 1"
)]
fn percent(share: f64) -> u8 {
    (share * 100.0).round() as u8
}

/// A name of this process for people: host and process id.
pub(super) fn holder() -> Arc<str> {
    format!("{}, process {}", host(), std::process::id()).into()
}

/// Who gives a command, for the decision log: the user of the system and the host; of one who has
/// become another by sudo, both.
pub(super) fn operator() -> String {
    let uid = nix::unistd::getuid();
    let known = nix::unistd::User::from_uid(uid).ok().flatten();
    let user = known.map_or_else(|| format!("user {uid}"), |user| user.name);
    let before = std::env::var("SUDO_USER").ok().filter(|before| *before != user);
    let user = before.map_or_else(|| user.clone(), |before| format!("{before} as {user}"));
    format!("{user} on {}", host())
}

fn host() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    if host.is_empty() { "unknown host".to_owned() } else { host.to_owned() }
}
