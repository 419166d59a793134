//! `[campaign]`: the database to stay beside.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::{Label, SqlName};
use super::secret::SecretSource;
use super::urls::PostgresUrl;
use super::values::{Seconds, Whole};

/// Campaign's database: how to reach it, and how carefully to touch it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Campaign {
    /// Where Campaign's database is, without a password. `sslmode` is that of libpq, from `disable`
    /// to `verify-full`; a Unix socket is named by `?host=/run/postgresql`.
    #[schemars(example = &"postgresql://truce@127.0.0.1:5432/campaign?sslmode=verify-full")]
    pub url: PostgresUrl,
    /// The file that holds the password. Relative to this file. At most one of `password_file` and
    /// `password_env`; neither where the server trusts the connection.
    #[schemars(example = &"/run/secrets/campaign")]
    pub password_file: Option<PathBuf>,
    /// The environment variable that holds the password.
    #[schemars(example = &"CAMPAIGN_PASSWORD")]
    pub password_env: Option<String>,
    /// The schema that Campaign's tables are in. Often `public`, or the name of Campaign's login.
    #[serde(default = "public")]
    pub schema: SqlName,
    /// The name of this Campaign instance. It is part of what the external id field of a CRM record
    /// holds, so it must not change, and differ between instances that share a CRM.
    #[serde(default = "instance")]
    pub instance: Label,
    /// What the external id field of a CRM record holds. `{instance}`, `{mapping}` and `{key}` are
    /// replaced; `{key}` must be there.
    #[serde(default = "external_id_format")]
    pub external_id_format: String,
    /// The replication slot of this agent. One agent, one slot.
    #[serde(default = "truce")]
    pub slot: SqlName,
    /// The publication of this agent, which holds the mapped tables, whole.
    #[serde(default = "truce")]
    pub publication: SqlName,
    /// The time zone of columns without one. Campaign's own option `WdbcTimeZone` where it is
    /// not given.
    #[schemars(example = &"Europe/Paris")]
    pub time_zone: Option<String>,
    /// How long a connection attempt may take.
    #[serde(default)]
    pub connect_timeout_seconds: Seconds<100, 10_000, 300_000>,
    /// How often TCP asks whether the server is still there. Short, because a dead host keeps its
    /// locks until it is noticed.
    #[serde(default)]
    pub keepalive_seconds: Seconds<1_000, 5_000, 300_000>,
    /// How long a write waits for a lock, in milliseconds. Keep it below the server's
    /// `deadlock_timeout` (1,000): otherwise PostgreSQL may end Campaign's workflow, not ours.
    #[serde(default)]
    pub lock_timeout_ms: Whole<10, 500, 60_000>,
    /// How long one of our statements may run.
    #[serde(default)]
    pub statement_timeout_seconds: Seconds<100, 30_000, 3_600_000>,
    /// How many rows one statement writes. A transaction is one statement, so this bounds how long
    /// rows stay locked.
    #[serde(default)]
    pub write_rows: Whole<1, 200, 5_000>,
    /// How many rows one read of a first scan or comparison asks for.
    #[serde(default)]
    pub scan_rows: Whole<1, 5000, 100_000>,
    /// How many changed rows are handed on at once; it bounds the memory of a large transaction.
    #[serde(default)]
    pub change_rows: Whole<1, 2000, 100_000>,
    /// How many keys for new records are drawn at once from Campaign's id function.
    #[serde(default)]
    pub key_batch: Whole<1, 50, 10_000>,
    /// How long the stream waits between two reads while changes pour in, in milliseconds. One
    /// millisecond wakes the server less often and makes it faster; zero answers sooner.
    #[serde(default)]
    pub read_delay_ms: Whole<0, 1, 1_000>,
    /// How often the server is told how far we are while nothing happens.
    #[serde(default)]
    pub feedback_seconds: Seconds<100, 10_000, 600_000>,
    /// How long a position without changes of ours may stay unsaved. Each save is itself logged.
    #[serde(default)]
    pub save_seconds: Seconds<100, 10_000, 600_000>,
    /// How much of the log may pass before such a position is saved earlier, in megabytes.
    #[serde(default)]
    pub save_megabytes: Whole<1, 16, 4_096>,
    /// How much of the log the slot may keep on Campaign's server before it is an alarm, in
    /// megabytes.
    #[serde(default)]
    pub retained_megabytes_max: Whole<64, 10240, 10_485_760>,
}

fn public() -> SqlName {
    constant("public")
}

fn truce() -> SqlName {
    constant("truce")
}

fn constant(name: &str) -> SqlName {
    SqlName::try_from(name.to_owned()).expect("a default is a name")
}

fn instance() -> Label {
    Label::try_from("campaign".to_owned()).expect("a default is a name")
}

fn external_id_format() -> String {
    "{instance}:{key}".to_owned()
}

impl Campaign {
    /// Where the password is, if one is needed.
    pub fn password(&self) -> Option<SecretSource> {
        SecretSource::of(self.password_file.as_ref(), self.password_env.as_ref())
    }

    /// What the external id field of a CRM record holds for a key of Campaign.
    pub fn external_id(&self, mapping: &Label, key: &str) -> String {
        let (before, after) = self.around_key(mapping);
        format!("{before}{key}{after}")
    }

    /// The key of Campaign that an external id names; `None` where it is not one of ours.
    pub fn key_of<'a>(&self, mapping: &Label, external_id: &'a str) -> Option<&'a str> {
        let (before, after) = self.around_key(mapping);
        let key = external_id.strip_prefix(&before)?.strip_suffix(&after)?;
        (!key.is_empty()).then_some(key)
    }

    fn around_key(&self, mapping: &Label) -> (String, String) {
        let format = self.external_id_format.replace("{instance}", self.instance.as_str());
        let format = format.replace("{mapping}", mapping.as_str());
        let (before, after) = format.split_once("{key}").expect("a format has one key");
        (before.to_owned(), after.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::parsed;

    #[test]
    fn an_external_id_says_whose_key_it_is_and_others_say_nothing() {
        let config = parsed("");
        let (campaign, contacts) = (&config.campaign, config.mappings.keys().next().unwrap());
        assert_eq!(campaign.external_id(contacts, "1234"), "campaign:1234");
        assert_eq!(campaign.key_of(contacts, "campaign:1234"), Some("1234"));
        for foreign in ["", "1234", "campaign:", "other:1234"] {
            assert_eq!(campaign.key_of(contacts, foreign), None, "{foreign}");
        }
    }
}
