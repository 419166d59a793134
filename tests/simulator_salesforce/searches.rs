//! Searches by words, children of rows, and how a query would be run.

use reqwest::Method;
use serde_json::{Value, json};

use super::world::World;

impl World {
    async fn people() -> World {
        let world = World::new().await;
        let account = world.seed("Account", json!([{ "Name": "Roe Brothers" }])).await.remove(0);
        let contacts = json!([
            { "LastName": "Roe", "FirstName": "Jo", "Email": "jo.roe@example.com", "AccountId": account },
            { "LastName": "Doe", "FirstName": "Jo", "Phone": "555 0100", "AccountId": account },
            { "LastName": "Other", "Title": "friend of Roe" },
        ]);
        world.seed("Contact", contacts).await;
        world
    }

    async fn search(&self, text: &str) -> Vec<String> {
        let url = format!("{}/services/data/v66.0/search", self.running.base_url);
        let request = self.http.get(url).query(&[("q", text)]).bearer_auth(&self.token);
        let body: Value = request.send().await.unwrap().json().await.unwrap();
        names(&body)
    }
}

/// The names found, or the code of the error.
fn names(body: &Value) -> Vec<String> {
    let Some(records) = body["searchRecords"].as_array() else {
        return vec![body[0]["errorCode"].as_str().unwrap_or("no records").to_owned()];
    };
    let name = |record: &Value| {
        let name = [&record["LastName"], &record["Name"], &record["attributes"]["type"]];
        name.into_iter().find_map(Value::as_str).unwrap_or_default().to_owned()
    };
    records.iter().map(name).collect()
}

#[tokio::test]
async fn words_are_found_where_the_search_looks() {
    let world = World::people().await;
    let cases: [(&str, &[&str]); 9] = [
        (
            "FIND {roe} RETURNING Contact(LastName ORDER BY Id), Account(Name)",
            &["Roe", "Other", "Roe Brothers"],
        ),
        ("FIND {roe} IN NAME FIELDS RETURNING Contact(LastName)", &["Roe"]),
        (
            "find {ro*} in name fields returning Contact(LastName WHERE FirstName = 'Jo' LIMIT 1)",
            &["Roe"],
        ),
        ("FIND {\"jo roe\"} IN NAME FIELDS RETURNING Contact(LastName)", &["Roe"]),
        ("FIND {jo AND NOT roe} RETURNING Contact(LastName)", &["Doe"]),
        ("FIND {0100} IN PHONE FIELDS RETURNING Contact(LastName)", &["Doe"]),
        (
            "FIND {roe OR doe} RETURNING Contact(LastName ORDER BY LastName DESC) LIMIT 2",
            &["Roe", "Other"],
        ),
        ("FIND {roe}", &["Account", "Contact", "Contact"]),
        ("FIND {\\}\\{} RETURNING Contact(Id)", &["MALFORMED_SEARCH"]),
    ];
    for (text, expected) in cases {
        assert_eq!(world.search(text).await, expected, "{text}");
    }
}

#[tokio::test]
async fn mistakes_in_a_search_have_their_codes() {
    let world = World::people().await;
    for (text, expected) in [
        ("FIND roe", "MALFORMED_SEARCH"),
        ("FIND {roe} IN SOME FIELDS", "MALFORMED_SEARCH"),
        ("FIND {roe} RETURNING Contact(Id", "MALFORMED_SEARCH"),
        ("FIND {roe} RETURNING", "MALFORMED_SEARCH"),
        ("FIND {r} RETURNING Contact", "MALFORMED_SEARCH"),
        ("FIND {roe} LIMIT many", "MALFORMED_SEARCH"),
        ("FIND {roe} RETURNING Contact(Nope)", "INVALID_FIELD"),
        ("FIND {roe} RETURNING Nope", "INVALID_TYPE"),
    ] {
        assert_eq!(world.search(text).await, [expected], "{text}");
    }
}

#[tokio::test]
async fn a_search_may_come_as_parameters() {
    let world = World::people().await;
    let path = "/parameterizedSearch?q=roe&sobject=Contact&Contact.fields=LastName&Contact.limit=1";
    assert_eq!(names(&world.get(path).await.1), ["Roe"]);
    let body = json!({
        "q": "roe", "in": "ALL", "fields": ["Id"], "overallLimit": 2,
        "sobjects": [
            { "name": "Account", "fields": ["Name"] },
            { "name": "Contact", "fields": ["LastName"], "where": "Title = null" },
        ],
    });
    let (status, body) = world.call(Method::POST, "/parameterizedSearch", body).await;
    assert_eq!((status, names(&body)), (200, vec!["Roe Brothers".to_owned(), "Roe".to_owned()]));
}

#[tokio::test]
async fn children_come_as_a_result_of_their_own() {
    let world = World::people().await;
    world.seed("Account", json!([{ "Name": "Without" }])).await;
    let soql = "SELECT Name, (SELECT LastName FROM Contacts WHERE FirstName = 'Jo' ORDER BY LastName) \
                FROM Account ORDER BY Name";
    let rows = world.rows(soql).await;
    assert_eq!(rows[0]["Contacts"]["totalSize"], 2);
    assert_eq!(rows[0]["Contacts"]["records"][0]["LastName"], "Doe");
    assert_eq!(rows[0]["Contacts"]["done"], true);
    assert_eq!(rows[1]["Contacts"], Value::Null);
    let (status, body) = world.query("query", "SELECT (SELECT Id FROM Nope) FROM Account").await;
    assert_eq!((status, &body[0]["errorCode"]), (400, &json!("INVALID_FIELD")));
}

#[tokio::test]
async fn aggregates_fold_all_rows_into_one() {
    let world = World::new().await;
    let scores =
        json!([{ "LastName": "A", "Score__c": 1.5 }, { "LastName": "B", "Score__c": 2.5 }]);
    world.seed("Contact", scores).await;
    let soql = "SELECT COUNT(Id), SUM(Score__c) total, AVG(Score__c), MAX(LastName) FROM Contact";
    let row = &world.rows(soql).await[0];
    assert_eq!(row["attributes"], json!({ "type": "AggregateResult" }));
    assert_eq!((&row["expr0"], &row["total"]), (&json!(2), &json!(4.0)));
    assert_eq!((&row["expr2"], &row["expr3"]), (&json!(2.0), &json!("B")));
}

#[tokio::test]
async fn a_plan_tells_what_a_query_would_cost() {
    let world = World::people().await;
    let plan = async |condition: &str| {
        let path = format!("/query?explain=SELECT+Id+FROM+Contact+WHERE+{condition}");
        world.get(&path).await.1["plans"][0].clone()
    };
    let indexed = plan("Email='jo.roe@example.com'").await;
    assert_eq!(
        (&indexed["leadingOperationType"], &indexed["cardinality"]),
        (&json!("Index"), &json!(1))
    );
    assert_eq!(plan("FirstName='Jo'").await["leadingOperationType"], "TableScan");
}
