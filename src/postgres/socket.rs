//! An open connection to a server, secured as the address asks, before anything is said over it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use super::error::{ConnectError, Endpoint};
use super::tls;
use super::url::{Host, ServerUrl, SslMode};

/// A host that died without a word is noticed within three times the silence that is allowed, both
/// while we wait for it (keepalives) and while we send to it (user timeout): fifteen seconds, unless
/// the config says otherwise.
const KEEPALIVE_RETRIES: u32 = 3;
/// The system counts it in whole seconds.
const KEEPALIVE_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// A connection to a server.
#[derive(Debug)]
pub enum Socket {
    /// Plain, over the network.
    Tcp(TcpStream),
    /// Over the network and secured.
    Tls(Box<TlsStream<TcpStream>>),
    /// Within the machine.
    Unix(UnixStream),
}

impl Socket {
    /// Connects and secures. The caller bounds the time it takes.
    pub async fn open(url: &ServerUrl) -> Result<Self, ConnectError> {
        match url.host() {
            Host::Tcp(host) => {
                let tcp = dial(host, url).await?;
                negotiate(tcp, url).await
            }
            Host::Unix(directory) => {
                let path = directory.join(format!(".s.PGSQL.{}", url.port()));
                let unix = UnixStream::connect(path).await;
                unix.map(Self::Unix).map_err(|e| ConnectError::unopened(Endpoint::of(url), e))
            }
        }
    }

    /// Whether nobody in between can read along.
    pub fn is_private(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Tls(_) | Self::Unix(_) => true,
        }
    }

    /// What a SCRAM login over this connection is bound to.
    pub fn server_end_point(&self) -> Option<Vec<u8>> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => None,
            Self::Tls(stream) => tls::server_end_point(stream),
        }
    }
}

async fn dial(host: &str, url: &ServerUrl) -> Result<TcpStream, ConnectError> {
    let at = || Endpoint::of(url);
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, url.port()))
        .await
        .map_err(|source| ConnectError::Unresolved { at: at(), source })?
        .collect();
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(tcp) => {
                let tuned = tune(&tcp, url.keepalive()).map(|()| tcp);
                return tuned.map_err(|source| ConnectError::Broken { at: at(), source });
            }
            Err(error) => failure = error,
        }
    }
    Err(ConnectError::unopened(at(), failure))
}

fn tune(tcp: &TcpStream, silence: Duration) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    let keepalive = TcpKeepalive::new()
        .with_time(silence)
        .with_interval((silence * 2 / 3).max(KEEPALIVE_INTERVAL_MIN))
        .with_retries(KEEPALIVE_RETRIES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(silence * 3))?;
    Ok(())
}

/// Asks for TLS where the mode wants it. Exactly one byte is read before the handshake: whatever
/// stood behind it would have come unsecured.
async fn negotiate(mut tcp: TcpStream, url: &ServerUrl) -> Result<Socket, ConnectError> {
    let mode = url.ssl_mode();
    if mode == SslMode::Disable {
        return Ok(Socket::Tcp(tcp));
    }
    let at = || Endpoint::of(url);
    let broken = |source| ConnectError::Broken { at: at(), source };
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    tcp.write_all(&request).await.map_err(broken)?;
    match tcp.read_u8().await.map_err(broken)? {
        b'S' => Ok(Socket::Tls(Box::new(tls::secure(tcp, url).await?))),
        b'N' if mode == SslMode::Prefer => Ok(Socket::Tcp(tcp)),
        b'N' => Err(ConnectError::NoTls { at: at(), mode: mode.name() }),
        other => Err(ConnectError::Protocol {
            at: at(),
            problem: format!("byte {other} came in answer to the wish for TLS"),
        }),
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(inner) => Pin::new(inner).poll_read(cx, buf),
            Self::Tls(inner) => Pin::new(inner).poll_read(cx, buf),
            Self::Unix(inner) => Pin::new(inner).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(inner) => Pin::new(inner).poll_write(cx, buf),
            Self::Tls(inner) => Pin::new(inner).poll_write(cx, buf),
            Self::Unix(inner) => Pin::new(inner).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(inner) => Pin::new(inner).poll_flush(cx),
            Self::Tls(inner) => Pin::new(inner).poll_flush(cx),
            Self::Unix(inner) => Pin::new(inner).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(inner) => Pin::new(inner).poll_shutdown(cx),
            Self::Tls(inner) => Pin::new(inner).poll_shutdown(cx),
            Self::Unix(inner) => Pin::new(inner).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_silence_is_broken_after_as_long_as_the_address_says() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url: ServerUrl =
            format!("postgresql://truce@127.0.0.1:{port}/campaign?sslmode=disable")
                .parse()
                .unwrap();
        for seconds in [5, 40] {
            let url = url.clone().with_keepalive(Duration::from_secs(seconds));
            let Socket::Tcp(tcp) = Socket::open(&url).await.unwrap() else { panic!("not plain") };
            let socket = SockRef::from(&tcp);
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(seconds));
            let timeout = socket.tcp_user_timeout().unwrap();
            assert_eq!(timeout, Some(Duration::from_secs(3 * seconds)));
        }
    }
}
