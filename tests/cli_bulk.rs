//! A backlog goes as a job, and a job does not outlive the agent that began it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod cli_world;

use cli_world::{Agent, PATIENCE, World};
use serde_json::{Value as Json, json};

const RECIPIENTS: usize = 60;

/// As many requests as hold this in their paths.
async fn requests(world: &World, path: &str) -> usize {
    let told = world.look("requests").await;
    let requests = told["requests"].as_array().unwrap().iter();
    requests.filter(|one| one["path"].as_str().is_some_and(|of| of.contains(path))).count()
}

/// Waits until the ledger knows of so many jobs that may be running.
async fn running(world: &World, jobs: i64) {
    let server = world.database.session("truce").await.unwrap();
    let kept = "select count(*) from truce.fact where name = 'job/0' and value::text <> 'null'";
    let known =
        async { while server.query_one(kept, &[]).await.unwrap().get::<_, i64>(0) != jobs {} };
    tokio::time::timeout(PATIENCE, known).await.expect("so many jobs are known");
}

/// Waits until something was counted.
async fn counts(agent: &Agent, what: &str) {
    let counted = async {
        loop {
            let (_, page) = agent.get("metrics").await;
            let line = page.lines().find_map(|line| line.strip_prefix(what));
            if line.is_some_and(|count| count.trim() != "0") {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.unwrap_or_else(|_| panic!("no {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_cut_off_by_a_kill_is_ended_and_nobody_is_made_twice() {
    let world = World::start().await;
    let jobs =
        "bulk_records = 20\nbatch = 1\nwrite_time_limit_seconds = 1\nlate_commit_seconds = 1\n";
    world.configure(&world.config().replace("poll_seconds", &format!("{jobs}poll_seconds")));
    world.order("bulk", json!({ "seconds": 1_000_000 })).await;
    world
        .sql(&format!(
            "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname)
             select n, 'p' || n + 100 || '@x.org', 'Pat', 'Roe' from generate_series(1, {RECIPIENTS}) n"
        ))
        .await;
    world.done(&["setup"]).await;
    let agent = world.run().await;
    running(&world, 1).await;
    agent.kill().await;
    assert!(world.contacts().await.is_empty());

    let agent = world.run().await;
    running(&world, 0).await;
    world.order("bulk", json!({ "seconds": 0 })).await;
    let wanted: Vec<String> =
        (1..=RECIPIENTS).map(|n| format!("p{}@x.org|Pat|Roe|0", n + 100)).collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    world.agree_on(&agent, &wanted).await;
    // A poll and a write that come to no answer.
    world.order("fail", json!({"kind": "reset", "method": "GET", "path_contains": "/query"})).await;
    let cut = json!({"kind": "reset", "effect": "after", "method": "PATCH"});
    world.order("fail", cut).await;
    world.sql("update nmsrecipient set sfirstname = 'Pam' where irecipientid = 1").await;
    for counted in [
        "truce_crm_bulk_jobs_total{crm=\"sales\",kind=\"write\",outcome=\"done\"}",
        "truce_decisions_total{mapping=\"contacts\",verdict=\"written\"}",
        "truce_crm_calls_repeated_total{crm=\"sales\"}",
        "truce_crm_calls_lost_total{crm=\"sales\"}",
    ] {
        counts(&agent, counted).await;
    }
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("a job was left running"), "{log}");
    let states = Json::from(requests(&world, "/jobs/ingest").await);
    assert!(6 < states.as_u64().unwrap(), "by jobs: {states} requests");
}
