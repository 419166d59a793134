//! A replication connection: what `tokio-postgres` does not speak, over the same socket.
//!
//! After [`Wire::log_in`] it takes simple statements, those of replication among them, until
//! [`Wire::stream`] turns it into a stream of copied data, which [`Copied`] frames.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the messages are of postgres-protocol, and most have no place here"
)]

use std::io;

use bytes::{Buf as _, BytesMut};
use postgres_protocol::message::backend::{ErrorFields, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_postgres::fallible_iterator::FallibleIterator as _;

use crate::postgres::{ServerError, ServerUrl, Settings, Socket};

mod login;

mod frame;
pub(super) use frame::{Copied, Framed, MESSAGE_BYTES_MAX, framed, standby_status};

/// Messages of log-in and answers to our few statements are small; whoever sends more is not a
/// PostgreSQL server that we know.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A replication connection on which statements can be run.
#[derive(Debug)]
pub(super) struct Wire {
    socket: Socket,
    inbox: BytesMut,
    server_version: u32,
}

/// A row of an answer to a simple statement.
pub(super) type Row = Vec<Option<String>>;

/// Why a statement has no answer.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The server refuses it.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The connection broke.
    #[error("the connection to the server broke")]
    Broken(#[from] io::Error),
    /// The other end does not keep to the protocol.
    #[error("the server does not keep to the protocol: {0}")]
    Protocol(String),
}

impl Wire {
    /// The server's major version.
    pub(super) fn server_version(&self) -> u32 {
        self.server_version
    }

    /// Runs one statement to its end.
    pub(super) async fn query(&mut self, statement: &str) -> Result<Vec<Row>, WireError> {
        self.send(|buffer| frontend::query(statement, buffer)).await?;
        let (mut rows, mut refusal) = (Vec::new(), None);
        loop {
            match self.message().await {
                Ok(Message::DataRow(row)) => rows.push(texts(&row)?),
                Ok(Message::ReadyForQuery(_)) => break,
                Ok(
                    Message::RowDescription(_)
                    | Message::CommandComplete(_)
                    | Message::EmptyQueryResponse
                    | Message::ParameterStatus(_)
                    | Message::NoticeResponse(_),
                ) => {}
                Err(WireError::Server(error)) => refusal = Some(error),
                Err(error) => return Err(error),
                Ok(_) => return Err(unexpected("in answer to a statement")),
            }
        }
        refusal.map_or(Ok(rows), |error| Err(error.into()))
    }

    /// Starts replication; from here on both sides send copied data.
    pub(super) async fn stream(mut self, statement: &str) -> Result<(Socket, BytesMut), WireError> {
        self.send(|buffer| frontend::query(statement, buffer)).await?;
        loop {
            self.fill(ANSWER_BYTES_MAX).await?;
            // `Message` does not know the answer that we hope for.
            if self.inbox[0] == b'W' {
                let len = u32::from_be_bytes([
                    self.inbox[1],
                    self.inbox[2],
                    self.inbox[3],
                    self.inbox[4],
                ]);
                self.inbox.advance(1 + len as usize);
                return Ok((self.socket, self.inbox));
            }
            match self.message().await? {
                Message::ParameterStatus(_) | Message::NoticeResponse(_) => {}
                _ => return Err(unexpected("in answer to START_REPLICATION")),
            }
        }
    }

    async fn send(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> io::Result<()>,
    ) -> Result<(), WireError> {
        let mut buffer = BytesMut::new();
        write(&mut buffer)?;
        self.socket.write_all(&buffer).await?;
        self.socket.flush().await?;
        Ok(())
    }

    /// The next message, which is no error: that is one here too.
    async fn message(&mut self) -> Result<Message, WireError> {
        self.fill(ANSWER_BYTES_MAX).await?;
        let parsed = Message::parse(&mut self.inbox);
        match parsed.map_err(|error| WireError::Protocol(error.to_string()))? {
            Some(Message::ErrorResponse(body)) => Err(server_error(body.fields()).into()),
            Some(message) => Ok(message),
            None => Err(WireError::Protocol("a message has no end".to_owned())),
        }
    }

    /// Reads until a whole message stands in the inbox.
    async fn fill(&mut self, bytes_max: usize) -> Result<(), WireError> {
        loop {
            if let Framed::Whole(_) = framed(&self.inbox, bytes_max).map_err(WireError::Protocol)? {
                return Ok(());
            }
            if self.socket.read_buf(&mut self.inbox).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}

/// What to start up with: who we are, and the same settings as any session of ours.
fn start_up(url: &ServerUrl) -> io::Result<BytesMut> {
    let options = Settings::default().options();
    let parameters = [
        ("user", url.user()),
        ("database", url.database()),
        ("replication", "database"),
        ("application_name", url.application_name()),
        ("client_encoding", "UTF8"),
        ("options", options.as_str()),
    ];
    let mut buffer = BytesMut::new();
    frontend::startup_message(parameters, &mut buffer)?;
    Ok(buffer)
}

fn texts(row: &postgres_protocol::message::backend::DataRowBody) -> Result<Row, WireError> {
    let text = |range: std::ops::Range<usize>| {
        let bytes = row.buffer().get(range).unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    };
    let ranges = row.ranges().map(|range| Ok(range.map(text))).collect();
    ranges.map_err(|error| WireError::Protocol(error.to_string()))
}

/// The words of a whole error message, head and all.
pub(super) fn refusal(message: &[u8]) -> ServerError {
    match Message::parse(&mut BytesMut::from(message)) {
        Ok(Some(Message::ErrorResponse(body))) => server_error(body.fields()),
        _ => ServerError {
            code: "08P01".to_owned(),
            message: "an error that cannot be read".to_owned(),
            detail: None,
        },
    }
}

/// The server's words. They may be in any encoding as long as we are not logged in.
fn server_error(mut fields: ErrorFields<'_>) -> ServerError {
    let mut error = ServerError { code: String::new(), message: String::new(), detail: None };
    while let Ok(Some(field)) = fields.next() {
        let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => error.code = text,
            b'M' => error.message = text,
            b'D' => error.detail = Some(text),
            _ => {}
        }
    }
    error
}

fn unexpected(place: &str) -> WireError {
    WireError::Protocol(format!("a message came that has no place {place}"))
}

/// A name as it stands in a statement.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as it stands in a statement. The commands of replication know no `E''`, so a backslash
/// is itself.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_leave_their_quotes() {
        assert_eq!(quoted(r#"a"b"#), r#""a""b""#);
        assert_eq!(literal("a'b"), "'a''b'");
    }
}
