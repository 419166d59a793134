//! `[crm.NAME]`: an account of a CRM, and what may be asked of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::ApiName;
use super::secret::SecretSource;
use super::urls::HttpsUrl;
use super::values::{Seconds, Share, Whole};

/// An account of a CRM: how to reach it, how often to ask, how much to spend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Crm {
    /// Which CRM it is.
    #[schemars(example = &"salesforce")]
    pub kind: CrmKind,
    /// The address of the organisation: its own domain, not that of the login page; of Dynamics the
    /// environment's, such as `https://example.crm4.dynamics.com`. https only.
    #[schemars(example = &"https://example.my.salesforce.com")]
    pub url: HttpsUrl,
    /// Whether the organisation is a sandbox. By default what the form of `url` says, where it says
    /// so, and then what it was before. An organisation that is otherwise is not written to.
    #[schemars(example = &false)]
    pub sandbox: Option<bool>,
    /// Dynamics: the tenant of Entra ID that the app is registered in, by its id or a domain of it.
    #[schemars(example = &"example.onmicrosoft.com")]
    pub tenant: Option<String>,
    /// Where tokens come from, where that is not `{url}/services/oauth2/token`; for Dynamics, where it
    /// is not `https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token`.
    #[schemars(example = &"https://example.my.salesforce.com/services/oauth2/token")]
    pub token_url: Option<HttpsUrl>,
    /// A PEM file of further certificate authorities to trust. Relative to this file.
    #[schemars(example = &"ca.pem")]
    pub ca_file: Option<PathBuf>,
    /// The consumer key of the app; for Dynamics its application (client) id.
    #[schemars(example = &"truce")]
    pub client_id: String,
    /// The file that holds the consumer secret, for the client credentials flow. Relative to this
    /// file. Exactly one of `client_secret_file`, `client_secret_env` and `private_key_file`.
    #[schemars(example = &"/run/secrets/salesforce")]
    pub client_secret_file: Option<PathBuf>,
    /// The environment variable that holds the consumer secret.
    #[schemars(example = &"SALESFORCE_SECRET")]
    pub client_secret_env: Option<String>,
    /// The PEM file of the RSA key that the app's certificate belongs to, for the JWT bearer flow: no
    /// secret goes over the wire. Relative to this file; without a passphrase. Where the certificate
    /// is in it too, its end is looked at.
    #[schemars(example = &"/run/secrets/salesforce.key")]
    pub private_key_file: Option<PathBuf>,
    /// Dynamics, with `private_key_file`: the PEM file of the app's certificate, where it is not in the
    /// file of the key. Its digest tells Entra ID which key it is. Relative to this file.
    #[schemars(example = &"/run/secrets/dynamics.crt")]
    pub certificate_file: Option<PathBuf>,
    /// Dynamics, with `private_key_file`: how it is signed. `rs256` names the certificate by SHA-1, as
    /// most programs do, `ps256` by SHA-256.
    #[serde(default)]
    pub signing: Signing,
    /// Salesforce, with `private_key_file`: the user that the app acts as, approved for it beforehand.
    #[schemars(example = &"truce@example.com")]
    pub username: Option<String>,
    /// Salesforce, with `private_key_file`: the login server that checks what is signed. By default that of
    /// sandboxes where `url` is a sandbox's, else that of production.
    #[schemars(example = &"https://test.salesforce.com")]
    pub audience: Option<HttpsUrl>,
    /// Salesforce: the version of the API.
    #[serde(default = "api_version")]
    pub api_version: String,
    /// How often changes are asked for. A call each time: 10 seconds are 8,640 calls a day and
    /// object.
    #[serde(default)]
    pub poll_seconds: Seconds<50, 10_000, 3_600_000>,
    /// How rarely changes are asked for at the least, when nothing happens or the budget is short.
    #[serde(default)]
    pub poll_idle_seconds: Seconds<50, 60_000, 3_600_000>,
    /// Salesforce: how far such a pass looks back behind the last change seen.
    #[serde(default)]
    pub overlap_seconds: Seconds<0, 30_000, 86_400_000>,
    /// Salesforce: how often a wide pass looks back further, for changes that were committed late: by
    /// `late_commit_seconds` from where the last wide pass began.
    #[serde(default)]
    pub wide_seconds: Seconds<50, 300_000, 86_400_000>,
    /// Salesforce: how often its own log of what changed is read, for what it commits hours late. Where an
    /// object has no log, a deep pass looks back by `deep_overlap_seconds` instead.
    #[serde(default)]
    pub deep_seconds: Seconds<50, 3_600_000, 604_800_000>,
    /// Salesforce: how far a deep pass looks back, for objects without a log.
    #[serde(default)]
    pub deep_overlap_seconds: Seconds<0, 7_200_000, 604_800_000>,
    /// How often all records of an object are counted by their ids, and compared with the ledger: for
    /// what no change tells, such as a record that was deleted for good. It costs a call for 2,000
    /// records. 0 is never.
    #[serde(default)]
    pub census_seconds: Seconds<0, 86_400_000, 2_592_000_000>,
    /// How long after its time stamp a change may become visible. `newest` does not trust times
    /// closer than that.
    #[serde(default)]
    pub late_commit_seconds: Seconds<0, 900_000, 86_400_000>,
    /// How often the mapped objects are described again, to see which fields are not as they were
    /// mapped: a call each object, mostly answered by nothing.
    #[serde(default)]
    pub describe_seconds: Seconds<100, 600_000, 86_400_000>,
    /// How many calls a day this agent may make, whatever the CRM would allow. The default is the
    /// allowance of a small production organisation; see the organisation's own limit.
    #[serde(default)]
    pub calls_per_day: Whole<1, 100_000, 100_000_000>,
    /// The share of the organisation's own daily allowance that is left to others: below it only
    /// consent is written, and polls use at most half of it.
    #[serde(default)]
    pub reserve: Share<20>,
    /// How many calls start in a second at most.
    #[serde(default)]
    pub requests_per_second: Whole<1, 20, 1_000>,
    /// How many calls are under way at once at most. Salesforce allows 25 long ones to the whole
    /// organisation.
    #[serde(default)]
    pub in_flight: Whole<1, 8, 100>,
    /// How many records go into one write. Salesforce takes at most 200; for Dynamics it is the size of
    /// a batch.
    #[serde(default)]
    pub batch: Whole<1, 200, 200>,
    /// How many records a page of a read holds. Salesforce gives at most 2,000, Dynamics 5,000.
    #[serde(default)]
    pub page: Whole<200, 2000, 2_000>,
    /// From how many records on a first load or a backlog goes as a bulk job, where that costs fewer
    /// calls; to Dynamics, by one action for many rows. 0 is never. Such writes stand longer between being read and being written; consent is
    /// never in a job.
    #[serde(default)]
    pub bulk_records: Whole<0, 20_000, 100_000_000>,
    /// How long a write that is not consent may wait for company when the budget is short, in
    /// milliseconds. While it is ample, none waits.
    #[serde(default)]
    pub linger_ms_max: Whole<0, 30_000, 600_000>,
    /// How long the CRM may still carry out a write that it did not answer. Salesforce ends a call
    /// after 10 minutes.
    #[serde(default)]
    pub write_time_limit_seconds: Seconds<0, 600_000, 86_400_000>,
    /// How long a connection attempt may take.
    #[serde(default)]
    pub connect_timeout_seconds: Seconds<100, 10_000, 300_000>,
    /// How long a call may take.
    #[serde(default)]
    pub timeout_seconds: Seconds<100, 120_000, 900_000>,
    /// Dynamics: how often a record that a plug-in refuses is tried again, each time after twice as long,
    /// before it is held.
    #[serde(default)]
    pub plugin_retries: Whole<0, 3, 20>,
    /// Dynamics: whether its duplicate detection rules count for what is written. What they find is
    /// held.
    #[serde(default)]
    pub duplicate_detection: bool,
    /// Dynamics: columns of consent whose `true` allows contact. That of all others forbids it.
    #[serde(default = "allowing_columns")]
    pub allowing_columns: Vec<ApiName>,
    /// Dynamics: columns of consent that are choices, each with the options that forbid contact and those
    /// that allow it: `{ new_consent = { out = [3, 2], in = [1] } }`. The first of each is what is
    /// written. Every option is named in one of both; a row without any says that nobody opted out.
    #[serde(default)]
    pub consent_options: BTreeMap<ApiName, ConsentOptions>,
    /// Dynamics: columns with column security that the application user's profile lets it read. Any
    /// other is refused, as it would be read as empty.
    #[serde(default)]
    pub secured_columns: Vec<ApiName>,
    /// How often a call that is safe to repeat is repeated.
    #[serde(default)]
    pub retries: Whole<0, 5, 20>,
    /// The longest wait between two attempts.
    #[serde(default)]
    pub retry_seconds_max: Seconds<100, 60_000, 3_600_000>,
}

/// What the options of a choice say of consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct ConsentOptions {
    /// Those that forbid contact; the first is written by an opt-out.
    pub out: Vec<i64>,
    /// Those that allow it; the first is written by an opt-in.
    #[serde(rename = "in")]
    pub allowed: Vec<i64>,
}

/// Which CRM an account is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CrmKind {
    /// Salesforce.
    Salesforce,
    /// Microsoft Dynamics 365, or another environment of Dataverse.
    Dynamics,
}

/// How what proves an app is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Signing {
    /// RS256.
    #[default]
    Rs256,
    /// PS256.
    Ps256,
}

/// How an app proves that it is who it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof<'a> {
    /// By a secret (client credentials).
    Secret(SecretSource),
    /// By what it signs (JWT bearer).
    PrivateKey {
        /// The file of the key.
        file: &'a Path,
        /// The user that it acts as.
        username: &'a str,
        /// The login server that checks it.
        audience: &'a str,
    },
}

/// Who checks what is signed for production, and for sandboxes.
const LOGIN_AUDIENCE: &str = "https://login.salesforce.com";
const TEST_AUDIENCE: &str = "https://test.salesforce.com";

/// Its name says that it asks to be sent something.
fn allowing_columns() -> Vec<ApiName> {
    "followemail".to_owned().try_into().into_iter().collect()
}

fn api_version() -> String {
    "66.0".to_owned()
}

impl Crm {
    /// How the app proves that it is who it says.
    pub fn proof(&self) -> Proof<'_> {
        if let Some(file) = &self.private_key_file {
            // Salesforce is refused without one, and Dynamics takes none.
            let username = self.username.as_deref().unwrap_or_default();
            let default =
                if self.is_sandbox() == Some(true) { TEST_AUDIENCE } else { LOGIN_AUDIENCE };
            let audience = self.audience.as_ref().map_or(default, HttpsUrl::as_str);
            return Proof::PrivateKey { file, username, audience };
        }
        let (file, env) = (self.client_secret_file.as_ref(), self.client_secret_env.as_ref());
        let secret = SecretSource::of(file, env);
        Proof::Secret(secret.expect("a config without a secret and without a key is refused"))
    }

    /// Whether the organisation is to be a sandbox, where that is said.
    pub fn is_sandbox(&self) -> Option<bool> {
        self.sandbox.or(self.url.names_sandbox())
    }

    /// Where tokens come from.
    pub fn token_url(&self) -> String {
        let own = || match self.kind {
            CrmKind::Salesforce => format!("{}/services/oauth2/token", self.url),
            CrmKind::Dynamics => format!(
                "https://login.microsoftonline.com/{}/oauth2/v2.0/token",
                self.tenant.as_deref().unwrap_or_default()
            ),
        };
        self.token_url.as_ref().map_or_else(own, HttpsUrl::to_string)
    }

    /// How often all records of an object are counted, if ever.
    pub fn census_every(&self) -> Option<Duration> {
        Some(self.census_seconds.get()).filter(|every| !every.is_zero())
    }

    /// The longest a write that is not consent may wait for company.
    pub fn linger_max(&self) -> Duration {
        Duration::from_millis(u64::from(self.linger_ms_max.get()))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::parsed;

    use super::{Crm, Proof};

    #[test]
    fn tokens_come_from_the_organisation_unless_told_otherwise() {
        let config = parsed("");
        let crm = config.crms.values().next().unwrap();
        assert_eq!(crm.token_url(), "https://example.my.salesforce.com/services/oauth2/token");
    }

    #[test]
    fn what_is_signed_is_for_the_login_server_of_the_organisation() {
        let config = parsed("");
        let mut crm = config.crms.values().next().unwrap().clone();
        let audience = |crm: &Crm| match crm.proof() {
            Proof::PrivateKey { audience, .. } => audience.to_owned(),
            Proof::Secret(secret) => panic!("{secret}"),
        };
        crm.private_key_file = Some("app.key".into());
        crm.username = Some("truce@example.com".to_owned());
        assert_eq!(audience(&crm), "https://login.salesforce.com");
        let sandbox = "https://acme--uat.sandbox.my.salesforce.com".to_owned();
        crm.url = sandbox.clone().try_into().unwrap();
        assert_eq!(audience(&crm), "https://test.salesforce.com");
        crm.audience = Some(sandbox.clone().try_into().unwrap());
        assert_eq!(audience(&crm), sandbox);
    }
}
