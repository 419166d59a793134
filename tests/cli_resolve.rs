//! What is held of a field is shown with all that a person needs, and ends as they say: beside a
//! running agent, which carries it out.

mod cli_world;

use cli_world::{Agent, PATIENCE, World};
use serde_json::{Value as Json, json};

/// A pair of which both sides changed the first name; a person is to decide.
async fn in_conflict(world: &World) -> (Agent, String) {
    world.configure(&world.config().replace("conflict = \"crm\"", "conflict = \"hold\""));
    let ann = json!({"Email": "ann@x.org", "FirstName": "Ann", "LastName": "Roe"});
    let id = world.contacts_made(json!([ann])).await.remove(0);
    world.done(&["setup"]).await;
    let agent = world.run().await;
    world.agree_on(&agent, &["ann@x.org|Ann|Roe|0"]).await;
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");
    world.sql("update nmsrecipient set sfirstname = 'Ours' where semail = 'ann@x.org'").await;
    world.edit(&id, json!({"FirstName": "Theirs"})).await;
    let agent = world.run().await;
    held(world, 1).await;
    (agent, id)
}

/// What is held, once it is so much.
async fn held(world: &World, count: usize) -> Vec<Json> {
    let listed = async {
        loop {
            let told = world.done(&["held", "show", "--json"]).await;
            let read = |line| serde_json::from_str(line).expect("each line is an object");
            let all: Vec<Json> = told.lines().map(read).collect();
            if all.len() == count {
                return all;
            }
        }
    };
    tokio::time::timeout(PATIENCE, listed).await.expect("so much is held")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_shown_with_values_times_and_ways_out() {
    let world = World::start().await;
    let (agent, id) = in_conflict(&world).await;
    agent.end().await;
    let shown = held(&world, 1).await.remove(0);
    assert_eq!((&shown["reason"], &shown["field"]), (&json!("conflict"), &json!("first_name")));
    let values = &shown["values"];
    let three = ["base", "campaign", "crm"].map(|name| values[name].as_str().unwrap());
    assert_eq!(three, ["Ann", "Ours", "Theirs"]);
    assert_eq!(shown["records"]["crm"], json!(id));
    assert!(shown["changed"]["crm"][1].is_string(), "{shown}");
    let person = shown["by"]["crm"].as_str().expect("Salesforce tells who").to_owned();
    assert!(person.starts_with("005"), "{shown}");
    assert_eq!(shown["by"]["campaign"], json!(null), "a recipient has no such column");
    let told = world.done(&["held", "show", "--mapping", "contacts", "--key", &id]).await;
    assert!(told.contains(&format!("; the record last changed by {person}\n")), "{told}");
    for line in [
        "contacts.first_name: conflict since ",
        "  base      \"Ann\"\n",
        "  campaign  \"Ours\", since ",
        "  blocked   this field; the record's other fields go on\n",
        "  ways out  truce held resolve --take campaign\n",
    ] {
        assert!(told.contains(line), "no `{line}` in:\n{told}");
    }
    assert!(world.done(&["held", "show", "--reason", "refused"]).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_values_that_are_ignored_stay_until_one_moves_and_then_another_value_may_stand() {
    let world = World::start().await;
    let (agent, id) = in_conflict(&world).await;
    let field = ["held", "resolve", "--mapping", "contacts", "--field", "first_name"];
    let said = world.done(&[&field[..], &["--ignore", "--json"]].concat()).await;
    assert_eq!(serde_json::from_str::<Json>(&said).unwrap(), json!({"changed": 1, "left": {}}));
    held(&world, 0).await;
    // Other fields go on, which shows that the pair was decided again.
    world.sql("update nmsrecipient set slastname = 'Poe' where semail = 'ann@x.org'").await;
    let moved = async { while world.contacts().await != ["ann@x.org|Theirs|Poe|0"] {} };
    tokio::time::timeout(PATIENCE, moved).await.expect("the last name goes over");
    assert_eq!(world.recipients().await, ["ann@x.org|Ours|Poe|0"]);
    let told = world.done(&["explain", "contacts", &id]).await;
    assert!(
        told.contains("left as it is by a person") && told.contains("told by ignore"),
        "{told}"
    );
    // Who said it is kept: the user of the system, and the host.
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let by = format!("said by {user} on {}", host.trim());
    assert!(told.lines().any(|line| line.contains("ignore") && line.contains(&by)), "{told}");

    world.edit(&id, json!({"FirstName": "Hers"})).await;
    let again = held(&world, 1).await.remove(0);
    assert_eq!(again["values"]["crm"], "Hers");
    let long = "x".repeat(300);
    let told = world.ends(&[&field[..], &["--value", &long]].concat(), 2).await;
    assert!(told.contains("--value for `first_name` has 300 characters"), "{told}");
    assert!(!told.contains("xxx"), "{told}");
    world.done(&[&field[..], &["--value", " Anna "]].concat()).await;
    world.agree_on(&agent, &["ann@x.org|Anna|Poe|0"]).await;
    held(&world, 0).await;
    agent.end().await;
    let nothing = world.ends(&[&field[..], &["--take", "crm"]].concat(), 0).await;
    assert_eq!(nothing, "0 records resolved\n");
    let unnamed = world.ends(&["held", "resolve", "--ignore"], 2).await;
    assert!(unnamed.contains("--mapping, --reason or --key"), "{unnamed}");
}
