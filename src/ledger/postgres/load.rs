//! Links as they come out of the tables.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::LazyLock;
use std::time::SystemTime;

use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::line::{Line, moment, timestamp};
use super::store::{clean, integer, lane_number, number_lane};
use crate::ledger::stored::{Columns, decode};
use crate::ledger::words::identity;
use crate::ledger::{Bearer, Due, Kept, LedgerError, Mark, State};
use crate::reconcile::{Entity, Lane, LinkId, LinkState, RecordId, Side, Sides};

/// The columns of a link, for `from truce.link as l`.
const COLUMNS: &str = "l.id, l.entity, l.state, l.alias_of, l.campaign, l.crm, l.version, l.extras, \
         l.due_lane, l.due_at, l.body";

fn select(from: &str) -> String {
    format!("select {COLUMNS} {from}")
}

/// Laterally, one by one: joined, the planner of a ledger without statistics, which is that of every
/// first scan, reads all links and compares each with each key.
static LIVE_OF_CAMPAIGN: LazyLock<String> = LazyLock::new(|| {
    select(
        "from unnest($1::smallint[], $2::text[]) as a (entity, record)
      cross join lateral (
        select * from truce.link as p
         where p.state = 'live' and p.entity = a.entity and p.campaign = a.record limit 1) as l",
    )
});

static LIVE_OF_CRM: LazyLock<String> = LazyLock::new(|| {
    select(
        "from unnest($1::smallint[], $2::text[]) as a (entity, record)
      cross join lateral (
        select * from truce.link as p
         where p.state = 'live' and p.entity = a.entity and p.crm = a.record limit 1) as l",
    )
});

/// All aliases, and the newest of those that ended.
static PAST_OF_CAMPAIGN: LazyLock<String> = LazyLock::new(|| {
    select(
        "from unnest($1::smallint[], $2::text[]) as a (entity, record)
      cross join lateral (
        (select * from truce.link as p where p.state <> 'live' and p.entity = a.entity
           and p.campaign = a.record and p.state = 'alias')
        union all
        (select * from truce.link as p where p.state <> 'live' and p.entity = a.entity
           and p.campaign = a.record and p.state <> 'alias' order by p.id desc limit 1)) as l",
    )
});

static PAST_OF_CRM: LazyLock<String> = LazyLock::new(|| {
    select(
        "from unnest($1::smallint[], $2::text[]) as a (entity, record)
      cross join lateral (
        (select * from truce.link as p where p.state <> 'live' and p.entity = a.entity
           and p.crm = a.record and p.state = 'alias')
        union all
        (select * from truce.link as p where p.state <> 'live' and p.entity = a.entity
           and p.crm = a.record and p.state <> 'alias' order by p.id desc limit 1)) as l",
    )
});

static BY_ID: LazyLock<String> = LazyLock::new(|| {
    select("from unnest($1::bigint[]) as a (id) join truce.link as l on l.id = a.id")
});

/// The first of each mapping and lane, then the first of those.
static DUE: LazyLock<String> = LazyLock::new(|| {
    select(
        "from (
        select d.lane, d.at, d.link from unnest($1::smallint[]) as e (entity)
          cross join unnest($4::smallint[]) as lanes (lane)
          cross join lateral (
            select w.lane, w.at, w.link from truce.due as w
             where w.entity = e.entity and w.lane = lanes.lane and w.at <= $2
             order by w.at, w.link limit $3) as d
         order by d.lane, d.at, d.link limit $3) as d
      join truce.link as l on l.id = d.link
     order by d.lane, d.at, d.link",
    )
});

const DOING: &str = "load links";

pub(super) async fn links_of(from: &Line, bearers: &[Bearer]) -> Result<Vec<Kept>, LedgerError> {
    let bearers: BTreeSet<&Bearer> = bearers.iter().collect();
    let mut asked: Sides<(Vec<i16>, Vec<&str>)> = Sides::default();
    for (entity, side, record) in bearers {
        asked[*side].0.push(integer(entity.0)?);
        asked[*side].1.push(&record.0);
    }
    let mut found = BTreeMap::new();
    for side in Side::BOTH {
        let (entities, records) = &asked[side];
        if records.is_empty() {
            continue;
        }
        let (live, past) = match side {
            Side::Campaign => (&*LIVE_OF_CAMPAIGN, &*PAST_OF_CAMPAIGN),
            Side::Crm => (&*LIVE_OF_CRM, &*PAST_OF_CRM),
        };
        let given: [&(dyn ToSql + Sync); 2] = [entities, records];
        let (live, past) =
            tokio::join!(from.ask(DOING, live, &given), from.ask(DOING, past, &given));
        let (live, past) = (read(&live?)?, read(&past?)?);
        let alive: BTreeSet<(Entity, RecordId)> =
            live.iter().filter_map(|kept| borne(kept, side)).collect();
        let stands = |kept: &Kept| {
            kept.mark.state == State::Alias
                || borne(kept, side).is_none_or(|record| !alive.contains(&record))
        };
        found.extend(past.into_iter().filter(stands).map(|kept| (kept.link.id, kept)));
        found.extend(live.into_iter().map(|kept| (kept.link.id, kept)));
    }
    Ok(found.into_values().collect())
}

pub(super) async fn links(from: &Line, ids: &[LinkId]) -> Result<Vec<Kept>, LedgerError> {
    let ids: BTreeSet<i64> = ids.iter().map(|id| id.0.cast_signed()).collect();
    let ids: Vec<i64> = ids.into_iter().collect();
    let mut found = read(&from.ask(DOING, &BY_ID, &[&ids]).await?)?;
    found.sort_by_key(|kept| kept.link.id);
    Ok(found)
}

pub(super) async fn due(
    from: &Line,
    (entities, lanes): (&[Entity], &[Lane]),
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Kept>, LedgerError> {
    let entities: BTreeSet<&Entity> = entities.iter().collect();
    let entities = entities.into_iter().map(|e| integer(e.0)).collect::<Result<Vec<i16>, _>>()?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let lanes: Vec<i16> = lanes.iter().map(|lane| lane_number(*lane)).collect();
    let given: [&(dyn ToSql + Sync); 4] = [&entities, &moment(now), &limit, &lanes];
    read(&from.ask("load due links", &DUE, &given).await?)
}

/// A mapping's links are found by number among all: a ledger has few mappings.
static WALK: LazyLock<String> = LazyLock::new(|| {
    select("from truce.link as l where l.entity = $1 and l.id > $2 order by l.id limit $3")
});

pub(super) async fn walk(
    from: &Line,
    entity: Entity,
    after: Option<LinkId>,
    limit: usize,
) -> Result<Vec<Kept>, LedgerError> {
    let after = after.map_or(0, |link| link.0.cast_signed());
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    read(&from.ask(DOING, &WALK, &[&integer(entity.0)?, &after, &limit]).await?)
}

static CAMPAIGN_BETWEEN: LazyLock<String> = LazyLock::new(|| {
    select(
        "from truce.link as l
         where l.state = 'live' and l.entity = $1 and l.campaign > $2
           and ($3::text is null or l.campaign <= $3) order by l.campaign limit $4",
    )
});

static CRM_BETWEEN: LazyLock<String> = LazyLock::new(|| {
    select(
        "from truce.link as l
         where l.state = 'live' and l.entity = $1 and l.crm > $2
           and ($3::text is null or l.crm <= $3) order by l.crm limit $4",
    )
});

pub(super) async fn between(
    from: &Line,
    (entity, side): (Entity, Side),
    (after, until): (Option<&RecordId>, Option<&RecordId>),
    limit: usize,
) -> Result<Vec<Kept>, LedgerError> {
    let statement = match side {
        Side::Campaign => &*CAMPAIGN_BETWEEN,
        Side::Crm => &*CRM_BETWEEN,
    };
    // No record's key is empty.
    let (after, until) = (after.map_or("", |id| &*id.0), until.map(|id| &*id.0));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    read(&from.ask(DOING, statement, &[&integer(entity.0)?, &after, &until, &limit]).await?)
}

fn borne(kept: &Kept, side: Side) -> Option<(Entity, RecordId)> {
    kept.link.record(side).map(|record| (kept.link.entity, record.clone()))
}

fn read(rows: &[Row]) -> Result<Vec<Kept>, LedgerError> {
    rows.iter().map(kept).collect()
}

fn kept(row: &Row) -> Result<Kept, LedgerError> {
    let id = LinkId(row.get::<_, i64>(0).cast_unsigned());
    let unreadable = |why: String| LedgerError::Unreadable { link: id, why };
    let (state, alias_of): (&str, Option<i64>) = (row.get(2), row.get(3));
    let state = match (state, alias_of) {
        ("live", _) => LinkState::Live,
        ("alias", Some(of)) => LinkState::Alias(LinkId(of.cast_unsigned())),
        ("severed", _) => LinkState::Severed,
        ("tombstone", _) => LinkState::Tombstone,
        _ => return Err(unreadable(format!("its state is `{state}`"))),
    };
    let columns = Columns {
        id,
        entity: Entity(row.get::<_, i16>(1).cast_unsigned()),
        state,
        records: Sides {
            campaign: row.get::<_, Option<&str>>(4).map(RecordId::from),
            crm: row.get::<_, Option<&str>>(5).map(RecordId::from),
        },
    };
    let link = decode(columns, row.get(10)).map_err(|error| unreadable(error.to_string()))?;
    let mark = Mark {
        version: row.get::<_, i64>(6).cast_unsigned(),
        entity: link.entity,
        state: State::of(&link.state),
        due: due_of(row.get(8), row.get(9)),
        identity: identity(&link),
        extras: row.get::<_, i64>(7).cast_unsigned(),
    };
    Ok(Kept { link, mark })
}

fn due_of(lane: Option<i16>, at: Option<SystemTime>) -> Option<Due> {
    let lane: Lane = number_lane(lane?);
    Some(Due { lane, at: timestamp(at?) })
}

pub(super) async fn matches(
    from: &Line,
    (entity, side): (Entity, Side),
    keys: &[String],
) -> Result<Vec<(String, LinkId)>, LedgerError> {
    const MATCHES: &str = "
        select k.key, k.link from unnest($3::text[]) as a (key)
         cross join lateral (
           select m.key, m.link from truce.match_key as m
            where m.entity = $1 and m.side = $2 and m.key = a.key offset 0) as k
         order by k.key, k.link";
    let keys: BTreeSet<&String> = keys.iter().collect();
    // What was stored was cleaned as well, and the caller knows its own key.
    let cleaned: BTreeMap<String, &String> = keys.into_iter().map(|k| (clean(k), k)).collect();
    let asked: Vec<&String> = cleaned.keys().collect();
    let given: [&(dyn ToSql + Sync); 3] = [&integer(entity.0)?, &side.name(), &asked];
    let rows = from.ask("find links by match key", MATCHES, &given).await?;
    let found = rows.iter().map(|row| (cleaned[row.get::<_, &str>(0)].clone(), id(row.get(1))));
    Ok(found.collect())
}

pub(super) async fn waiting(from: &Line, bearers: &[Bearer]) -> Result<Vec<LinkId>, LedgerError> {
    const WAITING: &str = "
        select distinct w.link
          from unnest($1::smallint[], $2::text[], $3::text[]) as n (entity, side, record)
          join truce.waiting as w
            on w.entity = n.entity and w.side = n.side and w.record = n.record
         order by w.link";
    let (mut entities, mut sides, mut records) = (Vec::new(), Vec::new(), Vec::new());
    for (entity, side, record) in bearers {
        entities.push(integer(entity.0)?);
        sides.push(side.name());
        records.push(clean(&record.0));
    }
    let given: [&(dyn ToSql + Sync); 3] = [&entities, &sides, &records];
    let rows = from.ask("find waiting links", WAITING, &given).await?;
    Ok(rows.iter().map(|row| id(row.get(0))).collect())
}

pub(super) async fn draw(from: &Line, count: usize) -> Result<VecDeque<LinkId>, LedgerError> {
    const DRAW: &str = "update truce.counter set drawn = drawn + $1 returning drawn";
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let rows = from.ask("draw link numbers", DRAW, &[&count]).await?;
    let last = rows.first().map_or(0, |row| row.get::<_, i64>(0));
    Ok((last - count + 1..=last).map(id).collect())
}

fn id(number: i64) -> LinkId {
    LinkId(number.cast_unsigned())
}
