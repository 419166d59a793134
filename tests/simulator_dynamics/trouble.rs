//! What a test can order: failing answers, limits, a customer's own logic, and what it may look at.

use serde_json::json;

use super::world::World;

#[tokio::test]
async fn service_protection_counts_what_is_really_asked() {
    let world = World::new().await;
    world.order("/clock", json!({ "at": "2026-10-31T12:00:00Z", "scale": 0 })).await;
    let mut world = world;
    world.log_in().await;
    world.order("/limits", json!({ "requests": 3, "window_s": 60, "clear": true })).await;
    for left in ["2", "1", "0"] {
        let told = world.get("WhoAmI").await;
        assert_eq!(told.header("x-ms-ratelimit-burst-remaining-xrm-requests"), left);
    }
    let told = world.get("WhoAmI").await;
    assert_eq!(told.code(), (429, "0x80072322"));
    assert_eq!(told.header("retry-after"), "60");
    world.order("/clock", json!({ "at": "2026-10-31T12:01:01Z" })).await;
    assert_eq!(world.get("WhoAmI").await.status, 200, "the window went on");

    world.order("/limits", json!({ "requests": 6000, "execution_ms": 100, "cost_ms": 60 })).await;
    assert_eq!(world.get("WhoAmI").await.status, 200);
    assert_eq!(world.get("WhoAmI").await.status, 200);
    assert_eq!(world.get("WhoAmI").await.code(), (429, "0x80072321"));
    world.order("/limits", json!({ "execution_ms": 1_200_000, "cost_ms": 0, "busy": 52 })).await;
    assert_eq!(world.get("WhoAmI").await.code(), (429, "0x80072326"));
    assert_eq!(world.look("/counters").await["throttled"], 3);
}

#[tokio::test]
async fn answers_fail_before_or_after_their_effect() {
    let world = World::new().await;
    let body = json!({ "lastname": "Lost" });
    world.order("/fail", json!({ "kind": "reset", "effect": "after", "method": "POST" })).await;
    let request = world.request(reqwest::Method::POST, "contacts").json(&body);
    assert!(request.send().await.is_err(), "the line broke");
    assert_eq!(world.get("contacts").await.rows().len(), 1, "and it happened");
    world.order("/fail", json!({ "kind": "html", "status": 502 })).await;
    let told = world.get("contacts").await;
    assert_eq!((told.status, told.header("content-type")), (502, "text/html; charset=utf-8"));
    world.order("/fail", json!({ "status": 429 })).await;
    let told = world.get("contacts").await;
    assert_eq!((told.code(), told.header("retry-after")), ((429, "0x80072322"), "1"));
    world.order("/fail", json!({ "status": 401 })).await;
    assert!(world.get("contacts").await.header("www-authenticate").starts_with("Bearer"));

    world.order("/fail", json!({ "kind": "late", "status": 504, "method": "POST" })).await;
    assert_eq!(world.post("contacts", body).await.status, 504);
    assert_eq!(world.get("contacts").await.rows().len(), 1);
    let released = world.order("/release", json!({})).await;
    assert_eq!(released["statuses"], json!([204]));
    assert_eq!(world.get("contacts").await.rows().len(), 2);
}

#[tokio::test]
async fn one_record_can_be_refused_among_its_neighbours() {
    let world = World::new().await;
    let id = world.make("contacts", json!({ "lastname": "Bell" })).await;
    world.order("/fail-record", json!({ "key": id, "code": "0x80040265", "message": "No." })).await;
    let path = format!("contacts({id})");
    assert_eq!(world.patch(&path, json!({ "fax": "1" })).await.code(), (400, "0x80040265"));
    assert_eq!(world.patch(&path, json!({ "fax": "1" })).await.status, 204, "once");
}

#[tokio::test]
async fn a_plug_in_rewrites_what_the_api_writes() {
    let world = World::new().await;
    let order = json!({ "table": "contact", "column": "jobtitle", "rewrite": { "count": "n" } });
    world.order("/plugin", order).await;
    let id = world.make("contacts", json!({ "jobtitle": "Dr" })).await;
    let path = format!("contacts({id})");
    assert_eq!(world.get(&path).await.body["jobtitle"], "n1");
    world
        .order("/edit", json!({ "table": "contact", "id": id, "fields": { "jobtitle": "Dr" } }))
        .await;
    assert_eq!(world.get(&path).await.body["jobtitle"], "Dr", "a person is not the API");
    let refuse = json!({ "table": "contact", "column": "fax", "rewrite": { "refuse": "No." } });
    world.order("/plugin", refuse).await;
    let told = world.patch(&path, json!({ "lastname": "Roe" })).await;
    assert_eq!((told.code(), &told.body["error"]["message"]), ((400, "0x80040265"), &json!("No.")));
    assert!(world.get(&path).await.body["lastname"].is_null(), "nothing of it was done");
}

#[tokio::test]
async fn history_and_requests_tell_who_did_what() {
    let world = World::new().await;
    let id = world.seed("contact", json!([{ "lastname": "Bell" }])).await.remove(0);
    world.patch(&format!("contacts({id})"), json!({ "lastname": "Roe" })).await;
    world.order("/edit", json!({ "table": "contact", "id": id, "fields": { "fax": "1" } })).await;
    world.order("/delete", json!({ "table": "contact", "ids": [id] })).await;
    let history = world.look(&format!("/history?table=contact&id={id}")).await;
    let changes = history["changes"].as_array().unwrap();
    let told: Vec<(&str, &str)> = changes
        .iter()
        .map(|one| (one["deed"].as_str().unwrap(), one["via"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("update", "api"), ("update", "user"), ("delete", "user")]);
    assert_eq!(changes[0]["fields"]["lastname"], json!(["Bell", "Roe"]));
    let requests = world.look("/requests").await;
    let last = requests["requests"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["number"], &last["kind"]), (&changes[0]["request"], &json!("update")));
    assert_eq!(world.look("/counters").await["by_kind"]["update"], 1);

    world.order("/reset", json!({})).await;
    assert_eq!(world.get("contacts").await.rows().len(), 0, "the token still stands");
    let url = format!("{}/edit", world.running.control_url);
    let wrong = world.http.post(url).json(&json!({ "table": "nothing" })).send().await.unwrap();
    assert_eq!(wrong.status(), 400);
}
