//! The trouble that a test can order from the simulated Salesforce, and what it remembers.

use reqwest::Method;
use serde_json::{Value, json};

use super::world::{World, code, contact};

#[tokio::test]
async fn a_token_is_given_for_the_right_secret_only_and_lost_when_it_expires() {
    let mut world = World::new().await;
    let form = [("grant_type", "client_credentials")];
    let ask = async |secret: &str| {
        let request = world.http.post(&world.running.token_url).form(&form);
        request.basic_auth(&world.running.client_id, Some(secret)).send().await.unwrap()
    };
    assert_eq!(ask(&world.running.client_secret).await.status(), 200);
    let denied = ask("wrong").await;
    assert_eq!(denied.status(), 400);
    assert_eq!(denied.json::<Value>().await.unwrap()["error"], "invalid_client");

    assert_eq!(world.get("/limits").await.0, 200);
    world.order("/tokens", json!({ "expire": true })).await;
    let answer = world.request(Method::GET, "/limits").send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["www-authenticate"], "Token");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(
        body,
        json!([{ "message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID" }])
    );
    world.log_in().await;
    assert_eq!(world.get("/limits").await.0, 200);
}

#[tokio::test]
async fn ordered_failures_come_before_or_after_the_effect() {
    let world = World::new().await;
    let ids = world.seed("Contact", json!([{ "LastName": "Roe" }])).await;
    let path = format!("/sobjects/Contact/{}", ids[0]);
    let title = async || world.rows("SELECT Title FROM Contact").await[0]["Title"].clone();
    let write =
        async |title: &str| world.call(Method::PATCH, &path, json!({ "Title": title })).await;

    world.order("/fail", json!({ "status": 503, "effect": "before", "method": "PATCH" })).await;
    assert_eq!(write("one").await.0, 503);
    assert_eq!(title().await, Value::Null);

    let fault =
        json!({ "status": 500, "code": "UNKNOWN_EXCEPTION", "effect": "after", "method": "PATCH" });
    world.order("/fail", fault).await;
    let (status, body) = write("two").await;
    assert_eq!((status, &body[0]["errorCode"]), (500, &json!("UNKNOWN_EXCEPTION")));
    assert_eq!(title().await, "two");

    let fault = json!({ "kind": "reset", "effect": "after", "path_contains": "Contact/003" });
    world.order("/fail", fault).await;
    let lost = world.request(Method::PATCH, &path).json(&json!({ "Title": "three" })).send().await;
    assert!(lost.is_err(), "the line broke");
    assert_eq!(title().await, "three");

    world.order("/fail", json!({ "kind": "late", "status": 502, "method": "PATCH" })).await;
    assert_eq!(write("late").await.0, 502);
    assert_eq!(write("newer").await.0, 204);
    assert_eq!(title().await, "newer");
    assert_eq!(world.order("/release", json!({})).await["statuses"], json!([204]));
    assert_eq!(title().await, "late");

    world.order("/fail", json!({ "kind": "html", "status": 420 })).await;
    let page = world.request(Method::GET, "/limits").send().await.unwrap();
    assert_eq!(page.status(), 420);
    assert!(page.text().await.unwrap().starts_with("<html>"));
}

#[tokio::test]
async fn a_record_or_every_connection_can_be_refused() {
    let world = World::new().await;
    world.seed("Contact", json!([{ "LastName": "Roe", "Truce_Id__c": "r" }])).await;
    world.order("/fail-record", json!({ "key": "r", "statusCode": "UNABLE_TO_LOCK_ROW" })).await;
    let record = contact(json!({ "Truce_Id__c": "r", "LastName": "Roe" }));
    let outcomes = world.upsert(json!([record.clone()])).await;
    assert_eq!(code(&outcomes[0]), "UNABLE_TO_LOCK_ROW");
    assert_eq!(world.upsert(json!([record])).await[0]["success"], true);

    world.order("/connections", json!({ "accept": false })).await;
    assert!(world.request(Method::GET, "/limits").send().await.is_err());
    world.order("/connections", json!({ "accept": true })).await;
    assert_eq!(world.get("/limits").await.0, 200);
}

#[tokio::test]
async fn a_held_commit_appears_later_under_its_earlier_stamp() {
    let world = World::new().await;
    let at = async |time: &str| {
        world.order("/clock", json!({ "at": format!("2026-10-31T{time}Z"), "scale": 0 })).await;
    };
    let window = "?start=2026-10-31T12:00:00Z&end=2026-10-31T12:02:00Z";
    let updated = async || world.get(&format!("/sobjects/Contact/updated/{window}")).await.1;
    at("12:00:00").await;
    let ids = world.seed("Contact", json!([{ "LastName": "Old" }, { "LastName": "Other" }])).await;
    at("12:01:10").await;
    world.order("/hold", json!({ "seconds": 120, "via": "user" })).await;
    let edit = json!({ "object": "Contact", "id": ids[0], "fields": { "LastName": "New" } });
    world.order("/edit", edit).await;

    at("12:02:30").await;
    let poll =
        "SELECT LastName, SystemModstamp FROM Contact WHERE SystemModstamp >= 2026-10-31T12:01:00Z";
    assert!(world.rows(poll).await.is_empty());
    let before = poll.replace(">=", "<");
    assert_eq!(world.rows(&before).await.len(), 2);
    assert_eq!(updated().await["latestDateCovered"], "2026-10-31T12:01:00.000+0000");

    at("12:03:10").await;
    let rows = world.rows(poll).await;
    assert_eq!(rows[0]["LastName"], "New");
    assert_eq!(rows[0]["SystemModstamp"], "2026-10-31T12:01:10.000+0000");
    let body = updated().await;
    assert_eq!(body["latestDateCovered"], "2026-10-31T12:02:00.000+0000");
    assert_eq!(body["ids"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn updated_and_deleted_cover_whole_minutes() {
    let world = World::new().await;
    world.order("/clock", json!({ "at": "2026-10-31T12:05:30Z", "scale": 0 })).await;
    let ids = world.seed("Contact", json!([{ "LastName": "A" }, { "LastName": "B" }])).await;
    world.order("/delete", json!({ "object": "Contact", "ids": [ids[1]] })).await;
    let path = |kind: &str, start: &str| {
        format!("/sobjects/Contact/{kind}/?start={start}%2B00:00&end=2026-10-31T12:06:40%2B00:00")
    };
    let (_, body) = world.get(&path("updated", "2026-10-31T12:05:59")).await;
    assert_eq!(body["ids"], json!([ids[0]]), "seconds are cut off");
    let (_, body) = world.get(&path("deleted", "2026-10-31T12:05:59")).await;
    let deleted = json!([{ "id": ids[1], "deletedDate": "2026-10-31T12:05:30.000+0000" }]);
    assert_eq!(body["deletedRecords"], deleted);
    for start in ["2026-10-31T12:06:01", "2026-09-01T00:00:00"] {
        let (status, body) = world.get(&path("updated", start)).await;
        assert_eq!((status, &body[0]["errorCode"]), (400, &json!("INVALID_REPLICATION_DATE")));
    }
}

#[tokio::test]
async fn a_write_on_condition_is_refused_when_the_record_moved() {
    let world = World::new().await;
    world.order("/clock", json!({ "at": "2026-10-31T12:00:00Z", "scale": 0 })).await;
    let ids = world.seed("Contact", json!([{ "LastName": "Roe" }])).await;
    let path = format!("/sobjects/Contact/{}", ids[0]);
    let write = async |since: &str| {
        let request = world.request(Method::PATCH, &path).header("if-unmodified-since", since);
        request.json(&json!({ "Title": "x" })).send().await.unwrap().status().as_u16()
    };
    assert_eq!(write("Sat, 31 Oct 2026 11:59:59 GMT").await, 412);
    assert_eq!(write("Sat, 31 Oct 2026 12:00:00 GMT").await, 204);
    assert_eq!(write("once").await, 400);
}

#[tokio::test]
async fn quota_history_and_requests_are_kept() {
    let world = World::new().await;
    let ids = world.seed("Contact", json!([{ "LastName": "Roe" }])).await;
    let trigger = json!({ "object": "Contact", "field": "Title", "rewrite": "upper" });
    world.order("/trigger", trigger).await;
    let update = json!({ "records": [contact(json!({ "id": ids[0], "Title": "dr" }))] });
    world.call(Method::PATCH, "/composite/sobjects", update).await;
    let edit = json!({ "object": "Contact", "id": ids[0], "fields": { "Phone": "1" } });
    world.order("/edit", edit).await;

    let changes = world.look("/history").await["changes"].clone();
    assert_eq!((&changes[0]["via"], &changes[1]["via"]), (&json!("api"), &json!("user")));
    assert_eq!(changes[0]["fields"]["Title"], json!({ "old": null, "new": "DR" }));
    assert_eq!(changes[1]["fields"]["Phone"]["new"], "1");
    let requests = world.look("/requests").await["requests"].clone();
    let write = requests.as_array().unwrap().iter().find(|r| r["method"] == "PATCH").unwrap();
    assert_eq!((&write["n"], &write["records"]), (&changes[0]["request"], &json!(1)));
    assert_eq!(world.look("/records/Contact").await["records"][0]["Title"], "DR");
    assert_eq!(world.look("/counters").await["by_kind"]["update"], 1);

    world.order("/quota", json!({ "max": 10, "used": 9 })).await;
    let (_, body) = world.get("/limits").await;
    assert_eq!(body["DailyApiRequests"], json!({ "Max": 10, "Remaining": 0 }));
    let (status, body) = world.get("/limits").await;
    assert_eq!((status, &body[0]["errorCode"]), (403, &json!("REQUEST_LIMIT_EXCEEDED")));
}

#[tokio::test]
async fn a_late_write_lands_although_its_token_has_expired() {
    let world = World::new().await;
    world.order("/fail", json!({ "kind": "late" })).await;
    let create = json!({ "LastName": "Late" });
    let lost = world.request(Method::POST, "/sobjects/Contact").json(&create).send().await;
    assert!(lost.is_err(), "without a status the line breaks");
    world.order("/tokens", json!({ "expire": true })).await;
    assert_eq!(world.look("/records/Contact").await["records"], json!([]));
    assert_eq!(world.order("/release", json!({})).await["statuses"], json!([201]));
    assert_eq!(world.look("/records/Contact").await["records"][0]["LastName"], "Late");
}

#[tokio::test]
async fn trouble_with_tokens_is_ordered_by_name_and_has_their_form() {
    let world = World::new().await;
    world
        .order(
            "/fail",
            json!({ "status": 400, "path_contains": "oauth2", "code": "invalid_grant" }),
        )
        .await;
    let form = [("grant_type", "client_credentials")];
    let answer = world.http.post(&world.running.token_url).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.json::<Value>().await.unwrap()["error"], "invalid_grant");
    assert_eq!(world.get("/limits").await.0, 200, "nothing else was to fail");
}

#[tokio::test]
async fn later_pages_show_rows_as_they_are_or_as_they_were() {
    let world = World::new().await;
    let records: Vec<Value> = (0..201).map(|_| json!({ "LastName": "Old" })).collect();
    let ids = world.seed("Contact", json!(records)).await;
    for (frozen, expected) in [(true, "Old"), (false, "New")] {
        world.order("/cursors", json!({ "frozen": frozen })).await;
        let request = world
            .request(Method::GET, "/query?q=SELECT+LastName+FROM+Contact+ORDER+BY+Id")
            .header("sforce-query-options", "batchSize=200");
        let page: Value = request.send().await.unwrap().json().await.unwrap();
        let edit = json!({ "object": "Contact", "id": ids[200], "fields": { "LastName": "New" } });
        world.order("/edit", edit).await;
        let next = page["nextRecordsUrl"].as_str().unwrap();
        let page = world.get(next.trim_start_matches("/services/data/v66.0")).await.1;
        assert_eq!(page["records"][0]["LastName"], expected);
    }
}
