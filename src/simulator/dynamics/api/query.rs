//! Queries of a collection: pages, orders, counts.

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::super::convert;
use super::super::data::{Data, Row};
use super::super::exchange::{Answer, Answered};
use super::super::guid::Guid;
use super::super::model::{Children, ID};
use super::super::odata::aggregate;
use super::super::odata::bind::{Condition, Path, Side};
use super::super::odata::filter::Comparison;
use super::super::odata::narrow::candidates;
use super::super::odata::run::{Order, World, ordering};
use super::super::org::Org;
use super::super::refusal::Refusal;
use super::super::value::Value;
use super::inquiry::{Inquiry, PAGE_MAX, check_options, condition};
use super::page::{Cookie, next_link};
use super::render::record;
use super::{Call, delta};

/// Where counting ends.
const COUNT_MAX: usize = 5_000;
/// What begins the answer of `$count`.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// `GET set`.
pub(super) fn collection(org: &Org, call: &Call<'_>, table: usize) -> Answered {
    let request = call.request;
    if request.option("$deltatoken").is_some() {
        return delta::changes(org, call, table);
    }
    let cookie = Cookie::of(request)?;
    let is_tracked = cookie.as_ref().is_some_and(|cookie| cookie.tracked.is_some());
    if is_tracked || request.preference("odata.track-changes").is_some() {
        return delta::load(org, call, table, cookie);
    }
    if let Some(text) = request.option("$apply") {
        check_options(request)?;
        let world = World { data: &org.data, now: org.now() };
        let rows = aggregate::apply(world, table, text)?;
        let context = call.context(&org.data.model.table(table).set);
        return Ok(Answer::new(200, json!({ "@odata.context": context, "value": rows })));
    }
    let inquiry = Inquiry::of(&org.data, table, request)?;
    answer(org, call, (table, inquiry), cookie)
}

/// The records of a collection of one record.
pub(super) fn children(org: &Org, call: &Call<'_>, (id, of): (Guid, Children)) -> Answered {
    let mut inquiry = Inquiry::of(&org.data, of.table, call.request)?;
    let path = Path { steps: Vec::new(), column: of.column, table: of.table };
    let mut all =
        vec![Condition::Compare(Side::Column(path), Comparison::Eq, Side::Value(Value::Id(id)))];
    all.extend(inquiry.condition.take());
    inquiry.condition = Some(Condition::All(all));
    answer(org, call, (of.table, inquiry), Cookie::of(call.request)?)
}

/// `GET set/$count`.
pub(super) fn count(org: &Org, call: &Call<'_>, table: usize) -> Answered {
    let number = if call.request.option("$deltatoken").is_some() {
        delta::count(org, call, table)?
    } else {
        check_options(call.request)?;
        let filter = call.request.option("$filter");
        let condition =
            filter.map(|text| condition(&org.data, table, text, call.request)).transpose()?;
        let world = World { data: &org.data, now: org.now() };
        let meets = |row: &&Arc<Row>| condition.as_ref().is_none_or(|c| world.holds(row, c));
        org.data.records(table).all().filter(meets).take(COUNT_MAX).count()
    };
    Ok(Answer::text("text/plain", format!("{BYTE_ORDER_MARK}{number}")))
}

fn answer(
    org: &Org,
    call: &Call<'_>,
    (table, inquiry): (usize, Inquiry),
    cookie: Option<Cookie>,
) -> Answered {
    let world = World { data: &org.data, now: org.now() };
    let limit = inquiry.top.unwrap_or(inquiry.page).min(PAGE_MAX);
    let mut rows = rows(world, (table, &inquiry), cookie.as_ref(), limit)?;
    let more = inquiry.top.is_none() && limit < rows.len();
    rows.truncate(limit);
    let spec = org.data.model.table(table);
    let mut body = Map::new();
    let context = format!("{}{}", spec.set, inquiry.shape.context(&org.data, table));
    body.insert("@odata.context".to_owned(), json!(call.context(&context)));
    let total = inquiry.count.then(|| total(world, table, inquiry.condition.as_ref()));
    if let Some(total) = total {
        body.insert("@odata.count".to_owned(), json!(total.min(COUNT_MAX)));
    }
    if inquiry.shape.annotations.any() {
        let known = total.map_or(json!(-1), |total| json!(total.min(COUNT_MAX)));
        body.insert("@Microsoft.Dynamics.CRM.totalrecordcount".to_owned(), known);
        let exceeded = total.is_some_and(|total| COUNT_MAX < total);
        let name = "@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded";
        body.insert(name.to_owned(), json!(exceeded));
    }
    let list: Vec<Json> =
        rows.iter().map(|row| Json::Object(record(world, table, row, &inquiry.shape))).collect();
    let found = list.len();
    body.insert("value".to_owned(), Json::Array(list));
    if more && let Some(last) = rows.last() {
        let cookie = Cookie {
            page: cookie.map_or(1, |cookie| cookie.page) + 1,
            id: last.id().to_string(),
            keys: sort_keys(world, &inquiry.order, last)
                .iter()
                .zip(&inquiry.order)
                .map(|(value, order)| value.json(&kind_of(&org.data, order)))
                .collect(),
            ..Cookie::default()
        };
        body.insert("@odata.nextLink".to_owned(), json!(next_link(call.request, &cookie)));
    }
    let answer = Answer::new(200, Json::Object(body)).rows(found);
    Ok(applied(answer, &inquiry, false))
}

/// Says which preferences were followed.
pub(super) fn applied(answer: Answer, inquiry: &Inquiry, is_tracked: bool) -> Answer {
    let mut followed = Vec::new();
    if is_tracked {
        followed.push("odata.track-changes".to_owned());
    }
    if inquiry.pages_are_wanted {
        followed.push(format!("odata.maxpagesize={}", inquiry.page));
    }
    if inquiry.shape.annotations.any() {
        followed.push("odata.include-annotations=\"*\"".to_owned());
    }
    if followed.is_empty() {
        return answer;
    }
    answer.with("preference-applied", followed.join(","))
}

fn kind_of(data: &Data, order: &Order) -> super::super::model::Kind {
    data.model.table(order.path.table).column(order.path.column).kind.clone()
}

fn sort_keys(world: World<'_>, orders: &[Order], row: &Row) -> Vec<Value> {
    orders.iter().map(|order| world.value(row, &order.path)).collect()
}

/// The records behind a cookie, one more than the limit if there are more.
fn rows<'a>(
    world: World<'a>,
    (table, inquiry): (usize, &Inquiry),
    cookie: Option<&Cookie>,
    limit: usize,
) -> Result<Vec<&'a Arc<Row>>, Refusal> {
    let records = world.data.records(table);
    let meets = |row: &&Arc<Row>| inquiry.condition.as_ref().is_none_or(|c| world.holds(row, c));
    let behind = cookie.map(cookie_id).transpose()?;
    let narrowed = inquiry.condition.as_ref().and_then(|c| candidates(world.data, table, c));
    if inquiry.order.is_empty() && narrowed.is_none() {
        return Ok(records.behind(behind).filter(meets).take(limit + 1).collect());
    }
    let all: Vec<&Arc<Row>> = match narrowed {
        Some(ids) => ids.into_iter().filter_map(|id| records.row(id)).filter(meets).collect(),
        None => records.all().filter(meets).collect(),
    };
    let keyed = |row: &'a Arc<Row>| (sort_keys(world, &inquiry.order, row), row);
    let mut all: Vec<(Vec<Value>, &Arc<Row>)> = all.into_iter().map(keyed).collect();
    if let (Some(cookie), Some(id)) = (cookie, behind) {
        let keys = cookie_keys(world.data, &inquiry.order, cookie);
        let mut last = Row::default();
        last.set(ID, Value::Id(id));
        all.retain(|(own, row)| {
            ordering(&inquiry.order, (own, row), (&keys, &last)) == Ordering::Greater
        });
    }
    all.sort_by(|a, b| ordering(&inquiry.order, (&a.0, a.1), (&b.0, b.1)));
    Ok(all.into_iter().take(limit + 1).map(|(_, row)| row).collect())
}

fn cookie_id(cookie: &Cookie) -> Result<Guid, Refusal> {
    Guid::parse(&cookie.id).ok_or_else(|| Refusal::undefined("the paging cookie names no record"))
}

fn cookie_keys(data: &Data, orders: &[Order], cookie: &Cookie) -> Vec<Value> {
    let one = |(at, order): (usize, &Order)| {
        let spec = data.model.table(order.path.table);
        let given = cookie.keys.get(at).unwrap_or(&Json::Null);
        convert::value(spec, spec.column(order.path.column), given).unwrap_or_default()
    };
    orders.iter().enumerate().map(one).collect()
}

fn total(world: World<'_>, table: usize, condition: Option<&Condition>) -> usize {
    let meets = |row: &&Arc<Row>| condition.is_none_or(|c| world.holds(row, c));
    world.data.records(table).all().filter(meets).take(COUNT_MAX + 1).count()
}
