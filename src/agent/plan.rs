//! What the loops need to know of each mapping.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::reconcile::brake::BrakeRule;
use crate::reconcile::decide::Gate;
use crate::reconcile::{Entity, Field, Policy, Shape};

/// A mapping, as the loops see it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name in the config.
    pub name: Arc<str>,
    /// Which CRM account.
    pub account: usize,
    /// Its rules.
    pub policy: Policy,
    /// When deletions are too many.
    pub brake: BrakeRule,
    /// How long a change that is not consent waits for company.
    pub linger: Duration,
    /// The names of its fields, for people.
    pub field_names: BTreeMap<Field, Arc<str>>,
    /// Whether records may be created now.
    pub creates: Gate,
    /// Whether deletions may go over now.
    pub deletes: Gate,
}

impl Plan {
    /// The entity that a field refers to, where it does.
    pub fn refers_to(&self, field: Field) -> Option<Entity> {
        match self.policy.fields.get(&field)?.shape {
            Shape::Reference(entity) => Some(entity),
            Shape::Bool
            | Shape::Int { .. }
            | Shape::Decimal { .. }
            | Shape::Text(_)
            | Shape::Date
            | Shape::Time
            | Shape::Instant
            | Shape::Uuid
            | Shape::Set
            | Shape::Consent => None,
        }
    }

    /// A field's name, for people.
    pub fn field_name(&self, field: Field) -> Arc<str> {
        self.field_names.get(&field).map_or_else(|| field.0.to_string().into(), Arc::clone)
    }
}

/// All mappings of one CRM account, by entity.
pub type Plans = BTreeMap<Entity, Plan>;
