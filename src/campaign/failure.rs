//! What a failed statement means for the caller.

use std::error::Error;

use tokio_postgres::error::SqlState;

use crate::peer::PeerError;
use crate::postgres::ServerError;

/// Sorts a failure by what the caller does about it.
pub(crate) fn peer_error(doing: &'static str, error: tokio_postgres::Error) -> PeerError {
    let Some(said) = error.as_db_error() else {
        return PeerError::Transient { doing, source: Box::new(error) };
    };
    let why = format!("{doing}: {} ({})", said.message(), said.code().code());
    if *said.code() == SqlState::QUERY_CANCELED {
        let why = format!(
            "{} (57014); where it needs the time, raise campaign.statement_timeout_seconds",
            said.message()
        );
        return PeerError::Transient { doing, source: why.into() };
    }
    if *said.code() == SqlState::INSUFFICIENT_PRIVILEGE {
        return PeerError::Denied { why };
    }
    let gone = [
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_COLUMN,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::INVALID_SCHEMA_NAME,
    ];
    if gone.contains(said.code()) {
        return PeerError::Unfit { why };
    }
    PeerError::Transient { doing, source: Box::new(ServerError::of_statement(said)) }
}

/// An error with its causes in one line, for messages to people.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
