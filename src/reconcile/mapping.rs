//! Which columns of the two sides stand for one field, and what both can hold of it.
//!
//! Each side describes its columns in the same words; the narrower of the two becomes the field's
//! [`Shape`]. A [`SideMapping`] is what one side needs to know to read and write an entity.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::reconcile::shape::{Case, Text, TooLong};
use crate::reconcile::{Direction, Entity, Field, Shape, Side};

/// A column (Campaign) or field (CRM) as its side's live schema describes it.
#[expect(clippy::struct_excessive_bools, reason = "each is a plain fact of the schema")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name there.
    pub name: Arc<str>,
    /// Its type, for messages: `character varying(80)`, `picklist`.
    pub type_name: Arc<str>,
    /// What it can hold.
    pub kind: Kind,
    /// Whether it may hold no value.
    pub nullable: bool,
    /// Whether a new record cannot exist without a value from us.
    pub required: bool,
    /// Whether no two records may hold the same value.
    pub unique: bool,
    /// Whether a new record may be given a value.
    pub creatable: bool,
    /// Whether an existing record may be given one.
    pub updatable: bool,
}

/// What a column can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A flag.
    Bool,
    /// A whole number.
    Int {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// A number with digits behind the point.
    Decimal {
        /// Digits before the point.
        whole: u8,
        /// Digits behind it.
        scale: u8,
    },
    /// Text.
    Text {
        /// The most characters, where there is a limit.
        max: Option<usize>,
        /// Whether the side keeps letters' case.
        case: Case,
        /// The only values it takes, where it takes no others.
        only: Option<Arc<[Arc<str>]>>,
    },
    /// A calendar date.
    Date,
    /// A time of day.
    Time,
    /// A point in time.
    Instant,
    /// A 128-bit identifier.
    Uuid,
    /// A set of names.
    Set {
        /// How long it may be as text, where there is a limit.
        max: Option<usize>,
        /// The only names it takes, where it takes no others.
        only: Option<Arc<[Arc<str>]>>,
    },
    /// A key of another record; of these CRM objects, where the side says so.
    Reference(Vec<Arc<str>>),
    /// Something that cannot be kept in step (a formula, a compound, a file).
    Other,
}

/// What the config says of a field beside its columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldOptions {
    /// The entity that it refers to.
    pub references: Option<Entity>,
    /// Whether several columns say one thing of consent.
    pub consent: bool,
    /// Whether Campaign's 0 is no value.
    pub zero_is_null: bool,
    /// What becomes of text that is too long for the narrower side.
    pub too_long: TooLong,
    /// Where changes may go.
    pub direction: Direction,
}

/// What one side needs to know to read and write an entity's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideMapping {
    /// The entity.
    pub entity: Entity,
    /// The mapping's name in the config.
    pub name: Arc<str>,
    /// The table or object.
    pub table: Arc<str>,
    /// The key column (Campaign) or `Id`.
    pub key: Arc<str>,
    /// CRM: the field that bears `instance:key`.
    pub external_id: Option<Arc<str>>,
    /// CRM: the field that bears our stamp.
    pub stamp: Option<Arc<str>>,
    /// The mapped fields, in the order of their numbers.
    pub fields: Vec<SideField>,
    /// By which fields records are matched, besides the external id.
    pub match_on: Vec<Field>,
    /// CRM: the field that says into which record of another mapping a lead was converted.
    pub converts: Option<(Arc<str>, Entity)>,
    /// Constants for new records, by column, in the side's own text.
    pub defaults: BTreeMap<Arc<str>, String>,
}

/// A field as one side reads and writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideField {
    /// The field.
    pub field: Field,
    /// Its name in the config.
    pub name: Arc<str>,
    /// Its columns on this side; more than one only for consent, where the first is written.
    pub columns: Vec<Column>,
    /// Its canonical form.
    pub shape: Shape,
    /// Whether this side's 0 is no value (Campaign's numbers are never null).
    pub zero_is_null: bool,
    /// Whether this side may be written.
    pub writable: bool,
}

impl SideMapping {
    /// The field of this number.
    pub fn field(&self, field: Field) -> Option<&SideField> {
        self.fields.iter().find(|mapped| mapped.field == field)
    }
}

/// The canonical form of a field: the narrower of what the two sides can hold.
///
/// The error says in words what does not fit, without the config's names: the caller adds them.
pub fn narrower(
    campaign: &[Column],
    crm: &[Column],
    options: &FieldOptions,
) -> Result<Shape, String> {
    let (Some(ours), Some(theirs)) = (campaign.first(), crm.first()) else {
        return Err("has no column on one of the sides".to_owned());
    };
    writable(campaign, Side::Campaign, options)?;
    writable(crm, Side::Crm, options)?;
    if options.consent {
        return consent(campaign, crm);
    }
    if let Some(entity) = options.references {
        return match (&ours.kind, &theirs.kind) {
            (Kind::Int { .. } | Kind::Text { .. } | Kind::Uuid, Kind::Reference(_)) => {
                Ok(Shape::Reference(entity))
            }
            _ => Err(mismatch(ours, theirs, "a key that refers to a lookup")),
        };
    }
    match (&ours.kind, &theirs.kind) {
        (Kind::Text { max: a, case: ca, only }, Kind::Text { max: b, case: cb, .. }) => {
            let lower = *ca == Case::Lower || *cb == Case::Lower;
            Ok(Shape::Text(Text {
                max: length(*a, *b),
                case: if lower { Case::Lower } else { Case::Kept },
                too_long: options.too_long,
                only: only.clone(),
            }))
        }
        (Kind::Bool | Kind::Int { .. }, Kind::Bool) | (Kind::Bool, Kind::Int { .. }) => {
            Ok(Shape::Bool)
        }
        (Kind::Int { min: a, max: b }, Kind::Int { min: c, max: d }) => {
            Ok(Shape::Int { min: *a.max(c), max: *b.min(d) })
        }
        (Kind::Int { min, max }, Kind::Decimal { whole, .. })
        | (Kind::Decimal { whole, .. }, Kind::Int { min, max }) => {
            let bound = 10_i64.checked_pow(u32::from(*whole)).map_or(i64::MAX, |n| n - 1);
            Ok(Shape::Int { min: *min.max(&-bound), max: *max.min(&bound) })
        }
        (Kind::Decimal { whole: a, scale: b }, Kind::Decimal { whole: c, scale: d }) => {
            Ok(Shape::Decimal { whole: *a.min(c), scale: *b.min(d) })
        }
        (Kind::Date, Kind::Date) => Ok(Shape::Date),
        (Kind::Time, Kind::Time) => Ok(Shape::Time),
        (Kind::Instant, Kind::Instant) => Ok(Shape::Instant),
        (Kind::Uuid, Kind::Uuid) => Ok(Shape::Uuid),
        (Kind::Set { max: a, .. } | Kind::Text { max: a, .. }, Kind::Set { max: b, .. }) => {
            Ok(Shape::Set { max: length(*a, *b) })
        }
        _ => Err(mismatch(ours, theirs, "of one kind")),
    }
}

/// PostgreSQL's `text` and Salesforce's long text areas end here; more is refused, not cut.
const TEXT_MAX: usize = 131_072;

fn length(a: Option<usize>, b: Option<usize>) -> usize {
    match (a, b) {
        (Some(a), Some(b)) => a.min(b),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => TEXT_MAX,
    }
}

fn consent(campaign: &[Column], crm: &[Column]) -> Result<Shape, String> {
    let flag = |column: &&Column| !matches!(column.kind, Kind::Bool | Kind::Int { .. });
    match campaign.iter().chain(crm).find(flag) {
        Some(odd) => Err(format!("takes flags, and `{}` is {}", odd.name, odd.type_name)),
        None => Ok(Shape::Consent),
    }
}

fn writable(columns: &[Column], side: Side, options: &FieldOptions) -> Result<(), String> {
    let Some(first) = columns.first() else { return Ok(()) };
    if !options.direction.allows(side) || first.updatable {
        return Ok(());
    }
    let way = match side {
        Side::Campaign => "to_crm",
        Side::Crm => "to_campaign",
    };
    Err(format!("`{}` cannot be written; set direction = \"{way}\"", first.name))
}

fn mismatch(ours: &Column, theirs: &Column, wanted: &str) -> String {
    format!(
        "`{}` ({}) and `{}` ({}) are not {wanted}",
        ours.name, ours.type_name, theirs.name, theirs.type_name
    )
}
