//! Definitions of tables and columns as JSON, made of the model that checks writes.

use serde_json::{Map, Value as Json, json};

use super::columns::AMOUNT_MAX;
use super::guid::Guid;
use super::model::{
    Choice, Column, Flavour, ID, Key, Kind, Model, Required, Table, Writable, Zone,
};

/// A text with its translations: one, in English.
fn label(text: &str) -> Json {
    let one = json!({
        "Label": text, "LanguageCode": 1033, "IsManaged": true,
        "MetadataId": Guid::named(text).to_string(), "HasChanged": null,
    });
    json!({ "LocalizedLabels": [one.clone()], "UserLocalizedLabel": one })
}

fn no_label() -> Json {
    json!({ "LocalizedLabels": [], "UserLocalizedLabel": null })
}

fn managed(value: bool, name: &str) -> Json {
    json!({ "Value": value, "CanBeChanged": true, "ManagedPropertyLogicalName": name })
}

/// A table.
pub(super) fn table(table: &Table) -> Json {
    json!({
        "MetadataId": table.metadata_id().to_string(),
        "HasChanged": null,
        "LogicalName": table.name,
        "SchemaName": table.schema,
        "EntitySetName": table.set,
        "LogicalCollectionName": table.set,
        "CollectionSchemaName": table.set,
        "PrimaryIdAttribute": table.column(ID).name,
        "PrimaryNameAttribute": table.primary_name,
        "ObjectTypeCode": table.code,
        "OwnershipType": if table.is_owned() { "UserOwned" } else { "OrganizationOwned" },
        "TableType": "Standard",
        "ChangeTrackingEnabled": table.tracking,
        "CanChangeTrackingBeEnabled": managed(true, "canchangetrackingbeenabled"),
        "IsOptimisticConcurrencyEnabled": table.concurrency,
        "IsIntersect": false,
        "IsPrivate": false,
        "IsActivity": false,
        "IsActivityParty": true,
        "IsCustomEntity": table.is_custom(),
        "IsManaged": !table.is_custom(),
        "IsAuditEnabled": managed(false, "canmodifyauditsettings"),
        "CanCreateAttributes": managed(true, "cancreateattributes"),
        "IsCustomizable": managed(true, "iscustomizable"),
        "DisplayName": label(&table.label),
        "DisplayCollectionName": label(&format!("{}s", table.label)),
        "Privileges": VERBS.map(|verb| privilege(table, verb)),
        "Description": no_label(),
    })
}

/// What roles let users do with records.
pub(super) const VERBS: [&str; 8] =
    ["Create", "Read", "Write", "Delete", "Assign", "Share", "Append", "AppendTo"];

/// The name and the id of a privilege on a table.
pub(super) fn privilege_of(table: &Table, verb: &str) -> (String, Guid) {
    let name = format!("prv{verb}{}", table.schema);
    let id = Guid::named(&name);
    (name, id)
}

fn privilege(table: &Table, verb: &str) -> Json {
    let (name, id) = privilege_of(table, verb);
    json!({
        "CanBeBasic": true, "CanBeLocal": true, "CanBeDeep": true, "CanBeGlobal": true,
        "CanBeEntityReference": false, "CanBeParentEntityReference": false, "CanBeRecordFilter": false,
        "Name": name, "PrivilegeId": id.to_string(), "PrivilegeType": verb,
    })
}

/// The type of a column: `AttributeType` and `AttributeTypeName`.
fn types(kind: &Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Id => ("Uniqueidentifier", "UniqueidentifierType"),
        Kind::Text { .. } => ("String", "StringType"),
        Kind::Memo { .. } => ("Memo", "MemoType"),
        Kind::Int { .. } => ("Integer", "IntegerType"),
        Kind::BigInt => ("BigInt", "BigIntType"),
        Kind::Decimal { .. } => ("Decimal", "DecimalType"),
        Kind::Double { .. } => ("Double", "DoubleType"),
        Kind::Money { .. } => ("Money", "MoneyType"),
        Kind::Bool { .. } => ("Boolean", "BooleanType"),
        Kind::Choice(_) => ("Picklist", "PicklistType"),
        Kind::State(_) => ("State", "StateType"),
        Kind::Status(_) => ("Status", "StatusType"),
        Kind::MultiChoice(_) => ("Virtual", "MultiSelectPicklistType"),
        Kind::Date | Kind::Instant { .. } => ("DateTime", "DateTimeType"),
        Kind::Lookup { flavour: Flavour::Lookup, .. } => ("Lookup", "LookupType"),
        Kind::Lookup { flavour: Flavour::Customer, .. } => ("Customer", "CustomerType"),
        Kind::Lookup { flavour: Flavour::Owner, .. } => ("Owner", "OwnerType"),
    }
}

/// The type that a column's definition can be cast to.
pub(super) fn cast_of(column: &Column) -> &'static str {
    match &column.kind {
        Kind::Id => "UniqueIdentifierAttributeMetadata",
        Kind::Text { .. } => "StringAttributeMetadata",
        Kind::Memo { .. } => "MemoAttributeMetadata",
        Kind::Int { .. } => "IntegerAttributeMetadata",
        Kind::BigInt => "BigIntAttributeMetadata",
        Kind::Decimal { .. } => "DecimalAttributeMetadata",
        Kind::Double { .. } => "DoubleAttributeMetadata",
        Kind::Money { .. } => "MoneyAttributeMetadata",
        Kind::Bool { .. } => "BooleanAttributeMetadata",
        Kind::Choice(_) => "PicklistAttributeMetadata",
        Kind::State(_) => "StateAttributeMetadata",
        Kind::Status(_) => "StatusAttributeMetadata",
        Kind::MultiChoice(_) => "MultiSelectPicklistAttributeMetadata",
        Kind::Date | Kind::Instant { .. } => "DateTimeAttributeMetadata",
        Kind::Lookup { .. } => "LookupAttributeMetadata",
    }
}

/// A column, with what its type adds.
pub(super) fn column(table: &Table, column: &Column) -> Json {
    let (kind, kind_name) = types(&column.kind);
    let required = match column.required {
        Required::No => "None",
        Required::ByForms => "ApplicationRequired",
        Required::BySystem => "SystemRequired",
    };
    let is_id = column.name == table.column(ID).name;
    let mut json = json!({
        "@odata.type": format!("#Microsoft.Dynamics.CRM.{}", cast_of(column)),
        "MetadataId": table.column_id(column).to_string(),
        "HasChanged": null,
        "LogicalName": column.name,
        "SchemaName": column.schema,
        "EntityLogicalName": table.name,
        "AttributeType": kind,
        "AttributeTypeName": { "Value": kind_name },
        "RequiredLevel": {
            "Value": required, "CanBeChanged": required != "SystemRequired",
            "ManagedPropertyLogicalName": "canmodifyrequirementlevelsettings",
        },
        "IsValidForCreate": column.writable != Writable::Never,
        "IsValidForUpdate": column.writable == Writable::Always,
        "IsValidForRead": true,
        "IsValidODataAttribute": true,
        "IsLogical": false,
        "AttributeOf": null,
        "SourceType": 0,
        "IsSecured": column.secured,
        "CanBeSecuredForRead": column.secured,
        "IsPrimaryId": is_id,
        "IsPrimaryName": column.name == table.primary_name,
        "IsCustomAttribute": column.is_custom(),
        "ColumnNumber": table.columns.iter().position(|one| one.name == column.name),
        "DisplayName": label(&column.label),
        "Description": no_label(),
    });
    if let Json::Object(json) = &mut json {
        json.extend(more(table, &column.kind));
    }
    json
}

/// What the type of a column adds to its definition.
fn more(table: &Table, kind: &Kind) -> Map<String, Json> {
    let json = match kind {
        Kind::Text { max, format } => json!({
            "MaxLength": max, "DatabaseLength": max * 2, "Format": format,
            "FormatName": { "Value": format }, "ImeMode": "Auto", "YomiOf": null,
            "IsLocalizable": false, "AutoNumberFormat": null,
        }),
        Kind::Memo { max } => json!({ "MaxLength": max, "Format": "TextArea" }),
        Kind::Int { min, max } => json!({ "MinValue": min, "MaxValue": max, "Format": "None" }),
        Kind::BigInt => json!({ "MinValue": i64::MIN, "MaxValue": i64::MAX }),
        Kind::Decimal { precision } | Kind::Double { precision } => json!({
            "Precision": precision, "MinValue": -100_000_000_000_i64, "MaxValue": 100_000_000_000_i64,
        }),
        Kind::Money { precision, base } => json!({
            "Precision": precision, "PrecisionSource": 2, "MinValue": 0, "MaxValue": AMOUNT_MAX,
            "IsBaseCurrency": base, "CalculationOf": null,
        }),
        Kind::Bool { default, .. } => json!({ "DefaultValue": default }),
        Kind::Choice(choices) => json!({ "DefaultFormValue": choices.default.unwrap_or(-1) }),
        Kind::State(_) | Kind::Status(_) => json!({ "DefaultFormValue": null }),
        Kind::MultiChoice(_) => json!({ "DefaultFormValue": -1 }),
        Kind::Date => json!({
            "Format": "DateOnly", "DateTimeBehavior": { "Value": "DateOnly" },
            "MinSupportedValue": "1753-01-01T00:00:00Z", "MaxSupportedValue": "9999-12-30T23:59:59Z",
        }),
        Kind::Instant { zone, date_format } => json!({
            "Format": if *date_format { "DateOnly" } else { "DateAndTime" },
            "DateTimeBehavior": { "Value": match zone {
                Zone::UserLocal => "UserLocal",
                Zone::Independent => "TimeZoneIndependent",
            } },
            "MinSupportedValue": "1753-01-01T00:00:00Z", "MaxSupportedValue": "9999-12-30T23:59:59Z",
        }),
        Kind::Lookup { targets, .. } => {
            let names: Vec<&str> = targets.iter().map(|target| target.table.as_str()).collect();
            json!({ "Targets": names, "Format": "None" })
        }
        Kind::Id => json!({ "IsOfTable": table.name }),
    };
    if let Json::Object(json) = json { json } else { Map::new() }
}

/// The options of a column, local or global.
pub(super) fn option_set(table: &Table, column: &Column, name: &str) -> Json {
    if let Kind::Bool { labels, .. } = &column.kind {
        let of = |value: usize| json!({ "Value": value, "Label": label(labels[value]), "MetadataId": null });
        return match name {
            "OptionSet" => json!({
                "MetadataId": table.column_id(column).to_string(), "IsGlobal": false,
                "Name": format!("{}_{}", table.name, column.name), "OptionSetType": "Boolean",
                "IsCustomOptionSet": column.is_custom(), "TrueOption": of(1), "FalseOption": of(0),
            }),
            _ => Json::Null,
        };
    }
    let Some(choices) = column.kind.choices() else { return Json::Null };
    if name == "GlobalOptionSet" && !choices.global {
        return Json::Null;
    }
    set_of(column)
}

fn set_of(column: &Column) -> Json {
    let Some(choices) = column.kind.choices() else { return Json::Null };
    let (kind, _) = types(&column.kind);
    let kind = if kind == "Virtual" { "Picklist" } else { kind };
    let options: Vec<Json> =
        choices.options.iter().map(|choice| option(&column.kind, choice)).collect();
    json!({
        "MetadataId": Guid::named(&choices.name).to_string(), "HasChanged": null,
        "IsCustomOptionSet": column.is_custom(), "IsGlobal": choices.global, "IsManaged": !column.is_custom(),
        "Name": choices.name, "ExternalTypeName": null, "OptionSetType": kind,
        "DisplayName": no_label(), "Description": no_label(),
        "IsCustomizable": managed(true, "iscustomizable"), "Options": options,
    })
}

fn option(kind: &Kind, choice: &Choice) -> Json {
    let mut json = json!({
        "Value": choice.value, "Color": null, "IsManaged": true, "ExternalValue": "",
        "ParentValues": [], "MetadataId": null, "HasChanged": null,
        "Label": label(&choice.label), "Description": no_label(),
    });
    if matches!(kind, Kind::State(_)) {
        json["@odata.type"] = json!("#Microsoft.Dynamics.CRM.StateOptionMetadata");
        json["DefaultStatus"] = json!(choice.value + 1);
        json["InvariantName"] = json!(choice.label);
    }
    if matches!(kind, Kind::Status(_)) {
        json["@odata.type"] = json!("#Microsoft.Dynamics.CRM.StatusOptionMetadata");
        json["State"] = json!(choice.state);
        json["TransitionData"] = Json::Null;
    }
    json
}

/// The sets of options that several columns share.
pub(super) fn global_sets(model: &Model) -> Vec<Json> {
    let columns = model.tables.iter().flat_map(|table| table.live().map(|(_, column)| column));
    let global = columns.filter(|column| column.kind.choices().is_some_and(|set| set.global));
    let mut sets: Vec<Json> = Vec::new();
    for column in global {
        let mut set = set_of(column);
        set["@odata.type"] = json!("#Microsoft.Dynamics.CRM.OptionSetMetadata");
        if sets.iter().all(|known| known["Name"] != set["Name"]) {
            sets.push(set);
        }
    }
    sets
}

/// An alternate key.
pub(super) fn key(table: &Table, key: &Key) -> Json {
    let columns: Vec<&str> = key.columns.iter().map(|at| table.column(*at).name.as_str()).collect();
    json!({
        "MetadataId": Guid::named(&format!("{}.{}", table.name, key.name)).to_string(),
        "SchemaName": key.schema, "LogicalName": key.name, "EntityLogicalName": table.name,
        "KeyAttributes": columns, "EntityKeyIndexStatus": key.status, "IsManaged": false,
        "AsyncJob": null, "DisplayName": label(&key.schema),
    })
}

/// The relationships by which records of a table point at others.
pub(super) fn many_to_one(model: &Model, table: &Table) -> Vec<Json> {
    let mut all = Vec::new();
    for (_, column) in table.live() {
        for target in column.kind.targets() {
            let Some(at) = model.by_name(&target.table) else { continue };
            let referenced = model.table(at).column(ID);
            all.push(json!({
                "MetadataId": Guid::named(&target.relationship).to_string(), "HasChanged": null,
                "SchemaName": target.relationship,
                "ReferencingEntity": table.name, "ReferencingAttribute": column.name,
                "ReferencedEntity": target.table, "ReferencedAttribute": referenced.name,
                "ReferencingEntityNavigationPropertyName": target.navigation,
                "ReferencedEntityNavigationPropertyName": target.relationship,
                "RelationshipType": "OneToManyRelationship",
                "IsCustomRelationship": column.is_custom(),
                "IsValidForAdvancedFind": true,
                "CascadeConfiguration": {
                    "Assign": "NoCascade", "Delete": "RemoveLink", "Merge": "Cascade",
                    "Reparent": "NoCascade", "Share": "NoCascade", "Unshare": "NoCascade",
                    "RollupView": "NoCascade",
                },
            }));
        }
    }
    all
}

/// The relationships by which records of others point at a table.
pub(super) fn one_to_many(model: &Model, table: &Table) -> Vec<Json> {
    let all = model.tables.iter().flat_map(|other| many_to_one(model, other));
    all.filter(|one| one["ReferencedEntity"] == table.name.as_str()).collect()
}
