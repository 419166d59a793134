//! `[mapping.NAME]`: which records and fields stand for the same, and who wins.
//!
//! The file may leave a choice to the mapping, or to its default; here every field has its own. What
//! does not go together has been refused (`rules`), so that a policy can be taken as it is.

mod core;
pub(super) mod file;
pub(super) mod policy;
pub(super) mod shapes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use file::{Brake, CreateWith, Flap};
pub use policy::{
    Conflict, Convert, Delete, DeleteConflict, Direction, Fallback, Identity, Merge, Pairing, Side,
    TooLong,
};
pub use shapes::{Constant, Names};

use super::names::{ApiName, Label, SqlName};

/// A Campaign table and a CRM object whose records stand for the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// The account of the CRM; it exists.
    pub crm: Label,
    /// Campaign's table.
    pub table: SqlName,
    /// The column that holds the table's key.
    pub key: SqlName,
    /// The function that gives new keys, where it is not that of Campaign's schema.
    pub id_function: Option<SqlName>,
    /// The CRM's object.
    pub object: ApiName,
    /// The field that holds Campaign's key; it is there where records are created in the CRM.
    pub external_id: Option<ApiName>,
    /// The field that says which write of ours was the last.
    pub stamp: Option<ApiName>,
    /// The fields by which records find each other; each is one column and one field.
    pub match_on: Vec<Label>,
    /// On which sides records may be created.
    pub create: BTreeSet<Side>,
    /// What a deletion does to the other side.
    pub delete: Delete,
    /// Deletion against edit.
    pub delete_conflict: DeleteConflict,
    /// What happens when the CRM merges two records.
    pub merge: Merge,
    /// How PostgreSQL tells which row changed.
    pub identity: Identity,
    /// How long a record waits for its required parent.
    pub reference_wait: Duration,
    /// When the mapping stops by itself.
    pub brake: Brake,
    /// When a field is held because its value keeps changing back.
    pub flap: Flap,
    /// What new records get besides their fields.
    pub create_with: CreateWith,
    /// The fields, by their name in the file.
    pub fields: BTreeMap<Label, Field>,
}

/// A value that both sides hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Campaign's columns: one, or those of a consent, the one that an opt-out writes first.
    pub campaign: Names<SqlName>,
    /// The CRM's fields: one, or those of a consent, the one that an opt-out writes first.
    pub crm: Names<ApiName>,
    /// Which way values go.
    pub direction: Direction,
    /// Who wins where both sides changed it.
    pub conflict: Conflict,
    /// Who wins at the first meeting.
    pub pairing: Pairing,
    /// The mapping of the records that this field refers to.
    pub references: Option<Label>,
    /// Whether Campaign's 0 stands for no value.
    pub zero_is_null: bool,
    /// What happens to a text that the other side has no room for.
    pub too_long: TooLong,
    /// How values are carried over.
    pub convert: Convert,
    /// Whether no two records may hold the same value, where the file knows better than the
    /// schemas.
    pub unique: Option<bool>,
}

impl Field {
    /// Whether this is consent.
    pub fn is_consent(&self) -> bool {
        self.conflict == Conflict::MostRestrictive
    }
}
