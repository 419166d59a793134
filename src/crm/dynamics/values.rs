//! Values as Dataverse tells them and takes them: JSON on one side, canonical [`Value`]s on the other.
//!
//! Numbers keep every digit that came; money is told with more digits than it has (`1250.0000`), and is
//! rounded to its column's before it is compared. Times have whole seconds and end in `Z`; a date
//! never passes through a zone. A choice is the number of its option, never its label, which
//! depends on who asks. Several choices are `1,9`. A lookup is read as `_name_value` and written by
//! another name. Consent is told by several flags, of which some allow where others forbid, or by a
//! choice, of which each option says what the config says of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value as Json;

use crate::crm::dynamics::api::Record;
use crate::crm::dynamics::describe::Wire;
use crate::crm::dynamics::odata;
use crate::crm::dynamics::settings::ConsentOptions;
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

/// A column as it is read: the name under which its value comes, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// `lastname`, `_parentcustomerid_value`.
    pub(super) name: Arc<str>,
    pub(super) wire: Wire,
    /// Of consent: how it is told.
    pub(super) polarity: Polarity,
    /// Of a lookup: the table that its field refers to, where it may refer to others too.
    pub(super) target: Option<Arc<str>>,
}

impl Source {
    /// Of a column that has no peculiarities.
    pub(super) fn plain(name: &str) -> Self {
        Self { name: name.into(), wire: Wire::Plain, polarity: Polarity::Forbids, target: None }
    }

    /// The conditions of a row that says no by this column.
    pub(super) fn says_no(&self) -> Vec<String> {
        let name = &self.name;
        match &self.polarity {
            Polarity::Forbids => vec![format!("{name} eq true")],
            Polarity::Allows => vec![format!("{name} eq false")],
            Polarity::Options(options) => {
                options.out.iter().map(|option| format!("{name} eq {option}")).collect()
            }
        }
    }
}

/// How a column tells consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Polarity {
    /// `true` forbids.
    Forbids,
    /// `true` allows.
    Allows,
    /// Each option of a choice says what it says.
    Options(ConsentOptions),
}

impl Polarity {
    /// Whether a value says no; where nobody has said anything (an old row), it does not.
    fn is_out(&self, told: &Json) -> Result<bool, Arc<str>> {
        match (self, told) {
            (_, Json::Null) => Ok(false),
            (Self::Forbids, Json::Bool(flag)) => Ok(*flag),
            (Self::Allows, Json::Bool(flag)) => Ok(!*flag),
            (Self::Options(options), Json::Number(number)) => {
                let said = number.as_i64();
                let among = |options: &[i64]| said.is_some_and(|said| options.contains(&said));
                match (among(&options.out), among(&options.allowed)) {
                    (true, _) => Ok(true),
                    (false, true) => Ok(false),
                    (false, false) => {
                        Err("is an option that consent_options says nothing of".into())
                    }
                }
            }
            (Self::Options(_), _) => Err("is not an option of a choice".into()),
            (Self::Forbids | Self::Allows, _) => Err("is not a flag".into()),
        }
    }

    /// What says so: of several options the first.
    fn said(&self, consent: Consent) -> Result<Json, Unsaid> {
        Ok(match self {
            Self::Forbids => Json::Bool(consent.is_out()),
            Self::Allows => Json::Bool(!consent.is_out()),
            Self::Options(options) => {
                let said = if consent.is_out() { &options.out } else { &options.allowed };
                Json::from(*said.first().ok_or(Unsaid::NotListed)?)
            }
        })
    }
}

/// Under this name a row tells which table a lookup's value is of.
const LOOKUP_TABLE: &str = "@Microsoft.Dynamics.CRM.lookuplogicalname";

/// Reads a field from a record.
pub(super) fn decode(field: &SideField, sources: &[Source], record: &Record) -> Told {
    let told: Option<Vec<&Json>> = sources.iter().map(|source| record.get(&*source.name)).collect();
    let Some(told) = told else { return Told::Unknown };
    let value = match (&field.shape, told.as_slice(), sources) {
        (Shape::Consent, flags, sources) => consent(flags, sources),
        (shape, [first, ..], [source, ..]) => value(shape, source, first, record),
        (_, _, _) => return Told::Unknown,
    };
    let canonical = value.and_then(|value| {
        field.shape.canonical(value).map_err(|unfit| Arc::from(unfit.to_string()))
    });
    match canonical {
        Ok(value) => Told::Value(value),
        Err(why) => Told::Unfit(why, told.into_iter().map(own_text).collect()),
    }
}

fn value(shape: &Shape, source: &Source, json: &Json, record: &Record) -> Result<Value, Arc<str>> {
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
        (Shape::Date, Json::String(text)) => date(text).map(Value::Date).ok_or_else(unfit),
        (Shape::Instant, Json::String(text)) => instant(text).map(Value::Instant).ok_or_else(unfit),
        (Shape::Uuid, Json::String(text)) => uuid(text).map(Value::Uuid).ok_or_else(unfit),
        (Shape::Set { .. }, Json::String(text)) => Ok(set(text)),
        (Shape::Reference(_), Json::String(text)) => {
            let table = record.get(&format!("{}{LOOKUP_TABLE}", source.name));
            let table = table.and_then(Json::as_str);
            match (&source.target, table) {
                (Some(wanted), Some(table)) if &**wanted != table => {
                    Err(format!("refers to a row of `{table}`, and the mapping to `{wanted}`")
                        .into())
                }
                _ => odata::record_id(text).map(Value::Record).ok_or_else(unfit),
            }
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

fn consent(flags: &[&Json], sources: &[Source]) -> Result<Value, Arc<str>> {
    let mut out = flags.iter().zip(sources).map(|(told, source)| source.polarity.is_out(told));
    let own = out.next().unwrap_or(Ok(false))?;
    let implied = out.try_fold(false, |any, flag| flag.map(|flag| any || flag))?;
    Ok(Value::Consent(match (implied, own) {
        (true, _) => Consent::Implied,
        (false, true) => Consent::Out,
        (false, false) => Consent::In,
    }))
}

/// A point in time, which always ends in `Z`.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// A calendar date; of a point in time the part that is one.
fn date(text: &str) -> Option<Date> {
    text.get(..10)?.parse().ok()
}

fn uuid(text: &str) -> Option<u128> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    (digits.len() == 32).then(|| u128::from_str_radix(&digits, 16).ok())?
}

fn set(text: &str) -> Value {
    let names: BTreeSet<Arc<str>> =
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(Arc::from).collect();
    if names.is_empty() { Value::Null } else { Value::Set(names) }
}

/// Why Dataverse is not given a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unsaid {
    /// It has no form there: a reference that nobody translated.
    NoForm,
    /// It is not among the options of the choice, which would refuse it.
    NotListed,
}

/// The most choices that a column of several holds.
const CHOICES_MAX: usize = 150;

/// What to write into a column of this kind; not for lookups, which are bound.
pub(super) fn encode(column: &Column, source: &Source, value: &Value) -> Result<Json, Unsaid> {
    let number =
        |text: &str| serde_json::from_str(text).map(Json::Number).map_err(|_| Unsaid::NoForm);
    Ok(match value {
        // A flag has no third state.
        Value::Null if column.kind == Kind::Bool => Json::Bool(false),
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Consent(consent) => source.polarity.said(*consent)?,
        Value::Int(n) => Json::Number((*n).into()),
        Value::Decimal(n) => number(&n.to_string())?,
        Value::Text(text) if source.wire == Wire::Choice => {
            number(text).map_err(|_| Unsaid::NotListed)?
        }
        Value::Text(text) => Json::from(&**text),
        Value::Date(date) if source.wire == Wire::DateAsInstant => {
            Json::from(format!("{date}T00:00:00Z"))
        }
        Value::Date(date) => Json::from(date.to_string()),
        Value::Instant(at) => Json::from(odata::instant(*at)),
        Value::Uuid(id) => Json::from(odata::guid(*id)),
        Value::Set(names) if names.len() <= CHOICES_MAX => {
            Json::from(names.iter().map(|n| &**n).collect::<Vec<_>>().join(","))
        }
        Value::Set(_) => return Err(Unsaid::NotListed),
        Value::Record(_) | Value::Time(_) | Value::Link(_) => return Err(Unsaid::NoForm),
    })
}

/// Whether a choice takes a value. What it holds already may be one that it no longer offers.
pub(super) fn is_offered(options: Option<&[Arc<str>]>, value: &Value) -> bool {
    let Some(options) = options else { return true };
    let offered = |name: &str| options.iter().any(|option| &**option == name);
    match value {
        Value::Text(text) => offered(text),
        Value::Int(n) => offered(&n.to_string()),
        Value::Set(names) => names.iter().all(|name| offered(name)),
        Value::Null
        | Value::Bool(_)
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

/// A constant from the config, in the type that its column wants.
pub(super) fn constant(column: &Column, wire: &Wire, text: &str) -> Json {
    let number = || serde_json::from_str(text.trim()).map(Json::Number).ok();
    let parsed = match (&column.kind, wire) {
        (Kind::Bool, _) => text.trim().to_lowercase().parse().map(Json::Bool).ok(),
        (Kind::Int { .. } | Kind::Decimal { .. }, _) | (_, Wire::Choice) => number(),
        (
            Kind::Text { .. }
            | Kind::Date
            | Kind::Time
            | Kind::Instant
            | Kind::Uuid
            | Kind::Set { .. }
            | Kind::Reference(_)
            | Kind::Other,
            Wire::Plain | Wire::Choices | Wire::DateAsInstant | Wire::Lookup(_),
        ) => None,
    };
    parsed.unwrap_or_else(|| Json::from(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::reconcile::shape::{Case, Text, TooLong};
    use crate::reconcile::{Entity, Field};

    use super::*;

    fn column(kind: Kind) -> Column {
        Column {
            name: "c".into(),
            type_name: "any".into(),
            kind,
            nullable: true,
            required: false,
            unique: false,
            creatable: true,
            updatable: true,
        }
    }

    fn field(shape: Shape, columns: usize) -> SideField {
        let kind = if shape == Shape::Consent { Kind::Bool } else { Kind::Other };
        SideField {
            field: Field(1),
            name: "f".into(),
            columns: vec![column(kind); columns],
            shape,
            zero_is_null: false,
            writable: true,
        }
    }

    fn source(wire: Wire) -> Source {
        Source { wire, ..Source::plain("c") }
    }

    fn text() -> Shape {
        Shape::Text(Text { max: 80, case: Case::Kept, too_long: TooLong::Reject, only: None })
    }

    fn record(json: &Json) -> Record {
        json.as_object().unwrap().clone()
    }

    fn check(shape: Shape, wire: Wire, told: impl Into<Json>, expected: Value) {
        let (told, source) = (told.into(), source(wire));
        let field = field(shape, 1);
        let sources = std::slice::from_ref(&source);
        let read = decode(&field, sources, &record(&json!({ "c": told })));
        assert_eq!(read, Told::Value(expected.clone()), "{told}");
        let back = encode(&field.columns[0], &source, &expected).unwrap();
        let read = decode(&field, sources, &record(&json!({ "c": back })));
        assert_eq!(read, Told::Value(expected), "{back}");
    }

    fn number(text: &str) -> Json {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn values_survive_the_way_there_and_back() {
        check(text(), Wire::Plain, json!(" Zoë O'Neil 😀 "), Value::text("Zoë O'Neil 😀"));
        check(text(), Wire::Plain, json!(null), Value::Null);
        check(text(), Wire::Choice, json!(2), Value::text("2"));
        check(Shape::Bool, Wire::Plain, json!(true), Value::Bool(true));
        let day = Value::Date("1984-02-29".parse().unwrap());
        check(Shape::Date, Wire::Plain, json!("1984-02-29"), day.clone());
        check(Shape::Date, Wire::DateAsInstant, json!("1984-02-29T00:00:00Z"), day);
        let at = Value::Instant("2026-01-05T10:11:12Z".parse().unwrap());
        check(Shape::Instant, Wire::Plain, json!("2026-01-05T10:11:12Z"), at);
        let names: BTreeSet<Arc<str>> = ["1".into(), "9".into()].into();
        check(Shape::Set { max: 4099 }, Wire::Choices, json!("9, 1"), Value::Set(names));
        check(Shape::Set { max: 4099 }, Wire::Choices, json!(null), Value::Null);
        let money = Shape::Decimal { whole: 13, scale: 2 };
        check(money, Wire::Plain, number("1250.0000"), Value::Decimal("1250".parse().unwrap()));
        let choice = Shape::Int { min: 1, max: 5 };
        check(choice, Wire::Choice, json!(2), Value::Int(2));
        let id = "5c2f0000-1111-2222-3333-44445555666a";
        let bits = u128::from_str_radix(&id.replace('-', ""), 16).unwrap();
        check(Shape::Uuid, Wire::Plain, json!(id.to_uppercase()), Value::Uuid(bits));
    }

    #[test]
    fn flags_that_forbid_and_flags_that_allow_say_one_thing() {
        let field = field(Shape::Consent, 2);
        let forbids = Source::plain("donotbulkemail");
        let allows = Source { polarity: Polarity::Allows, ..Source::plain("followemail") };
        let told = |forbids: &Source, allows: &Source, no: Json, yes: Json| {
            let row = record(&json!({ "donotbulkemail": no, "followemail": yes }));
            decode(&field, &[forbids.clone(), allows.clone()], &row)
        };
        let is = |consent| Told::Value(Value::Consent(consent));
        assert_eq!(told(&forbids, &allows, json!(false), json!(true)), is(Consent::In));
        assert_eq!(told(&forbids, &allows, json!(true), json!(true)), is(Consent::Out));
        assert_eq!(told(&forbids, &allows, json!(false), json!(false)), is(Consent::Implied));
        assert_eq!(told(&forbids, &allows, json!(null), json!(null)), is(Consent::In));
        let written = |source: &Source, consent| {
            encode(&field.columns[0], source, &Value::Consent(consent)).unwrap()
        };
        assert_eq!(written(&forbids, Consent::Out), json!(true));
        assert_eq!(written(&allows, Consent::Out), json!(false));
        assert_eq!(written(&allows, Consent::In), json!(true));
        assert_eq!(forbids.says_no(), ["donotbulkemail eq true"]);
        assert_eq!(allows.says_no(), ["followemail eq false"]);
    }

    #[test]
    fn each_option_of_a_choice_says_what_it_was_said_to() {
        let field = field(Shape::Consent, 1);
        let options = ConsentOptions { out: vec![3, 2], allowed: vec![1] };
        let source = Source {
            wire: Wire::Choice,
            polarity: Polarity::Options(options),
            ..Source::plain("new_consent")
        };
        let told = |option: Json| {
            let row = record(&json!({ "new_consent": option }));
            decode(&field, std::slice::from_ref(&source), &row)
        };
        let is = |consent| Told::Value(Value::Consent(consent));
        assert_eq!(told(json!(1)), is(Consent::In));
        assert_eq!(told(json!(2)), is(Consent::Out));
        assert_eq!(told(json!(3)), is(Consent::Out));
        assert_eq!(told(json!(null)), is(Consent::In));
        assert!(matches!(told(json!(9)), Told::Unfit(why, _) if why.contains("consent_options")));
        let written = |consent| encode(&field.columns[0], &source, &Value::Consent(consent));
        assert_eq!(written(Consent::Out), Ok(json!(3)));
        assert_eq!(written(Consent::In), Ok(json!(1)));
        assert_eq!(source.says_no(), ["new_consent eq 3", "new_consent eq 2"]);
    }

    #[test]
    fn a_lookup_of_several_tables_is_read_only_where_it_refers_to_the_mapped_one() {
        let field = field(Shape::Reference(Entity(2)), 1);
        let id = "5c2f0000-1111-2222-3333-44445555666a";
        let source = Source {
            wire: Wire::Lookup(Vec::new()),
            target: Some("account".into()),
            ..Source::plain("_parentcustomerid_value")
        };
        let told = |table: &str| {
            let row = json!({
                "_parentcustomerid_value": id,
                "_parentcustomerid_value@Microsoft.Dynamics.CRM.lookuplogicalname": table,
            });
            decode(&field, std::slice::from_ref(&source), &record(&row))
        };
        assert_eq!(told("account"), Told::Value(Value::Record(id.into())));
        assert!(matches!(told("contact"), Told::Unfit(why, _) if why.contains("row of `contact`")));
    }

    #[test]
    fn only_what_a_choice_offers_is_written() {
        let options: Vec<Arc<str>> = ["1".into(), "2".into()].into();
        assert!(is_offered(Some(&options), &Value::Int(2)));
        assert!(!is_offered(Some(&options), &Value::Int(9)));
        assert!(!is_offered(Some(&options), &Value::text("9")));
        assert!(!is_offered(Some(&options), &Value::Set(["1".into(), "9".into()].into())));
        assert!(is_offered(Some(&options), &Value::Null));
    }

    #[test]
    fn constants_take_the_type_of_their_column() {
        let choice = column(Kind::Int { min: 1, max: 5 });
        assert_eq!(constant(&choice, &Wire::Choice, "2"), json!(2));
        assert_eq!(constant(&column(Kind::Bool), &Wire::Plain, "True"), json!(true));
        let text = column(Kind::Text { max: None, case: Case::Kept, only: None });
        assert_eq!(constant(&text, &Wire::Plain, "2"), json!("2"));
    }
}
