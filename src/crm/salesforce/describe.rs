//! What an object looks like: its describe as [`Column`]s, and what stands against a mapping.
//!
//! A field that the integration user may not see is not in a describe at all, so "there is no such
//! field" has two remedies. Read at start, so that what cannot work is said before anything is
//! written.

mod fitness;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::crm::standing::Looks;
use crate::crm::wanted::{Rights, STAMP_LENGTH_MIN, Wanted};
use crate::reconcile::mapping::{Column, Kind};
use crate::reconcile::shape::Case;

/// Numbers are doubles over there, whatever precision is declared: digits beyond these do not come
/// back as they were sent, and the field would go back and forth for ever.
const DIGITS_KEPT: u8 = 15;

/// An object as the integration user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its API name, in its own letters.
    pub name: Arc<str>,
    /// Its fields, by API name.
    pub columns: BTreeMap<Arc<str>, Column>,
    /// What may be done with its records.
    pub rights: Rights,
    /// Whether its records are merged, so that a deleted one may name a survivor.
    pub mergeable: bool,
    /// Whether Salesforce keeps a log of which of its records changed.
    pub replicateable: bool,
    /// Its record types.
    pub record_types: Vec<RecordType>,
    keys: BTreeMap<Arc<str>, Key>,
}

/// A record type: which picklist values and pages a record has.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordType {
    /// Its id, which differs between organisations.
    #[serde(rename = "recordTypeId")]
    id: String,
    /// Its name, which does not.
    developer_name: String,
    /// Whether it is in use.
    #[serde(default)]
    active: bool,
    /// Whether the integration user may give it to a record.
    #[serde(default)]
    available: bool,
}

/// What describes a field beside its column: what it can do as a key, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "as Salesforce describes fields")]
struct Key {
    external: bool,
    length: usize,
    folds_case: bool,
    filterable: bool,
    calculated: bool,
}

impl Object {
    /// The field of this name; letters' case does not matter to Salesforce.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns
            .get(name)
            .or_else(|| self.columns.values().find(|column| column.name.eq_ignore_ascii_case(name)))
    }

    /// Everything that stands against a mapping, each with what would mend it.
    pub fn problems(&self, wanted: &Wanted<'_>) -> Vec<String> {
        let mut problems = Vec::new();
        let object = &self.name;
        let rights = [
            ("Read", wanted.rights.query, self.rights.query),
            ("Create", wanted.rights.create, self.rights.create),
            ("Edit", wanted.rights.update, self.rights.update),
            ("Delete", wanted.rights.delete, self.rights.delete),
        ];
        for (right, wanted, given) in rights {
            if wanted && !given {
                problems.push(format!(
                    "the integration user lacks the object permission {right} on `{object}`; grant \
                     it in a permission set"
                ));
            }
        }
        if self.column("SystemModstamp").is_none() {
            problems.push(format!(
                "`{object}` has no SystemModstamp, so its changes cannot be followed"
            ));
        }
        problems.extend(wanted.external_id.and_then(|name| self.unfit_external_id(name)));
        problems.extend(wanted.stamp.and_then(|name| self.unfit_stamp(name)));
        problems
    }

    /// The id of a record type, by that or by its developer name.
    pub fn record_type(&self, name: &str) -> Result<&str, String> {
        let object = &self.name;
        let is = |known: &&RecordType| {
            known.developer_name.eq_ignore_ascii_case(name) || known.id == name
        };
        let Some(found) = self.record_types.iter().find(is) else {
            let known: Vec<&str> =
                self.record_types.iter().map(|known| &*known.developer_name).collect();
            return Err(format!(
                "`{object}` has no record type `{name}`; there are {}",
                known.join(", ")
            ));
        };
        if !found.active || !found.available {
            return Err(format!(
                "the record type `{name}` of `{object}` is not active, or not available to the \
                 integration user; activate it, or assign it in a permission set"
            ));
        }
        Ok(&found.id)
    }

    fn unfit_external_id(&self, name: &str) -> Option<String> {
        let object = &self.name;
        let Some(column) = self.column(name) else { return Some(self.missing(name)) };
        let external = self.keys.get(&column.name).is_some_and(|key| key.external);
        let text = matches!(column.kind, Kind::Text { .. });
        if !text || !external || !column.unique {
            return Some(format!(
                "external_id `{name}` of `{object}` is {}{}{}; make it a text field with `Unique` \
                 and `External ID` ticked",
                column.type_name,
                if column.unique { "" } else { ", not unique" },
                if external { "" } else { ", not an external id" },
            ));
        }
        (!column.creatable).then(|| unwritable(object, name))
    }

    fn unfit_stamp(&self, name: &str) -> Option<String> {
        let object = &self.name;
        let Some(column) = self.column(name) else { return Some(self.missing(name)) };
        let length = self.keys.get(&column.name).map_or(0, |key| key.length);
        if !matches!(column.kind, Kind::Text { .. }) || length < STAMP_LENGTH_MIN {
            return Some(format!(
                "stamp `{name}` of `{object}` is {} of {length} characters; make it a text field of \
                 at least {STAMP_LENGTH_MIN}",
                column.type_name
            ));
        }
        (!column.creatable || !column.updatable).then(|| unwritable(object, name))
    }

    /// Why a field is not there, with both remedies.
    pub fn missing(&self, name: &str) -> String {
        format!(
            "`{}` has no field `{name}` that the integration user can see; correct the API name, or \
             grant the field's permission in a permission set",
            self.name
        )
    }
}

impl Looks for Object {
    fn column(&self, name: &str) -> Option<&Column> {
        self.column(name)
    }

    fn missing(&self, name: &str) -> String {
        self.missing(name)
    }
}

fn unwritable(object: &str, name: &str) -> String {
    format!(
        "`{name}` of `{object}` cannot be written by the integration user; grant Edit on the field"
    )
}

/// A describe as it comes, as far as it is looked at; may be kept and read again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "as Salesforce describes objects")]
pub struct Described {
    name: String,
    #[serde(default)]
    createable: bool,
    #[serde(default)]
    updateable: bool,
    #[serde(default)]
    deletable: bool,
    #[serde(default)]
    queryable: bool,
    #[serde(default)]
    mergeable: bool,
    #[serde(default)]
    replicateable: bool,
    #[serde(default)]
    record_type_infos: Vec<RecordType>,
    fields: Vec<DescribedField>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "as Salesforce describes fields")]
struct DescribedField {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    length: usize,
    #[serde(default)]
    digits: u32,
    #[serde(default)]
    precision: u8,
    #[serde(default)]
    scale: u8,
    #[serde(default)]
    nillable: bool,
    #[serde(default)]
    createable: bool,
    #[serde(default)]
    updateable: bool,
    #[serde(default)]
    defaulted_on_create: bool,
    #[serde(default)]
    unique: bool,
    #[serde(default)]
    external_id: bool,
    #[serde(default = "yes")]
    case_sensitive: bool,
    #[serde(default = "yes")]
    filterable: bool,
    #[serde(default)]
    calculated: bool,
    #[serde(default)]
    auto_number: bool,
    #[serde(default)]
    restricted_picklist: bool,
    #[serde(default)]
    picklist_values: Vec<Choice>,
    #[serde(default)]
    reference_to: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Choice {
    value: Option<String>,
    #[serde(default)]
    active: bool,
}

/// What is not said stands against nothing.
fn yes() -> bool {
    true
}

impl Described {
    /// What is described.
    pub fn object(&self) -> Object {
        let keys = self.fields.iter().map(|field| {
            let key = Key {
                external: field.external_id,
                length: field.length,
                folds_case: !field.case_sensitive,
                filterable: field.filterable,
                calculated: field.calculated,
            };
            (field.name.as_str().into(), key)
        });
        Object {
            name: self.name.as_str().into(),
            rights: Rights {
                query: self.queryable,
                create: self.createable,
                update: self.updateable,
                delete: self.deletable,
            },
            mergeable: self.mergeable
                && self.fields.iter().any(|field| field.name == "MasterRecordId"),
            replicateable: self.replicateable,
            record_types: self.record_type_infos.clone(),
            keys: keys.collect(),
            columns: self.fields.iter().map(DescribedField::column).map(named).collect(),
        }
    }
}

fn named(column: Column) -> (Arc<str>, Column) {
    (Arc::clone(&column.name), column)
}

impl DescribedField {
    fn column(&self) -> Column {
        // Formulas and automatic numbers are never written, whatever else is said of them.
        let own = self.calculated || self.auto_number;
        Column {
            name: self.name.as_str().into(),
            type_name: self.kind.as_str().into(),
            kind: self.column_kind(),
            nullable: self.nillable,
            required: !self.nillable && !self.defaulted_on_create && self.createable && !own,
            unique: self.unique,
            creatable: self.createable && !own,
            updatable: self.updateable && !own,
        }
    }

    fn column_kind(&self) -> Kind {
        let text =
            |case, only| Kind::Text { max: (self.length > 0).then_some(self.length), case, only };
        match self.kind.as_str() {
            "boolean" => Kind::Bool,
            "int" => {
                let digits = if self.digits == 0 { 9 } else { self.digits.min(18) };
                let most = 10_i64.pow(digits) - 1;
                Kind::Int { min: -most, max: most }
            }
            "long" => Kind::Int { min: i64::MIN, max: i64::MAX },
            "double" | "currency" | "percent" => Kind::Decimal {
                whole: self.precision.min(DIGITS_KEPT).saturating_sub(self.scale),
                scale: self.scale,
            },
            "email" => text(Case::Lower, None),
            "picklist" | "combobox" => text(Case::Kept, self.only()),
            "string" | "textarea" | "phone" | "url" | "encryptedstring" => text(Case::Kept, None),
            "multipicklist" => {
                Kind::Set { max: (self.length > 0).then_some(self.length), only: self.only() }
            }
            "date" => Kind::Date,
            "datetime" => Kind::Instant,
            "time" => Kind::Time,
            "reference" => {
                Kind::Reference(self.reference_to.iter().map(|to| to.as_str().into()).collect())
            }
            _ => Kind::Other,
        }
    }

    /// The active values of a restricted picklist; others take any text.
    fn only(&self) -> Option<Arc<[Arc<str>]>> {
        if !self.restricted_picklist {
            return None;
        }
        let active = self.picklist_values.iter().filter(|choice| choice.active);
        Some(active.filter_map(|choice| choice.value.as_deref().map(Arc::from)).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object() -> Object {
        let field = |name: &str, kind: &str, more: serde_json::Value| {
            let mut field = json!({ "name": name, "type": kind, "createable": true,
                "updateable": true, "nillable": true });
            let more = more.as_object().unwrap().clone();
            field.as_object_mut().unwrap().extend(more);
            field
        };
        let described: Described = serde_json::from_value(json!({
            "name": "Contact", "queryable": true, "createable": true, "updateable": true,
            "mergeable": true,
            "fields": [
                field("SystemModstamp", "datetime", json!({ "updateable": false })),
                field("MasterRecordId", "reference", json!({ "referenceTo": ["Contact"] })),
                field("LastName", "string", json!({ "length": 80, "nillable": false })),
                field("Email", "email", json!({ "length": 80 })),
                field("Source", "picklist", json!({ "length": 40, "restrictedPicklist": true,
                    "picklistValues": [{ "value": "Web", "active": true },
                        { "value": "Fax", "active": false }] })),
                field("Score", "double", json!({ "precision": 10, "scale": 2 })),
                field("Count", "int", json!({ "digits": 8 })),
                field("Formula", "string", json!({ "calculated": true, "length": 99 })),
                field("Key", "string", json!({ "length": 80, "unique": true, "externalId": true })),
                field("Short", "string", json!({ "length": 20 })),
                field("Account", "reference", json!({ "referenceTo": ["Account"] })),
            ],
        }))
        .unwrap();
        described.object()
    }

    #[test]
    fn fields_become_columns() {
        let object = object();
        let kind = |name: &str| object.column(name).unwrap().kind.clone();
        assert_eq!(kind("email"), Kind::Text { max: Some(80), case: Case::Lower, only: None });
        assert_eq!(kind("Score"), Kind::Decimal { whole: 8, scale: 2 });
        assert_eq!(kind("Count"), Kind::Int { min: -99_999_999, max: 99_999_999 });
        assert_eq!(kind("Account"), Kind::Reference(vec!["Account".into()]));
        let only: Arc<[Arc<str>]> = ["Web".into()].into();
        let source = Kind::Text { max: Some(40), case: Case::Kept, only: Some(only) };
        assert_eq!(kind("Source"), source);
        assert!(object.column("LastName").unwrap().required);
        assert!(!object.column("Formula").unwrap().updatable);
        assert!(object.mergeable);
    }

    #[test]
    fn a_record_type_is_found_by_its_developer_name() {
        let info = |name: &str, id: &str, available: bool| {
            json!({ "recordTypeId": id, "developerName": name, "name": name, "active": true,
                "available": available, "master": name == "Master" })
        };
        let described: Described = serde_json::from_value(json!({ "name": "Contact", "fields": [],
            "recordTypeInfos": [info("Customer", "012xx0000000001AAA", true),
                info("Internal", "012xx0000000002AAA", false)] }))
        .unwrap();
        let object = described.object();
        assert_eq!(object.record_type("customer"), Ok("012xx0000000001AAA"));
        assert_eq!(object.record_type("012xx0000000001AAA"), Ok("012xx0000000001AAA"));
        assert!(object.record_type("Partner").unwrap_err().contains("Customer, Internal"));
        assert!(object.record_type("Internal").unwrap_err().contains("permission set"));
    }

    #[test]
    fn what_stands_against_a_mapping_is_said_with_its_remedy() {
        let rights = Rights { query: true, create: true, update: true, delete: true };
        let problems = |external_id, stamp| {
            let wanted = Wanted { external_id: Some(external_id), stamp: Some(stamp), rights };
            object().problems(&wanted)
        };
        let deletes = problems("Key", "Formula");
        assert_eq!(deletes.len(), 2, "{deletes:?}");
        assert!(deletes[0].contains("permission Delete"), "{deletes:?}");
        assert!(deletes[1].contains("cannot be written"), "{deletes:?}");
        let weak = problems("LastName", "Short");
        assert!(weak[1].contains("not unique, not an external id"), "{weak:?}");
        assert!(weak[2].contains("at least 60"), "{weak:?}");
        assert!(problems("Nope", "Key")[1].contains("has no field `Nope`"));
    }
}
