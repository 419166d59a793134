//! A day's calls that are used up for ordinary writes stop no opt-out, either way.

mod cli_world;

use cli_world::{PATIENCE, World};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn opt_outs_go_over_while_ordinary_writes_wait_for_the_days_calls() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    let people = json!([
        {"Email": "ann@x.org", "FirstName": "Ann", "LastName": "Roe"},
        {"Email": "bob@x.org", "FirstName": "Bob", "LastName": "Low"},
    ]);
    let ids = world.contacts_made(people).await;
    let agent = world.run().await;
    world.agree_on(&agent, &["ann@x.org|Ann|Roe|0", "bob@x.org|Bob|Low|0"]).await;

    // Of 100,000 calls 15,000 are left, and 20,000 are kept for consent.
    world.order("quota", json!({"max": 100_000, "used": 85_000})).await;
    agent.until("metrics", "truce_crm_paused{crm=\"sales\",reason=\"budget\"} 1").await;
    world.sql("update nmsrecipient set sfirstname = 'Anna' where semail = 'ann@x.org'").await;
    agent.until("readyz", "the calls of 24 hours are used up").await;
    world.sql("update nmsrecipient set iblacklistemail = 1 where semail = 'ann@x.org'").await;
    world.edit(&ids[1], json!({"HasOptedOutOfEmail": true})).await;
    let crossed = async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
        while world.contacts().await[0] != "ann@x.org|Ann|Roe|1"
            || world.recipients().await[1] != "bob@x.org|Bob|Low|1"
        {
            tick.tick().await;
        }
    };
    let late = tokio::time::timeout(PATIENCE, crossed).await.is_err();
    assert!(!late, "{:?} {:?}", world.contacts().await, world.recipients().await);
    assert_eq!(agent.end().await.0, Some(0));
}
