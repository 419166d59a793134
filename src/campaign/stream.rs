//! The replication stream: one object, no task, that owns the socket, lends decoded messages, and
//! tells the server how far they are durable.
//!
//! ```text
//! loop {
//!     select! {
//!         ready = stream.ready() => {
//!             ready?;
//!             while let Some(frame) = stream.next_frame()? { … }   // borrowed, not copied
//!         }
//!         durable = …  => stream.confirm(durable),
//!     }
//! }
//! ```
//!
//! [`Stream::ready`] and [`Stream::keep_alive`] may be cancelled anywhere: what was read stays in
//! the inbox, what is half sent stays in the outbox. A consumer whose own way is blocked waits on
//! [`Stream::keep_alive`] beside it: nothing is read then, so the server stops sending, but it
//! hears from us and does not hang up.
//!
//! The server sends each row by itself. A client that reads as soon as it can is woken for every
//! row, and so is the server; under load we wait a millisecond between reads, which is worth a
//! third of the client's time and some of the server's, and costs nothing when it is quiet (see
//! `pace`).

use std::io;

use bytes::{Buf as _, BytesMut};
use futures_util::FutureExt as _;
use jiff::Timestamp;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout};

use super::pgoutput::{Message, decode};
use super::wire::{Copied, Framed, MESSAGE_BYTES_MAX, framed, refusal, standby_status};
use crate::postgres::{ServerUrl, Socket};
use crate::reconcile::Lsn;

mod error;
pub use error::StreamError;

mod feedback;
use feedback::Feedback;

mod pace;
use pace::Pace;

mod start;
pub use start::{StartOptions, System};

/// What one read may bring. Of the order of what piles up in a millisecond at full speed.
const READ_BYTES: usize = 256 << 10;
/// A buffer that one large row has blown up is given back.
const INBOX_KEPT_BYTES_MAX: usize = 4 << 20;
/// How long we wait to be let go. The position is confirmed by then, and dropping the connection
/// has the same effect a little later.
const STOP_MAX: Duration = Duration::from_secs(5);

/// A running stream of changes.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    /// What was read and not yet consumed.
    inbox: BytesMut,
    /// How much of the inbox has been lent out already.
    consumed: usize,
    /// What is to be sent.
    outbox: BytesMut,
    feedback: Feedback,
    pace: Pace,
    /// When we asked for an answer that has not come.
    unanswered_since: Option<Instant>,
    place: Place,
    system: System,
    publication: String,
}

/// Where in the history the frames lent out so far have led.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    in_transaction: bool,
    /// The end of the last transaction, or the last message that stood for itself.
    last_end: Lsn,
    /// The server's position when it last said that there is nothing more.
    keepalive_end: Lsn,
}

/// Something the server sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A message of the log.
    Change {
        /// Where in the log it is.
        lsn: Lsn,
        /// The server's clock when it sent it.
        sent_at: Timestamp,
        /// What it says.
        message: Message<'a>,
    },
    /// Nothing more for us up to here.
    Keepalive {
        /// How far the server has come.
        end: Lsn,
        /// The server's clock when it sent it.
        sent_at: Timestamp,
    },
}

impl Stream {
    /// Connects, checks what would otherwise fail later or in other words, and starts.
    pub async fn start(url: &ServerUrl, options: &StartOptions) -> Result<Self, StreamError> {
        let started = start::start(url, options).await?;
        let now = Instant::now();
        Ok(Self {
            socket: started.socket,
            inbox: started.inbox,
            consumed: 0,
            outbox: BytesMut::new(),
            feedback: Feedback::new(options.from, (started.sender_timeout, options.feedback), now),
            pace: Pace::new(options.read_delay, now),
            unanswered_since: None,
            place: Place { last_end: options.from, ..Place::default() },
            system: started.system,
            publication: options.publication.clone(),
        })
    }

    /// The server we stream from.
    pub fn system(&self) -> &System {
        &self.system
    }

    /// Waits until [`Self::next_frame`] has something, sending what is due meanwhile.
    pub async fn ready(&mut self) -> Result<(), StreamError> {
        loop {
            self.send_due(Instant::now()).await?;
            let missing = match framed(&self.inbox[self.consumed..], MESSAGE_BYTES_MAX) {
                Ok(Framed::Whole(_)) => return Ok(()),
                Ok(Framed::Missing(missing)) => missing,
                Err(problem) => return Err(StreamError::Protocol(problem)),
            };
            self.make_room(missing);
            if let Some(pause) = self.pace.pause() {
                sleep(pause).await;
            }
            self.read().await?;
        }
    }

    /// The next whole frame of what was read, or nothing: then it is time for [`Self::ready`].
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, StreamError> {
        loop {
            let rest = &self.inbox[self.consumed..];
            let Framed::Whole(len) =
                framed(rest, MESSAGE_BYTES_MAX).map_err(StreamError::Protocol)?
            else {
                return Ok(None);
            };
            match rest[0] {
                b'd' => {
                    let start = self.consumed + 5;
                    self.consumed += len;
                    return self.lend(start).map(Some);
                }
                // Notices and settings that changed on the server.
                b'N' | b'S' => self.consumed += len,
                b'E' => return Err(self.refused(&rest[..len])),
                b'c' | b'C' | b'Z' => return Err(StreamError::Ended),
                other => {
                    return Err(StreamError::Protocol(format!("a message of kind {other} came")));
                }
            }
        }
    }

    /// Says that everything before this position is durable: the server may forget it, and never
    /// sends it again. It is told within a second.
    ///
    /// The position is one that this stream has lent out, or the one it was started from: a later
    /// one would lose what lies between.
    pub fn confirm(&mut self, durable: Lsn) {
        self.feedback.confirm(durable);
    }

    /// What was confirmed last.
    pub fn confirmed(&self) -> Lsn {
        self.feedback.confirmed()
    }

    /// How far the server's log has reached us.
    pub fn received(&self) -> Lsn {
        self.feedback.received()
    }

    /// Sends what is due, for ever, and reads nothing; returns only if that fails.
    pub async fn keep_alive(&mut self) -> StreamError {
        loop {
            if let Err(error) = self.send_due(Instant::now()).await {
                return error;
            }
            // Not heard, because not listened to.
            self.unanswered_since = None;
            sleep_until(self.feedback.due_at()).await;
        }
    }

    /// Sends the last confirmation and lets the slot go.
    pub async fn stop(mut self) -> Result<(), StreamError> {
        self.feedback.hurry();
        match timeout(STOP_MAX, self.say_goodbye()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(StreamError::Silent { after: STOP_MAX }),
        }
    }

    async fn say_goodbye(&mut self) -> Result<(), StreamError> {
        self.send_due(Instant::now()).await?;
        frontend::copy_done(&mut self.outbox);
        self.send().await?;
        // The server sends what it had begun to send; it will send that again another time.
        loop {
            let whole = framed(&self.inbox[self.consumed..], MESSAGE_BYTES_MAX);
            match whole.map_err(StreamError::Protocol)? {
                Framed::Whole(_) if self.inbox[self.consumed] == b'Z' => break,
                Framed::Whole(len) => self.consumed += len,
                Framed::Missing(missing) => {
                    self.make_room(missing);
                    self.read().await?;
                }
            }
        }
        frontend::terminate(&mut self.outbox);
        self.send().await
    }

    /// Lends the copied data that begins here, and keeps the books about it.
    fn lend(&mut self, start: usize) -> Result<Frame<'_>, StreamError> {
        match Copied::parse(&self.inbox[start..self.consumed])? {
            Copied::Keepalive { end, sent_at, wants_reply } => {
                self.feedback.receive(end);
                self.place.keepalive_end = end;
                if wants_reply {
                    self.feedback.hurry();
                }
                Ok(Frame::Keepalive { end, sent_at })
            }
            Copied::Data { start: lsn, sent_at, message } => {
                let message = decode(message)?;
                self.feedback.receive(lsn);
                match message {
                    Message::Begin(_) => self.place.in_transaction = true,
                    Message::Commit(commit) => {
                        self.place.in_transaction = false;
                        self.place.last_end = commit.end_lsn;
                        self.feedback.receive(commit.end_lsn);
                    }
                    Message::Emitted(emitted) if !emitted.is_transactional => {
                        self.place.last_end = self.place.last_end.max(emitted.lsn);
                    }
                    Message::Emitted(_)
                    | Message::Origin(_)
                    | Message::Relation(_)
                    | Message::Type(_)
                    | Message::Insert(_)
                    | Message::Update(_)
                    | Message::Delete(_)
                    | Message::Truncate(_) => {}
                }
                Ok(Frame::Change { lsn, sent_at, message })
            }
        }
    }

    fn refused(&self, message: &[u8]) -> StreamError {
        StreamError::refused_while_streaming(refusal(message), &self.publication)
    }

    /// Reads once, waiting for it, and then whatever else is there already.
    async fn read(&mut self) -> Result<(), StreamError> {
        let silence_max = self.feedback.silence_max();
        let due_at = self.feedback.due_at();
        let gone_at = self.unanswered_since.map(|asked| asked + silence_max);
        tokio::select! {
            biased;
            read = self.socket.read_buf(&mut self.inbox) => self.heard(read?)?,
            () = sleep_until(gone_at.map_or(due_at, |gone_at| due_at.min(gone_at))) => {
                if gone_at.is_some_and(|gone_at| gone_at <= Instant::now()) {
                    return Err(StreamError::Silent { after: silence_max });
                }
            }
        }
        while self.inbox.len() < self.inbox.capacity() {
            match self.socket.read_buf(&mut self.inbox).now_or_never() {
                Some(read) => self.heard(read?)?,
                None => break,
            }
        }
        Ok(())
    }

    fn heard(&mut self, bytes: usize) -> Result<(), StreamError> {
        if bytes == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.unanswered_since = None;
        self.pace.read(bytes, Instant::now());
        Ok(())
    }

    /// Forgets what was consumed and sees that the rest of a frame, or a good read, finds room.
    fn make_room(&mut self, missing: usize) {
        self.inbox.advance(std::mem::take(&mut self.consumed));
        let wanted = missing.max(READ_BYTES / 4);
        if self.inbox.capacity() - self.inbox.len() >= wanted {
            return;
        }
        let wanted = missing.max(READ_BYTES);
        if INBOX_KEPT_BYTES_MAX < self.inbox.capacity() && missing < READ_BYTES {
            let mut fresh = BytesMut::with_capacity(self.inbox.len() + READ_BYTES);
            fresh.extend_from_slice(&self.inbox);
            self.inbox = fresh;
        }
        self.inbox.reserve(wanted);
    }

    async fn send_due(&mut self, now: Instant) -> Result<(), StreamError> {
        if self.feedback.is_due(now) {
            let status = self.feedback.status(now);
            let (written, durable) = (self.feedback.received(), self.feedback.confirmed());
            let asks = status == feedback::Status::AndAsk;
            if asks {
                self.unanswered_since.get_or_insert(now);
            }
            self.outbox.extend_from_slice(&standby_status(written, durable, wall_clock(), asks));
        }
        self.send().await
    }

    /// Sends all of the outbox. What is cancelled halfway goes on the next time.
    async fn send(&mut self) -> Result<(), StreamError> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        while !self.outbox.is_empty() {
            if self.socket.write_buf(&mut self.outbox).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
        }
        Ok(self.socket.flush().await?)
    }
}

/// The server compares it with its own clock to show the lag.
#[expect(clippy::disallowed_methods, reason = "a status carries the time at which it is sent")]
fn wall_clock() -> Timestamp {
    Timestamp::now()
}
