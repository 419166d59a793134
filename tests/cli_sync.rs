//! A comparison that a person asks for finds what no feed told, and has it decided.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod cli_world;

use cli_world::{Agent, PATIENCE, World};
use serde_json::{Value as Json, json};

const ANNA: &str = "update nmsrecipient set sfirstname = 'Anna' where semail = 'ann@x.org'";

/// Three pairs, in agreement.
async fn three(world: &World) -> (Agent, Vec<String>) {
    let config = world.config().replace(
        "poll_seconds",
        "late_commit_seconds = 1\nwide_seconds = 3600\ncensus_seconds = 86400\npoll_seconds",
    );
    world.configure(&config);
    let contacts = json!([
        {"Email": "ann@x.org", "FirstName": "Ann", "LastName": "Roe"},
        {"Email": "bob@x.org", "FirstName": "Bob", "LastName": "Low"},
        {"Email": "eve@x.org", "FirstName": "Eve", "LastName": "Ray"},
    ]);
    let ids = world.contacts_made(contacts).await;
    world.done(&["setup"]).await;
    let agent = world.run().await;
    let all = ["ann@x.org|Ann|Roe|0", "bob@x.org|Bob|Low|0", "eve@x.org|Eve|Ray|0"];
    world.agree_on(&agent, &all).await;
    (agent, ids)
}

/// Changes recipients where the log does not tell of it.
async fn unseen(world: &World, statement: &str) {
    let publication = "select pubname::text from pg_publication";
    let publication = world.rows(publication).await.remove(0);
    let superuser = world.database.session("campaign").await.unwrap();
    superuser
        .batch_execute(&format!(
            "alter publication {publication} drop table nmsrecipient;
             {statement};
             alter publication {publication} add table nmsrecipient"
        ))
        .await
        .unwrap();
}

async fn key(world: &World, email: &str) -> String {
    let query = format!("select irecipientid::text from nmsrecipient where semail = '{email}'");
    world.rows(&query).await.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_named_are_compared_on_both_sides() {
    let world = World::start().await;
    let (agent, ids) = three(&world).await;
    unseen(&world, ANNA).await;
    // Its commit shows so late that no poll asks for it.
    world.order("hold", json!({"seconds": 4})).await;
    world.edit(&ids[1], json!({"LastName": "Lowe"})).await;
    world.order("hold", json!({"seconds": 0})).await;
    let shown = async { while !world.contacts().await[1].contains("Lowe") {} };
    tokio::time::timeout(PATIENCE, shown).await.expect("the commit shows");
    // Both sides go on to tell of what comes after.
    world.edit(&ids[2], json!({"LastName": "Rae"})).await;
    let told = async { while !world.recipients().await[2].contains("Rae") {} };
    tokio::time::timeout(PATIENCE, told).await.expect("an edit goes over");
    assert_eq!(world.recipients().await[1], "bob@x.org|Bob|Low|0", "nobody told of it");
    assert_eq!(world.contacts().await[0], "ann@x.org|Ann|Roe|0", "nobody told of it");

    let (ann, eve) = (key(&world, "ann@x.org").await, key(&world, "eve@x.org").await);
    // The short form of an id, as the address of its page shows it.
    let bob = &ids[1][..15];
    let keys = format!("{ann},{bob},{eve},999999");
    let told = world.done(&["sync", "contacts", "--keys", &keys]).await;
    world
        .agree_on(&agent, &["ann@x.org|Anna|Roe|0", "bob@x.org|Bob|Lowe|0", "eve@x.org|Eve|Rae|0"])
        .await;
    assert!(told.starts_with("4 records compared: 1 agrees, 2 repaired, 1 unknown\n"), "{told}");
    let line = |key: &str| told.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert!(line(&ann).ends_with("repaired  first_name"), "{told}");
    assert!(line(&ids[1]).ends_with("repaired  last_name"), "{told}");
    assert!(line(&eve).ends_with("agrees"), "{told}");
    assert!(line("999999").contains("no such record on either side"), "{told}");
    assert_eq!(agent.end().await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_lately_is_compared_and_then_everything_is() {
    let world = World::start().await;
    let (agent, _) = three(&world).await;
    let insert =
        "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname, tslastmodified)
                  values (7, 'new@x.org', 'No', 'New', now())";
    unseen(&world, insert).await;
    unseen(&world, ANNA).await;
    let told = world.done(&["sync", "contacts", "--since", "1h", "--json"]).await;
    let told: Json = serde_json::from_str(&told).unwrap();
    assert_eq!(told["counts"], json!({"agrees": 2, "repaired": 2}), "{told}");
    assert_eq!(world.contacts().await[0], "ann@x.org|Anna|Roe|0");
    assert_eq!(world.contacts().await[3], "new@x.org|No|New|0");

    unseen(&world, "update nmsrecipient set sfirstname = 'Robert' where semail = 'bob@x.org'")
        .await;
    let told = world.done(&["sync", "contacts", "--all"]).await;
    world
        .agree_on(
            &agent,
            &[
                "ann@x.org|Anna|Roe|0",
                "bob@x.org|Robert|Low|0",
                "eve@x.org|Eve|Ray|0",
                "new@x.org|No|New|0",
            ],
        )
        .await;
    assert!(told.contains("4 records of campaign and 4 of the crm compared"), "{told}");
    assert!(told.contains("1  written meanwhile"), "{told}");
    assert_eq!(agent.end().await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_while_no_agent_leads_is_carried_out_by_the_next() {
    let world = World::start().await;
    let (agent, _) = three(&world).await;
    agent.end().await;
    unseen(&world, ANNA).await;
    let ann = key(&world, "ann@x.org").await;
    let told = world.done(&["sync", "contacts", "--keys", &ann]).await;
    assert!(told.contains("1 record of contacts will be compared by the agent"), "{told}");
    let agent = world.run().await;
    world
        .agree_on(&agent, &["ann@x.org|Anna|Roe|0", "bob@x.org|Bob|Low|0", "eve@x.org|Eve|Ray|0"])
        .await;
    assert_eq!(agent.end().await.0, Some(0));
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused_in_words() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    for (arguments, words) in [
        (&["sync", "people", "--all"][..], "there is no mapping `people`; there are: contacts"),
        (&["sync", "contacts"], "required arguments were not provided"),
        (&["sync", "contacts", "--keys", ","], "no key was given"),
        (&["sync", "contacts", "--since", "lately"], "--since lately: say a moment"),
        (&["sync", "contacts", "--since", "2999-01-01T00:00Z"], "is in the future"),
    ] {
        let told = world.ends(arguments, 2).await;
        assert!(told.contains(words), "no `{words}` in: {told}");
    }
}
