//! Change tracking: loads, changes, deletions, tokens and their end.

use serde_json::{Value, json};

use super::world::{Told, World};

const TRACK: &str = "odata.track-changes";

fn delta(told: &Told) -> String {
    told.body["@odata.deltaLink"].as_str().unwrap_or_else(|| panic!("{}", told.text)).to_owned()
}

#[tokio::test]
async fn a_load_ends_with_a_token_and_the_token_tells_what_came_since() {
    let world = World::new().await;
    let ids = world.seed("contact", json!([{ "lastname": "A" }, { "lastname": "B" }])).await;
    let path = "contacts?$select=lastname";
    let first = world.prefer(path, "odata.track-changes,odata.maxpagesize=1").await;
    assert!(first.body.get("@odata.deltaLink").is_none(), "the last page has it: {}", first.text);
    let next = first.body["@odata.nextLink"].as_str().unwrap();
    let last = world.prefer(next, "odata.track-changes,odata.maxpagesize=1").await;
    assert!(last.header("preference-applied").starts_with(TRACK));
    let link = delta(&last);
    assert!(world.get(&link).await.rows().is_empty());

    world
        .order("/edit", json!({ "table": "contact", "id": ids[0], "fields": { "fax": "1" } }))
        .await;
    let new = world.make("contacts", json!({ "lastname": "C" })).await;
    let brief = world.make("contacts", json!({ "lastname": "D" })).await;
    world.order("/delete", json!({ "table": "contact", "ids": [ids[1], brief] })).await;
    let told = world.get(&link).await;
    let rows = told.rows();
    assert_eq!(rows[0]["contactid"], json!(ids[0]), "another column changed, too");
    assert!(rows[0].get("fax").is_none() && rows[0].get("@odata.context").is_none());
    assert_eq!(rows[1]["contactid"], json!(new));
    let gone: Vec<&Value> = rows[2..].iter().map(|row| &row["id"]).collect();
    assert_eq!(gone, [&json!(ids[1]), &json!(brief)], "created and deleted collapses");
    let context = rows[2]["@odata.context"].as_str().unwrap();
    assert!(context.ends_with("/$metadata#contacts/$deletedEntity"), "{context}");
    assert_eq!(rows[2]["reason"], "deleted");
    let token = link.split_once("$deltatoken=").unwrap().1;
    let count = world.get(&format!("contacts/$count?$deltatoken={token}")).await;
    assert_eq!(count.text, "\u{feff}4");

    world.order("/restore", json!({ "table": "contact", "id": ids[1] })).await;
    let again = world.get(&delta(&told)).await;
    assert_eq!(again.rows()[0]["contactid"], json!(ids[1]), "back from the bin");
}

#[tokio::test]
async fn changes_of_many_pages_are_told_once() {
    let world = World::new().await;
    let link = delta(&world.prefer("contacts?$select=lastname", TRACK).await);
    let many: Vec<_> = (0..5).map(|n| json!({ "lastname": format!("{n}") })).collect();
    let ids = world.seed("contact", json!(many)).await;
    world.order("/delete", json!({ "table": "contact", "ids": [ids[4]] })).await;
    let (mut path, mut seen) = (link, Vec::new());
    let end = loop {
        let told = world.prefer(&path, "odata.maxpagesize=2").await;
        for row in told.rows() {
            let id = row.get("contactid").unwrap_or(&row["id"]);
            seen.push(id.as_str().unwrap().to_owned());
        }
        // What changes while the pages are read comes with the next token.
        world.order("/edit", json!({
            "table": "contact", "id": ids[0], "fields": { "fax": format!("{}", seen.len()) },
        })).await;
        match told.body["@odata.nextLink"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break delta(&told),
        }
    };
    assert_eq!(seen, ids);
    assert_eq!(world.get(&end).await.rows()[0]["contactid"], json!(ids[0]));
}

#[tokio::test]
async fn a_load_is_no_snapshot_unless_it_is_ordered() {
    let world = World::new().await;
    let ids = world.seed("contact", json!([{}, {}])).await;
    let mut ids_in_order = ids.clone();
    ids_in_order.sort();
    for (first_page, told_again) in [(false, 0), (true, 1)] {
        world.order("/tracking", json!({ "first_page": first_page })).await;
        let prefer = "odata.track-changes,odata.maxpagesize=1";
        let first = world.prefer("contacts?$select=fax", prefer).await;
        let fields = json!({ "fax": "1" });
        let edit = json!({ "table": "contact", "id": ids_in_order[0], "fields": fields });
        world.order("/edit", edit).await;
        let next = first.body["@odata.nextLink"].as_str().unwrap();
        let last = world.prefer(next, prefer).await;
        assert_eq!(world.get(&delta(&last)).await.rows().len(), told_again);
    }
}

#[tokio::test]
async fn what_tracking_cannot_do_is_refused() {
    let world = World::new().await;
    for option in ["$filter=fax eq '1'", "$orderby=fax", "$top=1", "$expand=createdby"] {
        let told = world.prefer(&format!("contacts?$select=fax&{option}"), TRACK).await;
        assert_eq!(told.code(), (400, "0x80060888"), "{option}");
        assert!(told.text.contains("Change Tracking is enabled"), "{}", told.text);
    }
    let told = world.prefer("msdynmkt_purposes", TRACK).await;
    assert_eq!(told.code(), (400, "0x80072491"));
    let link = delta(&world.prefer("contacts?$select=fax", TRACK).await);
    world.order("/tables", json!({ "name": "contact", "tracking": false })).await;
    assert_eq!(world.get(&link).await.code(), (400, "0x80072491"));
}

#[tokio::test]
async fn tokens_end_by_age_and_by_order() {
    let world = World::new().await;
    let link = delta(&world.prefer("contacts?$select=fax", TRACK).await);
    world.order("/tracking", json!({ "expire": true })).await;
    assert_eq!(world.get(&link).await.code(), (400, "0x80044352"));
    world.order("/tracking", json!({ "expired_status": 500 })).await;
    assert_eq!(world.get(&link).await.code(), (500, "0x80044352"));
    let link = delta(&world.prefer("contacts?$select=fax", TRACK).await);
    assert_eq!(world.get(&link).await.status, 200);
    world.order("/tokens", json!({ "lifetime_s": 100_000_000 })).await;
    let mut world = world;
    world.log_in().await;
    world.order("/clock", json!({ "offset_s": 8 * 86_400 })).await;
    assert_eq!(world.get(&link).await.code(), (500, "0x80044352"), "seven days are over");
    let told = world.get("contacts?$select=fax&$deltatoken=nonsense").await;
    assert_eq!(told.code(), (400, "0x80040203"));
}
