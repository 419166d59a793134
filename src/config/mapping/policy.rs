//! The choices a mapping makes, by the words that the file has for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of the two sides.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Campaign's database.
    Campaign,
    /// The CRM.
    Crm,
}

/// Who wins where both sides changed a field to different values, as written in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum ConflictWord {
    /// Campaign's value.
    Campaign,
    /// The CRM's value.
    Crm,
    /// The later value; `fallback` where the times cannot tell.
    Newest,
    /// The side that has a value, where the other is blank; `fallback` between two values.
    FillBlank,
    /// The value that allows less. For consent only, and the only one that takes several columns.
    MostRestrictive,
    /// Neither; a person decides.
    #[default]
    Hold,
}

/// Who wins where `newest` or `fill_blank` cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// Campaign's value.
    Campaign,
    /// The CRM's value.
    Crm,
    /// Neither; a person decides.
    Hold,
}

/// Who wins where both sides changed a field to different values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Campaign's value.
    Campaign,
    /// The CRM's value.
    Crm,
    /// The later value.
    Newest {
        /// Who wins where the times cannot tell.
        fallback: Fallback,
    },
    /// The side that has a value, where the other is blank.
    FillBlank {
        /// Whose value stands between two.
        otherwise: Side,
    },
    /// The value that allows less.
    MostRestrictive,
    /// Neither; a person decides.
    Hold,
}

/// Who wins when two records with different values meet for the first time, as written in the
/// file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum PairingWord {
    /// Campaign's value.
    Campaign,
    /// The CRM's value.
    Crm,
    /// The later value; `fallback` where the times cannot tell.
    Newest,
    /// The side that has a value, where the other is blank; `fallback` between two values.
    FillBlank,
    /// Neither; a person decides.
    #[default]
    Hold,
}

/// Who wins when two records with different values meet for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// Campaign's value.
    Campaign,
    /// The CRM's value.
    Crm,
    /// The later value.
    Newest {
        /// Who wins where the times cannot tell.
        fallback: Fallback,
    },
    /// The side that has a value, where the other is blank; `fallback` between two values.
    FillBlank {
        /// Whose value stands between two.
        otherwise: Side,
    },
    /// The value that allows less; always so for a field whose conflicts end that way.
    MostRestrictive,
    /// Neither; a person decides.
    Hold,
}

/// How a policy may come to a tie, and so what it needs a fallback for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Tie {
    /// It always decides.
    Never,
    /// Two times that cannot be ordered.
    Times,
    /// Two values, and none is blank.
    Values,
}

impl ConflictWord {
    pub(in crate::config) const fn tie(self) -> Tie {
        match self {
            Self::Newest => Tie::Times,
            Self::FillBlank => Tie::Values,
            Self::Campaign | Self::Crm | Self::MostRestrictive | Self::Hold => Tie::Never,
        }
    }
}

impl PairingWord {
    pub(in crate::config) const fn tie(self) -> Tie {
        match self {
            Self::Newest => Tie::Times,
            Self::FillBlank => Tie::Values,
            Self::Campaign | Self::Crm | Self::Hold => Tie::Never,
        }
    }
}

/// Which ways a value may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
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
    /// Whether values may be written on this side.
    pub const fn writes(self, side: Side) -> bool {
        match (self, side) {
            (Self::Both, Side::Campaign | Side::Crm)
            | (Self::ToCrm, Side::Crm)
            | (Self::ToCampaign, Side::Campaign) => true,
            (Self::ToCrm, Side::Campaign) | (Self::ToCampaign, Side::Crm) => false,
        }
    }
}

/// What a deletion on one side does to the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delete {
    /// The other record is deleted too.
    Propagate,
    /// The other record is left alone, and no longer linked.
    Keep,
    /// A person decides.
    #[default]
    Hold,
}

/// What happens when one side deletes a record that the other side edits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeleteConflict {
    /// The deletion stands.
    DeleteWins,
    /// The edit stands, and the record is made again.
    UpdateWins,
    /// A person decides.
    #[default]
    Hold,
}

/// What happens to the Campaign record of a CRM record that was merged into another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Merge {
    /// It becomes an alias of the survivor's: edits move over once, consent reaches both.
    #[default]
    Relink,
    /// A person decides.
    Hold,
}

/// How PostgreSQL tells which row a change was made to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// By the key's unique index.
    #[default]
    Index,
    /// By the whole old row.
    Full,
}

/// What happens to a text that the other side has no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TooLong {
    /// The field is held.
    #[default]
    Reject,
    /// It is cut to what fits.
    Cut,
}

/// How a value is carried over, by the names of Adobe's connector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Convert {
    /// By the types of both sides, with time zones.
    #[default]
    Default,
    /// The time of day is dropped.
    DateOnly,
    /// A time is carried over as it reads, without a shift between time zones.
    WithoutOffset,
    /// The text as it is.
    Copy,
}
