//! `setup` and its undoing, `check`, `status`: by the real binary on a real server.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod cli_world;

use std::process::Command;

use cli_world::World;
use serde_json::{Value as Json, json};
use truce::campaign::setup::begin_database;

fn dump(world: &World) -> String {
    let output = Command::new(world.database.program("pg_dump"))
        .args(["--host", "127.0.0.1", "--username", "postgres", "--port"])
        .arg(world.database.port().to_string())
        .arg("campaign")
        .env("PGPASSWORD", world.database.password())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    // The marks around a dump are random since a security release.
    lines.lines().filter(|line| !line.contains("restrict")).collect::<Vec<_>>().join("\n")
}

/// What a dump does not show.
async fn beside(world: &World) -> Vec<String> {
    world
        .rows(
            "select relname || relreplident::text from pg_class where relkind = 'r'
                and relnamespace = 'public'::regnamespace
             union all select datname::text from pg_database
             union all select slot_name::text from pg_replication_slots
             union all select pubname::text from pg_publication order by 1",
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn setup_makes_what_check_misses_and_its_undo_leaves_the_database_as_it_was() {
    let world = World::start().await;
    let before = (dump(&world), beside(&world).await);

    let missing = world.truce(&["check"]).await;
    let told = String::from_utf8(missing.stdout).unwrap();
    assert_eq!(missing.status.code(), Some(1), "{told}");
    assert!(told.contains("replica identity using index"), "{told}");
    assert!(told.contains("it would not run"), "{told}");

    let printed = world.done(&["setup", "--print"]).await;
    assert!(printed.contains("create database \"truce\""), "{printed}");
    assert!(printed.contains("pg_create_logical_replication_slot"), "{printed}");
    assert_eq!((dump(&world), beside(&world).await), before, "printing changes nothing");

    world.done(&["setup"]).await;
    assert!(world.done(&["check"]).await.contains("it would run"));
    assert!(world.done(&["setup"]).await.contains("already"));
    assert!(world.done(&["status"]).await.contains("contacts"));
    let agent = world.run().await;
    agent.until("readyz", "\"ready\":true").await;
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");

    let asked = world.truce(&["setup", "--undo", "--json"]).await;
    assert_eq!(asked.status.code(), Some(2), "nobody is asked, and nothing is taken away");
    let asked = world.truce(&["setup", "--undo"]).await;
    assert_eq!(asked.status.code(), Some(2), "nobody can be asked, and nothing is taken away");
    world.done(&["setup", "--undo", "--yes"]).await;
    assert_eq!((dump(&world), beside(&world).await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dba_made_by_the_printed_sql_is_named_when_setup_is_undone() {
    let world = World::start().await;
    let printed = world.done(&["setup", "--print"]).await;
    let (_, ours) = printed.split_once("-- in Campaign's database").unwrap();
    assert!(ours.contains("set lock_timeout = "), "{printed}");
    // One at a time, as a slot cannot be made in a transaction that has written.
    let dba = world.database.session("campaign").await.unwrap();
    for statement in ours.split(";\n") {
        dba.batch_execute(statement).await.unwrap();
    }
    assert!(world.done(&["setup"]).await.contains("the ledger"));
    assert!(world.done(&["check"]).await.contains("it would run"));

    let told = world.done(&["setup", "--undo", "--yes"]).await;
    let left: Vec<&str> = told.lines().filter(|line| line.starts_with("left  ")).collect();
    assert_eq!(left.len(), 2, "{told}");
    for line in left {
        let (_, sql) = line.split_once("goes by: ").unwrap();
        dba.batch_execute(sql).await.unwrap();
    }
    let gone = "select slot_name::text from pg_replication_slots
                 union all select pubname::text from pg_publication";
    assert_eq!(world.rows(gone).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setup_that_died_after_making_the_database_is_finished_or_undone() {
    let world = World::start().await;
    let before = beside(&world).await;
    let server = world.database.session("campaign").await.unwrap();
    // As setup is killed the moment the server has carried its first statement out.
    let begun = format!("set role truce; {}", begin_database("truce").sql);
    let half = async || {
        for statement in begun.split("; ") {
            server.batch_execute(statement).await.unwrap();
        }
    };

    half().await;
    let told = world.done(&["setup", "--undo", "--yes"]).await;
    assert!(told.contains("did not get further than the database truce"), "{told}");
    assert_eq!(beside(&world).await, before, "undone at once");

    half().await;
    world.done(&["setup"]).await;
    assert!(world.done(&["check"]).await.contains("it would run"));
    let marked = "select datname::text from pg_database where datistemplate order by 1";
    assert_eq!(world.rows(marked).await, ["template0", "template1"], "its mark is gone");
    world.done(&["setup", "--undo", "--yes"]).await;
    assert_eq!(beside(&world).await, before, "undone after it was finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_read_what_setup_did_and_took_away() {
    let world = World::start().await;
    let lines = |told: String| -> Vec<Json> {
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let people = world.done(&["setup"]).await;
    world.done(&["setup", "--undo", "--yes"]).await;
    let made = lines(world.done(&["setup", "--json"]).await);
    let told: Vec<String> =
        made.iter().map(|line| format!("done  {}", line["done"].as_str().unwrap())).collect();
    assert_eq!(told, people.lines().collect::<Vec<_>>(), "the same, for machines");
    let again = lines(world.done(&["setup", "--json"]).await);
    assert_eq!(again, [json!({"done": "everything was there already"})]);

    let undone = lines(world.done(&["setup", "--undo", "--yes", "--json"]).await);
    assert_eq!(undone[0], json!({"ledger": "truce", "links": 0, "tombstones": 0}));
    assert!(undone[1..].iter().all(|line| line["done"].is_string()), "{undone:?}");
    let dropped = undone.iter().any(|line| line["done"] == "drop publication if exists \"truce\"");
    assert!(dropped, "{undone:?}");
}
