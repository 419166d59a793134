//! Change tracking: a load that ends with a token, and what was changed and deleted since.
//!
//! A load is no snapshot: its token is that of its last page, as the service makes it, so that what
//! was read on the first page and changed before the last is not told (a test can order the token
//! of the first page instead). Changes are told up to the version of their own first page; what is
//! written while they are read comes with the next token.

use jiff::civil::DateTime;
use serde_json::{Map, Value as Json, json};

use super::super::exchange::{Answer, Answered};
use super::super::guid::Guid;
use super::super::odata::run::World;
use super::super::org::Org;
use super::super::refusal::Refusal;
use super::Call;
use super::inquiry::Inquiry;
use super::page::{Cookie, delta_link, next_link};
use super::query::applied;
use super::render::{Annotations, record};

const DAY_S: i64 = 86_400;
const TOKEN_FORM: &str = "%m/%d/%Y %H:%M:%S";

/// Refuses what change tracking cannot do, and reads the rest.
fn inquiry(org: &Org, call: &Call<'_>, table: usize) -> Result<Inquiry, Refusal> {
    let spec = org.data.model.table(table);
    if !spec.tracking {
        let message = format!("Change tracking is not enabled for entity '{}'.", spec.name);
        return Err(Refusal::new(400, "0x80072491", message));
    }
    for name in ["filter", "orderby", "expand", "top"] {
        if call.request.option(&format!("${name}")).is_some() {
            let message = format!(
                "The \"${{{name}}}\" query parameter isn't supported when Change Tracking is enabled."
            );
            return Err(Refusal::undefined(message));
        }
    }
    let mut inquiry = Inquiry::of(&org.data, table, call.request)?;
    // Annotations and change tracking do not go together: rows come without.
    inquiry.shape.annotations = Annotations::default();
    Ok(inquiry)
}

/// The load: pages in the order of ids, a token at the end.
pub(super) fn load(org: &Org, call: &Call<'_>, table: usize, cookie: Option<Cookie>) -> Answered {
    let inquiry = inquiry(org, call, table)?;
    let world = World { data: &org.data, now: org.now() };
    let cookie = cookie.unwrap_or_default();
    let behind = Guid::parse(&cookie.id);
    let mut rows: Vec<_> = org.data.records(table).behind(behind).take(inquiry.page + 1).collect();
    let more = inquiry.page < rows.len();
    rows.truncate(inquiry.page);
    let first = cookie.tracked.unwrap_or(org.data.version());
    let link = if let Some(last) = rows.last().filter(|_| more) {
        let next = Cookie {
            page: cookie.page.max(1) + 1,
            id: last.id().to_string(),
            tracked: Some(first),
            ..Cookie::default()
        };
        ("@odata.nextLink", next_link(call.request, &next))
    } else {
        let upto = if org.tracking.first_page { first } else { org.data.version() };
        ("@odata.deltaLink", delta_link(call.request, &token(org, upto)))
    };
    // As a real feed does now and then: the last record of the page before comes again.
    let again = behind.filter(|_| org.tracking.repeats).and_then(|id| org.data.row(table, id));
    let rows = again.into_iter().chain(rows);
    let list: Vec<Json> =
        rows.map(|row| Json::Object(record(world, table, row, &inquiry.shape))).collect();
    let spec = org.data.model.table(table);
    let context = format!("{}{}", spec.set, inquiry.shape.context(&org.data, table));
    let answer = page(call, &context, list, (link.0, &link.1));
    Ok(applied(answer, &inquiry, true))
}

fn page(call: &Call<'_>, context: &str, list: Vec<Json>, (name, link): (&str, &str)) -> Answer {
    let mut body = Map::new();
    body.insert("@odata.context".to_owned(), json!(call.context(context)));
    let rows = list.len();
    body.insert("value".to_owned(), Json::Array(list));
    body.insert(name.to_owned(), json!(link));
    Answer::new(200, Json::Object(body)).rows(rows)
}

/// A token: up to which version was told, and when.
fn token(org: &Org, version: i64) -> String {
    let at = jiff::Timestamp::from_second(org.now()).unwrap_or_default();
    format!("{version}!{}", at.strftime(TOKEN_FORM))
}

/// The version of a token that is still good.
fn version_of(org: &Org, text: &str) -> Result<i64, Refusal> {
    let wrong = || Refusal::argument(format!("Invalid value '{text}' of $deltatoken."));
    let (version, at) = text.split_once('!').ok_or_else(wrong)?;
    let version: i64 = version.parse().map_err(|_| wrong())?;
    let at = DateTime::strptime(TOKEN_FORM, at).map_err(|_| wrong())?;
    let at = jiff::tz::TimeZone::UTC.to_timestamp(at).map_err(|_| wrong())?.as_second();
    let tracking = &org.tracking;
    let is_old = at + tracking.retention_days * DAY_S < org.now();
    if is_old || version <= tracking.expired_upto {
        let message = "Version stamp associated with the client has expired. Please perform a full \
                       sync.";
        return Err(Refusal::new(tracking.expired_status, "0x80044352", message));
    }
    Ok(version)
}

/// What was changed and deleted since a token: changed ones first, each kind oldest first.
pub(super) fn changes(org: &Org, call: &Call<'_>, table: usize) -> Answered {
    let inquiry = inquiry(org, call, table)?;
    let since = version_of(org, call.request.option("$deltatoken").unwrap_or_default())?;
    let cookie = Cookie::of(call.request)?;
    let upto = cookie.as_ref().and_then(|cookie| cookie.upto).unwrap_or(org.data.version());
    let world = World { data: &org.data, now: org.now() };
    let records = org.data.records(table);
    let is_deleted = cookie.as_ref().is_some_and(|cookie| cookie.deleted);
    let from = cookie.as_ref().map_or(since, |cookie| cookie.version);
    let spec = org.data.model.table(table);
    let rows_from = if is_deleted { upto } else { from };
    let rows = records
        .written(rows_from, upto)
        .map(|row| (row.version(), false, Json::Object(record(world, table, row, &inquiry.shape))));
    let gone_context = call.context(&format!("{}/$deletedEntity", spec.set));
    let gone = records.deleted(if is_deleted { from } else { since }, upto);
    // A record that is there again is told as one that was changed.
    let gone = gone.filter(|(_, id)| records.row(*id).is_none()).map(|(version, id)| {
        let entry =
            json!({ "@odata.context": gone_context, "id": id.to_string(), "reason": "deleted" });
        (version, true, entry)
    });
    let mut entries: Vec<(i64, bool, Json)> = rows.chain(gone).take(inquiry.page + 1).collect();
    let more = inquiry.page < entries.len();
    entries.truncate(inquiry.page);
    let link = match entries.last().filter(|_| more) {
        Some((version, deleted, _)) => {
            let next = Cookie {
                page: cookie.map_or(1, |cookie| cookie.page) + 1,
                upto: Some(upto),
                version: *version,
                deleted: *deleted,
                ..Cookie::default()
            };
            ("@odata.nextLink", next_link(call.request, &next))
        }
        None => ("@odata.deltaLink", delta_link(call.request, &token(org, upto))),
    };
    let list = entries.into_iter().map(|(_, _, entry)| entry).collect();
    let context = format!("{}{}/$delta", spec.set, inquiry.shape.context(&org.data, table));
    Ok(applied(page(call, &context, list, (link.0, &link.1)), &inquiry, false))
}

/// How many changes there are since a token.
pub(super) fn count(org: &Org, call: &Call<'_>, table: usize) -> Result<usize, Refusal> {
    let since = version_of(org, call.request.option("$deltatoken").unwrap_or_default())?;
    let (records, upto) = (org.data.records(table), org.data.version());
    let gone = records.deleted(since, upto).filter(|(_, id)| records.row(*id).is_none());
    Ok(records.written(since, upto).count() + gone.count())
}
