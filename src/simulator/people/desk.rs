//! Campaign's side: what its workflows and its operators do, by SQL, as the owner of its tables.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::PeopleError;
use crate::postgres::{ServerUrl, Session, Settings, connect};

/// A session of Campaign's own.
#[derive(Debug)]
pub struct Desk {
    session: Session,
}

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Desk {
    /// Opens one.
    pub async fn open(url: &ServerUrl) -> Result<Self, PeopleError> {
        Ok(Self { session: connect(url, &Settings::default()).await? })
    }

    /// The session itself.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Runs one statement; how many rows it touched.
    pub async fn run(&self, sql: &str, values: Parameters<'_>) -> Result<u64, PeopleError> {
        self.session.execute(sql, values).await.map_err(failed(sql))
    }

    /// Reads rows.
    pub async fn read(&self, sql: &str, values: Parameters<'_>) -> Result<Vec<Row>, PeopleError> {
        self.session.query(sql, values).await.map_err(failed(sql))
    }

    /// Runs statements one after another, in one transaction unless they say otherwise.
    pub async fn script(&self, sql: &str) -> Result<(), PeopleError> {
        self.session.batch_execute(sql).await.map_err(failed(sql))
    }

    /// Sets one column of the recipient with this e-mail address, as a form of Campaign would.
    pub async fn edit(&self, who: &str, column: &str, value: &str) -> Result<u64, PeopleError> {
        let sql = format!(
            "update nmsrecipient set {column} = $2, tslastmodified = now() where semail = $1"
        );
        self.run(&sql, &[&who, &value]).await
    }

    /// Sets a flag of that recipient.
    pub async fn flag(&self, who: &str, column: &str, value: i16) -> Result<u64, PeopleError> {
        let sql = format!(
            "update nmsrecipient set {column} = $2, tslastmodified = now() where semail = $1"
        );
        self.run(&sql, &[&who, &value]).await
    }
}

fn failed(statement: &str) -> impl FnOnce(tokio_postgres::Error) -> PeopleError + use<> {
    let statement = statement.to_owned();
    move |source| PeopleError::Statement { statement, source }
}
