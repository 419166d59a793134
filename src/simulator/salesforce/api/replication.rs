//! `updated` and `deleted`: ids by the minute in which their records changed.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::super::clock::{second, stamp};
use super::super::id::Id;
use super::super::org::Org;
use super::super::parse::date_time;
use super::super::refusal::Refusal;
use super::super::table::Row;
use super::{Answer, Answered, Call, Failure, object_of};

/// How far back each answers.
const UPDATED_DAYS: i64 = 30;
const DELETED_DAYS: i64 = 15;
const DAY_S: i64 = 86_400;
/// Ids of one answer.
const IDS_MAX: usize = 600_000;

/// `GET /sobjects/{Object}/updated?start=&end=`.
pub(super) fn updated(org: &mut Org, call: &Call<'_>, object: &str) -> Answered {
    let object = object_of(org, object)?;
    let window = window(call, UPDATED_DAYS)?;
    let ids: Vec<Json> = changed(org, object, window, |row| !row.is_deleted())?
        .into_iter()
        .map(|(id, _)| json!(id.as_str()))
        .collect();
    let rows = ids.len();
    let body = json!({ "ids": ids, "latestDateCovered": stamp(covered(org, call, window)) });
    Ok(Answer::new(200, body).rows(rows))
}

/// `GET /sobjects/{Object}/deleted?start=&end=`.
pub(super) fn deleted(org: &mut Org, call: &Call<'_>, object: &str) -> Answered {
    let object = object_of(org, object)?;
    let window = window(call, DELETED_DAYS)?;
    if window.0 < minute(org.deleted_since) {
        let message = "startDate before org replication enabled date";
        return Err(Refusal::new("INVALID_REPLICATION_DATE", message).into());
    }
    let records: Vec<Json> = changed(org, object, window, Row::is_deleted)?
        .into_iter()
        .map(|(id, at)| json!({ "id": id.as_str(), "deletedDate": stamp(at) }))
        .collect();
    let rows = records.len();
    let earliest = org.deleted_since.max(second(call.now) - DELETED_DAYS * DAY_S);
    let body = json!({
        "deletedRecords": records,
        "earliestDateAvailable": stamp(minute(earliest)),
        "latestDateCovered": stamp(covered(org, call, window)),
    });
    Ok(Answer::new(200, body).rows(rows))
}

/// Start and end, both whole minutes.
fn window(call: &Call<'_>, days: i64) -> Result<(i64, i64), Failure> {
    let time = |name: &str| {
        let text = call.request.parameter(name).unwrap_or_default().replace(' ', "+");
        date_time(&text).map(minute).ok_or_else(|| {
            Refusal::new("INVALID_REPLICATION_DATE", format!("{name} is not a date-time: {text}"))
        })
    };
    let (start, end) = (time("start")?, time("end")?);
    // Exactly one minute is taken: a client's own tests against real organisations rely on it.
    if end - start < 60 {
        let message = "startDate before endDate must be more than one minute";
        return Err(Refusal::new("INVALID_REPLICATION_DATE", message).into());
    }
    if start < minute(second(call.now) - days * DAY_S) {
        let message = format!("startDate cannot be more than {days} days ago");
        return Err(Refusal::new("INVALID_REPLICATION_DATE", message).into());
    }
    Ok((start, end))
}

fn changed(
    org: &Org,
    object: usize,
    (start, end): (i64, i64),
    wanted: impl Fn(&Row) -> bool,
) -> Result<Vec<(Id, i64)>, Refusal> {
    let table = org.data.table(object);
    let ids: BTreeSet<Id> =
        table.ids_by_stamp(start, end - 1).chain(table.unseen().iter().copied()).collect();
    let found: Vec<(Id, i64)> = ids
        .into_iter()
        .filter_map(|id| Some((id, table.visible(id)?)))
        .filter(|(_, row)| (start..end).contains(&row.modstamp()) && wanted(row))
        .map(|(id, row)| (id, row.modstamp()))
        .collect();
    if IDS_MAX < found.len() {
        return Err(Refusal::new("EXCEEDED_ID_LIMIT", "too many ids: ask for a shorter time"));
    }
    Ok(found)
}

/// Up to when the answer is complete: the start of the oldest transaction that still runs.
fn covered(org: &Org, call: &Call<'_>, (start, end): (i64, i64)) -> i64 {
    let open = org.data.oldest_unseen().unwrap_or(i64::MAX);
    minute(second(call.now).min(end).min(open)).max(start)
}

fn minute(seconds: i64) -> i64 {
    seconds.div_euclid(60) * 60
}
