//! Reading definitions: the table with its columns, keys and relationships, then the options of choices.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::{Described, DescribedColumn, DescribedOption, Key, Navigation};
use crate::crm::dynamics::api::{Api, Read};
use crate::crm::dynamics::odata::{self, ROOT};
use crate::crm::http::{Call, Urgency};
use crate::peer::PeerError;
use crate::reconcile::Decimal;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    logical_name: String,
    entity_set_name: Option<String>,
    primary_id_attribute: Option<String>,
    #[serde(default)]
    change_tracking_enabled: Option<bool>,
    #[serde(default)]
    is_optimistic_concurrency_enabled: Option<bool>,
    attributes: Vec<Attribute>,
    keys: Vec<KeyMetadata>,
    many_to_one_relationships: Vec<Relationship>,
}

#[derive(Deserialize)]
struct List<T> {
    value: Vec<T>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "Value")]
    value: String,
}

/// A column, with what its type adds.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Attribute {
    logical_name: String,
    #[serde(rename = "AttributeTypeName")]
    kind: Option<Named>,
    required_level: Option<Named>,
    is_valid_for_create: Option<bool>,
    is_valid_for_update: Option<bool>,
    is_valid_for_read: Option<bool>,
    #[serde(rename = "IsValidODataAttribute")]
    is_told_by_web_api: Option<bool>,
    source_type: Option<u8>,
    is_secured: Option<bool>,
    is_primary_id: Option<bool>,
    max_length: Option<usize>,
    min_value: Option<Json>,
    max_value: Option<Json>,
    precision: Option<u8>,
    precision_source: Option<u8>,
    format: Option<String>,
    date_time_behavior: Option<Named>,
    targets: Option<Vec<String>>,
}

/// A column of choices, as a cast tells it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Choice {
    logical_name: String,
    #[serde(default)]
    option_set: Option<OptionSet>,
    #[serde(default)]
    global_option_set: Option<OptionSet>,
}

#[derive(Deserialize)]
struct OptionSet {
    #[serde(rename = "Options", default)]
    options: Vec<OptionMetadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OptionMetadata {
    value: i64,
    #[serde(default)]
    state: Option<i64>,
    #[serde(default)]
    default_status: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyMetadata {
    logical_name: String,
    key_attributes: Vec<String>,
    #[serde(default)]
    entity_key_index_status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Relationship {
    referencing_attribute: String,
    referenced_entity: String,
    #[serde(default)]
    referencing_entity_navigation_property_name: Option<String>,
}

/// What is asked of a table, with the parts that are asked for with it. Columns are not narrowed:
/// only whole do they say what their types add.
const PARTS: &str = "$select=LogicalName,EntitySetName,PrimaryIdAttribute,ChangeTrackingEnabled,\
                     IsOptimisticConcurrencyEnabled&$expand=Attributes,\
                     Keys($select=LogicalName,KeyAttributes,EntityKeyIndexStatus),\
                     ManyToOneRelationships($select=ReferencingAttribute,ReferencedEntity,\
                     ReferencingEntityNavigationPropertyName)";

/// The types of columns that have options, which are told by a cast to the type alone.
const CHOICES: [(&str, &str); 4] = [
    (
        "PicklistType",
        "PicklistAttributeMetadata?$select=LogicalName&$expand=OptionSet,GlobalOptionSet",
    ),
    ("StateType", "StateAttributeMetadata?$select=LogicalName&$expand=OptionSet"),
    ("StatusType", "StatusAttributeMetadata?$select=LogicalName&$expand=OptionSet"),
    (
        "MultiSelectPicklistType",
        "MultiSelectPicklistAttributeMetadata?$select=LogicalName&$expand=OptionSet,GlobalOptionSet",
    ),
];

/// A calculation, and a roll-up of other rows.
const CALCULATED: [u8; 2] = [1, 2];

/// The currency decides how many digits an amount has.
const BY_CURRENCY: u8 = 2;

/// The definitions of a table; `None` where there is no such table.
///
/// One call, one for each type of choices that the table has, and one for the currencies where it has
/// amounts.
pub(in crate::crm::dynamics) async fn describe(
    api: &Api,
    name: &str,
) -> Result<Option<Described>, PeerError> {
    let name = name.to_ascii_lowercase();
    let root = format!("{ROOT}/EntityDefinitions(LogicalName={})", odata::text(&name));
    let definition: Option<Definition> = api.metadata(&format!("{root}?{PARTS}")).await?;
    let Some(definition) = definition else { return Ok(None) };
    let by_currency = definition.attributes.iter().any(Attribute::follows_currency);
    let currency = if by_currency { currency_precision(api).await? } else { None };
    let columns = definition.attributes.iter().map(|one| one.column(currency));
    let mut columns = in_order(columns.collect(), |column: &DescribedColumn| column.name.clone());
    for (kind, cast) in CHOICES {
        if columns.iter().any(|column| column.kind == kind) {
            let path = format!("{root}/Attributes/Microsoft.Dynamics.CRM.{cast}");
            fill(&mut columns, list(api, &path).await?);
        }
    }
    let keys = definition.keys.into_iter().map(key).collect();
    let navigations = definition.many_to_one_relationships.into_iter().filter_map(navigation);
    Ok(Some(Described {
        set: definition.entity_set_name.unwrap_or_default(),
        id: definition.primary_id_attribute.unwrap_or_default(),
        tracked: definition.change_tracking_enabled.unwrap_or_default(),
        versions: definition.is_optimistic_concurrency_enabled.unwrap_or_default(),
        name: definition.logical_name,
        columns,
        keys: in_order(keys, |key: &Key| key.name.clone()),
        navigations: in_order(navigations.collect(), |one: &Navigation| {
            (one.column.clone(), one.target.clone())
        }),
        lacks: Vec::new(),
    }))
}

/// Lists come in no order that is promised, and descriptions are compared.
fn in_order<T, K: Ord>(mut all: Vec<T>, by: impl Fn(&T) -> K) -> Vec<T> {
    all.sort_by_key(by);
    all
}

async fn list<T: DeserializeOwned>(api: &Api, path: &str) -> Result<Vec<T>, PeerError> {
    let list: Option<List<T>> = api.metadata(path).await?;
    list.map(|list| list.value).ok_or_else(|| PeerError::Transient {
        doing: "describing a table",
        source: "a part of a table's definitions is not there".into(),
    })
}

/// The kinds of columns that the service itself fills where we do not.
const FILLED: [&str; 7] = [
    "OwnerType",
    "StateType",
    "StatusType",
    "UniqueidentifierType",
    "BooleanType",
    "BigIntType",
    "EntityNameType",
];

impl Attribute {
    /// Whether the currency decides how many digits it has.
    fn follows_currency(&self) -> bool {
        self.precision_source == Some(BY_CURRENCY)
    }

    fn column(&self, currency: Option<u8>) -> DescribedColumn {
        let kind = self.kind.as_ref().map_or("", |name| name.value.as_str());
        let system = self.required_level.as_ref().is_some_and(|l| l.value == "SystemRequired");
        let create = self.is_valid_for_create.unwrap_or_default();
        let currency = currency.filter(|_| self.follows_currency());
        DescribedColumn {
            name: self.logical_name.clone(),
            kind: kind.to_owned(),
            create,
            update: self.is_valid_for_update.unwrap_or_default()
                && !self.is_primary_id.unwrap_or_default(),
            // The Web API may not tell what others can read.
            read: self.is_valid_for_read.unwrap_or_default()
                && self.is_told_by_web_api != Some(false),
            calculated: self.source_type.is_some_and(|from| CALCULATED.contains(&from)),
            secured: self.is_secured.unwrap_or_default(),
            required: system && create && !FILLED.contains(&kind),
            length: self.max_length,
            min: self.min_value.as_ref().and_then(number),
            max: self.max_value.as_ref().and_then(number),
            precision: currency.or(self.precision),
            date_only_format: self.format.as_deref() == Some("DateOnly"),
            behaviour: self.date_time_behavior.as_ref().map(|behaviour| behaviour.value.clone()),
            options: Vec::new(),
            targets: in_order(self.targets.clone().unwrap_or_default(), Clone::clone),
        }
    }
}

/// Puts options into their columns.
fn fill(columns: &mut [DescribedColumn], choices: Vec<Choice>) {
    for choice in choices {
        let mut columns = columns.iter_mut();
        let Some(column) = columns.find(|column| column.name == choice.logical_name) else {
            continue;
        };
        let sets = choice.option_set.into_iter().chain(choice.global_option_set);
        let options = sets.map(|set| set.options).find(|options| !options.is_empty());
        column.options = in_order(
            options.unwrap_or_default().iter().map(option).collect(),
            |option: &DescribedOption| option.value,
        );
    }
}

/// The fewest digits of a currency that is in use: what has no more survives in all of them.
async fn currency_precision(api: &Api) -> Result<Option<u8>, PeerError> {
    let path = odata::query("transactioncurrencies", &[("$select", "currencyprecision")]);
    let asked = Read { path: &path, prefer: "", call: Call::Describe, urgency: Urgency::Ordinary };
    match api.rows(asked, &mut || ()).await {
        Ok(rows) => {
            let digits = |row: &crate::crm::dynamics::api::Record| {
                u8::try_from(row.get("currencyprecision")?.as_u64()?).ok()
            };
            Ok(rows.records.iter().filter_map(digits).min())
        }
        // The column's own precision has to do.
        Err(PeerError::Unfit { .. } | PeerError::Denied { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A bound as plain digits.
fn number(bound: &Json) -> Option<String> {
    let number: Decimal = bound.as_number()?.to_string().parse().ok()?;
    Some(number.to_string())
}

fn option(option: &OptionMetadata) -> DescribedOption {
    DescribedOption { value: option.value, state: option.state, status: option.default_status }
}

fn key(key: KeyMetadata) -> Key {
    Key {
        name: key.logical_name,
        columns: key.key_attributes,
        status: key.entity_key_index_status.unwrap_or_default(),
    }
}

fn navigation(one: Relationship) -> Option<Navigation> {
    let name = one.referencing_entity_navigation_property_name.filter(|name| !name.is_empty())?;
    Some(Navigation { column: one.referencing_attribute, target: one.referenced_entity, name })
}
