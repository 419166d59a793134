//! A session for everything that is not the replication stream.

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::io;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::config::{SslMode as Negotiate, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{AsyncMessage, Client, Config, Connection};

use super::error::{ConnectError, Endpoint, ServerError};
use super::socket::Socket;
use super::url::ServerUrl;

/// A live session: a [`Client`], and the task that moves its bytes. It ends when dropped.
#[derive(Debug)]
pub struct Session {
    client: Client,
    connection: JoinHandle<()>,
}

/// What a session sets for itself before its first statement.
///
/// The defaults make the text of a value one and the same wherever it is read: UTC, ISO dates,
/// floats that survive the round trip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings(Vec<(String, String)>);

/// Opens a session.
pub async fn connect(url: &ServerUrl, settings: &Settings) -> Result<Session, ConnectError> {
    let after = url.connect_timeout();
    let login = async {
        let socket = Socket::open(url).await?;
        log_in(socket, url, settings).await
    };
    match tokio::time::timeout(after, login).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ConnectError::Timeout { at: Endpoint::of(url), after }),
    }
}

async fn log_in(
    socket: Socket,
    url: &ServerUrl,
    settings: &Settings,
) -> Result<Session, ConnectError> {
    let mut config = Config::new();
    config
        .user(url.user())
        .dbname(url.database())
        .application_name(url.application_name())
        .options(settings.options())
        // The socket is secured already, or was not meant to be; see `Opened`.
        .ssl_mode(Negotiate::Require)
        .ssl_negotiation(SslNegotiation::Direct);
    if let Some(password) = url.password() {
        config.password(password);
    }
    let connected = config.connect_raw(socket, Opened).await;
    let (client, connection) = connected.map_err(|error| refused(&error, url))?;
    Ok(Session { client, connection: tokio::spawn(carry(connection)) })
}

/// Moves bytes until the client is dropped or the server is gone. Whoever waits for an answer is
/// told of an error there, so it is not repeated here.
async fn carry(mut connection: Connection<Socket, Socket>) {
    loop {
        match poll_fn(|cx| connection.poll_message(cx)).await {
            Some(Ok(AsyncMessage::Notice(notice))) => {
                tracing::debug!(code = notice.code().code(), "notice from the server");
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::debug!(%error, "a session ended");
                return;
            }
            None => return,
        }
    }
}

/// Why the server or the line did not let us in.
fn refused(error: &tokio_postgres::Error, url: &ServerUrl) -> ConnectError {
    use std::error::Error as _;
    let at = Endpoint::of(url);
    if let Some(source) = error.as_db_error() {
        return ConnectError::refused_login(at, ServerError::from(source));
    }
    let cause = error.source();
    if let Some(source) = cause.and_then(|cause| cause.downcast_ref::<io::Error>()) {
        let source = io::Error::new(source.kind(), source.to_string());
        return ConnectError::Broken { at, source };
    }
    let problem = cause.map_or_else(|| error.to_string(), ToString::to_string);
    match problem.as_str() {
        "password missing" => ConnectError::NoPassword { at },
        "unsupported authentication method" => {
            ConnectError::Method { at, method: "Kerberos, GSSAPI or SSPI".to_owned() }
        }
        _ if error.is_closed() => {
            ConnectError::Broken { at, source: io::Error::from(io::ErrorKind::UnexpectedEof) }
        }
        _ => ConnectError::Protocol { at, problem },
    }
}

impl Session {
    /// Ends the session and waits until the server has been told.
    pub async fn close(self) {
        drop(self.client);
        // A panic of that task has nobody left to hurt.
        let _ended: Result<(), tokio::task::JoinError> = self.connection.await;
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self(Vec::new())
            .with("timezone", "UTC")
            .with("datestyle", "ISO")
            .with("intervalstyle", "iso_8601")
            .with("extra_float_digits", "3")
            .with("bytea_output", "hex")
    }
}

impl Settings {
    /// The same, and this one.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.push((name.to_owned(), value.into()));
        self
    }

    /// The same, and no statement runs longer than this: one that is stuck must end.
    pub fn bounded(self, statement_timeout: Duration) -> Self {
        self.with("statement_timeout", format!("{}ms", statement_timeout.as_millis().max(1)))
    }

    /// As the start-up message carries them: `-c name=value`, blanks and backslashes escaped.
    pub fn options(&self) -> String {
        let escaped = |value: &str| value.replace('\\', "\\\\").replace(' ', "\\ ");
        let one = |(name, value): &(String, String)| format!("-c {name}={}", escaped(value));
        self.0.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

/// Hands the opened socket through: to `tokio-postgres` it looks like TLS that needs no handshake,
/// which keeps its login bound to the certificate where there is one.
struct Opened;

impl TlsConnect<Socket> for Opened {
    type Stream = Socket;
    type Error = Infallible;
    type Future = Ready<Result<Socket, Infallible>>;

    fn connect(self, socket: Socket) -> Self::Future {
        ready(Ok(socket))
    }
}

impl TlsStream for Socket {
    fn channel_binding(&self) -> ChannelBinding {
        self.server_end_point()
            .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_escaped_for_the_start_up_message() {
        let settings = Settings(Vec::new()).with("search_path", r#"a b,"c\d""#).with("x", "1");
        assert_eq!(settings.options(), r#"-c search_path=a\ b,"c\\d" -c x=1"#);
    }
}
