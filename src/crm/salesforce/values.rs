//! Values as Salesforce tells them and takes them: JSON on one side, canonical [`Value`]s on the other.
//!
//! Numbers keep every digit that came (a JSON number is never a float here); `300.0` and `1.39E8`
//! are whole. Date-times are printed with `+0000`. A multi-select is `A;B`. Consent is told by
//! several checkboxes: the first listed is the field's own, the others imply it and are never
//! cleared through it.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::Offset;
use serde_json::Value as Json;

use crate::crm::salesforce::api::Record;
use crate::crm::salesforce::ids;
use crate::crm::sightings::own_text;
use crate::reconcile::mapping::{Column, Kind, SideField};
use crate::reconcile::{Consent, Decimal, Shape, Value};

/// What a record holds for a field.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// A canonical value.
    Value(Value),
    /// Something that has no canonical form: why, and the columns' own texts.
    Unfit(Arc<str>, Vec<Option<Arc<str>>>),
    /// Nothing: a column was not in the answer.
    Unknown,
}

/// Reads a field from a record.
pub(super) fn decode(field: &SideField, record: &Record) -> Told {
    let told: Option<Vec<&Json>> =
        field.columns.iter().map(|column| record.get(&*column.name)).collect();
    let Some(told) = told else { return Told::Unknown };
    let value = match (&field.shape, told.as_slice()) {
        (Shape::Consent, flags) => consent(flags),
        (_, []) => return Told::Unknown,
        (shape, [first, ..]) => value(shape, first),
    };
    let canonical = value.and_then(|value| {
        field.shape.canonical(value).map_err(|unfit| Arc::from(unfit.to_string()))
    });
    match canonical {
        Ok(value) => Told::Value(value),
        Err(why) => Told::Unfit(why, told.into_iter().map(own_text).collect()),
    }
}

fn value(shape: &Shape, json: &Json) -> Result<Value, Arc<str>> {
    let unfit = || Arc::<str>::from(format!("is not {}", shape.noun()));
    match (shape, json) {
        // Canonically, no flag is null.
        (_, Json::Null) => Ok(Value::Null),
        (Shape::Bool, Json::Bool(flag)) => Ok(Value::Bool(*flag)),
        (Shape::Int { .. }, Json::Number(n)) => {
            let n: Decimal = n.to_string().parse().map_err(|_| unfit())?;
            n.round(0).to_string().parse().map(Value::Int).map_err(|_| unfit())
        }
        (Shape::Decimal { .. }, Json::Number(n)) => {
            n.to_string().parse().map(Value::Decimal).map_err(|_| unfit())
        }
        (Shape::Text(_), Json::String(text)) => Ok(Value::text(text)),
        (Shape::Text(_), Json::Number(n)) => Ok(Value::text(&n.to_string())),
        (Shape::Date, Json::String(text)) => {
            text.parse::<Date>().map(Value::Date).map_err(|_| unfit())
        }
        (Shape::Time, Json::String(text)) => time(text).map(Value::Time).ok_or_else(unfit),
        (Shape::Instant, Json::String(text)) => instant(text).map(Value::Instant).ok_or_else(unfit),
        (Shape::Uuid, Json::String(text)) => uuid(text).map(Value::Uuid).ok_or_else(unfit),
        (Shape::Set { .. }, Json::String(text)) => Ok(set(text)),
        (Shape::Reference(_), Json::String(text)) => {
            ids::record_id(text).map(Value::Record).ok_or_else(unfit)
        }
        (
            Shape::Bool
            | Shape::Int { .. }
            | Shape::Decimal { .. }
            | Shape::Text(_)
            | Shape::Date
            | Shape::Time
            | Shape::Instant
            | Shape::Uuid
            | Shape::Set { .. }
            | Shape::Reference(_)
            | Shape::Consent,
            _,
        ) => Err(unfit()),
    }
}

fn consent(flags: &[&Json]) -> Result<Value, Arc<str>> {
    let mut flags = flags.iter().map(|flag| match flag {
        Json::Bool(out) => Ok(*out),
        Json::Null => Ok(false),
        Json::Number(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => {
            Err(Arc::from("is not a checkbox"))
        }
    });
    let own = flags.next().unwrap_or(Ok(false))?;
    let implied = flags.try_fold(false, |any, flag| flag.map(|flag| any || flag))?;
    Ok(Value::Consent(match (implied, own) {
        (true, _) => Consent::Implied,
        (false, true) => Consent::Out,
        (false, false) => Consent::In,
    }))
}

/// A point in time: `2026-10-31T12:00:00.000+0000`, whose offset has no colon.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text).or_else(|_| text.parse()).ok()
}

fn time(text: &str) -> Option<Time> {
    Time::strptime("%H:%M:%S%.f", text.strip_suffix('Z').unwrap_or(text)).ok()
}

fn uuid(text: &str) -> Option<u128> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    (digits.len() == 32).then(|| u128::from_str_radix(&digits, 16).ok())?
}

fn set(text: &str) -> Value {
    let names: BTreeSet<Arc<str>> =
        text.split(';').map(str::trim).filter(|name| !name.is_empty()).map(Arc::from).collect();
    if names.is_empty() { Value::Null } else { Value::Set(names) }
}

/// Why Salesforce is not given a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unsaid {
    /// It has no form there: a reference that nobody translated.
    NoForm,
    /// It is not among the active values of a restricted picklist, which would refuse it.
    NotListed,
    /// A day outside of those that Salesforce knows: it would not read the whole body for it.
    NoDay,
}

/// The years that Salesforce has days in.
const YEARS: RangeInclusive<i16> = 1700..=4000;

/// What to write into a field's column (of several, into the first).
pub(super) fn encode(column: &Column, value: &Value) -> Result<Json, Unsaid> {
    if !is_taken(column, value) {
        return Err(Unsaid::NotListed);
    }
    if !is_known_day(value) {
        return Err(Unsaid::NoDay);
    }
    Ok(match value {
        // A checkbox has no third state.
        Value::Null if column.kind == Kind::Bool => Json::Bool(false),
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Consent(consent) => Json::Bool(consent.is_out()),
        Value::Int(n) => Json::Number((*n).into()),
        Value::Decimal(n) => {
            Json::Number(serde_json::from_str(&n.to_string()).map_err(|_| Unsaid::NoForm)?)
        }
        Value::Text(text) => Json::from(&**text),
        Value::Date(date) => Json::from(date.to_string()),
        Value::Time(time) => Json::from(time.strftime("%H:%M:%S.000Z").to_string()),
        Value::Instant(at) => Json::from(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        Value::Uuid(id) => Json::from(format!("{id:032x}")),
        Value::Set(names) => Json::from(names.iter().map(|n| &**n).collect::<Vec<_>>().join(";")),
        Value::Record(id) => Json::from(&*id.0),
        Value::Link(_) => return Err(Unsaid::NoForm),
    })
}

/// Whether a picklist takes a value. What it holds already may be one that it no longer takes.
fn is_taken(column: &Column, value: &Value) -> bool {
    let (Kind::Text { only: Some(only), .. } | Kind::Set { only: Some(only), .. }) = &column.kind
    else {
        return true;
    };
    let taken = |name: &Arc<str>| only.contains(name);
    match value {
        Value::Text(text) => taken(text),
        Value::Set(names) => names.iter().all(taken),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Decimal(_)
        | Value::Date(_)
        | Value::Time(_)
        | Value::Instant(_)
        | Value::Uuid(_)
        | Value::Record(_)
        | Value::Link(_)
        | Value::Consent(_) => true,
    }
}

/// Whether a value is in no year that Salesforce does not have.
fn is_known_day(value: &Value) -> bool {
    match value {
        Value::Date(date) => YEARS.contains(&date.year()),
        Value::Instant(at) => YEARS.contains(&Offset::UTC.to_datetime(*at).year()),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Decimal(_)
        | Value::Text(_)
        | Value::Time(_)
        | Value::Uuid(_)
        | Value::Set(_)
        | Value::Record(_)
        | Value::Link(_)
        | Value::Consent(_) => true,
    }
}

/// A constant from the config, in the type that its column wants.
pub(super) fn constant(column: &Column, text: &str) -> Json {
    let parsed = match &column.kind {
        Kind::Bool => text.trim().to_lowercase().parse().map(Json::Bool).ok(),
        Kind::Int { .. } | Kind::Decimal { .. } => {
            serde_json::from_str(text.trim()).map(Json::Number).ok()
        }
        Kind::Text { .. }
        | Kind::Date
        | Kind::Time
        | Kind::Instant
        | Kind::Uuid
        | Kind::Set { .. }
        | Kind::Reference(_)
        | Kind::Other => None,
    };
    parsed.unwrap_or_else(|| Json::from(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::reconcile::shape::{Case, Text, TooLong};
    use crate::reconcile::{Entity, Field};

    use super::*;

    fn field(shape: Shape, columns: &[&str]) -> SideField {
        let column = |name: &&str| Column {
            name: Arc::from(*name),
            type_name: "any".into(),
            kind: if shape == Shape::Consent { Kind::Bool } else { Kind::Other },
            nullable: true,
            required: false,
            unique: false,
            creatable: true,
            updatable: true,
        };
        SideField {
            field: Field(1),
            name: "f".into(),
            columns: columns.iter().map(column).collect(),
            shape,
            zero_is_null: false,
            writable: true,
        }
    }

    fn text() -> Shape {
        Shape::Text(Text { max: 80, case: Case::Kept, too_long: TooLong::Reject, only: None })
    }

    fn check(shape: Shape, told: impl Into<Json>, expected: Value) {
        let told = told.into();
        let field = field(shape, &["C"]);
        let record = json!({ "C": told }).as_object().unwrap().clone();
        assert_eq!(decode(&field, &record), Told::Value(expected.clone()), "{told}");
        let back = encode(&field.columns[0], &expected).unwrap();
        let record = json!({ "C": back }).as_object().unwrap().clone();
        assert_eq!(decode(&field, &record), Told::Value(expected), "{back}");
    }

    fn decimal(text: &str) -> Value {
        Value::Decimal(text.parse().unwrap())
    }

    fn number(text: &str) -> Json {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn values_survive_the_way_there_and_back() {
        check(text(), json!(" Zoë O'Neil 😀 "), Value::text("Zoë O'Neil 😀"));
        check(text(), json!(null), Value::Null);
        check(Shape::Bool, json!(true), Value::Bool(true));
        check(Shape::Date, json!("1961-08-13"), Value::Date("1961-08-13".parse().unwrap()));
        let at = Value::Instant("2026-10-31T12:00:00Z".parse().unwrap());
        check(Shape::Instant, json!("2026-10-31T12:00:00.000+0000"), at.clone());
        check(Shape::Instant, json!("2026-10-31T13:00:00.000+0100"), at);
        check(Shape::Time, json!("12:34:56.000Z"), Value::Time("12:34:56".parse().unwrap()));
        let parent = Value::Record("001xx000003DGb2AAG".into());
        check(Shape::Reference(Entity(2)), json!("001xx000003DGb2"), parent);
        let names: BTreeSet<Arc<str>> = ["A b".into(), "C".into()].into();
        check(Shape::Set { max: 4099 }, json!("C;A b"), Value::Set(names));
        check(Shape::Set { max: 4099 }, json!(""), Value::Null);
    }

    #[test]
    fn numbers_keep_every_digit_and_round_to_the_fields_scale() {
        let shape = Shape::Decimal { whole: 13, scale: 2 };
        check(shape.clone(), number("300.0"), decimal("300"));
        check(shape.clone(), number("1.39E8"), decimal("139000000"));
        check(shape.clone(), number("0.125"), decimal("0.13"));
        check(shape, number("1234567890123.45"), decimal("1234567890123.45"));
        let shape = Shape::Int { min: -1000, max: 1_000_000_000 };
        check(shape.clone(), number("5.0"), Value::Int(5));
        check(shape, number("1.39E8"), Value::Int(139_000_000));
    }

    #[test]
    fn consent_is_told_by_several_checkboxes() {
        let field = field(Shape::Consent, &["Own", "Other"]);
        let told = |own: bool, other: bool| {
            decode(&field, json!({ "Own": own, "Other": other }).as_object().unwrap())
        };
        assert_eq!(told(false, false), Told::Value(Value::Consent(Consent::In)));
        assert_eq!(told(true, false), Told::Value(Value::Consent(Consent::Out)));
        assert_eq!(told(false, true), Told::Value(Value::Consent(Consent::Implied)));
        let part = json!({ "Own": false });
        assert_eq!(decode(&field, part.as_object().unwrap()), Told::Unknown);
        let column = &field.columns[0];
        assert_eq!(encode(column, &Value::Consent(Consent::In)), Ok(json!(false)));
        assert_eq!(encode(column, &Value::Null), Ok(json!(false)));
    }

    #[test]
    fn what_has_no_canonical_form_is_told_with_its_own_text() {
        let field = field(text(), &["C"]);
        let long = "x".repeat(81);
        let told = decode(&field, json!({ "C": long }).as_object().unwrap());
        assert!(matches!(told, Told::Unfit(why, raw)
            if why.contains("81 characters") && raw == [Some(Arc::from(long.as_str()))]));
    }

    #[test]
    fn a_day_that_salesforce_does_not_know_is_not_said() {
        let field = field(Shape::Date, &["C"]);
        let said = |value: Value| encode(&field.columns[0], &value).is_ok();
        let date = |text: &str| Value::Date(text.parse().unwrap());
        let at = |text: &str| Value::Instant(text.parse().unwrap());
        assert!(said(date("1700-01-01")) && said(date("4000-12-31")));
        assert!(said(at("1700-01-01T00:00:00Z")) && said(at("4000-12-31T23:59:59Z")));
        assert!(!said(date("1699-12-31")) && !said(date("4001-01-01")));
        assert!(!said(at("1699-12-31T23:59:59Z")) && !said(at("4001-01-01T00:00:00Z")));
    }

    #[test]
    fn a_restricted_picklist_is_given_what_it_takes_and_may_hold_what_it_took() {
        let only: Option<Arc<[Arc<str>]>> = Some(["Web".into(), "Phone".into()].into());
        let mut field = field(text(), &["C"]);
        let column = &mut field.columns[0];
        column.kind = Kind::Text { max: Some(40), case: Case::Kept, only: only.clone() };
        assert_eq!(encode(column, &Value::text("Web")), Ok(json!("Web")));
        assert_eq!(encode(column, &Value::text("Fax")), Err(Unsaid::NotListed));
        assert_eq!(encode(column, &Value::Null), Ok(Json::Null));
        column.kind = Kind::Set { max: None, only };
        let set = |names: &[&str]| Value::Set(names.iter().map(|name| Arc::from(*name)).collect());
        assert_eq!(encode(column, &set(&["Web", "Phone"])), Ok(json!("Phone;Web")));
        assert_eq!(encode(column, &set(&["Web", "Fax"])), Err(Unsaid::NotListed));
        let told = decode(&field, json!({ "C": "Fax" }).as_object().unwrap());
        assert_eq!(told, Told::Value(Value::text("Fax")));
    }

    #[test]
    fn constants_take_the_type_of_their_column() {
        let mut column = field(text(), &["C"]).columns.remove(0);
        assert_eq!(constant(&column, "true"), json!("true"));
        column.kind = Kind::Bool;
        assert_eq!(constant(&column, "True"), json!(true));
        column.kind = Kind::Decimal { whole: 9, scale: 2 };
        assert_eq!(constant(&column, "1.50"), number("1.50"));
    }
}
