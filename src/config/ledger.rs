//! `[ledger]`: where the agent keeps what it has seen.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::SqlName;
use super::secret::SecretSource;
use super::urls::PostgresUrl;
use super::values::{Seconds, Whole};

/// The agent's own database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ledger {
    /// Where the ledger is, database included, where that is not Campaign's server.
    #[schemars(example = &"postgresql://truce@10.0.0.5:5432/truce?sslmode=verify-full")]
    pub url: Option<PostgresUrl>,
    /// The file that holds the password for `url`. Relative to this file. Without a `url`, that of
    /// `[campaign]` is used.
    #[schemars(example = &"/run/secrets/ledger")]
    pub password_file: Option<PathBuf>,
    /// The environment variable that holds the password for `url`.
    #[schemars(example = &"LEDGER_PASSWORD")]
    pub password_env: Option<String>,
    /// The database on Campaign's server, where there is no `url`. Never Campaign's own: decoding
    /// is per database, and the ledger's log would be decoded with Campaign's.
    pub database: SqlName,
    /// How long the leader may go without renewing its lease before a standby takes over.
    pub lease_seconds: Seconds<1_000, 15_000, 600_000>,
    /// How long decisions and what was answered to them are kept, in days, for `truce explain`. A write
    /// with its answer takes about 420 bytes of disk.
    pub decision_keep_days: Whole<1, 90, 36_500>,
    /// How long a deleted record's tombstone is kept, in days. It keeps the person's consent, so
    /// that a record that comes back does not come back opted in: years, not weeks.
    pub tombstone_keep_days: Whole<1, 1_095, 36_500>,
    /// How much disk the ledger may take before it is an alarm, in megabytes. Ten million links
    /// of twelve fields need about 17,000.
    pub disk_megabytes_max: Whole<64, 20_480, 10_485_760>,
    /// How many links one round decides at once: as many as one call to a CRM reads, so that under
    /// load 2,000 records are read by one call and written by ten. A round is one transaction of the
    /// ledger.
    pub claim_links: Whole<1, 2_000, 5_000>,
}

impl Default for Ledger {
    fn default() -> Self {
        let truce = || SqlName::try_from("truce".to_owned()).expect("a default is a name");
        Self {
            url: None,
            password_file: None,
            password_env: None,
            database: truce(),
            lease_seconds: Seconds::default(),
            decision_keep_days: Whole::default(),
            tombstone_keep_days: Whole::default(),
            disk_megabytes_max: Whole::default(),
            claim_links: Whole::default(),
        }
    }
}

impl Ledger {
    /// How long a tombstone is kept.
    pub fn tombstone_keep(&self) -> Duration {
        Duration::from_hours(24 * u64::from(self.tombstone_keep_days.get()))
    }

    /// Where the password for [`Ledger::url`] is, if one is needed.
    pub fn password(&self) -> Option<SecretSource> {
        SecretSource::of(self.password_file.as_ref(), self.password_env.as_ref())
    }
}
