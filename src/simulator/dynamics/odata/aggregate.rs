//! `$apply`: sums over records, in groups or over all.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::super::data::Row;
use super::super::number::Number;
use super::super::refusal::Refusal;
use super::super::value::Value;
use super::bind::{Condition, Path, bind, path};
use super::filter;
use super::run::World;

/// Groups of an answer at most; the service counts no more than so many records.
const GROUPS_MAX: usize = 50_000;

/// What is computed of the records of a group.
#[derive(Clone, Debug)]
enum Measure {
    Count,
    Sum(Path),
    Average(Path),
    Min(Path),
    Max(Path),
    Distinct(Path),
}

/// A query of the form `filter(…)/groupby((a,b),aggregate(…))`.
#[derive(Debug, Default)]
struct Query {
    condition: Option<Condition>,
    groups: Vec<Path>,
    measures: Vec<(String, Measure)>,
}

/// Answers `$apply`.
pub(in super::super) fn apply(
    world: World<'_>,
    table: usize,
    text: &str,
) -> Result<Vec<Json>, Refusal> {
    let query = read(world, table, text)?;
    let mut groups: BTreeMap<Vec<String>, Vec<&Arc<Row>>> = BTreeMap::new();
    if query.groups.is_empty() {
        groups.insert(Vec::new(), Vec::new());
    }
    let meets = |row: &&Arc<Row>| query.condition.as_ref().is_none_or(|c| world.holds(row, c));
    for row in world.data.records(table).all().filter(meets) {
        let key = |path: &Path| world.value(row, path).key().unwrap_or_default();
        groups.entry(query.groups.iter().map(key).collect()).or_default().push(row);
        if GROUPS_MAX < groups.len() {
            let message = "The maximum record limit is exceeded. Reduce the number of records.";
            return Err(Refusal::new(400, "0x8004e023", message));
        }
    }
    Ok(groups.into_values().map(|rows| group(world, &query, &rows)).collect())
}

fn group(world: World<'_>, query: &Query, rows: &[&Arc<Row>]) -> Json {
    let mut body = Map::new();
    for path in &query.groups {
        let column = world.data.model.table(path.table).column(path.column);
        let value = rows.first().map_or(Value::Null, |row| world.value(row, path));
        body.insert(column.property(), value.json(&column.kind));
    }
    for (name, measure) in &query.measures {
        body.insert(name.clone(), computed(world, measure, rows));
    }
    Json::Object(body)
}

fn computed(world: World<'_>, measure: &Measure, rows: &[&Arc<Row>]) -> Json {
    let values = |path: &Path| -> Vec<Value> {
        let all = rows.iter().map(|row| world.value(row, path));
        all.filter(|value| !value.is_null()).collect()
    };
    let number = |number: Number| serde_json::from_str(&number.to_string()).unwrap_or_default();
    let total = |path: &Path| {
        let numbers = values(path).into_iter().filter_map(|value| value.as_number());
        numbers.fold(Number::default(), Number::plus)
    };
    let extreme = |path: &Path, wanted: std::cmp::Ordering| {
        let better = |a: Value, b: Value| if a.compare(&b) == Some(wanted) { a } else { b };
        let found = values(path).into_iter().reduce(better).unwrap_or_default();
        found.json(&world.data.model.table(path.table).column(path.column).kind)
    };
    match measure {
        Measure::Count => json!(rows.len()),
        Measure::Sum(path) => number(total(path)),
        Measure::Average(path) => {
            let count = i64::try_from(values(path).len()).unwrap_or(i64::MAX);
            total(path).over(Number::whole(count)).map_or(Json::Null, number)
        }
        Measure::Min(path) => extreme(path, std::cmp::Ordering::Less),
        Measure::Max(path) => extreme(path, std::cmp::Ordering::Greater),
        Measure::Distinct(path) => {
            let keys: std::collections::BTreeSet<_> =
                values(path).iter().filter_map(Value::key).collect();
            json!(keys.len())
        }
    }
}

/// What stands between the parentheses behind a word at the start of a text, and what follows.
fn call<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let rest = text.trim_start().strip_prefix(word)?.strip_prefix('(')?;
    let mut depth = 1;
    for (at, letter) in rest.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&rest[..at], &rest[at + 1..]));
        }
    }
    None
}

fn read(world: World<'_>, table: usize, text: &str) -> Result<Query, Refusal> {
    let wrong = || Refusal::undefined(format!("Syntax error in $apply '{text}'."));
    let mut query = Query::default();
    let mut rest = text;
    if let Some((inside, behind)) = call(rest, "filter") {
        query.condition = Some(bind(&world.data.model, table, &filter::parse(inside)?)?);
        rest = behind.trim_start_matches('/');
    }
    let bound = |name: &str| {
        let names: Vec<String> = name.trim().split('/').map(ToOwned::to_owned).collect();
        path(&world.data.model, table, &names)
    };
    if let Some((inside, behind)) = call(rest, "groupby") {
        let (columns, inner) = call(inside, "").ok_or_else(wrong)?;
        query.groups = columns.split(',').map(bound).collect::<Result<_, _>>()?;
        rest = inner.trim_start().trim_start_matches(',');
        if !behind.trim().is_empty() {
            return Err(wrong());
        }
    }
    if let Some((inside, behind)) = call(rest, "aggregate") {
        for part in inside.split(',') {
            query.measures.push(measure(part, bound).ok_or_else(wrong)??);
        }
        rest = behind;
    }
    let is_empty = query.groups.is_empty() && query.measures.is_empty();
    if !rest.trim().is_empty() || is_empty { Err(wrong()) } else { Ok(query) }
}

/// `creditlimit with sum as total`, `$count as number`.
fn measure(
    text: &str,
    bound: impl Fn(&str) -> Result<Path, Refusal>,
) -> Option<Result<(String, Measure), Refusal>> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (column, method, name) = match words.as_slice() {
        ["$count", "as", name] => return Some(Ok(((*name).to_owned(), Measure::Count))),
        [column, "with", method, "as", name] => (*column, *method, (*name).to_owned()),
        _ => return None,
    };
    let path = match bound(column) {
        Ok(path) => path,
        Err(refusal) => return Some(Err(refusal)),
    };
    let measure = match method {
        "sum" => Measure::Sum(path),
        "average" => Measure::Average(path),
        "min" => Measure::Min(path),
        "max" => Measure::Max(path),
        "countdistinct" => Measure::Distinct(path),
        _ => return None,
    };
    Some(Ok((name, measure)))
}
