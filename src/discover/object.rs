//! What a proposal is made from: an object of a CRM and a table of Campaign, as both were read.

use std::sync::Arc;

use crate::reconcile::mapping::{Column, Kind};

/// An object of a CRM, with what its user may do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its API name.
    pub name: Arc<str>,
    /// What people call one of its records.
    pub label: String,
    /// What they call several.
    pub plural: String,
    /// Whether an administrator made it.
    pub custom: bool,
    /// How many records it has, where that is known.
    pub count: Option<u64>,
    /// Its fields, in the order of their names.
    pub fields: Vec<Field>,
    /// The field that bears Campaign's key.
    pub external_id: Found,
    /// The field that bears the stamp.
    pub stamp: Found,
    /// Why none of its records may be made.
    pub no_create: Option<String>,
    /// Why none of its records may be changed.
    pub no_update: Option<String>,
}

/// What became of looking for a field of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is there, and fits.
    Fit(Arc<str>),
    /// It is there, and does not.
    Unfit(String),
    /// It is not there.
    Nothing,
}

/// A field of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// What it is.
    pub column: Column,
    /// What it is beside a text of Campaign's, where that is something else.
    pub beside_text: Kind,
    /// What people call it.
    pub label: String,
    /// Whether an administrator made it.
    pub custom: bool,
    /// The values of a list.
    pub choices: Vec<Choice>,
    /// Why it is nobody's value to keep in step.
    pub aside: Option<String>,
    /// Whether records can be asked for by it.
    pub filterable: bool,
}

/// A value of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Choice {
    /// What is stored.
    pub value: String,
    /// What people see.
    pub label: String,
    /// Whether it may still be chosen.
    pub active: bool,
}

/// A table of Campaign's that records could be kept in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: Arc<str>,
    /// The column of its key.
    pub key: Arc<str>,
    /// Its columns, the key among them.
    pub columns: Vec<Column>,
    /// The folder that new rows go into, where its rows live in folders.
    pub folder: Option<i64>,
}

/// An account of a CRM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name in the config.
    pub name: String,
    /// Which CRM it is of.
    pub crm: Crm,
}

/// Which CRM an account is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crm {
    /// Salesforce.
    Salesforce,
    /// Dynamics.
    Dynamics,
}

impl Crm {
    /// What Adobe's wizard begins the names of its schemas with.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Salesforce => "sfdc",
            Self::Dynamics => "mscrm",
        }
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Salesforce => "Salesforce",
            Self::Dynamics => "Dynamics",
        }
    }
}

impl Object {
    /// The field of this name; a CRM takes names in any letters.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.column.name.eq_ignore_ascii_case(name))
    }

    /// Its name without what only tells whose it is.
    pub fn bare(&self) -> &str {
        super::names::bare(&self.name, self.custom)
    }
}

impl Field {
    /// Its name without what only tells whose it is.
    pub fn bare(&self) -> &str {
        super::names::bare(&self.column.name, self.custom)
    }

    /// Whether it may be written at all.
    pub fn is_writable(&self) -> bool {
        self.column.updatable
    }
}

impl Table {
    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| &*column.name == name)
    }
}
