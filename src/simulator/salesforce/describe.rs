//! Describe: the model in Salesforce's words, with every key that real answers have.
//!
//! Typed clients refuse a describe with keys left out, so what means nothing here is there too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

use super::id::Id;
use super::model::{Choice, Field, Kind, Model, Object, RecordType, Right, Uniqueness, Writable};

/// Fields that text is wide in bytes: three to a UTF-16 unit.
const BYTES_PER_CHARACTER: u32 = 3;

/// The record type of records that have none; its id is the same everywhere.
const MASTER: &str = "012000000000000AAA";

/// An object as the list of all objects shows it.
pub(super) fn brief(object: &Object, version: &str) -> Json {
    let base = format!("/services/data/{version}/sobjects/{}", object.name);
    let writable = object.writable;
    let (create, edit) = (object.allows(Right::Create), object.allows(Right::Edit));
    let delete = object.allows(Right::Delete);
    json!({
        "activateable": false,
        "associateEntityType": null,
        "associateParentEntity": null,
        "createable": create,
        "custom": object.is_custom(),
        "customSetting": false,
        "deepCloneable": false,
        "deletable": delete,
        "deprecatedAndHidden": false,
        "feedEnabled": false,
        "hasSubtypes": false,
        "isInterface": false,
        "isSubtype": false,
        "keyPrefix": object.prefix,
        "label": object.label,
        "labelPlural": object.plural,
        "layoutable": true,
        "mergeable": object.mergeable && delete,
        "mruEnabled": writable,
        "name": object.name,
        "queryable": true,
        "replicateable": true,
        "retrieveable": true,
        "searchable": true,
        "triggerable": writable,
        "undeletable": delete,
        "updateable": edit,
        "urls": {
            "sobject": base,
            "describe": format!("{base}/describe"),
            "rowTemplate": format!("{base}/{{ID}}"),
        },
    })
}

/// An object in full.
pub(super) fn full(model: &Model, object: &Object, version: &str) -> Json {
    let Json::Object(mut whole) = brief(object, version) else { return Json::Null };
    let fields: Vec<Json> = object.fields().map(|(_, spec)| field(object, spec)).collect();
    let more = json!({
        "actionOverrides": [],
        "childRelationships": children(model, object),
        "compactLayoutable": true,
        "defaultImplementation": null,
        "extendedBy": null,
        "extendsInterfaces": null,
        "fields": fields,
        "implementedBy": null,
        "implementsInterfaces": null,
        "listviewable": null,
        "lookupLayoutable": null,
        "namedLayoutInfos": [],
        "networkScopeFieldName": null,
        "recordTypeInfos": record_types(object, version),
        "searchLayoutable": true,
        "sobjectDescribeOption": "FULL",
        "supportedScopes": [{ "label": "All", "name": "everything" }],
    });
    if let Json::Object(more) = more {
        whole.extend(more);
    }
    Json::Object(whole)
}

/// The record types, and the master that every object has.
fn record_types(object: &Object, version: &str) -> Vec<Json> {
    let master = RecordType {
        id: Id::compose("012", 0),
        name: "Master".to_owned(),
        developer_name: "Master".to_owned(),
        active: true,
        default: object.record_types.iter().all(|kind| !kind.default),
    };
    let base = format!("/services/data/{version}/sobjects/{}/describe/layouts", object.name);
    let one = |kind: &RecordType, id: &str| {
        json!({
            "active": kind.active,
            "available": kind.active,
            "defaultRecordTypeMapping": kind.default,
            "developerName": kind.developer_name,
            "master": id == MASTER,
            "name": kind.name,
            "recordTypeId": id,
            "urls": { "layout": format!("{base}/{id}") },
        })
    };
    let mut list: Vec<Json> =
        object.record_types.iter().map(|kind| one(kind, kind.id.as_str())).collect();
    list.push(one(&master, MASTER));
    list
}

fn children(model: &Model, object: &Object) -> Vec<Json> {
    let list = model.references_to(&object.name).into_iter().filter_map(|(child, at)| {
        let child = model.object(child);
        let field = child.field(at);
        let reference = field.reference.as_ref().filter(|_| !field.hidden)?;
        Some(json!({
            "cascadeDelete": reference.cascade,
            "childSObject": child.name,
            "deprecatedAndHidden": false,
            "field": field.name,
            "junctionIdListNames": [],
            "junctionReferenceTo": [],
            "relationshipName": reference.children,
            "restrictedDelete": false,
        }))
    });
    list.collect()
}

fn field(object: &Object, field: &Field) -> Json {
    let mut whole = Map::new();
    for part in [shape(object, field), rights(object, field), texts(field), flags(field)] {
        if let Json::Object(part) = part {
            whole.extend(part);
        }
    }
    whole.sort_keys();
    Json::Object(whole)
}

fn shape(object: &Object, field: &Field) -> Json {
    let length = if field.kind.is_text() || field.length != 0 { field.length } else { 0 };
    let is_int = field.kind == Kind::Int;
    json!({
        "byteLength": length * if field.kind.is_text() { BYTES_PER_CHARACTER } else { 1 },
        "digits": if is_int { field.precision } else { 0 },
        "extraTypeInfo": field.is_long_text().then_some("plaintextarea"),
        "length": length,
        "name": field.name,
        "precision": if is_int { 0 } else { field.precision },
        "scale": field.scale,
        "soapType": field.kind.soap(),
        "type": field.kind.name(),
        "picklistValues": field.choices.iter().map(|choice| json!({
            "active": choice.active,
            "defaultValue": choice.default,
            "label": choice.value,
            "validFor": valid_for(object, field, choice),
            "value": choice.value,
        })).collect::<Vec<_>>(),
        "referenceTo": field.reference.iter().map(|to| &to.to).collect::<Vec<_>>(),
        "relationshipName": field.reference.as_ref().and_then(|to| to.parent.as_ref()),
    })
}

/// A bit for each value of the controlling picklist, the most significant of each byte first.
fn valid_for(object: &Object, field: &Field, choice: &Choice) -> Option<String> {
    let controller = object.find_any(field.controller.as_deref()?)?;
    let values = &object.field(controller).choices;
    let mut bits = vec![0_u8; values.len().div_ceil(8)];
    for (place, _) in
        values.iter().enumerate().filter(|(_, one)| choice.valid_for.contains(&one.value))
    {
        bits[place / 8] |= 0x80 >> (place % 8);
    }
    Some(STANDARD.encode(bits))
}

fn rights(object: &Object, field: &Field) -> Json {
    let filterable = !field.is_long_text() && field.kind != Kind::Address;
    let sortable = filterable && field.kind != Kind::MultiPicklist;
    json!({
        "aggregatable": sortable,
        "createable": object.allows(Right::Create) && field.is_writable(),
        "updateable": object.allows(Right::Edit) && field.is_writable(),
        "filterable": filterable,
        "sortable": sortable,
        "groupable": sortable && !field.kind.is_number() && field.kind != Kind::DateTime,
        "nillable": !field.required,
        "permissionable": field.writable == Writable::Always && !field.required,
        "defaultedOnCreate": field.default.is_some() || field.writable == Writable::Never,
    })
}

fn texts(field: &Field) -> Json {
    json!({
        "calculatedFormula": null,
        "compoundFieldName": field.compound,
        "controllerName": field.controller,
        "defaultValue": (field.kind == Kind::Boolean).then(|| field.default.as_deref() == Some("true")),
        "defaultValueFormula": null,
        "filteredLookupInfo": null,
        "inlineHelpText": null,
        "label": field.label,
        "mask": null,
        "maskType": null,
        "referenceTargetField": null,
        "relationshipOrder": null,
    })
}

fn flags(field: &Field) -> Json {
    let is_reference = field.reference.is_some();
    json!({
        "aiPredictionField": false,
        "autoNumber": false,
        "calculated": field.calculated,
        "cascadeDelete": field.reference.as_ref().is_some_and(|to| to.cascade),
        "caseSensitive": field.is_case_sensitive(),
        "custom": field.is_custom(),
        "dependentPicklist": field.controller.is_some(),
        "deprecatedAndHidden": false,
        "displayLocationInDecimal": false,
        "encrypted": false,
        "externalId": field.external_id,
        "formulaTreatNullNumberAsZero": false,
        "highScaleNumber": false,
        "htmlFormatted": false,
        "idLookup": field.id_lookup,
        "nameField": field.is_name,
        "namePointing": false,
        "polymorphicForeignKey": false,
        "queryByDistance": false,
        "restrictedDelete": false,
        "restrictedPicklist": field.restricted,
        "searchPrefilterable": is_reference,
        "unique": field.unique != Uniqueness::None,
        "writeRequiresMasterRead": false,
    })
}
