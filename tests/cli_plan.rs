//! A plan says what `run` then does, to the record, and writes nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod cli_world;

use std::collections::BTreeMap;

use cli_world::{PATIENCE, World};
use serde_json::{Value as Json, json};

/// Ann agrees, Bob's names differ, Cat opted out, Dan is in Campaign only, Eve in the CRM only.
async fn people(world: &World) -> Vec<String> {
    world
        .sql(
            "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname, iblacklistemail)
             values (1, 'ann@x.org', 'Ann', 'Roe', 0), (2, 'bob@x.org', 'Robert', 'Low', 0),
                    (3, 'cat@x.org', 'Cat', 'Moe', 1), (4, 'dan@x.org', 'Dan', 'Poe', 0)",
        )
        .await;
    let contact = |name: &str, first: &str, last: &str| json!({"Email": format!("{name}@x.org"), "FirstName": first, "LastName": last});
    let contacts = [
        contact("ann", "Ann", "Roe"),
        contact("bob", "Bob", "Low"),
        contact("cat", "Cat", "Moe"),
        contact("eve", "Eve", "Doe"),
    ];
    world.contacts_made(json!(contacts)).await
}

async fn planned(world: &World) -> Json {
    serde_json::from_str(&world.done(&["plan", "--json"]).await).unwrap()
}

/// What the agent did to contacts, by kind.
async fn done_to_contacts(world: &World) -> BTreeMap<String, usize> {
    let mut done = BTreeMap::new();
    let history = world.look("history?object=Contact").await;
    for change in history["changes"].as_array().unwrap() {
        if change["via"] == "api" {
            let out =
                change["deed"] == "update" && !change["fields"]["HasOptedOutOfEmail"].is_null();
            let kind = if out { "opt_out" } else { change["deed"].as_str().unwrap() };
            *done.entry(kind.to_owned()).or_default() += 1;
        }
    }
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_plan_says_what_the_first_run_does() {
    let world = World::start().await;
    people(&world).await;
    let plan = planned(&world).await;
    let contacts = &plan["mappings"]["contacts"];
    assert_eq!(contacts["campaign"], json!({"create": 1, "update": 1}), "{plan:#}");
    assert_eq!(contacts["crm"], json!({"create": 1, "opt_out": 1}), "{plan:#}");
    assert_eq!((&contacts["campaign_records"], &contacts["crm_records"]), (&json!(4), &json!(4)));
    let told = world.done(&["plan"]).await;
    assert!(told.contains("in the CRM: create 1, opt_out 1"), "{told}");
    assert!(
        told.contains("\"first_name\":\"Bob\"") && told.contains("nothing was written"),
        "{told}"
    );
    assert!(done_to_contacts(&world).await.is_empty());
    let databases =
        world.rows("select datname::text from pg_database where datname = 'truce'").await;
    assert!(databases.is_empty(), "a plan makes no ledger");
    let rows = "select sfirstname from nmsrecipient where irecipientid = 2";
    assert_eq!(world.rows(rows).await, ["Robert"]);

    world.done(&["setup"]).await;
    let agent = world.run().await;
    let all = [
        "ann@x.org|Ann|Roe|0",
        "bob@x.org|Bob|Low|0",
        "cat@x.org|Cat|Moe|1",
        "dan@x.org|Dan|Poe|0",
        "eve@x.org|Eve|Doe|0",
    ];
    world.agree_on(&agent, &all).await;
    let done = done_to_contacts(&world).await;
    assert_eq!(done, BTreeMap::from([("create".to_owned(), 1), ("opt_out".to_owned(), 1)]));
    let calls = &plan["accounts"]["sales"];
    let writes: u64 = ["upsert", "create", "update", "delete"].len() as u64 - 2;
    assert_eq!(calls["to_write"], json!(writes), "one for the create, one for the opt-out");
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_plan_goes_by_what_the_ledger_knows() {
    let world = World::start().await;
    let ids = people(&world).await;
    world.done(&["setup"]).await;
    let agent = world.run().await;
    agent.until("readyz", "\"ready\":true").await;
    let all = [
        "ann@x.org|Ann|Roe|0",
        "bob@x.org|Bob|Low|0",
        "cat@x.org|Cat|Moe|1",
        "dan@x.org|Dan|Poe|0",
        "eve@x.org|Eve|Doe|0",
    ];
    world.agree_on(&agent, &all).await;
    agent.end().await;
    let quiet = planned(&world).await;
    assert_eq!(quiet["mappings"]["contacts"]["crm"], json!({}), "{quiet:#}");
    assert_eq!(quiet["mappings"]["contacts"]["campaign"], json!({}));

    // Each side changed another field of one pair: both go over, by the base that is known.
    world.sql("update nmsrecipient set slastname = 'Rowe' where irecipientid = 1").await;
    world.edit(&ids[0], json!({"FirstName": "Anna"})).await;
    let before = world.look("history?object=Contact").await["next"].clone();
    let plan = planned(&world).await;
    assert_eq!(plan["mappings"]["contacts"]["crm"], json!({"update": 1}), "{plan:#}");
    assert_eq!(plan["mappings"]["contacts"]["campaign"], json!({"update": 1}));
    assert_eq!(world.look("history?object=Contact").await["next"], before, "nothing was written");
    let agent = world.run().await;
    let mut then = all;
    then[0] = "ann@x.org|Anna|Rowe|0";
    world.agree_on(&agent, &then).await;
    agent.end().await;
}

/// What is planned for contacts.
async fn planned_for_contacts(world: &World) -> Json {
    planned(world).await["mappings"]["contacts"].take()
}

/// How often the list of what is held says this, once it says it so often.
async fn held(world: &World, reason: &str, times: usize) {
    let listed =
        async { while world.done(&["held", "list"]).await.matches(reason).count() != times {} };
    tokio::time::timeout(PATIENCE, listed).await.expect("so many are held");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_goes_by_the_brake_and_reads_what_a_scan_no_longer_finds() {
    let world = World::start().await;
    let policy = "delete = \"propagate\"\nbrake = { records = 1 }\ncreate =";
    world.configure(&world.config().replace("create =", policy));
    let ids = people(&world).await;
    world.done(&["setup"]).await;
    let agent = world.run().await;
    let all = [
        "ann@x.org|Ann|Roe|0",
        "bob@x.org|Bob|Low|0",
        "cat@x.org|Cat|Moe|1",
        "dan@x.org|Dan|Poe|0",
        "eve@x.org|Eve|Doe|0",
    ];
    world.agree_on(&agent, &all).await;
    agent.until("readyz", "\"ready\":true").await;
    agent.end().await;

    // Two are deleted, of which the brake lets one go; a row that is gone is not told as deleted.
    world.order("delete", json!({"object": "Contact", "ids": ids[..2]})).await;
    world.sql("delete from nmsrecipient where semail = 'dan@x.org'").await;
    let plan = planned_for_contacts(&world).await;
    assert_eq!(plan["campaign"], json!({"delete": 1}), "{plan:#}");
    assert_eq!(plan["held"], json!({"braked": 1, "missing": 1}), "{plan:#}");
    assert_eq!(world.recipients().await.len(), 4, "nothing was written");

    let agent = world.run().await;
    held(&world, "braked", 2).await;
    agent.end().await;
    // The log told of the row as deleted, and the brake is on: nothing more is let go.
    world.order("delete", json!({"object": "Contact", "ids": ids[2..3]})).await;
    let plan = planned_for_contacts(&world).await;
    assert_eq!(plan["campaign"], json!({}), "{plan:#}");
    assert_eq!(plan["held"], json!({"braked": 3}), "{plan:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_goes_by_an_epoch_that_a_person_has_not_released() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    let ann = json!({"Email": "ann@x.org", "FirstName": "Ann", "LastName": "Roe"});
    let id = world.contacts_made(json!([ann])).await.remove(0);
    let agent = world.run().await;
    world.agree_on(&agent, &["ann@x.org|Ann|Roe|0"]).await;
    agent.end().await;
    world.sql("update xtkoption set sstringvalue = 'uFE2' where sname = 'XtkDatabaseId'").await;
    let agent = world.run().await;
    agent.until_logged("another system answers than before").await;
    agent.end().await;
    world
        .sql(
            "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname)
             values (7, 'bob@x.org', 'Bob', 'Low')",
        )
        .await;
    world.edit(&id, json!({"FirstName": "Anna"})).await;
    let plan = planned_for_contacts(&world).await;
    assert_eq!((&plan["crm"], &plan["held"]), (&json!({}), &json!({"epoch": 1})), "{plan:#}");
    assert_eq!(plan["campaign"], json!({"update": 1}), "what is there goes on: {plan:#}");
    world.done(&["held", "release", "--epoch"]).await;
    let plan = planned_for_contacts(&world).await;
    assert_eq!((&plan["crm"], &plan["held"]), (&json!({"create": 1}), &json!({})), "{plan:#}");
}
