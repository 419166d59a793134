//! `query` and `queryAll`: pages of rows, and cursors that remember where they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::super::clock::{Millis, second};
use super::super::draw::Draw;
use super::super::id::Id;
use super::super::org::Org;
use super::super::refusal::Refusal;
use super::super::soql::bind::{Answer as Wanted, Pick, bind};
use super::super::soql::plan::{Source, plan};
use super::super::soql::read::read;
use super::super::soql::run::{Scope, fold_rows, print, rows};
use super::super::table::Row;
use super::{Answer, Answered, Call, invalid_locator};

/// Rows of a page: at least, at most and by default.
const PAGE: (usize, usize) = (200, 2_000);
/// Two or more long texts make pages small.
const LONG_TEXTS_MAX: usize = 2;
/// How long a cursor lives.
const CURSOR_LIFE_S: i64 = 2 * 86_400;
/// Cursors that are kept; Salesforce knows no bound, a machine does.
const CURSORS_MAX: usize = 2_000;

/// A query whose pages are still being read.
#[derive(Debug)]
struct Cursor {
    object: usize,
    picks: Vec<Pick>,
    rows: Vec<Arc<Row>>,
    page: usize,
    opened: i64,
}

/// The cursors that are open.
#[derive(Debug, Default)]
pub(in super::super) struct Cursors {
    open: BTreeMap<Id, Cursor>,
    serial: u64,
    /// Later pages show rows as they were when the query was asked, instead of as they are.
    pub(in super::super) frozen: bool,
    /// What was opened before is lost, by a test's order.
    expired_before: Millis,
}

impl Cursors {
    fn add(&mut self, cursor: Cursor, draw: &mut Draw) -> Id {
        let now = cursor.opened;
        self.open.retain(|_, cursor| now - cursor.opened <= CURSOR_LIFE_S);
        if CURSORS_MAX <= self.open.len() {
            self.open.pop_first();
        }
        self.serial += 1;
        let id = Id::compose("0r8", (self.serial << 20) | (draw.next() & 0xf_ffff));
        self.open.insert(id, cursor);
        id
    }

    /// Loses every cursor and every locator of a job's results.
    pub(in super::super) fn expire(&mut self, now: Millis) -> usize {
        self.expired_before = now;
        std::mem::take(&mut self.open).len()
    }

    /// Whether what was opened then is lost.
    pub(super) fn is_expired(&self, opened: Millis) -> bool {
        opened < self.expired_before
    }
}

/// `GET /query?q=` and `GET /queryAll?q=`.
pub(super) fn query(org: &mut Org, call: &Call<'_>, scope: Scope) -> Answered {
    if let Some(text) = call.request.parameter("explain") {
        return explain(org, text);
    }
    let Some(text) = call.request.parameter("q") else {
        let message = "The required parameter q is missing";
        return Err(Refusal::new("MALFORMED_QUERY", message).into());
    };
    let bound = bind(text, &read(text)?, &org.data.model)?;
    let found = rows(&org.data, &bound, scope);
    let total = found.len();
    let picks = match bound.answer {
        Wanted::Count => {
            let body = json!({ "totalSize": total, "done": true, "records": [] });
            return Ok(Answer::new(200, body));
        }
        Wanted::Folds(folds) => {
            let mut record = json!({ "attributes": { "type": "AggregateResult" } });
            for (fold, way, name) in &folds {
                record[name] = fold_rows(&org.data, &found, (*fold, way));
            }
            let body = json!({ "totalSize": 1, "done": true, "records": [record] });
            return Ok(Answer::new(200, body).rows(1));
        }
        Wanted::Rows(picks) => picks,
    };
    let cursor = Cursor {
        object: bound.object,
        page: page_size(org, call, bound.object, &picks),
        picks,
        rows: found,
        opened: second(call.now),
    };
    if total <= cursor.page {
        return Ok(page(org, call, &cursor, (None, 0)));
    }
    let id = org.cursors.add(cursor, &mut org.draw);
    more_of(org, call, id, 0)
}

/// `?explain=`: how a query would be run; it is not.
fn explain(org: &Org, text: &str) -> Answered {
    let bound = bind(text, &read(text)?, &org.data.model)?;
    let table = org.data.table(bound.object);
    let all = table.ids().count();
    let source = plan(&bound, &org.data.model, table);
    let (way, cost) = if source == Source::All { ("TableScan", 1.5) } else { ("Index", 0.1) };
    let plan = json!({
        "cardinality": rows(&org.data, &bound, Scope::Live).len(),
        "fields": [],
        "leadingOperationType": way,
        "notes": [],
        "relativeCost": cost,
        "sobjectCardinality": all,
        "sobjectType": org.data.model.object(bound.object).name,
    });
    Ok(Answer::new(200, json!({ "plans": [plan], "sourceQuery": text })))
}

/// `GET /query/{locator}-{offset}`.
pub(super) fn more(org: &mut Org, call: &Call<'_>, locator: &str) -> Answered {
    let (id, offset) = locator.split_once('-').unwrap_or((locator, "0"));
    let (Some(id), Ok(offset)) = (Id::parse(id), offset.parse()) else {
        return Err(invalid_locator());
    };
    more_of(org, call, id, offset)
}

fn more_of(org: &mut Org, call: &Call<'_>, id: Id, offset: usize) -> Answered {
    let cursor = org.cursors.open.get(&id);
    let alive = cursor.is_some_and(|cursor| {
        second(call.now) - cursor.opened <= CURSOR_LIFE_S && offset < cursor.rows.len()
    });
    match cursor {
        Some(cursor) if alive => Ok(page(org, call, cursor, (Some(id), offset))),
        Some(_) | None => Err(invalid_locator()),
    }
}

fn page(org: &Org, call: &Call<'_>, cursor: &Cursor, (id, offset): (Option<Id>, usize)) -> Answer {
    let table = org.data.table(cursor.object);
    let end = cursor.rows.len().min(offset + cursor.page);
    let records: Vec<Json> = cursor.rows[offset..end]
        .iter()
        .map(|row| {
            let now = row.id().and_then(|id| table.visible(id)).filter(|_| !org.cursors.frozen);
            print(&org.data, cursor.object, (now.unwrap_or(row), &cursor.picks), call.version)
        })
        .collect();
    let rows = records.len();
    let mut body = json!({ "totalSize": cursor.rows.len(), "done": end == cursor.rows.len() });
    if let Some(id) = id.filter(|_| end < cursor.rows.len()) {
        let url = format!("/services/data/{}/query/{id}-{end}", call.version);
        body["nextRecordsUrl"] = json!(url);
    }
    body["records"] = Json::Array(records);
    Answer::new(200, body).rows(rows)
}

fn page_size(org: &Org, call: &Call<'_>, object: usize, picks: &[Pick]) -> usize {
    let spec = org.data.model.object(object);
    let is_long = |pick: &&Pick| matches!(pick, Pick::Field(at) if spec.field(*at).is_long_text());
    if LONG_TEXTS_MAX <= picks.iter().filter(is_long).count() {
        return PAGE.0;
    }
    let options = call.request.header("sforce-query-options").unwrap_or_default();
    options
        .split([',', ';'])
        .filter_map(|option| option.trim().strip_prefix("batchSize="))
        .find_map(|size| size.trim().parse::<usize>().ok())
        .map_or(PAGE.1, |size| size.clamp(PAGE.0, PAGE.1))
}
