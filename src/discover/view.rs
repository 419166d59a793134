//! One schema an account, with all chosen objects in it, laid out as the wizard of Adobe's connector
//! does: so that marketers see in the console what the CRM has.
//!
//! It is a view: Campaign makes no table of it. First come the lists of values, then the objects, each
//! an element with a field an attribute. Its names are the CRM's own, so it also tells the next run
//! which fields were there.

use std::collections::{BTreeMap, BTreeSet};

use super::columns;
use super::object::{Account, Object};
use super::schema::{Attribute, Element, EnumValue, Enumeration, Part, Schema, Type};

/// The schema of an account. What an earlier one tells of objects that were not chosen this time
/// stays in it.
pub fn schema(account: &Account, objects: &[Object], earlier: Option<&Schema>) -> Schema {
    let prefix = account.crm.prefix();
    let name = name(account);
    let named: BTreeSet<&str> = objects.iter().map(|object| &*object.name).collect();
    let mut elements: Vec<Element> = earlier
        .map(of_objects)
        .into_iter()
        .flatten()
        .filter(|e| !named.contains(&*e.name))
        .cloned()
        .collect();
    let mut lists: Vec<Enumeration> = Vec::new();
    for list in earlier.iter().flat_map(|earlier| &earlier.enumerations) {
        let of_kept = elements.iter().flat_map(|element| &element.attributes);
        if of_kept.filter_map(|attribute| attribute.list.as_deref()).any(|of| of == list.name) {
            lists.push(list.clone());
        }
    }
    for object in objects {
        let (element, own) = element(object);
        elements.push(element);
        lists.extend(own);
    }
    elements.sort_by(|a, b| a.name.cmp(&b.name));
    lists.sort_by(|a, b| a.name.cmp(&b.name));
    lists.push(tables(prefix, &elements));
    let kept = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Schema {
        namespace: prefix.to_owned(),
        label: format!(
            "List of tables of connector '{}' linked to external account '{}'",
            account.crm.name(),
            account.name
        ),
        view: true,
        more: vec![
            kept("mappingType", "sql"),
            kept("entitySchema", "xtk:srcSchema"),
            kept("xtkschema", "xtk:srcSchema"),
        ],
        enumerations: lists,
        element: Element {
            name: name.clone(),
            parts: elements.into_iter().map(Part::Structure).collect(),
            ..Element::default()
        },
        name,
        extends: None,
    }
}

/// The schema's name: `sfdcSchemasalesforceCRM`.
pub fn name(account: &Account) -> String {
    format!("{}Schema{}", account.crm.prefix(), account.name)
}

/// The fields that an object had when a schema was written; `None` where it had not been chosen.
pub fn known(schema: &Schema, object: &str) -> Option<BTreeMap<String, String>> {
    let element = of_objects(schema).find(|element| element.name.eq_ignore_ascii_case(object))?;
    let told = |attribute: &Attribute| {
        (attribute.name.to_ascii_lowercase(), attribute.label.clone().unwrap_or_default())
    };
    Some(element.attributes.iter().map(told).collect())
}

fn of_objects(schema: &Schema) -> impl Iterator<Item = &Element> {
    schema.element.parts.iter().filter_map(|part| match part {
        Part::Structure(element) => Some(element),
        Part::Link(_) | Part::Aggregate { .. } => None,
    })
}

fn element(object: &Object) -> (Element, Vec<Enumeration>) {
    let mut lists = Vec::new();
    let mut attributes = Vec::new();
    for field in &object.fields {
        let list = format!("{}_{}", object.name, field.column.name);
        let label = format!("List of '{}' from '{}'", field.label, object.label);
        let (kind, length) = columns::kind(field).unwrap_or((Type::Memo, None));
        let list = columns::enumeration(field, &list, &label);
        attributes.push(Attribute {
            length,
            label: Some(field.label.clone()),
            // Several values of a list at once are a text of Campaign's.
            list: list.as_ref().filter(|list| is_of(list, kind)).map(|list| list.name.clone()),
            ..Attribute::new(&field.column.name, kind)
        });
        lists.extend(list);
    }
    let more = vec![("label".to_owned(), object.label.clone())];
    (Element { name: object.name.to_string(), more, attributes, ..Element::default() }, lists)
}

fn is_of(list: &Enumeration, kind: Type) -> bool {
    (list.basetype == Type::String) == (kind == Type::String || kind == Type::Memo)
}

/// The list of all objects, which the workflow activity of Adobe's connector chooses from.
fn tables(prefix: &str, elements: &[Element]) -> Enumeration {
    let value = |element: &Element| {
        let label = element.more.iter().find(|(name, _)| name == "label");
        EnumValue {
            name: element.name.clone(),
            value: Some(element.name.clone()),
            more: label.cloned().into_iter().collect(),
        }
    };
    Enumeration {
        name: format!("{prefix}Tables"),
        basetype: Type::String,
        more: vec![("label".to_owned(), "List of tables".to_owned())],
        values: elements.iter().map(value).collect(),
    }
}
