//! SIGHUP has the config read again: what may change does, without another start, and what may not
//! is refused while the old goes on.

mod cli_world;

use cli_world::{Agent, PATIENCE, World};
use nix::sys::signal::Signal;
use serde_json::json;

/// Waits until so many lines are held.
async fn held(world: &World, count: usize) {
    let listed = async { while world.done(&["held", "list"]).await.lines().count() != count {} };
    tokio::time::timeout(PATIENCE, listed).await.expect("so many are held");
}

/// One pair, of which both sides changed the first name; a person is to decide.
async fn in_conflict(world: &World) -> Agent {
    let ann = json!({"Email": "ann@x.org", "FirstName": "Ann", "LastName": "Roe"});
    let id = world.contacts_made(json!([ann])).await.remove(0);
    world.configure(&world.config().replace("conflict = \"crm\"", "conflict = \"hold\""));
    world.done(&["setup"]).await;
    let agent = world.run().await;
    world.agree_on(&agent, &["ann@x.org|Ann|Roe|0"]).await;
    // Both in the dark about each other.
    world.order("connections", json!({"accept": false})).await;
    world.sql("update nmsrecipient set sfirstname = 'Ours' where semail = 'ann@x.org'").await;
    world.edit(&id, json!({"FirstName": "Theirs"})).await;
    world.order("connections", json!({"accept": true})).await;
    held(world, 1).await;
    agent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_changes_decides_what_the_old_one_held_and_the_same_process_goes_on() {
    let world = World::start().await;
    let agent = in_conflict(&world).await;
    world.configure(&world.config());
    agent.signal(Signal::SIGHUP);
    world.agree_on(&agent, &["ann@x.org|Theirs|Roe|0"]).await;
    held(&world, 0).await;
    agent.until("metrics", "truce_leader 1").await;
    agent.until("metrics", "truce_config_last_reload_successful 1").await;
    // And it goes on by the new one.
    world.sql("update nmsrecipient set slastname = 'Low' where semail = 'ann@x.org'").await;
    world.agree_on(&agent, &["ann@x.org|Theirs|Low|0"]).await;
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("the config is taken up"), "{log}");
    assert_eq!(log.matches("this agent leads").count(), 1, "one lease: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_crm_tells_after_a_reload_is_heard_of_records_that_were_read_before() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    let ann = json!({"Email": "ann@x.org", "FirstName": "Ann", "LastName": "Roe"});
    let id = world.contacts_made(json!([ann])).await.remove(0);
    let agent = world.run().await;
    world.agree_on(&agent, &["ann@x.org|Ann|Roe|0"]).await;
    // Reads are ordered by ticks: it has drawn many when it is told to read its config again.
    for round in 0..12 {
        let name = format!("Roe{round}");
        world.edit(&id, json!({"LastName": name})).await;
        world.agree_on(&agent, &[&format!("ann@x.org|Ann|{name}|0")]).await;
    }
    world.configure(&world.config().replace("poll_idle_seconds = 0.2", "poll_idle_seconds = 0.3"));
    agent.signal(Signal::SIGHUP);
    agent.until_logged("the config is taken up").await;
    world.edit(&id, json!({"FirstName": "Anna", "HasOptedOutOfEmail": true})).await;
    world.agree_on(&agent, &["ann@x.org|Anna|Roe11|1"]).await;
    assert_eq!(agent.end().await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_was_taken_out_for_a_while_is_compared_when_it_is_back() {
    let world = World::start().await;
    let whole = world.config();
    world.done(&["setup"]).await;
    let ann = json!({"Email": "ann@x.org", "FirstName": "Ann", "LastName": "Roe"});
    world.contacts_made(json!([ann])).await;
    let agent = world.run().await;
    world.agree_on(&agent, &["ann@x.org|Ann|Roe|0"]).await;
    // Another mapping of the same table in its place, so that there is something to run for.
    let begin = whole.find("[mapping.contacts]").unwrap();
    let leads = whole[begin..]
        .replace("mapping.contacts", "mapping.leads")
        .replace("\"Contact\"", "\"Lead\"")
        .replace("LastName = \"unknown\"", "LastName = \"unknown\", Company = \"none\"")
        .replace("create = [\"campaign\", \"crm\"]", "create = []");
    world.configure(&format!("{}{leads}", &whole[..begin]));
    agent.signal(Signal::SIGHUP);
    agent.until_logged("the config is taken up").await;
    world.sql("update nmsrecipient set sfirstname = 'Anna' where semail = 'ann@x.org'").await;
    agent.until("metrics", "truce_observations_total").await;
    world.configure(&whole);
    agent.signal(Signal::SIGHUP);
    world.agree_on(&agent, &["ann@x.org|Anna|Roe|0"]).await;
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("it was not followed for a while"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_that_cannot_be_taken_up_is_refused_and_the_old_one_goes_on() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    let agent = world.run().await;
    agent.until("readyz", "\"ready\":true").await;
    let good = world.config();
    let (poll, slot) = ("poll_seconds = 0.1", "[campaign]\nslot = \"another\"");
    let bad = [
        (good.replace(poll, "poll_secs = 0.1"), "poll_secs"),
        (good.replace("[campaign]", slot), "campaign.slot differs, which only a restart takes up"),
        (good.replace("crm = \"FirstName\"", "crm = \"Nickname__c\""), "Nickname__c"),
    ];
    for (number, (config, told)) in bad.iter().enumerate() {
        assert_ne!(*config, good);
        world.configure(config);
        agent.signal(Signal::SIGHUP);
        agent.until_logged(told).await;
        agent.until_logged("the config was not taken up").await;
        agent.until("metrics", "truce_config_last_reload_successful 0").await;
        let insert = format!(
            "insert into nmsrecipient (irecipientid, semail, slastname)
             values ({}, 'p{number}@x.org', 'Roe')",
            number + 1
        );
        world.sql(&insert).await;
        let all: Vec<String> = (0..=number).map(|n| format!("p{n}@x.org|Roe|0")).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let (mut recipients, mut contacts) = (Vec::new(), Vec::new());
        let agreed = async {
            while recipients != all || contacts != all {
                recipients = world.recipients().await;
                contacts =
                    world.contacts().await.iter().map(|one| one.replace("||", "|")).collect();
            }
        };
        tokio::time::timeout(PATIENCE, agreed).await.expect("the old config goes on");
    }
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");
}
