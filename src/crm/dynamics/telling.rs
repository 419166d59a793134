//! What Dynamics tells people: the list of tables, how many rows each has, labels of columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::crm::dynamics::Account;
use crate::crm::dynamics::odata::{self, ROOT};
use crate::crm::http::encode;
use crate::crm::told::{Listed, Told, ToldChoice, ToldField};
use crate::peer::PeerError;

#[derive(Deserialize)]
struct List<T> {
    value: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    logical_name: String,
    #[serde(default)]
    entity_set_name: Option<String>,
    #[serde(default)]
    display_name: Labels,
    #[serde(default)]
    display_collection_name: Labels,
    #[serde(default)]
    is_custom_entity: Option<bool>,
    #[serde(default)]
    is_intersect: Option<bool>,
    #[serde(default)]
    is_private: Option<bool>,
}

/// A text in the language of the application user, where it has one.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Labels {
    user_localized_label: Option<Label>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Label {
    label: String,
}

impl Labels {
    fn text(self) -> Option<String> {
        self.user_localized_label.map(|label| label.label).filter(|label| !label.is_empty())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute {
    logical_name: String,
    #[serde(default)]
    display_name: Labels,
    #[serde(default, rename = "IsCustomAttribute")]
    is_custom: Option<bool>,
    #[serde(default, rename = "AttributeOf")]
    belongs_to: Option<String>,
    #[serde(default)]
    source_type: Option<u8>,
    #[serde(default)]
    is_primary_id: Option<bool>,
    #[serde(default, rename = "AttributeTypeName")]
    kind: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "Value")]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Choices {
    logical_name: String,
    #[serde(default)]
    option_set: Option<OptionSet>,
    #[serde(default)]
    global_option_set: Option<OptionSet>,
}

#[derive(Deserialize)]
struct OptionSet {
    #[serde(rename = "Options", default)]
    options: Vec<Choice>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Choice {
    value: i64,
    #[serde(default)]
    label: Labels,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Counted {
    entity_record_count_collection: Counts,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Counts {
    keys: Vec<String>,
    values: Vec<u64>,
}

/// So many tables are counted by one call: their names are in its address.
const COUNTED_AT_ONCE: usize = 50;

/// What Dynamics keeps of every row.
const KEPT: [&str; 18] = [
    "createdon",
    "createdby",
    "createdonbehalfby",
    "modifiedon",
    "modifiedby",
    "modifiedonbehalfby",
    "overriddencreatedon",
    "importsequencenumber",
    "timezoneruleversionnumber",
    "utcconversiontimezonecode",
    "versionnumber",
    "exchangerate",
    "masterid",
    "merged",
    "processid",
    "stageid",
    "traversedpath",
    "participatesinworkflow",
];

const CASTS: [&str; 2] = ["PicklistAttributeMetadata", "MultiSelectPicklistAttributeMetadata"];

impl Account {
    /// The tables that hold rows which people look at, by their labels.
    pub async fn objects(&self) -> Result<Vec<Listed>, PeerError> {
        let select = "LogicalName,EntitySetName,DisplayName,DisplayCollectionName,IsCustomEntity,\
                      IsIntersect,IsPrivate";
        let all: Vec<Definition> =
            self.listed(&format!("{ROOT}/EntityDefinitions?$select={select}")).await?;
        let listed = |one: Definition| {
            let hidden = one.is_intersect.unwrap_or_default() || one.is_private.unwrap_or_default();
            // A table without a label or a set is the service's own.
            let label = one.display_name.text().filter(|_| !hidden)?;
            one.entity_set_name.filter(|set| !set.is_empty())?;
            let plural = one.display_collection_name.text().unwrap_or_else(|| label.clone());
            let custom = one.is_custom_entity.unwrap_or_default();
            Some(Listed { name: one.logical_name.into(), label, plural, custom })
        };
        Ok(all.into_iter().filter_map(listed).collect())
    }

    /// How many rows these tables have, about: Dynamics counts once a day. What it does not count is
    /// left out.
    pub async fn counts(&self, tables: &[Arc<str>]) -> Result<BTreeMap<Arc<str>, u64>, PeerError> {
        let mut counts = BTreeMap::new();
        for some in tables.chunks(COUNTED_AT_ONCE) {
            let names: Vec<String> = some.iter().map(|name| odata::text(name)).collect();
            let names = encode(&format!("[{}]", names.join(",")));
            let path = format!("{ROOT}/RetrieveTotalRecordCount(EntityNames={names})");
            match self.api.metadata::<Counted>(&path).await {
                Ok(told) => {
                    let told = told.map(|told| told.entity_record_count_collection);
                    let pairs =
                        told.into_iter().flat_map(|told| told.keys.into_iter().zip(told.values));
                    counts.extend(pairs.map(|(name, count)| (name.into(), count)));
                }
                // Tables that are kept elsewhere cannot be counted, nor can those beside them.
                Err(PeerError::Unfit { .. } | PeerError::Denied { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(counts)
    }

    /// Labels and lists of values of a table's columns.
    pub async fn tell(&self, table: &str) -> Result<Told, PeerError> {
        let name = odata::text(&table.to_ascii_lowercase());
        let root = format!("{ROOT}/EntityDefinitions(LogicalName={name})/Attributes");
        let select = "LogicalName,DisplayName,IsCustomAttribute,AttributeOf,SourceType,IsPrimaryId,\
                      AttributeTypeName";
        let all: Vec<Attribute> = self.listed(&format!("{root}?$select={select}")).await?;
        let mut told: Told = all.into_iter().map(Attribute::told).collect();
        for cast in CASTS {
            let select = "$select=LogicalName&$expand=OptionSet,GlobalOptionSet";
            let path = format!("{root}/Microsoft.Dynamics.CRM.{cast}?{select}");
            for of in self.listed::<Choices>(&path).await? {
                if let Some(field) = told.get_mut(of.logical_name.as_str()) {
                    field.choices = choices(of);
                }
            }
        }
        Ok(told)
    }

    async fn listed<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, PeerError> {
        let list: Option<List<T>> = self.api.metadata(path).await?;
        Ok(list.map(|list| list.value).unwrap_or_default())
    }
}

fn choices(of: Choices) -> Vec<ToldChoice> {
    let sets = of.option_set.into_iter().chain(of.global_option_set);
    let options = sets.map(|set| set.options).find(|options| !options.is_empty());
    let told = |choice: Choice| {
        let value = choice.value.to_string();
        let label = choice.label.text().unwrap_or_else(|| value.clone());
        ToldChoice { value, label, active: true }
    };
    options.unwrap_or_default().into_iter().map(told).collect()
}

impl Attribute {
    fn told(self) -> (Arc<str>, ToldField) {
        let aside = self.aside();
        let name: Arc<str> = self.logical_name.as_str().into();
        let label = self.display_name.text().unwrap_or(self.logical_name);
        let custom = self.is_custom.unwrap_or_default();
        (name, ToldField { label, custom, choices: Vec::new(), aside })
    }

    fn aside(&self) -> Option<String> {
        let name = self.logical_name.as_str();
        let kind = self.kind.as_ref().map_or("", |kind| kind.value.as_str());
        let why = if self.is_primary_id.unwrap_or_default() || KEPT.contains(&name) {
            "Dynamics itself keeps it"
        } else if let Some(of) = &self.belongs_to {
            return Some(format!("belongs to {of}"));
        } else if kind == "OwnerType" || name.starts_with("owning") {
            "is the record's owner, a user and no record of Campaign's"
        } else if matches!(kind, "StateType" | "StatusType") {
            "is the record's state; map it by hand where Campaign should set it"
        } else if self.source_type.is_some_and(|source| source != 0) {
            "is calculated, and changes without its record's time"
        } else if kind == "MoneyType" && name.ends_with("_base") {
            "is an amount in the base currency, which Dynamics calculates"
        } else {
            return None;
        };
        Some(why.to_owned())
    }
}
