//! Which database this is: what tells a restored or cloned one from the one that was known.
//!
//! A copy of Campaign's database next to a copy of our ledger would write into the real CRM. So
//! what identifies the database is kept with the ledger, and compared at every start.

use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use crate::campaign::catalog::Table;
use crate::campaign::{peer_error, quoted};
use crate::peer::PeerError;
use crate::reconcile::Lsn;

/// What identifies a Campaign database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseIdentity {
    /// The cluster's own number, given by `initdb`; a file copy shares it.
    pub system_identifier: String,
    /// The history of the log: another one after a promotion or a restore to a point in time.
    pub timeline: i32,
    /// The database within the cluster: another one after a dump was restored.
    pub database_oid: u32,
    /// Campaign's own identifier, which a dump and its restore share.
    pub campaign_id: Option<String>,
}

/// Where the log and the slot stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogState {
    /// The end of the log.
    pub end: Lsn,
    /// What the slot was told is durable; `None` where there is no such slot.
    pub confirmed: Option<Lsn>,
}

impl DatabaseIdentity {
    /// Asks the database.
    pub async fn read(client: &Client, schema: &str) -> Result<Self, PeerError> {
        let failed = |error| peer_error("asking the database for its identity", error);
        let row = client.query_one(IDENTITY, &[]).await.map_err(failed)?;
        Ok(Self {
            system_identifier: row.get(0),
            timeline: row.get(1),
            database_oid: row.get(2),
            campaign_id: campaign_id(client, schema).await?,
        })
    }

    /// Whether another database answers than the one that was known: it begins a new epoch.
    ///
    /// So does another timeline. A promoted standby may lack what its primary had told us last, and
    /// a restore to a point in time surely does; the end of the log does not tell, since it has
    /// been written on.
    pub fn changed_from(&self, known: &Self) -> Result<(), PeerError> {
        let told = [
            ("the system identifier", &known.system_identifier, &self.system_identifier),
            ("the timeline", &known.timeline.to_string(), &self.timeline.to_string()),
            ("the database's oid", &known.database_oid.to_string(), &self.database_oid.to_string()),
            (
                "Campaign's XtkDatabaseId",
                &shown(known.campaign_id.as_deref()),
                &shown(self.campaign_id.as_deref()),
            ),
        ];
        for (what, was, is) in told {
            if was != is {
                return Err(PeerError::NewEpoch { what, was: was.clone(), is: is.clone() });
            }
        }
        Ok(())
    }
}

impl LogState {
    /// Asks where the log and this slot stand.
    pub async fn read(client: &Client, slot: &str) -> Result<Self, PeerError> {
        let failed = |error| peer_error("asking where the log stands", error);
        let row = client.query_one(LOG, &[&slot]).await.map_err(failed)?;
        let parse = |text: &str| text.parse::<Lsn>().ok();
        let end = row.get::<_, Option<&str>>(0).and_then(parse).unwrap_or_default();
        Ok(Self { end, confirmed: row.get::<_, Option<&str>>(1).and_then(parse) })
    }

    /// Whether a position that was durable with us can still be gone on from.
    ///
    /// A log that ends before it was restored to an earlier time; a slot that starts behind it
    /// has a gap before it; one that is ahead was confirmed by another than us.
    pub fn lost(&self, durable: Lsn, known: i32, is: &DatabaseIdentity) -> Result<(), PeerError> {
        if self.end < durable {
            return Err(PeerError::NewEpoch {
                what: "the end of Campaign's log",
                was: format!("{durable} on timeline {known}"),
                is: format!("{} on timeline {}", self.end, is.timeline),
            });
        }
        match self.confirmed {
            None => Err(PeerError::CursorLost { why: "the slot is gone".to_owned() }),
            Some(confirmed) if durable < confirmed => Err(PeerError::CursorLost {
                why: format!("the slot goes on at {confirmed}, after our {durable}"),
            }),
            Some(_) => Ok(()),
        }
    }
}

const IDENTITY: &str = "
    select (select system_identifier::text from pg_control_system()),
           (select timeline_id from pg_control_checkpoint()),
           (select oid from pg_database where datname = current_database())";

/// On a standby the log ends where it was replayed to.
const LOG: &str = "
    select (case when pg_is_in_recovery() then pg_last_wal_replay_lsn()
                 else pg_current_wal_lsn() end)::text,
           (select confirmed_flush_lsn::text from pg_replication_slots
             where slot_name = $1::text and database = current_database())";

async fn campaign_id(client: &Client, schema: &str) -> Result<Option<String>, PeerError> {
    if Table::read(client, schema, "xtkoption").await?.is_none() {
        return Ok(None);
    }
    let query = format!(
        "select sstringvalue::text from {}.xtkoption where sname = 'XtkDatabaseId'",
        quoted(schema)
    );
    let row = client.query_opt(&query, &[]).await;
    let row = row.map_err(|error| peer_error("reading XtkDatabaseId", error))?;
    Ok(row.and_then(|row| row.get(0)))
}

fn shown(id: Option<&str>) -> String {
    id.unwrap_or("none").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> DatabaseIdentity {
        DatabaseIdentity {
            system_identifier: "7301".to_owned(),
            timeline: 1,
            database_oid: 16_384,
            campaign_id: Some("uFE1".to_owned()),
        }
    }

    #[test]
    fn a_clone_a_restore_and_a_promotion_begin_a_new_epoch() {
        assert!(known().changed_from(&known()).is_ok());
        for other in [
            DatabaseIdentity { system_identifier: "7302".to_owned(), ..known() },
            DatabaseIdentity { timeline: 2, ..known() },
            DatabaseIdentity { database_oid: 16_385, ..known() },
            DatabaseIdentity { campaign_id: None, ..known() },
        ] {
            let changed = other.changed_from(&known());
            assert!(matches!(changed, Err(PeerError::NewEpoch { .. })), "{other:?}");
        }
    }

    #[test]
    fn a_log_that_ends_early_is_a_restore_and_a_slot_that_starts_late_is_a_gap() {
        let told = |end, confirmed: Option<u64>| {
            let log = LogState { end: Lsn(end), confirmed: confirmed.map(Lsn) };
            log.lost(Lsn(100), 1, &known())
        };
        assert!(told(200, Some(100)).is_ok() && told(200, Some(50)).is_ok());
        assert!(matches!(told(99, Some(50)), Err(PeerError::NewEpoch { .. })));
        assert!(matches!(told(200, Some(101)), Err(PeerError::CursorLost { .. })));
        assert!(matches!(told(200, None), Err(PeerError::CursorLost { .. })));
    }
}
