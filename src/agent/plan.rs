//! What the loops need to know of each mapping.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
    /// How long a change of Campaign's that is not consent waits for company.
    pub linger: Linger,
    /// How often all records of the CRM's object are counted, if ever.
    pub census: Option<Duration>,
    /// How long the tombstone of a deleted record is kept, with its consent.
    pub tombstone_keep: Duration,
    /// The names of its fields, for people.
    pub field_names: BTreeMap<Field, Arc<str>>,
    /// Whether records may be created now.
    pub creates: Gate,
    /// Whether deletions may go over now.
    pub deletes: Gate,
}

/// How long writes to a CRM wait for company: nothing while its day's calls are ample. Shared by
/// the mappings of an account, and moved as its calls are used.
#[derive(Clone, Debug, Default)]
pub struct Linger(Arc<AtomicU64>);

impl Linger {
    /// Below this share of the day's calls writes begin to wait.
    const AMPLE: f64 = 0.5;

    /// How long, now.
    pub fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    /// Moves it: nothing while half of the day's calls are left, `longest` where none is.
    pub fn set(&self, share_left: f64, longest: Duration) {
        let short = ((Self::AMPLE - share_left) / Self::AMPLE).clamp(0.0, 1.0);
        let millis = longest.mul_f64(short).as_millis();
        self.0.store(u64::try_from(millis).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
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
            | Shape::Set { .. }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_wait_the_longer_the_fewer_calls_are_left() {
        let linger = Linger::default();
        let longest = Duration::from_secs(30);
        let at = |share| {
            linger.set(share, longest);
            linger.get()
        };
        assert_eq!([at(1.0), at(0.5)], [Duration::ZERO; 2]);
        assert_eq!(at(0.25), Duration::from_secs(15));
        assert_eq!(at(0.0), longest);
    }
}
