//! Which values of a logged row are those of mapped columns: planned when the log says what a table
//! looks like, then only walked.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::campaign::pgoutput::{Column, Datum, Relation, Tuple};
use crate::campaign::table::{Cell, Mapped};
use crate::peer::PeerError;
use crate::reconcile::mapping::Kind;

/// How one mapped table's rows are read.
#[derive(Clone, Debug)]
pub(crate) struct Projection {
    pub(crate) mapped: Arc<Mapped>,
    /// For each value of a row, in order, which of the mapped columns it is, and its print.
    places: Vec<Option<(usize, Print)>>,
    /// The mapped columns that are not among them, or are something else, and why: the fields they
    /// belong to are not told of.
    pub(crate) lost: BTreeMap<Arc<str>, String>,
}

/// How a type's text in the log differs from that of a cast to text, which is what we compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Print {
    /// Not at all.
    Same,
    /// `t` is `true`.
    Flag,
    /// Blanks pad it to its length.
    Padded,
}

mod types {
    pub(super) const BOOL: u32 = 16;
    pub(super) const BPCHAR: u32 = 1042;
    pub(super) const TIMESTAMP: u32 = 1114;
    pub(super) const TIMESTAMPTZ: u32 = 1184;
    /// From here on types are not built in.
    pub(super) const OWN: u32 = 16_384;
    /// What each built-in type is kept as.
    pub(super) const KINDS: [(u32, &str); 15] = [
        (BOOL, "flag"),
        (20, "whole"),
        (21, "whole"),
        (23, "whole"),
        (25, "text"),
        (1043, "text"),
        (BPCHAR, "text"),
        (700, "decimal"),
        (701, "decimal"),
        (1700, "decimal"),
        (1082, "date"),
        (1083, "time"),
        (TIMESTAMP, "local"),
        (TIMESTAMPTZ, "instant"),
        (2950, "uuid"),
    ];
}

impl Projection {
    /// Plans it by the names of the columns.
    pub(crate) fn plan(mapped: &Arc<Mapped>, relation: &Relation<'_>) -> Self {
        let columns: Vec<Column<'_>> = relation.columns().collect();
        let lost = |name: &Arc<str>| {
            let why = match columns.iter().find(|column| column.name == &**name) {
                Some(column) => {
                    let (was, is) = changed(mapped, name, column)?;
                    format!("was {was} and is {is} here")
                }
                None => "is not there".to_owned(),
            };
            Some((Arc::clone(name), why))
        };
        let lost: BTreeMap<Arc<str>, String> = mapped.columns().iter().filter_map(lost).collect();
        let place = |column: &Column<'_>| {
            let known = |name: &Arc<str>| &**name == column.name && !lost.contains_key(name);
            let place = mapped.columns().iter().position(known)?;
            let print = match column.type_id.0 {
                types::BOOL => Print::Flag,
                types::BPCHAR => Print::Padded,
                _ => Print::Same,
            };
            Some((place, print))
        };
        let mut places: Vec<_> = columns.iter().map(place).collect();
        // What follows the last mapped column is not walked over.
        places.truncate(places.iter().rposition(Option::is_some).map_or(0, |last| last + 1));
        Self { mapped: Arc::clone(mapped), places, lost }
    }

    /// Says aloud which fields the log does not tell of from here on, after it did; whether it tells
    /// of one again, so that what was missed must be compared.
    pub(crate) fn tell(&self, before: Option<&Self>) -> bool {
        let lost_before = |name: &Arc<str>| before.is_some_and(|one| one.lost.contains_key(name));
        for (column, why) in self.lost.iter().filter(|(name, _)| !lost_before(name)) {
            let (table, fields) = (self.mapped.sql_name(), self.mapped.names_of(column));
            tracing::error!(
                %table,
                %column,
                why,
                fields,
                "the log has not the mapped column as it was: its fields are paused"
            );
        }
        before.is_some_and(|one| one.lost.keys().any(|name| !self.lost.contains_key(name)))
    }

    /// The mapped columns of a row. What is not in `new` is looked for in `old`, which has it where
    /// the identity is the whole row.
    pub(crate) fn cells<'a>(
        &self,
        new: Tuple<'a>,
        old: Option<Tuple<'a>>,
    ) -> Result<Vec<Cell<'a>>, PeerError> {
        let mut cells = vec![Cell::Unknown; self.mapped.columns().len()];
        self.fill(&mut cells, new)?;
        if let Some(old) = old.filter(|_| cells.contains(&Cell::Unknown)) {
            let mut before = vec![Cell::Unknown; cells.len()];
            self.fill(&mut before, old)?;
            for (cell, before) in cells.iter_mut().zip(before) {
                if *cell == Cell::Unknown {
                    *cell = before;
                }
            }
        }
        Ok(cells)
    }

    fn fill<'a>(&self, cells: &mut [Cell<'a>], tuple: Tuple<'a>) -> Result<(), PeerError> {
        for (datum, place) in tuple.datums().zip(&self.places) {
            let Some((place, print)) = place else { continue };
            cells[*place] = match datum {
                Datum::Null => Cell::Null,
                Datum::Unchanged => Cell::Unknown,
                Datum::Text(bytes) | Datum::Binary(bytes) => {
                    let text = std::str::from_utf8(bytes).map_err(|_| PeerError::Unfit {
                        why: format!(
                            "a value of {} is not UTF-8; the database has no encoding (SQL_ASCII)",
                            self.mapped.sql_name()
                        ),
                    })?;
                    Cell::Text(printed(text, *print))
                }
            };
        }
        Ok(())
    }
}

fn printed(text: &str, print: Print) -> &str {
    match (print, text) {
        (Print::Flag, "t") => "true",
        (Print::Flag, "f") => "false",
        (Print::Padded, text) => text.trim_end_matches(' '),
        (Print::Same | Print::Flag, text) => text,
    }
}

/// What a column was and is, where its values would be read differently.
fn changed(mapped: &Mapped, name: &str, column: &Column<'_>) -> Option<(Arc<str>, String)> {
    let known = &mapped.table.column(name)?.column;
    let was = match &known.kind {
        Kind::Bool => "flag",
        Kind::Int { .. } => "whole",
        Kind::Decimal { .. } => "decimal",
        Kind::Text { .. } | Kind::Set { .. } => "text",
        Kind::Date => "date",
        Kind::Time => "time",
        Kind::Instant if known.type_name.ends_with("with time zone") => "instant",
        Kind::Instant => "local",
        Kind::Uuid => "uuid",
        Kind::Reference(_) | Kind::Other => return None,
    };
    let is = types::KINDS.iter().find(|(oid, _)| *oid == column.type_id.0).map(|(_, is)| *is);
    match is {
        Some(is) if is == was => None,
        Some(is) => Some((Arc::clone(&known.type_name), is.to_owned())),
        None if column.type_id.0 < types::OWN => {
            Some((Arc::clone(&known.type_name), format!("of type {}", column.type_id.0)))
        }
        // A domain or an enumeration: what it is made of, the log does not say.
        None => None,
    }
}
