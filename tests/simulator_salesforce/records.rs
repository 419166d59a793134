//! Records, one by one and in collections, and what is asked of them.

use reqwest::Method;
use serde_json::{Value, json};

use super::world::{World, code, contact};

#[tokio::test]
async fn describe_tells_what_the_model_checks() {
    let world = World::new().await;
    let (_, body) = world.get("/sobjects/").await;
    assert_eq!(body["maxBatchSize"], 200);
    let answer = world.request(Method::GET, "/sobjects/Contact/describe").send().await.unwrap();
    let modified = answer.headers()["last-modified"].clone();
    let body: Value = answer.json().await.unwrap();
    let fields = body["fields"].as_array().unwrap();
    let field = |name: &str| fields.iter().find(|field| field["name"] == name).unwrap();
    assert_eq!(field("LastName")["nillable"], false);
    assert_eq!(field("Email")["type"], "email");
    assert_eq!(field("Truce_Id__c")["externalId"], true);
    assert_eq!(field("Truce_Id__c")["caseSensitive"], true);
    assert_eq!(field("Interests__c")["picklistValues"].as_array().unwrap().len(), 6);
    assert_eq!(field("AccountId")["referenceTo"], json!(["Account"]));
    assert_eq!(field("SystemModstamp")["updateable"], false);
    let keys = |field: &Value| field.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert!(fields.iter().all(|other| keys(other) == keys(field("LastName"))));

    let request = world.request(Method::GET, "/sobjects/Contact/describe");
    let again = request.header("if-modified-since", modified.clone()).send().await.unwrap();
    assert_eq!(again.status(), 304);
    let added = json!({ "name": "Pet__c", "type": "string", "length": 9 });
    let order = json!({ "object": "Contact", "fields": [added], "hide": ["Fax"] });
    world.order("/fields", order).await;
    let request = world.request(Method::GET, "/sobjects/Contact/describe");
    let again = request.header("if-modified-since", modified).send().await.unwrap();
    let body: Value = again.json().await.unwrap();
    let names: Vec<&str> =
        body["fields"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"Pet__c") && !names.contains(&"Fax"));
    assert_eq!(world.query("query", "SELECT Fax FROM Contact").await.0, 400);
}

#[tokio::test]
async fn upserts_create_once_and_then_update() {
    let world = World::new().await;
    let one = contact(json!({
        "Truce_Id__c": "a:1", "LastName": "  Roe ", "Email": "Jo@Example.COM",
        "Interests__c": "Music;News", "Score__c": 12.3456, "Title": "",
    }));
    let first = world.upsert(json!([one.clone(), one.clone()])).await;
    assert_eq!((&first[0]["success"], &first[0]["created"]), (&json!(true), &json!(true)));
    assert_eq!(code(&first[1]), "DUPLICATE_VALUE");
    let second = world.upsert(json!([one])).await;
    assert_eq!((&second[0]["id"], &second[0]["created"]), (&first[0]["id"], &json!(false)));

    let soql = "SELECT Name, Email, Interests__c, Score__c, Title, SystemModstamp FROM Contact";
    let row = &world.rows(soql).await[0];
    assert_eq!(row["Name"], "Roe");
    assert_eq!(row["Email"], "jo@example.com");
    assert_eq!(row["Interests__c"], "News;Music");
    assert_eq!(row["Score__c"].to_string(), "12.3456");
    assert_eq!(row["Title"], Value::Null);
    assert!(row["SystemModstamp"].as_str().unwrap().ends_with(".000+0000"));
}

#[tokio::test]
async fn a_bad_record_never_spoils_its_neighbours() {
    let world = World::new().await;
    world.seed("Contact", json!([{ "LastName": "Owner", "Member_Number__c": "M1" }])).await;
    let cases = [
        (json!({ "LastName": "Good" }), ""),
        (json!({ "Title": "x" }), "REQUIRED_FIELD_MISSING"),
        (json!({ "LastName": "x".repeat(81) }), "STRING_TOO_LONG"),
        (json!({ "LastName": "L", "Email": "foo@" }), "INVALID_EMAIL_ADDRESS"),
        (
            json!({ "LastName": "L", "LeadSource": "Pigeon" }),
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        ),
        (json!({ "LastName": "L", "Member_Number__c": "m1" }), "DUPLICATE_VALUE"),
        (json!({ "LastName": "L", "Nope__c": 1 }), "INVALID_FIELD"),
        (
            json!({ "LastName": "L", "SystemModstamp": "2026-01-01T00:00:00Z" }),
            "INVALID_FIELD_FOR_INSERT_UPDATE",
        ),
        (json!({ "LastName": "L", "Score__c": 123_456_789 }), "NUMBER_OUTSIDE_VALID_RANGE"),
        (json!({ "LastName": "L", "DoNotCall": null }), "INVALID_TYPE_ON_FIELD_IN_RECORD"),
        (json!({ "LastName": "L", "Account": { "Truce_Id__c": "no" } }), "INVALID_FIELD"),
        (json!({ "LastName": "L", "AccountId": "003xx000004TmiQAAS" }), "MALFORMED_ID"),
        (json!({ "LastName": "L", "AccountId": "001xx000004TmiQ" }), "INVALID_CROSS_REFERENCE_KEY"),
        (json!({ "LastName": "L", "Salutation": "Rev." }), ""),
    ];
    let records: Vec<Value> = cases
        .iter()
        .enumerate()
        .map(|(n, (fields, _))| {
            let mut record = contact(fields.clone());
            record["Truce_Id__c"] = json!(n.to_string());
            record
        })
        .collect();
    let outcomes = world.upsert(json!(records)).await;
    for ((fields, expected), outcome) in cases.iter().zip(&outcomes) {
        assert_eq!(code(outcome), *expected, "{fields}: {outcome}");
    }
    assert_eq!(outcomes[1]["errors"][0]["fields"], json!(["LastName"]));
    let message = outcomes[5]["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("with id: 003"), "{message}");
}

#[tokio::test]
async fn all_or_none_keeps_nothing_when_one_fails() {
    let world = World::new().await;
    let path = "/composite/sobjects/Contact/Truce_Id__c";
    let records = json!([
        contact(json!({ "Truce_Id__c": "20", "LastName": "Good" })),
        contact(json!({ "Truce_Id__c": "21" })),
    ]);
    let body = json!({ "allOrNone": true, "records": records });
    let (_, body) = world.call(Method::PATCH, path, body).await;
    assert_eq!(code(&body[0]), "ALL_OR_NONE_OPERATION_ROLLED_BACK");
    assert_eq!(code(&body[1]), "REQUIRED_FIELD_MISSING");
    assert!(world.rows("SELECT Id FROM Contact").await.is_empty());
    assert_eq!(world.look("/history").await["changes"], json!([]));

    let bad = contact(json!({ "Truce_Id__c": "30", "LastName": "L", "Birthdate": "soon" }));
    let good = contact(json!({ "Truce_Id__c": "31", "LastName": "L" }));
    let (status, body) = world.call(Method::PATCH, path, json!({ "records": [good, bad] })).await;
    assert_eq!((status, &body[0]["errorCode"]), (400, &json!("JSON_PARSER_ERROR")));
    assert!(world.rows("SELECT Id FROM Contact").await.is_empty(), "the whole request is spoilt");
    let many: Vec<Value> =
        (0..201).map(|n| contact(json!({ "Truce_Id__c": n.to_string() }))).collect();
    assert_eq!(world.call(Method::PATCH, path, json!({ "records": many })).await.0, 400);
}

#[tokio::test]
async fn deletes_and_merges_are_seen_by_query_all() {
    let world = World::new().await;
    let accounts = world.seed("Account", json!([{ "Name": "A" }, { "Name": "B" }])).await;
    let records = json!([
        { "LastName": "Winner" },
        { "LastName": "Loser", "Truce_Id__c": "k1" },
        { "LastName": "Gone", "Truce_Id__c": "k2" },
        { "LastName": "Child", "AccountId": accounts[1] },
    ]);
    let ids = world.seed("Contact", records).await;
    let merge = json!({ "object": "Contact", "winner": ids[0], "losers": [ids[1]] });
    world.order("/merge", merge).await;
    let merge = json!({ "object": "Account", "winner": accounts[0], "losers": [accounts[1]] });
    world.order("/merge", merge).await;
    let path = format!("/composite/sobjects?ids={}&allOrNone=false", ids[2]);
    assert_eq!(world.call(Method::DELETE, &path, Value::Null).await.1[0]["success"], true);

    let soql = "SELECT IsDeleted, MasterRecordId, Account.Name FROM Contact ORDER BY Id";
    let rows = world.rows(soql).await;
    let state = |at: usize| (rows[at]["IsDeleted"].clone(), rows[at]["MasterRecordId"].clone());
    assert_eq!(state(0), (json!(false), Value::Null));
    assert_eq!(state(1), (json!(true), json!(ids[0])));
    assert_eq!(state(2), (json!(true), Value::Null));
    assert_eq!(rows[3]["Account"]["Name"], "A");
    let (_, live) = world.query("query", "SELECT COUNT() FROM Contact").await;
    assert_eq!(live["totalSize"], 2);

    let again = contact(json!({ "Truce_Id__c": "k2", "LastName": "New" }));
    let again = world.upsert(json!([again])).await;
    assert_eq!(again[0]["created"], true);
    assert_ne!(again[0]["id"], json!(ids[2]), "a row in the recycle bin is not found by its key");
}

#[tokio::test]
async fn what_is_deleted_and_what_never_was_are_told_apart() {
    let world = World::new().await;
    let ids = world.seed("Contact", json!([{ "LastName": "Here" }, { "LastName": "Gone" }])).await;
    world.order("/delete", json!({ "object": "Contact", "ids": [ids[1]] })).await;
    let (status, body) = world.get(&format!("/sobjects/Contact/{}", ids[1])).await;
    assert_eq!((status, &body[0]["errorCode"]), (404, &json!("ENTITY_IS_DELETED")));
    let (status, body) = world.get("/sobjects/Contact/003xx000000zzzz").await;
    assert_eq!((status, &body[0]["errorCode"]), (404, &json!("NOT_FOUND")));
    let records = json!([
        contact(json!({ "id": ids[1], "Title": "x" })),
        contact(json!({ "id": "003xx000000zzzz", "Title": "x" })),
        contact(json!({ "id": "003xx000000zz", "Title": "x" })),
    ]);
    let update = json!({ "records": records });
    let (_, body) = world.call(Method::PATCH, "/composite/sobjects", update).await;
    assert_eq!(code(&body[0]), "ENTITY_IS_DELETED");
    assert_eq!(code(&body[1]), "INVALID_CROSS_REFERENCE_KEY");
    assert_eq!(code(&body[2]), "MALFORMED_ID");
    let body = json!({ "ids": [ids[0], ids[1], "003xx000000zzzz"], "fields": ["LastName"] });
    let (_, body) = world.call(Method::POST, "/composite/sobjects/Contact", body).await;
    assert_eq!(body[0]["LastName"], "Here");
    assert_eq!((&body[1], &body[2]), (&Value::Null, &Value::Null));
    world.order("/undelete", json!({ "object": "Contact", "ids": [ids[1]] })).await;
    assert_eq!(world.get(&format!("/sobjects/Contact/{}", ids[1])).await.0, 200);
}

#[tokio::test]
async fn pages_follow_each_other_and_remember_their_size() {
    let world = World::new().await;
    let records: Vec<Value> = (0..450).map(|n| json!({ "LastName": format!("N{n:03}") })).collect();
    world.seed("Contact", json!(records)).await;
    let request = world
        .request(Method::GET, "/query?q=SELECT+LastName+FROM+Contact+ORDER+BY+LastName+DESC")
        .header("sforce-query-options", "batchSize=200");
    let mut page: Value = request.send().await.unwrap().json().await.unwrap();
    let mut names = Vec::new();
    let mut sizes = Vec::new();
    loop {
        let rows = page["records"].as_array().unwrap();
        sizes.push(rows.len());
        names.extend(rows.iter().map(|row| row["LastName"].as_str().unwrap().to_owned()));
        assert_eq!(page["totalSize"], 450);
        let Some(next) = page["nextRecordsUrl"].as_str() else { break };
        page = world.get(next.trim_start_matches("/services/data/v66.0")).await.1;
    }
    assert_eq!(page["done"], true);
    assert_eq!(sizes, [200, 200, 50]);
    assert!(names.windows(2).all(|pair| pair[0] > pair[1]));
    let (status, body) = world.get("/query/0r8xx0000000001AAA-200").await;
    assert_eq!((status, &body[0]["errorCode"]), (400, &json!("INVALID_QUERY_LOCATOR")));
}

#[tokio::test]
async fn soql_filters_as_the_manual_says() {
    let world = World::new().await;
    let records = json!([
        { "LastName": "O'Brien", "Interests__c": "News;Music", "Score__c": 5, "Truce_Id__c": "A",
          "SystemModstamp": "2026-10-01T00:00:00Z" },
        { "LastName": "Miller", "Interests__c": "Music", "HasOptedOutOfEmail": true,
          "Truce_Id__c": "a", "SystemModstamp": "2026-10-02T00:00:00Z" },
        { "LastName": "Zoe", "Birthdate": "1990-02-28", "SystemModstamp": "2026-10-03T00:00:00Z" },
    ]);
    world.seed("Contact", records).await;
    let cases: [(&str, &[&str]); 13] = [
        (r"LastName = 'o\'brien'", &["O'Brien"]),
        ("Truce_Id__c = 'a'", &["Miller"]),
        ("Truce_Id__c IN ('a', 'A', 'b')", &["Miller", "O'Brien"]),
        ("LastName LIKE 'm_ll%'", &["Miller"]),
        ("Interests__c INCLUDES ('News;Music', 'Travel')", &["O'Brien"]),
        ("Interests__c EXCLUDES ('News')", &["Miller", "Zoe"]),
        ("HasOptedOutOfEmail = null", &["O'Brien", "Zoe"]),
        ("Score__c >= 4.5 OR Birthdate < 2000-01-01", &["O'Brien", "Zoe"]),
        ("LastName NOT IN ('Zoe') AND NOT (Score__c = null)", &["O'Brien"]),
        ("Truce_Id__c != 'A'", &["Miller", "Zoe"]),
        (
            "SystemModstamp >= 2026-10-02T00:00:00Z AND \
             SystemModstamp < 2026-10-03T00:00:00.000+00:00",
            &["Miller"],
        ),
        (
            "(SystemModstamp = 2026-10-01T00:00:00Z AND Id > '003000000000000') \
             OR SystemModstamp > 2026-10-02T00:00:00Z",
            &["O'Brien", "Zoe"],
        ),
        ("CreatedBy.Username = 'person@example.com' AND Score__c != null", &["O'Brien"]),
    ];
    for (condition, expected) in cases {
        let soql = format!("SELECT LastName FROM Contact WHERE {condition} ORDER BY LastName");
        let rows = world.rows(&soql).await;
        let names: Vec<&str> = rows.iter().map(|row| row["LastName"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{condition}");
    }
}

#[tokio::test]
async fn queries_that_cannot_be_answered_are_refused_precisely() {
    let world = World::new().await;
    let quoted = "SELECT Id FROM Contact WHERE SystemModstamp > '2026-10-01T00:00:00Z'";
    let cases = [
        ("SELECT Nope FROM Contact", "INVALID_FIELD"),
        ("SELECT Id FRM Contact", "MALFORMED_QUERY"),
        ("SELECT Id FROM Nope", "INVALID_TYPE"),
        (quoted, "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE Description = 'x'", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE Id = 'x'", "INVALID_QUERY_FILTER_OPERATOR"),
        ("SELECT Id FROM Contact LIMIT 1 OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE"),
    ];
    for (soql, expected) in cases {
        let (status, body) = world.query("query", soql).await;
        assert_eq!((status, body[0]["errorCode"].as_str().unwrap()), (400, expected), "{soql}");
    }
    let long = format!("SELECT Id FROM Contact WHERE LastName = '{}'", "x".repeat(17_000));
    let url = format!("{}/services/data/v66.0/query", world.running.base_url);
    let request = world.http.get(url).query(&[("q", long)]).bearer_auth(&world.token);
    assert_eq!(request.send().await.unwrap().status(), 414);
}

#[tokio::test]
async fn single_records_by_id_and_by_key() {
    let world = World::new().await;
    let body = json!({ "LastName": "Roe", "FirstName": "Jo" });
    let path = "/sobjects/Contact/Truce_Id__c/k%2F1";
    let (status, first) = world.call(Method::PATCH, path, body.clone()).await;
    assert_eq!((status, &first["created"]), (201, &json!(true)));
    let (status, second) = world.call(Method::PATCH, path, body).await;
    assert_eq!((status, &second["created"]), (200, &json!(false)));
    assert_eq!(second["id"], first["id"]);
    for (version, status) in [("v45.0", 204), ("v46.0", 200), ("v60.0", 200)] {
        let url = format!("{}/services/data/{version}{path}", world.running.base_url);
        let request = world.http.patch(url).bearer_auth(&world.token).json(&json!({}));
        assert_eq!(request.send().await.unwrap().status(), status, "{version}");
    }
    let id = first["id"].as_str().unwrap();
    let short = format!("/sobjects/Contact/{}?fields=Name,Truce_Id__c", &id[..15]);
    let (_, row) = world.get(&short).await;
    assert_eq!((&row["Name"], &row["Id"]), (&json!("Jo Roe"), &json!(id)));
    assert_eq!(row["Truce_Id__c"], "k/1");
    let full = format!("/sobjects/Contact/{id}");
    assert_eq!(world.call(Method::DELETE, &full, Value::Null).await.0, 204);
    let only = format!("{path}?updateOnly=true");
    assert_eq!(world.call(Method::PATCH, &only, json!({})).await.0, 404);
    assert_eq!(world.call(Method::PUT, "/sobjects/Contact", json!({})).await.0, 405);
    let request = world.request(Method::POST, "/sobjects/Contact").body("LastName=Roe");
    assert_eq!(request.send().await.unwrap().status(), 415);
}

#[tokio::test]
async fn a_key_that_is_not_unique_offers_a_choice() {
    let world = World::new().await;
    let field = json!({ "name": "Old_Key__c", "type": "string", "externalId": true });
    let object = json!({ "name": "Pet__c", "prefix": "a00", "fields": [
        { "name": "Name", "type": "string", "required": true }, field,
        { "name": "Owner__c", "type": "reference", "referenceTo": "Contact" },
    ] });
    world.order("/objects", object).await;
    let owner = world.seed("Contact", json!([{ "LastName": "Roe", "Truce_Id__c": "r" }])).await;
    let pets = json!([{ "Name": "Rex", "Old_Key__c": "k" }, { "Name": "Tom", "Old_Key__c": "K" }]);
    let ids = world.seed("Pet__c", pets).await;
    let path = "/sobjects/Pet__c/Old_Key__c/k";
    let (status, body) = world.call(Method::PATCH, path, json!({ "Name": "Max" })).await;
    let url = |id: &String| format!("/services/data/v66.0/sobjects/Pet__c/{id}");
    assert_eq!((status, body), (300, json!([url(&ids[0]), url(&ids[1])])));
    let pet = json!({ "Name": "Ina", "Owner__r": { "Truce_Id__c": "r" } });
    let (status, body) = world.call(Method::POST, "/sobjects/Pet__c", pet).await;
    assert_eq!(status, 201, "{body}");
    let rows = world.rows("SELECT Owner__c, Owner__r.Name FROM Pet__c WHERE Name = 'Ina'").await;
    assert_eq!(rows[0]["Owner__c"], json!(owner[0]));
    assert_eq!(rows[0]["Owner__r"]["Name"], "Roe");
}

#[tokio::test]
async fn runs_of_one_type_are_counted() {
    let world = World::new().await;
    let account = json!({ "attributes": { "type": "Account" }, "Name": "A" });
    let mixed: Vec<Value> = (0..11)
        .map(|n| if n % 2 == 0 { account.clone() } else { contact(json!({ "LastName": "L" })) })
        .collect();
    let create = async |records: &[Value]| {
        world.call(Method::POST, "/composite/sobjects", json!({ "records": records })).await
    };
    assert_eq!(create(&mixed).await.0, 400);
    let (status, body) = create(&mixed[..10]).await;
    assert_eq!(status, 200);
    assert!(body.as_array().unwrap().iter().all(|outcome| outcome["success"] == true), "{body}");
}

#[tokio::test]
async fn deleting_an_account_deletes_its_contacts() {
    let world = World::new().await;
    let accounts = world.seed("Account", json!([{ "Name": "A" }])).await;
    world.seed("Contact", json!([{ "LastName": "C", "AccountId": accounts[0] }])).await;
    let path = format!("/sobjects/Account/{}", accounts[0]);
    assert_eq!(world.call(Method::DELETE, &path, Value::Null).await.0, 204);
    assert_eq!(world.rows("SELECT IsDeleted FROM Contact").await[0]["IsDeleted"], true);
}

#[tokio::test]
async fn bodies_may_be_packed_and_old_versions_are_gone() {
    let world = World::new().await;
    let url = format!("{}/services/data", world.running.base_url);
    let versions: Value = world.http.get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!(versions[0]["version"], "31.0");
    assert_eq!(versions[37]["label"], "Winter '27");
    for (version, status) in [("v30.0", 410), ("v69.0", 404), ("v68.0", 200)] {
        let request = world.http.get(format!("{url}/{version}/limits")).bearer_auth(&world.token);
        assert_eq!(request.send().await.unwrap().status(), status, "{version}");
    }
    let plain = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(world.running.ca_pem.as_bytes()).unwrap()])
        .gzip(false)
        .build()
        .unwrap();
    let request = plain.get(format!("{url}/v66.0/sobjects")).bearer_auth(&world.token);
    let packed = request.header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    assert_eq!(packed.bytes().await.unwrap()[..2], [0x1f, 0x8b]);
}
