//! The private server of the demo and the tests is a real one: it starts, survives a fall, keeps
//! its word about roles and keys, and leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use truce::postgres::{Settings, connect};
use truce::simulator::database::{Database, DatabaseOptions};

#[tokio::test(flavor = "multi_thread")]
async fn a_private_server_lives_falls_recovers_and_leaves_nothing_behind() {
    let mut database = Database::start(DatabaseOptions::default()).await.unwrap();
    let first = database.pid().unwrap();
    let campaign = database.create_campaign("campaign").await.unwrap();

    let owner = connect(&campaign.owner, &Settings::default()).await.unwrap();
    let ids = owner.query_one("select GetNewNmsRecipientIds(3)", &[]).await.unwrap();
    assert_eq!(ids.get::<_, String>(0), "1000,1001,1002");
    let is_superuser = "select rolsuper from pg_roles where rolname = current_user";
    assert!(!owner.query_one(is_superuser, &[]).await.unwrap().get::<_, bool>(0));
    let keys = "select count(*) from pg_constraint where contype = 'p'
                  and connamespace = 'public'::regnamespace";
    assert_eq!(owner.query_one(keys, &[]).await.unwrap().get::<_, i64>(0), 0);
    let zero = "select count(*) from nmsrecipient where irecipientid = 0";
    assert_eq!(owner.query_one(zero, &[]).await.unwrap().get::<_, i64>(0), 1);

    // fsync is off, but the files outlive the process; only a fall of the machine would lose them.
    owner.simple_query("checkpoint").await.unwrap_err();
    database.kill().await.unwrap();
    assert!(database.pid().is_none());
    database.restart().await.unwrap();
    assert_ne!(database.pid().unwrap(), first);
    let owner = connect(&campaign.owner, &Settings::default()).await.unwrap();
    assert_eq!(owner.query_one(zero, &[]).await.unwrap().get::<_, i64>(0), 1);

    let (pid, directory) = (database.pid().unwrap(), database.directory().to_owned());
    drop(database);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(!directory.exists());
}
