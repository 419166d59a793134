//! Every way to log in works for both kinds of connection, and each that fails says what to do.

use std::error::Error as _;

use truce::campaign::stream::StreamError;
use truce::postgres::{ConnectError, ServerUrl, Settings, connect};
use truce::reconcile::Lsn;
use truce::simulator::database::DatabaseOptions;

use crate::support::{World, start};

async fn world(hba: &[&str]) -> World {
    let hba = hba.iter().map(|line| (*line).to_owned()).collect();
    let world = World::new(DatabaseOptions { hba, ..DatabaseOptions::default() }).await;
    world.run("create table t (id integer not null); create unique index t_id on t (id)").await;
    world.publish("t", "t_id").await;
    world
}

/// Both kinds of connection, one after the other.
async fn logs_in(url: &ServerUrl) {
    let session = connect(url, &Settings::default()).await.unwrap();
    let row = session.query_one("select current_user::text", &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), url.user());
    start(url, Lsn::default()).await.unwrap().stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_that_we_speak_lets_us_in() {
    let world = world(&[
        "host all trusted 127.0.0.1/32 trust",
        "host all hashed 127.0.0.1/32 md5",
        "local all asked scram-sha-256",
        "local all plain password",
    ])
    .await;
    let roles = "create role trusted login replication;
        create role asked login replication password 'se cret';
        create role plain login replication password 'pl ain';
        set password_encryption = 'md5'; create role hashed login replication password 'ha sh'";
    world.admin.batch_execute(roles).await.unwrap();
    let tcp = world.campaign.truce.clone();
    let unix = world.database.socket_url().with_database("campaign");
    logs_in(&tcp).await;
    logs_in(&tcp.clone().with_user("trusted")).await;
    logs_in(&tcp.with_user("hashed").with_password("ha sh")).await;
    logs_in(&unix.clone().with_user("asked").with_password("se cret")).await;
    logs_in(&unix.clone().with_user("plain").with_password("pl ain")).await;
    logs_in(&unix).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_reads_values_in_one_form() {
    let world = world(&[]).await;
    let settings = Settings::default().with("search_path", "\"a b\", public");
    let session = connect(&world.campaign.owner, &settings).await.unwrap();
    let query = "select concat_ws(';', current_setting('timezone'), current_setting('datestyle'),
        current_setting('client_encoding'), current_setting('search_path'),
        current_setting('application_name'))";
    let row = session.query_one(query, &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "UTC;ISO, MDY;UTF8;\"a b\", public;truce");
}

/// The message of an error and of what caused it, without what differs from run to run.
fn told(world: &World, error: &ConnectError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}\n    {source}");
        cause = source.source();
    }
    text.replace(&world.database.port().to_string(), "PORT")
}

async fn refused(world: &World, url: &ServerUrl) -> String {
    let by_session = connect(url, &Settings::default()).await.map(|_| ()).unwrap_err();
    let Err(StreamError::Connect(by_stream)) = start(url, Lsn::default()).await else {
        panic!("the session was refused, and the stream was not");
    };
    let (by_session, by_stream) = (told(world, &by_session), told(world, &by_stream));
    assert_eq!(by_session, by_stream);
    by_session
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_names_the_place_and_the_remedy() {
    let world = world(&["host all nobody 127.0.0.1/32 reject"]).await;
    world.admin.batch_execute("create role nobody login replication password 'x'").await.unwrap();
    let url = world.campaign.truce.clone();
    let plain = url.to_string().replace("prefer", "disable").parse::<ServerUrl>().unwrap();
    let plain = plain.with_password("x");
    let secured = url.to_string().replace("prefer", "require").parse::<ServerUrl>().unwrap();
    let told = [
        refused(&world, &url.clone().with_password("wrong-pass-word")).await,
        refused(&world, &url.clone().with_user("truce")).await,
        refused(&world, &url.clone().with_database("elsewhere")).await,
        refused(&world, &plain.with_user("nobody").with_password("x")).await,
        refused(&world, &secured).await,
    ]
    .join("\n\n");
    assert!(!told.contains("wrong-pass-word"));
    insta::assert_snapshot!(told);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_replicate_is_told_so() {
    let world = world(&[]).await;
    let Err(StreamError::Connect(error)) = start(&world.campaign.owner, Lsn::default()).await
    else {
        panic!("Campaign's own role may not replicate");
    };
    assert!(matches!(error, ConnectError::NoRight { .. }), "{error:?}");
    assert!(error.to_string().contains("alter role \"campaign\" replication"));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_listens_is_told_so() {
    let mut world = world(&[]).await;
    let (tcp, unix) = (world.campaign.truce.clone(), world.database.socket_url());
    world.database.stop().await.unwrap();
    for url in [tcp, unix] {
        let error = connect(&url, &Settings::default()).await.map(|_| ()).unwrap_err();
        assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
        assert!(error.is_transient());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("postgresql://u@127.0.0.1:{port}/d?connect_timeout=1");
    let error = connect(&url.parse().unwrap(), &Settings::default()).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error:?}");
}
