//! What a table of Campaign's looks like, read from PostgreSQL's own catalog.
//!
//! Campaign's documents give naming rules, not shapes: instances widen columns, extend tables and
//! cut index names. So nothing about a table is assumed, and indexes are found by their columns.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio_postgres::{Client, Row};

use crate::campaign::peer_error;
use crate::peer::PeerError;
use crate::reconcile::mapping::{Column, Kind};
use crate::reconcile::shape::Case;

/// A table as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its schema.
    pub schema: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its id: another one after it was rebuilt by copy and rename.
    pub oid: u32,
    /// Its file: another one after it was rewritten in place.
    pub filenode: u32,
    /// Who may change its structure.
    pub owner: Arc<str>,
    /// Whether its changes are logged.
    pub persistence: Persistence,
    /// What it is.
    pub form: Form,
    /// Whether others inherit from it, or it from others.
    pub inherits: bool,
    /// How changes name their row.
    pub identity: Identity,
    /// Its columns, in their order.
    pub columns: Vec<TableColumn>,
    /// Its indexes.
    pub indexes: Vec<Index>,
}

/// Whether changes of a table are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Persistence {
    /// They are.
    Logged,
    /// They are not, so nobody can follow them.
    Unlogged,
    /// The table is one session's own.
    Temporary,
}

/// What bears the table's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// A table.
    Table,
    /// A table in partitions.
    Partitioned,
    /// A view, a foreign table, a sequence.
    Other,
}

/// How changes of a table name the row they were made to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    /// By its primary key: what every table starts with, and Campaign's tables have none.
    Default {
        /// Whether it has one.
        keyed: bool,
    },
    /// Not at all: an update of a published table fails.
    Nothing,
    /// By this index.
    Index(Arc<str>),
    /// By the whole old row.
    Full,
    /// By an index that was dropped: as good as not at all.
    IndexGone,
}

/// A column, and what only this side needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Catalogued", into = "Catalogued")]
pub struct TableColumn {
    /// In the words of both sides.
    pub column: Column,
    /// Its type without length or precision: a cast to `varchar(80)` would cut in silence.
    pub cast: Arc<str>,
    /// Its default, as an expression.
    pub default: Option<String>,
    /// Which column it is.
    pub mark: Mark,
    catalogued: Catalogued,
}

/// A column in the catalog's own words, which is how it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Catalogued {
    name: Arc<str>,
    type_name: Arc<str>,
    cast: Arc<str>,
    base: String,
    modifier: i32,
    labels: Option<Vec<String>>,
    not_null: bool,
    default: Option<String>,
    generated: bool,
    unique: bool,
    mark: Mark,
}

/// Which column it is, and of which type: another column may bear the same name later, and what a
/// column holds is rewritten without a word in the log when its type changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    place: i16,
    type_id: u32,
    modifier: i32,
}

impl Mark {
    /// A text that gets more room, which structure updates do most, stays the same.
    pub(crate) fn new(place: i16, type_id: u32, modifier: i32) -> Self {
        let modifier = if type_id == VARCHAR { -1 } else { modifier };
        Self { place, type_id, modifier }
    }

    pub(crate) fn bytes(self) -> impl Iterator<Item = u8> {
        let words = [i64::from(self.place), i64::from(self.type_id), i64::from(self.modifier)];
        words.into_iter().flat_map(i64::to_be_bytes)
    }
}

const VARCHAR: u32 = 1043;

/// An index.
#[expect(clippy::struct_excessive_bools, reason = "each is a plain fact of the catalog")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Its name.
    pub name: Arc<str>,
    /// Its columns; an expression has no name.
    pub columns: Vec<Option<Arc<str>>>,
    /// Whether it keeps duplicates out.
    pub unique: bool,
    /// Whether it covers some rows only.
    pub partial: bool,
    /// Whether it checks at once, not at the end of the transaction.
    pub immediate: bool,
    /// Whether it is usable at all.
    pub valid: bool,
}

impl Table {
    /// Whether rows can be found by this column without a pass over the table.
    pub fn is_indexed(&self, column: &str) -> bool {
        self.indexes.iter().any(|index| {
            let first = index.columns.first().and_then(Option::as_deref);
            index.valid && !index.partial && first == Some(column)
        })
    }

    /// Reads a table; `None` where there is none of this name.
    pub async fn read(
        client: &Client,
        schema: &str,
        name: &str,
    ) -> Result<Option<Self>, PeerError> {
        let failed = |error| peer_error("reading the catalog", error);
        let found = client.query_opt(TABLE, &[&schema, &name]).await.map_err(failed)?;
        let Some(found) = found else { return Ok(None) };
        let oid: u32 = found.get("oid");
        let columns = client.query(COLUMNS, &[&oid]).await.map_err(failed)?;
        let indexes = client.query(INDEXES, &[&oid]).await.map_err(failed)?;
        let indexes: Vec<Index> = indexes.iter().map(index).collect();
        let columns = columns.iter().map(|row| column(row, &indexes)).collect();
        Ok(Some(Self {
            schema: schema.into(),
            name: name.into(),
            oid,
            filenode: found.get("filenode"),
            owner: found.get::<_, &str>("owner").into(),
            persistence: match found.get("persistence") {
                "u" => Persistence::Unlogged,
                "t" => Persistence::Temporary,
                _ => Persistence::Logged,
            },
            form: match found.get("kind") {
                "r" => Form::Table,
                "p" => Form::Partitioned,
                _ => Form::Other,
            },
            inherits: found.get("inherits"),
            identity: identity(&found),
            columns,
            indexes,
        }))
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&TableColumn> {
        self.columns.iter().find(|known| &*known.column.name == name)
    }

    /// The index by which changes can name their row, for this key: unique over nothing but it,
    /// whole, immediate, never null. The shortest name where there are several.
    pub fn identity_index(&self, key: &str) -> Option<&Index> {
        self.indexes
            .iter()
            .filter(|index| index.columns.len() == 1 && index.columns[0].as_deref() == Some(key))
            .filter(|index| self.unfit_as_identity(index).is_none())
            .min_by_key(|index| (index.name.len(), Arc::clone(&index.name)))
    }

    /// Why an index cannot tell rows apart for the log.
    pub fn unfit_as_identity(&self, index: &Index) -> Option<String> {
        let nullable =
            |name: &&Arc<str>| self.column(name).is_none_or(|known| known.column.nullable);
        if !index.unique {
            Some("is not unique".to_owned())
        } else if !index.valid {
            Some("is not valid; reindex it".to_owned())
        } else if index.partial {
            Some("covers some rows only".to_owned())
        } else if !index.immediate {
            Some("is deferrable".to_owned())
        } else if index.columns.iter().any(Option::is_none) {
            Some("is over an expression".to_owned())
        } else {
            let columns = || index.columns.iter().flatten();
            columns().find(nullable).map(|name| format!("has the column {name}, which may be null"))
        }
    }

    /// Whether updates and deletes can be published: otherwise Campaign's own would fail.
    pub fn has_identity(&self) -> bool {
        match &self.identity {
            Identity::Default { keyed: true } | Identity::Index(_) | Identity::Full => true,
            Identity::Default { keyed: false } | Identity::Nothing | Identity::IndexGone => false,
        }
    }
}

const TABLE: &str = "
    select c.oid, pg_relation_filenode(c.oid) as filenode, c.relkind::text as kind,
           c.relpersistence::text as persistence, pg_get_userbyid(c.relowner)::text as owner,
           c.relreplident::text as identity,
           exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary) as keyed,
           (select x.relname::text from pg_index i join pg_class x on x.oid = i.indexrelid
             where i.indrelid = c.oid and i.indisreplident) as identity_index,
           exists (select from pg_inherits h
                    where h.inhrelid = c.oid or h.inhparent = c.oid) as inherits
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = $1::text and c.relname = $2::text and c.relkind in ('r','p','v','m','f')";

/// Domains are followed down to what they are made of. `attgenerated` came with version 12, so it
/// is asked for in a way that older ones understand.
const COLUMNS: &str = "
    with recursive resolved as (
        select a.attnum, a.atttypid, a.atttypmod, a.attname::text as name, a.attnotnull or t.typnotnull as not_null,
               t.oid as type, t.typtype::text as typtype, t.typbasetype,
               case when t.typtype = 'd' then t.typtypmod else a.atttypmod end as typmod,
               a.attidentity <> '' or coalesce(to_jsonb(a) ->> 'attgenerated', '') <> '' as generated,
               pg_get_expr(d.adbin, d.adrelid) as default
          from pg_attribute a join pg_type t on t.oid = a.atttypid
          left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
         where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped
        union all
        select r.attnum, r.atttypid, r.atttypmod, r.name, r.not_null or t.typnotnull, t.oid, t.typtype::text, t.typbasetype,
               case when t.typtype = 'd' then t.typtypmod else r.typmod end, r.generated, r.default
          from resolved r join pg_type t on t.oid = r.typbasetype
         where r.typtype = 'd'
    )
    select r.attnum, r.atttypid, r.atttypmod, r.name, r.not_null, r.typmod, r.generated, r.default,
           coalesce(t.typname::text, '') as base, r.typtype,
           format_type(r.type, r.typmod) as type_name,
           case when t.typname = 'bpchar' then 'bpchar' else format_type(r.type, null) end as cast,
           (select array_agg(e.enumlabel::text order by e.enumsortorder)
              from pg_enum e where e.enumtypid = r.type) as labels
      from resolved r join pg_type t on t.oid = r.type
     where r.typtype <> 'd'
     order by r.attnum";

const INDEXES: &str = "
    select x.relname::text as name, i.indisunique as unique, i.indpred is not null as partial,
           i.indimmediate as immediate, i.indisvalid and i.indisready as valid,
           (select array_agg(a.attname::text order by k.place)
              from unnest(i.indkey::int2[]) with ordinality k (attnum, place)
              left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                   and k.attnum <> 0
             where k.place <= i.indnkeyatts) as columns
      from pg_index i join pg_class x on x.oid = i.indexrelid
     where i.indrelid = $1::oid
     order by x.relname";

fn identity(found: &Row) -> Identity {
    let index: Option<&str> = found.get("identity_index");
    match found.get("identity") {
        "f" => Identity::Full,
        "i" => index.map_or(Identity::IndexGone, |name| Identity::Index(name.into())),
        "d" => Identity::Default { keyed: found.get("keyed") },
        _ => Identity::Nothing,
    }
}

fn index(row: &Row) -> Index {
    let columns: Vec<Option<&str>> = row.get("columns");
    Index {
        name: row.get::<_, &str>("name").into(),
        columns: columns.into_iter().map(|name| name.map(Arc::from)).collect(),
        unique: row.get("unique"),
        partial: row.get("partial"),
        immediate: row.get("immediate"),
        valid: row.get("valid"),
    }
}

fn column(row: &Row, indexes: &[Index]) -> TableColumn {
    let name: Arc<str> = row.get::<_, &str>("name").into();
    let alone = |index: &Index| {
        index.unique && index.columns.len() == 1 && index.columns[0].as_ref() == Some(&name)
    };
    TableColumn::from(Catalogued {
        type_name: row.get::<_, &str>("type_name").into(),
        cast: row.get::<_, &str>("cast").into(),
        base: row.get("base"),
        modifier: row.get("typmod"),
        labels: row.get("labels"),
        not_null: row.get("not_null"),
        default: row.get("default"),
        generated: row.get("generated"),
        unique: indexes.iter().any(alone),
        mark: Mark::new(row.get("attnum"), row.get("atttypid"), row.get("atttypmod")),
        name,
    })
}

impl From<Catalogued> for TableColumn {
    fn from(told: Catalogued) -> Self {
        let Catalogued { not_null, generated, .. } = told;
        Self {
            column: Column {
                name: Arc::clone(&told.name),
                type_name: Arc::clone(&told.type_name),
                kind: kind(&told.base, told.modifier, told.labels.clone()),
                nullable: !not_null,
                required: not_null && told.default.is_none() && !generated,
                unique: told.unique,
                creatable: !generated,
                updatable: !generated,
            },
            cast: Arc::clone(&told.cast),
            default: told.default.clone(),
            mark: told.mark,
            catalogued: told,
        }
    }
}

impl From<TableColumn> for Catalogued {
    fn from(column: TableColumn) -> Self {
        column.catalogued
    }
}

/// A double keeps fifteen digits. How many stand before the point is not the type's to say; these
/// hold every amount, score and coordinate.
const DOUBLE: Kind = Kind::Decimal { whole: 15, scale: 6 };
const REAL: Kind = Kind::Decimal { whole: 6, scale: 6 };
/// `numeric` without a precision takes anything; thirty digits are the most that we can hold.
const NUMERIC: Kind = Kind::Decimal { whole: 20, scale: 10 };

fn kind(base: &str, typmod: i32, labels: Option<Vec<String>>) -> Kind {
    let text = |max| Kind::Text { max, case: Case::Kept, only: None };
    // A length is kept with the four bytes of its own header.
    let length = usize::try_from(typmod - 4).ok();
    match base {
        "bool" => Kind::Bool,
        "int2" => Kind::Int { min: i16::MIN.into(), max: i16::MAX.into() },
        "int4" => Kind::Int { min: i32::MIN.into(), max: i32::MAX.into() },
        "int8" => Kind::Int { min: i64::MIN, max: i64::MAX },
        "float8" => DOUBLE,
        "float4" => REAL,
        "numeric" => numeric(typmod),
        "varchar" | "bpchar" => text(length),
        "text" | "citext" => text(None),
        "date" => Kind::Date,
        "time" => Kind::Time,
        "timestamp" | "timestamptz" => Kind::Instant,
        "uuid" => Kind::Uuid,
        _ => match labels {
            Some(labels) => {
                let only: Arc<[Arc<str>]> = labels.into_iter().map(Arc::from).collect();
                Kind::Text { max: None, case: Case::Kept, only: Some(only) }
            }
            None => Kind::Other,
        },
    }
}

fn numeric(typmod: i32) -> Kind {
    if typmod < 4 {
        return NUMERIC;
    }
    let precision = ((typmod - 4) >> 16) & 0xFFFF;
    // The scale is a signed number of eleven bits since version 15.
    let scale = (((typmod - 4) & 0x7FF) ^ 1024) - 1024;
    let digits = |n: i32| u8::try_from(n.clamp(0, 30)).unwrap_or(30);
    Kind::Decimal { whole: digits(precision - scale), scale: digits(scale) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_precisions_are_read_out_of_the_modifier() {
        let numeric =
            |precision: i32, scale: i32| kind("numeric", (precision << 16 | scale) + 4, None);
        assert_eq!(numeric(12, 2), Kind::Decimal { whole: 10, scale: 2 });
        assert_eq!(numeric(5, 0), Kind::Decimal { whole: 5, scale: 0 });
        assert_eq!(kind("numeric", -1, None), NUMERIC);
        assert_eq!(
            kind("varchar", 84, None),
            Kind::Text { max: Some(80), case: Case::Kept, only: None }
        );
        assert_eq!(
            kind("varchar", -1, None),
            Kind::Text { max: None, case: Case::Kept, only: None }
        );
        assert_eq!(kind("bytea", -1, None), Kind::Other);
    }
}
