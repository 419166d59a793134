//! Who wins when a merge cannot tell, and what may be done at all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::reconcile::{Entity, Field, Shape, Side, Sides};

/// An entity's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The mapping.
    pub entity: Entity,
    /// The mapped fields, each with its rule.
    pub fields: BTreeMap<Field, FieldRule>,
    /// On which sides records may be created.
    pub create: BTreeSet<Side>,
    /// What a deletion on one side does to the other.
    pub delete: DeletePolicy,
    /// When one side deleted the record and the other changed it.
    pub delete_conflict: DeleteConflict,
    /// By which fields two records are known to stand for the same thing, besides the external id.
    pub match_on: Vec<Field>,
    /// Whether CRM records have a field that bears our stamp.
    pub stamped: bool,
    /// After this long an unanswered CRM write can no longer land (Salesforce: 10 minutes).
    pub write_limit: Duration,
    /// A CRM row may become visible this long after its time stamp.
    pub late_commit: Duration,
    /// How long a record that cannot exist without a missing parent waits before it is held.
    pub wait_limit: Duration,
    /// A field that returns to an earlier value this often within the window is held.
    pub flap: Flap,
    /// This many mapped fields or more turning null at once look like a secured column.
    pub blank_fields: usize,
}

/// When a field is taken to be flapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flap {
    /// How many returns.
    pub returns: u8,
    /// Within how long.
    pub window: Duration,
}

/// How one field is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRule {
    /// What its values look like on both sides.
    pub shape: Shape,
    /// Where changes of it may go.
    pub direction: Direction,
    /// How a conflict ends: both sides left the base for different values.
    pub conflict: Rule,
    /// How the first meeting of two values ends, when there is no base.
    pub pairing: Rule,
    /// Whether a record cannot exist without a value here, on each side.
    pub required: Sides<bool>,
    /// Whether no two records may hold the same value, on each side.
    pub unique: Sides<bool>,
}

/// Where changes of a field may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    #[default]
    Both,
    /// From Campaign to the CRM only.
    ToCrm,
    /// From the CRM to Campaign only.
    ToCampaign,
}

impl Direction {
    /// Whether a value may be written to this side.
    pub fn allows(self, to: Side) -> bool {
        match self {
            Self::Both => true,
            Self::ToCrm => to == Side::Crm,
            Self::ToCampaign => to == Side::Campaign,
        }
    }
}

/// How a field's conflict ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// This side's value stands.
    Prefer(Side),
    /// The later change stands; where time does not tell, the fallback decides.
    Newest(Fallback),
    /// A value stands against no value; between two values, this side's.
    FillBlank(Side),
    /// Consent: out stands against in, whatever the times.
    MostRestrictive,
    /// Neither is written; a person decides.
    #[default]
    Hold,
}

/// What decides where time does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// This side's value stands.
    Prefer(Side),
    /// A value stands against no value; between two values, this side's.
    FillBlank(Side),
    /// A person decides.
    Hold,
}

/// What a deletion on one side does to the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletePolicy {
    /// The other record is deleted too.
    Propagate,
    /// The other record is left alone, and is no longer kept in step.
    Keep,
    /// A person decides: in the log, a purge cannot be told from a deletion.
    #[default]
    Hold,
}

/// What follows when one side deleted the record and the other changed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeleteConflict {
    /// The record that was changed is deleted.
    DeleteWins,
    /// The record that was deleted is made again.
    UpdateWins,
    /// A person decides.
    #[default]
    Hold,
}
