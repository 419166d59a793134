//! Jobs of the simulated Salesforce: uploads and queries as a whole, their results, and what goes
//! wrong with them.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::world::World;

/// The steps of a job, as a client takes them.
impl World {
    async fn job(&self, body: Value) -> String {
        let (status, job) = self.call(Method::POST, "/jobs/ingest", body).await;
        assert_eq!((status, &job["state"]), (200, &json!("Open")), "{job}");
        let id = job["id"].as_str().unwrap();
        let url = format!("services/data/v66.0/jobs/ingest/{id}/batches");
        assert_eq!(job["contentUrl"], json!(url));
        id.to_owned()
    }

    async fn put(&self, id: &str, csv: &str) -> StatusCode {
        let request = self.request(Method::PUT, &format!("/jobs/ingest/{id}/batches/"));
        let request = request.header("content-type", "text/csv; charset=UTF-8");
        request.body(csv.to_owned()).send().await.unwrap().status()
    }

    async fn state(&self, id: &str, state: &str) -> (u16, Value) {
        let path = format!("/jobs/ingest/{id}");
        self.call(Method::PATCH, &path, json!({ "state": state })).await
    }

    /// Makes, fills and closes a job.
    async fn upload(&self, body: Value, csv: &str) -> String {
        let id = self.job(body).await;
        assert_eq!(self.put(&id, csv).await, StatusCode::CREATED);
        let (status, job) = self.state(&id, "UploadComplete").await;
        assert_eq!((status, &job["state"]), (200, &json!("UploadComplete")));
        id
    }

    async fn csv(&self, path: &str) -> (String, String, String) {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["content-type"], "text/csv");
        let header = |name: &str| {
            let value = answer.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        let (locator, count) = (header("sforce-locator"), header("sforce-numberofrecords"));
        (answer.text().await.unwrap(), locator, count)
    }

    async fn result(&self, id: &str, which: &str) -> String {
        self.csv(&format!("/jobs/ingest/{id}/{which}/")).await.0
    }
}

fn upsert() -> Value {
    json!({ "object": "Contact", "operation": "upsert", "externalIdFieldName": "Truce_Id__c",
        "contentType": "CSV", "lineEnding": "LF" })
}

fn of(operation: &str) -> Value {
    json!({ "object": "Contact", "operation": operation })
}

#[tokio::test]
async fn an_upload_answers_for_each_of_its_rows() {
    let world = World::new().await;
    let account = json!([{ "Name": "Acme", "Truce_Id__c": "a1" }]);
    let account = world.seed("Account", account).await.remove(0);
    world.seed("Contact", json!([{ "LastName": "Old", "Truce_Id__c": "1", "Title": "Dr" }])).await;
    let csv = "Truce_Id__c,LastName,Title,DoNotCall,Score__c,Account.Truce_Id__c\n\
               1,New,,yes,1.5,a1\n\
               2,\"two\nlines, \"\"q\"\" é\",x,,,\n\
               3,,x,,,\n\
               4,Roe,x,,much,\n";
    let id = world.upload(upsert(), csv).await;
    let (_, job) = world.get(&format!("/jobs/ingest/{id}")).await;
    assert_eq!(job["state"], "JobComplete");
    assert_eq!(
        (&job["numberRecordsProcessed"], &job["numberRecordsFailed"]),
        (&json!(4), &json!(2))
    );
    assert_eq!(job["apiVersion"].to_string(), "66.0");

    let good = world.result(&id, "successfulResults").await;
    let lines: Vec<&str> = good.split('\n').collect();
    assert!(lines[0].starts_with("\"sf__Id\",\"sf__Created\",\"Truce_Id__c\""), "{good}");
    assert!(lines[1].contains("\"true\",\"2\",\"two"), "not in the order of the upload: {good}");
    assert!(good.contains("\"false\",\"1\",\"New\""));
    let bad = world.result(&id, "FAILEDRESULTS").await;
    assert!(bad.contains(
        "\"\",\"REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --\",\"3\""
    ));
    assert!(bad.contains("INVALID_TYPE_ON_FIELD_IN_RECORD:"), "{bad}");
    let rest = world.result(&id, "unprocessedrecords").await;
    assert_eq!(rest.lines().count(), 1, "a header even where there are no rows");

    let soql = "SELECT LastName, Title, DoNotCall, Score__c, AccountId FROM Contact \
                ORDER BY Truce_Id__c";
    let rows = world.rows(soql).await;
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["Title"], &rows[0]["DoNotCall"]), (&json!("Dr"), &json!(true)));
    assert_eq!(rows[0]["AccountId"], json!(account));
    assert_eq!(rows[1]["LastName"], "two\nlines, \"q\" é");
}

#[tokio::test]
async fn an_empty_cell_leaves_a_field_and_the_mark_empties_it() {
    let world = World::new().await;
    let seeds = json!([{ "LastName": "A", "Title": "a" }, { "LastName": "B", "Title": "b" }]);
    let ids = world.seed("Contact", seeds).await;
    let csv = format!("Id,Title\r\n{},#N/A\r\n{},\r\n", ids[0], ids[1]);
    let mut body = of("update");
    body["lineEnding"] = json!("CRLF");
    world.upload(body, &csv).await;
    let rows = world.rows("SELECT Title FROM Contact ORDER BY LastName").await;
    assert_eq!((&rows[0]["Title"], &rows[1]["Title"]), (&Value::Null, &json!("b")));

    world.upload(of("delete"), &format!("Id\n{}\n", ids[0])).await;
    let deleted = world.rows("SELECT Id FROM Contact WHERE IsDeleted = true").await;
    assert_eq!(deleted[0]["Id"], json!(ids[0]));
    let (status, body) = world.call(Method::POST, "/jobs/ingest", of("hardDelete")).await;
    assert_eq!((status, &body[0]["errorCode"]), (400, &json!("FEATURENOTENABLED")));
    world.order("/bulk", json!({ "hard_delete": true })).await;
    world.upload(of("hardDelete"), &format!("Id\n{}\n", ids[1])).await;
    assert_eq!(world.rows("SELECT Id FROM Contact").await.len(), 1);
}

#[tokio::test]
async fn an_upload_that_cannot_be_read_fails_as_a_whole() {
    let world = World::new().await;
    let cases = [
        ("LastName,Foo\nRoe,1\n", "InvalidBatch : Field name not found : Foo"),
        ("LastName\r\nRoe\r\n", "LineEnding is invalid on user data"),
        ("LastName,Title\nRoe\n", "Number of cells"),
        ("LastName\n\"Roe\n", "quoted"),
    ];
    for (csv, expected) in cases {
        let id = world.upload(of("insert"), csv).await;
        let (_, job) = world.get(&format!("/jobs/ingest/{id}")).await;
        assert_eq!(job["state"], "Failed", "{csv:?}");
        let message = job["errorMessage"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
    }
    assert!(world.rows("SELECT Id FROM Contact").await.is_empty());
}

#[tokio::test]
async fn a_job_that_fails_midway_keeps_what_it_wrote() {
    let world = World::new().await;
    world.order("/clock", json!({ "at": "2026-10-31T12:00:00Z", "scale": 0 })).await;
    let order = json!({ "seconds": 60, "batch": 2, "fail_after": 2, "message": "InternalError" });
    world.order("/bulk", order).await;
    let id = world.upload(of("insert"), "LastName\nA\nB\nC\nD\nE\n").await;
    let count = async || world.rows("SELECT Id FROM Contact").await.len();
    let at = async |time: &str| {
        world.order("/clock", json!({ "at": format!("2026-10-31T12:{time}Z") })).await;
        world.get(&format!("/jobs/ingest/{id}")).await.1
    };
    assert_eq!((at("00:19").await["state"].clone(), count().await), (json!("InProgress"), 0));
    let job = at("00:20").await;
    assert_eq!((&job["numberRecordsProcessed"], count().await), (&json!(1), 1), "the last first");
    let path = format!("/jobs/ingest/{id}/successfulResults");
    assert_eq!(world.get(&path).await.0, 400, "not while it runs");
    let job = at("01:00").await;
    assert_eq!((&job["state"], &job["errorMessage"]), (&json!("Failed"), &json!("InternalError")));
    assert_eq!(count().await, 3);
    let rest = world.result(&id, "unprocessedRecords").await;
    assert_eq!(rest, "\"LastName\"\n\"A\"\n\"B\"\n");
    let rows = world.rows("SELECT SystemModstamp FROM Contact WHERE LastName = 'C'").await;
    assert_eq!(
        rows[0]["SystemModstamp"], "2026-10-31T12:00:40.000+0000",
        "as it ran, not as it was seen"
    );
}

#[tokio::test]
async fn a_job_goes_through_its_states_and_no_others() {
    let world = World::new().await;
    let id = world.job(upsert()).await;
    let code = |(status, body): (u16, Value)| {
        (status, body[0]["errorCode"].as_str().unwrap_or("").to_owned())
    };
    let wrong = (400, "INVALIDJOBSTATE".to_owned());
    assert_eq!(code(world.state(&id, "UploadComplete").await), wrong, "nothing was uploaded");
    assert_eq!(
        code(world.call(Method::DELETE, &format!("/jobs/ingest/{id}"), Value::Null).await),
        wrong
    );
    assert_eq!(world.put(&id, "Truce_Id__c\n1\n").await, 201);
    assert_eq!(world.put(&id, "Truce_Id__c\n1\n").await, 400, "once a job");
    assert_eq!(world.state(&id, "Aborted").await.1["state"], "Aborted");
    assert_eq!(code(world.state(&id, "UploadComplete").await), wrong);
    assert_eq!(world.get("/jobs/ingest").await.1["records"][0]["id"], json!(id));
    let path = format!("/jobs/ingest/{id}");
    assert_eq!(world.call(Method::DELETE, &path, Value::Null).await.0, 204);
    assert_eq!(code(world.get(&path).await), (404, "NOT_FOUND".to_owned()));

    let cases = [
        (json!({ "object": "Nope", "operation": "insert" }), "INVALIDENTITY"),
        (json!({ "object": "Contact", "operation": "upsert" }), "INVALIDJOB"),
        (json!({ "object": "Contact", "operation": "sell" }), "INVALIDJOB"),
        (
            json!({ "object": "Contact", "operation": "insert", "contentType": "JSON" }),
            "INVALIDJOB",
        ),
        (json!({ "object": "Contact", "operation": "insert", "lineEnding": "CR" }), "INVALIDJOB"),
    ];
    for (body, expected) in cases {
        let answer = world.call(Method::POST, "/jobs/ingest", body.clone()).await;
        assert_eq!(code(answer), (400, expected.to_owned()), "{body}");
    }
}

#[tokio::test]
async fn a_query_is_read_page_by_page_as_it_was_when_it_ran() {
    let world = World::new().await;
    let account = world.seed("Account", json!([{ "Name": "Acme" }])).await.remove(0);
    let records: Vec<Value> = (0..5)
        .map(|n| json!({ "LastName": format!("L{n}"), "AccountId": account, "Score__c": n }))
        .collect();
    let ids = world.seed("Contact", json!(records)).await;
    world.order("/delete", json!({ "object": "Contact", "ids": [ids[4]] })).await;
    let run = async |operation: &str| {
        let soql = "SELECT Id, LastName, Account.Name, Score__c, Title FROM Contact";
        let body = json!({ "operation": operation, "query": soql });
        let (status, job) = world.call(Method::POST, "/jobs/query", body).await;
        assert_eq!((status, &job["state"]), (200, &json!("UploadComplete")), "{job}");
        job["id"].as_str().unwrap().to_owned()
    };
    let id = run("query").await;
    let (_, job) = world.get(&format!("/jobs/query/{id}")).await;
    assert_eq!((&job["state"], &job["numberRecordsProcessed"]), (&json!("JobComplete"), &json!(4)));
    let edit = json!({ "object": "Contact", "id": ids[0], "fields": { "LastName": "New" } });
    world.order("/edit", edit).await;

    let path = format!("/jobs/query/{id}/results");
    let (page, locator, count) = world.csv(&format!("{path}?maxRecords=3")).await;
    let header = "\"Id\",\"LastName\",\"Account.Name\",\"Score__c\",\"Title\"";
    assert_eq!(page.lines().next(), Some(header));
    assert!(page.contains(&format!("\"{}\",\"L0\",\"Acme\",\"0.0\",\"\"", ids[0])), "{page}");
    assert_eq!((page.lines().count(), count.as_str()), (4, "3"));
    let (page, last, count) = world.csv(&format!("{path}?maxRecords=3&locator={locator}")).await;
    assert_eq!((page.lines().count(), last.as_str(), count.as_str()), (2, "null", "1"));
    let (_, last, count) = world.csv(&path).await;
    assert_eq!(
        (last.as_str(), count.as_str()),
        ("null", "4"),
        "one page where no size is asked for"
    );
    let (_, _, count) = world.csv(&format!("/jobs/query/{}/results", run("queryAll").await)).await;
    assert_eq!(count, "5");

    world.order("/cursors", json!({ "expire": true })).await;
    let (status, body) = world.get(&format!("{path}?maxRecords=3&locator={locator}")).await;
    assert_eq!((status, &body[0]["errorCode"]), (400, &json!("INVALID_QUERY_LOCATOR")));
}

#[tokio::test]
async fn a_query_job_takes_less_than_a_query() {
    let world = World::new().await;
    let cases = [
        ("SELECT COUNT() FROM Contact", "API_ERROR"),
        ("SELECT MAX(SystemModstamp) FROM Contact", "API_ERROR"),
        ("SELECT Id, MailingAddress FROM Contact", "API_ERROR"),
        ("SELECT Id FROM Contact LIMIT 1 OFFSET 1", "API_ERROR"),
        ("SELECT Nope FROM Contact", "INVALID_FIELD"),
        ("SELECT Id FRM Contact", "MALFORMED_QUERY"),
    ];
    for (query, expected) in cases {
        let body = json!({ "operation": "query", "query": query });
        let (status, body) = world.call(Method::POST, "/jobs/query", body).await;
        assert_eq!((status, &body[0]["errorCode"]), (400, &json!(expected)), "{query}");
    }
}

#[tokio::test]
async fn a_record_is_refused_in_a_job_too_and_once_a_chunk() {
    let world = World::new().await;
    let ids = world.seed("Contact", json!([{ "LastName": "A" }, { "LastName": "B" }])).await;
    let order = json!({ "key": ids[0], "statusCode": "UNABLE_TO_LOCK_ROW", "message": "taken" });
    world.order("/fail-record", order).await;
    let csv = format!("Id,Title\n{},x\n{},y\n{},z\n", ids[0], ids[1], ids[1]);
    let id = world.upload(of("update"), &csv).await;
    let bad = world.result(&id, "failedResults").await;
    assert!(bad.contains("UNABLE_TO_LOCK_ROW:taken: --"), "{bad}");
    assert!(bad.contains("DUPLICATE_VALUE:"), "{bad}");
}
