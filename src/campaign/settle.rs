//! Finding out what became of writes that were not answered by their statement: rows that were not
//! as expected, records that were there before, unique values that have an owner, lost commits.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use crate::campaign::scan::{not_zero, observation, read_records, select_list};
use crate::campaign::statement::{Form, Item, Verb};
use crate::campaign::table::Mapped;
use crate::campaign::verdict::{RETRY_AFTER, violated};
use crate::campaign::{peer_error, quoted, values};
use crate::peer::{Ended, PeerError};
use crate::reconcile::{Delay, Observation, Outcome, Position, Presence, RecordId};

/// More records than this for one match are no match; the rest need not be told.
const FOUND_MAX: i64 = 1_000;

/// For what a row as expected is put off that was passed by.
const LOCKED: &str = "the row is locked";

/// Why these rows were not written, one answer a place.
pub(crate) async fn why_not(
    client: &Client,
    mapped: &Mapped,
    (form, items): (&Form, &[Item]),
    at: Position,
) -> Result<Vec<(usize, Outcome)>, PeerError> {
    let keys: Vec<RecordId> = items.iter().map(|item| item.key.clone()).collect();
    let seen = read_records(client, mapped, &keys, at).await?;
    let mut seen: BTreeMap<RecordId, Observation> =
        seen.into_iter().map(|seen| (seen.record.clone(), seen)).collect();
    let mut known = match form.verb {
        Verb::Insert => found(client, mapped, (form, items), at).await?,
        Verb::Update | Verb::Delete => BTreeMap::new(),
    };
    let answer = |item: &Item| {
        let observation = seen.remove(&item.key);
        let outcome = match (form.verb, observation) {
            (_, None) => Outcome::Later(RETRY_AFTER.into()),
            (Verb::Insert, Some(seen)) => inserted(seen, known.remove(&item.place)),
            (Verb::Update | Verb::Delete, Some(seen)) => match &seen.presence {
                Presence::Gone(_) => Outcome::Gone(Some(Box::new(seen))),
                // The row is as expected, so it was not written because it is locked.
                Presence::Here { .. } if holds(mapped, form, item, &seen) => {
                    Outcome::Later(Delay::of(RETRY_AFTER, LOCKED))
                }
                Presence::Here { .. } => Outcome::Stale(Some(Box::new(seen))),
            },
        };
        (item.place, outcome)
    };
    Ok(items.iter().map(answer).collect())
}

/// A row that was not made: its key is taken, or there is a record that may stand for the same.
fn inserted(seen: Observation, known: Option<Vec<Observation>>) -> Outcome {
    match (&seen.presence, known) {
        (Presence::Here { .. }, _) => Outcome::Found(vec![seen]),
        (Presence::Gone(_), Some(records)) => Outcome::Found(records),
        (Presence::Gone(_), None) => Outcome::Later(RETRY_AFTER.into()),
    }
}

/// Whether the guard holds for the row as it was read.
fn holds(mapped: &Mapped, form: &Form, item: &Item, seen: &Observation) -> bool {
    let compared = form.guards.iter().zip(&item.guards);
    compared.into_iter().all(|(name, text)| {
        mapped.table.column(name).is_some_and(|known| {
            column_text(mapped, name, seen)
                .is_some_and(|is| values::same(&known.column, text.as_deref(), Some(&is)))
        })
    })
}

/// What a column held, by what was seen of a field that it belongs to; empty for null, `None` where
/// it is not known.
fn column_text(mapped: &Mapped, column: &str, seen: &Observation) -> Option<String> {
    let field = mapped.fields_of(column).next()?;
    let place = field.columns.iter().position(|known| &*known.name == column)?;
    let Presence::Here { row, raw, .. } = &seen.presence else { return None };
    if let Some(texts) = raw.get(&field.field) {
        return Some(texts.get(place)?.as_deref().unwrap_or_default().to_owned());
    }
    let texts = values::print(field, row.get(&field.field)?, &mapped.zone).ok()?;
    Some(texts.into_iter().nth(place)?.unwrap_or_default())
}

/// The records that hold one of the values by which a new one would be known, by place.
///
/// The statement itself compares exactly, so that an index can serve it; here letters' case and
/// outer blanks are ignored, which needs a pass over the table, once for the whole batch. Where
/// that takes long, and an index can find the usual ways of writing a value, those must do: the
/// agent has looked among all the records that it has seen before it asked for a new one.
pub(crate) async fn found(
    client: &Client,
    mapped: &Mapped,
    (form, items): (&Form, &[Item]),
    at: Position,
) -> Result<BTreeMap<usize, Vec<Observation>>, PeerError> {
    let failed = |error| peer_error("looking for matching records", error);
    let mut known: BTreeMap<usize, Vec<Observation>> = BTreeMap::new();
    if form.guards.is_empty() {
        return Ok(known);
    }
    let standing = mapped.standing();
    let size = "select coalesce(pg_relation_size($1::oid), 0)";
    let size: i64 = client.query_one(size, &[&standing.oid()]).await.map_err(failed)?.get(0);
    for (n, column) in form.guards.iter().enumerate() {
        let wanted: Vec<String> =
            items.iter().filter_map(|item| item.guards.get(n)?.clone()).collect();
        if wanted.is_empty() {
            continue;
        }
        let query = format!(
            "select t.{}::text, txid_current_snapshot()::text, now()::text, {} from {} t
              where {} and {} limit {FOUND_MAX}",
            quoted(&mapped.mapping.key),
            select_list(mapped, &standing),
            mapped.sql_name(),
            if SCAN_BYTES_MAX < size && mapped.table.is_indexed(column) {
                written_so(mapped, column)
            } else {
                folds_so(column)
            },
            not_zero(mapped, "t"),
        );
        for row in client.query(&query, &[&wanted]).await.map_err(failed)? {
            let seen = observation(mapped, &standing, &row, at)?;
            let text = column_text(mapped, column, &seen);
            let holds = folded(text.as_deref());
            for item in items.iter().filter(|item| folded(item.guards[n].as_deref()) == holds) {
                let records = known.entry(item.place).or_default();
                if holds.is_some() && !records.contains(&seen) {
                    records.push(seen.clone());
                }
            }
        }
    }
    known.retain(|_, records| !records.is_empty());
    Ok(known)
}

/// A table up to this size is passed over in about a tenth of a second.
const SCAN_BYTES_MAX: i64 = 64 << 20;

fn folds_so(column: &str) -> String {
    format!(
        "lower(btrim(t.{}::text)) = any (
            array(select lower(btrim(given)) from unnest($1::text[]) given))",
        quoted(column)
    )
}

fn written_so(mapped: &Mapped, column: &str) -> String {
    format!(
        "t.{} = any (array(
            select way::{} from unnest($1::text[]) given,
                   lateral (values (given), (lower(given)), (upper(given)), (initcap(given)))
                           as ways (way)))",
        quoted(column),
        mapped.cast(column)
    )
}

fn folded(text: Option<&str>) -> Option<String> {
    text.map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty())
}

/// The record that owns the value which a write was refused for, where one column says it.
pub(crate) async fn owner(
    client: &Client,
    mapped: &Mapped,
    (form, item): (&Form, &Item),
    error: &tokio_postgres::Error,
) -> Option<RecordId> {
    let [column] = *violated(error, mapped) else { return None };
    let place = form.sets.iter().position(|name| name == column)?;
    let text = item.sets.get(place)?.as_deref()?;
    let query = format!(
        "select t.{}::text from {} t where t.{} = $1::text::{} and {} limit 1",
        quoted(&mapped.mapping.key),
        mapped.sql_name(),
        quoted(column),
        mapped.cast(column),
        not_zero(mapped, "t"),
    );
    // Knowing the owner is a help, not a need.
    let row = client.query_opt(&query, &[&text]).await.ok().flatten()?;
    Some(RecordId::from(row.get::<_, &str>(0)))
}

/// What became of a transaction.
pub(crate) async fn transaction(client: &Client, xid: u64) -> Result<Option<Ended>, PeerError> {
    let Ok(xid) = i64::try_from(xid) else { return Ok(Some(Ended::Aborted)) };
    let asked = client.query_one("select txid_status($1::bigint)::text", &[&xid]).await;
    match asked {
        Ok(row) => Ok(match row.get::<_, Option<&str>>(0) {
            Some("committed") => Some(Ended::Committed),
            Some("in progress") => None,
            // Aborted, or so old that the server has forgotten: then the record is read.
            Some(_) | None => Some(Ended::Aborted),
        }),
        // An id that this server has not given yet: it was restored to before the transaction.
        Err(error) if error.code().is_some_and(|code| code.code() == "22023") => {
            Ok(Some(Ended::Aborted))
        }
        Err(error) => Err(peer_error("asking what became of a transaction", error)),
    }
}
