//! The text of Campaign's columns as canonical values, and back.
//!
//! Campaign's conventions are lived here: `''` is null; numbers are never null, so 0 may stand for
//! it; foreign key 0 refers to nothing; a flag is a `smallint`; several columns may say one thing
//! of consent. Sessions print in one way only (UTC, ISO dates), so texts can be compared.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use crate::reconcile::mapping::{Column, Kind, SideField};
use crate::reconcile::shape::Unfit;
use crate::reconcile::{Consent, Decimal, RecordId, Shape, Value};

/// Reads a field from the texts of its columns, in their order, in canonical form.
pub fn read(field: &SideField, texts: &[Option<&str>], zone: &TimeZone) -> Result<Value, Unfit> {
    if field.shape == Shape::Consent {
        return Ok(Value::Consent(consent(texts)));
    }
    let (Some(column), Some(text)) = (field.columns.first(), texts.first()) else {
        return Ok(Value::Null);
    };
    let text = match text {
        None | Some("") => return field.shape.canonical(Value::Null),
        Some(text) => *text,
    };
    let wrong = || Unfit::Kind { wanted: field.shape.noun() };
    let value = match &field.shape {
        Shape::Bool => Value::Bool(!is_zero(text)),
        Shape::Int { .. } => Value::Int(whole(text).ok_or_else(wrong)?),
        Shape::Decimal { .. } => Value::Decimal(text.parse().map_err(|_| wrong())?),
        Shape::Text(_) => Value::Text(text.into()),
        Shape::Date => Value::Date(text.parse::<Date>().map_err(|_| wrong())?),
        Shape::Time => Value::Time(text.parse::<Time>().map_err(|_| wrong())?),
        Shape::Instant => Value::Instant(instant(text, column, zone).ok_or_else(wrong)?),
        Shape::Uuid => Value::Uuid(uuid(text).ok_or_else(wrong)?),
        Shape::Set { .. } => set(text),
        Shape::Reference(_) if text.trim() == "0" || text.trim().is_empty() => Value::Null,
        Shape::Reference(_) => Value::Record(RecordId::from(text.trim())),
        Shape::Consent => unreachable!("consent was read from all of its columns"),
    };
    let value = field.shape.canonical(value)?;
    Ok(if field.zero_is_null && zero(&value) { Value::Null } else { value })
}

/// The texts that a field's columns hold when it has this value; only the first is ever written.
pub fn print(
    field: &SideField,
    value: &Value,
    zone: &TimeZone,
) -> Result<Vec<Option<String>>, Unfit> {
    let Some(column) = field.columns.first() else { return Ok(Vec::new()) };
    let text = match value {
        Value::Null => nothing(column, &field.shape),
        Value::Bool(flag) => Some(flag_text(column, *flag)),
        Value::Int(number) => Some(number.to_string()),
        Value::Decimal(number) => Some(number.to_string()),
        Value::Text(text) => Some(text.as_ref().to_owned()),
        Value::Date(date) => Some(date.to_string()),
        Value::Time(time) => Some(time.strftime("%H:%M:%S").to_string()),
        Value::Instant(at) => Some(instant_text(*at, column, zone)),
        Value::Uuid(id) => Some(uuid_text(*id)),
        Value::Set(names) => {
            Some(names.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(SEPARATOR))
        }
        Value::Record(key) => Some(key.0.as_ref().to_owned()),
        Value::Consent(consent) => return Ok(consent_texts(&field.columns, *consent)),
        // A link means nothing to a database; whoever sends a write translates it first.
        Value::Link(_) => return Err(Unfit::Kind { wanted: "a key of the table referred to" }),
    };
    Ok(vec![text])
}

/// Whether two texts of a column are one value: `''` is null, and `300.00` is `300`.
pub fn same(column: &Column, a: Option<&str>, b: Option<&str>) -> bool {
    match (&column.kind, a.unwrap_or(""), b.unwrap_or("")) {
        (_, a, b) if a == b => true,
        (Kind::Decimal { .. }, a, b) => match (a.parse::<Decimal>(), b.parse::<Decimal>()) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        },
        _ => false,
    }
}

/// The texts as a guard must compare with them, where the value does not print back to them.
pub fn raw(
    field: &SideField,
    texts: &[Option<&str>],
    value: &Value,
    zone: &TimeZone,
) -> Option<Vec<Option<Arc<str>>>> {
    if prints_back(field, texts, value) {
        return None;
    }
    let printed = print(field, value, zone).unwrap_or_default();
    let columns = field.columns.iter().zip(texts);
    let back = printed.len() == texts.len()
        && columns.zip(&printed).all(|((column, text), back)| same(column, *text, back.as_deref()));
    if back { None } else { Some(texts.iter().map(|text| text.map(Arc::from)).collect()) }
}

/// Whether a value surely prints back to these texts, told without printing it: nearly every value
/// of nearly every row.
fn prints_back(field: &SideField, texts: &[Option<&str>], value: &Value) -> bool {
    match (value, texts) {
        (Value::Text(value), [Some(text)]) => **value == **text,
        (Value::Null, [None | Some("")]) => {
            matches!(field.columns.first(), Some(Column { kind: Kind::Text { .. }, .. }))
        }
        (Value::Consent(Consent::In), texts) => texts.iter().all(|text| *text == Some("0")),
        _ => false,
    }
}

/// In a text column, a set's names stand as in Salesforce's own exports.
const SEPARATOR: &str = ";";

fn consent(texts: &[Option<&str>]) -> Consent {
    let out = |text: Option<&str>| text.is_some_and(|text| !is_zero(text));
    match texts.split_first() {
        Some((_, implying)) if implying.iter().any(|text| out(*text)) => Consent::Implied,
        Some((own, _)) if out(*own) => Consent::Out,
        Some(_) | None => Consent::In,
    }
}

/// Several combinations imply: this is one of them, and the raw texts are kept for the others.
fn consent_texts(columns: &[Column], consent: Consent) -> Vec<Option<String>> {
    let text = |(place, column): (usize, &Column)| {
        let out = match consent {
            Consent::In => false,
            Consent::Out => place == 0,
            Consent::Implied => true,
        };
        Some(flag_text(column, out))
    };
    columns.iter().enumerate().map(text).collect()
}

fn is_zero(text: &str) -> bool {
    matches!(text.trim(), "" | "0" | "f" | "false")
}

fn zero(value: &Value) -> bool {
    match value {
        Value::Int(number) => *number == 0,
        Value::Decimal(number) => *number == Decimal::new(0, 0),
        Value::Null
        | Value::Bool(_)
        | Value::Text(_)
        | Value::Date(_)
        | Value::Time(_)
        | Value::Instant(_)
        | Value::Uuid(_)
        | Value::Set(_)
        | Value::Record(_)
        | Value::Link(_)
        | Value::Consent(_) => false,
    }
}

fn flag_text(column: &Column, flag: bool) -> String {
    let text = match (&column.kind, flag) {
        (Kind::Bool, true) => "true",
        (Kind::Bool, false) => "false",
        (_, true) => "1",
        (_, false) => "0",
    };
    text.to_owned()
}

/// What stands for no value. A reference to nothing is 0 also where null were allowed: Campaign
/// joins to row 0.
fn nothing(column: &Column, shape: &Shape) -> Option<String> {
    let reference = matches!(shape, Shape::Reference(_));
    match &column.kind {
        Kind::Bool if !column.nullable => Some("false".to_owned()),
        Kind::Int { .. } if reference || !column.nullable => Some("0".to_owned()),
        Kind::Decimal { .. } if !column.nullable => Some("0".to_owned()),
        Kind::Text { .. } | Kind::Set { .. } if !column.nullable => Some(String::new()),
        Kind::Bool
        | Kind::Int { .. }
        | Kind::Decimal { .. }
        | Kind::Text { .. }
        | Kind::Date
        | Kind::Time
        | Kind::Instant
        | Kind::Uuid
        | Kind::Set { .. }
        | Kind::Reference(_)
        | Kind::Other => None,
    }
}

/// A whole number, also out of a column that could hold more than that.
fn whole(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| text.parse::<Decimal>().ok()?.to_string().parse().ok())
}

fn set(text: &str) -> Value {
    let names = text.split(SEPARATOR).map(str::trim).filter(|name| !name.is_empty());
    let names: std::collections::BTreeSet<Arc<str>> = names.map(Arc::from).collect();
    if names.is_empty() { Value::Null } else { Value::Set(names) }
}

/// Whether a column's times are those of a wall clock somewhere.
fn is_local(column: &Column) -> bool {
    column.type_name.starts_with("timestamp") && !column.type_name.ends_with("with time zone")
}

/// Reads a point in time as PostgreSQL prints it in UTC: `2026-03-01 10:00:00.5+00`.
pub fn instant(text: &str, column: &Column, zone: &TimeZone) -> Option<Timestamp> {
    if is_local(column) {
        let wall: DateTime = text.parse().ok()?;
        return zone.to_timestamp(wall).ok();
    }
    text.parse().ok()
}

pub(crate) fn instant_text(at: Timestamp, column: &Column, zone: &TimeZone) -> String {
    if is_local(column) {
        return zone.to_datetime(at).strftime("%Y-%m-%d %H:%M:%S").to_string();
    }
    at.strftime("%Y-%m-%d %H:%M:%S+00").to_string()
}

fn uuid(text: &str) -> Option<u128> {
    let digits: String = text.chars().filter(|c| !matches!(c, '-' | '{' | '}')).collect();
    if digits.len() == 32 { u128::from_str_radix(&digits, 16).ok() } else { None }
}

fn uuid_text(id: u128) -> String {
    let hex = format!("{id:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::shape::{Case, Text, TooLong};
    use crate::reconcile::{Entity, Field};

    fn column(type_name: &str, kind: Kind, nullable: bool) -> Column {
        Column {
            name: "c".into(),
            type_name: type_name.into(),
            kind,
            nullable,
            required: false,
            unique: false,
            creatable: true,
            updatable: true,
        }
    }

    fn field(shape: Shape, columns: Vec<Column>) -> SideField {
        SideField {
            field: Field(1),
            name: "f".into(),
            columns,
            shape,
            zero_is_null: false,
            writable: true,
        }
    }

    fn small() -> Column {
        column("smallint", Kind::Int { min: -32768, max: 32767 }, false)
    }

    /// What the texts mean, and whether that value prints back to them.
    fn check(field: &SideField, texts: &[Option<&str>], value: &Value, prints_back: bool) {
        let zone = TimeZone::get("Europe/Paris").unwrap();
        assert_eq!(read(field, texts, &zone).as_ref(), Ok(value), "{texts:?}");
        assert_eq!(raw(field, texts, value, &zone).is_none(), prints_back, "{texts:?}");
        let printed = print(field, value, &zone).unwrap();
        let printed: Vec<Option<&str>> = printed.iter().map(Option::as_deref).collect();
        assert_eq!(read(field, &printed, &zone).as_ref(), Ok(value), "{printed:?} again");
    }

    #[test]
    fn empty_text_is_null_and_spaces_are_kept_for_the_guard() {
        let kind = Kind::Text { max: Some(80), case: Case::Kept, only: None };
        let text = Text { max: 80, case: Case::Kept, too_long: TooLong::Reject, only: None };
        let field = field(Shape::Text(text), vec![column("character varying(80)", kind, true)]);
        check(&field, &[None], &Value::Null, true);
        check(&field, &[Some("")], &Value::Null, true);
        check(&field, &[Some("Ann")], &Value::text("Ann"), true);
        check(&field, &[Some(" Ann ")], &Value::text("Ann"), false);
        check(&field, &[Some("  ")], &Value::Null, false);
    }

    #[test]
    fn zero_is_no_reference_and_no_value_where_the_config_says_so() {
        let key = || column("integer", Kind::Int { min: -9, max: 9_000_000 }, false);
        let reference = field(Shape::Reference(Entity(2)), vec![key()]);
        check(&reference, &[Some("0")], &Value::Null, true);
        check(&reference, &[Some("-7")], &Value::Record("-7".into()), true);
        let mut number = field(Shape::Int { min: -9, max: 9_000_000 }, vec![key()]);
        check(&number, &[Some("0")], &Value::Int(0), true);
        number.zero_is_null = true;
        check(&number, &[Some("0")], &Value::Null, true);
        check(&number, &[Some("12")], &Value::Int(12), true);
    }

    #[test]
    fn a_global_flag_implies_the_channels_own() {
        let field = field(Shape::Consent, vec![small(), small()]);
        check(&field, &[Some("0"), Some("0")], &Value::Consent(Consent::In), true);
        check(&field, &[Some("1"), Some("0")], &Value::Consent(Consent::Out), true);
        check(&field, &[Some("2"), Some("0")], &Value::Consent(Consent::Out), false);
        check(&field, &[Some("1"), Some("1")], &Value::Consent(Consent::Implied), true);
        check(&field, &[Some("0"), Some("1")], &Value::Consent(Consent::Implied), false);
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        let kind = Kind::Decimal { whole: 10, scale: 2 };
        let shape = Shape::Decimal { whole: 10, scale: 2 };
        let amount = field(shape, vec![column("numeric(12,2)", kind, false)]);
        let read = |text: &str| Value::Decimal(text.parse().unwrap());
        check(&amount, &[Some("300.00")], &read("300"), true);
        check(&amount, &[Some("1.5e+06")], &read("1500000"), true);
        check(&amount, &[Some("1.005")], &read("1.01"), false);
        let zone = TimeZone::UTC;
        assert!(super::read(&amount, &[Some("NaN")], &zone).is_err());
        assert!(super::read(&amount, &[Some("Infinity")], &zone).is_err());
    }

    #[test]
    fn times_are_points_in_time_whatever_the_column_keeps() {
        let at = |text: &str| Value::Instant(text.parse().unwrap());
        let with = column("timestamp with time zone", Kind::Instant, true);
        let with = field(Shape::Instant, vec![with]);
        check(&with, &[Some("2026-03-01 10:00:00+00")], &at("2026-03-01T10:00:00Z"), true);
        check(&with, &[Some("2026-03-01 10:00:00.25+00")], &at("2026-03-01T10:00:00Z"), false);
        let local = column("timestamp without time zone", Kind::Instant, true);
        let local = field(Shape::Instant, vec![local]);
        check(&local, &[Some("2026-07-01 10:00:00")], &at("2026-07-01T08:00:00Z"), true);
        // An hour that the clock in Paris skipped.
        check(&local, &[Some("2026-03-29 02:30:00")], &at("2026-03-29T01:30:00Z"), false);
        assert!(read(&with, &[Some("infinity")], &TimeZone::UTC).is_err());
    }

    #[test]
    fn dates_flags_times_and_identifiers_print_as_the_server_prints_them() {
        let date = field(Shape::Date, vec![column("date", Kind::Date, true)]);
        check(&date, &[Some("1999-12-31")], &Value::Date("1999-12-31".parse().unwrap()), true);
        let time = field(Shape::Time, vec![column("time", Kind::Time, true)]);
        check(&time, &[Some("09:05:00")], &Value::Time("09:05:00".parse().unwrap()), true);
        let flag = field(Shape::Bool, vec![small()]);
        check(&flag, &[Some("1")], &Value::Bool(true), true);
        check(&flag, &[Some("2")], &Value::Bool(true), false);
        let id = field(Shape::Uuid, vec![column("uuid", Kind::Uuid, true)]);
        let text = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        check(&id, &[Some(text)], &Value::Uuid(0xa0ee_bc99_9c0b_4ef8_bb6d_6bb9_bd38_0a11), true);
    }
}
