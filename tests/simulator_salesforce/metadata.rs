//! Describe in full: typed clients refuse an answer with a key left out.

use serde_json::{Value, json};

use super::world::World;

const OBJECT: &str = "activateable actionOverrides associateEntityType associateParentEntity \
    childRelationships compactLayoutable createable custom customSetting deepCloneable \
    defaultImplementation deletable deprecatedAndHidden extendedBy extendsInterfaces feedEnabled \
    fields hasSubtypes implementedBy implementsInterfaces isInterface isSubtype keyPrefix label \
    labelPlural layoutable listviewable lookupLayoutable mergeable mruEnabled name namedLayoutInfos \
    networkScopeFieldName queryable recordTypeInfos replicateable retrieveable searchLayoutable \
    searchable sobjectDescribeOption supportedScopes triggerable undeletable updateable urls";
const FIELD: &str = "aggregatable aiPredictionField autoNumber byteLength calculated \
    calculatedFormula cascadeDelete caseSensitive compoundFieldName controllerName createable custom \
    defaultValue defaultValueFormula defaultedOnCreate dependentPicklist deprecatedAndHidden digits \
    displayLocationInDecimal encrypted externalId extraTypeInfo filterable filteredLookupInfo \
    formulaTreatNullNumberAsZero groupable highScaleNumber htmlFormatted idLookup inlineHelpText label \
    length mask maskType name nameField namePointing nillable permissionable picklistValues \
    polymorphicForeignKey precision queryByDistance referenceTargetField referenceTo relationshipName \
    relationshipOrder restrictedDelete restrictedPicklist scale searchPrefilterable soapType sortable \
    type unique updateable writeRequiresMasterRead";
const CHILD: &str = "cascadeDelete childSObject deprecatedAndHidden field junctionIdListNames \
    junctionReferenceTo relationshipName restrictedDelete";
const RECORD_TYPE: &str = "active available defaultRecordTypeMapping developerName master name \
    recordTypeId urls";

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn check(value: &Value, names: &str) {
    let mut expected: Vec<&str> = names.split_whitespace().collect();
    expected.sort_unstable();
    assert_eq!(keys(value), expected);
}

#[tokio::test]
async fn every_object_is_described_with_every_key() {
    let world = World::new().await;
    let (_, listed) = world.get("/sobjects").await;
    let objects = listed["sobjects"].as_array().unwrap();
    assert!(objects.len() > 5);
    for object in objects {
        let name = object["name"].as_str().unwrap();
        let (status, body) = world.get(&format!("/sobjects/{name}/describe")).await;
        assert_eq!(status, 200, "{name}");
        check(&body, OBJECT);
        let parts =
            [("fields", FIELD), ("childRelationships", CHILD), ("recordTypeInfos", RECORD_TYPE)];
        for (part, names) in parts {
            for one in body[part].as_array().unwrap() {
                check(one, names);
            }
        }
        for (key, value) in object.as_object().unwrap() {
            assert_eq!(&body[key], value, "{name}.{key} is the same in both");
        }
    }
}

#[tokio::test]
async fn a_dependent_picklist_has_a_bit_for_each_controlling_value() {
    let world = World::new().await;
    let fields = json!([
        { "name": "Country__c", "type": "picklist", "restricted": true,
          "values": ["AT", "BE", "CH", "DE", "ES", "FI", "FR", "IT", "NL"] },
        { "name": "City__c", "type": "picklist", "values": ["Wien", "Gent", "Utrecht"],
          "controllerName": "Country__c",
          "validFor": { "Wien": ["AT"], "Gent": ["BE", "FI"], "Utrecht": ["NL"] } },
    ]);
    world.order("/fields", json!({ "object": "Contact", "fields": fields })).await;
    let (_, body) = world.get("/sobjects/Contact/describe").await;
    let fields = body["fields"].as_array().unwrap();
    let city = fields.iter().find(|field| field["name"] == "City__c").unwrap();
    assert_eq!(
        (&city["dependentPicklist"], &city["controllerName"]),
        (&json!(true), &json!("Country__c"))
    );
    let bits: Vec<&str> = city["picklistValues"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["validFor"].as_str().unwrap())
        .collect();
    // 10000000 0, 01000100 0, 00000000 1.
    assert_eq!(bits, ["gAA=", "RAA=", "AIA="]);
}

#[tokio::test]
async fn a_formula_changes_without_a_stamp() {
    let world = World::new().await;
    let field =
        json!([{ "name": "Total__c", "type": "double", "precision": 9, "calculated": true }]);
    world.order("/fields", json!({ "object": "Contact", "fields": field })).await;
    let id = world.seed("Contact", json!([{ "LastName": "Roe" }])).await.remove(0);
    let soql = "SELECT Total__c, SystemModstamp FROM Contact";
    world.order("/clock", json!({ "offset_s": 3600 })).await;
    let before = world.rows(soql).await.remove(0);
    let order = json!({ "object": "Contact", "id": id, "fields": { "Total__c": 3 } });
    world.order("/recompute", order).await;
    let after = world.rows(soql).await.remove(0);
    assert_eq!((&before["Total__c"], &after["Total__c"]), (&Value::Null, &json!(3.0)));
    assert_eq!(before["SystemModstamp"], after["SystemModstamp"]);
    let path = format!("/sobjects/Contact/{id}");
    let (_, body) = world.call(reqwest::Method::PATCH, &path, json!({ "Total__c": 1 })).await;
    assert_eq!(body[0]["errorCode"], "INVALID_FIELD_FOR_INSERT_UPDATE");
}

#[tokio::test]
async fn an_upsert_by_id_updates_or_creates() {
    let world = World::new().await;
    let id = world.seed("Contact", json!([{ "LastName": "Roe" }])).await.remove(0);
    let record = |mut fields: Value| {
        fields["attributes"] = json!({ "type": "Contact" });
        fields
    };
    let body = json!({ "records": [
        record(json!({ "Id": id, "Title": "x" })), record(json!({ "LastName": "New" })),
    ] });
    let path = "/composite/sobjects/Contact/Id";
    let (_, answers) = world.call(reqwest::Method::PATCH, path, body).await;
    assert_eq!((&answers[0]["id"], &answers[0]["created"]), (&json!(id), &json!(false)));
    assert_eq!(answers[1]["success"], true);
    assert_eq!(world.rows("SELECT Id FROM Contact").await.len(), 2);
}

#[tokio::test]
async fn records_are_counted_by_object_without_those_that_are_deleted() {
    let world = World::new().await;
    let ids = world.seed("Contact", json!([{ "LastName": "Roe" }, { "LastName": "Low" }])).await;
    world.order("/delete", json!({ "object": "Contact", "ids": ids[..1] })).await;
    let (status, body) = world.get("/limits/recordCount?sObjects=Contact,Lead,Nothing__c").await;
    let counts = json!([{ "count": 1, "name": "Contact" }, { "count": 0, "name": "Lead" }]);
    assert_eq!((status, &body["sObjects"]), (200, &counts));
}
