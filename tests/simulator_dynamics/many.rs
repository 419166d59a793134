//! Actions for many records: all or none.

use serde_json::{Value, json};

use super::world::World;

const KIND: &str = "Microsoft.Dynamics.CRM.contact";

fn targets(list: &[Value]) -> Value {
    let typed = list.iter().map(|one| {
        let mut one = one.clone();
        one["@odata.type"] = json!(KIND);
        one
    });
    json!({ "Targets": typed.collect::<Vec<_>>() })
}

#[tokio::test]
async fn many_records_are_made_changed_and_upserted_in_one_request() {
    let world = World::new().await;
    let made = world
        .post(
            "contacts/Microsoft.Dynamics.CRM.CreateMultiple",
            targets(&[json!({ "lastname": "A", "new_truceid": "1" }), json!({ "lastname": "B" })]),
        )
        .await;
    let ids = made.body["Ids"].as_array().unwrap_or_else(|| panic!("{}", made.text)).clone();
    assert_eq!(ids.len(), 2);
    let changes = targets(&[
        json!({ "contactid": ids[0], "fax": "7" }),
        json!({ "contactid": ids[1], "fax": "7" }),
    ]);
    let told = world.post("contacts/Microsoft.Dynamics.CRM.UpdateMultiple", changes).await;
    assert_eq!(told.status, 204, "{}", told.text);
    assert_eq!(world.get("contacts?$filter=fax eq '7'").await.rows().len(), 2);
    let upserts = targets(&[
        json!({ "@odata.id": "contacts(new_truceid='1')", "lastname": "A2" }),
        json!({ "@odata.id": "contacts(new_truceid='2')", "lastname": "C" }),
    ]);
    let told = world.post("contacts/Microsoft.Dynamics.CRM.UpsertMultiple", upserts).await;
    assert_eq!(told.status, 204, "{}", told.text);
    assert_eq!(world.get("contacts(new_truceid='1')").await.body["contactid"], ids[0]);
    assert_eq!(world.get("contacts(new_truceid='2')").await.body["lastname"], "C");
}

#[tokio::test]
async fn one_bad_target_spoils_them_all() {
    let world = World::new().await;
    let list = [json!({ "lastname": "A" }), json!({ "lastname": "x".repeat(60) })];
    let told = world.post("contacts/Microsoft.Dynamics.CRM.CreateMultiple", targets(&list)).await;
    assert_eq!(told.code(), (400, "0x80044331"));
    let same = json!({ "@odata.id": "contacts(new_truceid='1')", "lastname": "A" });
    let twice = targets(&[same.clone(), same]);
    let told = world.post("contacts/Microsoft.Dynamics.CRM.UpsertMultiple", twice).await;
    assert_eq!(told.code(), (400, "0x80040203"));
    let told = world
        .post("contacts/Microsoft.Dynamics.CRM.CreateMultiple", json!({ "Targets": [{}] }))
        .await;
    assert_eq!(told.code(), (400, "0x80048d19"), "a target says its type");
    assert_eq!(world.get("contacts").await.rows().len(), 0);
    let told = world.post("contacts/Microsoft.Dynamics.CRM.DeleteMultiple", targets(&[])).await;
    assert_eq!(told.status, 501);
}

#[tokio::test]
async fn a_client_can_ask_whether_the_actions_are_there() {
    let world = World::new().await;
    let path = "sdkmessagefilters?$select=sdkmessagefilterid&$filter=sdkmessageid/name eq \
                'UpsertMultiple' and primaryobjecttypecode eq 'contact'";
    assert_eq!(world.get(path).await.rows().len(), 1);
}
