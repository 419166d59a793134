//! `[mapping.NAME]` as it stands in the file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policy::{
    ConflictWord, Convert, Delete, DeleteConflict, Direction, Fallback, Identity, Merge,
    PairingWord, Side, TooLong,
};
use super::shapes::{Constant, Names};
use crate::config::names::{ApiName, Label, SqlName};
use crate::config::values::{Seconds, Share, Whole};

/// A Campaign table and a CRM object whose records stand for the same.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Mapping")]
pub(in crate::config) struct MappingFile {
    /// The account of the CRM: the NAME of a `[crm.NAME]`.
    #[schemars(example = &"sales")]
    pub(in crate::config) crm: Label,
    /// Campaign's table.
    #[schemars(example = &"nmsrecipient")]
    pub(in crate::config) table: SqlName,
    /// The column that holds the table's key.
    #[schemars(example = &"irecipientid")]
    pub(in crate::config) key: SqlName,
    /// The function that gives new keys, called with how many. That of Campaign's own schema where
    /// it is not given.
    #[schemars(example = &"getnewrecipientids")]
    pub(in crate::config) id_function: Option<SqlName>,
    /// The CRM's object.
    #[schemars(example = &"Contact")]
    pub(in crate::config) object: ApiName,
    /// The field of the object that holds Campaign's key: text, marked as a unique external id. It
    /// is needed to create records in the CRM.
    #[schemars(example = &"Truce_Id__c")]
    pub(in crate::config) external_id: Option<ApiName>,
    /// The text field of the object that says which write of ours was the last. Without one, a
    /// write whose answer was lost takes longer to settle.
    #[schemars(example = &"Truce_Stamp__c")]
    pub(in crate::config) stamp: Option<ApiName>,
    /// The fields by which records that were never linked find each other, all of them together.
    /// Empty: by the external id only.
    #[serde(default)]
    pub(in crate::config) match_on: Vec<Label>,
    /// Which way values go, unless a field says otherwise.
    #[serde(default)]
    pub(in crate::config) direction: Direction,
    /// Who wins where both sides changed a field to different values, unless a field says
    /// otherwise.
    #[serde(default)]
    pub(in crate::config) conflict: ConflictWord,
    /// Who wins where `newest` cannot tell, and between two values under `fill_blank`. Both need it;
    /// `newest` often cannot tell, because a CRM keeps one time a record, in whole seconds.
    #[schemars(example = &"crm")]
    pub(in crate::config) fallback: Option<Fallback>,
    /// Who wins when two records with different values meet for the first time, unless a field says
    /// otherwise. Held by default, so that no value is lost by accident.
    #[serde(default)]
    pub(in crate::config) pairing: PairingWord,
    /// On which sides records may be created for those that stand on the other side only. None by
    /// default: a wrong `match_on` would double every record, and records of a CRM cost money.
    #[serde(default)]
    pub(in crate::config) create: Vec<Side>,
    /// What a deletion on one side does to the other. Held by default: a purge cannot be told from
    /// a person's deletion.
    #[serde(default)]
    pub(in crate::config) delete: Delete,
    /// What happens when one side deletes a record that the other side edits.
    #[serde(default)]
    pub(in crate::config) delete_conflict: DeleteConflict,
    /// What happens when the CRM merges two records.
    #[serde(default)]
    pub(in crate::config) merge: Merge,
    /// How PostgreSQL tells which row changed. `full` logs every old row whole; `truce check` prints
    /// its price.
    #[serde(default)]
    pub(in crate::config) identity: Identity,
    /// How long a record whose required parent is not linked yet waits before it is held.
    #[serde(default)]
    pub(in crate::config) reference_wait_seconds: Seconds<0, 3_600_000, 2_592_000_000>,
    /// When the mapping stops by itself.
    #[serde(default)]
    pub(in crate::config) brake: Brake,
    /// When a field is held because its value keeps changing back.
    #[serde(default)]
    pub(in crate::config) flap: Flap,
    /// What new records get besides their fields.
    #[serde(default)]
    pub(in crate::config) create_with: CreateWith,
    /// The fields, by a name of your own.
    pub(in crate::config) fields: BTreeMap<Label, FieldFile>,
}

/// The brake: a mapping is held when more records than either limit would be deleted or blanked
/// within the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Brake {
    /// How many records.
    pub records: Whole<1, 1_000, 100_000_000>,
    /// Which share of the mapping's linked records. Counts below 10 records never brake by share.
    pub share: Share<5>,
    /// How long the window is.
    pub window_seconds: Seconds<1_000, 3_600_000, 2_592_000_000>,
    /// How many fields of one record that turn blank at once look like a column that was hidden
    /// from us, and are held.
    pub blank_fields: Whole<2, 3, 1_000>,
}

/// Flapping: a field whose value goes back to an earlier one this often within the window is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Flap {
    /// How many returns to an earlier value.
    pub returns: Whole<2, 6, 200>,
    /// How long the window is.
    pub window_seconds: Seconds<1_000, 600_000, 2_592_000_000>,
}

/// Constant values of new records, for columns and fields that a mapping leaves out or has no value
/// for: a folder in Campaign, a record type or a required name in the CRM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CreateWith {
    /// By column, for records made in Campaign: `{ ifolderid = 1234 }`.
    pub campaign: BTreeMap<SqlName, Constant>,
    /// By field, for records made in the CRM: `{ LastName = "unknown" }`. A record type goes by its
    /// developer name: `{ RecordTypeId = "Customer" }`.
    pub crm: BTreeMap<ApiName, Constant>,
}

/// A value that both sides hold: the columns of Campaign, the fields of the CRM, and who wins.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Field")]
pub(in crate::config) struct FieldFile {
    /// Campaign's column; several only for consent, the one to be written by an opt-out first.
    #[schemars(example = &"semail")]
    pub(in crate::config) campaign: Names<SqlName>,
    /// The CRM's field; several only for consent.
    #[schemars(example = &"Email")]
    pub(in crate::config) crm: Names<ApiName>,
    /// Which way values go; that of the mapping where it is not given. A column or field is written by
    /// one mapping: where two share it, the other one only reads it. Consent goes both ways, and
    /// several mappings may write Campaign's columns of it.
    #[schemars(example = &"both")]
    pub(in crate::config) direction: Option<Direction>,
    /// Who wins where both sides changed it; that of the mapping where it is not given.
    #[schemars(example = &"crm")]
    pub(in crate::config) conflict: Option<ConflictWord>,
    /// Who wins where `newest` or `fill_blank` cannot tell; that of the mapping where it is not
    /// given.
    #[schemars(example = &"hold")]
    pub(in crate::config) fallback: Option<Fallback>,
    /// Who wins at the first meeting; that of the mapping where it is not given. Consent always
    /// takes what allows less.
    #[schemars(example = &"fill_blank")]
    pub(in crate::config) pairing: Option<PairingWord>,
    /// The mapping of the records that this field refers to.
    #[schemars(example = &"accounts")]
    pub(in crate::config) references: Option<Label>,
    /// Whether Campaign's 0 stands for no value. Its numbers are never null.
    #[serde(default)]
    pub(in crate::config) zero_is_null: bool,
    /// What happens to a text that the other side has no room for.
    #[serde(default)]
    pub(in crate::config) too_long: TooLong,
    /// How values are carried over.
    #[serde(default)]
    pub(in crate::config) convert: Convert,
    /// Whether no two records may hold the same value; what both schemas say where it is not given.
    #[schemars(example = false)]
    pub(in crate::config) unique: Option<bool>,
}
