//! The agent as a user has it: set up, run, edited on both sides, ended, taken away again.

mod cli_world;

use cli_world::World;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_on_each_side_arrives_on_the_other_and_sigterm_drains() {
    let world = World::start().await;
    world
        .sql(
            "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname) values
             (1, 'ann@x.org', 'Ann', 'Roe'), (2, 'bob@x.org', 'Bob', 'Low')",
        )
        .await;
    let ids = world
        .contacts_made(json!([
            {"Email": "ann@x.org", "FirstName": "Ann", "LastName": "Roe"},
            {"Email": "eve@x.org", "FirstName": "Eve", "LastName": "Poe"},
        ]))
        .await;
    world.done(&["setup"]).await;
    let agent = world.run().await;
    world
        .agree_on(&agent, &["ann@x.org|Ann|Roe|0", "bob@x.org|Bob|Low|0", "eve@x.org|Eve|Poe|0"])
        .await;

    world.sql("update nmsrecipient set sfirstname = 'Anna' where irecipientid = 1").await;
    world.edit(&ids[1], json!({"LastName": "Pole"})).await;
    world
        .agree_on(&agent, &["ann@x.org|Anna|Roe|0", "bob@x.org|Bob|Low|0", "eve@x.org|Eve|Pole|0"])
        .await;

    world.edit(&ids[0], json!({"HasOptedOutOfEmail": true})).await;
    world.sql("update nmsrecipient set iblacklistemail = 1 where irecipientid = 2").await;
    world
        .agree_on(&agent, &["ann@x.org|Anna|Roe|1", "bob@x.org|Bob|Low|1", "eve@x.org|Eve|Pole|0"])
        .await;
    agent.until("readyz", "\"ready\":true").await;
    agent.until("metrics", "truce_leader 1").await;

    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("draining"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_stands_by_and_takes_over_when_the_first_is_killed() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    let first = world.run().await;
    first.until("readyz", "\"ready\":true").await;
    let second = world.run().await;
    second.until("readyz", "\"role\":\"standby\"").await;
    second.until("readyz", "leads").await;

    first.kill().await;
    world
        .sql(
            "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname)
             values (7, 'joe@x.org', 'Joe', 'Doe')",
        )
        .await;
    world.agree_on(&second, &["joe@x.org|Joe|Doe|0"]).await;
    let (code, log) = second.end().await;
    assert_eq!(code, Some(0), "{log}");
}
