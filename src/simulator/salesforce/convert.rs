//! From the JSON of a write to the values that are kept: the checks, and the changes in silence.
//!
//! Salesforce trims text, makes e-mail addresses small, turns empty text into null, sorts sets,
//! keeps numbers unrounded and date-times to the second. What it does not take it refuses, record
//! by record; only a body that does not read as its fields' types spoils the whole request.

use serde_json::{Map, Value as Json};

use super::data::{Changes, Data};
use super::id::Id;
use super::model::{Field, Kind, Object, Writable};
use super::parse::{date, date_time, is_email, time};
use super::refusal::{NULL_CHECKBOX, Refusal, UNREADABLE};
use super::table::{Row, key_of};
use super::value::{Value, digits};

/// Longest e-mail address.
const EMAIL_LENGTH_MAX: usize = 80;

/// What the fields are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Create,
    Update,
    /// A person, whom the permissions of the integration user do not bind.
    Person,
    /// A test's own record, which may bring system fields along.
    Seed,
}

/// Reads the fields of a record, but for `attributes` and those the caller has read.
pub(super) fn changes(
    data: &Data,
    object: usize,
    record: &Map<String, Json>,
    purpose: Purpose,
    read: &[&str],
) -> Result<Changes, Refusal> {
    let spec = data.model.object(object);
    let mut changes = Changes::new();
    for (name, json) in record {
        if name == "attributes" || read.iter().any(|read| read.eq_ignore_ascii_case(name)) {
            continue;
        }
        let found = match purpose {
            Purpose::Create | Purpose::Update => spec.find(name),
            Purpose::Person | Purpose::Seed => spec.find_any(name),
        };
        let change = match (found, spec.parent(name)) {
            (Some(at), _) => (at, field_value(data, spec.field(at), json, purpose)?),
            (None, Some(at)) => (at, parent_of(data, spec.field(at), json)?),
            (None, None) => return Err(no_such_column(name, spec)),
        };
        if changes.iter().any(|(at, _)| *at == change.0) {
            let message = format!("{} specified more than once", spec.field(change.0).name);
            return Err(Refusal::new("INVALID_FIELD", message));
        }
        record_type(spec, &change)?;
        changes.push(change);
    }
    Ok(changes)
}

/// Refuses a record type that is another object's, or out of use.
fn record_type(spec: &Object, (at, value): &(usize, Value)) -> Result<(), Refusal> {
    let Some(id) = value.as_id().filter(|_| spec.field(*at).name == "RecordTypeId") else {
        return Ok(());
    };
    if spec.record_types.iter().any(|kind| kind.active && kind.id == id) {
        return Ok(());
    }
    let message = format!("Record Type ID: this ID value isn't valid for the user: {id}");
    Err(Refusal::of("INVALID_CROSS_REFERENCE_KEY", message, &["RecordTypeId"]))
}

/// The error for a field that is not there, or that may not be seen.
pub(super) fn no_such_column(name: &str, object: &Object) -> Refusal {
    let message = format!("No such column '{name}' on sobject of type {}", object.name);
    Refusal::new("INVALID_FIELD", message)
}

/// What a new record has in a field that is not given.
pub(super) fn default_of(field: &Field, user: Id) -> Option<Value> {
    match (&field.default, field.kind) {
        (Some(text), Kind::Reference) => Some(Value::Id(Id::parse(text).unwrap_or(user))),
        (Some(text), Kind::Boolean) => Some(Value::Bool(text == "true")),
        (Some(text), _) => Some(Value::text(text)),
        (None, Kind::Boolean) => Some(Value::Bool(false)),
        (None, _) => None,
    }
}

/// Puts the name of a person together.
pub(super) fn compose_names(object: &Object, row: &mut Row) {
    let at = |name: &str| object.find_any(name);
    let (Some(name), Some(first), Some(last)) = (at("Name"), at("FirstName"), at("LastName"))
    else {
        return;
    };
    let parts: Vec<&str> =
        [first, last].into_iter().filter_map(|at| row.value(at).as_text()).collect();
    let whole = Value::text(&parts.join(" "));
    row.set(name, whole);
}

fn field_value(
    data: &Data,
    field: &Field,
    json: &Json,
    purpose: Purpose,
) -> Result<Value, Refusal> {
    let open = match purpose {
        Purpose::Create | Purpose::Update => field.writable == Writable::Always && !field.read_only,
        Purpose::Person => field.writable == Writable::Always,
        Purpose::Seed => true,
    };
    if !open {
        let message = format!(
            "Unable to create/update fields: {}. Please check the security settings of this field \
             and verify that it is read/write for your profile or permission set.",
            field.name
        );
        return Err(Refusal::of("INVALID_FIELD_FOR_INSERT_UPDATE", message, &[&field.name]));
    }
    let text = match json {
        Json::Null if field.kind == Kind::Boolean => {
            let message = format!("{}: value not of required type: null", field.label);
            return Err(Refusal::of(NULL_CHECKBOX, message, &[&field.name]));
        }
        Json::Null => return Ok(Value::Null),
        Json::Bool(value) if field.kind == Kind::Boolean => return Ok(Value::Bool(*value)),
        Json::Number(number) if field.kind.is_number() => number.to_string(),
        Json::String(text) => text.clone(),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
            return Err(unreadable(field, json));
        }
    };
    from_text(data, field, &text).ok_or_else(|| unreadable(field, json))?
}

/// The value of a text; none if it does not read as the field's type.
fn from_text(data: &Data, field: &Field, text: &str) -> Option<Result<Value, Refusal>> {
    let trimmed = text.trim_matches(|c: char| c <= ' ');
    Some(match field.kind {
        Kind::Boolean => Ok(Value::Bool(trimmed.parse().ok()?)),
        Kind::Int | Kind::Double | Kind::Currency | Kind::Percent => {
            number(field, trimmed.parse().ok()?)
        }
        Kind::Date if trimmed.is_empty() => return None,
        Kind::Date => Ok(Value::Date(date(trimmed)?)),
        Kind::DateTime => Ok(Value::DateTime(date_time(trimmed)?)),
        Kind::Time => Ok(Value::Time(time(trimmed)?)),
        Kind::Address => return None,
        Kind::Id | Kind::Reference if trimmed.is_empty() => Ok(Value::Null),
        Kind::Id | Kind::Reference => reference(data, field, trimmed),
        Kind::Picklist => picklist(field, Value::text(text)),
        Kind::MultiPicklist => set(field, trimmed),
        Kind::Email => email(field, Value::text(&text.to_lowercase())),
        Kind::Text | Kind::TextArea | Kind::Phone | Kind::Url => {
            short_enough(field, Value::text(text))
        }
    })
}

fn short_enough(field: &Field, value: Value) -> Result<Value, Refusal> {
    let length = value.as_text().map_or(0, |text| text.encode_utf16().count());
    if length <= usize::try_from(field.length).unwrap_or(usize::MAX) {
        return Ok(value);
    }
    let text: String = value.as_text().unwrap_or_default().chars().take(255).collect();
    let message =
        format!("{}: data value too large: {text} (max length={})", field.label, field.length);
    Err(Refusal::of("STRING_TOO_LONG", message, &[&field.name]))
}

fn email(field: &Field, value: Value) -> Result<Value, Refusal> {
    let Some(text) = value.as_text() else { return Ok(value) };
    if text.len() <= EMAIL_LENGTH_MAX && is_email(text) {
        return Ok(value);
    }
    let message = format!("{}: invalid email address: {text}", field.label);
    Err(Refusal::of("INVALID_EMAIL_ADDRESS", message, &[&field.name]))
}

fn picklist(field: &Field, value: Value) -> Result<Value, Refusal> {
    let Some(text) = value.as_text() else { return Ok(value) };
    if field.restricted && !is_choice(field, text) {
        return Err(bad_choice(field, text));
    }
    short_enough(field, value)
}

/// A set is kept in the order of the picklist, its unknown values behind.
fn set(field: &Field, text: &str) -> Result<Value, Refusal> {
    let mut values: Vec<&str> =
        text.split(';').map(str::trim).filter(|value| !value.is_empty()).collect();
    if field.restricted
        && let Some(bad) = values.iter().find(|value| !is_choice(field, value))
    {
        return Err(bad_choice(field, bad));
    }
    let place = |value: &str| {
        field.choices.iter().position(|choice| choice.value == value).unwrap_or(usize::MAX)
    };
    values.sort_by_key(|value| place(value));
    values.dedup();
    short_enough(field, Value::text(&values.join(";")))
}

fn is_choice(field: &Field, text: &str) -> bool {
    field.choices.iter().any(|choice| choice.active && choice.value == text)
}

fn bad_choice(field: &Field, text: &str) -> Refusal {
    let message = format!("{}: bad value for restricted picklist field: {text}", field.label);
    Refusal::of("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, &[&field.name])
}

fn number(field: &Field, number: serde_json::Number) -> Result<Value, Refusal> {
    let (_, whole, part) = digits(&number.to_string());
    let room = field.precision.saturating_sub(field.scale);
    let too_large = 0 < field.precision && usize::try_from(room).is_ok_and(|n| n < whole.len());
    if too_large || (field.kind == Kind::Int && !part.is_empty()) {
        let message =
            format!("{}: value outside of valid range on numeric field: {number}", field.label);
        return Err(Refusal::of("NUMBER_OUTSIDE_VALID_RANGE", message, &[&field.name]));
    }
    Ok(Value::Number(number))
}

fn reference(data: &Data, field: &Field, text: &str) -> Result<Value, Refusal> {
    let target = field.reference.as_ref().and_then(|to| data.model.find_any(&to.to));
    let id = Id::parse(text)
        .filter(|id| target.is_none_or(|target| data.model.object(target).prefix == id.prefix()));
    let Some(id) = id else {
        let message = format!("{}: id value of incorrect type: {text}", field.label);
        return Err(Refusal::of("MALFORMED_ID", message, &[&field.name]));
    };
    if let Some(target) = target {
        data.live(target, id)
            .map_err(|refusal| Refusal { fields: Some(vec![field.name.clone()]), ..refusal })?;
    }
    Ok(Value::Id(id))
}

/// The parent that `{"Ext__c": "A1"}` names.
fn parent_of(data: &Data, field: &Field, json: &Json) -> Result<Value, Refusal> {
    let target = field.reference.as_ref().and_then(|to| data.model.find_any(&to.to));
    let keys = match json {
        Json::Null => return Ok(Value::Null),
        Json::Object(keys) => keys,
        Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
            return Err(unreadable(field, json));
        }
    };
    let mut keys = keys.iter().filter(|(name, _)| *name != "attributes");
    let (Some(target), Some((name, value)), None) = (target, keys.next(), keys.next()) else {
        let message = format!("{}: name exactly one external id of the parent", field.name);
        return Err(Refusal::new("INVALID_FIELD", message));
    };
    let parent = data.model.object(target);
    let at = parent.find(name).ok_or_else(|| no_such_column(name, parent))?;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if !parent.field(at).external_id && !parent.field(at).id_lookup {
        let message = format!("Field name provided, {name} is not an External ID or indexed field");
        return Err(Refusal::new("INVALID_FIELD", message));
    }
    let key = key_of(parent, at, &Value::text(&text));
    let found = key.map(|key| data.table(target).live_with_key(at, &key)).unwrap_or_default();
    match found.as_slice() {
        [one] => Ok(Value::Id(*one)),
        [] => {
            let message = format!(
                "Foreign key external ID: {text} not found for field {} in entity {}",
                parent.field(at).name,
                parent.name
            );
            Err(Refusal::of("INVALID_FIELD", message, &[]))
        }
        [_, _, ..] => {
            let message = format!("{name}: more than one record found for external id field");
            Err(Refusal::of("DUPLICATE_EXTERNAL_ID", message, &[]))
        }
    }
}

fn unreadable(field: &Field, json: &Json) -> Refusal {
    let (token, text) = match json {
        Json::String(text) => ("VALUE_STRING", text.clone()),
        Json::Number(n) if n.is_f64() => ("VALUE_NUMBER_FLOAT", n.to_string()),
        Json::Number(n) => ("VALUE_NUMBER_INT", n.to_string()),
        Json::Bool(true) => ("VALUE_TRUE", "true".to_owned()),
        Json::Bool(false) => ("VALUE_FALSE", "false".to_owned()),
        Json::Null => ("VALUE_NULL", "null".to_owned()),
        Json::Array(_) => ("START_ARRAY", "[".to_owned()),
        Json::Object(_) => ("START_OBJECT", "{".to_owned()),
    };
    let kind = field.kind.soap().trim_start_matches("xsd:").trim_start_matches("tns:");
    let message = format!(
        "Cannot deserialize instance of {kind} from {token} value {text} or request may be \
         missing a required field at [line:1, column:1]"
    );
    Refusal::new(UNREADABLE, message)
}
