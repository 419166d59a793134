//! A batch, in one transaction: a constant number of statements, each for all of its rows.
//!
//! Most batches need two or three of them: the [`Mark`](crate::ledger::Mark) of a link tells what
//! beside it has not changed. Who leaves a record goes before who takes it: removals, updates, new
//! links. Where two links of one batch swap records, the unique index stumbles over the order of
//! the rows; then, and only then, all is done again with the records of these links let go first.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Statement, Transaction};

use super::decided::{self, Decisions, Receipts};
use super::line::{Given, failed, moment};
use super::rows::{Extras, LinkRows, Moves, Waits};
use crate::ledger::memory::twice;
use crate::ledger::{Batch, LedgerError, StoreError};
use crate::reconcile::{Lane, LinkId, LinkState, Side};

pub(super) const DOING: &str = "store a batch";

/// The statements, prepared once a session.
pub(super) struct Statements {
    term: Statement,
    remove: Statement,
    release: Statement,
    update: Statement,
    insert: Statement,
    due_out: Statement,
    due_in: Statement,
    keys_out: Statement,
    waits_out: Statement,
    held_out: Statement,
    keys_in: Statement,
    waits_in: Statement,
    held_in: Statement,
    tally: Statement,
    woken: Statement,
    lock: Statement,
    wake: Statement,
    cursors: Statement,
    facts: Statement,
    decided: decided::Statements,
}

const TERM: &str = "select term from truce.lease";

const REMOVE: &str = "
    delete from truce.link as l using unnest($1::bigint[], $2::bigint[]) as n (id, version)
     where l.id = n.id and l.version = n.version returning l.id";

const RELEASE: &str = "
    update truce.link set campaign = null, crm = null where id = any($1::bigint[])";

const UPDATE: &str = "
    update truce.link as l
       set state = n.state, alias_of = n.alias_of, campaign = n.campaign, crm = n.crm,
           version = n.version + 1, extras = n.extras, due_lane = n.due_lane, due_at = n.due_at,
           body = n.body
      from unnest($1::bigint[], $2::smallint[], $3::text[], $4::bigint[], $5::text[], $6::text[],
                  $7::bigint[], $8::bigint[], $9::smallint[], $10::timestamptz[], $11::text[])
        as n (id, entity, state, alias_of, campaign, crm, version, extras, due_lane, due_at, body)
     where l.id = n.id and l.version = n.version returning l.id";

const INSERT: &str = "
    insert into truce.link
      (id, entity, state, alias_of, campaign, crm, version, extras, due_lane, due_at, body)
    select n.id, n.entity, n.state, n.alias_of, n.campaign, n.crm, n.version + 1, n.extras,
           n.due_lane, n.due_at, n.body
      from unnest($1::bigint[], $2::smallint[], $3::text[], $4::bigint[], $5::text[], $6::text[],
                  $7::bigint[], $8::bigint[], $9::smallint[], $10::timestamptz[], $11::text[])
        as n (id, entity, state, alias_of, campaign, crm, version, extras, due_lane, due_at, body)
        on conflict do nothing returning id";

const DUE_OUT: &str = "
    delete from truce.due as d
     using unnest($1::smallint[], $2::smallint[], $3::timestamptz[], $4::bigint[])
        as n (entity, lane, at, link)
     where d.entity = n.entity and d.lane = n.lane and d.at = n.at and d.link = n.link";

const DUE_IN: &str = "
    insert into truce.due (entity, lane, at, link)
    select n.entity, n.lane, n.at, n.link
      from unnest($1::smallint[], $2::smallint[], $3::timestamptz[], $4::bigint[])
        as n (entity, lane, at, link)
        on conflict do nothing";

const KEYS_OUT: &str = "delete from truce.match_key where link = any($1::bigint[])";
const WAITS_OUT: &str = "delete from truce.waiting where link = any($1::bigint[])";
const HELD_OUT: &str = "delete from truce.held where link = any($1::bigint[])";

const KEYS_IN: &str = "
    insert into truce.match_key (entity, side, key, link)
    select n.entity, n.side, n.key, n.link
      from unnest($1::smallint[], $2::text[], $3::text[], $4::bigint[])
        as n (entity, side, key, link)
        on conflict do nothing";

const WAITS_IN: &str = "
    insert into truce.waiting (entity, side, record, link)
    select n.entity, n.side, n.record, n.link
      from unnest($1::smallint[], $2::text[], $3::text[], $4::bigint[])
        as n (entity, side, record, link)
        on conflict do nothing";

const HELD_IN: &str = "
    insert into truce.held (link, ordinal, entity, field, reason, since, detail)
    select n.link, n.ordinal, n.entity, n.field, n.reason, n.since, n.detail::json
      from unnest($1::bigint[], $2::integer[], $3::smallint[], $4::smallint[], $5::text[],
                  $6::timestamptz[], $7::text[])
        as n (link, ordinal, entity, field, reason, since, detail)";

const TALLY: &str = "
    insert into truce.tally as t (entity, state, links)
    select n.entity, n.state, n.links
      from unnest($1::smallint[], $2::text[], $3::bigint[]) as n (entity, state, links)
        on conflict (entity, state) do update set links = t.links + excluded.links";

/// Who waits for a record whose link has changed what it is; and who began to wait just now, for
/// a record whose link is another than was known.
const WOKEN: &str = "
    select w.link
      from unnest($1::smallint[], $2::text[], $3::text[]) as n (entity, side, record)
      join truce.waiting as w
        on w.entity = n.entity and w.side = n.side and w.record = n.record
    union
    select n.link
      from unnest($4::smallint[], $5::text[], $6::text[], $7::bigint[], $8::bigint[])
        as n (entity, side, record, link, version)
     where n.version <> coalesce(
             case n.side
               when 'campaign' then (select l.version from truce.link as l
                 where l.state = 'live' and l.entity = n.entity and l.campaign = n.record)
               else (select l.version from truce.link as l
                 where l.state = 'live' and l.entity = n.entity and l.crm = n.record)
             end, 0)";

/// Before they are woken: the statement that wakes them must see what a store that it waited for
/// left in `due`.
const LOCK: &str = "select id from truce.link where id = any($1::bigint[]) order by id for update";

/// A row of `due` that is due by now stays; one of later goes, and one of now comes.
const WAKE: &str = "
    with later as (
      delete from truce.due as d using truce.link as l
       where l.id = any($1::bigint[]) and d.entity = l.entity and d.lane = l.due_lane
         and d.at = l.due_at and d.link = l.id and d.at > $2),
    awake as (
      update truce.link as l
         set version = l.version + 1, due_lane = coalesce(l.due_lane, 1),
             due_at = least(l.due_at, $2)
       where l.id = any($1::bigint[])
      returning l.entity, l.due_lane, l.due_at, l.id)
    insert into truce.due (entity, lane, at, link)
    select entity, due_lane, due_at, id from awake
        on conflict do nothing";

const CURSORS: &str = "
    insert into truce.feed (name, cursor, stored_at)
    select n.name, n.cursor::json, $3::timestamptz
      from unnest($1::text[], $2::text[]) as n (name, cursor)
        on conflict (name) do update
       set cursor = excluded.cursor, stored_at = excluded.stored_at";

const FACTS: &str = "
      with n (name, value) as (select * from unnest($1::text[], $2::text[])),
           forgotten as (delete from truce.fact as f using n
                          where f.name = n.name and n.value = 'null')
    insert into truce.fact (name, value)
    select n.name, n.value::json from n where n.value <> 'null'
        on conflict (name) do update set value = excluded.value";

/// Whether the records of the batch's links are let go before they are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Release {
    No,
    First,
}

/// How an attempt ended, where it did not end well.
enum Failed {
    /// Two links live on one record, for now or for good.
    Twins,
    Stored(StoreError),
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            term: client.prepare(TERM).await?,
            remove: client.prepare(REMOVE).await?,
            release: client.prepare(RELEASE).await?,
            update: client.prepare(UPDATE).await?,
            insert: client.prepare(INSERT).await?,
            due_out: client.prepare(DUE_OUT).await?,
            due_in: client.prepare(DUE_IN).await?,
            keys_out: client.prepare(KEYS_OUT).await?,
            waits_out: client.prepare(WAITS_OUT).await?,
            held_out: client.prepare(HELD_OUT).await?,
            keys_in: client.prepare(KEYS_IN).await?,
            waits_in: client.prepare(WAITS_IN).await?,
            held_in: client.prepare(HELD_IN).await?,
            tally: client.prepare(TALLY).await?,
            woken: client.prepare(WOKEN).await?,
            lock: client.prepare(LOCK).await?,
            wake: client.prepare(WAKE).await?,
            cursors: client.prepare(CURSORS).await?,
            facts: client.prepare(FACTS).await?,
            decided: decided::Statements::prepare(client).await?,
        })
    }
}

/// Stores a batch, under a term where there is one.
pub(super) async fn store(
    client: &mut Client,
    statements: &Statements,
    batch: &Batch,
    term: Option<u64>,
) -> Result<(), StoreError> {
    once_each(batch)?;
    for release in [Release::No, Release::First] {
        let transaction = client.transaction().await.map_err(|error| failed(DOING, error))?;
        let attempt = Attempt { transaction: &transaction, statements };
        match attempt.all(batch, term, release).await {
            Ok(()) => {
                return Ok(transaction.commit().await.map_err(|error| failed(DOING, error))?);
            }
            Err(Failed::Stored(error)) => return Err(error),
            Err(Failed::Twins) => {
                transaction.rollback().await.map_err(|error| failed(DOING, error))?;
            }
        }
    }
    Err(StoreError::Conflict(twins(client, batch).await?))
}

struct Attempt<'a> {
    transaction: &'a Transaction<'a>,
    statements: &'a Statements,
}

impl Attempt<'_> {
    async fn all(&self, batch: &Batch, term: Option<u64>, release: Release) -> Result<(), Failed> {
        if let Some(ours) = term {
            self.lead(ours).await?;
        }
        self.links(batch, release).await?;
        self.extras(batch, &Extras::of(batch)?).await?;
        self.moves(&Moves::of(batch)?).await?;
        self.wake(batch).await?;
        self.rest(batch).await
    }

    async fn lead(&self, ours: u64) -> Result<(), Failed> {
        let rows = self.ask(&self.statements.term, &[]).await?;
        let current = rows.first().map_or(0, |row| row.get::<_, i64>(0).cast_unsigned());
        if current == ours {
            Ok(())
        } else {
            Err(Failed::Stored(StoreError::Deposed { ours, current }))
        }
    }

    async fn links(&self, batch: &Batch, release: Release) -> Result<(), Failed> {
        let s = self.statements;
        let mut missing = BTreeSet::new();
        if !batch.removed.is_empty() {
            let ids: Vec<i64> = batch.removed.iter().map(|(id, _)| number(*id)).collect();
            let versions = batch.removed.iter().map(|(_, mark)| mark.version().cast_signed());
            let versions: Vec<i64> = versions.collect();
            missing.extend(self.touch(&s.remove, &ids, &[&ids, &versions]).await?);
        }
        let (new, known): (Vec<_>, Vec<_>) =
            batch.links.iter().partition(|keep| keep.mark.version() == 0);
        for (keeps, statement) in [(known, &s.update), (new, &s.insert)] {
            if keeps.is_empty() {
                continue;
            }
            let rows = LinkRows::of(&keeps)?;
            if release == Release::First && std::ptr::eq(statement, &raw const s.update) {
                self.run(&s.release, &[&rows.id]).await?;
            }
            missing.extend(self.touch(statement, &rows.id, &rows.given()).await?);
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Failed::Stored(StoreError::Conflict(missing.into_iter().collect())))
        }
    }

    /// Runs a statement that returns the links it touched; says which of these it did not.
    async fn touch(
        &self,
        statement: &Statement,
        ids: &[i64],
        given: Given<'_>,
    ) -> Result<Vec<LinkId>, Failed> {
        let rows = self.ask(statement, given).await?;
        if rows.len() == ids.len() {
            return Ok(Vec::new());
        }
        let touched: BTreeSet<i64> = rows.iter().map(|row| row.get(0)).collect();
        let missed = ids.iter().filter(|id| !touched.contains(id));
        Ok(missed.map(|id| LinkId(id.cast_unsigned())).collect())
    }

    /// What is beside the links, of those where it changed.
    async fn extras(&self, batch: &Batch, extras: &Extras) -> Result<(), Failed> {
        let s = self.statements;
        let mut out: Vec<i64> = extras.replaced.clone();
        let beside = batch.removed.iter().filter(|(_, mark)| mark.extras != 0);
        out.extend(beside.map(|(id, _)| number(*id)));
        if !out.is_empty() {
            self.run(&s.keys_out, &[&out]).await?;
            self.run(&s.waits_out, &[&out]).await?;
            self.run(&s.held_out, &[&out]).await?;
        }
        if !extras.keys.link.is_empty() {
            self.run(&s.keys_in, &extras.keys.given()).await?;
        }
        if !extras.waits.link.is_empty() {
            self.run(&s.waits_in, &extras.waits.given()).await?;
        }
        if !extras.held.link.is_empty() {
            self.run(&s.held_in, &extras.held.given()).await?;
        }
        Ok(())
    }

    async fn moves(&self, moves: &Moves) -> Result<(), Failed> {
        let s = self.statements;
        if !moves.due_out.link.is_empty() {
            self.run(&s.due_out, &moves.due_out.given()).await?;
        }
        if !moves.due_in.link.is_empty() {
            self.run(&s.due_in, &moves.due_in.given()).await?;
        }
        let (entities, states, counts) = moves.tally();
        if !entities.is_empty() {
            self.run(&s.tally, &[&entities, &states, &counts]).await?;
        }
        Ok(())
    }

    async fn wake(&self, batch: &Batch) -> Result<(), Failed> {
        let moved = Moves::identities(batch)?;
        let Waits { rows: waits, versions } = Waits::of(batch)?;
        if moved.link.is_empty() && waits.link.is_empty() {
            return Ok(());
        }
        let given: Given<'_> = &[
            &moved.entity,
            &moved.side,
            &moved.text,
            &waits.entity,
            &waits.side,
            &waits.text,
            &waits.link,
            &versions,
        ];
        let woken = self.ask(&self.statements.woken, given).await?;
        let woken: Vec<i64> = woken.iter().map(|row| row.get(0)).collect();
        if !woken.is_empty() {
            self.ask(&self.statements.lock, &[&woken]).await?;
            self.run(&self.statements.wake, &[&woken, &moment(batch.now)]).await?;
        }
        Ok(())
    }

    async fn rest(&self, batch: &Batch) -> Result<(), Failed> {
        let s = self.statements;
        if !batch.cursors.is_empty() {
            let names: Vec<&str> = batch.cursors.keys().map(String::as_str).collect();
            let cursors: Vec<String> = batch.cursors.values().map(|c| c.0.to_string()).collect();
            self.run(&s.cursors, &[&names, &cursors, &moment(batch.now)]).await?;
        }
        if !batch.facts.is_empty() {
            let names: Vec<&str> = batch.facts.keys().map(String::as_str).collect();
            let facts: Vec<String> = batch.facts.values().map(ToString::to_string).collect();
            self.run(&s.facts, &[&names, &facts]).await?;
        }
        self.decided(batch).await
    }

    async fn decided(&self, batch: &Batch) -> Result<(), Failed> {
        let s = &self.statements.decided;
        if !batch.decisions.is_empty() {
            let rows = Decisions::of(&batch.decisions)?;
            self.run(&s.decisions, &rows.given()).await?;
        }
        if !batch.receipts.is_empty() {
            let rows = Receipts::of(&batch.receipts);
            self.run(&s.receipts, &rows.given()).await?;
        }
        Ok(())
    }

    async fn run(&self, statement: &Statement, given: Given<'_>) -> Result<(), Failed> {
        self.transaction.execute(statement, given).await.map(drop).map_err(Failed::of)
    }

    async fn ask(
        &self,
        statement: &Statement,
        given: Given<'_>,
    ) -> Result<Vec<tokio_postgres::Row>, Failed> {
        self.transaction.query(statement, given).await.map_err(Failed::of)
    }
}

impl Failed {
    fn of(error: tokio_postgres::Error) -> Self {
        if error.code() == Some(&SqlState::UNIQUE_VIOLATION) {
            Self::Twins
        } else {
            Self::Stored(failed(DOING, error).into())
        }
    }
}

impl From<LedgerError> for Failed {
    fn from(error: LedgerError) -> Self {
        Self::Stored(error.into())
    }
}

/// The batch's links that bear a record of another live link, in the batch or beside it.
async fn twins(client: &Client, batch: &Batch) -> Result<Vec<LinkId>, StoreError> {
    let mut found = BTreeSet::new();
    let mut borne: BTreeMap<_, LinkId> = BTreeMap::new();
    let (mut links, mut entities) = (Vec::new(), Vec::new());
    let (mut campaign, mut crm) = (Vec::new(), Vec::new());
    for link in batch.links.iter().map(|keep| &keep.link) {
        let live = |side: Side| link.record(side).filter(|_| link.state == LinkState::Live);
        for (side, record) in Side::BOTH.map(|side| (side, live(side))) {
            if let Some(twin) = record.and_then(|r| borne.insert((link.entity, side, r), link.id)) {
                found.extend([twin, link.id]);
            }
        }
        links.push(number(link.id));
        entities.push(integer(link.entity.0)?);
        campaign.push(live(Side::Campaign).map(|record| record.0.as_ref()));
        crm.push(live(Side::Crm).map(|record| record.0.as_ref()));
    }
    let beside = "
        select n.id from unnest($1::bigint[], $2::smallint[], $3::text[], $4::text[])
            as n (id, entity, campaign, crm)
         where exists (select from truce.link as l where l.state = 'live'
                 and l.entity = n.entity and l.campaign = n.campaign and l.id <> all ($1))
            or exists (select from truce.link as l where l.state = 'live'
                 and l.entity = n.entity and l.crm = n.crm and l.id <> all ($1))";
    let given: Given<'_> = &[&links, &entities, &campaign, &crm];
    let rows = client.query(beside, given).await.map_err(|error| failed(DOING, error))?;
    found.extend(rows.iter().map(|row| LinkId(row.get::<_, i64>(0).cast_unsigned())));
    if found.is_empty() {
        // The other went away meanwhile: all are to be loaded again.
        found.extend(batch.links.iter().map(|keep| keep.link.id));
    }
    Ok(found.into_iter().collect())
}

fn once_each(batch: &Batch) -> Result<(), LedgerError> {
    let ids = batch.links.iter().map(|keep| keep.link.id);
    let mut seen = BTreeSet::new();
    match ids.chain(batch.removed.iter().map(|(id, _)| *id)).find(|id| !seen.insert(*id)) {
        Some(id) => Err(twice(id)),
        None => Ok(()),
    }
}

/// A link's number as the server's 64-bit type has it.
pub(super) fn number(link: LinkId) -> i64 {
    link.0.cast_signed()
}

/// A mapping's or a field's number.
pub(super) fn integer(number: u16) -> Result<i16, LedgerError> {
    i16::try_from(number)
        .map_err(|_| LedgerError::Unstorable { what: format!("the number {number}") })
}

/// A text without the one character that the server's texts cannot hold.
pub(super) fn clean(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

pub(super) fn lane_number(lane: Lane) -> i16 {
    match lane {
        Lane::Consent => 0,
        Lane::Ordinary => 1,
    }
}

pub(super) fn number_lane(number: i16) -> Lane {
    if number == 0 { Lane::Consent } else { Lane::Ordinary }
}
