//! Reading definitions: the table, its columns by type, its keys, its relationships.

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

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute {
    logical_name: String,
    #[serde(default, rename = "AttributeTypeName")]
    kind: Option<Named>,
    #[serde(default)]
    required_level: Option<Named>,
    #[serde(default)]
    is_valid_for_create: Option<bool>,
    #[serde(default)]
    is_valid_for_update: Option<bool>,
    #[serde(default)]
    is_valid_for_read: Option<bool>,
    #[serde(default)]
    is_secured: Option<bool>,
    #[serde(default)]
    is_primary_id: Option<bool>,
}

/// What a cast tells of a column.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Typed {
    logical_name: String,
    #[serde(default)]
    max_length: Option<usize>,
    #[serde(default)]
    min_value: Option<Json>,
    #[serde(default)]
    max_value: Option<Json>,
    #[serde(default)]
    precision: Option<u8>,
    #[serde(default)]
    precision_source: Option<u8>,
    #[serde(default)]
    format: Option<String>,
    #[serde(default)]
    date_time_behavior: Option<Named>,
    #[serde(default)]
    option_set: Option<OptionSet>,
    #[serde(default)]
    global_option_set: Option<OptionSet>,
    #[serde(default)]
    targets: Vec<String>,
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

/// Each type of column that says more than every column does, and what is asked of it.
const CASTS: [(&str, &str); 11] = [
    ("StringAttributeMetadata", "$select=LogicalName,MaxLength"),
    ("MemoAttributeMetadata", "$select=LogicalName,MaxLength"),
    ("IntegerAttributeMetadata", "$select=LogicalName,MinValue,MaxValue"),
    ("DecimalAttributeMetadata", "$select=LogicalName,MinValue,MaxValue,Precision"),
    ("DoubleAttributeMetadata", "$select=LogicalName,MinValue,MaxValue,Precision"),
    ("MoneyAttributeMetadata", "$select=LogicalName,MinValue,MaxValue,Precision,PrecisionSource"),
    ("DateTimeAttributeMetadata", "$select=LogicalName,Format,DateTimeBehavior"),
    ("PicklistAttributeMetadata", OPTIONS),
    ("StateAttributeMetadata", STATES),
    ("StatusAttributeMetadata", STATES),
    ("MultiSelectPicklistAttributeMetadata", OPTIONS),
];

const LOOKUPS: (&str, &str) = ("LookupAttributeMetadata", "$select=LogicalName,Targets");

const OPTIONS: &str = "$select=LogicalName&$expand=OptionSet,GlobalOptionSet";
const STATES: &str = "$select=LogicalName&$expand=OptionSet";

/// The currency decides how many digits an amount has.
const BY_CURRENCY: u8 = 2;

/// The definitions of a table; `None` where there is no such table.
pub(in crate::crm::dynamics) async fn describe(
    api: &Api,
    name: &str,
) -> Result<Option<Described>, PeerError> {
    let name = name.to_ascii_lowercase();
    let root = format!("{ROOT}/EntityDefinitions(LogicalName={})", odata::text(&name));
    let select = "$select=LogicalName,EntitySetName,PrimaryIdAttribute,ChangeTrackingEnabled,\
                  IsOptimisticConcurrencyEnabled";
    let definition: Option<Definition> = api.metadata(&format!("{root}?{select}")).await?;
    let Some(definition) = definition else { return Ok(None) };
    let select = "$select=LogicalName,AttributeTypeName,RequiredLevel,IsValidForCreate,\
                  IsValidForUpdate,IsValidForRead,IsSecured,IsPrimaryId";
    let attributes: Vec<Attribute> = list(api, &format!("{root}/Attributes?{select}")).await?;
    let mut columns: Vec<DescribedColumn> = attributes.iter().map(column).collect();
    columns.sort_by(|a, b| a.name.cmp(&b.name));
    for (cast, options) in CASTS.into_iter().chain([LOOKUPS]) {
        let path = format!("{root}/Attributes/Microsoft.Dynamics.CRM.{cast}?{options}");
        let typed: Vec<Typed> = list(api, &path).await?;
        fill(api, &mut columns, typed).await?;
    }
    let keys: Vec<KeyMetadata> =
        list(api, &format!("{root}/Keys?$select=LogicalName,KeyAttributes,EntityKeyIndexStatus"))
            .await?;
    let select = "$select=ReferencingAttribute,ReferencedEntity,\
                  ReferencingEntityNavigationPropertyName";
    let relationships: Vec<Relationship> =
        list(api, &format!("{root}/ManyToOneRelationships?{select}")).await?;
    Ok(Some(Described {
        set: definition.entity_set_name.unwrap_or_default(),
        id: definition.primary_id_attribute.unwrap_or_default(),
        tracked: definition.change_tracking_enabled.unwrap_or_default(),
        versions: definition.is_optimistic_concurrency_enabled.unwrap_or_default(),
        name: definition.logical_name,
        columns,
        keys: in_order(keys.into_iter().map(key).collect(), |key: &Key| key.name.clone()),
        navigations: in_order(
            relationships.into_iter().filter_map(navigation).collect(),
            |one: &Navigation| (one.column.clone(), one.target.clone()),
        ),
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

fn column(attribute: &Attribute) -> DescribedColumn {
    let kind = attribute.kind.as_ref().map_or("", |name| name.value.as_str());
    let system = attribute.required_level.as_ref().is_some_and(|l| l.value == "SystemRequired");
    let create = attribute.is_valid_for_create.unwrap_or_default();
    DescribedColumn {
        name: attribute.logical_name.clone(),
        kind: kind.to_owned(),
        create,
        update: attribute.is_valid_for_update.unwrap_or_default()
            && !attribute.is_primary_id.unwrap_or_default(),
        read: attribute.is_valid_for_read.unwrap_or_default(),
        secured: attribute.is_secured.unwrap_or_default(),
        required: system && create && !FILLED.contains(&kind),
        ..DescribedColumn::default()
    }
}

/// Puts what a cast told into the columns.
async fn fill(
    api: &Api,
    columns: &mut [DescribedColumn],
    typed: Vec<Typed>,
) -> Result<(), PeerError> {
    let mut currency = None;
    for one in typed {
        let Some(column) = columns.iter_mut().find(|column| column.name == one.logical_name) else {
            continue;
        };
        column.length = one.max_length.or(column.length);
        column.min = one.min_value.as_ref().and_then(number);
        column.max = one.max_value.as_ref().and_then(number);
        column.precision = one.precision;
        if one.precision_source == Some(BY_CURRENCY) {
            if currency.is_none() {
                currency = Some(currency_precision(api).await?);
            }
            column.precision = currency.flatten().or(column.precision);
        }
        column.date_only_format = one.format.as_deref() == Some("DateOnly");
        column.behaviour = one.date_time_behavior.map(|behaviour| behaviour.value);
        let sets = one.option_set.into_iter().chain(one.global_option_set);
        let options = sets.map(|set| set.options).find(|options| !options.is_empty());
        column.options = in_order(
            options.unwrap_or_default().iter().map(option).collect(),
            |option: &DescribedOption| option.value,
        );
        column.targets = in_order(one.targets, Clone::clone);
    }
    Ok(())
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
