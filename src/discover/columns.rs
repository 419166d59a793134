//! The attribute of a schema that holds a field of a CRM.

use super::names;
use super::object::Field;
use super::schema::{Attribute, EnumValue, Enumeration, Type};
use crate::reconcile::mapping::{Column, Kind};
use crate::reconcile::shape::Case;

/// Longer texts are memos: Campaign's strings end here.
const STRING_MAX: usize = 255;

/// The type, and the length of a text, that hold every value of a field; `None` where none does.
pub(super) fn kind(field: &Field) -> Option<(Type, Option<u32>)> {
    let text = |max: Option<usize>| match max.filter(|max| *max <= STRING_MAX) {
        Some(max) => (Type::String, u32::try_from(max).ok()),
        None => (Type::Memo, None),
    };
    match &field.column.kind {
        Kind::Bool => Some((Type::Boolean, None)),
        Kind::Int { min, max } => {
            let within = |least: i64, most: i64| least <= *min && *max <= most;
            let (short, long) = (i64::from(i16::MAX), i64::from(i32::MAX));
            if within(-short, short) {
                Some((Type::Short, None))
            } else if within(-long - 1, long) {
                Some((Type::Long, None))
            } else {
                Some((Type::Int64, None))
            }
        }
        Kind::Decimal { .. } => Some((Type::Double, None)),
        Kind::Text { max, .. } | Kind::Set { max, .. } => Some(text(*max)),
        Kind::Date => Some((Type::Date, None)),
        Kind::Time => Some((Type::Time, None)),
        Kind::Instant => Some((Type::DateTime, None)),
        Kind::Uuid | Kind::Reference(_) => Some((Type::String, Some(UUID_CHARS))),
        Kind::Other => None,
    }
}

/// An id of either CRM.
const UUID_CHARS: u32 = 36;

/// The attribute that keeps a field of the CRM in step; `None` where no column can.
pub(super) fn attribute(field: &Field, name: &str) -> Option<Attribute> {
    if matches!(field.column.kind, Kind::Uuid | Kind::Reference(_)) {
        return None;
    }
    let (kind, length) = kind(field)?;
    let is_number = matches!(field.column.kind, Kind::Int { .. } | Kind::Decimal { .. });
    Some(Attribute {
        length,
        label: Some(field.label.clone()),
        // A number that may be missing there may be null here: 0 stays a number of its own.
        not_null: (is_number && field.column.nullable).then_some(false),
        ..Attribute::new(name, kind)
    })
}

/// The column of an attribute, as the catalog will describe it.
pub(super) fn column(attribute: &Attribute) -> Column {
    let whole = |min: i64, max: i64| Kind::Int { min, max };
    let kind = match attribute.kind {
        Type::String => {
            let max = attribute.length.map_or(STRING_MAX, |length| length as usize);
            Kind::Text { max: Some(max), case: Case::Kept, only: None }
        }
        Type::Memo | Type::Html => Kind::Text { max: None, case: Case::Kept, only: None },
        Type::Boolean | Type::Byte | Type::Short => whole(i16::MIN.into(), i16::MAX.into()),
        Type::Long => whole(i32::MIN.into(), i32::MAX.into()),
        Type::Int64 => whole(i64::MIN, i64::MAX),
        Type::Float | Type::Double | Type::Percent | Type::Timespan => {
            Kind::Decimal { whole: 15, scale: 6 }
        }
        Type::Date => Kind::Date,
        Type::Time => Kind::Time,
        Type::DateTime | Type::DateTimeTz | Type::DateTimeNoTz => Kind::Instant,
        Type::Blob => Kind::Other,
    };
    Column {
        name: attribute.column_name().to_lowercase().into(),
        type_name: attribute.kind.sql(attribute.length).into(),
        kind,
        nullable: !attribute.is_never_null(),
        required: false,
        unique: false,
        creatable: true,
        updatable: true,
    }
}

/// A list of values as a schema has it; none where a field is no list.
pub(super) fn enumeration(field: &Field, name: &str, label: &str) -> Option<Enumeration> {
    if field.choices.is_empty() {
        return None;
    }
    let is_number = matches!(field.column.kind, Kind::Int { .. });
    let basetype = if is_number { Type::Long } else { Type::String };
    let mut taken = std::collections::BTreeSet::new();
    let values = field.choices.iter().map(|choice| {
        let named = if basetype == Type::Long { &choice.label } else { &choice.value };
        let shown = if choice.active {
            choice.label.clone()
        } else {
            format!("{} (inactive)", choice.label)
        };
        EnumValue {
            name: names::distinct(&names::identifier(named), &mut taken),
            value: Some(choice.value.clone()),
            more: vec![("label".to_owned(), shown)],
        }
    });
    Some(Enumeration {
        name: name.to_owned(),
        basetype,
        more: vec![("label".to_owned(), label.to_owned())],
        values: values.collect(),
    })
}
