//! A mapped table: which of its columns are read, and what their texts say of a record.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio_postgres::Client;

use crate::campaign::catalog::{Table, TableColumn};
use crate::campaign::standing::{Shared, tells_in_part};
use crate::campaign::{peer_error, quoted, values};
use crate::peer::PeerError;
use crate::reconcile::mapping::{Kind, SideField, SideMapping};
use crate::reconcile::{Entity, Presence, RecordId, Row, Value};

/// The mapped tables.
pub type Tables = BTreeMap<Entity, Arc<Mapped>>;

/// A table of Campaign's, with the mapping that it is kept in step by.
#[derive(Debug)]
pub struct Mapped {
    /// What is mapped.
    pub mapping: Arc<SideMapping>,
    /// What the table looked like when this was made.
    pub table: Table,
    /// The time zone of its columns that have none.
    pub zone: TimeZone,
    columns: Vec<Arc<str>>,
    fields: Vec<Vec<usize>>,
    modified: Option<usize>,
    modified_by: Option<usize>,
    pub(crate) shared: Shared,
}

/// One column of one row, as far as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Not sent: a large value that the statement did not touch, or a column that is not there.
    Unknown,
    /// No value.
    Null,
    /// Its text.
    Text(&'a str),
}

/// The columns by which Campaign's own incremental workflows find what changed.
pub(crate) const MODIFIED: &str = "tslastmodified";
/// Which operator changed a row last, where a table's schema has the whole audit.
pub(crate) const MODIFIED_BY: &str = "imodifiedbyid";
/// When a row was made.
pub(crate) const CREATED: &str = "tscreated";

impl Mapped {
    /// Joins a mapping with its table; the error names the column that does not fit.
    pub fn new(table: Table, mapping: SideMapping, zone: TimeZone) -> Result<Self, String> {
        let mut columns: Vec<Arc<str>> = vec![Arc::clone(&mapping.key)];
        let mut fields = Vec::new();
        for field in &mapping.fields {
            let place = |column: &crate::reconcile::mapping::Column| {
                let known = columns.iter().position(|known| *known == column.name);
                known.unwrap_or_else(|| {
                    columns.push(Arc::clone(&column.name));
                    columns.len() - 1
                })
            };
            fields.push(field.columns.iter().map(place).collect());
        }
        let mut audit = |name: &str| {
            let name = Arc::clone(&table.column(name)?.column.name);
            Some(columns.iter().position(|column| *column == name).unwrap_or_else(|| {
                columns.push(name);
                columns.len() - 1
            }))
        };
        let (modified, modified_by) = (audit(MODIFIED), audit(MODIFIED_BY));
        let (mapping, shared) = (Arc::new(mapping), Shared::default());
        let mapped = Self { mapping, table, zone, columns, fields, modified, modified_by, shared };
        mapped.fits()?;
        mapped.stand(Some(&mapped.table));
        Ok(mapped)
    }

    /// The columns that are read: the key first.
    pub fn columns(&self) -> &[Arc<str>] {
        &self.columns
    }

    /// The columns whose changes matter: those that are read, and that of the audit that is set.
    pub(crate) fn watched(&self) -> impl Iterator<Item = &Arc<str>> {
        let created = self.table.column(CREATED).map(|known| &known.column.name);
        self.columns.iter().chain(created.filter(|name| !self.columns.contains(name)))
    }

    /// The table's name as SQL text, with its schema.
    pub fn sql_name(&self) -> String {
        format!("{}.{}", quoted(&self.table.schema), quoted(&self.table.name))
    }

    /// The key column.
    pub fn key(&self) -> &TableColumn {
        self.table.column(&self.mapping.key).expect("`fits` has found it")
    }

    /// Whether a text can be a key of this table, and not that of row 0.
    pub fn is_key(&self, text: &str) -> bool {
        match &self.key().column.kind {
            Kind::Int { min, max } => {
                // As it prints: `007` and `7` would be two records for one row.
                let fits = |key: i64| key != 0 && *min <= key && key <= *max;
                text.parse().is_ok_and(|key| fits(key) && key.to_string() == text)
            }
            Kind::Text { .. } => !text.is_empty() && text != "0" && !text.contains('\0'),
            // As it prints: in another form it would be another record for the same row.
            Kind::Uuid => {
                let dash = |at| matches!(at, 8 | 13 | 18 | 23);
                let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
                let fits = |(at, byte): (usize, u8)| {
                    if dash(at) { byte == b'-' } else { digit(byte) }
                };
                text.len() == 36 && text.bytes().enumerate().all(fits)
            }
            Kind::Bool
            | Kind::Decimal { .. }
            | Kind::Date
            | Kind::Time
            | Kind::Instant
            | Kind::Set { .. }
            | Kind::Reference(_)
            | Kind::Other => false,
        }
    }

    /// What a row says of its record. `cells` are those of [`Self::columns`].
    pub fn presence(&self, cells: &[Cell<'_>]) -> Presence {
        let (mut row, mut raw, mut unfit) = (Row::new(), BTreeMap::new(), BTreeMap::new());
        for (field, places) in self.mapping.fields.iter().zip(&self.fields) {
            let known = places.iter().all(|place| cells.get(*place) != Some(&Cell::Unknown));
            if !known && !tells_in_part(field) {
                continue;
            }
            let texts = texts(cells, places);
            match values::read(field, &texts, &self.zone) {
                Ok(Value::Consent(consent)) if !known && !consent.is_out() => {}
                Ok(value) => {
                    if let Some(kept) = values::raw(field, &texts, &value, &self.zone) {
                        raw.insert(field.field, kept);
                    }
                    row.insert(field.field, value);
                }
                Err(why) => {
                    raw.insert(field.field, texts.iter().map(|text| text.map(Arc::from)).collect());
                    unfit.insert(field.field, why.to_string().into());
                }
            }
        }
        Presence::Here { row, raw, unfit }
    }

    /// When Campaign says that the row was last changed.
    pub fn modified(&self, cells: &[Cell<'_>]) -> Option<Timestamp> {
        match cells.get(self.modified?)? {
            Cell::Text(text) => {
                let column = &self.table.column(MODIFIED)?.column;
                values::instant(text, column, &self.zone)
            }
            Cell::Unknown | Cell::Null => None,
        }
    }

    /// The operator who changed a row last, by id; 0 is nobody.
    pub fn modified_by(&self, cells: &[Cell<'_>]) -> Option<Arc<str>> {
        match cells.get(self.modified_by?)? {
            Cell::Text("0") | Cell::Unknown | Cell::Null => None,
            Cell::Text(text) => Some(Arc::from(*text)),
        }
    }

    /// The record of a row; `None` for row 0 and for a row without a key.
    pub fn record(&self, cells: &[Cell<'_>]) -> Option<RecordId> {
        match cells.first()? {
            Cell::Text(key) if self.is_key(key) => Some(RecordId::from(*key)),
            Cell::Text(_) | Cell::Unknown | Cell::Null => None,
        }
    }

    /// The type of a column without its length, for casts.
    pub(crate) fn cast(&self, column: &str) -> &str {
        self.table.column(column).map_or("text", |known| &known.cast)
    }

    /// The fields that have a column of this name.
    pub(crate) fn fields_of<'a>(&'a self, column: &'a str) -> impl Iterator<Item = &'a SideField> {
        let has =
            move |field: &&SideField| field.columns.iter().any(|known| &*known.name == column);
        self.mapping.fields.iter().filter(has)
    }

    fn fits(&self) -> Result<(), String> {
        let table = self.sql_name();
        for name in &self.columns {
            if self.table.column(name).is_none() {
                return Err(format!("{table} has no column `{name}`; see \\d {table}"));
            }
        }
        let key = self.key();
        match &key.column.kind {
            Kind::Int { .. } | Kind::Text { .. } | Kind::Uuid => {}
            Kind::Bool
            | Kind::Decimal { .. }
            | Kind::Date
            | Kind::Time
            | Kind::Instant
            | Kind::Set { .. }
            | Kind::Reference(_)
            | Kind::Other => {
                let (name, kind) = (&key.column.name, &key.column.type_name);
                return Err(format!("`{name}` of {table} is {kind}, which cannot be a key"));
            }
        }
        for mapped in self.mapping.fields.iter().flat_map(|field| &field.columns) {
            let now = &self.table.column(&mapped.name).expect("was found just before").column;
            if std::mem::discriminant(&now.kind) != std::mem::discriminant(&mapped.kind) {
                let (name, was, is) = (&mapped.name, &mapped.type_name, &now.type_name);
                return Err(format!("`{name}` of {table} was {was} and is {is} now"));
            }
        }
        Ok(())
    }
}

/// The texts of a field's columns; what is not known is none.
fn texts<'a>(cells: &[Cell<'a>], places: &[usize]) -> Vec<Option<&'a str>> {
    let text = |place: &usize| match cells.get(*place) {
        Some(Cell::Text(text)) => Some(*text),
        Some(Cell::Unknown | Cell::Null) | None => None,
    };
    places.iter().map(text).collect()
}

/// The time zone of `timestamp` columns: what the config says, else what Campaign's own options
/// say. An instance in UTC keeps its times with a zone, and then it is UTC.
pub async fn time_zone(
    client: &Client,
    schema: &str,
    configured: Option<&str>,
) -> Result<TimeZone, PeerError> {
    let unfit = |name: &str| PeerError::Unfit {
        why: format!("`{name}` is no known time zone; set time_zone, such as \"Europe/Paris\""),
    };
    if let Some(name) = configured {
        return TimeZone::get(name).map_err(|_| unfit(name));
    }
    if Table::read(client, schema, "xtkoption").await?.is_none() {
        return Ok(TimeZone::UTC);
    }
    let query = format!(
        "select sname::text, sstringvalue::text, ilongvalue::bigint from {}.xtkoption
          where sname in ('WdbcUseTimeStampWithTZ', 'WdbcTimeZone')",
        quoted(schema)
    );
    let rows = client.query(&query, &[]).await;
    let rows = rows.map_err(|error| peer_error("reading Campaign's time zone", error))?;
    let option = |name| rows.iter().find(|row| row.get::<_, Option<&str>>(0) == Some(name));
    let zoned = option("WdbcUseTimeStampWithTZ").is_some_and(|row| row.get::<_, i64>(2) != 0);
    let name = option("WdbcTimeZone").and_then(|row| row.get::<_, Option<&str>>(1));
    match name.filter(|name| !zoned && !name.is_empty()) {
        None => Ok(TimeZone::UTC),
        Some(name) => TimeZone::get(name).map_err(|_| unfit(name)),
    }
}
