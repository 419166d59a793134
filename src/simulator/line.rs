//! Connections that can be cut: a client whose line breaks gets no answer at all.

use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// All open connections, by the address of their client.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    open: Arc<Mutex<BTreeMap<SocketAddr, Arc<AtomicBool>>>>,
    accepting: Arc<AtomicBool>,
}

impl Lines {
    pub(super) fn new() -> Lines {
        Lines { open: Arc::default(), accepting: Arc::new(AtomicBool::new(true)) }
    }

    /// Breaks the connection of one client.
    pub(super) fn cut(&self, client: SocketAddr) {
        if let Some(cut) = self.lock().get(&client) {
            cut.store(true, Ordering::Release);
        }
    }

    /// Takes new connections, or closes them, and those that are open, at once.
    pub(super) fn accept(&self, accepting: bool) {
        self.accepting.store(accepting, Ordering::Release);
        if !accepting {
            for cut in self.lock().values() {
                cut.store(true, Ordering::Release);
            }
        }
    }

    pub(super) fn is_accepting(&self) -> bool {
        self.accepting.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Arc<AtomicBool>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Accept<TcpStream, S> for Lines {
    type Stream = Line;
    type Service = S;
    type Future = Ready<io::Result<(Line, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(self.open_line(stream).map(|line| (line, service)))
    }
}

impl Lines {
    fn open_line(&self, stream: TcpStream) -> io::Result<Line> {
        if !self.is_accepting() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        stream.set_nodelay(true)?;
        let client = stream.peer_addr()?;
        let cut = Arc::new(AtomicBool::new(false));
        self.lock().insert(client, Arc::clone(&cut));
        Ok(Line { stream, cut, client, lines: self.clone() })
    }
}

/// A connection that fails once it is cut.
#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    cut: Arc<AtomicBool>,
    client: SocketAddr,
    lines: Lines,
}

impl Line {
    fn check(&self) -> io::Result<()> {
        if self.cut.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.lines.lock().remove(&self.client);
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.check()?;
        read
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
