//! Where an object's records live, and by which name: the mapping that the config has, a table that is
//! there, or one that is to be made.

use std::collections::BTreeSet;

use super::pairs::RECIPIENTS;
use super::{Existing, World, table};
use crate::discover::names;
use crate::discover::object::{Account, Object, Table};
use crate::discover::schema::{Attribute, Element, Part, Schema};
use crate::discover::{columns, sql};
use crate::reconcile::mapping::{Column, Kind};

/// An object with the place of its records.
#[derive(Debug)]
pub(super) struct Home<'a> {
    pub(super) object: &'a Object,
    /// The mapping, where the config has one.
    pub(super) existing: Option<&'a Existing>,
    /// The mapping's name.
    pub(super) label: String,
    /// The table as it will be.
    pub(super) table: Table,
    /// The schema that columns may be added to, where there is one.
    pub(super) schema: Option<Schema>,
    /// Whether the table is not there yet.
    pub(super) is_new: bool,
    pub(super) why: String,
}

pub(super) fn find<'a>(
    account: &Account,
    objects: &[&'a Object],
    world: &World<'a>,
) -> Vec<Home<'a>> {
    let mut taken: BTreeSet<String> =
        world.mappings.iter().map(|mapping| mapping.table.clone()).collect();
    let mut labels: BTreeSet<String> =
        world.mappings.iter().map(|mapping| mapping.label.clone()).collect();
    let mut homes = Vec::new();
    for object in objects {
        let existing = world.mappings.iter().find(|mapping| {
            mapping.crm == account.name && mapping.object.eq_ignore_ascii_case(&object.name)
        });
        let mut home = match existing {
            Some(existing) => known(object, existing, world),
            None => chosen(object, world, &taken),
        };
        if existing.is_none() {
            home.label = label(object, account, &mut labels);
        }
        taken.insert(home.table.name.to_string());
        homes.push(home);
    }
    homes
}

/// The schema of a table, where it is known which one that is.
pub(super) fn schema_of(table: &str, schemas: &[Schema]) -> Option<String> {
    if table == RECIPIENTS {
        return Some("nms:recipient".to_owned());
    }
    own(table, schemas).map(Schema::full_name)
}

/// The schema that makes a table, not one that extends it.
fn own<'a>(table: &str, schemas: &'a [Schema]) -> Option<&'a Schema> {
    let mut whole = schemas.iter().filter(|schema| schema.extends.is_none());
    whole.find(|schema| schema.table().eq_ignore_ascii_case(table))
}

fn label(object: &Object, account: &Account, labels: &mut BTreeSet<String>) -> String {
    let plural = names::label(&object.plural);
    let plain = object.plural.is_ascii() && !object.plural.is_empty();
    let label = if plain { plural } else { names::label(object.bare()) };
    if labels.insert(label.clone()) {
        return label;
    }
    names::distinct(&names::label(&format!("{label}_{}", account.name)), labels)
}

fn known<'a>(object: &'a Object, existing: &'a Existing, world: &World<'a>) -> Home<'a> {
    let live = world.tables.iter().find(|table| *table.name == *existing.table);
    let schema = own(&existing.table, world.schemas).cloned();
    let schema = schema.or_else(|| {
        let made = fresh(object, world.namespace, &BTreeSet::new());
        (live.is_none() && made.table().eq_ignore_ascii_case(&existing.table)).then_some(made)
    });
    Home {
        existing: Some(existing),
        label: existing.label.clone(),
        table: with_schema(live, schema.as_ref(), &existing.table),
        schema: schema.or_else(|| extension(&existing.table, world)),
        is_new: live.is_none(),
        why: "as the config says".to_owned(),
        object,
    }
}

fn chosen<'a>(object: &'a Object, world: &World<'a>, taken: &BTreeSet<String>) -> Home<'a> {
    if let Some((live, why)) = table::choose(object, world.tables, taken) {
        let schema = own(&live.name, world.schemas).cloned();
        return Home {
            existing: None,
            label: String::new(),
            table: with_schema(Some(live), schema.as_ref(), &live.name),
            schema: schema.or_else(|| extension(&live.name, world)),
            is_new: false,
            object,
            why,
        };
    }
    let mut there = taken.clone();
    there.extend(world.tables.iter().map(|table| table.name.to_string()));
    let mut schema = fresh(object, world.namespace, &there);
    if let Some(written) = own(&schema.table(), world.schemas) {
        schema = written.clone();
    }
    Home {
        existing: None,
        label: String::new(),
        table: with_schema(None, Some(&schema), &schema.table().to_lowercase()),
        schema: Some(schema),
        is_new: true,
        why: "no table bears its name or has its columns".to_owned(),
        object,
    }
}

/// A new schema for an object; its table is not among these.
fn fresh(object: &Object, namespace: &str, there: &BTreeSet<String>) -> Schema {
    let base = names::identifier(object.bare());
    let mut name = base.clone();
    for number in 2_u32.. {
        if !there.contains(&names::table(namespace, &name).to_lowercase()) {
            break;
        }
        name = format!("{base}{number}");
    }
    let kept = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Schema {
        namespace: namespace.to_owned(),
        label: object.plural.clone(),
        more: vec![
            kept("labelSingular", &object.label),
            kept("mappingType", "sql"),
            kept("entitySchema", "xtk:srcSchema"),
            kept("xtkschema", "xtk:srcSchema"),
        ],
        element: Element {
            name: name.clone(),
            autopk: true,
            sequence: Some(names::sequence(namespace, &name)),
            parts: vec![Part::Aggregate {
                name: "auditTrail".to_owned(),
                of: sql::AUDIT.to_owned(),
            }],
            ..Element::default()
        },
        name,
        ..Schema::default()
    }
}

/// The schema by which recipients get columns, where somebody wants that.
fn extension(table: &str, world: &World<'_>) -> Option<Schema> {
    let extended = "nms:recipient";
    if table != RECIPIENTS {
        return None;
    }
    let mut schemas = world.schemas.iter();
    let written = schemas.find(|schema| schema.extends.as_deref() == Some(extended)).cloned();
    let kept = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let empty = || Schema {
        namespace: world.namespace.to_owned(),
        name: "recipient".to_owned(),
        label: "Recipients".to_owned(),
        extends: Some(extended.to_owned()),
        more: vec![
            kept("mappingType", "sql"),
            kept("entitySchema", "xtk:srcSchema"),
            kept("xtkschema", "xtk:srcSchema"),
        ],
        element: Element { name: "recipient".to_owned(), ..Element::default() },
        ..Schema::default()
    };
    written.or_else(|| world.extend.then(empty))
}

/// A table as it will be once its schema is carried out.
fn with_schema(live: Option<&Table>, schema: Option<&Schema>, name: &str) -> Table {
    let mut table = live.cloned().unwrap_or_else(|| Table {
        name: name.into(),
        key: schema.map_or("", |schema| &schema.element.name).into(),
        columns: Vec::new(),
        folder: None,
    });
    let Some(schema) = schema else { return table };
    if live.is_none() {
        table.key = names::key_column(&schema.element.name).to_lowercase().into();
        table.columns.push(number(&table.key));
    }
    let links = schema.element.parts.iter().filter_map(|part| match part {
        Part::Link(link) if link.joins.is_empty() => {
            Some(number(&names::link_column(&link.name).to_lowercase()))
        }
        Part::Link(_) | Part::Structure(_) | Part::Aggregate { .. } => None,
    });
    let stored = schema.element.attributes.iter().filter(|attribute: &&Attribute| attribute.stored);
    for column in stored.map(columns::column).chain(links) {
        if table.column(&column.name).is_none() {
            table.columns.push(column);
        }
    }
    table
}

/// A column of a key.
pub(super) fn number(name: &str) -> Column {
    Column {
        name: name.into(),
        type_name: "integer".into(),
        kind: Kind::Int { min: i32::MIN.into(), max: i32::MAX.into() },
        nullable: false,
        required: false,
        unique: false,
        creatable: true,
        updatable: true,
    }
}
