//! An opt-out that was committed behind a mass update goes over before the log has told of it.

mod cli_world;

use std::time::Duration;

use cli_world::{PATIENCE, World};
use serde_json::json;

const MANY: i64 = 15_000;

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_behind_a_mass_update_does_not_wait_for_the_log() {
    let world = World::start().await;
    let config = world.config().replace("create = [\"campaign\", \"crm\"]", "create = []");
    world.configure(&config);
    world.done(&["setup"]).await;
    let ann = json!({"Email": "ann@x.org", "FirstName": "Ann", "LastName": "Roe"});
    world.contacts_made(json!([ann])).await;
    let recipient = "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname)
                     values (7, 'ann@x.org', 'Ann', 'Roe')";
    world.sql(recipient).await;
    let agent = world.run().await;
    agent.until("metrics", "truce_links{mapping=\"contacts\"} 1").await;

    let mass = format!(
        "insert into nmsrecipient (irecipientid, semail, slastname)
         select n, n || '@many.org', 'Many' from generate_series(1000, {}) n",
        999 + MANY
    );
    world.sql(&mass).await;
    world
        .sql(
            "update nmsrecipient set iblacklistemail = 1, tslastmodified = now()
              where semail = 'ann@x.org'",
        )
        .await;
    let crossed = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while world.contacts().await != ["ann@x.org|Ann|Roe|1"] {
            tick.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, crossed).await.expect("the opt-out goes over");
    let ledger = world.database.session("truce").await.unwrap();
    let links = async || -> i64 {
        let count = "select count(*) from truce.link";
        ledger.query_one(count, &[]).await.unwrap().get(0)
    };
    let told = links().await;
    assert!(told < MANY, "the log had told of all {told} before");

    // The log tells of it once more, which says nothing new, and nothing is lost of the others.
    let all = async { while links().await != MANY + 1 {} };
    tokio::time::timeout(PATIENCE, all).await.expect("all are told of");
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(world.contacts().await, ["ann@x.org|Ann|Roe|1"]);
}
