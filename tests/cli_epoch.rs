//! Another database or organisation under the same config: nothing is created or deleted before a
//! person says so; a scan that was killed goes on.

mod cli_world;

use cli_world::{PATIENCE, World};
use serde_json::{Value as Json, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_creates_nothing_before_a_person_releases_it() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    world.contacts_made(json!([{"Email": "a@x.org", "FirstName": "A", "LastName": "Roe"}])).await;
    let agent = world.run().await;
    world.agree_on(&agent, &["a@x.org|A|Roe|0"]).await;
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");

    // A restore of Campaign from another instance's dump gives it another identifier.
    world.sql("update xtkoption set sstringvalue = 'uFE2' where sname = 'XtkDatabaseId'").await;
    world
        .sql(
            "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname)
             values (7, 'b@x.org', 'B', 'Low')",
        )
        .await;
    let agent = world.run().await;
    let held = async { while !world.done(&["held", "list"]).await.contains("epoch") {} };
    tokio::time::timeout(PATIENCE, held).await.unwrap();
    assert_eq!(world.contacts().await, ["a@x.org|A|Roe|0"]);
    let status: Json = serde_json::from_str(&world.done(&["status", "--json"]).await).unwrap();
    assert_eq!(status["mappings"][0]["epoch_held"], true, "{status}");

    world.done(&["held", "release", "--epoch"]).await;
    world.agree_on(&agent, &["a@x.org|A|Roe|0", "b@x.org|B|Low|0"]).await;
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_that_is_no_longer_a_sandbox_is_not_written_to_until_that_is_meant() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    world.contacts_made(json!([{"Email": "a@x.org", "FirstName": "A", "LastName": "Roe"}])).await;
    let agent = world.run().await;
    world.agree_on(&agent, &["a@x.org|A|Roe|0"]).await;
    agent.until("readyz", "\"ready\":true").await;
    agent.end().await;

    // As if it had been a sandbox of the same address.
    let ledger = world.database.session("truce").await.unwrap();
    let other = "update truce.fact set value = (jsonb_set(value::text::jsonb, '{sandbox}', 'true'))::text::json
                  where name = 'answers/sales'";
    assert_eq!(ledger.execute(other, &[]).await.unwrap(), 1);
    let edited = "update nmsrecipient set sfirstname = 'Ann' where irecipientid <> 0";
    world.sql(edited).await;
    let agent = world.run().await;
    let told = "is the production organisation";
    agent.until("readyz", told).await;
    assert_eq!(world.contacts().await, ["a@x.org|A|Roe|0"]);
    agent.end().await;

    let meant = world.config().replacen("client_id", "sandbox = false\nclient_id", 1);
    world.configure(&meant);
    let agent = world.run().await;
    world.agree_on(&agent, &["a@x.org|Ann|Roe|0"]).await;
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_populated_sides_are_paired_though_the_agent_is_killed_on_the_way() {
    const RECORDS: usize = 6_000;
    let world = World::start().await;
    world
        .sql(&format!(
            "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname)
             select n, 'p' || n || '@x.org', 'Pat', 'Roe' from generate_series(1, {RECORDS}) n"
        ))
        .await;
    let records: Vec<Json> = (1..=RECORDS)
        .map(|n| json!({"Email": format!("p{n}@x.org"), "FirstName": "Pat", "LastName": "Roe"}))
        .collect();
    world.contacts_made(Json::Array(records)).await;
    world.done(&["setup"]).await;
    let agent = world.run().await;
    agent
        .until("metrics", "truce_observations_total{mapping=\"contacts\",side=\"campaign\"}")
        .await;
    agent.kill().await;

    let agent = world.run().await;
    let links = format!("truce_links{{mapping=\"contacts\"}} {RECORDS}");
    agent.until("metrics", &links).await;
    agent.until("metrics", "truce_links_due{mapping=\"contacts\",lane=\"ordinary\"} 0").await;
    let status: Json = serde_json::from_str(&world.done(&["status", "--json"]).await).unwrap();
    assert_eq!(status["mappings"][0]["links"]["live"], json!(RECORDS), "{status}");
    assert_eq!(status["mappings"][0]["scan"]["crm"], json!(RECORDS), "each page is read once");
    assert_eq!(world.recipients().await.len(), RECORDS, "none is doubled");
    assert_eq!(world.contacts().await.len(), RECORDS, "none is doubled");
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");
}
