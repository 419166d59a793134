//! Which table of Campaign an object's records are kept in: one that is there, by its name and
//! columns, or a new one.

use std::collections::BTreeSet;

use super::fields::{Confidence, likeness};
use super::pairs::{PEOPLE, RECIPIENTS};
use crate::discover::names::{RESERVED, plain};
use crate::discover::object::{Object, Table};

/// So many columns of a table must stand for fields before it is taken for the object's without
/// bearing its name.
const ALIKE_MIN: usize = 4;

/// And such a share of those that are somebody's values, in percent.
const ALIKE_PERCENT: usize = 60;

/// The table, and why it.
pub(super) fn choose<'a>(
    object: &Object,
    tables: &'a [Table],
    taken: &BTreeSet<String>,
) -> Option<(&'a Table, String)> {
    let name = plain(object.bare());
    let free = || tables.iter().filter(|table| !taken.contains(&*table.name));
    if PEOPLE.contains(&&*name)
        && !object.custom
        && let Some(recipients) = free().find(|table| &*table.name == RECIPIENTS)
    {
        return Some((recipients, "recipients are the people of Campaign".to_owned()));
    }
    let own = || free().filter(|table| &*table.name != RECIPIENTS);
    let named = own().find(|table| {
        let namespace = table.name.strip_suffix(&*name).unwrap_or_default();
        (2..=8).contains(&namespace.len()) && !RESERVED.contains(&namespace)
    });
    if let Some(named) = named.filter(|table| 0 < alike(object, table)) {
        return Some((named, "it bears the object's name and has its columns".to_owned()));
    }
    let scored = own().map(|table| (alike(object, table), table));
    let (alike, like) = scored.max_by_key(|(alike, _)| *alike)?;
    let all = like.columns.iter().filter(|column| !is_campaigns(&column.name, like)).count();
    (ALIKE_MIN <= alike && all * ALIKE_PERCENT <= alike * 100)
        .then(|| (like, format!("{alike} of its {all} columns bear the names of fields")))
}

/// How many of a table's columns stand for fields of an object.
fn alike(object: &Object, table: &Table) -> usize {
    let stands = |column: &&crate::reconcile::mapping::Column| {
        let mut fields = object.fields.iter();
        !is_campaigns(&column.name, table)
            && fields.any(|field| {
                field.aside.is_none()
                    && likeness(field, column).is_some_and(|(how, _)| Confidence::Likely <= how)
            })
    };
    table.columns.iter().filter(stands).count()
}

/// Columns that Campaign itself keeps.
pub(super) fn is_campaigns(column: &str, table: &Table) -> bool {
    const KEPT: [&str; 7] = [
        "mdata",
        "tscreated",
        "tslastmodified",
        "icreatedbyid",
        "imodifiedbyid",
        "ifolderid",
        "istatus",
    ];
    *column == *table.key || KEPT.contains(&column)
}

/// Whether records of a CRM may be kept in a table of this name at all.
pub fn is_candidate(table: &str) -> bool {
    const WORK: [&str; 4] = ["wk", "grp", "lst", "ft_"];
    let begins = |with: &&str| table.starts_with(*with);
    table == RECIPIENTS || !RESERVED.iter().chain(&WORK).any(begins)
}
