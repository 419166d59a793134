//! What the grammar asks of a schema beyond its form: names, and that what is named is there.

use std::collections::BTreeSet;

use super::{Element, KeyField, Part, Schema};
use crate::discover::names;

/// Everything that Campaign would not take, each with its place.
pub fn problems(schema: &Schema) -> Vec<String> {
    let mut problems = Vec::new();
    let root = &schema.element;
    let wanted = schema.extends.as_deref().and_then(|name| name.split_once(':'));
    let wanted = wanted.map_or(schema.name.as_str(), |(_, name)| name);
    if root.name != wanted {
        problems.push(format!("element `{}`: the schema's own element is `{wanted}`", root.name));
    }
    name(&schema.namespace, "namespace", &mut problems);
    name(&schema.name, "srcSchema", &mut problems);
    let lists: BTreeSet<&str> = schema.enumerations.iter().map(|list| &*list.name).collect();
    if lists.len() != schema.enumerations.len() {
        problems.push("two enumerations bear one name".to_owned());
    }
    for list in &schema.enumerations {
        name(&list.name, "enumeration", &mut problems);
        let names: BTreeSet<&str> = list.values.iter().map(|value| &*value.name).collect();
        if names.len() != list.values.len() {
            problems.push(format!("enumeration `{}`: two values bear one name", list.name));
        }
        for value in &list.values {
            name(&value.name, &format!("a value of enumeration `{}`", list.name), &mut problems);
        }
    }
    element(root, &lists, &mut problems);
    if !schema.view {
        indexes(schema, &mut problems);
    }
    problems
}

fn name(name: &str, of: &str, problems: &mut Vec<String>) {
    if !names::is_name(name) {
        problems.push(format!(
            "{of}: `{name}` is no name: letters, digits, `_` and `-`, and no digit first"
        ));
    }
}

fn element(element: &Element, lists: &BTreeSet<&str>, problems: &mut Vec<String>) {
    let place = format!("element `{}`", element.name);
    name(&element.name, "element", problems);
    let mut attributes: BTreeSet<String> = BTreeSet::new();
    if element.autopk {
        attributes.insert("id".to_owned());
    }
    for attribute in &element.attributes {
        name(&attribute.name, &format!("an attribute of {place}"), problems);
        if !attributes.insert(attribute.name.to_lowercase()) {
            problems.push(format!("{place}: two attributes are called `{}`", attribute.name));
        }
        if let Some(list) = attribute.list.as_deref().filter(|list| !list.contains(':'))
            && !lists.contains(list)
        {
            problems.push(format!(
                "{place}: attribute `{}` is of a list `{list}` that is not there",
                attribute.name
            ));
        }
    }
    let mut parts: BTreeSet<&str> = BTreeSet::new();
    let mut links: BTreeSet<&str> = BTreeSet::new();
    for part in &element.parts {
        let part_name = match part {
            Part::Structure(inner) => {
                self::element(inner, lists, problems);
                &inner.name
            }
            Part::Link(link) => {
                links.insert(&link.name);
                if !link.target.contains(':') {
                    problems.push(format!("{place}: link `{}` names no schema", link.name));
                }
                &link.name
            }
            Part::Aggregate { name, .. } => name,
        };
        if !parts.insert(part_name) {
            problems.push(format!("{place}: two elements are called `{part_name}`"));
        }
    }
    let keyed = element.keys.iter().map(|key| (&key.name, &key.fields));
    let indexed = element.indexes.iter().map(|index| (&index.name, &index.fields));
    for (key, fields) in keyed.chain(indexed) {
        if fields.is_empty() {
            problems.push(format!("{place}: `{key}` is over nothing"));
        }
        for field in fields {
            let there = match field {
                KeyField::Path(path) => match path.strip_prefix('@') {
                    Some(attribute) => attributes.contains(&attribute.to_lowercase()),
                    // A path into a structure is not followed.
                    None => path.contains('/'),
                },
                KeyField::Link(link) => links.contains(link.as_str()),
            };
            if !there {
                problems.push(format!("{place}: `{key}` is over what is not there: {field:?}"));
            }
        }
    }
}

/// Index names are cut, so that two may become one.
fn indexes(schema: &Schema, problems: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for index in crate::discover::sql::indexes(schema) {
        if !seen.insert(index.name.to_lowercase()) {
            problems.push(format!("two indexes would be called {}", index.name));
        }
    }
}
