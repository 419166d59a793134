//! An upload: read, cut into batches, each row a wish with an outcome.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::super::clock::Millis;
use super::super::convert::{self, Purpose};
use super::super::data::{Actor, Via};
use super::super::id::Id;
use super::super::model::{ID, Kind, Object};
use super::super::org::Org;
use super::super::refusal::{Refusal, UNREADABLE};
use super::super::value::Value;
use super::super::wish::{Outcome, Wish, carry_out};
use super::csv::{self, Format, Unreadable};
use super::{Job, State, Work};

/// What an empty cell cannot say: that the field is to be emptied.
const NULL: &str = "#N/A";
/// Rows that are saved together: the same record twice among them is an error.
pub(super) const CHUNK_ROWS: usize = 200;
/// Longest cell, most cells, and longest row (Salesforce: "Bulk API 2.0 Limits and Allocations").
const CELL_LENGTH_MAX: usize = 32_000;
const CELLS_MAX: usize = 5_000;
const ROW_LENGTH_MAX: usize = 400_000;

/// What is done with each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Operation {
    Insert,
    Update,
    /// By this field.
    Upsert(usize),
    Delete,
    HardDelete,
}

impl Operation {
    pub(in super::super) fn name(self) -> &'static str {
        match self {
            Operation::Insert => "insert",
            Operation::Update => "update",
            Operation::Upsert(_) => "upsert",
            Operation::Delete => "delete",
            Operation::HardDelete => "hardDelete",
        }
    }
}

/// A row with what became of it.
#[derive(Debug)]
pub(in super::super) struct Done {
    pub(in super::super) cells: Vec<String>,
    pub(in super::super) outcome: Outcome,
}

/// An upload and its progress.
#[derive(Debug)]
pub(in super::super) struct Ingest {
    pub(in super::super) operation: Operation,
    pub(in super::super) upload: Option<Vec<u8>>,
    pub(in super::super) header: Vec<String>,
    pub(in super::super) done: Vec<Done>,
    /// Batches that are still to run; the last runs first.
    pending: Vec<Vec<Vec<String>>>,
    batches: usize,
}

/// Where the cells of a column go.
enum Column {
    Id,
    Field(String),
    /// The parent's name and its external id.
    Parent(String, String),
}

impl Ingest {
    pub(in super::super) fn new(operation: Operation) -> Ingest {
        Ingest {
            operation,
            upload: None,
            header: Vec::new(),
            done: Vec::new(),
            pending: Vec::new(),
            batches: 0,
        }
    }

    /// Which step of how many comes next.
    pub(super) fn next_step(&self) -> (Millis, Millis) {
        let count = |n: usize| Millis::try_from(n).unwrap_or(Millis::MAX);
        (
            count(self.batches - self.pending.len() + usize::from(0 < self.batches)),
            count(self.batches),
        )
    }

    pub(in super::super) fn failed(&self) -> usize {
        self.done.iter().filter(|done| done.outcome.refusal.is_some()).count()
    }

    /// Rows that no batch has run, in the order of the upload.
    pub(in super::super) fn unprocessed(&self) -> impl Iterator<Item = &Vec<String>> {
        self.pending.iter().flatten()
    }
}

/// Begins a job, or runs its next batch.
pub(super) fn step(org: &mut Org, job: &mut Job, due: Millis) {
    let Work::Ingest(ingest) = &mut job.work else { return };
    if ingest.batches == 0 {
        let upload = ingest.upload.take().unwrap_or_default();
        match begin(org, (job.object, ingest.operation), &upload, job.format) {
            Ok((header, batches)) => {
                (ingest.header, ingest.batches) = (header, batches.len());
                org.bulk.batches.extend(batches.iter().map(|_| due));
                ingest.pending = batches;
                let state =
                    if ingest.batches == 0 { State::JobComplete } else { State::InProgress };
                job.enter(state, due);
            }
            Err(why) => job.fail(why, due),
        }
        return;
    }
    let ran = ingest.batches - ingest.pending.len();
    if let Some((_, why)) = org.bulk.pace.fail.clone().filter(|(after, _)| *after <= ran) {
        return job.fail(why, due);
    }
    if let Some(batch) = ingest.pending.pop() {
        let actor =
            Actor { via: Via::Api, user: org.names.api_user, now: due, request: Some(job.request) };
        run(org, job.object, ingest, batch, actor);
    }
    let state = if ingest.pending.is_empty() { State::JobComplete } else { State::InProgress };
    job.enter(state, due);
}

type Batches = Vec<Vec<Vec<String>>>;

/// Reads an upload; the error is the job's.
fn begin(
    org: &Org,
    (object, operation): (usize, Operation),
    upload: &[u8],
    format: Format,
) -> Result<(Vec<String>, Batches), String> {
    let text = std::str::from_utf8(upload)
        .map_err(|_| "InvalidBatch : The upload is not encoded in UTF-8".to_owned())?;
    let mut lines = csv::read(text, format).map_err(|error| match error {
        Unreadable::WrongEnding => format!(
            "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is {}",
            format.ending.name()
        ),
        Unreadable::Quotes => {
            "InvalidBatch : The upload is not CSV: a quoted cell does not end".to_owned()
        }
    })?;
    if lines.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let header = lines.remove(0);
    check_header(org.data.model.object(object), &header, operation)?;
    for line in &lines {
        let length: usize = line.iter().map(String::len).sum();
        if line.len() != header.len() {
            let message = "InvalidBatch : Number of cells in a row differs from the header's";
            return Err(format!("{message}: {} instead of {}", line.len(), header.len()));
        }
        let too_long = line.iter().any(|cell| CELL_LENGTH_MAX < cell.chars().count());
        if too_long || ROW_LENGTH_MAX < length {
            return Err("InvalidBatch : Field size limit exceeded".to_owned());
        }
    }
    let size = org.bulk.pace.batch.max(1);
    Ok((header, lines.chunks(size).map(<[Vec<String>]>::to_vec).collect()))
}

pub(super) fn check_header(
    object: &Object,
    header: &[String],
    operation: Operation,
) -> Result<(), String> {
    if CELLS_MAX < header.len() {
        return Err(format!("InvalidBatch : Too many columns: {}", header.len()));
    }
    if matches!(operation, Operation::Delete | Operation::HardDelete)
        && !matches!(header, [only] if only.eq_ignore_ascii_case("id"))
    {
        return Err("InvalidBatch : Delete operations take one column, Id".to_owned());
    }
    for (place, name) in header.iter().enumerate() {
        let known = match column(name) {
            Column::Id => true,
            Column::Field(name) => object.find(&name).is_some(),
            Column::Parent(parent, _) => object.parent(&parent).is_some(),
        };
        if !known {
            return Err(format!("InvalidBatch : Field name not found : {name}"));
        }
        if header[..place].iter().any(|before| before.eq_ignore_ascii_case(name)) {
            return Err(format!("InvalidBatch : Duplicate field name found : {name}"));
        }
    }
    Ok(())
}

fn column(name: &str) -> Column {
    match name.split_once('.') {
        Some((parent, field)) => Column::Parent(parent.to_owned(), field.to_owned()),
        None if name.eq_ignore_ascii_case("id") => Column::Id,
        None => Column::Field(name.to_owned()),
    }
}

fn run(org: &mut Org, object: usize, ingest: &mut Ingest, batch: Vec<Vec<String>>, actor: Actor) {
    let mut seen = BTreeSet::new();
    let mut done = Vec::with_capacity(batch.len());
    for (place, cells) in batch.into_iter().enumerate() {
        if place.is_multiple_of(CHUNK_ROWS) {
            seen.clear();
        }
        let record = record(org.data.model.object(object), &ingest.header, &cells);
        let wish = wish(org, (object, ingest.operation), &record);
        let mut outcome = carry_out(org, (object, wish.map_err(as_row)), actor, &mut seen);
        if ingest.operation == Operation::Insert {
            outcome.created = Some(outcome.refusal.is_none());
        }
        done.push(Done { cells, outcome });
    }
    // Not the order of the upload, so that no client counts on it.
    done.reverse();
    ingest.done.extend(done);
}

/// What a row asks for.
pub(super) fn wish(
    org: &Org,
    (object, operation): (usize, Operation),
    record: &Map<String, Json>,
) -> Result<Wish, Refusal> {
    let spec = org.data.model.object(object);
    let given = |wanted: &str| {
        let found = record.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let text = found.map(|(_, value)| match value {
            Json::String(text) => text.trim().to_owned(),
            Json::Null => String::new(),
            Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => value.to_string(),
        });
        text.filter(|text| !text.is_empty())
    };
    let id = || {
        let Some(text) = given("Id") else {
            return Err(Refusal::of("MISSING_ARGUMENT", "Id not specified", &["Id"]));
        };
        Id::parse(&text).filter(|id| id.prefix() == spec.prefix).ok_or_else(|| {
            let message = format!("{} ID: id value of incorrect type: {text}", spec.label);
            Refusal::of("MALFORMED_ID", message, &["Id"])
        })
    };
    let changes = |purpose: Purpose, read: &[&str]| {
        convert::changes(&org.data, object, record, purpose, read)
    };
    Ok(match operation {
        Operation::Insert => Wish::Create(changes(Purpose::Create, &[])?),
        Operation::Delete => Wish::Delete(id()?),
        Operation::HardDelete => Wish::HardDelete(id()?),
        Operation::Upsert(ID) if given("Id").is_none() => {
            Wish::Create(changes(Purpose::Create, &["Id"])?)
        }
        Operation::Update | Operation::Upsert(ID) => {
            Wish::Update(id()?, changes(Purpose::Update, &["Id"])?)
        }
        Operation::Upsert(field) => {
            let name = spec.field(field).name.as_str();
            let Some(key) = given(name) else {
                let message = format!("{name} not specified");
                return Err(Refusal::of("MISSING_ARGUMENT", message, &[name]));
            };
            Wish::Upsert(field, Value::text(&key), changes(Purpose::Create, &[name])?)
        }
    })
}

/// The cells of a row as a client of the REST API would send them.
pub(super) fn record(spec: &Object, header: &[String], cells: &[String]) -> Map<String, Json> {
    let mut record = Map::new();
    for (name, cell) in header.iter().zip(cells).filter(|(_, cell)| !cell.is_empty()) {
        let value = if cell == NULL { Json::Null } else { Json::String(cell.clone()) };
        match column(name) {
            Column::Parent(parent, field) => {
                let named =
                    if value.is_null() { value } else { serde_json::json!({ field: value }) };
                record.insert(parent, named);
            }
            Column::Id => drop(record.insert(name.clone(), value)),
            Column::Field(name) => {
                let at = spec.find(&name);
                let is_box = at.is_some_and(|at| spec.field(at).kind == Kind::Boolean);
                let value = if is_box { checkbox(value) } else { value };
                record.insert(name, value);
            }
        }
    }
    record
}

/// Salesforce: "Valid Date and Time Formats in Records" names what a checkbox takes.
fn checkbox(value: Json) -> Json {
    match value.as_str().map(str::trim).unwrap_or_default().to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "on" | "1" => Json::Bool(true),
        "false" | "no" | "n" | "off" | "0" => Json::Bool(false),
        _ => value,
    }
}

/// A cell that does not read as its field's type spoils its row only.
pub(super) fn as_row(refusal: Refusal) -> Refusal {
    if refusal.code == UNREADABLE {
        return Refusal { code: "INVALID_TYPE_ON_FIELD_IN_RECORD".to_owned(), ..refusal };
    }
    refusal
}

/// The form of `sf__Error`: code, message, fields.
pub(in super::super) fn error_text(refusal: &Refusal) -> String {
    let fields = refusal.fields.clone().unwrap_or_default().join(",");
    format!("{}:{}:{fields} --", refusal.code, refusal.message)
}
