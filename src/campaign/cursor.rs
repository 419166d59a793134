//! Where Campaign's feed goes on, and what must still be as it was when it does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::campaign::identity::DatabaseIdentity;
use crate::peer::{Cursor, PeerError};
use crate::reconcile::Lsn;

/// A place in the log, and the database and the tables that it is a place of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogCursor {
    /// Everything that was committed before this was told.
    pub end: Lsn,
    /// A transaction of which a part was told.
    pub within: Option<Within>,
    /// Which database it is.
    pub database: DatabaseIdentity,
    /// The oid of each mapped table, by its entity: another one was rebuilt.
    pub tables: BTreeMap<u16, u32>,
    /// What the mapped columns of each were known by: with another text, values may have changed
    /// that no row of the log tells of.
    pub columns: BTreeMap<u16, String>,
}

/// A part of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within {
    /// The transaction, by the place of its commit.
    pub commit: Lsn,
    /// How many of its changes were told.
    pub changes: u32,
}

/// As it is kept: positions as PostgreSQL prints them, for people who look into the ledger.
#[derive(Serialize, Deserialize)]
struct Kept {
    end: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    within: Option<(String, u32)>,
    database: DatabaseIdentity,
    #[serde(default)]
    tables: BTreeMap<u16, u32>,
    #[serde(default)]
    columns: BTreeMap<u16, String>,
}

impl LogCursor {
    /// Reads it; `None` where nothing was ever told.
    pub fn read(cursor: &Cursor) -> Result<Option<Self>, PeerError> {
        if cursor.is_start() {
            return Ok(None);
        }
        let lost = |why: String| PeerError::CursorLost { why };
        let kept: Kept = serde_json::from_value(cursor.0.clone())
            .map_err(|error| lost(format!("the kept position cannot be read: {error}")))?;
        let place = |text: &str| text.parse::<Lsn>().map_err(|error| lost(error.to_string()));
        let within = match &kept.within {
            Some((commit, changes)) => Some(Within { commit: place(commit)?, changes: *changes }),
            None => None,
        };
        Ok(Some(Self {
            end: place(&kept.end)?,
            within,
            database: kept.database,
            tables: kept.tables,
            columns: kept.columns,
        }))
    }

    /// As the ledger keeps it.
    pub fn keep(&self) -> Cursor {
        let kept = Kept {
            end: self.end.to_string(),
            within: self.within.map(|within| (within.commit.to_string(), within.changes)),
            database: self.database.clone(),
            tables: self.tables.clone(),
            columns: self.columns.clone(),
        };
        Cursor(serde_json::to_value(kept).expect("texts and numbers have a JSON form"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_as_it_was_kept() {
        let cursor = LogCursor {
            end: Lsn(0x16_B374_D848),
            within: Some(Within { commit: Lsn(0x16_B374_E000), changes: 7 }),
            database: DatabaseIdentity {
                system_identifier: "7301".to_owned(),
                timeline: 1,
                database_oid: 16_384,
                campaign_id: Some("uFE1".to_owned()),
            },
            tables: [(1, 16_400)].into(),
            columns: [(1, "00ff".to_owned())].into(),
        };
        assert_eq!(LogCursor::read(&cursor.keep()).unwrap(), Some(cursor));
        assert_eq!(LogCursor::read(&Cursor::start()).unwrap(), None);
        let garbled = Cursor(serde_json::json!({"end": "x"}));
        assert!(matches!(LogCursor::read(&garbled), Err(PeerError::CursorLost { .. })));
    }
}
