//! What no longer fits when the agent starts again: the log is followed all the same, what still
//! fits is kept in step, and the rest is said.

mod cli_world;

use cli_world::{Agent, PATIENCE, World};
use serde_json::json;

/// Waits until the server may forget its log up to now.
async fn lets_the_log_go(world: &World, agent: Agent) -> Agent {
    let end = world.rows("select pg_current_wal_lsn()::text").await.remove(0);
    let confirmed =
        format!("select (confirmed_flush_lsn >= '{end}'::pg_lsn)::text from pg_replication_slots");
    let passed = async { while world.rows(&confirmed).await != ["true"] {} };
    let passed = tokio::time::timeout(PATIENCE, passed).await.is_ok();
    assert!(passed, "the slot keeps the log: {}", agent.kill().await);
    agent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_was_dropped_while_the_agent_was_away_pauses_its_field_only() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    let ids = world
        .contacts_made(json!([{"Email": "a@x.org", "FirstName": "A", "LastName": "Roe"}]))
        .await;
    let agent = world.run().await;
    world.agree_on(&agent, &["a@x.org|A|Roe|0"]).await;
    agent.until("readyz", "\"ready\":true").await;
    agent.end().await;

    world.sql("alter table nmsrecipient rename column sfirstname to saway").await;
    world.edit(&ids[0], json!({"LastName": "Rowe", "FirstName": "Anna"})).await;
    let agent = world.run().await;
    let changed = async {
        let query = "select slastname from nmsrecipient where irecipientid <> 0";
        while world.rows(query).await != ["Rowe"] {}
    };
    assert!(tokio::time::timeout(PATIENCE, changed).await.is_ok(), "the other field waits");
    let agent = lets_the_log_go(&world, agent).await;

    world.sql("alter table nmsrecipient rename column saway to sfirstname").await;
    world.agree_on(&agent, &["a@x.org|Anna|Rowe|0"]).await;
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("a mapping no longer fits"), "{log}");
    assert!(log.contains("its fields are paused"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_lost_its_log_is_made_anew_and_everything_is_compared_once() {
    let small =
        [("max_slot_wal_keep_size", "1MB"), ("max_wal_size", "32MB"), ("min_wal_size", "32MB")];
    let world = World::start_with(&small).await;
    world.done(&["setup"]).await;
    world.contacts_made(json!([{"Email": "a@x.org", "FirstName": "A", "LastName": "Roe"}])).await;
    let agent = world.run().await;
    world.agree_on(&agent, &["a@x.org|A|Roe|0"]).await;
    agent.end().await;

    world.sql("update nmsrecipient set slastname = 'Rowe' where irecipientid <> 0").await;
    let superuser = world.database.session("campaign").await.unwrap();
    for _ in 0..4 {
        world.sql("create table passing (n integer); drop table passing").await;
        superuser.batch_execute("select pg_switch_wal()").await.unwrap();
        superuser.batch_execute("checkpoint").await.unwrap();
    }
    let status = "select wal_status::text from pg_replication_slots";
    assert_eq!(world.rows(status).await, ["lost"]);
    let told = world.done(&["check"]).await;
    assert!(told.contains("the agent makes it anew"), "{told}");

    let agent = world.run().await;
    world.agree_on(&agent, &["a@x.org|A|Rowe|0"]).await;
    let agent = lets_the_log_go(&world, agent).await;
    assert_eq!(world.rows(status).await, ["reserved"]);
    world.sql("update nmsrecipient set sfirstname = 'Ann' where irecipientid <> 0").await;
    world.agree_on(&agent, &["a@x.org|Ann|Rowe|0"]).await;
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(log.matches("the feed has a gap").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_refused_keep_no_wal_once_the_crm_was_known() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    let agent = world.run().await;
    // Once it has followed the log it is no first start any more.
    world
        .sql(
            "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname)
             values (2, 'b@x.org', 'Bob', 'Low')",
        )
        .await;
    world.agree_on(&agent, &["b@x.org|Bob|Low|0"]).await;
    agent.end().await;

    let secret = std::fs::read(world.file("secret")).unwrap();
    std::fs::write(world.file("secret"), "wrong").unwrap();
    let agent = world.run().await;
    world
        .sql(
            "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname)
             values (1, 'a@x.org', 'Ann', 'Roe')",
        )
        .await;
    let agent = lets_the_log_go(&world, agent).await;
    let (code, why) = agent.get("readyz").await;
    assert_eq!(code, 503, "{why}");
    agent.end().await;

    std::fs::write(world.file("secret"), secret).unwrap();
    let agent = world.run().await;
    world.agree_on(&agent, &["a@x.org|Ann|Roe|0", "b@x.org|Bob|Low|0"]).await;
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_the_crm_hides_from_the_agent_keeps_no_wal() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    let agent = world.run().await;
    // Once it has followed the log it is no first start any more.
    world
        .sql(
            "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname)
             values (2, 'b@x.org', 'Bob', 'Low')",
        )
        .await;
    world.agree_on(&agent, &["b@x.org|Bob|Low|0"]).await;
    agent.end().await;

    world.order("fields", json!({"object": "Contact", "hide": ["FirstName"]})).await;
    let agent = world.run().await;
    world
        .sql(
            "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname)
             values (1, 'a@x.org', 'Ann', 'Roe')",
        )
        .await;
    let agent = lets_the_log_go(&world, agent).await;
    agent.until("metrics", "truce_fields_paused{mapping=\"contacts\"} 1").await;

    world.order("fields", json!({"object": "Contact", "show": ["FirstName"]})).await;
    world.agree_on(&agent, &["a@x.org|Ann|Roe|0", "b@x.org|Bob|Low|0"]).await;
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("a mapping no longer fits"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_hidden_while_the_agent_runs_pauses_alone_and_is_made_good_afterwards() {
    let world = World::start().await;
    world.configure(&world.config().replacen("client_id", "describe_seconds = 0.2\nclient_id", 1));
    world.done(&["setup"]).await;
    let ids = world
        .contacts_made(json!([{"Email": "a@x.org", "FirstName": "A", "LastName": "Roe"}]))
        .await;
    let agent = world.run().await;
    world.agree_on(&agent, &["a@x.org|A|Roe|0"]).await;

    world.order("fields", json!({"object": "Contact", "hide": ["FirstName"]})).await;
    agent.until("metrics", "truce_fields_paused{mapping=\"contacts\"} 1").await;
    assert!(world.done(&["status"]).await.contains("first_name is paused: `FirstName`"));
    world.edit(&ids[0], json!({"LastName": "Rowe"})).await;
    world.sql("update nmsrecipient set sfirstname = 'Ann' where irecipientid <> 0").await;
    let changed = async {
        let query = "select slastname from nmsrecipient where irecipientid <> 0";
        while world.rows(query).await != ["Rowe"] {}
    };
    assert!(tokio::time::timeout(PATIENCE, changed).await.is_ok(), "the other field waits");

    world.order("fields", json!({"object": "Contact", "show": ["FirstName"]})).await;
    world.agree_on(&agent, &["a@x.org|Ann|Rowe|0"]).await;
    agent.until("metrics", "truce_fields_paused{mapping=\"contacts\"} 0").await;
    assert!(!world.done(&["status"]).await.contains("is paused"));
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("it is paused, and no other"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_and_identities_that_were_taken_away_stop_a_first_start_and_keep_no_wal_later() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    let superuser = world.database.session("campaign").await.unwrap();
    let take = "revoke campaign from truce;
                grant select on nmsrecipient, xtkoption to truce;
                alter publication truce set table nmsrecipient where (irecipientid > 0)";
    let give = "grant campaign to truce; alter publication truce set table nmsrecipient";
    superuser.batch_execute(take).await.unwrap();
    let refused = world.ends(&["run"], 1).await;
    let told = ["grant update, insert on", "nmsrecipient has a row filter"];
    for words in told {
        assert!(refused.contains(words), "{words}: {refused}");
    }
    superuser.batch_execute(give).await.unwrap();
    let ids = world
        .contacts_made(json!([{"Email": "a@x.org", "FirstName": "A", "LastName": "Roe"}]))
        .await;
    let agent = world.run().await;
    world.agree_on(&agent, &["a@x.org|A|Roe|0"]).await;
    agent.until("readyz", "\"ready\":true").await;
    agent.end().await;

    superuser.batch_execute(take).await.unwrap();
    world.edit(&ids[0], json!({"FirstName": "Anna"})).await;
    let agent = world.run().await;
    world.sql("update nmsrecipient set slastname = 'Rowe' where irecipientid <> 0").await;
    let agent = lets_the_log_go(&world, agent).await;
    agent.until_logged("Campaign's log is followed all the same").await;
    superuser.batch_execute(give).await.unwrap();
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");
    for words in told {
        assert!(log.contains(words), "{words}: {log}");
    }

    // What nothing can be followed without is for the person who starts it.
    superuser.batch_execute("drop publication truce").await.unwrap();
    let refused = world.ends(&["run"], 1).await;
    assert!(refused.contains("publication truce: missing"), "{refused}");
}
