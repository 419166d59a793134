//! Values of the file that may be written in more than one way.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};

use super::policy::Side;

/// One name, or a list of several: `"semail"` or `["iblacklistemail", "iblacklist"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names<T>(Vec<T>);

impl<T> Names<T> {
    /// The first-listed one.
    pub fn first(&self) -> &T {
        self.0.first().expect("an empty list is refused")
    }

    /// All, in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// Whether there is exactly one.
    pub fn is_single(&self) -> bool {
        self.0.len() == 1
    }
}

impl<'a, T> IntoIterator for &'a Names<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'de, T> Deserialize<'de> for Names<T>
where
    T: TryFrom<String, Error = String> + PartialEq,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMore(PhantomData))
    }
}

struct OneOrMore<T>(PhantomData<T>);

impl<'de, T> Visitor<'de> for OneOrMore<T>
where
    T: TryFrom<String, Error = String> + PartialEq,
{
    type Value = Names<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name or a list of names")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Names(vec![T::try_from(name.to_owned()).map_err(E::custom)?]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = list.next_element::<String>()? {
            let parsed = T::try_from(name.clone()).map_err(A::Error::custom)?;
            if names.contains(&parsed) {
                return Err(A::Error::custom(format!("`{name}` is listed twice")));
            }
            names.push(parsed);
        }
        if names.is_empty() {
            return Err(A::Error::custom("the list is empty; name at least one"));
        }
        Ok(Names(names))
    }
}

impl<T: JsonSchema> JsonSchema for Names<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Names_{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let name = generator.subschema_for::<T>();
        json_schema!({
            "anyOf": [name, { "type": "array", "items": name, "minItems": 1, "uniqueItems": true }]
        })
    }
}

/// A value that the file gives: text, a whole number, true or false. Decimals and dates are
/// written as text.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a text, a whole number, true or false")]
#[schemars(inline)]
pub enum Constant {
    /// True or false.
    Flag(bool),
    /// A whole number.
    Whole(i64),
    /// A text.
    Text(String),
}

impl Constant {
    /// The value as a side writes it: Campaign has no booleans, its flags are 0 and 1.
    pub fn text(&self, side: Side) -> String {
        match (self, side) {
            (Self::Flag(flag), Side::Campaign) => u8::from(*flag).to_string(),
            (Self::Flag(flag), Side::Crm) => flag.to_string(),
            (Self::Whole(number), Side::Campaign | Side::Crm) => number.to_string(),
            (Self::Text(text), Side::Campaign | Side::Crm) => text.clone(),
        }
    }
}
