//! Several requests in one: composite, batch, graph and tree.

use reqwest::Method;
use serde_json::{Value, json};

use super::world::World;

const BASE: &str = "/services/data/v66.0";

impl World {
    async fn composite(&self, path: &str, body: Value) -> Value {
        let (status, body) = self.call(Method::POST, path, body).await;
        assert_eq!(status, 200, "{body}");
        body
    }
}

fn one(method: &str, path: &str, reference: &str, body: Value) -> Value {
    let mut one =
        json!({ "method": method, "url": format!("{BASE}{path}"), "referenceId": reference });
    if !body.is_null() {
        one["body"] = body;
    }
    one
}

fn statuses(answers: &Value) -> Vec<i64> {
    let list = answers.as_array().unwrap().iter();
    list.map(|answer| answer["httpStatusCode"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_composite_hands_answers_on_and_costs_one_call() {
    let world = World::new().await;
    let before = world.look("/counters").await["api_used"].as_u64().unwrap();
    let requests = json!([
        one("PATCH", "/sobjects/Account/Truce_Id__c/a1", "acc", json!({ "Name": "Acme" })),
        one(
            "POST",
            "/sobjects/Contact",
            "roe",
            json!({ "LastName": "Roe", "AccountId": "@{acc.id}" })
        ),
        one(
            "GET",
            "/query?q=SELECT+Account.Name+FROM+Contact+WHERE+Id='@{roe.id}'",
            "q",
            Value::Null
        ),
        one(
            "PATCH",
            "/sobjects/Contact/@{roe.id}",
            "up",
            json!({ "Title": "of @{q.records[0].Account.Name}" })
        ),
    ]);
    let body = json!({ "allOrNone": true, "compositeRequest": requests });
    let answers = world.composite("/composite", body).await["compositeResponse"].clone();
    assert_eq!(statuses(&answers), [201, 201, 200, 204]);
    let account = answers[0]["body"]["id"].as_str().unwrap();
    let location = format!("{BASE}/sobjects/Account/{account}");
    assert_eq!(answers[0]["httpHeaders"], json!({ "Location": location }));
    assert_eq!((&answers[3]["body"], &answers[3]["httpHeaders"]), (&Value::Null, &json!({})));
    assert_eq!(world.rows("SELECT Title FROM Contact").await[0]["Title"], "of Acme");
    assert_eq!(
        world.look("/counters").await["api_used"],
        json!(before + 2),
        "and one for the rows"
    );
}

#[tokio::test]
async fn a_composite_takes_everything_back_or_only_what_depends() {
    let world = World::new().await;
    let requests = |last: &str| {
        json!([
            one("POST", "/sobjects/Account", "acc", json!({ "Name": "Acme" })),
            one(
                "POST",
                "/composite/sobjects",
                "many",
                json!({ "records": [
                { "attributes": { "type": "Account" }, "Name": "Other" }
            ] })
            ),
            one("POST", "/sobjects/Contact", "bad", json!({ "Title": "x" })),
            one("PATCH", "/sobjects/Contact/@{bad.id}", "after", json!({ "Title": "y" })),
            one("POST", "/sobjects/Account", "last", json!({ "Name": last })),
        ])
    };
    let count = async || world.rows("SELECT Id FROM Account").await.len();
    let body = json!({ "allOrNone": true, "compositeRequest": requests("A") });
    let answers = world.composite("/composite", body).await["compositeResponse"].clone();
    assert_eq!(statuses(&answers), [400; 5]);
    assert_eq!(answers[2]["body"][0]["errorCode"], "REQUIRED_FIELD_MISSING");
    for place in [0, 1, 3, 4] {
        assert_eq!(answers[place]["body"][0]["errorCode"], "PROCESSING_HALTED");
    }
    assert_eq!(count().await, 0);
    assert_eq!(world.look("/history").await["changes"], json!([]));

    let body = json!({ "compositeRequest": requests("B") });
    let answers = world.composite("/composite", body).await["compositeResponse"].clone();
    assert_eq!(statuses(&answers), [201, 200, 400, 400, 201]);
    assert_eq!(answers[3]["body"][0]["errorCode"], "PROCESSING_HALTED");
    assert_eq!(count().await, 3);
}

#[tokio::test]
async fn composites_have_bounds() {
    let world = World::new().await;
    let many = |path: &str, count: usize| {
        let list: Vec<Value> =
            (0..count).map(|n| one("GET", path, &format!("r{n}"), Value::Null)).collect();
        json!({ "compositeRequest": list })
    };
    let twice = json!({ "compositeRequest": [
        one("GET", "/limits", "r", Value::Null), one("GET", "/limits", "r", Value::Null)
    ] });
    for (body, code) in [
        (many("/limits", 26), "LIMIT_EXCEEDED"),
        (many("/query?q=SELECT+Id+FROM+Contact", 6), "LIMIT_EXCEEDED"),
        (twice, "INVALID_INPUT"),
        (json!({}), "MISSING_ARGUMENT"),
    ] {
        let (status, answer) = world.call(Method::POST, "/composite", body).await;
        assert_eq!((status, &answer[0]["errorCode"]), (400, &json!(code)));
    }
    let within = json!({ "compositeRequest": [one("POST", "/composite", "r", json!({}))] });
    let answers = world.composite("/composite", within).await;
    assert_eq!(statuses(&answers["compositeResponse"]), [404], "none within another");
}

#[tokio::test]
async fn a_batch_goes_on_after_an_error_unless_told_otherwise() {
    let world = World::new().await;
    let requests = json!([
        { "method": "POST", "url": "v66.0/sobjects/Account", "richInput": { "Name": "Acme" } },
        { "method": "POST", "url": "v66.0/sobjects/Account", "richInput": {} },
        { "method": "GET", "url": "v66.0/query?q=SELECT+COUNT()+FROM+Account" },
    ]);
    let body = json!({ "batchRequests": requests });
    let answer = world.composite("/composite/batch", body).await;
    assert_eq!(answer["hasErrors"], true);
    assert_eq!(answer["results"][0]["statusCode"], 201);
    assert_eq!(answer["results"][1]["result"][0]["errorCode"], "REQUIRED_FIELD_MISSING");
    assert_eq!(answer["results"][2]["result"]["totalSize"], 1);
    let body = json!({ "haltOnError": true, "batchRequests": requests });
    let answer = world.composite("/composite/batch", body).await;
    assert_eq!(answer["results"][2]["statusCode"], 412);
    assert_eq!(answer["results"][2]["result"][0]["errorCode"], "BATCH_PROCESSING_HALTED");
}

#[tokio::test]
async fn graphs_stand_and_fall_each_by_itself() {
    let world = World::new().await;
    let graph = |id: &str, last: Value| {
        json!({ "graphId": id, "compositeRequest": [
            one("POST", "/sobjects/Account", "acc", json!({ "Name": id })),
            one("POST", "/sobjects/Contact", "roe", last),
        ] })
    };
    let good = json!({ "LastName": "Roe", "AccountId": "@{acc.id}" });
    let body = json!({ "graphs": [graph("1", good), graph("2", json!({}))] });
    let answer = world.composite("/composite/graph", body).await;
    assert_eq!(answer["graphs"][0]["isSuccessful"], true);
    assert_eq!(answer["graphs"][1]["isSuccessful"], false);
    let second = &answer["graphs"][1]["graphResponse"]["compositeResponse"];
    assert_eq!(second[0]["body"][0]["errorCode"], "PROCESSING_HALTED");
    let rows = world.rows("SELECT Account.Name FROM Contact").await;
    assert_eq!((rows.len(), &rows[0]["Account"]["Name"]), (1, &json!("1")));
    assert_eq!(world.rows("SELECT Id FROM Account").await.len(), 1);

    let chain: Vec<Value> = (0..16)
        .map(|n| {
            let above = if n == 0 { json!("A") } else { json!(format!("@{{r{}.id}}", n - 1)) };
            one("POST", "/sobjects/Account", &format!("r{n}"), json!({ "Name": above }))
        })
        .collect();
    let body = json!({ "graphs": [{ "graphId": "deep", "compositeRequest": chain }] });
    assert_eq!(world.call(Method::POST, "/composite/graph", body).await.0, 400);
}

#[tokio::test]
async fn a_tree_is_planted_whole() {
    let world = World::new().await;
    let record = |kind: &str, reference: &str, mut fields: Value| {
        fields["attributes"] = json!({ "type": kind, "referenceId": reference });
        fields
    };
    let tree = |name: Value| {
        let contacts = json!({ "records": [
            record("Contact", "c1", json!({ "LastName": "One" })),
            record("Contact", "c2", json!({ "LastName": name })),
        ] });
        json!({ "records": [record("Account", "a", json!({ "Name": "Acme", "Contacts": contacts }))] })
    };
    let path = "/composite/tree/Account";
    let (status, answer) = world.call(Method::POST, path, tree(Value::Null)).await;
    assert_eq!((status, &answer["hasErrors"]), (400, &json!(true)));
    assert_eq!(answer["results"][0]["referenceId"], "c2");
    assert_eq!(answer["results"][0]["errors"][0]["statusCode"], "REQUIRED_FIELD_MISSING");
    assert!(world.rows("SELECT Id FROM Account").await.is_empty());
    let (status, answer) = world.call(Method::POST, path, tree(json!("Two"))).await;
    assert_eq!((status, answer["results"].as_array().unwrap().len()), (201, 3));
    let rows = world.rows("SELECT Account.Name FROM Contact").await;
    assert!(rows.len() == 2 && rows.iter().all(|row| row["Account"]["Name"] == "Acme"));
}
