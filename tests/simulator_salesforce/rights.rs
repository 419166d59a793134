//! What the integration user may see and do, and what becomes of records and fields meanwhile.

use reqwest::Method;
use serde_json::{Value, json};

use super::world::{World, code, contact};

impl World {
    async fn field(&self, name: &str) -> Option<Value> {
        let (_, body) = self.get("/sobjects/Contact/describe").await;
        let fields = body["fields"].as_array().unwrap();
        fields.iter().find(|field| field["name"] == name).cloned()
    }

    async fn refusal(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, body) = self.call(method, path, body).await;
        assert!(400 <= status, "{body}");
        body[0]["errorCode"].clone()
    }
}

#[tokio::test]
async fn rights_show_in_describe_and_bind_the_api_alone() {
    let world = World::new().await;
    let id = world.seed("Contact", json!([{ "LastName": "Roe" }])).await.remove(0);
    let path = format!("/sobjects/Contact/{id}");
    let order = json!({ "object": "Contact", "edit": false, "create": false, "delete": false,
        "read_only": ["Title"], "hide": ["Fax"] });
    world.order("/permissions", order).await;
    let (_, body) = world.get("/sobjects/Contact/describe").await;
    let flags = ["createable", "updateable", "deletable", "queryable"];
    assert_eq!(flags.map(|flag| body[flag].clone()), [false, false, false, true].map(Value::from));
    assert_eq!(world.field("Title").await.unwrap()["updateable"], false);
    assert_eq!(world.field("Fax").await, None);
    let closed = json!("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY");
    assert_eq!(world.refusal(Method::PATCH, &path, json!({ "Phone": "1" })).await, closed);
    assert_eq!(world.refusal(Method::DELETE, &path, Value::Null).await, closed);
    let edit = json!({ "object": "Contact", "id": id, "fields": { "Title": "x", "Fax": "1" } });
    world.order("/edit", edit).await;

    world.order("/permissions", json!({ "object": "Contact", "edit": true })).await;
    let refusal = world.refusal(Method::PATCH, &path, json!({ "Title": "y" })).await;
    assert_eq!(refusal, "INVALID_FIELD_FOR_INSERT_UPDATE");
    let open = json!({ "object": "Contact", "open": ["Title"], "read": false });
    world.order("/permissions", open).await;
    assert_eq!(world.get(&path).await.0, 404);
    assert_eq!(
        world.query("query", "SELECT Id FROM Contact").await.1[0]["errorCode"],
        "INVALID_TYPE"
    );
}

#[tokio::test]
async fn a_record_that_is_no_longer_shared_is_as_if_it_were_not_there() {
    let world = World::new().await;
    let ids = world.seed("Contact", json!([{ "LastName": "A" }, { "LastName": "B" }])).await;
    let share = |visible| json!({ "object": "Contact", "ids": [ids[0]], "visible": visible });
    let stamps = async || world.look("/records/Contact?fields=SystemModstamp").await;
    let before = stamps().await;
    world.order("/share", share(false)).await;
    assert_eq!(world.rows("SELECT Id FROM Contact").await.len(), 1);
    let path = format!("/sobjects/Contact/{}", ids[0]);
    assert_eq!(world.refusal(Method::GET, &path, Value::Null).await, "NOT_FOUND");
    let update = json!({ "records": [contact(json!({ "id": ids[0], "Title": "x" }))] });
    let (_, outcomes) = world.call(Method::PATCH, "/composite/sobjects", update).await;
    assert_eq!(code(&outcomes[0]), "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY");
    world.order("/share", share(true)).await;
    assert_eq!(world.rows("SELECT Id FROM Contact").await.len(), 2);
    assert_eq!(stamps().await, before, "no stamp moved");
}

#[tokio::test]
async fn fields_come_go_and_become_narrow() {
    let world = World::new().await;
    let seed = json!([{ "LastName": "Roe", "Title": "Chairwoman" }]);
    let id = world.seed("Contact", seed).await.remove(0);
    let path = format!("/sobjects/Contact/{id}");
    world.order("/fields", json!({ "object": "Contact", "length": { "Title": 5 } })).await;
    assert_eq!(world.field("Title").await.unwrap()["length"], 5);
    assert_eq!(world.rows("SELECT Title FROM Contact").await[0]["Title"], "Chairwoman");
    let refusal = world.refusal(Method::PATCH, &path, json!({ "Title": "Chairman" })).await;
    assert_eq!(refusal, "STRING_TOO_LONG");

    world.order("/fields", json!({ "object": "Contact", "remove": ["Title"] })).await;
    assert_eq!(world.field("Title").await, None);
    let (status, body) = world.query("query", "SELECT Title FROM Contact").await;
    assert_eq!((status, &body[0]["errorCode"]), (400, &json!("INVALID_FIELD")));
    assert_eq!(world.refusal(Method::PATCH, &path, json!({ "Title": "x" })).await, "INVALID_FIELD");
    let again = json!({ "object": "Contact", "fields": [{ "name": "Title", "type": "double" }] });
    world.order("/fields", again).await;
    assert_eq!(world.rows("SELECT Title FROM Contact").await[0]["Title"], Value::Null);
}

#[tokio::test]
async fn record_types_have_a_default_and_are_checked() {
    let world = World::new().await;
    let types = json!([
        { "name": "Donor", "developer_name": "Donor", "default": true },
        { "name": "Old", "developer_name": "Old", "active": false },
    ]);
    let order = json!({ "object": "Contact", "types": types });
    let ids = world.order("/record-types", order).await["ids"].clone();
    let (_, body) = world.get("/sobjects/Contact/describe").await;
    let infos = body["recordTypeInfos"].as_array().unwrap();
    assert_eq!(infos.len(), 3, "the master too");
    assert_eq!(infos[0]["recordTypeId"], ids[0]);
    assert_eq!(infos[0]["defaultRecordTypeMapping"], true);
    assert_eq!(infos[2]["recordTypeId"], "012000000000000AAA");
    let create = |fields: Value| world.call(Method::POST, "/sobjects/Contact", fields);
    assert_eq!(create(json!({ "LastName": "Roe" })).await.0, 201);
    let rows = world.rows("SELECT RecordTypeId, RecordType.DeveloperName FROM Contact").await;
    assert_eq!(rows[0]["RecordTypeId"], ids[0]);
    assert_eq!(rows[0]["RecordType"]["DeveloperName"], "Donor");
    let (_, body) = create(json!({ "LastName": "Roe", "RecordTypeId": ids[1] })).await;
    assert_eq!(body[0]["errorCode"], "INVALID_CROSS_REFERENCE_KEY");
}

#[tokio::test]
async fn a_converted_lead_is_closed_to_writes() {
    let world = World::new().await;
    let lead = json!([{ "LastName": "Roe", "Company": "Acme", "Email": "roe@example.com",
        "HasOptedOutOfEmail": true, "Truce_Id__c": "l1" }]);
    let lead = world.seed("Lead", lead).await.remove(0);
    let made = world.order("/convert", json!({ "lead": lead, "opportunity": "Deal" })).await;
    let soql = "SELECT IsConverted, ConvertedContactId, ConvertedAccountId, Status FROM Lead";
    let row = &world.rows(soql).await[0];
    assert_eq!((&row["IsConverted"], &row["ConvertedContactId"]), (&json!(true), &made["contact"]));
    assert_eq!(row["ConvertedAccountId"], made["account"]);
    let soql = "SELECT Email, HasOptedOutOfEmail, Truce_Id__c, Account.Name FROM Contact";
    let row = &world.rows(soql).await[0];
    assert_eq!(
        (&row["Email"], &row["Account"]["Name"]),
        (&json!("roe@example.com"), &json!("Acme"))
    );
    assert_eq!((&row["HasOptedOutOfEmail"], &row["Truce_Id__c"]), (&json!(true), &Value::Null));
    assert_eq!(
        world.rows("SELECT AccountId FROM Opportunity").await[0]["AccountId"],
        made["account"]
    );
    let path = format!("/sobjects/Lead/{lead}");
    let refusal = world.refusal(Method::PATCH, &path, json!({ "Phone": "1" })).await;
    assert_eq!(refusal, "CANNOT_UPDATE_CONVERTED_LEAD");
}

#[tokio::test]
async fn an_emptied_bin_and_an_emptied_log_forget() {
    let world = World::new().await;
    world.order("/clock", json!({ "at": "2026-11-01T12:05:00Z", "scale": 0 })).await;
    let ids = world.seed("Contact", json!([{ "LastName": "A" }, { "LastName": "B" }])).await;
    world.order("/delete", json!({ "object": "Contact", "ids": [ids[0]] })).await;
    let path = format!("/sobjects/Contact/{}", ids[0]);
    assert_eq!(world.refusal(Method::GET, &path, Value::Null).await, "ENTITY_IS_DELETED");
    assert_eq!(world.order("/empty-bin", json!({})).await["purged"], 1);
    assert_eq!(world.refusal(Method::GET, &path, Value::Null).await, "NOT_FOUND");
    assert_eq!(world.rows("SELECT Id FROM Contact").await.len(), 1);

    let deleted = "/sobjects/Contact/deleted?start=2026-11-01T12:04:00Z&end=2026-11-01T12:06:00Z";
    assert_eq!(world.get(deleted).await.0, 200);
    world.order("/delete-log", json!({})).await;
    assert_eq!(world.refusal(Method::GET, deleted, Value::Null).await, "INVALID_REPLICATION_DATE");
}

#[tokio::test]
async fn long_calls_have_a_limit_of_their_own() {
    let world = World::new().await;
    world.order("/concurrency", json!({ "max": 2, "busy": 1 })).await;
    assert_eq!(world.get("/limits").await.0, 200);
    world.order("/concurrency", json!({ "busy": 2 })).await;
    let (status, body) = world.get("/limits").await;
    assert_eq!((status, &body[0]["errorCode"]), (403, &json!("REQUEST_LIMIT_EXCEEDED")));
    assert!(body[0]["message"].as_str().unwrap().starts_with("ConcurrentRequests"));
}

#[tokio::test]
async fn the_usage_header_has_a_longer_form_and_jobs_a_quota() {
    let world = World::new().await;
    let order = json!({ "max": 100, "used": 5, "per_app": true, "bulk_batches": 15_000 });
    world.order("/quota", order).await;
    let answer = world.request(Method::GET, "/limits").send().await.unwrap();
    let usage = answer.headers()["sforce-limit-info"].to_str().unwrap().to_owned();
    assert_eq!(usage, "api-usage=6/100; per-app-api-usage=6/100(appName=truce)");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["DailyBulkApiBatches"], json!({ "Max": 15_000, "Remaining": 0 }));
    let job = json!({ "object": "Contact", "operation": "insert" });
    assert_eq!(world.refusal(Method::POST, "/jobs/ingest", job).await, "LIMIT_EXCEEDED");
    let request = world.request(Method::GET, "/limits").header("sforce-call-options", "client=me");
    request.send().await.unwrap();
    let requests = world.look("/requests").await["requests"].clone();
    assert_eq!(requests.as_array().unwrap().last().unwrap()["client"], "me");
}
