//! The file's words in the words of the core.

use super::Field;
use super::file::{Brake, Flap};
use super::policy::{
    Conflict, Delete, DeleteConflict, Direction, Fallback, Pairing, Side, TooLong,
};
use crate::config::Label;
use crate::reconcile::Entity;
use crate::reconcile::brake::BrakeRule;
use crate::reconcile::mapping::FieldOptions;
use crate::reconcile::policy::{self as core, Rule};
use crate::reconcile::shape;

impl Field {
    /// What the core asks of a field beside its columns; `entity` numbers the mappings.
    pub fn options(&self, entity: impl Fn(&Label) -> Entity) -> FieldOptions {
        FieldOptions {
            references: self.references.as_ref().map(entity),
            consent: self.is_consent(),
            zero_is_null: self.zero_is_null,
            too_long: self.too_long.into(),
            direction: self.direction.into(),
        }
    }
}

impl From<Side> for crate::reconcile::Side {
    fn from(side: Side) -> Self {
        match side {
            Side::Campaign => Self::Campaign,
            Side::Crm => Self::Crm,
        }
    }
}

impl From<Direction> for core::Direction {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Both => Self::Both,
            Direction::ToCrm => Self::ToCrm,
            Direction::ToCampaign => Self::ToCampaign,
        }
    }
}

impl From<Fallback> for core::Fallback {
    fn from(fallback: Fallback) -> Self {
        match fallback {
            Fallback::Campaign => Self::Prefer(crate::reconcile::Side::Campaign),
            Fallback::Crm => Self::Prefer(crate::reconcile::Side::Crm),
            Fallback::Hold => Self::Hold,
        }
    }
}

impl From<Conflict> for Rule {
    fn from(conflict: Conflict) -> Self {
        match conflict {
            Conflict::Campaign => Self::Prefer(crate::reconcile::Side::Campaign),
            Conflict::Crm => Self::Prefer(crate::reconcile::Side::Crm),
            Conflict::Newest { fallback } => Self::Newest(fallback.into()),
            Conflict::FillBlank { otherwise } => Self::FillBlank(otherwise.into()),
            Conflict::MostRestrictive => Self::MostRestrictive,
            Conflict::Hold => Self::Hold,
        }
    }
}

impl From<Pairing> for Rule {
    fn from(pairing: Pairing) -> Self {
        match pairing {
            Pairing::Campaign => Self::Prefer(crate::reconcile::Side::Campaign),
            Pairing::Crm => Self::Prefer(crate::reconcile::Side::Crm),
            Pairing::Newest { fallback } => Self::Newest(fallback.into()),
            Pairing::FillBlank { otherwise } => Self::FillBlank(otherwise.into()),
            Pairing::MostRestrictive => Self::MostRestrictive,
            Pairing::Hold => Self::Hold,
        }
    }
}

impl From<Delete> for core::DeletePolicy {
    fn from(delete: Delete) -> Self {
        match delete {
            Delete::Propagate => Self::Propagate,
            Delete::Keep => Self::Keep,
            Delete::Hold => Self::Hold,
        }
    }
}

impl From<DeleteConflict> for core::DeleteConflict {
    fn from(conflict: DeleteConflict) -> Self {
        match conflict {
            DeleteConflict::DeleteWins => Self::DeleteWins,
            DeleteConflict::UpdateWins => Self::UpdateWins,
            DeleteConflict::Hold => Self::Hold,
        }
    }
}

impl From<TooLong> for shape::TooLong {
    fn from(too_long: TooLong) -> Self {
        match too_long {
            TooLong::Reject => Self::Reject,
            TooLong::Cut => Self::Cut,
        }
    }
}

impl From<Flap> for core::Flap {
    fn from(flap: Flap) -> Self {
        let returns = u8::try_from(flap.returns.get()).expect("the limit is 200");
        Self { returns, window: flap.window_seconds.get() }
    }
}

impl From<Brake> for BrakeRule {
    fn from(brake: Brake) -> Self {
        Self {
            records: u64::from(brake.records.get()),
            share: brake.share.get(),
            window: brake.window_seconds.get(),
        }
    }
}
