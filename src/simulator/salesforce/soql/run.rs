//! Runs a bound query: judges the candidates, sorts them, and prints rows.

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::super::data::Data;
use super::super::id::Id;
use super::super::model::{ID, IS_DELETED, Kind, SYSTEM_MODSTAMP};
use super::super::table::Row;
use super::super::value::{Value, double, fold};
use super::bind::{Answer, Bound, Pick, Test, Way, form_of};
use super::lex::Piece;
use super::plan::{Source, plan};
use super::shape::{Fold, Op};

/// Whether rows in the recycle bin are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Scope {
    Live,
    All,
}

/// The rows that a query answers with, in order.
pub(in super::super) fn rows(data: &Data, bound: &Bound, scope: Scope) -> Vec<Arc<Row>> {
    rows_from(data, bound, scope, plan(bound, &data.model, data.table(bound.object)))
}

fn rows_from(data: &Data, bound: &Bound, scope: Scope, source: Source) -> Vec<Arc<Row>> {
    let table = data.table(bound.object);
    let wanted = bound.limit.map(|limit| limit + bound.offset);
    let ordered = is_in_order(bound, &source) && table.unseen().is_empty();
    let enough = wanted.filter(|_| ordered).unwrap_or(usize::MAX);
    let mut found: Vec<Arc<Row>> = candidates(data, bound.object, source)
        .filter_map(|id| table.visible(id))
        .filter(|row| scope == Scope::All || !row.is_deleted())
        .filter(|row| bound.test.as_ref().is_none_or(|test| holds(data, test, row)))
        .take(enough)
        .map(Arc::clone)
        .collect();
    if !ordered {
        found.sort_by(|a, b| compare(data, bound, a, b));
    }
    found.into_iter().skip(bound.offset).take(bound.limit.unwrap_or(usize::MAX)).collect()
}

fn candidates(data: &Data, object: usize, source: Source) -> Box<dyn Iterator<Item = Id> + '_> {
    let table = data.table(object);
    match source {
        Source::All => Box::new(table.ids()),
        Source::Ids(from, to) if from <= to => Box::new(table.ids_from(from, to)),
        Source::Ids(..) => Box::new(std::iter::empty()),
        Source::Stamps(from, to) if table.unseen().is_empty() => {
            Box::new(table.ids_by_stamp(from, to))
        }
        // What readers see of these records has an older stamp or key than the index knows.
        Source::Stamps(from, to) => Box::new(
            table
                .ids_by_stamp(from, to)
                .filter(|id| !table.unseen().contains(id))
                .chain(table.unseen().iter().copied()),
        ),
        Source::These(mut ids) => {
            ids.extend(table.unseen());
            Box::new(ids.into_iter())
        }
    }
}

/// Whether the source yields rows in the order that is asked for.
fn is_in_order(bound: &Bound, source: &Source) -> bool {
    let ascending = |(way, descending, _): &(Way, bool, bool)| {
        (way.hops.is_empty() && !descending).then_some(way.field)
    };
    let keys: Vec<Option<usize>> = bound.order.iter().map(ascending).collect();
    match source {
        Source::Stamps(..) => keys == [Some(SYSTEM_MODSTAMP), Some(ID)],
        Source::All | Source::Ids(..) | Source::These(_) => keys.is_empty() || keys == [Some(ID)],
    }
}

/// By the keys of ORDER BY, and by id among equals.
fn compare(data: &Data, bound: &Bound, a: &Row, b: &Row) -> Ordering {
    for (way, descending, nulls_last) in &bound.order {
        let (a, b) = (value(data, way, a), value(data, way, b));
        let order = match (a.is_null(), b.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) if *nulls_last => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, true) if *nulls_last => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) if *descending => b.order(a),
            (false, false) => a.order(b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.id().cmp(&b.id())
}

/// The value at the end of a way; null where a parent is missing.
fn value<'a>(data: &'a Data, way: &Way, row: &'a Row) -> &'a Value {
    let mut row = row;
    for (through, object) in &way.hops {
        match row.value(*through).as_id().and_then(|id| data.table(*object).visible(id)) {
            Some(parent) => row = parent,
            None => return &Value::Null,
        }
    }
    row.value(way.field)
}

fn holds(data: &Data, condition: &Test, row: &Row) -> bool {
    match condition {
        Test::And(all) => all.iter().all(|one| holds(data, one, row)),
        Test::Or(any) => any.iter().any(|one| holds(data, one, row)),
        Test::Not(inner) => !holds(data, inner, row),
        Test::Compare(way, op, operand) => {
            let exact = data.model.object(way.object).field(way.field).is_case_sensitive();
            compared(value(data, way, row), *op, operand, exact)
        }
        Test::Like(way, pattern) => {
            let text = value(data, way, row).as_text();
            text.is_some_and(|text| like(&text.chars().collect::<Vec<_>>(), pattern))
        }
        Test::In(way, keys, null, negated) => {
            let field = data.model.object(way.object).field(way.field);
            let value = value(data, way, row);
            let found = match (value.is_null(), value.as_id()) {
                (true, _) => *null,
                (false, Some(id)) => keys.contains(id.as_str()),
                (false, None) => form_of(field, value).is_some_and(|form| keys.contains(&form)),
            };
            found != *negated
        }
        Test::Includes(way, sets, excludes) => {
            let text = value(data, way, row).as_text().map(fold).unwrap_or_default();
            let has: Vec<&str> = text.split(';').collect();
            let found = sets.iter().any(|set| set.iter().all(|part| has.contains(&part.as_str())));
            found != *excludes
        }
    }
}

fn compared(value: &Value, op: Op, operand: &Value, exact: bool) -> bool {
    let false_for_null = &Value::Bool(false);
    let (value, operand) = match (value, operand) {
        (Value::Bool(_), Value::Null) => (value, false_for_null),
        (Value::Null, Value::Bool(_)) => (false_for_null, operand),
        pair => pair,
    };
    let order = match (value, operand) {
        (Value::Text(a), Value::Text(b)) if exact => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => fold(a).cmp(&fold(b)),
        (a, b) => a.order(b),
    };
    let ordered = !value.is_null() && !operand.is_null();
    match op {
        Op::Equal => order == Ordering::Equal,
        Op::NotEqual => order != Ordering::Equal,
        Op::Less => ordered && order == Ordering::Less,
        Op::AtMost => ordered && order != Ordering::Greater,
        Op::More => ordered && order == Ordering::Greater,
        Op::AtLeast => ordered && order != Ordering::Less,
        Op::Like => false,
    }
}

/// Matches without recursion: on a mismatch it goes back to the last `%` only.
fn like(text: &[char], pattern: &[Piece]) -> bool {
    let same = |a: char, b: char| a == b || a.to_lowercase().eq(b.to_lowercase());
    let (mut t, mut p) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(Piece::Any) => {
                back = Some((p, t));
                p += 1;
                continue;
            }
            Some(Piece::One) => {
                (t, p) = (t + 1, p + 1);
                continue;
            }
            Some(Piece::Char(c)) if same(*c, text[t]) => {
                (t, p) = (t + 1, p + 1);
                continue;
            }
            Some(Piece::Char(_)) | None => {}
        }
        let Some((any, from)) = back else { return false };
        back = Some((any, from + 1));
        (t, p) = (from + 1, any + 1);
    }
    pattern[p..].iter().all(|piece| *piece == Piece::Any)
}

/// A row as an answer shows it.
pub(in super::super) fn print(
    data: &Data,
    object: usize,
    (row, picks): (&Row, &[Pick]),
    version: &str,
) -> Json {
    let spec = data.model.object(object);
    let id = row.id().map(|id| id.to_string()).unwrap_or_default();
    let mut record = Map::new();
    let url = format!("/services/data/{version}/sobjects/{}/{id}", spec.name);
    record.insert("attributes".to_owned(), json!({ "type": spec.name, "url": url }));
    for pick in picks {
        match pick {
            Pick::Field(at) => {
                let field = spec.field(*at);
                let value = if field.kind == Kind::Address {
                    address(data, object, row, &field.name)
                } else {
                    row.value(*at).json(field.kind)
                };
                record.insert(field.name.clone(), value);
            }
            Pick::Parent { through, object, name, picks } => {
                let parent = row.value(*through).as_id();
                let parent = parent.and_then(|id| data.table(*object).visible(id));
                let value = parent
                    .filter(|row| !row.value(IS_DELETED).is_true())
                    .map(|row| print(data, *object, (row, picks), version));
                record.insert(name.clone(), value.unwrap_or(Json::Null));
            }
            Pick::Children { field, name, bound } => {
                let children = children(data, (row, *field, bound), version);
                record.insert(name.clone(), children);
            }
        }
    }
    Json::Object(record)
}

/// The children of a row as a result of their own, or null where there are none.
fn children(data: &Data, (row, field, bound): (&Row, usize, &Bound), version: &str) -> Json {
    let way = Way { hops: Vec::new(), object: bound.object, field };
    let mine = Test::Compare(way, Op::Equal, row.value(ID).clone());
    let test = match bound.test.clone() {
        None => mine,
        Some(test) => Test::And(vec![mine, test]),
    };
    let bound = Bound { test: Some(test), ..bound.clone() };
    let (found, Answer::Rows(picks)) = (rows(data, &bound, Scope::Live), &bound.answer) else {
        return Json::Null;
    };
    if found.is_empty() {
        return Json::Null;
    }
    let records: Vec<Json> =
        found.iter().map(|row| print(data, bound.object, (row, picks), version)).collect();
    json!({ "totalSize": records.len(), "done": true, "records": records })
}

/// A compound address: its parts under short names, or null where all are.
fn address(data: &Data, object: usize, row: &Row, whole: &str) -> Json {
    let spec = data.model.object(object);
    let mut parts = Map::new();
    for key in [
        "city",
        "country",
        "geocodeAccuracy",
        "latitude",
        "longitude",
        "postalCode",
        "state",
        "street",
    ] {
        let name = format!("{}{key}", whole.trim_end_matches("Address"));
        let value = spec
            .find_any(&name)
            .filter(|at| spec.field(*at).compound.as_deref() == Some(whole))
            .map_or(Json::Null, |at| row.value(at).json(spec.field(at).kind));
        parts.insert(key.to_owned(), value);
    }
    if parts.values().all(Json::is_null) { Json::Null } else { Json::Object(parts) }
}

/// One value over all rows.
pub(in super::super) fn fold_rows(
    data: &Data,
    rows: &[Arc<Row>],
    (fold, way): (Fold, &Way),
) -> Json {
    let kind = data.model.object(way.object).field(way.field).kind;
    let values = || rows.iter().map(|row| value(data, way, row)).filter(|value| !value.is_null());
    match fold {
        Fold::Count => json!(values().count()),
        Fold::CountDistinct => {
            let forms: std::collections::BTreeSet<String> =
                values().map(|value| value.json(kind).to_string()).collect();
            json!(forms.len())
        }
        Fold::Min => {
            values().min_by(|a, b| a.order(b)).map_or(Json::Null, |value| value.json(kind))
        }
        Fold::Max => {
            values().max_by(|a, b| a.order(b)).map_or(Json::Null, |value| value.json(kind))
        }
        Fold::Sum => sum(values()).map_or(Json::Null, |(sum, _)| json!(sum)),
        Fold::Average => sum(values()).map_or(Json::Null, |(sum, count)| json!(sum / count)),
    }
}

/// The sum of numbers and how many there are; none where there are none.
fn sum<'a>(values: impl Iterator<Item = &'a Value>) -> Option<(f64, f64)> {
    values.fold(None, |so_far, value| {
        let Value::Number(number) = value else { return so_far };
        let (sum, count) = so_far.unwrap_or((0.0, 0.0));
        Some((sum + double(number), count + 1.0))
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::catalog;
    use super::super::super::convert::{Purpose, changes};
    use super::super::super::data::{Actor, Hold, Via};
    use super::super::super::draw::Draw;
    use super::super::bind::bind;
    use super::super::lex::pattern;
    use super::super::read::read;
    use super::*;

    /// 300 contacts, written over 40 seconds, some twice, some deleted, some not visible yet.
    fn busy(seed: u64) -> Data {
        let mut data = Data::new(catalog::model());
        let mut draw = Draw::new(seed);
        let object = data.model.find("Contact").unwrap();
        let user = Id::compose("005", 1);
        let mut ids = Vec::new();
        for n in 0..600_u64 {
            let now = i64::try_from(draw.next() % 40).unwrap() * 1000;
            let hold = Hold { millis: 10_000, object: None, via: None };
            data.hold = draw.next().is_multiple_of(5).then_some(hold);
            let actor = Actor { via: Via::User, user, now, request: None };
            let name = json!({ "LastName": format!("L{}", draw.next() % 9), "Email": format!("{}@example.com", draw.next() % 50) });
            let fields = changes(&data, object, name.as_object().unwrap(), Purpose::Create, &[]);
            let fields = fields.unwrap();
            if n < 300 {
                ids.push(data.create(object, fields, actor).unwrap());
                continue;
            }
            let id = ids[usize::try_from(draw.next() % 300).unwrap()];
            // A record that was deleted before stays deleted.
            let refused = if draw.next().is_multiple_of(4) {
                data.delete(object, id, actor).is_err()
            } else {
                data.update(object, id, fields, actor).is_err()
            };
            assert!(!refused || data.live(object, id).is_err());
        }
        data
    }

    #[test]
    fn the_indexes_find_what_a_full_scan_finds() {
        let at = |second: i64| super::super::super::clock::stamp(second);
        let queries = [
            format!("WHERE SystemModstamp >= {} ORDER BY SystemModstamp, Id", at(20)),
            format!("WHERE SystemModstamp < {} ORDER BY SystemModstamp, Id LIMIT 7", at(20)),
            format!(
                "WHERE (SystemModstamp = {} AND Id > '003xx00000001A0') OR SystemModstamp > {} ORDER BY SystemModstamp, Id LIMIT 50 OFFSET 3",
                at(9),
                at(9)
            ),
            "WHERE Id > '003xx000000001A' ORDER BY Id LIMIT 20".to_owned(),
            "WHERE Email IN ('1@example.com', '2@Example.com') ORDER BY LastName DESC, Id"
                .to_owned(),
            "WHERE Email = '3@example.com' OR Email = '4@example.com'".to_owned(),
            format!("WHERE Email = '3@example.com' OR SystemModstamp > {}", at(30)),
            format!("WHERE NOT (SystemModstamp > {}) AND LastName LIKE 'l1%'", at(30)),
        ];
        for seed in 0..20 {
            let data = busy(seed);
            for tail in &queries {
                let text = format!("SELECT Id FROM Contact {tail}");
                let bound = bind(&text, &read(&text).unwrap(), &data.model).unwrap();
                for scope in [Scope::Live, Scope::All] {
                    let ids = |rows: Vec<Arc<Row>>| rows.iter().map(|r| r.id()).collect::<Vec<_>>();
                    let planned = ids(rows(&data, &bound, scope));
                    let scanned = ids(rows_from(&data, &bound, scope, Source::All));
                    assert_eq!(planned, scanned, "seed {seed}: {text}");
                }
            }
        }
    }

    #[test]
    fn like_knows_its_two_wildcards() {
        let check = |text: &str, raw: &str, expected: bool| {
            let text: Vec<char> = text.chars().collect();
            assert_eq!(like(&text, &pattern(raw).unwrap()), expected, "{raw}");
        };
        check("Miller", "mil%", true);
        check("Miller", "%LL%", true);
        check("Miller", "M_ller", true);
        check("Miller", "mill", false);
        check("", "%", true);
        check("100%", r"100\%", true);
        check("1000", r"100\%", false);
        check(&"a".repeat(2_000), &format!("{}b", "%a".repeat(500)), false);
    }
}
