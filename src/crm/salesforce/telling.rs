//! What Salesforce tells people: the list of objects, how many records each has, labels of fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::crm::http::encode;
use crate::crm::salesforce::Account;
use crate::crm::told::{Listed, Told, ToldChoice, ToldField};
use crate::peer::PeerError;

#[derive(Deserialize)]
struct Global {
    sobjects: Vec<Brief>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "as Salesforce describes objects")]
struct Brief {
    name: String,
    label: String,
    label_plural: String,
    custom: bool,
    queryable: bool,
    layoutable: bool,
    replicateable: bool,
    custom_setting: bool,
    deprecated_and_hidden: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    s_objects: Vec<Count>,
}

#[derive(Deserialize)]
struct Count {
    name: String,
    count: u64,
}

#[derive(Deserialize)]
struct Fields {
    fields: Vec<Field>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Field {
    name: String,
    label: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    custom: bool,
    #[serde(default)]
    calculated: bool,
    #[serde(default)]
    auto_number: bool,
    #[serde(default)]
    picklist_values: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    value: Option<String>,
    label: Option<String>,
    #[serde(default)]
    active: bool,
}

/// So many objects are counted by one call: their names are in its address.
const COUNTED_AT_ONCE: usize = 200;

/// What Salesforce keeps of every record.
const KEPT: [&str; 15] = [
    "Id",
    "IsDeleted",
    "MasterRecordId",
    "CreatedDate",
    "CreatedById",
    "LastModifiedDate",
    "LastModifiedById",
    "SystemModstamp",
    "LastActivityDate",
    "LastViewedDate",
    "LastReferencedDate",
    "PhotoUrl",
    "Jigsaw",
    "JigsawContactId",
    "CleanStatus",
];

impl Account {
    /// The objects that hold records which people look at, by their labels.
    pub async fn objects(&self) -> Result<Vec<Listed>, PeerError> {
        let path = format!("{}/sobjects", self.api.root);
        let all: Option<Global> = self.api.metadata(path, "listing objects").await?;
        let seen = |one: &Brief| {
            one.queryable
                && one.layoutable
                && one.replicateable
                && !one.custom_setting
                && !one.deprecated_and_hidden
        };
        let listed = |one: Brief| Listed {
            name: one.name.into(),
            label: one.label,
            plural: one.label_plural,
            custom: one.custom,
        };
        let all = all.map(|all| all.sobjects).unwrap_or_default();
        Ok(all.into_iter().filter(seen).map(listed).collect())
    }

    /// How many records these objects have, about: Salesforce counts now and then. What it does not
    /// count is left out.
    pub async fn counts(&self, objects: &[Arc<str>]) -> Result<BTreeMap<Arc<str>, u64>, PeerError> {
        let mut counts = BTreeMap::new();
        for some in objects.chunks(COUNTED_AT_ONCE) {
            let names = encode(&some.join(","));
            let path = format!("{}/limits/recordCount?sObjects={names}", self.api.root);
            let told: Option<Counts> = self.api.metadata(path, "counting records").await?;
            let told = told.map(|told| told.s_objects).unwrap_or_default();
            counts.extend(told.into_iter().map(|one| (one.name.into(), one.count)));
        }
        Ok(counts)
    }

    /// Labels and lists of values of an object's fields.
    pub async fn tell(&self, object: &str) -> Result<Told, PeerError> {
        let told: Option<Fields> = self.api.describe(object).await?;
        let fields = told.map(|told| told.fields).unwrap_or_default();
        Ok(fields.into_iter().map(|field| (field.name.as_str().into(), field.told())).collect())
    }
}

impl Field {
    fn told(self) -> ToldField {
        let aside = self.aside();
        let choices = self.picklist_values.into_iter().filter_map(|choice| {
            let value = choice.value?;
            let label = choice.label.unwrap_or_else(|| value.clone());
            Some(ToldChoice { value, label, active: choice.active })
        });
        ToldField { label: self.label, custom: self.custom, choices: choices.collect(), aside }
    }

    fn aside(&self) -> Option<String> {
        let why = if KEPT.contains(&self.name.as_str()) {
            "Salesforce itself keeps it"
        } else if self.name == "OwnerId" {
            "is the record's owner, a user and no record of Campaign's"
        } else if self.name == "RecordTypeId" {
            "is the record's type; create_with.crm gives new records one"
        } else if self.calculated {
            "is calculated, and changes without its record's time"
        } else if self.auto_number {
            "Salesforce itself numbers it"
        } else if matches!(&*self.kind, "address" | "location") {
            "is put together of other fields"
        } else {
            return None;
        };
        Some(why.to_owned())
    }
}
