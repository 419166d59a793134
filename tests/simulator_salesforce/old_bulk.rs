//! Bulk API 1.0, as its last clients speak it: XML around CSV, and JSON.

use reqwest::Method;
use serde_json::{Value, json};

use super::world::World;

const XML: &str = "application/xml; charset=UTF-8";

impl World {
    async fn old(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: &str,
    ) -> (u16, String, String) {
        let url = format!("{}/services/async/59.0/job{path}", self.running.base_url);
        let request = self.http.request(method, url).header("x-sfdc-session", &self.token);
        let answer =
            request.header("content-type", kind).body(body.to_owned()).send().await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (answer.status().as_u16(), kind, answer.text().await.unwrap())
    }

    async fn old_job(&self, operation: &str, content: &str) -> String {
        let body = format!(
            "<jobInfo xmlns=\"http://www.force.com/2009/06/asyncapi/dataload\">\
             <operation>{operation}</operation><object>Contact</object>\
             <contentType>{content}</contentType></jobInfo>"
        );
        let (status, kind, text) = self.old(Method::POST, "", XML, &body).await;
        assert_eq!((status, kind.as_str()), (201, "application/xml"), "{text}");
        inside(&text, "id")
    }

    async fn batch(&self, job: &str, kind: &str, body: &str) -> String {
        let path = format!("/{job}/batch");
        let (status, _, text) = self.old(Method::POST, &path, kind, body).await;
        assert_eq!(status, 201, "{text}");
        if kind == "application/json" {
            let told: Value = serde_json::from_str(&text).unwrap();
            return told["id"].as_str().unwrap().to_owned();
        }
        inside(&text, "id")
    }
}

fn inside(text: &str, name: &str) -> String {
    let (_, rest) = text.split_once(&format!("<{name}>")).unwrap();
    rest.split_once(&format!("</{name}>")).unwrap().0.to_owned()
}

#[tokio::test]
async fn a_csv_batch_answers_in_the_order_of_its_rows() {
    let world = World::new().await;
    let job = world.old_job("insert", "CSV").await;
    let csv = "LastName,Title\r\nRoe,\"a, b\"\r\n,x\r\n";
    let batch = world.batch(&job, "text/csv; charset=UTF-8", csv).await;
    let path = format!("/{job}/batch/{batch}");
    let (_, kind, text) = world.old(Method::GET, &path, XML, "").await;
    assert_eq!((kind.as_str(), inside(&text, "state").as_str()), ("application/xml", "Completed"));
    assert_eq!(inside(&text, "numberRecordsFailed"), "1");
    let (_, kind, text) = world.old(Method::GET, &format!("{path}/result"), XML, "").await;
    assert_eq!(kind, "text/csv", "one client compares it letter by letter");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "\"Id\",\"Success\",\"Created\",\"Error\"");
    assert!(lines[1].contains("\"true\",\"true\",\"\""), "{text}");
    assert!(lines[2].starts_with("\"\",\"false\",\"false\",\"REQUIRED_FIELD_MISSING:"), "{text}");
    let (_, _, text) = world.old(Method::GET, &format!("{path}/request"), XML, "").await;
    assert_eq!(text, csv);

    let close = "<jobInfo><state>Closed</state></jobInfo>";
    let (_, _, text) = world.old(Method::POST, &format!("/{job}"), XML, close).await;
    assert_eq!(
        (inside(&text, "state").as_str(), inside(&text, "numberBatchesTotal").as_str()),
        ("Closed", "1")
    );
    let (status, _, text) = world.old(Method::POST, &format!("/{job}/batch"), XML, csv).await;
    assert_eq!((status, inside(&text, "exceptionCode").as_str()), (400, "InvalidJobState"));
}

#[tokio::test]
async fn a_query_is_read_by_its_result_list() {
    let world = World::new().await;
    world.seed("Contact", json!([{ "LastName": "Roe" }, { "LastName": "Doe" }])).await;
    let job = world.old_job("query", "CSV").await;
    let batch = world.batch(&job, "text/csv", "SELECT LastName FROM Contact ORDER BY Id").await;
    let path = format!("/{job}/batch/{batch}/result");
    let (_, kind, text) = world.old(Method::GET, &path, XML, "").await;
    assert_eq!(kind, "application/xml");
    let path = format!("{path}/{}", inside(&text, "result"));
    let (_, kind, text) = world.old(Method::GET, &path, XML, "").await;
    assert_eq!((kind.as_str(), text.as_str()), ("text/csv", "\"LastName\"\n\"Roe\"\n\"Doe\"\n"));
    let batch = world.batch(&job, "text/csv", "SELECT Nope FROM Contact").await;
    let (_, _, text) = world.old(Method::GET, &format!("/{job}/batch/{batch}"), XML, "").await;
    assert_eq!(inside(&text, "state"), "Failed");
    assert!(inside(&text, "stateMessage").starts_with("InvalidBatch : Failed to process query"));
}

#[tokio::test]
async fn a_json_batch_waits_for_its_time_and_can_be_aborted() {
    let world = World::new().await;
    world.order("/clock", json!({ "scale": 0 })).await;
    world.order("/bulk", json!({ "seconds": 5 })).await;
    let job = world.old_job("insert", "JSON").await;
    let rows = "[{\"LastName\":\"Roe\",\"DoNotCall\":true}]";
    let batch = world.batch(&job, "application/json", rows).await;
    let path = format!("/{job}/batch/{batch}");
    let state = async || {
        let (_, _, text) = world.old(Method::GET, &path, "application/json", "").await;
        serde_json::from_str::<Value>(&text).unwrap()["state"].clone()
    };
    assert_eq!(state().await, "Queued");
    world.order("/clock", json!({ "offset_s": 60 })).await;
    assert_eq!(state().await, "Completed");
    let (_, kind, text) = world.old(Method::GET, &format!("{path}/result"), XML, "").await;
    assert_eq!(kind, "application/json");
    let result: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&result[0]["success"], &result[0]["errors"]), (&json!(true), &json!([])));

    let batch = world.batch(&job, "application/json", rows).await;
    let abort = "<jobInfo><state>Aborted</state></jobInfo>";
    world.old(Method::POST, &format!("/{job}"), XML, abort).await;
    let path = format!("/{job}/batch/{batch}");
    let (_, _, text) = world.old(Method::GET, &path, XML, "").await;
    assert_eq!(inside(&text, "state"), "NotProcessed");
    assert_eq!(world.rows("SELECT Id FROM Contact").await.len(), 1);
}

#[tokio::test]
async fn errors_have_a_form_of_their_own() {
    let mut world = World::new().await;
    let (status, _, text) = world.old(Method::GET, "/750xx0000000009AAA", XML, "").await;
    assert_eq!((status, inside(&text, "exceptionCode").as_str()), (400, "InvalidJob"));
    world.token = "made up".to_owned();
    let (status, kind, text) = world.old(Method::GET, "/750", "application/json", "").await;
    assert_eq!((status, kind.as_str()), (400, "application/json"));
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["exceptionCode"], "InvalidSessionId");
}
