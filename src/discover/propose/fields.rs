//! Which column stands for which field: by what is known, by names, by labels; and only where both can
//! hold the other's values.

use std::collections::BTreeSet;
use std::fmt;

use super::pairs;
use super::table::is_campaigns;
use crate::discover::names::plain;
use crate::discover::object::{Field, Object, Table};
use crate::reconcile::mapping::{Column, FieldOptions, Kind, narrower};
use crate::reconcile::{Direction, Entity};

/// How sure a proposal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// One would have to look twice: it is only mentioned.
    Possible,
    /// It is right more often than not.
    Likely,
    /// It is right unless names lie.
    Certain,
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Certain => "certain",
        })
    }
}

/// A column for a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) field: usize,
    pub(super) column: Column,
    pub(super) confidence: Confidence,
    pub(super) why: String,
}

/// Columns for these fields of an object; each is used once, by the field that is most like it.
pub(super) fn matches(
    object: &Object,
    wanted: &BTreeSet<usize>,
    table: &Table,
    used: &BTreeSet<String>,
) -> Vec<Match> {
    let free = |column: &&Column| {
        !used.contains(&*column.name) && !is_campaigns(&column.name, table) && column.updatable
    };
    let mut all = Vec::new();
    for (number, field) in object.fields.iter().enumerate().filter(|(at, _)| wanted.contains(at)) {
        for column in table.columns.iter().filter(free) {
            let known = &*table.name == pairs::RECIPIENTS
                && pairs::recipient(&plain(&field.column.name)) == Some(&*column.name);
            let known = known.then(|| {
                let lack = lack(field, column).map(|lack| format!("; {lack}")).unwrap_or_default();
                (Confidence::Certain, format!("a known pair{lack}"))
            });
            let alike = known.or_else(|| likeness(field, column));
            let Some((confidence, why)) = alike else { continue };
            if fits(field, column, Direction::Both).is_ok() {
                let column = column.clone();
                all.push(Match { field: number, column, confidence, why });
            }
        }
    }
    all.sort_by(|a, b| b.confidence.cmp(&a.confidence).then(a.field.cmp(&b.field)));
    let (mut fields, mut columns) = (BTreeSet::new(), BTreeSet::new());
    all.retain(|one| {
        let free = !fields.contains(&one.field) && !columns.contains(&*one.column.name);
        if free {
            fields.insert(one.field);
            columns.insert(one.column.name.to_string());
        }
        free
    });
    all.sort_by_key(|one| one.field);
    all
}

/// Whether a column can stand for a field; the words say why not.
pub(super) fn fits(field: &Field, column: &Column, direction: Direction) -> Result<(), String> {
    let theirs = beside(field, column);
    // Which one it is does not matter to the types.
    let references = matches!(theirs.kind, Kind::Reference(_)).then_some(Entity(0));
    let options = FieldOptions { references, direction, ..FieldOptions::default() };
    narrower(std::slice::from_ref(column), &[theirs], &options).map(|_| ())
}

/// The field as it is beside this column.
pub(super) fn beside(field: &Field, column: &Column) -> Column {
    let is_text = matches!(column.kind, Kind::Text { .. });
    let kind = if is_text { field.beside_text.clone() } else { field.column.kind.clone() };
    // What may not be written is said elsewhere.
    Column { kind, updatable: true, ..field.column.clone() }
}

/// How sure it is that a column stands for a field, by their names.
pub(super) fn likeness(field: &Field, column: &Column) -> Option<(Confidence, String)> {
    let ours = unprefixed(column);
    let (name, bare) = (plain(&field.column.name), plain(field.bare()));
    let refers = matches!(field.column.kind, Kind::Reference(_));
    if ours == name || ours == bare || refers && ours.strip_suffix("id") == Some(&*bare) {
        return Some(match lack(field, column) {
            None => (Confidence::Certain, "the same name".to_owned()),
            Some(lack) => (Confidence::Likely, format!("the same name; {lack}")),
        });
    }
    if ours == plain(&field.label) {
        let lack = lack(field, column).map(|lack| format!("; {lack}")).unwrap_or_default();
        return Some((Confidence::Likely, format!("named as its label{lack}")));
    }
    let part =
        ours.len() >= 4 && (bare.ends_with(ours) || ours.ends_with(&*bare) && bare.len() >= 4);
    part.then(|| (Confidence::Possible, "a part of the name is the same".to_owned()))
}

/// A column's name without the letter of its type.
fn unprefixed(column: &Column) -> &str {
    let name = &*column.name;
    let prefixes: &[&str] = match column.kind {
        Kind::Int { .. } | Kind::Bool => &["bi", "i"],
        Kind::Decimal { .. } => &["d", "i"],
        Kind::Text { .. } | Kind::Set { .. } => &["s", "m"],
        Kind::Date | Kind::Time | Kind::Instant => &["ts"],
        Kind::Uuid | Kind::Reference(_) | Kind::Other => &[],
    };
    prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

/// What a column lacks to hold every value of a field.
pub(super) fn lack(field: &Field, column: &Column) -> Option<String> {
    match (&column.kind, &beside(field, column).kind) {
        (Kind::Text { max: Some(ours), .. }, Kind::Text { max, .. } | Kind::Set { max, .. })
            if max.is_none_or(|max| *ours < max) =>
        {
            let theirs = max.map_or("any length".to_owned(), |max| max.to_string());
            Some(format!("holds {ours} characters of {theirs}: longer ones are held"))
        }
        (Kind::Int { min, max }, Kind::Int { min: least, max: most })
            if least < min || max < most =>
        {
            Some(format!("holds {min} to {max}: what is beyond is held"))
        }
        _ => None,
    }
}
