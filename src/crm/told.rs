//! What a CRM tells people of its objects and fields: labels, lists of values, and what is nobody's
//! value to keep in step. Asked for by who sets up a mapping, and never by who carries one out.

use std::collections::BTreeMap;
use std::sync::Arc;

/// An object in the list of all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its API name.
    pub name: Arc<str>,
    /// What people call one of its records.
    pub label: String,
    /// What they call several.
    pub plural: String,
    /// Whether an administrator made it.
    pub custom: bool,
}

/// What is told of an object's fields, by their names.
pub type Told = BTreeMap<Arc<str>, ToldField>;

/// What is told of a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToldField {
    /// What people call it.
    pub label: String,
    /// Whether an administrator made it.
    pub custom: bool,
    /// The values of a list.
    pub choices: Vec<ToldChoice>,
    /// Why it is nobody's value to keep in step.
    pub aside: Option<String>,
}

/// A value of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldChoice {
    /// What is stored.
    pub value: String,
    /// What people see.
    pub label: String,
    /// Whether it may still be chosen.
    pub active: bool,
}
