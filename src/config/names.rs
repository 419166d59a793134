//! Names, each with the rule of the place it is used in.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The name of a table, column, schema, slot or function of PostgreSQL, as Campaign makes them:
/// lower case, unquoted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct SqlName(String);

/// The API name of an object or field of a CRM, such as `Truce_Id__c`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ApiName(String);

/// A name that this file gives: of a CRM, a mapping, a field, an instance. It goes into the
/// ledger, metrics and commands, so it is short and plain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Label(String);

// PostgreSQL cuts longer ones, silently.
const SQL_NAME_BYTES_MAX: usize = 63;
const SQL_NAME: &str = "^[a-z_][a-z0-9_]{0,62}$";

// Salesforce's longest is 40 and a suffix; Dynamics' is 128.
const API_NAME_BYTES_MAX: usize = 128;
const API_NAME: &str = "^[A-Za-z][A-Za-z0-9_]{0,127}$";

// It is part of the external id, which shares 255 characters with the key.
const LABEL_BYTES_MAX: usize = 40;
const LABEL: &str = "^[a-z][a-z0-9_]{0,39}$";

impl TryFrom<String> for SqlName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let starts = |first: char| first.is_ascii_lowercase() || first == '_';
        if plain(&name, starts, lower) && name.len() <= SQL_NAME_BYTES_MAX {
            return Ok(Self(name));
        }
        let lowered = name.to_lowercase();
        if lowered != name && Self::try_from(lowered.clone()).is_ok() {
            return Err(format!(
                "`{name}` is not in lower case, as PostgreSQL keeps Campaign's names; write \
                 `{lowered}`"
            ));
        }
        Err(format!(
            "`{name}` is not a name of PostgreSQL: lower-case letters, digits and `_`, at most \
             {SQL_NAME_BYTES_MAX}"
        ))
    }
}

impl TryFrom<String> for ApiName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let inner = |one: char| one.is_ascii_alphanumeric() || one == '_';
        if plain(&name, |first| first.is_ascii_alphabetic(), inner)
            && name.len() <= API_NAME_BYTES_MAX
        {
            return Ok(Self(name));
        }
        Err(format!(
            "`{name}` is not an API name of the CRM: letters, digits and `_`, such as \
             `Truce_Id__c` (not the label that people see)"
        ))
    }
}

impl TryFrom<String> for Label {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if plain(&name, |first| first.is_ascii_lowercase(), lower) && name.len() <= LABEL_BYTES_MAX
        {
            return Ok(Self(name));
        }
        Err(format!(
            "`{name}` is not a name for this file: a lower-case letter, then lower-case letters, \
             digits and `_`, at most {LABEL_BYTES_MAX}"
        ))
    }
}

fn plain(name: &str, starts: impl Fn(char) -> bool, inner: impl Fn(char) -> bool) -> bool {
    name.chars().next().is_some_and(starts) && name.chars().all(inner)
}

fn lower(one: char) -> bool {
    one.is_ascii_lowercase() || one.is_ascii_digit() || one == '_'
}

impl SqlName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ApiName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both name the same thing: a CRM takes them in any case.
    pub fn same_as(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Label {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SqlName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ApiName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for SqlName {
    fn schema_name() -> Cow<'static, str> {
        "SqlName".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": SQL_NAME })
    }
}

impl JsonSchema for ApiName {
    fn schema_name() -> Cow<'static, str> {
        "ApiName".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": API_NAME })
    }
}

impl JsonSchema for Label {
    fn schema_name() -> Cow<'static, str> {
        "Label".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": LABEL })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_capitals_is_told_its_lower_case() {
        let refused = SqlName::try_from("NmsRecipient".to_owned()).unwrap_err();
        assert!(refused.contains("write `nmsrecipient`"), "{refused}");
    }

    #[test]
    fn names_keep_their_own_rules() {
        let sql = |name: &str| SqlName::try_from(name.to_owned()).is_ok();
        assert!(sql("nmsrecipient") && sql("_x1"));
        assert!(!sql("") && !sql("1a") && !sql("a-b") && !sql("a b") && !sql(&"a".repeat(64)));
        let api = |name: &str| ApiName::try_from(name.to_owned()).is_ok();
        assert!(api("Truce_Id__c") && api("AccountId"));
        assert!(!api("First Name") && !api("_x") && !api("Account.Name"));
        let label = |name: &str| Label::try_from(name.to_owned()).is_ok();
        assert!(label("contacts_2"));
        assert!(!label("Contacts") && !label("2nd") && !label(&"a".repeat(41)));
    }
}
