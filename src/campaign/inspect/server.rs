//! The server and the role that we are.

use tokio_postgres::{Client, Row};

use super::{Expectations, Finding};
use crate::campaign::identity::DatabaseIdentity;
use crate::campaign::{peer_error, quoted};
use crate::peer::PeerError;

/// The versions that were tried, or whose protocol is the same.
const VERSIONS: std::ops::RangeInclusive<i32> = 11..=18;

pub(super) async fn look(
    client: &Client,
    wanted: &Expectations,
) -> Result<Vec<Finding>, PeerError> {
    let row = client.query_one(FACTS, &[&&*wanted.slot]).await;
    let facts = Facts(row.map_err(|error| peer_error("looking at the server", error))?);
    let mut findings = vec![version(facts.number("version")), wal_level(facts.text("wal_level"))];
    findings.extend(facts.room());
    findings.push(facts.keep_size(wanted.retained_max));
    findings.extend(facts.idle_slots());
    findings.extend(facts.read_only());
    findings.push(timeouts(wanted.lock_timeout_ms, facts.number("deadlock_timeout")));
    findings.push(facts.role());
    if facts.flag("standby") {
        findings.push(Finding::fail(
            "primary",
            "this server is a standby, where nothing can be written",
            "set campaign.url to the primary",
        ));
    }
    if facts.text("encoding") == "SQL_ASCII" {
        // A feed that is stopped for good would keep the log for good.
        findings.push(Finding::fail(
            "encoding",
            "the database has no encoding (SQL_ASCII); a text that is not UTF-8 stops the feed",
            "have a DBA convert the database to UTF8",
        ));
    }
    findings.push(match DatabaseIdentity::read(client, &wanted.schema).await {
        Ok(found) => identity(&found),
        Err(PeerError::Denied { why }) => {
            let (schema, role) = (quoted(&wanted.schema), quoted(facts.text("role")));
            let sql = format!("grant select on {schema}.xtkoption to {role}");
            Finding::fail("database", why, sql)
        }
        Err(error) => return Err(error),
    });
    Ok(findings)
}

const FACTS: &str = "
    select current_setting('server_version_num')::int / 10000 as version,
           current_setting('wal_level') as wal_level,
           current_setting('max_replication_slots')::int as slots_max,
           (select count(*)::int from pg_replication_slots) as slots,
           exists (select from pg_replication_slots where slot_name = $1::text) as has_slot,
           exists (select from pg_replication_slots
                    where slot_name = $1::text and active) as streams,
           current_setting('max_wal_senders')::int as senders_max,
           (select count(*)::int from pg_stat_replication) as senders,
           coalesce(current_setting('max_slot_wal_keep_size', true), '') as keep_size,
           (select setting::bigint from pg_settings where name = 'max_slot_wal_keep_size')
               as keep_megabytes,
           coalesce((select setting::bigint from pg_settings
                      where name = 'idle_replication_slot_timeout'), 0) as idle_seconds,
           current_setting('default_transaction_read_only')::boolean as read_only,
           current_database()::text as database,
           (select setting::int from pg_settings where name = 'deadlock_timeout')
               as deadlock_timeout,
           current_user::text as role,
           (select rolreplication or rolsuper from pg_roles where rolname = current_user)
               or exists (select from pg_roles where rolname = 'rds_replication'
                           and pg_has_role(oid, 'member')) as replicates,
           pg_is_in_recovery() as standby,
           current_setting('server_encoding') as encoding";

struct Facts(Row);

impl Facts {
    fn number(&self, name: &str) -> i32 {
        self.0.get(name)
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name)
    }

    fn flag(&self, name: &str) -> bool {
        self.0.get(name)
    }

    /// Whether one more slot and one more sender find a place.
    fn room(&self) -> [Finding; 2] {
        let (slots, slots_max) = (self.number("slots"), self.number("slots_max"));
        let (senders, senders_max) = (self.number("senders"), self.number("senders_max"));
        let setting = |name: &str, max: i32| {
            format!("alter system set {name} = {}; then restart the server", max + 4)
        };
        let found = |n: i32, max: i32| format!("{n} of {max} in use");
        let slot = if slots < slots_max || self.flag("has_slot") {
            Finding::good("max_replication_slots", found(slots, slots_max))
        } else {
            let remedy = setting("max_replication_slots", slots_max);
            Finding::fail("max_replication_slots", found(slots, slots_max), remedy)
        };
        let sender = if senders < senders_max || self.flag("streams") {
            Finding::good("max_wal_senders", found(senders, senders_max))
        } else {
            let remedy = setting("max_wal_senders", senders_max);
            Finding::fail("max_wal_senders", found(senders, senders_max), remedy)
        };
        [slot, sender]
    }

    /// Unbounded, a slot that nobody reads fills the disk; bounded, it is lost instead, which costs
    /// a comparison of everything: the better of the two, where the alarm comes before.
    fn keep_size(&self, retained_max: u64) -> Finding {
        let what = "max_slot_wal_keep_size";
        let alarm = retained_max >> 20;
        let size = self.text("keep_size");
        let megabytes: Option<i64> = self.0.get("keep_megabytes");
        match megabytes.map(u64::try_from) {
            None => Finding::warn(
                what,
                "this version cannot bound what a slot keeps: a dead agent can fill the disk",
                "watch truce_campaign_slot_retained_bytes, or upgrade to PostgreSQL 13",
            ),
            Some(Err(_)) => Finding::warn(
                what,
                format!(
                    "not bounded: while the agent is down, the slot keeps all that is logged, until \
                     the disk is full; a good bound is twice campaign.retained_megabytes_max \
                     ({alarm} MB)"
                ),
                format!(
                    "alter system set max_slot_wal_keep_size = '{}MB'; select pg_reload_conf()",
                    alarm.saturating_mul(2)
                ),
            ),
            Some(Ok(most)) if most <= alarm => Finding::warn(
                what,
                format!(
                    "it is {size}: a slot that falls further behind is lost, and all records are \
                     compared; that comes before the alarm of campaign.retained_megabytes_max \
                     ({alarm} MB)"
                ),
                format!("set campaign.retained_megabytes_max below {most}, or raise this setting"),
            ),
            Some(Ok(_)) => Finding::good(
                what,
                format!("{size}: a slot that falls further behind is lost, and all is compared"),
            ),
        }
    }

    /// From version 18 on a server may give up slots that nobody has read for a while.
    fn idle_slots(&self) -> Option<Finding> {
        let seconds: i64 = self.0.get("idle_seconds");
        (0 < seconds).then(|| {
            Finding::warn(
                "idle_replication_slot_timeout",
                format!(
                    "an agent that is down for {seconds} s loses its slot, and all records are \
                     compared"
                ),
                "alter system set idle_replication_slot_timeout = 0; select pg_reload_conf()",
            )
        })
    }

    fn read_only(&self) -> Option<Finding> {
        let (role, database) = (self.text("role"), self.text("database"));
        self.flag("read_only").then(|| {
            Finding::fail(
                "default_transaction_read_only",
                format!("it is on for {role}, so nothing can be written"),
                format!(
                    "alter role {} in database {} set default_transaction_read_only = off",
                    quoted(role),
                    quoted(database)
                ),
            )
        })
    }

    fn role(&self) -> Finding {
        let role = self.text("role");
        if self.flag("replicates") {
            return Finding::good("replication right", format!("{role} may replicate"));
        }
        let cause = format!(
            "{role} may not follow the log (on Amazon RDS the right is membership in \
             rds_replication)"
        );
        let sql = format!("alter role {} replication", quoted(role));
        Finding::fail("replication right", cause, sql)
    }
}

fn version(version: i32) -> Finding {
    let (what, found) = ("server version", format!("PostgreSQL {version}"));
    if version < *VERSIONS.start() {
        Finding::fail(
            what,
            format!("{found} cannot replicate a TRUNCATE"),
            "upgrade to 11 or later",
        )
    } else if VERSIONS.contains(&version) {
        Finding::good(what, found)
    } else {
        Finding::warn(what, format!("{found} is newer than what was tried"), "try it beside first")
    }
}

fn wal_level(level: &str) -> Finding {
    if level == "logical" {
        return Finding::good("wal_level", level);
    }
    Finding::fail(
        "wal_level",
        format!("it is {level}: the log does not say which rows changed"),
        "alter system set wal_level = 'logical'; then restart the server",
    )
}

/// A wait for a lock that lasts to the deadlock check can end Campaign's statement instead of ours.
fn timeouts(lock_ms: u64, deadlock_ms: i32) -> Finding {
    let (what, found) =
        ("lock timeout", format!("{lock_ms} ms, deadlock_timeout {deadlock_ms} ms"));
    if lock_ms < u64::try_from(deadlock_ms).unwrap_or(0) {
        return Finding::good(what, found);
    }
    Finding::fail(
        what,
        format!("{found}: PostgreSQL may end Campaign's workflow to let our write pass"),
        format!("set campaign.lock_timeout_ms below {deadlock_ms}"),
    )
}

fn identity(identity: &DatabaseIdentity) -> Finding {
    let system = format!("system {}", identity.system_identifier);
    match &identity.campaign_id {
        Some(id) => Finding::good("database", format!("{system}, XtkDatabaseId {id}")),
        None => Finding::warn(
            "database",
            format!("{system}; there is no XtkDatabaseId, so this may be no Campaign database"),
            "check campaign.url and campaign.schema",
        ),
    }
}
