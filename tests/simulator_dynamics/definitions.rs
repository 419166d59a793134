//! What the service says of itself, made of the model that checks writes.

use serde_json::{Value, json};

use super::world::World;

const CONTACT: &str = "EntityDefinitions(LogicalName='contact')";

fn named<'a>(rows: &'a [Value], name: &str) -> &'a Value {
    rows.iter().find(|row| row["LogicalName"] == name).unwrap_or_else(|| panic!("no {name}"))
}

#[tokio::test]
async fn tables_are_found_by_name_and_by_id() {
    let world = World::new().await;
    let path = format!("{CONTACT}?$select=EntitySetName,ChangeTrackingEnabled");
    let table = world.get(&path).await.body;
    assert_eq!(
        (&table["EntitySetName"], &table["ChangeTrackingEnabled"]),
        (&json!("contacts"), &json!(true))
    );
    assert!(table.get("SchemaName").is_none(), "{table}");
    let id = table["MetadataId"].as_str().unwrap();
    let path = format!("EntityDefinitions({id})/ObjectTypeCode/$value");
    assert_eq!(world.get(&path).await.text, "2");
    let filter = "EntityDefinitions?$select=LogicalName&$filter=LogicalName+eq+'lead'";
    assert_eq!(world.get(filter).await.rows().len(), 1);
    let owned = "EntityDefinitions?$filter=OwnershipType eq Microsoft.Dynamics.CRM.OwnershipTypes'UserOwned' \
                 and CanCreateAttributes/Value eq true";
    assert!(3 < world.get(owned).await.rows().len());
    let told = world.get("EntityDefinitions?$filter=startswith(LogicalName,'c')").await;
    assert_eq!(told.code(), (501, "0x8006088a"));
    let path =
        format!("{CONTACT}?$select=LogicalName&$expand=Attributes($select=LogicalName),Keys");
    let whole = world.get(&path).await.body;
    assert!(50 < whole["Attributes"].as_array().unwrap().len());
    assert_eq!(whole["Keys"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn columns_tell_their_types_by_casts() {
    let world = World::new().await;
    let all = world.get(&format!("{CONTACT}/Attributes")).await;
    let rows = all.rows();
    assert_eq!(named(rows, "new_interests")["AttributeType"], "Virtual");
    assert_eq!(
        named(rows, "new_interests")["AttributeTypeName"]["Value"],
        "MultiSelectPicklistType"
    );
    assert_eq!(named(rows, "new_healthnote")["IsSecured"], true);
    assert_eq!(named(rows, "fullname")["IsValidForUpdate"], false);
    assert_eq!(named(rows, "parentcustomerid")["Targets"], json!(["account", "contact"]));
    let behaviour = |name: &str| named(rows, name)["DateTimeBehavior"]["Value"].clone();
    assert_eq!(behaviour("birthdate"), "DateOnly");
    assert_eq!(behaviour("new_lastvisit"), "TimeZoneIndependent");
    assert_eq!(behaviour("lastusedincampaign"), "UserLocal");
    let cast = "Microsoft.Dynamics.CRM.PicklistAttributeMetadata";
    let path = format!(
        "{CONTACT}/Attributes/{cast}?$select=LogicalName&$expand=OptionSet($select=Options),GlobalOptionSet"
    );
    let rows = world.get(&path).await;
    let method = named(rows.rows(), "preferredcontactmethodcode");
    assert_eq!(method["OptionSet"]["Options"][1]["Value"], 2);
    assert_eq!(method["GlobalOptionSet"], Value::Null);
    let status = "Microsoft.Dynamics.CRM.StatusAttributeMetadata";
    let path = format!(
        "EntityDefinitions(LogicalName='lead')/Attributes(LogicalName='statuscode')/{status}?$expand=OptionSet"
    );
    let options = world.get(&path).await.body;
    assert_eq!(options["OptionSet"]["Options"][3]["State"], 2);
    let told = world.get(&format!("{CONTACT}/Attributes?$expand=OptionSet")).await;
    assert_eq!(told.status, 400, "needs a cast");
    let enums = format!("{CONTACT}/Attributes/Microsoft.Dynamics.CRM.EnumAttributeMetadata");
    assert_eq!(world.get(&enums).await.status, 400, "abstract");
}

#[tokio::test]
async fn relationships_and_keys_tell_what_a_client_must_not_guess() {
    let world = World::new().await;
    let path =
        format!("{CONTACT}/ManyToOneRelationships?$filter=ReferencingAttribute eq 'new_sponsorid'");
    let told = world.get(&path).await;
    assert_eq!(told.rows()[0]["ReferencingEntityNavigationPropertyName"], "new_SponsorId");
    let keys = world
        .get(&format!("{CONTACT}/Keys?$select=SchemaName,KeyAttributes,EntityKeyIndexStatus"))
        .await;
    let key =
        keys.rows().iter().find(|key| key["KeyAttributes"] == json!(["new_truceid"])).unwrap();
    assert_eq!(key["EntityKeyIndexStatus"], "Active");
}

#[tokio::test]
async fn the_model_can_be_changed_and_everything_follows() {
    let world = World::new().await;
    world.order("/columns", json!({
        "table": "contact", "add": [{ "name": "new_pet", "type": "choice", "options": ["Cat"] }],
        "length": { "jobtitle": 3 }, "secure": ["fax"],
    })).await;
    assert_eq!(world.post("contacts", json!({ "jobtitle": "long" })).await.status, 400);
    assert_eq!(world.post("contacts", json!({ "new_pet": 1, "fax": "1" })).await.status, 204);
    let path = format!("{CONTACT}/Attributes(LogicalName='fax')?$select=IsSecured");
    assert_eq!(world.get(&path).await.body["IsSecured"], true);
    world.order("/tables", json!({ "name": "new_pet", "set": "new_pets" })).await;
    assert_eq!(world.post("new_pets", json!({ "new_name": "Rex" })).await.status, 204);
    let xml = world.get("$metadata").await.text;
    assert!(xml.contains("<EntitySet Name=\"new_pets\""), "{xml}");
    assert!(xml.contains("Name=\"new_pet\" Type=\"Edm.Int32\""), "{xml}");
    let annotated = world.get("$metadata?annotations=true").await.text;
    assert!(annotated.contains("Org.OData.Capabilities.V1.ChangeTracking"));
}

#[tokio::test]
async fn a_table_names_its_privileges_and_a_user_those_that_it_has() {
    let world = World::new().await;
    let path = format!("{CONTACT}?$select=Privileges");
    let table = world.get(&path).await.body;
    let all = table["Privileges"].as_array().unwrap().clone();
    let write = all.iter().find(|one| one["PrivilegeType"] == "Write").unwrap();
    assert_eq!(write["Name"], "prvWriteContact");
    let me = world.get("WhoAmI").await.body["UserId"].as_str().unwrap().to_owned();
    let path = format!("systemusers({me})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges()");
    let held = async || {
        let told = world.get(&path).await.body;
        let held = told["RolePrivileges"].as_array().unwrap().clone();
        held.iter().any(|one| one["PrivilegeId"] == write["PrivilegeId"])
    };
    assert!(held().await);
    world.order("/permissions", json!({ "table": "contact", "write": false })).await;
    assert!(!held().await);
}
