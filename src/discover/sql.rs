//! What Campaign's structure wizard would run for a schema: the table, its indexes, its sequence and
//! its row with key 0; or only what is not there yet.
//!
//! It differs from the wizard in one thing. A new number column is added with its default at once,
//! which PostgreSQL does without touching a row; the wizard adds it, updates the whole table and then
//! forbids nulls, which writes every row into the log.

use std::collections::BTreeSet;

use super::names;
use super::schema::{Attribute, Element, KeyField, Part, Schema, Type};

/// An index of a schema's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    /// Its name, in Campaign's letters.
    pub(crate) name: String,
    unique: bool,
    columns: Vec<String>,
}

/// A column of a schema's table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SqlColumn {
    name: String,
    definition: String,
}

/// The columns of a schema's table, as PostgreSQL names them.
pub fn columns(schema: &Schema) -> BTreeSet<String> {
    sql_columns(schema).into_iter().map(|column| column.name.to_lowercase()).collect()
}

/// The statements that bring a table to its schema: `live` are the columns that it has, in small
/// letters, and `None` where there is no table. Nothing where all is there, or no table is wanted.
pub fn statements(schema: &Schema, live: Option<&BTreeSet<String>>) -> Vec<String> {
    if schema.view {
        return Vec::new();
    }
    let table = schema.table();
    match live {
        None if schema.extends.is_none() => create(schema, &table),
        // What is extended is Campaign's own, and not ours to make.
        None => Vec::new(),
        Some(live) => alter(schema, &table, live),
    }
}

/// One file for a person or `psql`: all or nothing, in this schema of the database.
pub fn script(schema: &str, statements: &[String], why: &str) -> String {
    if statements.is_empty() {
        return format!("-- {why}\n-- Nothing is left to do.\n");
    }
    let schema = schema.replace('"', "\"\"");
    let statements = statements.join(";\n\n");
    // Whoever waits for a lock makes Campaign wait behind it.
    format!(
        "-- {why}\n\
         -- It is what Campaign's \"Update database structure\" makes of the schemas beside this file: let\n\
         -- either of both do it, not both.\n\n\
         begin;\n\
         set local search_path to \"{schema}\";\n\
         set local lock_timeout to '2s';\n\n{statements};\n\ncommit;\n"
    )
}

fn create(schema: &Schema, table: &str) -> Vec<String> {
    let mut statements = Vec::new();
    if let Some(sequence) = &schema.element.sequence {
        statements.push(format!(
            "create sequence if not exists {sequence} start with 1000 maxvalue 2147483646 cycle"
        ));
    }
    let columns: Vec<String> = sql_columns(schema)
        .iter()
        .map(|column| format!("    {} {}", column.name, column.definition))
        .collect();
    statements.push(format!("create table {table} (\n{}\n)", columns.join(",\n")));
    statements.extend(indexes(schema).iter().map(|index| make_index(index, table)));
    if schema.element.autopk {
        let key = names::key_column(&schema.element.name);
        // Links that refer to nothing join to it.
        statements.push(format!("insert into {table} ({key}) values (0)"));
    }
    statements
}

fn alter(schema: &Schema, table: &str, live: &BTreeSet<String>) -> Vec<String> {
    let missing = |name: &str| !live.contains(&name.to_lowercase());
    let mut statements: Vec<String> = sql_columns(schema)
        .iter()
        .filter(|column| missing(&column.name))
        .map(|column| {
            format!("alter table {table} add column {} {}", column.name, column.definition)
        })
        .collect();
    let new = indexes(schema).into_iter().filter(|index| index.columns.iter().any(|c| missing(c)));
    statements.extend(new.map(|index| make_index(&index, table)));
    statements
}

fn make_index(index: &Index, table: &str) -> String {
    let unique = if index.unique { "unique " } else { "" };
    format!("create {unique}index {} on {table} ({})", index.name, index.columns.join(", "))
}

/// In the order of their names, as Campaign makes them.
fn sql_columns(schema: &Schema) -> Vec<SqlColumn> {
    let mut columns = Vec::new();
    of_element(&schema.element, &mut columns);
    columns.sort_by_key(|column| column.name.to_lowercase());
    columns.dedup_by_key(|column| column.name.to_lowercase());
    columns
}

fn of_element(element: &Element, columns: &mut Vec<SqlColumn>) {
    if element.autopk {
        columns.push(number(names::key_column(&element.name)));
    }
    for attribute in &element.attributes {
        if attribute.stored {
            let definition = definition(attribute);
            columns.push(SqlColumn { name: attribute.column_name(), definition });
        } else if attribute.more.iter().any(|(name, value)| name == "xml" && value == "true") {
            columns.push(SqlColumn { name: "mData".to_owned(), definition: "text".to_owned() });
        }
    }
    for part in &element.parts {
        match part {
            Part::Structure(inner) => of_element(inner, columns),
            Part::Link(link) if link.joins.is_empty() => {
                columns.push(number(names::link_column(&link.name)));
            }
            Part::Aggregate { of, .. } if of == AUDIT => {
                for name in ["tsCreated", "tsLastModified"] {
                    let definition = Type::DateTime.sql(None);
                    columns.push(SqlColumn { name: name.to_owned(), definition });
                }
                columns.extend(AUDITORS.map(|link| number(names::link_column(link))));
            }
            Part::Link(_) | Part::Aggregate { .. } => {}
        }
    }
}

/// The ready-made group of when a record was made and changed, and by whom.
pub const AUDIT: &str = "xtk:common:auditTrail";

const AUDITORS: [&str; 2] = ["createdBy", "modifiedBy"];

fn number(name: String) -> SqlColumn {
    SqlColumn { name, definition: format!("{} not null default 0", Type::Long.sql(None)) }
}

fn definition(attribute: &Attribute) -> String {
    let kind = attribute.kind.sql(attribute.length);
    match (attribute.is_never_null(), attribute.kind.is_never_null()) {
        (true, true) => format!("{kind} not null default 0"),
        (true, false) => format!("{kind} not null"),
        (false, _) => kind,
    }
}

/// All indexes of a schema's table; that of its key first.
pub(crate) fn indexes(schema: &Schema) -> Vec<Index> {
    let (element, table) = (&schema.element, schema.table());
    let of = |name: &str, unique: bool, fields: &[KeyField]| Index {
        name: names::index(&table, name),
        unique,
        columns: fields.iter().filter_map(|field| key_column(element, field)).collect(),
    };
    let mut indexes = Vec::new();
    if element.autopk {
        let columns = vec![names::key_column(&element.name)];
        indexes.push(Index { name: names::index(&table, "id"), unique: true, columns });
    }
    let keys = element.keys.iter().filter(|key| !key.no_index);
    indexes.extend(keys.map(|key| of(&key.name, true, &key.fields)));
    indexes.extend(element.indexes.iter().map(|one| of(&one.name, one.unique, &one.fields)));
    for part in &element.parts {
        let links: Vec<&str> = match part {
            Part::Link(link) if link.joins.is_empty() => vec![&link.name],
            Part::Aggregate { of, .. } if of == AUDIT => AUDITORS.to_vec(),
            Part::Link(_) | Part::Aggregate { .. } | Part::Structure(_) => Vec::new(),
        };
        indexes.extend(links.into_iter().map(|link| Index {
            name: names::link_index(&table, link),
            unique: false,
            columns: vec![names::link_column(link)],
        }));
    }
    indexes
}

fn key_column(element: &Element, field: &KeyField) -> Option<String> {
    match field {
        KeyField::Link(link) => Some(names::link_column(link)),
        KeyField::Path(path) if path == "@id" && element.autopk => {
            Some(names::key_column(&element.name))
        }
        KeyField::Path(path) => {
            let named = path.strip_prefix('@')?;
            let known = element.attributes.iter().find(|attribute| attribute.name == named);
            known.map(Attribute::column_name)
        }
    }
}
