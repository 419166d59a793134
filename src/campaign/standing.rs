//! Which columns of a mapped table stand as they were mapped, while the agent runs.
//!
//! Campaign's structure updates drop, rename and retype columns. Such a column pauses the fields
//! that it belongs to and nothing else: what is seen of a row leaves them out, as it does a large
//! value that was not logged, and a write of them is refused for these fields alone. All doors share
//! one state, so that whoever has looked at the catalog last lets the others know. The log has a
//! state of its own, told by its relation messages: it may be behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::campaign::catalog::{Mark, Table};
use crate::campaign::peer_error;
use crate::campaign::table::Mapped;
use crate::peer::PeerError;
use crate::reconcile::Shape;
use crate::reconcile::mapping::{Column, Kind, SideField};

/// How the columns of a table stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    oid: u32,
    marks: BTreeMap<Arc<str>, Mark>,
    paused: BTreeMap<Arc<str>, Arc<str>>,
    turns: u64,
}

/// The state that the doors share, and whether something came back since that was last asked.
#[derive(Debug, Default)]
pub(crate) struct Shared(Mutex<(Arc<Standing>, bool)>);

impl Standing {
    /// Why a column is not read and not written now; nothing where it is.
    pub fn paused(&self, column: &str) -> Option<&str> {
        self.paused.get(column).map(AsRef::as_ref)
    }

    /// All columns that are not read and not written now, with the reason.
    pub fn all_paused(&self) -> impl Iterator<Item = (&str, &str)> {
        self.paused.iter().map(|(column, why)| (&**column, &**why))
    }

    /// The first of a field's columns that pauses it, and why.
    pub(crate) fn pauses<'a>(&'a self, field: &SideField) -> Option<(&'a str, &'a str)> {
        let column = |column: &Column| self.paused.get_key_value(&column.name);
        field.columns.iter().find_map(column).map(|(column, why)| (&**column, &**why))
    }

    /// How often a column came back or became another: each time, what it holds is not known.
    pub(crate) fn turns(&self) -> u64 {
        self.turns
    }

    /// The table's id, as of the last look.
    pub(crate) fn oid(&self) -> u32 {
        self.oid
    }

    /// A short text that is another where a column that is read is another, to be kept across
    /// restarts. FNV-1a: nobody wants to deceive us here, and it must be the same in all builds.
    pub(crate) fn print(&self) -> String {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        for (name, mark) in self.marks.iter().filter(|(name, _)| !self.paused.contains_key(*name)) {
            name.bytes().chain([0]).for_each(&mut add);
            mark.bytes().for_each(&mut add);
        }
        format!("{hash:016x}")
    }

    /// How the columns stand after `self`, by what the catalog says now.
    fn next(&self, mapped: &Mapped, table: Option<&Table>) -> Self {
        let mut next = Self { oid: table.map_or(0, |table| table.oid), ..Self::default() };
        for name in mapped.watched() {
            let now = table.and_then(|table| table.column(name));
            if let Some(now) = now {
                next.marks.insert(Arc::clone(name), now.mark);
            }
            let was = mapped.table.column(name).map(|known| &known.column);
            let why = match (was, now.map(|now| &now.column)) {
                (Some(was), Some(now)) if reads_as(was, now) => None,
                (Some(was), Some(now)) => {
                    Some(format!("was {} and is {} now", was.type_name, now.type_name))
                }
                (Some(was), None) if table.is_some() => {
                    Some(format!("({}) is gone", was.type_name))
                }
                (Some(_), None) => Some("is gone with its table".to_owned()),
                (None, _) => None,
            };
            next.paused.extend(why.map(|why| (Arc::clone(name), Arc::from(why))));
        }
        let turned = |name: &Arc<str>| {
            let is = next.marks.get(name).filter(|_| !next.paused.contains_key(name));
            let was = self.marks.get(name).filter(|_| !self.paused.contains_key(name));
            // A table that was rebuilt is compared for that reason.
            is.is_some() && (was.is_none() || (self.oid == next.oid && is != was))
        };
        next.turns = self.turns + u64::from(mapped.watched().any(turned));
        next
    }
}

/// Whether texts of the one type are read like those of the other.
fn reads_as(was: &Column, now: &Column) -> bool {
    let zoned = |column: &Column| column.type_name.ends_with("with time zone");
    std::mem::discriminant(&was.kind) == std::mem::discriminant(&now.kind)
        && (was.kind != Kind::Instant || zoned(was) == zoned(now))
}

impl Mapped {
    /// How the table's columns stand, by who has looked last.
    pub fn standing(&self) -> Arc<Standing> {
        Arc::clone(&self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Whether a column came back since this was last asked: then what was refused for it may be
    /// tried again.
    pub(crate) fn came_back(&self) -> bool {
        std::mem::take(&mut self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// Takes in what the table looks like now; nothing where there is none. Says aloud what is
    /// paused by it, and what is no longer.
    pub fn stand(&self, table: Option<&Table>) -> Arc<Standing> {
        let mut shared = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = Arc::clone(&shared.0);
        let after = before.next(self, table);
        if after == *before {
            return before;
        }
        let table = self.sql_name();
        for (column, why) in &after.paused {
            if before.paused.get(column) != Some(why) {
                let fields = self.names_of(column);
                tracing::error!(
                    %table,
                    %column,
                    %why,
                    fields,
                    "a mapped column is not as it was: its fields are paused"
                );
            }
        }
        for column in before.paused.keys().filter(|column| !after.paused.contains_key(*column)) {
            let fields = self.names_of(column);
            tracing::warn!(%table, %column, fields, "a mapped column is back: its fields go on");
            shared.1 = true;
        }
        shared.0 = Arc::new(after);
        Arc::clone(&shared.0)
    }

    /// Asks the catalog how the columns stand.
    pub(crate) async fn look(&self, client: &Client) -> Result<Arc<Standing>, PeerError> {
        let known = self.standing();
        let names: Vec<&str> = self.watched().map(AsRef::as_ref).collect();
        let (schema, table) = (&*self.table.schema, &*self.table.name);
        let asked = client
            .query_typed(
                MARKS,
                &[(&schema, Type::TEXT), (&table, Type::TEXT), (&names, Type::TEXT_ARRAY)],
            )
            .await;
        let rows =
            asked.map_err(|error| peer_error("asking how a table's columns stand", error))?;
        let oid = rows.first().map_or(0, |row| row.get(0));
        let mark = |row: &tokio_postgres::Row| {
            let name: Arc<str> = row.get::<_, &str>(1).into();
            (name, Mark::new(row.get(2), row.get(3), row.get(4)))
        };
        let marks: BTreeMap<Arc<str>, Mark> = rows.iter().map(mark).collect();
        if known.oid == oid && known.marks == marks {
            return Ok(known);
        }
        Ok(self.stand(Table::read(client, schema, table).await?.as_ref()))
    }

    /// The names of the fields that a column belongs to, for messages.
    pub(crate) fn names_of(&self, column: &str) -> String {
        let names: Vec<&str> = self.fields_of(column).map(|field| &*field.name).collect();
        match (names.as_slice(), *column == *self.mapping.key) {
            (_, true) => "all of them: it is the key".to_owned(),
            ([], false) => "none".to_owned(),
            (some, false) => some.join(", "),
        }
    }
}

/// Whether a field whose columns are known in part may still be read: an opt-out is one whatever
/// the other columns say.
pub(crate) fn tells_in_part(field: &SideField) -> bool {
    field.shape == Shape::Consent && 1 < field.columns.len()
}

const MARKS: &str = "
    select c.oid, a.attname::text, a.attnum, a.atttypid, a.atttypmod
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      join pg_attribute a on a.attrelid = c.oid
     where n.nspname = $1::text and c.relname = $2::text and c.relkind in ('r','p','v','m','f')
       and a.attnum > 0 and not a.attisdropped and a.attname = any($3::text[])";
