//! A deletion that is held has three ways out, and a merge without a survivor the same; what is gone
//! for good is held too.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod cli_world;

use cli_world::{Agent, PATIENCE, World};
use serde_json::{Value as Json, json};

/// Four pairs; deletions are held, which is the default.
async fn paired(world: &World) -> (Agent, Vec<String>) {
    let records: Vec<Json> = (1..=4)
        .map(|n| json!({"Email": format!("p{n}@x.org"), "FirstName": "Pat", "LastName": "Roe"}))
        .collect();
    let ids = world.contacts_made(Json::Array(records)).await;
    world.done(&["setup"]).await;
    let agent = world.run().await;
    world.agree_on(&agent, &rows(&["p1", "p2", "p3", "p4"])).await;
    (agent, ids)
}

fn rows(names: &[&str]) -> Vec<&'static str> {
    let rows = names.iter().map(|name| &*format!("{name}@x.org|Pat|Roe|0").leak());
    rows.collect()
}

/// The keys on Campaign's side of what is held for this reason, when there are so many.
async fn held(world: &World, reason: &str, count: usize) -> Vec<String> {
    let listed = async {
        loop {
            let list = world.done(&["held", "list", "--json", "--reason", reason]).await;
            let lines: Vec<Json> =
                list.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            if lines.len() == count {
                return lines.iter().map(|l| l["campaign"].as_str().unwrap().into()).collect();
            }
        }
    };
    tokio::time::timeout(PATIENCE, listed).await.expect("it is held")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_deletion_is_carried_over_undone_or_left() {
    let world = World::start().await;
    let (agent, ids) = paired(&world).await;
    let key = async |name: &str| {
        let query =
            format!("select irecipientid::text from nmsrecipient where semail = '{name}@x.org'");
        world.rows(&query).await.remove(0)
    };
    let (second, third) = (key("p2").await, key("p3").await);
    world.sql("update nmsrecipient set iblacklistemail = 1 where semail = 'p1@x.org'").await;
    let out = ["p1@x.org|Pat|Roe|1", "p2@x.org|Pat|Roe|0", "p3@x.org|Pat|Roe|0"];
    world.agree_on(&agent, &[out[0], out[1], out[2], "p4@x.org|Pat|Roe|0"]).await;
    world.order("delete", json!({"object": "Contact", "ids": ids[..3]})).await;
    held(&world, "deleted", 3).await;
    assert_eq!(world.recipients().await.len(), 4);

    let told = world.done(&["held", "release", "--key", &third, "--delete"]).await;
    assert!(told.starts_with("1 record"), "{told}");
    world.done(&["held", "release", "--key", &second, "--recreate"]).await;
    held(&world, "deleted", 1).await;
    world.done(&["held", "release", "--reason", "deleted"]).await;
    held(&world, "deleted", 0).await;
    let server = world.database.session("truce").await.unwrap();
    let severed = "select body::text from truce.link where state = 'severed'";
    let severed: String = server.query_one(severed, &[]).await.unwrap().get(0);
    assert!(severed.contains(r#""inherited":{"4":"out"}"#), "its opt-out is kept: {severed}");
    let alone = [&[out[0]], &*rows(&["p2", "p4"])].concat();
    let wanted = (alone, rows(&["p2", "p4"]));
    let mut seen = (Vec::new(), Vec::new());
    let done = async {
        while wanted.0 != seen.0 || wanted.1 != seen.1 {
            seen = (world.recipients().await, world.contacts().await);
        }
    };
    let late = tokio::time::timeout(PATIENCE, done).await.is_err();
    assert!(!late, "{seen:?}");
    // What was said of a deletion is no answer to the next.
    let contacts = world.look("records/Contact?deleted=false&fields=Id,Email").await;
    let of = |record: &&Json| record["Email"] == "p2@x.org";
    let again = contacts["records"].as_array().unwrap().iter().find(of).unwrap()["Id"].clone();
    world.order("delete", json!({"object": "Contact", "ids": [again]})).await;
    held(&world, "deleted", 1).await;
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_into_a_record_that_never_shows_is_held() {
    let world = World::start().await;
    world.configure(&world.config().replace("create =", "reference_wait_seconds = 1\ncreate ="));
    let (agent, ids) = paired(&world).await;
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");

    let records = json!([{"Email": "gone@x.org", "FirstName": "G", "LastName": "Roe"}]);
    let into = world.contacts_made(records).await;
    world.order("merge", json!({"object": "Contact", "winner": into[0], "losers": [ids[0]]})).await;
    world.order("delete", json!({"object": "Contact", "ids": into})).await;
    let agent = world.run().await;
    held(&world, "merged", 1).await;
    world.done(&["held", "release", "--reason", "merged", "--recreate"]).await;
    world.agree_on(&agent, &rows(&["p1", "p2", "p3", "p4"])).await;
    held(&world, "merged", 0).await;
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_is_gone_for_good_is_held_once_the_contacts_are_counted() {
    let world = World::start().await;
    world
        .configure(&world.config().replace("poll_seconds =", "census_seconds = 1\npoll_seconds ="));
    let (agent, ids) = paired(&world).await;
    // Past the recycle bin: no feed tells of it.
    let purge = json!({"object": "Contact", "ids": [ids[1]], "purge": true});
    world.order("delete", purge).await;
    held(&world, "missing", 1).await;
    assert_eq!(world.recipients().await.len(), 4, "absence is not deletion");
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brake_knows_how_many_records_there_are_from_the_start_on() {
    let world = World::start().await;
    world.configure(&world.config().replace("match_on", "delete = \"propagate\"\nmatch_on"));
    let people: Vec<String> = (100..400).map(|n| format!("p{n}")).collect();
    let records: Vec<Json> = people
        .iter()
        .map(|p| json!({"Email": format!("{p}@x.org"), "FirstName": "Pat", "LastName": "Roe"}))
        .collect();
    let ids = world.contacts_made(Json::Array(records)).await;
    world.done(&["setup"]).await;
    let agent = world.run().await;
    let names: Vec<&str> = people.iter().map(String::as_str).collect();
    world.agree_on(&agent, &rows(&names)).await;
    assert_eq!(agent.end().await.0, Some(0));
    // Fewer than the share of these, more than a share of nothing would let through.
    world.order("delete", json!({"object": "Contact", "ids": ids[..14]})).await;
    let agent = world.run().await;
    world.agree_on(&agent, &rows(&names[14..])).await;
    assert_eq!(agent.end().await.0, Some(0));
}
