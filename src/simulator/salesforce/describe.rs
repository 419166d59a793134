//! Describe: the model in Salesforce's words, with every key that real answers have.
//!
//! Typed clients refuse a describe with keys left out, so what means nothing here is there too.

use serde_json::{Map, Value as Json, json};

use super::model::{Field, Kind, Model, Object, Uniqueness, Writable};

/// Fields that text is wide in bytes: three to a UTF-16 unit.
const BYTES_PER_CHARACTER: u32 = 3;

/// An object as the list of all objects shows it.
pub(super) fn brief(object: &Object, version: &str) -> Json {
    let base = format!("/services/data/{version}/sobjects/{}", object.name);
    let writable = object.writable;
    json!({
        "activateable": false,
        "associateEntityType": null,
        "associateParentEntity": null,
        "createable": writable,
        "custom": object.is_custom(),
        "customSetting": false,
        "deepCloneable": false,
        "deletable": writable,
        "deprecatedAndHidden": false,
        "feedEnabled": false,
        "hasSubtypes": false,
        "isInterface": false,
        "isSubtype": false,
        "keyPrefix": object.prefix,
        "label": object.label,
        "labelPlural": object.plural,
        "layoutable": true,
        "mergeable": object.mergeable,
        "mruEnabled": writable,
        "name": object.name,
        "queryable": true,
        "replicateable": true,
        "retrieveable": true,
        "searchable": true,
        "triggerable": writable,
        "undeletable": writable,
        "updateable": writable,
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
        "recordTypeInfos": [{
            "active": true,
            "available": true,
            "defaultRecordTypeMapping": true,
            "developerName": "Master",
            "master": true,
            "name": "Master",
            "recordTypeId": "012000000000000AAA",
            "urls": { "layout": format!(
                "/services/data/{version}/sobjects/{}/describe/layouts/012000000000000AAA",
                object.name
            ) },
        }],
        "searchLayoutable": true,
        "sobjectDescribeOption": "FULL",
        "supportedScopes": [{ "label": "All", "name": "everything" }],
    });
    if let Json::Object(more) = more {
        whole.extend(more);
    }
    Json::Object(whole)
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
    for part in [shape(field), rights(object, field), texts(field), flags(field)] {
        if let Json::Object(part) = part {
            whole.extend(part);
        }
    }
    whole.sort_keys();
    Json::Object(whole)
}

fn shape(field: &Field) -> Json {
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
            "validFor": null,
            "value": choice.value,
        })).collect::<Vec<_>>(),
        "referenceTo": field.reference.iter().map(|to| &to.to).collect::<Vec<_>>(),
        "relationshipName": field.reference.as_ref().and_then(|to| to.parent.as_ref()),
    })
}

fn rights(object: &Object, field: &Field) -> Json {
    let filterable = !field.is_long_text() && field.kind != Kind::Address;
    let sortable = filterable && field.kind != Kind::MultiPicklist;
    json!({
        "aggregatable": sortable,
        "createable": object.writable && field.writable != Writable::Never,
        "updateable": object.writable && field.writable == Writable::Always,
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
        "controllerName": null,
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
        "calculated": false,
        "cascadeDelete": field.reference.as_ref().is_some_and(|to| to.cascade),
        "caseSensitive": field.is_case_sensitive(),
        "custom": field.is_custom(),
        "dependentPicklist": false,
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
