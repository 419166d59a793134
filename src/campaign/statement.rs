//! The statements that write, made from writes that have the same form.
//!
//! One statement writes many rows: the values come as arrays of text, are cast to the columns'
//! types, and each row is written only where its guard holds. Rows are taken by `skip locked`:
//! a row that somebody else is writing is left to them, since waiting for it is what makes
//! PostgreSQL end Campaign's workflow instead of us.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::campaign::scan::not_zero;
use crate::campaign::standing::Standing;
use crate::campaign::table::{CREATED, MODIFIED, Mapped};
use crate::campaign::{literal, quoted, values};
use crate::reconcile::mapping::{Column, Kind, SideField};
use crate::reconcile::shape::Unfit;
use crate::reconcile::{Change, Expected, Field, RecordId, Target, Value, Write};

/// What a group of writes has in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Form {
    /// What they do.
    pub(crate) verb: Verb,
    /// The columns that they set.
    pub(crate) sets: Vec<Arc<str>>,
    /// The columns that they compare: those of a guard, or those of a match.
    pub(crate) guards: Vec<Arc<str>>,
}

/// What a write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verb {
    /// Changes a row.
    Update,
    /// Makes one.
    Insert,
    /// Removes one.
    Delete,
}

/// One write as texts.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Its place among the writes of the call.
    pub(crate) place: usize,
    /// The row's key.
    pub(crate) key: RecordId,
    /// The texts of [`Form::sets`].
    pub(crate) sets: Vec<Option<String>>,
    /// The texts of [`Form::guards`].
    pub(crate) guards: Vec<Option<String>>,
}

/// Why a write cannot be said in SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unsayable {
    /// The field, where it is one.
    pub(crate) field: Option<Field>,
    /// Why.
    pub(crate) why: String,
}

/// Puts a write into texts.
pub(crate) fn item(
    mapped: &Mapped,
    place: usize,
    write: &Write,
) -> Result<(Form, Item), Unsayable> {
    let (verb, key) = match (&write.target, &write.change) {
        (Target::Record(key), Change::Set(_)) => (Verb::Update, Some(key)),
        (Target::Record(key), Change::Delete) => (Verb::Delete, Some(key)),
        (Target::New { key, .. }, Change::Set(_)) => (Verb::Insert, key.as_ref()),
        (Target::New { .. }, Change::Delete) => (Verb::Delete, None),
    };
    let key = key.filter(|key| mapped.is_key(&key.0)).ok_or_else(|| Unsayable {
        field: None,
        why: "the write names no key that a row of this table can have".to_owned(),
    })?;
    let standing = mapped.standing();
    if let Some(why) = standing.paused(&mapped.mapping.key) {
        return Err(Unsayable { field: None, why: format!("the table's key {why}") });
    }
    let mut form = Form { verb, sets: Vec::new(), guards: Vec::new() };
    let mut item = Item { place, key: key.clone(), sets: Vec::new(), guards: Vec::new() };
    if let Change::Set(row) = &write.change {
        for (field, value) in row {
            let known = side_field(mapped, *field)?;
            stands(&standing, known, needs(value))?;
            let (column, text) = assignment(mapped, known, value)?;
            form.sets.push(column);
            item.sets.push(text);
        }
    }
    for (column, text) in comparisons(mapped, &standing, write)? {
        form.guards.push(column);
        item.guards.push(text);
    }
    Ok((form, item))
}

/// A column, and its text.
type Named = (Arc<str>, Option<String>);

fn assignment(mapped: &Mapped, known: &SideField, value: &Value) -> Result<Named, Unsayable> {
    let column = known.columns.first().filter(|_| known.writable).ok_or_else(|| Unsayable {
        field: Some(known.field),
        why: format!("the field `{}` is not written on this side", known.name),
    })?;
    let texts = values::print(known, value, &mapped.zone).map_err(|why| unfit(known, &why))?;
    Ok((Arc::clone(&column.name), texts.into_iter().next().flatten()))
}

fn side_field(mapped: &Mapped, field: Field) -> Result<&SideField, Unsayable> {
    mapped.mapping.field(field).ok_or_else(|| Unsayable {
        field: Some(field),
        why: "the field is not mapped any more".to_owned(),
    })
}

/// Which of a field's columns must be as they were mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// All of them.
    All,
    /// The one that is written: an opt-out is one whatever the others say.
    Own,
}

fn needs(value: &Value) -> Needs {
    match value {
        Value::Consent(consent) if consent.is_out() => Needs::Own,
        Value::Consent(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Decimal(_)
        | Value::Text(_)
        | Value::Date(_)
        | Value::Time(_)
        | Value::Instant(_)
        | Value::Uuid(_)
        | Value::Set(_)
        | Value::Record(_)
        | Value::Link(_) => Needs::All,
    }
}

/// A field with a column that is not as it was is not written; its neighbours are.
fn stands(standing: &Standing, known: &SideField, needs: Needs) -> Result<(), Unsayable> {
    let own = known.columns.first();
    let paused = match needs {
        Needs::All => standing.pauses(known),
        Needs::Own => own.and_then(|own| Some((&*own.name, standing.paused(&own.name)?))),
    };
    match paused {
        None => Ok(()),
        Some((column, why)) => Err(Unsayable {
            field: Some(known.field),
            why: format!("the field `{}` is paused: its column `{column}` {why}", known.name),
        }),
    }
}

fn unfit(field: &SideField, why: &Unfit) -> Unsayable {
    Unsayable { field: Some(field.field), why: format!("the value of `{}` {why}", field.name) }
}

fn comparisons(
    mapped: &Mapped,
    standing: &Standing,
    write: &Write,
) -> Result<Vec<Named>, Unsayable> {
    let mut all = Vec::new();
    if let Target::New { unless, .. } = &write.target {
        for (field, value) in unless.iter().filter(|(_, value)| !value.is_null()) {
            let known = side_field(mapped, *field)?;
            stands(standing, known, Needs::All)?;
            let texts = values::print(known, value, &mapped.zone);
            let text = texts.map_err(|why| unfit(known, &why))?.into_iter().next().flatten();
            all.extend(known.columns.first().map(|column| (Arc::clone(&column.name), text)));
        }
        return Ok(all);
    }
    for (field, expected) in &write.expect {
        let known = side_field(mapped, *field)?;
        let set = match &write.change {
            Change::Set(row) => row.get(field),
            Change::Delete => None,
        };
        stands(standing, known, set.map_or(Needs::All, needs))?;
        let texts = expected_texts(mapped, known, expected).map_err(|why| unfit(known, &why))?;
        let names = known.columns.iter().map(|column| Arc::clone(&column.name));
        all.extend(names.zip(texts).filter(|(name, _)| standing.paused(name).is_none()));
    }
    Ok(all)
}

/// What a field's columns must hold for a guard to hold.
pub(crate) fn expected_texts(
    mapped: &Mapped,
    field: &SideField,
    expected: &Expected,
) -> Result<Vec<Option<String>>, Unfit> {
    match &expected.raw {
        Some(raw) => Ok(raw.iter().map(|text| text.as_deref().map(str::to_owned)).collect()),
        None => values::print(field, &expected.value, &mapped.zone),
    }
}

impl Form {
    /// The statement: its parameters are an array of keys, then one for each column set and each
    /// compared; it answers with the keys that it wrote and its transaction.
    pub(crate) fn sql(&self, mapped: &Mapped) -> String {
        match self.verb {
            Verb::Update => self.update(mapped),
            Verb::Insert => self.insert(mapped),
            Verb::Delete => self.delete(mapped),
        }
    }

    /// How many parameters it has.
    pub(crate) fn width(&self) -> usize {
        1 + self.sets.len() + self.guards.len()
    }

    fn given(&self) -> String {
        let arrays: Vec<String> = (1..=self.width()).map(|n| format!("${n}::text[]")).collect();
        let mut names = vec!["key".to_owned()];
        names.extend((0..self.sets.len()).map(|n| format!("s{n}")));
        names.extend((0..self.guards.len()).map(|n| format!("g{n}")));
        format!(
            "given as (select * from unnest({}) as g ({}))",
            arrays.join(", "),
            names.join(", ")
        )
    }

    fn taken(&self, mapped: &Mapped, lock: &str) -> String {
        let (table, key, cast) = names(mapped);
        let mut guard = not_zero(mapped, "t");
        for (n, name) in self.guards.iter().enumerate() {
            // Writing to a String does not fail.
            let _ok: std::fmt::Result = write!(guard, " and {}", compared(mapped, name, n));
        }
        format!(
            "taken as (
                select t.{key} as key from {table} t join given g on t.{key} = g.key::{cast}
                 where {guard} order by t.{key} for {lock} of t skip locked)"
        )
    }

    fn update(&self, mapped: &Mapped) -> String {
        let (table, key, cast) = names(mapped);
        let mut sets: Vec<String> = Vec::new();
        for (n, name) in self.sets.iter().enumerate() {
            sets.push(format!("{} = g.s{n}::{}", quoted(name), mapped.cast(name)));
        }
        sets.extend(
            self.stamp(mapped, MODIFIED).map(|now| format!("{} = {now}", quoted(MODIFIED))),
        );
        format!(
            "with {}, {},
             done as (
                update {table} t set {} from taken k join given g on g.key::{cast} = k.key
                 where t.{key} = k.key returning t.{key}::text as key)
             select key, txid_current()::text from done",
            self.given(),
            self.taken(mapped, self.lock(mapped)),
            sets.join(", "),
        )
    }

    /// A column that others may refer to needs the stronger lock, and would wait for it if it were
    /// not taken here.
    fn lock(&self, mapped: &Mapped) -> &'static str {
        let unique = |name: &Arc<str>| {
            mapped.table.indexes.iter().any(|index| {
                index.unique && index.columns.iter().flatten().any(|column| column == name)
            })
        };
        if self.sets.iter().any(unique) { "update" } else { "no key update" }
    }

    fn delete(&self, mapped: &Mapped) -> String {
        let (table, key, _) = names(mapped);
        format!(
            "with {}, {},
             done as (
                delete from {table} t using taken k where t.{key} = k.key
                returning t.{key}::text as key)
             select key, txid_current()::text from done",
            self.given(),
            self.taken(mapped, "update"),
        )
    }

    /// Columns that are neither set nor given a constant get the table's own defaults.
    fn insert(&self, mapped: &Mapped) -> String {
        let (table, key, cast) = names(mapped);
        let mut columns = vec![key.clone()];
        let mut texts = vec![format!("g.key::{cast}")];
        for (n, name) in self.sets.iter().enumerate() {
            columns.push(quoted(name));
            texts.push(format!("g.s{n}::{}", mapped.cast(name)));
        }
        let constants = &mapped.mapping.defaults;
        for (name, text) in constants.iter().filter(|(name, _)| !self.sets.contains(name)) {
            columns.push(quoted(name));
            texts.push(format!("{}::{}", literal(text), mapped.cast(name)));
        }
        for name in [CREATED, MODIFIED].iter().filter(|name| !constants.contains_key(**name)) {
            if let Some(now) = self.stamp(mapped, name) {
                columns.push(quoted(name));
                texts.push(now);
            }
        }
        let mut absent =
            format!("not exists (select from {table} t where t.{key} = g.key::{cast})");
        for (n, name) in self.guards.iter().enumerate() {
            let column = quoted(name);
            let cast = mapped.cast(name);
            let _ok: std::fmt::Result = write!(
                absent,
                " and not exists (select from {table} t where t.{column} = g.g{n}::{cast} and {})",
                not_zero(mapped, "t")
            );
        }
        format!(
            "with {},
             done as (
                insert into {table} as n ({}) select {} from given g where {absent}
                returning n.{key}::text as key)
             select key, txid_current()::text from done",
            self.given(),
            columns.join(", "),
            texts.join(", "),
        )
    }

    /// What a column of Campaign's audit gets, unless it is mapped itself.
    fn stamp(&self, mapped: &Mapped, name: &str) -> Option<String> {
        let column = &mapped.table.column(name)?.column;
        if mapped.standing().paused(name).is_some() {
            return None;
        }
        if self.sets.iter().any(|set| **set == *name) {
            return None;
        }
        Some(now(column, &mapped.zone))
    }
}

/// The moment, as a column of this type holds it.
fn now(column: &Column, zone: &TimeZone) -> String {
    match zone.iana_name() {
        Some(name) if !column.type_name.ends_with("with time zone") => {
            format!("(now() at time zone {})", literal(name))
        }
        Some(_) | None => "now()".to_owned(),
    }
}

/// The table, its key and the key's type, as SQL text.
fn names(mapped: &Mapped) -> (String, String, &str) {
    let key = &mapped.mapping.key;
    (mapped.sql_name(), quoted(key), mapped.cast(key))
}

/// Text is compared as text, where `''` and null are one; anything else by its type, so that
/// `300.00` is `300`.
fn compared(mapped: &Mapped, name: &str, n: usize) -> String {
    let column = quoted(name);
    match mapped.table.column(name).map(|known| &known.column.kind) {
        Some(Kind::Text { .. } | Kind::Set { .. } | Kind::Other) | None => {
            format!("coalesce(t.{column}::text, '') = coalesce(g.g{n}, '')")
        }
        Some(
            Kind::Bool
            | Kind::Int { .. }
            | Kind::Decimal { .. }
            | Kind::Date
            | Kind::Time
            | Kind::Instant
            | Kind::Uuid
            | Kind::Reference(_),
        ) => format!("t.{column} is not distinct from g.g{n}::{}", mapped.cast(name)),
    }
}
