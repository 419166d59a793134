//! What a mapping says beside its fields: keys, by what records match, where they may be made.

use super::home::Home;
use super::{Confidence, Mapped, Settings, pairs};
use crate::discover::names::plain;
use crate::discover::object::{Field, Found, Object};
use crate::discover::schema::{Index, KeyField, Schema};
use crate::reconcile::mapping::Kind;

pub(super) fn settings(
    home: &Home<'_>,
    fields: &[Mapped],
    schema: Option<&mut Schema>,
) -> Settings {
    let object = home.object;
    let mut settings = Settings {
        to_campaign: object.no_update.is_some(),
        folder: home.table.folder,
        match_on: match_on(home, fields).into_iter().collect(),
        ..Settings::default()
    };
    if let Some(why) = &object.no_update {
        settings.remarks.push(why.clone());
    }
    settings.external_id = found(&object.external_id, EXTERNAL_ID, &mut settings.remarks);
    settings.stamp = found(&object.stamp, STAMP, &mut settings.remarks);
    let (campaign, remark) = may_create_in_campaign(home, fields);
    settings.remarks.extend(remark);
    let (crm, remark) = may_create_in_crm(object, fields, settings.external_id.is_some());
    settings.remarks.extend(remark);
    settings.create = (campaign, crm && !settings.to_campaign);
    let matched = settings.match_on.first();
    let matched = fields.iter().find(|field| Some(&field.label) == matched);
    if let Some(schema) = schema {
        if let Some(column) = matched.and_then(|field| field.campaign.first()) {
            index(schema, column);
        }
        if home.existing.is_none() {
            call(schema);
        }
    }
    settings
}

const EXTERNAL_ID: &str = "no external_id: without a unique external id field named like Truce_Id \
     (text, 80) no record is made in the CRM";
const STAMP: &str = "no stamp: a text field named like Truce_Stamp (80) would let a write whose answer was \
     lost be settled sooner";

fn found(found: &Found, missing: &str, remarks: &mut Vec<String>) -> Option<String> {
    match found {
        Found::Fit(name) => return Some(name.to_string()),
        Found::Unfit(why) => remarks.push(why.clone()),
        Found::Nothing => remarks.push(missing.to_owned()),
    }
    None
}

/// The field by which records that were never linked find each other: an address, else a number that
/// nobody shares, else, in a table that has rows, a name.
fn match_on(home: &Home<'_>, fields: &[Mapped]) -> Option<String> {
    let object = home.object;
    let usable = |mapped: &&Mapped| {
        let field = mapped.crm.first().and_then(|name| object.field(name));
        let text = |field: &Field| matches!(field.beside_text, Kind::Text { .. });
        let short = mapped.campaign.iter().all(|column| column.starts_with('s'));
        !mapped.consent
            && Confidence::Likely <= mapped.confidence
            && mapped.references.is_none()
            && short
            && field.is_some_and(|field| field.filterable && text(field))
    };
    let by = |is: &dyn Fn(&Field) -> bool| {
        let mut usable = fields.iter().filter(usable);
        let found = usable.find(|mapped| mapped.crm.iter().filter_map(|c| object.field(c)).any(is));
        found.map(|mapped| mapped.label.clone())
    };
    let is_address = |field: &Field| {
        ["email", "emailaddress1"].contains(&&*plain(&field.column.name))
            || &*field.column.type_name == "email"
    };
    let is_name = |field: &Field| plain(field.bare()) == "name" && !home.is_new;
    let number =
        by(&|field| field.column.unique).filter(|_| *home.table.name != *pairs::RECIPIENTS);
    by(&is_address).or(number).or_else(|| by(&is_name))
}

fn may_create_in_campaign(home: &Home<'_>, fields: &[Mapped]) -> (bool, Option<String>) {
    let mapped = |name: &str| fields.iter().any(|field| field.campaign.iter().any(|c| c == name));
    let lacking = home.table.columns.iter().find(|column| {
        let given = &*column.name == "ifolderid" && home.table.folder.is_some();
        column.required && column.name != home.table.key && !given && !mapped(&column.name)
    });
    let remark = lacking.map(|column| {
        let (table, name) = (&home.table.name, &column.name);
        format!("a new row of {table} needs {name}, which stands for nothing here: none is made")
    });
    (remark.is_none(), remark)
}

fn may_create_in_crm(object: &Object, fields: &[Mapped], has_key: bool) -> (bool, Option<String>) {
    if let Some(why) = &object.no_create {
        return (false, Some(why.clone()));
    }
    let mapped = |name: &str| fields.iter().any(|field| field.crm.iter().any(|c| c == name));
    let required = || object.fields.iter().filter(|f| f.column.required && f.column.creatable);
    if let Some(field) = required().find(|field| !mapped(&field.column.name)) {
        let (object, name) = (&object.name, &field.column.name);
        let remark = format!(
            "a new {object} needs {name}, which stands for nothing here: none is made; \
             create_with.crm could give it a value"
        );
        return (false, Some(remark));
    }
    let names: Vec<&str> = required().map(|field| &*field.column.name).collect();
    let remark = (has_key && !names.is_empty()).then(|| {
        format!(
            "a new {} needs {}: a record without is held; create_with.crm could give it a value",
            object.name,
            names.join(", ")
        )
    });
    (has_key, remark)
}

/// A record is called by its name, where it has one.
fn call(schema: &mut Schema) {
    let element = &mut schema.element;
    let has_name = element.attributes.iter().any(|attribute| attribute.name == "name");
    if schema.extends.is_none() && element.compute.is_none() && has_name {
        element.compute = Some("@name".to_owned());
    }
}

/// What is matched by is looked for: it gets an index, where the column is a schema's own.
fn index(schema: &mut Schema, column: &str) {
    let element = &mut schema.element;
    let named = element.attributes.iter().find(|one| one.column_name().to_lowercase() == *column);
    let Some(name) = named.map(|attribute| attribute.name.clone()) else { return };
    let path = format!("@{name}");
    let there = |index: &Index| index.fields.first() == Some(&KeyField::Path(path.clone()));
    if !element.indexes.iter().any(there) {
        let fields = vec![KeyField::Path(path)];
        element.indexes.push(Index { name, unique: false, more: Vec::new(), fields });
    }
}
