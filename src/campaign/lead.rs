//! Who may write: the session that holds an advisory lock in Campaign's own database.
//!
//! The lock is where the writes are, so that whoever lost the one has lost the other: a session
//! that ends takes its lock with it, and its writer can write no more.

use std::time::Duration;

use crate::campaign::scan::unreachable_server;
use crate::campaign::{peer_error, settings};
use crate::peer::PeerError;
use crate::postgres::{ServerUrl, Session, connect};

/// The session that leads.
#[derive(Debug)]
pub struct Leader {
    session: Session,
}

/// `truc`, so that our locks do not meet those of others.
const LOCK_CLASS: i32 = 0x7472_7563;

/// How long a transaction may wait for us; longer than noting it may take.
const IDLE_MAX: &str = "10s";

impl Leader {
    /// Takes the lock of this slot's agent if nobody holds it; `None` where another leads.
    pub async fn try_lead(
        url: &ServerUrl,
        schema: &str,
        slot: &str,
        statement_timeout: Duration,
    ) -> Result<Option<Self>, PeerError> {
        let settings = settings(schema)
            .bounded(statement_timeout)
            // An agent that is frozen within a transaction must not keep rows locked: the server
            // ends its session, and the lead with it.
            .with("idle_in_transaction_session_timeout", IDLE_MAX);
        let session = connect(url, &settings).await.map_err(unreachable_server)?;
        let asked = session
            .query_one(
                "select pg_try_advisory_lock($1::int4, hashtext($2::text))",
                &[&LOCK_CLASS, &slot],
            )
            .await;
        let leads: bool = asked.map_err(|error| peer_error("asking for the lead", error))?.get(0);
        if !leads {
            session.close().await;
            return Ok(None);
        }
        Ok(Some(Self { session }))
    }

    /// Whether the session lives, and the lock with it, as far as we have heard.
    pub fn is_leading(&self) -> bool {
        !self.session.is_closed()
    }

    /// The session, to write on; the lock stays with it.
    pub(crate) fn into_session(self) -> Session {
        self.session
    }
}
