//! Everything but links: numbers, cursors, facts, and what people ask.

use std::collections::BTreeMap;
use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::Value as Json;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::line::{Line, failed, moment, open_session, timestamp};
use super::store::{integer, lane_number, number, number_lane};
use crate::ledger::{
    Catalog, CatalogField, CatalogMapping, Counts, Held, HeldFilter, HeldLink, HeldPage,
    LedgerError, State,
};
use crate::peer::Cursor;
use crate::postgres::ServerUrl;
use crate::reconcile::{Entity, Field, Lane, LinkId, RecordId, Sides};

/// Numbers mappings and fields. Seldom, so it opens a session of its own.
pub(super) async fn catalog(
    url: &ServerUrl,
    mappings: &[(String, Vec<String>)],
    new: New,
) -> Result<Catalog, LedgerError> {
    const DOING: &str = "number mappings and fields";
    // A number that is above the type's range fails here, before anything bears it.
    const MAPPING: &str = "
        insert into truce.mapping (entity, name)
        select (coalesce(max(m.entity), 0) + 1)::smallint, $1::text from truce.mapping as m
        having not exists (select from truce.mapping where name = $1::text)";
    const FIELDS: &str = "
        insert into truce.field (field, entity, name)
        select (coalesce((select max(field) from truce.field), 0)
                 + row_number() over (order by n.ordinal))::smallint, $1::smallint, n.name
          from unnest($2::text[]) with ordinality as n (name, ordinal)
         where not exists (
           select from truce.field as f where f.entity = $1::smallint and f.name = n.name)";
    let error = |source| failed(DOING, source);
    let mut session = open_session(url, DOING).await?;
    let transaction = session.transaction().await.map_err(error)?;
    let lock = "lock table truce.mapping, truce.field in share row exclusive mode";
    transaction.batch_execute(lock).await.map_err(error)?;
    let mut catalog = Catalog::default();
    for (name, fields) in mappings {
        transaction.execute(MAPPING, &[name]).await.map_err(error)?;
        let entity = "select entity from truce.mapping where name = $1";
        let entity = transaction.query_one(entity, &[name]).await.map_err(error)?;
        let entity: i16 = entity.get(0);
        transaction.execute(FIELDS, &[&entity, fields]).await.map_err(error)?;
        let known = "select name, field from truce.field where entity = $1";
        let known = transaction.query(known, &[&entity]).await.map_err(error)?;
        let known: BTreeMap<String, i16> = known.iter().map(|r| (r.get(0), r.get(1))).collect();
        let numbered = |name: &String| {
            let field = Field(known.get(name)?.cast_unsigned());
            Some(CatalogField { name: name.clone(), field })
        };
        let fields = fields.iter().filter_map(numbered).collect();
        let entity = Entity(entity.cast_unsigned());
        catalog.mappings.push(CatalogMapping { name: name.clone(), entity, fields });
    }
    match new {
        New::Kept => transaction.commit().await.map_err(error)?,
        New::Forgotten => transaction.rollback().await.map_err(error)?,
    }
    session.close().await;
    Ok(catalog)
}

/// What becomes of the numbers that mappings and fields are given for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum New {
    /// They are theirs from now on.
    Kept,
    /// They were for whoever asked, who writes nothing.
    Forgotten,
}

pub(super) async fn cursor(from: &Line, feed: &str) -> Result<Cursor, LedgerError> {
    const CURSOR: &str = "select cursor from truce.feed where name = $1";
    let rows = from.ask("load a cursor", CURSOR, &[&feed]).await?;
    Ok(rows.first().map_or_else(Cursor::start, |row| Cursor(row.get(0))))
}

pub(super) async fn fact(from: &Line, name: &str) -> Result<Option<Json>, LedgerError> {
    const FACT: &str = "select value from truce.fact where name = $1";
    let rows = from.ask("load a fact", FACT, &[&name]).await?;
    Ok(rows.first().map(|row| row.get(0)))
}

pub(super) async fn facts(from: &Line, prefix: &str) -> Result<Vec<(String, Json)>, LedgerError> {
    const FACTS: &str = "
        select name, value from truce.fact where left(name, length($1)) = $1 order by name";
    let rows = from.ask("load facts", FACTS, &[&prefix]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

pub(super) async fn counts(from: &Line, due_by: Timestamp) -> Result<Counts, LedgerError> {
    const DOING: &str = "count";
    const LINKS: &str = "select entity, state, links from truce.tally where links <> 0";
    const DUE: &str = "
        select entity, lane, count(*), min(at) from truce.due where at <= $1 group by entity, lane";
    const HELD: &str = "select entity, reason, count(*) from truce.held group by entity, reason";
    const OPPOSED: &str = "select entity, count(*) from truce.due where lane = $1 group by entity";
    let mut counts = Counts::default();
    for row in from.ask(DOING, LINKS, &[]).await? {
        let name: &str = row.get(1);
        let state = State::ALL.into_iter().find(|state| state.name() == name);
        counts.links.extend(state.map(|state| ((entity(&row), state), count(&row, 2))));
    }
    for row in from.ask(DOING, DUE, &[&moment(due_by)]).await? {
        counts.due.insert((entity(&row), number_lane(row.get(1))), count(&row, 2));
        let oldest = timestamp(row.get::<_, SystemTime>(3));
        let known = counts.oldest_due.entry(entity(&row)).or_insert(oldest);
        *known = oldest.min(*known);
    }
    for row in from.ask(DOING, OPPOSED, &[&lane_number(Lane::Consent)]).await? {
        counts.opposed.insert(entity(&row), count(&row, 1));
    }
    for row in from.ask(DOING, HELD, &[]).await? {
        counts.held.insert((entity(&row), row.get(1)), count(&row, 2));
    }
    Ok(counts)
}

pub(super) async fn held(
    from: &Line,
    filter: &HeldFilter,
    page: HeldPage,
) -> Result<Vec<HeldLink>, LedgerError> {
    const HELD: &str = "
        with page as (
          select distinct p.link from truce.held as p
           where p.link > $1 and ($2::smallint is null or p.entity = $2)
             and ($3::smallint is null or p.field = $3) and ($4::text is null or p.reason = $4)
             and ($5::bigint is null or p.link = $5)
           order by p.link limit $6)
        select h.entity, h.link, l.campaign, l.crm, h.field, h.reason, h.since, h.detail
          from page as p join truce.held as h on h.link = p.link
          join truce.link as l on l.id = h.link
         where ($3::smallint is null or h.field = $3) and ($4::text is null or h.reason = $4)
         order by h.link, h.ordinal";
    let after = page.after.map_or(0, number);
    let of = filter.entity.map(|entity| integer(entity.0)).transpose()?;
    let field = filter.field.map(|field| integer(field.0)).transpose()?;
    let link = filter.link.map(number);
    let given: [&(dyn ToSql + Sync); 6] =
        [&after, &of, &field, &filter.reason, &link, &limit(page.limit)];
    let mut found: Vec<HeldLink> = Vec::new();
    for row in from.ask("list what is held", HELD, &given).await? {
        let id = LinkId(row.get::<_, i64>(1).cast_unsigned());
        let held = Held {
            field: row.get::<_, Option<i16>>(4).map(|field| Field(field.cast_unsigned())),
            reason: row.get(5),
            since: timestamp(row.get(6)),
            detail: row.get(7),
        };
        if let Some(last) = found.last_mut().filter(|last| last.link == id) {
            last.held.push(held);
        } else {
            let record = |column| row.get::<_, Option<&str>>(column).map(RecordId::from);
            let records = Sides { campaign: record(2), crm: record(3) };
            found.push(HeldLink { link: id, entity: entity(&row), records, held: vec![held] });
        }
    }
    Ok(found)
}

fn entity(row: &Row) -> Entity {
    Entity(row.get::<_, i16>(0).cast_unsigned())
}

fn count(row: &Row, column: usize) -> u64 {
    row.get::<_, i64>(column).cast_unsigned()
}

/// As the server takes it.
pub(super) fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}
