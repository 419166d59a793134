//! A slot is created, seen for what it is, and every way in which it is of no use has its own name.

use truce::campaign::slot::{self, WalStatus};
use truce::campaign::stream::{StartOptions, Stream, StreamError};
use truce::postgres::{Settings, connect};
use truce::reconcile::Lsn;
use truce::simulator::database::DatabaseOptions;

use crate::support::{World, failure, start, until};

const TABLE: &str = "create table t (id integer not null); create unique index t_id on t (id)";

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_seen_by_the_role_that_streams() {
    let world = World::new(DatabaseOptions::default()).await;
    world.run(TABLE).await;
    let truce = connect(&world.campaign.truce, &Settings::default()).await.unwrap();
    assert_eq!(slot::find(&truce, "truce").await.unwrap(), None);
    world
        .run(
            "alter table t replica identity using index t_id; create publication truce for table t",
        )
        .await;
    let begins = slot::create(&truce, "truce").await.unwrap();
    let idle = slot::find(&truce, "truce").await.unwrap().unwrap();
    assert_eq!(idle.plugin.as_deref(), Some("pgoutput"));
    assert_eq!(idle.database.as_deref(), Some("campaign"));
    assert_eq!((idle.active_pid, idle.wal_status), (None, Some(WalStatus::Reserved)));
    assert_eq!(idle.confirmed_flush_lsn, Some(begins));
    assert!(idle.restart_lsn.unwrap() <= begins);
    assert!(begins <= slot::current_position(&truce).await.unwrap());

    let stream = world.stream().await;
    let busy = slot::find(&truce, "truce").await.unwrap().unwrap();
    assert!(busy.active_pid.is_some());
    let identity = slot::identity(&truce).await.unwrap();
    assert_eq!(identity.system_identifier, stream.system().identifier);
    assert_eq!(identity.timeline, stream.system().timeline);
    assert_eq!(identity.version_number / 10_000, stream.system().server_version);

    stream.stop().await.unwrap();
    until(&world.admin, "select not active from pg_replication_slots").await;
    slot::drop(&truce, "truce").await.unwrap();
    slot::drop(&truce, "truce").await.unwrap();
    assert_eq!(slot::find(&truce, "truce").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_streamed_is_told_apart() {
    let world = World::new(DatabaseOptions::default()).await;
    let url = &world.campaign.truce;
    world.run(TABLE).await;
    assert!(matches!(start(url, Lsn(0)).await, Err(StreamError::SlotMissing { .. })));
    slot::create(&world.admin, "truce").await.unwrap();
    assert!(matches!(start(url, Lsn(0)).await, Err(StreamError::PublicationMissing { .. })));
    world.run("create publication truce for table t").await;

    let first = world.stream().await;
    let error = start(url, Lsn(0)).await.unwrap_err();
    assert!(matches!(error, StreamError::SlotActive { .. }) && error.is_transient(), "{error:?}");
    first.stop().await.unwrap();

    let error = start(&world.campaign.truce.clone().with_database("postgres"), Lsn(0)).await;
    assert!(matches!(error, Err(StreamError::SlotForeign { .. })), "{error:?}");
    world.admin.batch_execute("select pg_create_physical_replication_slot('p')").await.unwrap();
    let options = StartOptions::new("p", "truce", Lsn::default());
    let error = Stream::start(url, &options).await;
    assert!(matches!(error, Err(StreamError::SlotForeign { .. })), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_that_goes_ends_the_stream_by_its_name() {
    let world = World::new(DatabaseOptions::default()).await;
    world.run(TABLE).await;
    world.publish("t", "t_id").await;
    let mut stream = world.stream().await;
    world.run("drop publication truce").await;
    world.run("insert into t values (1)").await;
    let error = failure(&mut stream).await;
    assert!(matches!(error, StreamError::PublicationMissing { .. }), "{error:?}");
    assert!(!error.is_transient());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_lost_its_log_is_lost_for_good() {
    let settings = vec![
        ("max_slot_wal_keep_size".into(), "1MB".into()),
        ("max_wal_size".into(), "32MB".into()),
        ("min_wal_size".into(), "32MB".into()),
    ];
    let world = World::new(DatabaseOptions { settings, ..DatabaseOptions::default() }).await;
    world.run(TABLE).await;
    world.publish("t", "t_id").await;
    let kept = slot::find(&world.admin, "truce").await.unwrap().unwrap();
    assert!(kept.safe_wal_bytes.is_some());
    for _ in 0..4 {
        world.run("insert into t values (1); delete from t").await;
        world.admin.batch_execute("select pg_switch_wal()").await.unwrap();
        world.admin.batch_execute("checkpoint").await.unwrap();
    }
    let lost = slot::find(&world.admin, "truce").await.unwrap().unwrap();
    assert_eq!((lost.wal_status, lost.restart_lsn), (Some(WalStatus::Lost), None));
    let error = start(&world.campaign.truce, Lsn(0)).await.unwrap_err();
    assert!(matches!(error, StreamError::SlotLost { .. }) && !error.is_transient(), "{error:?}");
}
