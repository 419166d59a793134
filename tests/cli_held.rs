//! What is held has a way out, and what fails for a while comes right by itself.

mod cli_world;

use cli_world::{PATIENCE, World};
use serde_json::{Value as Json, json};

async fn paired(world: &World) -> (cli_world::Agent, Vec<String>) {
    let records: Vec<Json> = (1..=4)
        .map(|n| json!({"Email": format!("p{n}@x.org"), "FirstName": "Pat", "LastName": "Roe"}))
        .collect();
    let ids = world.contacts_made(Json::Array(records)).await;
    world.done(&["setup"]).await;
    let agent = world.run().await;
    let all = ["p1", "p2", "p3", "p4"].map(|name| format!("{name}@x.org|Pat|Roe|0"));
    world.agree_on(&agent, &all.each_ref().map(String::as_str)).await;
    (agent, ids)
}

/// Waits until so many lines are held.
async fn held(world: &World, count: usize) -> String {
    let listed = async {
        loop {
            let list = world.done(&["held", "list"]).await;
            if list.lines().count() == count {
                return list;
            }
        }
    };
    tokio::time::timeout(PATIENCE, listed).await.expect("it is held")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_that_is_held_ends_by_taking_a_side() {
    let world = World::start().await;
    world.configure(&world.config().replace("conflict = \"crm\"", "conflict = \"hold\""));
    let (agent, ids) = paired(&world).await;
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");

    world.sql("update nmsrecipient set sfirstname = 'Ours' where semail = 'p1@x.org'").await;
    world.edit(&ids[0], json!({"FirstName": "Theirs"})).await;
    let agent = world.run().await;
    let list = held(&world, 1).await;
    assert!(list.contains("contacts.first_name") && list.contains("conflict"), "{list}");
    agent.until("metrics", "truce_held{mapping=\"contacts\",reason=\"conflict\"} 1").await;

    let refused = world.truce(&["held", "release"]).await;
    assert_eq!(refused.status.code(), Some(2), "what to release must be said");
    world.done(&["held", "resolve", "--mapping", "contacts", "--take", "crm"]).await;
    world
        .agree_on(
            &agent,
            &[
                "p1@x.org|Theirs|Roe|0",
                "p2@x.org|Pat|Roe|0",
                "p3@x.org|Pat|Roe|0",
                "p4@x.org|Pat|Roe|0",
            ],
        )
        .await;
    held(&world, 0).await;
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brake_holds_deletions_until_a_person_releases_it() {
    let world = World::start().await;
    let policy = "delete = \"propagate\"\nbrake = { records = 1 }\ncreate =";
    world.configure(&world.config().replace("create =", policy));
    let (agent, ids) = paired(&world).await;

    world.order("delete", json!({"object": "Contact", "ids": ids[..3]})).await;
    let list = held(&world, 2).await;
    assert!(list.contains("braked"), "{list}");
    let deleted = async { while world.recipients().await.len() != 3 {} };
    tokio::time::timeout(PATIENCE, deleted).await.expect("one is let through");
    world.done(&["held", "release", "--brake", "contacts"]).await;
    world.agree_on(&agent, &["p4@x.org|Pat|Roe|0"]).await;
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crm_that_is_down_for_a_while_costs_no_log_on_campaigns_server() {
    let world = World::start().await;
    let (agent, _) = paired(&world).await;
    world.order("connections", json!({"accept": false})).await;
    world.sql("update nmsrecipient set slastname = 'Poe' where irecipientid <> 0").await;
    let end = world.rows("select pg_current_wal_lsn()::text").await.remove(0);
    let confirmed =
        format!("select (confirmed_flush_lsn >= '{end}')::text from pg_replication_slots");
    let confirming = async { while world.rows(&confirmed).await != ["true"] {} };
    tokio::time::timeout(PATIENCE, confirming).await.expect("the log is let go");
    agent.until("readyz", "\"ready\":false").await;
    agent.until("livez", "\"live\":true").await;

    world.order("connections", json!({"accept": true})).await;
    let all = ["p1", "p2", "p3", "p4"].map(|name| format!("{name}@x.org|Pat|Poe|0"));
    world.agree_on(&agent, &all.each_ref().map(String::as_str)).await;
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_cut_says_so_and_a_short_id_names_its_record() {
    let world = World::start().await;
    let policy = "delete = \"propagate\"\nbrake = { records = 1 }\ncreate =";
    world.configure(&world.config().replace("create =", policy));
    let (agent, ids) = paired(&world).await;
    world.order("delete", json!({"object": "Contact", "ids": ids[..3]})).await;
    held(&world, 2).await;
    agent.end().await;
    for command in [["held", "list"], ["held", "show"]] {
        let cut = world.truce(&[&command[..], &["--json", "--limit", "1"]].concat()).await;
        let (said, told) = (String::from_utf8(cut.stdout), String::from_utf8(cut.stderr));
        let (said, told) = (said.unwrap(), told.unwrap());
        assert!(said.lines().all(|line| serde_json::from_str::<Json>(line).is_ok()), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(told, "and 1 record more; --limit shows more than 1\n");
        let whole = world.truce(&[&command[..], &["--limit", "2"]].concat()).await;
        assert!(whole.stderr.is_empty(), "{}", String::from_utf8_lossy(&whole.stderr));
    }
    let mut named = 0;
    for id in &ids {
        let long = world.done(&["held", "list", "--key", id]).await;
        assert_eq!(world.done(&["held", "list", "--key", &id[..15]]).await, long);
        named += long.lines().count();
    }
    assert_eq!(named, 2);
}
