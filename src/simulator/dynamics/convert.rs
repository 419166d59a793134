//! What a body says, as new values of columns, or why not.

use serde_json::{Map, Value as Json};

use super::address::follow;
use super::data::Data;
use super::guid::Guid;
use super::model::{Column, ID, Kind, Table, Writable};
use super::number::Number;
use super::refusal::Refusal;
use super::value::{Value, parse_date, parse_instant};
use super::write::Changes;

/// The first day that a date may have.
const FIRST_SECOND: i64 = -6_847_804_800;
/// Options that a multi-select column takes.
const OPTIONS_MAX: usize = 150;
/// Largest decimal number.
const DECIMAL_MAX: i64 = 100_000_000_000;

/// What a body is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Create,
    Update,
    /// A test furnishes a record: what the service keeps can be given too.
    Seed,
}

/// Reads a body.
pub(super) fn changes(
    data: &Data,
    table: usize,
    body: &Map<String, Json>,
    purpose: Purpose,
) -> Result<Changes, Refusal> {
    let spec = data.model.table(table);
    let mut changes = Changes::new();
    for (name, given) in body {
        if let Some(navigation) = name.strip_suffix("@odata.bind") {
            bind(data, table, (navigation, given), &mut changes)?;
            continue;
        }
        if name.contains('@') {
            continue;
        }
        if let Some((column, _)) = spec.navigation(name) {
            if !given.is_null() {
                return Err(Refusal::not_simulated("deep insert"));
            }
            changes.insert(column, Value::Null);
            continue;
        }
        let at = spec.property(name).ok_or_else(|| undeclared(spec, name))?;
        let column = spec.column(at);
        if matches!(column.kind, Kind::Lookup { .. }) && purpose != Purpose::Seed {
            let message = format!(
                "CRM do not support direct update of Entity Reference properties, Use Navigation \
                 properties instead. Property: '{name}'"
            );
            return Err(Refusal::payload(message));
        }
        if !is_writable(column, purpose) {
            continue;
        }
        check_permission(spec, column, purpose)?;
        let value = value(spec, column, given)?;
        changes.insert(at, lookup(data, column, value));
    }
    Ok(changes)
}

/// What the service keeps itself is silently left out, as it does.
fn is_writable(column: &Column, purpose: Purpose) -> bool {
    match (column.writable, purpose) {
        (Writable::Always, _) | (_, Purpose::Seed) | (Writable::OnCreate, Purpose::Create) => true,
        (Writable::OnCreate, Purpose::Update) | (Writable::Never, _) => false,
    }
}

fn check_permission(spec: &Table, column: &Column, purpose: Purpose) -> Result<(), Refusal> {
    if !column.is_hidden() || purpose == Purpose::Seed {
        return Ok(());
    }
    let (code, verb) = match purpose {
        Purpose::Create => ("0x8004f508", "create"),
        Purpose::Update | Purpose::Seed => ("0x8004f509", "update"),
    };
    let message = format!(
        "Caller user does not have {verb} permission on the secured attribute '{}' of entity '{}'",
        column.name, spec.name
    );
    Err(Refusal::new(403, code, message))
}

fn undeclared(spec: &Table, name: &str) -> Refusal {
    Refusal::payload(format!(
        "An undeclared property '{name}' which only has property annotations in the payload but no \
         property value was found in the payload for type 'Microsoft.Dynamics.CRM.{}'. In OData, \
         only declared navigation properties and declared named streams can be represented as \
         properties without values.",
        spec.name
    ))
}

/// Points a lookup at a record; a lookup of several tables points at one at a time.
fn bind(
    data: &Data,
    table: usize,
    (navigation, given): (&str, &Json),
    changes: &mut Changes,
) -> Result<(), Refusal> {
    let spec = data.model.table(table);
    let (at, _) = spec.navigation(navigation).ok_or_else(|| undeclared(spec, navigation))?;
    let value = match given {
        Json::Null => Value::Null,
        Json::String(reference) => {
            let (to, id) = follow(data, reference)?;
            // An owner is a user or a team by one name.
            let targets = spec.column(at).kind.targets();
            let mut named = targets.iter().filter(|one| one.navigation == navigation);
            if !named.any(|one| one.table == data.model.table(to).name) {
                let message = format!(
                    "A resource of type 'Microsoft.Dynamics.CRM.{}' cannot be bound to '{navigation}'",
                    data.model.table(to).name
                );
                return Err(Refusal::payload(message));
            }
            Value::Reference(to, id)
        }
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
            return Err(Refusal::payload(format!("'{navigation}@odata.bind' is not a reference")));
        }
    };
    // A null of one target takes nothing from another that the same body sets.
    let keeps = value.is_null() && changes.get(&at).is_some_and(|other| !other.is_null());
    if !keeps {
        changes.insert(at, value);
    }
    Ok(())
}

/// An id that a seed gives a lookup, as a reference to the first table it may point at.
fn lookup(data: &Data, column: &Column, value: Value) -> Value {
    let Value::Id(id) = value else { return value };
    let targets =
        column.kind.targets().iter().filter_map(|target| data.model.by_name(&target.table));
    let mut tables = targets.clone().filter(|table| data.row(*table, id).is_some());
    match tables.next().or_else(|| targets.clone().next()) {
        Some(table) => Value::Reference(table, id),
        None => Value::Id(id),
    }
}

/// One value as a column takes it.
pub(super) fn value(spec: &Table, column: &Column, given: &Json) -> Result<Value, Refusal> {
    if given.is_null() {
        return Ok(Value::Null);
    }
    match &column.kind {
        Kind::Text { max, .. } | Kind::Memo { max } => text(spec, column, (given, *max)),
        Kind::Bool { .. } => {
            given.as_bool().map(Value::Bool).ok_or_else(|| mistyped(column, given))
        }
        Kind::Int { .. } | Kind::BigInt => whole(spec, column, given),
        Kind::Choice(_) | Kind::State(_) | Kind::Status(_) => {
            let chosen = given.as_i64().ok_or_else(|| mistyped(column, given))?;
            option(spec, column, chosen)?;
            Ok(Value::Int(chosen))
        }
        Kind::MultiChoice(_) => options(spec, column, given),
        Kind::Decimal { precision } | Kind::Double { precision } => {
            let number = number(column, given)?;
            if Number::whole(DECIMAL_MAX) < number || number < Number::whole(-DECIMAL_MAX) {
                return Err(out_of_range(spec, column, "0x80044330"));
            }
            Ok(Value::Number(number.round(*precision)))
        }
        Kind::Money { precision, .. } => {
            let number = number(column, given)?;
            let max = Number::whole(super::columns::AMOUNT_MAX);
            if max < number || number < Number::whole(0) {
                return Err(out_of_range(spec, column, "0x80044330"));
            }
            Ok(Value::Number(number.round(*precision)))
        }
        Kind::Date => {
            let text = given.as_str().ok_or_else(|| mistyped(column, given))?;
            let date = parse_date(text).filter(|date| 1753 <= date.year());
            date.map(Value::Date).ok_or_else(|| bad_date(column, text))
        }
        Kind::Instant { .. } => {
            let text = given.as_str().ok_or_else(|| mistyped(column, given))?;
            let midnight = || parse_instant(&format!("{text}T00:00:00Z"));
            let read = parse_instant(text).or_else(midnight).filter(|at| FIRST_SECOND <= *at);
            read.map(Value::Instant).ok_or_else(|| bad_date(column, text))
        }
        Kind::Id | Kind::Lookup { .. } => {
            let id = given.as_str().and_then(Guid::parse);
            id.map(Value::Id).ok_or_else(|| mistyped(column, given))
        }
    }
}

fn text(spec: &Table, column: &Column, (given, max): (&Json, usize)) -> Result<Value, Refusal> {
    let text = given.as_str().ok_or_else(|| mistyped(column, given))?;
    if max < text.encode_utf16().count() {
        let message = format!(
            "A validation error occurred. The length of the '{}' attribute of the '{}' entity \
             exceeded the maximum allowed length of '{max}'.",
            column.name, spec.name
        );
        return Err(Refusal::new(400, "0x80044331", message));
    }
    Ok(Value::text(text.trim_end()))
}

fn whole(spec: &Table, column: &Column, given: &Json) -> Result<Value, Refusal> {
    let number = given.as_i64().ok_or_else(|| mistyped(column, given))?;
    if let Kind::Int { min, max } = column.kind
        && !(min..=max).contains(&number)
    {
        return Err(out_of_range(spec, column, "0x8004432F"));
    }
    Ok(Value::Int(number))
}

fn number(column: &Column, given: &Json) -> Result<Number, Refusal> {
    let number = given.as_number().and_then(|number| Number::parse(&number.to_string()));
    number.ok_or_else(|| mistyped(column, given))
}

fn option(spec: &Table, column: &Column, chosen: i64) -> Result<(), Refusal> {
    let Some(choices) = column.kind.choices() else { return Ok(()) };
    if choices.find(chosen).is_some() {
        return Ok(());
    }
    let accepted: Vec<String> = choices.options.iter().map(|one| one.value.to_string()).collect();
    let message = format!(
        "A validation error occurred. The value {chosen} of '{}' on record of type '{}' is outside \
         the valid range. Accepted Values: {}",
        column.name,
        spec.name,
        accepted.join(",")
    );
    Err(Refusal::new(400, "0x8004431A", message))
}

fn options(spec: &Table, column: &Column, given: &Json) -> Result<Value, Refusal> {
    let text = given.as_str().ok_or_else(|| mistyped(column, given))?;
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let read: Result<_, _> = parts.map(str::parse::<i64>).collect();
    let chosen: std::collections::BTreeSet<i64> = read.map_err(|_| mistyped(column, given))?;
    for one in &chosen {
        option(spec, column, *one)?;
    }
    if OPTIONS_MAX < chosen.len() {
        return Err(Refusal::argument(format!("'{}' takes 150 values at most", column.name)));
    }
    Ok(if chosen.is_empty() { Value::Null } else { Value::Options(chosen) })
}

fn out_of_range(spec: &Table, column: &Column, code: &str) -> Refusal {
    let message = format!(
        "A validation error occurred. The value of '{}' on record of type '{}' is outside the valid \
         range.",
        column.name, spec.name
    );
    Refusal::new(400, code, message)
}

fn mistyped(column: &Column, given: &Json) -> Refusal {
    let is = match given {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    };
    Refusal::payload(format!(
        "Cannot convert {is} of property '{}' to the expected type '{}'.",
        column.name,
        super::csdl::edm_of(&column.kind)
    ))
}

fn bad_date(column: &Column, text: &str) -> Refusal {
    let message = format!(
        "The date-time format for {text} is invalid, or value of '{}' is outside the supported range.",
        column.name
    );
    Refusal::new(400, "0x80040239", message)
}

/// The id that a body chooses for a new record, if it does.
pub(super) fn chosen_id(spec: &Table, body: &Map<String, Json>) -> Option<Guid> {
    body.get(&spec.column(ID).name).and_then(Json::as_str).and_then(Guid::parse)
}
