//! What must not depend on the CRM at the agent's start, and a ledger that is an older one.

mod cli_world;

use cli_world::{PATIENCE, World};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_crm_that_is_down_when_the_agent_starts_keeps_no_wal() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    let ids = world
        .contacts_made(json!([{"Email": "a@x.org", "FirstName": "A", "LastName": "Roe"}]))
        .await;
    let agent = world.run().await;
    world.agree_on(&agent, &["a@x.org|A|Roe|0"]).await;
    // Only where the log was followed before does the agent go by what it knows.
    agent.until("readyz", "\"ready\":true").await;
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");

    world.order("connections", json!({"accept": false})).await;
    world.sql("update nmsrecipient set sfirstname = 'Anna' where irecipientid <> 0").await;
    let end = world.rows("select pg_current_wal_lsn()::text").await.remove(0);
    let agent = world.run().await;
    let confirmed =
        format!("select (confirmed_flush_lsn >= '{end}'::pg_lsn)::text from pg_replication_slots");
    let passed = async { while world.rows(&confirmed).await != ["true"] {} };
    let late = tokio::time::timeout(PATIENCE, passed).await.is_err();
    assert!(!late, "the slot waits for the CRM: {}", agent.kill().await);
    let (code, why) = agent.get("readyz").await;
    assert_eq!(code, 503, "{why}");

    world.order("connections", json!({"accept": true})).await;
    world.agree_on(&agent, &["a@x.org|Anna|Roe|0"]).await;
    world.edit(&ids[0], json!({"LastName": "Rowe"})).await;
    world.agree_on(&agent, &["a@x.org|Anna|Rowe|0"]).await;
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("starting by what it said last"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_was_restored_in_its_cluster_begins_a_new_life() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    let ids = world
        .contacts_made(json!([{"Email": "a@x.org", "FirstName": "A", "LastName": "Roe"}]))
        .await;
    let agent = world.run().await;
    world.agree_on(&agent, &["a@x.org|A|Roe|0"]).await;
    agent.end().await;
    let server = world.database.session("postgres").await.unwrap();
    server.batch_execute("create database backup template truce").await.unwrap();

    let agent = world.run().await;
    world.sql("update nmsrecipient set sfirstname = 'Anna' where irecipientid <> 0").await;
    world.agree_on(&agent, &["a@x.org|Anna|Roe|0"]).await;
    agent.end().await;
    server.batch_execute("drop database truce").await.unwrap();
    server.batch_execute("alter database backup rename to truce").await.unwrap();
    world.edit(&ids[0], json!({"LastName": "Rowe"})).await;

    let agent = world.run().await;
    world.agree_on(&agent, &["a@x.org|Anna|Rowe|0"]).await;
    // What the ledger forgot may have been made already: nothing is, until a person says so.
    world
        .sql(
            "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname)
             values (7, 'b@x.org', 'Bo', 'Low')",
        )
        .await;
    let held = async { while !world.done(&["held", "list"]).await.contains("epoch") {} };
    tokio::time::timeout(PATIENCE, held).await.unwrap();
    assert_eq!(world.contacts().await.len(), 1);
    world.done(&["held", "release", "--epoch"]).await;
    world.agree_on(&agent, &["a@x.org|Anna|Rowe|0", "b@x.org|Bo|Low|0"]).await;
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("the slot was confirmed to"), "{log}");
}
