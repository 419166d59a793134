//! Campaign's feed: the log, from where it was last told, in pages.
//!
//! No task and no queue: the stream lends a message, the gathering takes what is mapped out of it,
//! and the page is handed over when there is nothing more at once, or when it is full. What was
//! not handed over stays with the feed, so a call may be dropped. The server is told of a position
//! only by [`Feed::confirm`].

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::campaign::cursor::LogCursor;
use crate::campaign::gather::{Gather, Start};
use crate::campaign::identity::{DatabaseIdentity, LogState};
use crate::campaign::scan::unreachable_server;
use crate::campaign::slot::{self, SlotError};
use crate::campaign::stream::{Frame, StartOptions, Stream, StreamError};
use crate::campaign::table::Tables;
use crate::campaign::{chain, peer_error, settings, skew};
use crate::peer::{Ask, Cursor, Feed, Page, PeerError};
use crate::postgres::{ServerUrl, connect};
use crate::reconcile::{Lsn, Skew};

/// Where to stream from, and how much at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedOptions {
    /// Campaign's database.
    pub url: ServerUrl,
    /// The schema of its tables.
    pub schema: Arc<str>,
    /// Our slot.
    pub slot: Arc<str>,
    /// Our publication.
    pub publication: Arc<str>,
    /// The most observations of a page.
    pub rows: usize,
    /// Roughly the most bytes of a page.
    pub bytes: usize,
    /// How long a position without observations may stay untold: each is saved, and that is logged.
    pub idle: Duration,
    /// How much of the log may pass before such a position is told earlier.
    pub idle_bytes: u64,
    /// How long a question may take that is asked beside the stream.
    pub statement_timeout: Duration,
    /// How often the server is told how far we are while nothing happens.
    pub feedback: Duration,
    /// How long to wait between two reads while changes pour in.
    pub read_delay: Duration,
}

/// The feed of Campaign's changes.
#[derive(Debug)]
pub struct CampaignFeed {
    options: FeedOptions,
    tables: Tables,
    running: Option<Running>,
    durable: Lsn,
}

/// A stream, and how far of it was handed over.
#[derive(Debug)]
struct Running {
    stream: Stream,
    gather: Gather,
    epoch: u32,
    database: DatabaseIdentity,
    told: Cursor,
    told_end: Lsn,
    told_at: Instant,
    skew: Option<Skew>,
}

impl CampaignFeed {
    /// Connects when it is first asked.
    pub fn new(options: FeedOptions, tables: Tables) -> Self {
        assert!(0 < options.rows && 0 < options.bytes, "a page without room would never come");
        Self { options, tables, running: None, durable: Lsn::default() }
    }

    /// Sends what keeps the server from hanging up, for as long as the caller does something else;
    /// returns only when the stream has ended.
    pub async fn keep_alive(&mut self) -> PeerError {
        match &mut self.running {
            Some(running) => failed(running.stream.keep_alive().await),
            None => std::future::pending().await,
        }
    }

    /// Sends the last confirmation and lets the slot go, so that the next agent finds it free.
    pub async fn stop(&mut self) -> Result<(), PeerError> {
        match self.running.take() {
            Some(running) => running.stream.stop().await.map_err(failed),
            None => Ok(()),
        }
    }

    /// Starts after the cursor, if it still means anything.
    async fn start(
        &mut self,
        after: &Cursor,
        asked: &mut (dyn Ask + Send),
    ) -> Result<(), PeerError> {
        if let Some(running) = self.running.take() {
            // Whatever it says: the next start will tell whether the slot is free.
            let _stopped: Result<(), StreamError> = running.stream.stop().await;
        }
        let options = &self.options;
        let known = LogCursor::read(after)?;
        let settings = settings(&options.schema).bounded(options.statement_timeout);
        let session = connect(&options.url, &settings).await.map_err(unreachable_server)?;
        let database = DatabaseIdentity::read(&session, &options.schema).await?;
        if let Some(known) = &known {
            database.changed_from(&known.database)?;
        }
        self.renew_slot().await?;
        let log = LogState::read(&session, &options.slot).await?;
        let end = match (&known, log.confirmed) {
            (Some(known), _) => {
                log.lost(known.end, known.database.timeline, &database)?;
                known.end
            }
            (None, Some(confirmed)) => confirmed,
            (None, None) => {
                let slot = &options.slot;
                let why = format!("there is no slot {slot}; `truce setup` creates it");
                return Err(PeerError::Unfit { why });
            }
        };
        let skew = skew::measure(&session, &mut || asked.tick().1).await?;
        let xid = recent_xid(&session).await?;
        session.close().await;
        let start = StartOptions {
            slot: options.slot.as_ref().to_owned(),
            publication: options.publication.as_ref().to_owned(),
            from: end,
            feedback: options.feedback,
            read_delay: options.read_delay,
        };
        let stream = Stream::start(&options.url, &start).await.map_err(failed)?;
        let epoch = asked.tick().0.epoch;
        let known = known.map(|known| (known.within, known.tables, known.columns));
        let (within, oids, prints) = known.unwrap_or_default();
        let start = Start { epoch, end, within, oids, prints, xid };
        self.running = Some(Running {
            stream,
            gather: Gather::new(self.tables.clone(), start),
            epoch,
            database,
            told: after.clone(),
            told_end: end,
            told_at: Instant::now(),
            skew: Some(skew),
        });
        Ok(())
    }
}

impl CampaignFeed {
    /// A slot that lost log is made anew, and what it lost is compared: asked for once the new one
    /// is there, or what changes in between would be in neither.
    async fn renew_slot(&self) -> Result<(), PeerError> {
        let FeedOptions { url, schema, slot, .. } = &self.options;
        // Not bounded: it waits for transactions, and half of it would leave no slot at all.
        let session = connect(url, &settings(schema)).await.map_err(unreachable_server)?;
        let renewed = slot::renew_lost(&session, slot).await;
        session.close().await;
        match renewed {
            Ok(false) => Ok(()),
            Ok(true) => {
                let why = format!("the slot {slot} had lost part of the log and was made anew");
                Err(PeerError::CursorLost { why })
            }
            Err(SlotError::Statement { doing, source }) => Err(peer_error(doing, source)),
            Err(error @ SlotError::Unreadable(_)) => Err(PeerError::Unfit { why: chain(&error) }),
        }
    }
}

impl Feed for CampaignFeed {
    async fn page(
        &mut self,
        after: &Cursor,
        patience: Duration,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Page, PeerError> {
        let deadline = Instant::now() + patience;
        let epoch = asked.tick().0.epoch;
        let goes_on = |running: &Running| running.told == *after && running.epoch == epoch;
        if !self.running.as_ref().is_some_and(goes_on) {
            self.start(after, asked).await?;
        }
        let running = self.running.as_mut().expect("it was started if it was not there");
        let page = running.page(deadline, &self.options).await;
        if page.is_err() {
            self.running = None;
        }
        page
    }

    async fn confirm(&mut self, durable: &Cursor) -> Result<(), PeerError> {
        if let Some(cursor) = LogCursor::read(durable)? {
            self.durable = self.durable.max(cursor.end);
            if let Some(running) = &mut self.running {
                // Never more than was handed over: the server forgets it.
                running.stream.confirm(self.durable.min(running.told_end));
            }
        }
        Ok(())
    }
}

impl Running {
    async fn page(&mut self, deadline: Instant, options: &FeedOptions) -> Result<Page, PeerError> {
        loop {
            self.gather.look();
            let more = self.drain(options)?;
            let due = self.told_at + options.idle;
            let now = Instant::now();
            let passed = self.gather.end().0.saturating_sub(self.told_end.0);
            let whole = !self.gather.is_empty() && !self.gather.is_in_transaction();
            let first = self.told.is_start();
            let late = first || (0 < passed && (due <= now || options.idle_bytes <= passed));
            if more || whole || (late && self.gather.is_empty()) {
                return Ok(self.hand_over(more));
            }
            if deadline <= now {
                // Nothing, or the beginning of a transaction that takes its time.
                let nothing = self.gather.is_empty();
                return Ok(if nothing { self.nothing() } else { self.hand_over(false) });
            }
            let wake = if 0 < passed { deadline.min(due) } else { deadline };
            tokio::select! {
                biased;
                ready = self.stream.ready() => ready.map_err(failed)?,
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Takes in what has come; whether the page is full with it.
    fn drain(&mut self, options: &FeedOptions) -> Result<bool, PeerError> {
        while !self.gather.is_full(options.rows, options.bytes) {
            match self.stream.next_frame().map_err(failed)? {
                None => return Ok(false),
                Some(Frame::Change { message, .. }) => self.gather.take(&message)?,
                Some(Frame::Keepalive { end, .. }) => self.gather.keepalive(end),
            }
        }
        Ok(true)
    }

    fn hand_over(&mut self, more: bool) -> Page {
        let cursor = LogCursor {
            end: self.gather.end(),
            within: self.gather.within(),
            database: self.database.clone(),
            tables: self.gather.oids().clone(),
            columns: self.gather.prints().clone(),
        };
        let gathered = self.gather.cut();
        self.told = cursor.keep();
        self.told_end = cursor.end;
        self.told_at = Instant::now();
        Page {
            observations: gathered.observations,
            cursor: self.told.clone(),
            more,
            skew: self.skew.take(),
            compare: gathered.compare.into_iter().collect(),
        }
    }

    fn nothing(&mut self) -> Page {
        Page {
            observations: Vec::new(),
            cursor: self.told.clone(),
            more: false,
            skew: self.skew.take(),
            compare: Vec::new(),
        }
    }
}

/// A transaction id of about now, in 64 bits.
async fn recent_xid(client: &tokio_postgres::Client) -> Result<u64, PeerError> {
    let query = "select txid_snapshot_xmax(txid_current_snapshot())::text";
    let row = client.query_one(query, &[]).await;
    let row = row.map_err(|error| peer_error("asking for a transaction id", error))?;
    Ok(row.get::<_, &str>(0).parse().unwrap_or(0))
}

/// What the end of a stream means.
fn failed(error: StreamError) -> PeerError {
    if error.is_transient() {
        return PeerError::Transient { doing: "following Campaign's log", source: Box::new(error) };
    }
    let why = chain(&error);
    match error {
        StreamError::SlotLost { .. } | StreamError::SlotMissing { .. } => {
            PeerError::CursorLost { why }
        }
        StreamError::Connect(_) => PeerError::Denied { why },
        StreamError::Server(said) if said.code == "42501" => PeerError::Denied { why },
        StreamError::SlotForeign { .. }
        | StreamError::PublicationMissing { .. }
        | StreamError::Server(_)
        | StreamError::Decode(_)
        | StreamError::Protocol(_) => PeerError::Unfit { why },
        StreamError::SlotActive { .. }
        | StreamError::Gone(_)
        | StreamError::Ended
        | StreamError::Silent { .. } => {
            PeerError::Transient { doing: "following Campaign's log", source: why.into() }
        }
    }
}
