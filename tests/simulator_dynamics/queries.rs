//! Queries of collections: filters, orders, pages, expansions, counts, sums.

use serde_json::json;

use super::world::World;

impl World {
    /// Three contacts, two of one account.
    async fn people(&self) -> Vec<String> {
        let account = self.seed("account", json!([{ "name": "Acme" }])).await.remove(0);
        self.seed("contact", json!([
            { "firstname": "Ada", "lastname": "Bell", "creditlimit": 100, "new_interests": "1,2",
              "_parentcustomerid_value": account, "emailaddress1": "ada@example.com" },
            { "firstname": "Bob", "lastname": "O'Brien", "creditlimit": 50,
              "_parentcustomerid_value": account },
            { "firstname": "Cy", "lastname": "Zed", "modifiedon": "2020-01-01T00:00:00Z" },
        ]))
        .await
    }

    async fn names(&self, filter: &str) -> Vec<String> {
        let path = format!("contacts?$select=firstname&$orderby=firstname&$filter={filter}");
        let told = self.get(&path).await;
        told.rows().iter().map(|row| row["firstname"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn filters_find_what_they_say() {
    let world = World::new().await;
    let ids = world.people().await;
    let by_id = format!("contactid eq {}", ids[0]);
    let cases: [(&str, &[&str]); 16] = [
        ("lastname eq 'bell'", &["Ada"]),
        ("lastname eq 'O''Brien'", &["Bob"]),
        ("emailaddress1 eq null", &["Bob", "Cy"]),
        ("emailaddress1 ne null", &["Ada"]),
        ("not (firstname eq 'Ada' or firstname eq 'Bob')", &["Cy"]),
        ("contains(lastname,'e') and creditlimit gt 60", &["Ada"]),
        ("startswith(firstname,'c')", &["Cy"]),
        ("endswith(lastname,'rien')", &["Bob"]),
        ("contains(lastname,'B%25l')", &["Ada"]),
        ("modifiedon lt 2021-01-01T00:00:00Z", &["Cy"]),
        ("parentcustomerid_account/name eq 'acme'", &["Ada", "Bob"]),
        (
            "Microsoft.Dynamics.CRM.In(PropertyName='firstname',PropertyValues=['Ada','Cy'])",
            &["Ada", "Cy"],
        ),
        (
            "Microsoft.Dynamics.CRM.ContainValues(PropertyName='new_interests',PropertyValues=['2'])",
            &["Ada"],
        ),
        (
            "Microsoft.Dynamics.CRM.LastXDays(PropertyName='modifiedon',PropertyValue=2)",
            &["Ada", "Bob"],
        ),
        ("firstname eq @p1&@p1='Cy'", &["Cy"]),
        (&by_id, &["Ada"]),
    ];
    for (filter, expected) in cases {
        assert_eq!(world.names(filter).await, expected, "{filter}");
    }
    let by_ids =
        format!("contactid eq {} or (contactid eq {} and lastname eq 'x')", ids[0], ids[1]);
    assert_eq!(world.names(&by_ids).await, ["Ada"], "by ids and more");
    assert_eq!(world.names("new_truceid eq 'nobody' or firstname eq 'Cy'").await, ["Cy"]);
    let any = "accounts?$filter=contact_customer_accounts/any(c:c/firstname eq 'Ada')";
    assert_eq!(world.get(any).await.rows().len(), 1);
}

#[tokio::test]
async fn what_is_not_known_is_refused() {
    let world = World::new().await;
    for (path, status, code) in [
        ("contacts?$filter=nowhere eq 1", 400, "0x80060888"),
        ("contacts?$filter=lastname eq 5", 400, "0x80060888"),
        ("contacts?$filter=lastname eq", 400, "0x80060888"),
        ("contacts?$select=parentcustomerid", 400, "0x80060888"),
        ("contacts?$skip=1", 501, "0x80060888"),
        ("contacts?fetchXml=<fetch/>", 501, "0x80060888"),
        ("nowheres", 404, "0x8006088a"),
        ("contacts?$orderby=nowhere", 400, "0x80060888"),
    ] {
        assert_eq!(world.get(path).await.code(), (status, code), "{path}");
    }
}

#[tokio::test]
async fn pages_follow_the_order_and_their_links() {
    let world = World::new().await;
    let many: Vec<_> = (0..7).map(|n| json!({ "jobtitle": format!("{}", n % 2) })).collect();
    let mut ids = world.seed("contact", json!(many)).await;
    let mut path = "contacts?$select=jobtitle&$orderby=jobtitle desc&$count=true".to_owned();
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let told = world.prefer(&path, "odata.maxpagesize=3").await;
        assert_eq!(told.header("preference-applied"), "odata.maxpagesize=3");
        assert_eq!(told.body["@odata.count"], 7);
        seen.extend(told.rows().iter().map(|row| {
            (
                row["jobtitle"].as_str().unwrap().to_owned(),
                row["contactid"].as_str().unwrap().to_owned(),
            )
        }));
        pages += 1;
        let Some(next) = told.body["@odata.nextLink"].as_str() else { break };
        assert!(next.starts_with(&world.running.base_url), "{next}");
        path = next.to_owned();
    }
    assert_eq!(pages, 3);
    assert!(seen.windows(2).all(|two| two[1].0 <= two[0].0), "{seen:?}");
    let mut found: Vec<String> = seen.into_iter().map(|(_, id)| id).collect();
    found.sort();
    ids.sort();
    assert_eq!(found, ids, "each once");
    let top = world.get("contacts?$top=2").await;
    assert_eq!((top.rows().len(), top.body.get("@odata.nextLink")), (2, None));
}

#[tokio::test]
async fn related_records_come_with_what_was_asked() {
    let world = World::new().await;
    let ids = world.people().await;
    let path = format!(
        "contacts({})?$select=lastname&$expand=parentcustomerid_account($select=name)",
        ids[0]
    );
    let row = world.get(&path).await.body;
    assert_eq!(row["parentcustomerid_account"]["name"], "Acme");
    assert!(row.get("jobtitle").is_none() && row.get("contactid").is_some(), "{row}");
    let expand = "$expand=contact_customer_accounts($select=firstname;$filter=creditlimit gt 60)";
    let rows = world.get(&format!("accounts?$select=name&{expand}")).await;
    let children = rows.rows()[0]["contact_customer_accounts"].as_array().unwrap();
    assert_eq!((children.len(), &children[0]["firstname"]), (1, &json!("Ada")));
    let account = rows.rows()[0]["accountid"].as_str().unwrap();
    let path = format!("accounts({account})/contact_customer_accounts?$select=firstname");
    assert_eq!(world.get(&path).await.rows().len(), 2);
    let path = format!("contacts({})/lastname", ids[0]);
    assert_eq!(world.get(&path).await.body["value"], "Bell");
    assert_eq!(world.get(&format!("contacts({})/lastname", ids[0])).await.status, 200);
    assert_eq!(world.get(&format!("contacts({})/jobtitle", ids[0])).await.status, 204);
}

#[tokio::test]
async fn sums_are_of_groups_or_of_all() {
    let world = World::new().await;
    world.people().await;
    let all =
        world.get("contacts?$apply=aggregate(creditlimit with sum as total,$count as n)").await;
    assert_eq!(all.rows()[0]["total"].to_string(), "150");
    assert_eq!(all.rows()[0]["n"], 3);
    let apply = "filter(creditlimit ne null)/groupby((statecode),aggregate($count as n))";
    let groups = world.get(&format!("contacts?$apply={apply}")).await;
    assert_eq!(groups.rows(), &[json!({ "statecode": 0, "n": 2 })]);
    let total = world.get("RetrieveTotalRecordCount(EntityNames=['contact'])").await.body;
    assert_eq!(total["EntityRecordCountCollection"]["Values"], json!([3]));
}
