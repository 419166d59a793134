//! Logging in to a replication connection.

use bytes::BytesMut;
use postgres_protocol::authentication::{md5_hash, sasl};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt as _;
use tokio_postgres::fallible_iterator::FallibleIterator as _;

use super::{Wire, WireError, start_up, unexpected};
use crate::postgres::{ConnectError, Endpoint, ServerUrl, Socket};

/// Why we are not in, before it is said where.
enum LoginError {
    Wire(WireError),
    NoPassword,
    Method(&'static str),
}

impl Wire {
    /// Opens a replication connection to the database of the address.
    pub(in crate::campaign) async fn log_in(url: &ServerUrl) -> Result<Self, ConnectError> {
        let after = url.connect_timeout();
        match tokio::time::timeout(after, opened(url)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ConnectError::Timeout { at: Endpoint::of(url), after }),
        }
    }
}

async fn opened(url: &ServerUrl) -> Result<Wire, ConnectError> {
    let socket = Socket::open(url).await?;
    let at = Endpoint::of(url);
    let inbox = BytesMut::with_capacity(8 << 10);
    let mut wire = Wire { socket, inbox, server_version: 0 };
    let outcome = async {
        let start_up = start_up(url).map_err(WireError::from)?;
        wire.socket.write_all(&start_up).await.map_err(WireError::from)?;
        authenticate(&mut wire, url).await?;
        Ok(until_ready(&mut wire).await?)
    };
    match outcome.await {
        Ok(()) => Ok(wire),
        Err(LoginError::NoPassword) => Err(ConnectError::NoPassword { at }),
        Err(LoginError::Method(method)) => {
            Err(ConnectError::Method { at, method: method.to_owned() })
        }
        Err(LoginError::Wire(WireError::Server(source))) => {
            Err(ConnectError::refused_login(at, source))
        }
        Err(LoginError::Wire(WireError::Broken(source))) => {
            Err(ConnectError::Broken { at, source })
        }
        Err(LoginError::Wire(WireError::Protocol(problem))) => {
            Err(ConnectError::Protocol { at, problem })
        }
    }
}

async fn authenticate(wire: &mut Wire, url: &ServerUrl) -> Result<(), LoginError> {
    let password = || url.password().map(str::as_bytes).ok_or(LoginError::NoPassword);
    match wire.message().await? {
        Message::AuthenticationOk => return Ok(()),
        Message::AuthenticationCleartextPassword if wire.socket.is_private() => {
            let password = password()?;
            wire.send(|buffer| frontend::password_message(password, buffer)).await?;
        }
        Message::AuthenticationCleartextPassword => {
            return Err(LoginError::Method("a password in clear text without TLS"));
        }
        Message::AuthenticationMd5Password(body) => {
            let hash = md5_hash(url.user().as_bytes(), password()?, body.salt());
            wire.send(|buffer| frontend::password_message(hash.as_bytes(), buffer)).await?;
        }
        Message::AuthenticationSasl(body) => scram(wire, &body, password()?).await?,
        Message::AuthenticationGss
        | Message::AuthenticationSspi
        | Message::AuthenticationKerberosV5
        | Message::AuthenticationScmCredential => {
            return Err(LoginError::Method("Kerberos, GSSAPI or SSPI"));
        }
        _ => return Err(unexpected("in a log-in").into()),
    }
    match wire.message().await? {
        Message::AuthenticationOk => Ok(()),
        _ => Err(unexpected("after a password").into()),
    }
}

/// Proves that we know the password and sees that the server does; bound to its certificate where
/// both sides can.
async fn scram(
    wire: &mut Wire,
    offer: &AuthenticationSaslBody,
    password: &[u8],
) -> Result<(), LoginError> {
    let (mechanism, binding) = mechanism(offer, &wire.socket)?;
    let mut scram = sasl::ScramSha256::new(password, binding);
    let first =
        |buffer: &mut BytesMut| frontend::sasl_initial_response(mechanism, scram.message(), buffer);
    wire.send(first).await?;
    match wire.message().await? {
        Message::AuthenticationSaslContinue(body) => {
            scram.update(body.data()).map_err(|error| WireError::Protocol(error.to_string()))?;
        }
        _ => return Err(unexpected("in a SCRAM log-in").into()),
    }
    wire.send(|buffer| frontend::sasl_response(scram.message(), buffer)).await?;
    match wire.message().await? {
        Message::AuthenticationSaslFinal(body) => {
            let proven = scram.finish(body.data());
            Ok(proven.map_err(|error| WireError::Protocol(error.to_string()))?)
        }
        _ => Err(unexpected("in a SCRAM log-in").into()),
    }
}

fn mechanism(
    offer: &AuthenticationSaslBody,
    socket: &Socket,
) -> Result<(&'static str, sasl::ChannelBinding), LoginError> {
    let offered: Vec<&str> =
        offer.mechanisms().collect().map_err(|error| WireError::Protocol(error.to_string()))?;
    let plus = offered.contains(&sasl::SCRAM_SHA_256_PLUS);
    match socket.server_end_point() {
        Some(end_point) if plus => {
            let binding = sasl::ChannelBinding::tls_server_end_point(end_point);
            Ok((sasl::SCRAM_SHA_256_PLUS, binding))
        }
        _ if !offered.contains(&sasl::SCRAM_SHA_256) => {
            Err(LoginError::Method("a SASL mechanism other than SCRAM-SHA-256"))
        }
        // Said so that a server which did offer it notices that somebody took the offer away.
        Some(_) => Ok((sasl::SCRAM_SHA_256, sasl::ChannelBinding::unrequested())),
        None => Ok((sasl::SCRAM_SHA_256, sasl::ChannelBinding::unsupported())),
    }
}

/// Reads what a server says of itself before the first statement.
async fn until_ready(wire: &mut Wire) -> Result<(), WireError> {
    loop {
        match wire.message().await? {
            Message::ParameterStatus(body) => {
                let (name, value) = (body.name()?, body.value()?);
                if name == "server_version" {
                    wire.server_version = major(value)
                        .ok_or_else(|| WireError::Protocol(format!("version `{value}`")))?;
                }
            }
            Message::ReadyForQuery(_) => return Ok(()),
            Message::BackendKeyData(_) | Message::NoticeResponse(_) => {}
            _ => return Err(unexpected("after a log-in")),
        }
    }
}

/// `15.18 (Debian 15.18-0)`, `18beta1`: the digits in front.
fn major(version: &str) -> Option<u32> {
    let end = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..end].parse().ok()
}

impl<E: Into<WireError>> From<E> for LoginError {
    fn from(error: E) -> Self {
        Self::Wire(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_number_in_front() {
        assert_eq!(major("15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major("18beta1"), Some(18));
        assert_eq!(major("devel"), None);
    }
}
