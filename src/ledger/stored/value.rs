//! Values: text, flags and null as JSON's own, all others as `{"kind": …}`.
//!
//! Whole numbers have a kind, too: the JSON library keeps numbers of any size, and hands them to a
//! reader that did not ask for a number as something else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::reconcile::{Consent, Field, LinkId, RecordId, Row, Value};

/// A value as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredValue(pub(super) Value);

/// A row as it is written, by field number.
pub(super) type StoredRow = BTreeMap<u16, StoredValue>;

/// Consent as it is written.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum StoredConsent {
    In,
    Out,
    Implied,
}

pub(super) fn store_row(row: &Row) -> StoredRow {
    row.iter().map(|(field, value)| (field.0, StoredValue(value.clone()))).collect()
}

pub(super) fn load_row(row: StoredRow) -> Row {
    row.into_iter().map(|(field, value)| (Field(field), value.0)).collect()
}

impl From<Consent> for StoredConsent {
    fn from(consent: Consent) -> Self {
        match consent {
            Consent::In => Self::In,
            Consent::Out => Self::Out,
            Consent::Implied => Self::Implied,
        }
    }
}

impl From<StoredConsent> for Consent {
    fn from(consent: StoredConsent) -> Self {
        match consent {
            StoredConsent::In => Self::In,
            StoredConsent::Out => Self::Out,
            StoredConsent::Implied => Self::Implied,
        }
    }
}

impl Serialize for StoredValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Int(number) => kind(serializer, "int", number),
            Value::Decimal(number) => kind(serializer, "decimal", &number.to_string()),
            Value::Date(date) => kind(serializer, "date", &date.to_string()),
            Value::Time(time) => kind(serializer, "time", &time.to_string()),
            Value::Instant(instant) => kind(serializer, "instant", &instant.to_string()),
            Value::Uuid(id) => kind(serializer, "uuid", &format!("{id:032x}")),
            Value::Set(names) => kind(serializer, "set", names),
            Value::Record(record) => kind(serializer, "record", &record.0),
            Value::Link(link) => kind(serializer, "link", &link.0),
            Value::Consent(consent) => kind(serializer, "consent", &StoredConsent::from(*consent)),
        }
    }
}

fn kind<S: Serializer>(
    serializer: S,
    name: &str,
    value: &(impl Serialize + ?Sized),
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(name, value)?;
    map.end()
}

impl<'de> Deserialize<'de> for StoredValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value: null, a flag, a text, or {\"kind\": …}")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let kind: String = map.next_key()?.ok_or_else(|| de::Error::custom("a kind is missing"))?;
        let value = match kind.as_str() {
            "int" => Value::Int(map.next_value()?),
            "decimal" => Value::Decimal(parsed(&mut map, &kind)?),
            "date" => Value::Date(parsed(&mut map, &kind)?),
            "time" => Value::Time(parsed(&mut map, &kind)?),
            "instant" => Value::Instant(parsed(&mut map, &kind)?),
            "uuid" => {
                let text: String = map.next_value()?;
                let id = u128::from_str_radix(&text, 16).map_err(|_| not(&text, &kind))?;
                Value::Uuid(id)
            }
            "set" => Value::Set(map.next_value::<BTreeSet<Arc<str>>>()?),
            "record" => Value::Record(RecordId(map.next_value()?)),
            "link" => Value::Link(LinkId(map.next_value()?)),
            "consent" => Value::Consent(map.next_value::<StoredConsent>()?.into()),
            _ => return Err(de::Error::custom(format!("`{kind}` is no kind of value"))),
        };
        Ok(value)
    }
}

fn parsed<'de, A: MapAccess<'de>, T: std::str::FromStr>(
    map: &mut A,
    kind: &str,
) -> Result<T, A::Error> {
    let text: String = map.next_value()?;
    text.parse().map_err(|_| not(&text, kind))
}

fn not<E: de::Error>(text: &str, kind: &str) -> E {
    E::custom(format!("`{text}` is no {kind}"))
}
