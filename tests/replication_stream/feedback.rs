//! What was confirmed is what is forgotten: no more, and no less.

use truce::campaign::stream::{Frame, StreamError};
use truce::postgres::{Settings, connect};
use truce::simulator::database::DatabaseOptions;

use crate::support::{World, commits, failure, until};

const TABLE: &str = "create table t (id integer not null, name text);
     create unique index t_id on t (id)";

async fn world(options: DatabaseOptions) -> World {
    let world = World::new(options).await;
    world.run(TABLE).await;
    world.publish("t", "t_id").await;
    world
}

fn inserts(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).filter(|line| line.starts_with("insert")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_after_what_was_confirmed() {
    let world = world(DatabaseOptions::default()).await;
    let mut stream = world.stream().await;
    world.run("insert into t values (1)").await;
    world.run("insert into t values (2)").await;
    world.run("insert into t values (3)").await;
    let (_, first) = commits(&mut stream, 1).await;
    let (_, second) = commits(&mut stream, 1).await;
    stream.confirm(first);
    stream.stop().await.unwrap();

    let mut again = world.stream().await;
    let (lines, _) = commits(&mut again, 2).await;
    assert_eq!(inserts(&lines), ["insert ('2', null)", "insert ('3', null)"]);
    again.stop().await.unwrap();

    let mut from_second = world.stream_from(second).await;
    let (lines, _) = commits(&mut from_second, 1).await;
    assert_eq!(inserts(&lines), ["insert ('3', null)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_dropped_loses_nothing() {
    let world = world(DatabaseOptions::default()).await;
    let mut stream = world.stream().await;
    world.run("insert into t values (1)").await;
    commits(&mut stream, 1).await;
    drop(stream);
    until(&world.admin, "select not active from pg_replication_slots").await;
    let (lines, _) = commits(&mut world.stream().await, 1).await;
    assert_eq!(inserts(&lines), ["insert ('1', null)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_falls_is_noticed_and_nothing_is_lost() {
    let mut world = world(DatabaseOptions::default()).await;
    let mut stream = world.stream().await;
    world.run("insert into t values (1)").await;
    commits(&mut stream, 1).await;
    world.database.kill().await.unwrap();
    let error = failure(&mut stream).await;
    assert!(matches!(error, StreamError::Ended | StreamError::Gone(_)), "{error:?}");
    assert!(error.is_transient());
    world.database.restart().await.unwrap();
    world.owner = connect(&world.campaign.owner, &Settings::default()).await.unwrap();
    world.run("insert into t values (2)").await;
    let (lines, _) = commits(&mut world.stream().await, 2).await;
    assert_eq!(inserts(&lines), ["insert ('1', null)", "insert ('2', null)"]);
}

/// The server gives up on whoever does not speak for two seconds.
fn impatient() -> DatabaseOptions {
    DatabaseOptions {
        settings: vec![("wal_sender_timeout".into(), "2s".into())],
        ..DatabaseOptions::default()
    }
}

const FLOOD: &str = "insert into t select i, repeat('x', 500) from generate_series(1, 100000) as i";
const CONNECTED_FOR_LONG: &str =
    "select bool_and(now() - backend_start > interval '5 s') from pg_stat_replication";

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_blocked_for_long_keeps_its_stream() {
    let world = world(impatient()).await;
    let mut stream = world.stream().await;
    world.run(FLOOD).await;
    stream.ready().await.unwrap();
    tokio::select! {
        error = stream.keep_alive() => panic!("the stream broke: {error:?}"),
        () = until(&world.admin, CONNECTED_FOR_LONG) => {}
    }
    let (lines, _) = commits(&mut stream, 1).await;
    assert_eq!(inserts(&lines).len(), 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_does_not_keep_its_stream_alive_loses_it() {
    let world = world(impatient()).await;
    let mut stream = world.stream().await;
    world.run(FLOOD).await;
    stream.ready().await.unwrap();
    until(&world.admin, "select not active from pg_replication_slots").await;
    assert!(failure(&mut stream).await.is_transient());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_stream_lives_through_many_timeouts() {
    let world = world(impatient()).await;
    let mut stream = world.stream().await;
    tokio::select! {
        error = failure(&mut stream) => panic!("the stream broke: {error:?}"),
        () = until(&world.admin, CONNECTED_FOR_LONG) => {}
    }
    world.run("insert into t values (1)").await;
    commits(&mut stream, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_may_be_cancelled_anywhere() {
    let world = world(DatabaseOptions::default()).await;
    let mut stream = world.stream().await;
    world
        .run("insert into t select i, repeat('x', i % 700) from generate_series(1, 20000) as i")
        .await;
    let (mut rows, mut polls) = (0, 0_u32);
    while rows < 20_000 {
        polls += 1;
        let one_poll = async {
            tokio::select! { biased; ready = stream.ready() => ready.unwrap(), () = tokio::task::yield_now() => {} }
        };
        one_poll.await;
        while let Some(frame) = stream.next_frame().unwrap() {
            if let Frame::Change {
                message: truce::campaign::pgoutput::Message::Insert(insert),
                ..
            } = frame
            {
                assert_eq!(insert.new.len(), 2);
                rows += 1;
            }
        }
    }
    assert!(1 < polls);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_given_up() {
    let world = world(impatient()).await;
    let mut stream = world.stream().await;
    let pid = "select pid from pg_stat_replication";
    let pid: i32 = world.admin.query_one(pid, &[]).await.unwrap().get(0);
    let sender = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(sender, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let error = failure(&mut stream).await;
    nix::sys::signal::kill(sender, nix::sys::signal::Signal::SIGCONT).unwrap();
    assert!(matches!(error, StreamError::Silent { .. }), "{error:?}");
    assert!(error.is_transient());
}
