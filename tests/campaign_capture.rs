//! Following Campaign's log: every kind of change becomes an observation, nothing is told twice or
//! lost across a crash in the middle of a transaction, the order against reads is right, and
//! Campaign goes on with its own work.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod campaign_world;

use std::time::Duration;

use campaign_world::{ACCOUNTS, EMAIL, FIRST_NAME, MEMBER, NAME, NOTE, RECIPIENTS, Ticks, World};
use truce::campaign::capture::CampaignFeed;
use truce::campaign::scan::{CampaignScan, ScanOptions};
use truce::peer::{Cursor, Feed as _, Page, PeerError, Scan as _};
use truce::reconcile::{Gone, Observation, Presence, Read, RecordId, Value};

const PATIENCE: Duration = Duration::from_secs(10);

/// What was read, page by page, until this many observations came.
async fn gather(feed: &mut CampaignFeed, cursor: &mut Cursor, wanted: usize) -> Vec<Observation> {
    let mut seen = Vec::new();
    while seen.len() < wanted {
        let page = page(feed, cursor).await;
        assert!(!page.observations.is_empty() || seen.len() < wanted, "nothing more came");
        seen.extend(page.observations);
    }
    assert_eq!(seen.len(), wanted, "{seen:?}");
    seen
}

async fn page(feed: &mut CampaignFeed, cursor: &mut Cursor) -> Page {
    let page = feed.page(cursor, PATIENCE, &mut Ticks::default()).await.unwrap();
    *cursor = page.cursor.clone();
    page
}

/// A feed that has told where it begins.
async fn begun(world: &World, rows: usize) -> (CampaignFeed, Cursor) {
    let mut feed = world.feed(rows).await;
    let mut cursor = Cursor::start();
    let first = page(&mut feed, &mut cursor).await;
    assert!(first.observations.is_empty() && first.skew.is_some() && !cursor.is_start());
    (feed, cursor)
}

fn keys(seen: &[Observation]) -> Vec<&str> {
    seen.iter().map(|seen| &*seen.record.0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_change_becomes_an_observation() {
    let world = World::start().await;
    world.set_up().await;
    let (mut feed, mut cursor) = begun(&world, 1000).await;
    world.sql("insert into nmsrecipient (irecipientid, semail, mdata) select 7, 'a@x.org', repeat(md5('x'), 3) || string_agg(md5(n::text), '') from generate_series(1, 400) n").await;
    world.sql("update nmsrecipient set sfirstname = 'Ann' where irecipientid = 7").await;
    world.sql("update nmsrecipient set irecipientid = 8 where irecipientid = 7").await;
    world.sql("select pg_logical_emit_message(false, 'other', 'x')").await;
    world
        .sql(
            "begin; select pg_logical_emit_message(true, 'other', 'x');
             delete from nmsrecipient where irecipientid = 8; commit",
        )
        .await;
    world.sql("update nmsrecipient set stext1 = 'x' where irecipientid = 0").await;
    world.sql("insert into cusaccount (icusaccountid, sname, mdata) select 3, 'Acme', string_agg(md5(n::text), '') from generate_series(1, 400) n").await;
    world.sql("delete from cusaccount where icusaccountid = 3").await;
    let seen = gather(&mut feed, &mut cursor, 6).await;
    assert_eq!(keys(&seen), ["7", "7", "8", "8", "3", "3"]);
    assert!(seen.windows(2).all(|pair| pair[0].at < pair[1].at), "in the order of the log");

    let note = seen[0].value(NOTE).unwrap();
    assert!(matches!(note, Value::Text(text) if 10_000 < text.len()));
    assert_eq!(seen[0].value(EMAIL), Some(&Value::text("a@x.org")));
    assert_eq!(seen[0].value(FIRST_NAME), Some(&Value::Null));
    assert_eq!(seen[1].value(FIRST_NAME), Some(&Value::text("Ann")));
    assert_eq!(seen[1].value(NOTE), None, "a large value that was not touched is unknown");
    assert_eq!(seen[2].was, Some(RecordId::from("7")));
    assert_eq!(seen[3].presence, Presence::Gone(Gone::Deleted));
    assert_eq!((seen[4].entity, seen[4].value(NAME)), (ACCOUNTS, Some(&Value::text("Acme"))));
    assert_eq!(seen[5].presence, Presence::Gone(Gone::Deleted));
    let changed = seen[1].modified.unwrap();
    assert!(changed.after <= changed.until && seen[0].modified.unwrap().until <= changed.after);

    world.sql("alter table nmsrecipient replica identity full").await;
    world.sql("insert into nmsrecipient (irecipientid, mdata) select 9, string_agg(md5(n::text), '') from generate_series(1, 400) n").await;
    world.sql("update nmsrecipient set sfirstname = 'Ann' where irecipientid = 9").await;
    let seen = gather(&mut feed, &mut cursor, 2).await;
    assert_eq!((&seen[1].was, seen[1].value(NOTE)), (&None, seen[0].value(NOTE)), "in the old row");

    world.sql("truncate cusaccount").await;
    let emptied = page(&mut feed, &mut cursor).await;
    assert_eq!((emptied.compare, emptied.observations), (vec![ACCOUNTS], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_one_transaction_are_one_sighting_and_boundaries_stay() {
    let world = World::start().await;
    world.set_up().await;
    let (mut feed, mut cursor) = begun(&world, 1000).await;
    world
        .sql("insert into nmsrecipient (irecipientid, sfirstname) values (1, 'a'), (2, 'b')")
        .await;
    gather(&mut feed, &mut cursor, 2).await;
    world
        .sql(
            "begin;
             update nmsrecipient set sfirstname = 'A' where irecipientid = 1;
             update nmsrecipient set semail = 'a@x.org' where irecipientid = 1;
             delete from nmsrecipient where irecipientid = 2;
             insert into nmsrecipient (irecipientid, sfirstname) values (2, 'B'), (3, 'C');
             delete from nmsrecipient where irecipientid = 3;
             commit",
        )
        .await;
    let seen = gather(&mut feed, &mut cursor, 4).await;
    assert_eq!(keys(&seen), ["1", "2", "2", "3"]);
    assert_eq!(seen[0].value(FIRST_NAME), Some(&Value::text("A")));
    assert_eq!(seen[0].value(EMAIL), Some(&Value::text("a@x.org")));
    assert_eq!(seen[1].presence, Presence::Gone(Gone::Deleted));
    assert_eq!(seen[2].value(FIRST_NAME), Some(&Value::text("B")));
    assert_eq!(seen[3].presence, Presence::Gone(Gone::Deleted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_transaction_is_told_in_pages_and_goes_on_in_its_middle_after_a_crash() {
    let world = World::start().await;
    world.set_up().await;
    let (mut feed, mut cursor) = begun(&world, 100).await;
    world
        .sql("insert into nmsrecipient (irecipientid, sfirstname) select n, 'N' || n from generate_series(1, 950) n")
        .await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let page = page(&mut feed, &mut cursor).await;
        assert!(page.more && page.observations.len() == 100);
        feed.confirm(&page.cursor).await.unwrap();
        seen.extend(page.observations);
    }
    // Read and not kept: it is told again. The process falls without a word.
    let lost = feed.page(&cursor, PATIENCE, &mut Ticks::default()).await.unwrap();
    assert_eq!(lost.observations.len(), 100);
    drop(feed);
    let mut feed = world.feed_after_fall(&cursor, 100).await;
    world.sql("update nmsrecipient set sfirstname = 'Z' where irecipientid = 1").await;
    seen.extend(gather(&mut feed, &mut cursor, 651).await);
    let expected: Vec<String> = (1..=950).chain([1]).map(|n: i32| n.to_string()).collect();
    assert_eq!(keys(&seen), expected);
    assert!(seen.windows(2).all(|pair| pair[0].at < pair[1].at), "positions are the same again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_selected_is_ordered_against_the_log_by_its_snapshot() {
    let world = World::start().await;
    world.set_up().await;
    let (mut feed, mut cursor) = begun(&world, 1000).await;
    let other = world.another_session().await;
    world.sql("insert into nmsrecipient (irecipientid, sfirstname) values (1, 'before')").await;
    other
        .batch_execute(
            "begin; update nmsrecipient set sfirstname = 'under way' where irecipientid = 1",
        )
        .await
        .unwrap();
    let tables = world.tables().await;
    let mut scan =
        CampaignScan::new(world.campaign.truce.clone(), "public", tables, ScanOptions::default());
    let read = scan.read(RECIPIENTS, &["1".into()], &mut Ticks::default()).await.unwrap();
    other.batch_execute("commit").await.unwrap();
    world.sql("update nmsrecipient set sfirstname = 'after' where irecipientid = 1").await;
    let Read::Selected(snapshot) = &read[0].read else { panic!("{read:?}") };
    let seen = gather(&mut feed, &mut cursor, 3).await;
    let visible: Vec<bool> = seen
        .iter()
        .map(|seen| match &seen.read {
            Read::Logged { xid } => snapshot.sees(*xid),
            Read::Selected(_) | Read::Asked(_) => panic!("{seen:?}"),
        })
        .collect();
    assert_eq!(visible, [true, false, false]);
    assert_eq!(read[0].value(FIRST_NAME), Some(&Value::text("before")));
    assert_eq!(seen[0].at.epoch, read[0].at.epoch);
}

#[tokio::test(flavor = "multi_thread")]
async fn structure_changes_pass_and_one_that_takes_a_mapped_column_takes_its_field_only() {
    let world = World::start().await;
    world.set_up().await;
    let (mut feed, mut cursor) = begun(&world, 1000).await;
    world.sql("alter table nmsrecipient add column sextra varchar(20)").await;
    world.sql("alter table nmsrecipient alter column smember type varchar(80)").await;
    world.sql("alter table nmsrecipient drop column stext5").await;
    world
        .sql("insert into nmsrecipient (irecipientid, smember, sextra) values (1, 'M', 'e')")
        .await;
    world.sql("reindex table nmsrecipient").await;
    world.sql("update nmsrecipient set sfirstname = 'Ann' where irecipientid = 1").await;
    let seen = gather(&mut feed, &mut cursor, 2).await;
    assert_eq!(seen[1].value(MEMBER), Some(&Value::text("M")));
    assert_eq!(seen[1].value(FIRST_NAME), Some(&Value::text("Ann")));
    world.sql("alter table nmsrecipient rename column smember to smember2").await;
    world.sql("update nmsrecipient set sfirstname = 'Eve' where irecipientid = 1").await;
    world.sql("insert into cusaccount (icusaccountid, sname) values (4, 'Acme')").await;
    let seen = gather(&mut feed, &mut cursor, 2).await;
    assert_eq!(seen[0].value(FIRST_NAME), Some(&Value::text("Eve")));
    assert_eq!(seen[0].value(MEMBER), None, "what is not there is not known, which is not null");
    assert_eq!(seen[1].value(NAME), Some(&Value::text("Acme")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_position_moves_and_the_server_forgets_what_is_durable() {
    let world = World::start().await;
    world.set_up().await;
    let (mut feed, mut cursor) = begun(&world, 1000).await;
    let confirmed = "select confirmed_flush_lsn::text from pg_replication_slots";
    let before = world.text(confirmed).await;
    // Nothing of ours: written elsewhere, and on row 0.
    world.sql("create table other as select n from generate_series(1, 20000) n").await;
    world.sql("update nmsrecipient set stext1 = 'x' where irecipientid = 0").await;
    let target = world.text("select pg_current_wal_insert_lsn()::text").await.unwrap();
    let superuser = world.database.session("campaign").await.unwrap();
    let reached =
        "select count(*) from pg_replication_slots where confirmed_flush_lsn >= $1::text::pg_lsn";
    let mut pages = 0;
    loop {
        let page = page(&mut feed, &mut cursor).await;
        assert_eq!(page.observations, []);
        feed.confirm(&page.cursor).await.unwrap();
        pages += 1;
        if superuser.query_one(reached, &[&target]).await.unwrap().get::<_, i64>(0) == 1 {
            break;
        }
        assert!(pages < 60, "the slot stays at {:?}", world.text(confirmed).await);
    }
    assert_ne!(world.text(confirmed).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_rebuilt_while_nobody_looked_is_compared() {
    let world = World::start().await;
    world.set_up().await;
    let (mut feed, mut cursor) = begun(&world, 1000).await;
    let rebuild = "create table cusaccount_tmp (like cusaccount including defaults);
                   insert into cusaccount_tmp select * from cusaccount;
                   drop table cusaccount;
                   alter table cusaccount_tmp rename to cusaccount;
                   create unique index cusaccount_id on cusaccount (icusaccountid);
                   grant select, insert, update on cusaccount to truce";
    world.sql(rebuild).await;
    world.set_up().await;
    world.sql("insert into cusaccount (icusaccountid, sname) values (4, 'Acme')").await;
    let told = page(&mut feed, &mut cursor).await;
    assert_eq!(told.compare, [ACCOUNTS], "the log itself names another table");
    assert_eq!(keys(&told.observations), ["4"]);
    feed.stop().await.unwrap();

    world.sql(rebuild).await;
    world.set_up().await;
    let mut feed = world.feed(1000).await;
    assert_eq!(page(&mut feed, &mut cursor).await.compare, [ACCOUNTS], "so does the catalog");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_database_and_a_lost_slot_are_told_apart() {
    let world = World::start().await;
    world.set_up().await;
    let (mut feed, cursor) = begun(&world, 1000).await;
    feed.stop().await.unwrap();
    let superuser = world.database.session("campaign").await.unwrap();
    superuser.batch_execute("select pg_drop_replication_slot('truce')").await.unwrap();
    let failed = feed.page(&cursor, PATIENCE, &mut Ticks::default()).await;
    assert!(matches!(failed, Err(PeerError::CursorLost { .. })), "{failed:?}");
    let failed = feed.page(&Cursor::start(), PATIENCE, &mut Ticks::default()).await;
    assert!(matches!(&failed, Err(PeerError::Unfit { why }) if why.contains("truce setup")));
    world.set_up().await;
    let failed = feed.page(&cursor, PATIENCE, &mut Ticks::default()).await;
    assert!(matches!(failed, Err(PeerError::CursorLost { .. })), "a gap before it: {failed:?}");
    world.sql("update xtkoption set sstringvalue = 'uFEother' where sname = 'XtkDatabaseId'").await;
    let failed = feed.page(&cursor, PATIENCE, &mut Ticks::default()).await;
    assert!(matches!(failed, Err(PeerError::NewEpoch { .. })), "{failed:?}");
}
