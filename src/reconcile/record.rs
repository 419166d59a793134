//! The words that both systems are translated into: sides, entities, fields, records.

use std::collections::BTreeMap;
use std::fmt;
use std::ops;
use std::sync::Arc;

use crate::reconcile::Value;

/// One of the two systems that we keep in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Adobe Campaign's database.
    Campaign,
    /// Salesforce or Dynamics 365.
    Crm,
}

impl Side {
    /// Both sides, for loops that treat them alike.
    pub const BOTH: [Self; 2] = [Self::Campaign, Self::Crm];

    /// The side across from this one.
    pub fn other(self) -> Self {
        match self {
            Self::Campaign => Self::Crm,
            Self::Crm => Self::Campaign,
        }
    }

    /// The side's name in configs, logs, metrics and the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Campaign => "campaign",
            Self::Crm => "crm",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One `T` for each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides<T> {
    /// Campaign's.
    pub campaign: T,
    /// The CRM's.
    pub crm: T,
}

impl<T> Sides<T> {
    /// Makes one of each from a rule.
    pub fn of(mut make: impl FnMut(Side) -> T) -> Self {
        Self { campaign: make(Side::Campaign), crm: make(Side::Crm) }
    }
}

impl<T> ops::Index<Side> for Sides<T> {
    type Output = T;

    fn index(&self, side: Side) -> &T {
        match side {
            Side::Campaign => &self.campaign,
            Side::Crm => &self.crm,
        }
    }
}

impl<T> ops::IndexMut<Side> for Sides<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Campaign => &mut self.campaign,
            Side::Crm => &mut self.crm,
        }
    }
}

/// A mapping (a Campaign table with a CRM object), by the number that the ledger's catalog gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entity(pub u16);

/// A mapped field, the same on both sides, by the number that the ledger's catalog gave it.
///
/// A number and not a name, because a ledger of ten million links names each field in each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field(pub u16);

/// A link's own number, never used twice in one ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A record's own key on its side: Campaign's key as text, the CRM's record id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub Arc<str>);

impl From<&str> for RecordId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl From<String> for RecordId {
    fn from(id: String) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A record's mapped fields. A field that is not in it is *unknown*, which is not null.
pub type Row = BTreeMap<Field, Value>;
