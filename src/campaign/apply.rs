//! Writing to Campaign: guarded batch statements that never wait for a row.
//!
//! Writes of one form go together, one short statement a transaction. A row that is not as
//! expected is read and told as stale; one that somebody else is writing is left to them. The
//! transaction's id is noted before `commit`, so that a lost answer can be settled by asking for
//! it. A row that the server refuses is found by halving the batch, and its neighbours go on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::types::{ToSql, Type};

use crate::campaign::keys::KeySource;
use crate::campaign::lead::Leader;
use crate::campaign::peer_error;
use crate::campaign::scan::{mapped, seen_at};
use crate::campaign::settle::{self, found};
use crate::campaign::standing::Standing;
use crate::campaign::statement::{Form, Item, Verb, item};
use crate::campaign::table::{Mapped, Tables};
use crate::campaign::verdict::{
    RETRY_AFTER, Verdict, leaves_open, named, refused, unsayable, verdict,
};
use crate::peer::{Ask, Ended, Notes, PeerError, Writer};
use crate::postgres::Session;
use crate::reconcile::{Delay, Entity, LinkId, Outcome, Position, RecordId, RefusalKind, Write};

/// How careful to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// The most rows of a statement.
    pub rows: usize,
    /// The most keys for new rows that are drawn by one call.
    pub keys: usize,
    /// How long a statement waits for a lock. Below the server's `deadlock_timeout`, or PostgreSQL
    /// may end Campaign's statement to save ours.
    pub lock_timeout: Duration,
}

/// Writes to Campaign, as long as its session leads.
#[derive(Debug)]
pub struct CampaignWriter {
    line: Mutex<Line>,
    tables: Tables,
    keys: BTreeMap<Entity, KeySource>,
    options: WriteOptions,
}

/// The session, and whether a transaction may have been left open on it by a call that was dropped.
#[derive(Debug)]
struct Line {
    session: Session,
    open: bool,
}

/// How a transaction ended.
enum Attempt {
    /// Committed; the keys that it wrote.
    Done { keys: BTreeSet<String>, xid: u64 },
    /// Sent off, and the answer never came.
    Unanswered { keys: BTreeSet<String> },
    /// The server refused, and nothing was done.
    Failed(tokio_postgres::Error),
    /// It could not be noted, so it was taken back.
    NotNoted(PeerError),
}

/// The rows of a transaction are locked while it is noted: this long Campaign's own statements may
/// have to wait for them, should the ledger be slow.
const NOTE_WITHIN: Duration = Duration::from_secs(2);

/// Several statements in a row that ran into the lock timeout with none between that did not: it is
/// the table that is locked, and trying each row would only hammer.
const WAITS_MAX: usize = 3;

impl CampaignWriter {
    /// A writer on the session that leads; looks for what gives each table's keys.
    pub async fn new(
        leader: Leader,
        tables: Tables,
        id_functions: &BTreeMap<Entity, String>,
        options: WriteOptions,
    ) -> Result<Self, PeerError> {
        assert!(0 < options.keys, "keys would be drawn for ever");
        assert!(0 < options.rows, "a statement without rows would write nothing for ever");
        let session = leader.into_session();
        let mut keys = BTreeMap::new();
        for (entity, mapped) in &tables {
            let configured = id_functions.get(entity).map(String::as_str);
            // A table whose records are never created here needs none; asking for keys will tell.
            match KeySource::find(&session, &mapped.table, configured).await {
                Ok(source) => drop(keys.insert(*entity, source)),
                Err(PeerError::Unfit { .. }) if configured.is_none() => {}
                Err(error) => return Err(error),
            }
        }
        let line = Mutex::new(Line { session, open: false });
        Ok(Self { line, tables, keys, options })
    }

    /// Whether the session lives, and the lead with it, as far as we have heard.
    pub async fn is_leading(&self) -> bool {
        !self.line.lock().await.session.is_closed()
    }

    /// Asks the server for a sign of life; an error means that the lead is lost.
    pub async fn check(&self) -> Result<(), PeerError> {
        let line = self.idle_line().await?;
        let answer = line.session.simple_query("select 1").await;
        answer.map(drop).map_err(|error| peer_error("asking whether we still lead", error))
    }

    /// The session without a transaction.
    async fn idle_line(&self) -> Result<MutexGuard<'_, Line>, PeerError> {
        let mut line = self.line.lock().await;
        if line.open {
            line.end("rollback")
                .await
                .map_err(|error| peer_error("ending a transaction", error))?;
        }
        if line.session.is_closed() {
            let source = "the session that leads was lost".into();
            return Err(PeerError::Transient { doing: "writing to Campaign", source });
        }
        Ok(line)
    }
}

impl Line {
    async fn end(&mut self, how: &str) -> Result<(), tokio_postgres::Error> {
        self.session.batch_execute(how).await?;
        self.open = false;
        Ok(())
    }
}

impl Writer for CampaignWriter {
    async fn write(
        &self,
        writes: Vec<Write>,
        notes: &(impl Notes + Sync),
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Outcome>, PeerError> {
        let at = seen_at(asked);
        let entities: BTreeSet<Entity> = writes.iter().map(|write| write.entity).collect();
        let line = self.idle_line().await?;
        let mut standings = BTreeMap::new();
        for entity in entities {
            let standing = mapped(&self.tables, entity)?.look(&line.session).await?;
            standings.insert(entity, standing);
        }
        drop(line);
        let mut outcomes: Vec<Option<Outcome>> = writes.iter().map(|_| None).collect();
        for (entity, form, items) in self.batches(&writes, &mut outcomes)? {
            // Taken for each batch anew: an opt-out waits for one of somebody else's, not for all.
            let mut line = match self.idle_line().await {
                Ok(line) => line,
                Err(error) => {
                    tracing::warn!(%error, "what was not written yet is put off");
                    break;
                }
            };
            let mut call = Call {
                line: &mut line,
                mapped: &*mapped(&self.tables, entity)?,
                standing: &standings[&entity],
                form: &form,
                writes: &writes,
                outcomes: &mut outcomes,
                lock_timeout: self.options.lock_timeout,
                at,
            };
            call.carry_out(items, notes).await;
        }
        let answered =
            |outcome: Option<Outcome>| outcome.unwrap_or(Outcome::Later(RETRY_AFTER.into()));
        Ok(outcomes.into_iter().map(answered).collect())
    }

    async fn draw_keys(&self, entity: Entity, count: usize) -> Result<Vec<RecordId>, PeerError> {
        let mapped = mapped(&self.tables, entity)?;
        let source = self.keys.get(&entity).ok_or_else(|| PeerError::Unfit {
            why: format!(
                "nothing gives keys for new rows of {}; set id_function",
                mapped.sql_name()
            ),
        })?;
        let line = self.idle_line().await?;
        let mut keys = Vec::with_capacity(count);
        while keys.len() < count {
            let some = self.options.keys.min(count - keys.len());
            keys.extend(source.draw(&line.session, &mapped, some).await?);
        }
        Ok(keys)
    }

    async fn transaction(&self, xid: u64) -> Result<Option<Ended>, PeerError> {
        let line = self.idle_line().await?;
        settle::transaction(&line.session, xid).await
    }
}

impl CampaignWriter {
    /// Sorts writes into batches of one form; what cannot be said in SQL is answered at once.
    fn batches(
        &self,
        writes: &[Write],
        outcomes: &mut [Option<Outcome>],
    ) -> Result<Vec<(Entity, Form, Vec<Item>)>, PeerError> {
        let mut forms: BTreeMap<(Entity, Form), Vec<Item>> = BTreeMap::new();
        for (place, write) in writes.iter().enumerate() {
            match item(&*mapped(&self.tables, write.entity)?, place, write) {
                Ok((form, item)) => forms.entry((write.entity, form)).or_default().push(item),
                Err(why) => outcomes[place] = Some(unsayable(why)),
            }
        }
        let mut batches = Vec::new();
        for ((entity, form), items) in forms {
            for chunk in items.chunks(self.options.rows) {
                batches.push((entity, form.clone(), chunk.to_vec()));
            }
        }
        Ok(batches)
    }
}

/// The carrying out of one batch.
struct Call<'a> {
    line: &'a mut Line,
    mapped: &'a Mapped,
    /// How the table's columns stood when the batch was made.
    standing: &'a Arc<Standing>,
    form: &'a Form,
    writes: &'a [Write],
    outcomes: &'a mut [Option<Outcome>],
    lock_timeout: Duration,
    at: Position,
}

impl Call<'_> {
    async fn carry_out(&mut self, items: Vec<Item>, notes: &(impl Notes + Sync)) {
        let items = match self.form.verb {
            Verb::Insert => self.without_known(items).await,
            Verb::Update | Verb::Delete => items,
        };
        let mut waits = 0;
        let mut queue = VecDeque::from([items]);
        while let Some(batch) = queue.pop_front() {
            if batch.is_empty() {
                continue;
            }
            if self.line.session.is_closed() {
                self.put_off(&batch, "the connection was closed");
                continue;
            }
            match self.attempt(&batch, notes).await {
                Attempt::Done { keys, xid } => {
                    waits = 0;
                    self.done(batch, &keys, &|created| Outcome::Done { created, xid: Some(xid) })
                        .await;
                }
                Attempt::Unanswered { keys } => self.done(batch, &keys, &|_| Outcome::Lost).await,
                Attempt::NotNoted(error) => {
                    tracing::warn!(%error, "a write was taken back, as it could not be noted");
                    self.put_off(&batch, "the ledger did not keep its transaction");
                }
                Attempt::Failed(error) => {
                    waits += usize::from(verdict(&error) == Verdict::Waited);
                    queue.extend(self.failed(batch, &error, waits).await);
                }
            }
        }
    }

    /// Leaves out what would be a second record for the same thing.
    async fn without_known(&mut self, items: Vec<Item>) -> Vec<Item> {
        match found(&self.line.session, self.mapped, (self.form, &items), self.at).await {
            Ok(mut known) => {
                let (told, new): (Vec<Item>, Vec<Item>) =
                    items.into_iter().partition(|item| known.contains_key(&item.place));
                for item in told {
                    let records = known.remove(&item.place).unwrap_or_default();
                    self.outcomes[item.place] = Some(Outcome::Found(records));
                }
                new
            }
            Err(error) => {
                tracing::warn!(%error, "could not look for records that stand for the same");
                self.put_off(&items, "records that stand for the same were not looked for");
                Vec::new()
            }
        }
    }

    fn put_off(&mut self, items: &[Item], why: &str) {
        let delay = Delay::of(RETRY_AFTER, why);
        for item in items {
            self.outcomes[item.place] = Some(Outcome::Later(delay.clone()));
        }
    }

    /// One transaction. Nothing of it is left when it did not end as `Done` or `Unanswered`.
    async fn attempt(&mut self, items: &[Item], notes: &(impl Notes + Sync)) -> Attempt {
        let (keys, xid) = match self.execute(items).await {
            Ok(written) => written,
            Err(error) => {
                self.take_back().await;
                return Attempt::Failed(error);
            }
        };
        if keys.is_empty() {
            self.take_back().await;
            return Attempt::Done { keys, xid };
        }
        let links = self.links(items, &keys);
        let asked = tokio::time::timeout(NOTE_WITHIN, notes.note(links, xid)).await;
        let late = |_| PeerError::Transient {
            doing: "noting a transaction before its commit",
            source: format!("the ledger did not answer within {} s", NOTE_WITHIN.as_secs()).into(),
        };
        if let Err(error) = asked.map_err(late).flatten() {
            self.take_back().await;
            return Attempt::NotNoted(error);
        }
        match self.line.end("commit").await {
            Ok(()) => Attempt::Done { keys, xid },
            Err(error) if leaves_open(&error) => Attempt::Unanswered { keys },
            Err(error) => {
                self.take_back().await;
                Attempt::Failed(error)
            }
        }
    }

    async fn execute(
        &mut self,
        items: &[Item],
    ) -> Result<(BTreeSet<String>, u64), tokio_postgres::Error> {
        self.line.open = true;
        let begin = format!(
            "begin isolation level read committed read write; set local lock_timeout = {}",
            self.lock_timeout.as_millis().max(1)
        );
        self.line.session.batch_execute(&begin).await?;
        let arrays = arrays(self.form, items);
        let parameters: Vec<(&(dyn ToSql + Sync), Type)> =
            arrays.iter().map(|array| (array as &(dyn ToSql + Sync), Type::TEXT_ARRAY)).collect();
        let rows = self.line.session.query_typed(&self.form.sql(self.mapped), &parameters).await?;
        let xid = rows.first().and_then(|row| row.get::<_, &str>(1).parse().ok()).unwrap_or(0);
        Ok((rows.iter().map(|row| row.get(0)).collect(), xid))
    }

    async fn take_back(&mut self) {
        if let Err(error) = self.line.end("rollback").await {
            // The server takes it back by itself when the session is gone.
            tracing::debug!(%error, "the session ended within a transaction");
        }
    }

    fn links(&self, items: &[Item], keys: &BTreeSet<String>) -> Vec<LinkId> {
        let written = items.iter().filter(|item| keys.contains(&*item.key.0));
        written.map(|item| self.writes[item.place].link).collect()
    }

    /// Answers what was written, and finds out why the rest was not.
    async fn done(
        &mut self,
        items: Vec<Item>,
        keys: &BTreeSet<String>,
        outcome: &(dyn Fn(Option<RecordId>) -> Outcome + Sync),
    ) {
        let (written, left): (Vec<Item>, Vec<Item>) =
            items.into_iter().partition(|item| keys.contains(&*item.key.0));
        for item in &written {
            let created = (self.form.verb == Verb::Insert).then(|| item.key.clone());
            self.outcomes[item.place] = Some(outcome(created));
        }
        if left.is_empty() {
            return;
        }
        let why =
            settle::why_not(&self.line.session, self.mapped, (self.form, &left), self.at).await;
        match why {
            Ok(answers) => {
                for (place, answer) in answers {
                    self.outcomes[place] = Some(answer);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "could not read the rows that were not written");
                self.put_off(&left, "rows that were not written were not read");
            }
        }
    }

    /// Answers a batch that failed, or gives it back in halves to find the row it failed for.
    async fn failed(
        &mut self,
        mut items: Vec<Item>,
        error: &tokio_postgres::Error,
        waits: usize,
    ) -> Vec<Vec<Item>> {
        let verdict = verdict(error);
        let splits = match verdict {
            Verdict::Waited => waits < WAITS_MAX,
            Verdict::Record(_) => true,
            Verdict::Later | Verdict::Mapping => false,
        };
        if splits && 1 < items.len() {
            let half = items.split_off(items.len() / 2);
            return vec![items, half];
        }
        let kind = match verdict {
            Verdict::Mapping if self.stands_no_more().await => {
                self.put_off(&items, "its table is not what it was");
                return Vec::new();
            }
            Verdict::Later | Verdict::Waited => {
                self.put_off(&items, &named(error));
                return Vec::new();
            }
            Verdict::Record(kind) => kind,
            Verdict::Mapping => RefusalKind::Mapping,
        };
        for item in &items {
            let mut kind = kind.clone();
            if let RefusalKind::Unique(owner) = &mut kind {
                let written = (self.form, item);
                *owner = settle::owner(&self.line.session, self.mapped, written, error).await;
            }
            self.outcomes[item.place] = Some(refused(kind, error, self.mapped, (self.form, item)));
        }
        Vec::new()
    }
}

impl Call<'_> {
    /// Whether a structure update came after the batch was made: then another one may pass.
    async fn stands_no_more(&self) -> bool {
        let now = self.mapped.look(&self.line.session).await;
        now.is_ok_and(|now| !Arc::ptr_eq(&now, self.standing))
    }
}

/// The parameters: the keys, then the texts of each column.
fn arrays<'a>(form: &Form, items: &'a [Item]) -> Vec<Vec<Option<&'a str>>> {
    let mut arrays = vec![Vec::with_capacity(items.len()); form.width()];
    for item in items {
        let texts = item.sets.iter().chain(&item.guards).map(Option::as_deref);
        for (array, text) in arrays.iter_mut().zip(std::iter::once(Some(&*item.key.0)).chain(texts))
        {
            array.push(text);
        }
    }
    arrays
}
