//! A query that is answered as a whole: its rows are those of the moment it ran.

use std::sync::Arc;

use serde_json::Value as Json;

use super::super::clock::{Millis, stamp};
use super::super::data::Data;
use super::super::model::{Kind, Object};
use super::super::org::Org;
use super::super::refusal::Refusal;
use super::super::soql::bind::{Answer, Bound, Pick, bind};
use super::super::soql::read::read;
use super::super::soql::run::{Scope, rows};
use super::super::table::Row;
use super::super::value::Value;
use super::csv::{self, Format};
use super::{Job, State, Work};

/// A query job.
#[derive(Debug)]
pub(in super::super) struct Extract {
    pub(in super::super) scope: Scope,
    pub(in super::super) bound: Bound,
    pub(in super::super) rows: Vec<Arc<Row>>,
}

/// Reads a query, and refuses what only `query` can do.
pub(in super::super) fn prepare(org: &Org, text: &str) -> Result<Bound, Refusal> {
    let bound = bind(text, &read(text)?, &org.data.model)?;
    let refused = |what: &str| Err(Refusal::new("API_ERROR", what.to_owned()));
    let Answer::Rows(picks) = &bound.answer else {
        return refused("Aggregate and count queries are not supported in Bulk Query");
    };
    if 0 < bound.offset {
        return refused("OFFSET is not supported in Bulk Query");
    }
    if picks.iter().any(|pick| is_compound(&org.data, bound.object, pick)) {
        return refused("Selecting compound data not supported in Bulk Query");
    }
    Ok(bound)
}

fn is_compound(data: &Data, object: usize, pick: &Pick) -> bool {
    match pick {
        Pick::Field(at) => data.model.object(object).field(*at).kind == Kind::Address,
        Pick::Parent { object, picks, .. } => {
            picks.iter().any(|pick| is_compound(data, *object, pick))
        }
        Pick::Children { .. } => true,
    }
}

/// Runs the query of a job.
pub(super) fn run(org: &mut Org, job: &mut Job, due: Millis) {
    if let Some((_, why)) = org.bulk.pace.fail.clone() {
        return job.fail(why, due);
    }
    if let Work::Extract(extract) = &mut job.work {
        extract.rows = rows(&org.data, &extract.bound, extract.scope);
        job.enter(State::JobComplete, due);
    }
}

/// A page of rows as CSV, with its header.
pub(in super::super) fn page(
    data: &Data,
    extract: &Extract,
    (from, to): (usize, usize),
    format: Format,
) -> String {
    let Answer::Rows(picks) = &extract.bound.answer else { return String::new() };
    let spec = data.model.object(extract.bound.object);
    let mut names = Vec::new();
    header(data, spec, picks, "", &mut names);
    let mut text = String::new();
    csv::write(&mut text, names.iter().map(String::as_str), format);
    for row in &extract.rows[from..to] {
        let mut line = Vec::with_capacity(names.len());
        cells(data, extract.bound.object, (Some(row), picks), &mut line);
        csv::write(&mut text, line.iter().map(String::as_str), format);
    }
    text
}

fn header(data: &Data, spec: &Object, picks: &[Pick], before: &str, names: &mut Vec<String>) {
    for pick in picks {
        match pick {
            Pick::Field(at) => names.push(format!("{before}{}", spec.field(*at).name)),
            Pick::Parent { object, name, picks, .. } => {
                let parent = data.model.object(*object);
                header(data, parent, picks, &format!("{before}{name}."), names);
            }
            // `prepare` lets none through.
            Pick::Children { .. } => {}
        }
    }
}

fn cells(
    data: &Data,
    object: usize,
    (row, picks): (Option<&Row>, &[Pick]),
    line: &mut Vec<String>,
) {
    let spec = data.model.object(object);
    for pick in picks {
        match pick {
            Pick::Field(at) => {
                let kind = spec.field(*at).kind;
                line.push(row.map(|row| cell(row.value(*at), kind)).unwrap_or_default());
            }
            Pick::Parent { through, object, picks, .. } => {
                let id = row.and_then(|row| row.value(*through).as_id());
                let parent = id.and_then(|id| data.table(*object).visible(id));
                cells(data, *object, (parent.map(|row| &**row), picks), line);
            }
            Pick::Children { .. } => {}
        }
    }
}

/// A value in a cell: null is empty, and date-times end in `Z` here, unlike in JSON.
fn cell(value: &Value, kind: Kind) -> String {
    if let Value::DateTime(at) = value {
        return stamp(*at).replace("+0000", "Z");
    }
    match value.json(kind) {
        Json::Null => String::new(),
        Json::String(text) => text,
        other @ (Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_)) => {
            other.to_string()
        }
    }
}
