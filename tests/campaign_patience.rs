//! How long our statements may take, how much they ask for at once, how often the server hears of
//! us, how well its clock is known: each bound of the config holds at the door that it is for.
#![expect(clippy::disallowed_methods, reason = "one test compares the clock itself")]

mod campaign_world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use campaign_world::{RECIPIENTS, Ticks, World};
use jiff::{SignedDuration, Timestamp};
use truce::campaign::apply::{CampaignWriter, WriteOptions};
use truce::campaign::capture::{CampaignFeed, FeedOptions};
use truce::campaign::lead::Leader;
use truce::campaign::scan::{CampaignScan, ScanOptions};
use truce::campaign::skew;
use truce::peer::{Cursor, Feed as _, PeerError, Scan as _, Writer as _};
use truce::reconcile::RecordId;

const PATIENCE: Duration = Duration::from_mins(1);
const SHORT: Duration = Duration::from_millis(300);

/// The cause of a call that is to be tried again.
fn cause(error: PeerError) -> String {
    let PeerError::Transient { source, .. } = error else { panic!("{error:?}") };
    source.to_string()
}

async fn scan(world: &World, options: ScanOptions) -> CampaignScan {
    CampaignScan::new(world.campaign.truce.clone(), "public", world.tables().await, options)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_is_stuck_ends_and_goes_on_with_fewer_rows() {
    let world = World::start().await;
    world
        .sql("insert into nmsrecipient (irecipientid) select n from generate_series(1, 300) n")
        .await;
    let mut scan = scan(&world, ScanOptions { rows: 200, statement_timeout: SHORT }).await;
    let page = scan.scan(RECIPIENTS, None, 1000, &mut Ticks::default()).await.unwrap();
    assert_eq!(page.len(), 200, "so many at once, whatever the caller would take");
    let other = world.another_session().await;
    let lock = "begin; lock table nmsrecipient in access exclusive mode";
    other.batch_execute(lock).await.unwrap();
    let (key, mut ticks) = ([RecordId::from("1")], Ticks::default());
    let stuck = scan.scan(RECIPIENTS, None, 1000, &mut ticks);
    let error = tokio::time::timeout(PATIENCE, stuck).await.expect("it ends").unwrap_err();
    assert!(cause(error).contains("campaign.statement_timeout_seconds"));
    let stuck = scan.read(RECIPIENTS, &key, &mut ticks);
    assert!(tokio::time::timeout(PATIENCE, stuck).await.expect("it ends").is_err());
    other.batch_execute("commit").await.unwrap();
    let page = scan.scan(RECIPIENTS, None, 1000, &mut Ticks::default()).await.unwrap();
    assert_eq!(page.len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_beside_the_stream_ends_and_the_stream_itself_is_not_bounded() {
    let world = World::start().await;
    world.set_up().await;
    let options = FeedOptions { statement_timeout: SHORT, ..world.feed_options(100) };
    let mut feed = CampaignFeed::new(options, world.tables().await);
    let other = world.another_session().await;
    let lock = "begin; lock table xtkoption in access exclusive mode";
    other.batch_execute(lock).await.unwrap();
    let (start, mut ticks) = (Cursor::start(), Ticks::default());
    let stuck = feed.page(&start, Duration::ZERO, &mut ticks);
    let error = tokio::time::timeout(PATIENCE, stuck).await.expect("it ends").unwrap_err();
    assert!(cause(error).contains("campaign.statement_timeout_seconds"));
    other.batch_execute("commit").await.unwrap();
    let mut cursor = feed.page(&start, PATIENCE, &mut Ticks::default()).await.unwrap().cursor;
    // Longer than any statement may take: nothing is to be told, and the stream stays.
    cursor = feed.page(&cursor, 4 * SHORT, &mut Ticks::default()).await.unwrap().cursor;
    world.sql("insert into nmsrecipient (irecipientid) values (1)").await;
    loop {
        let page = feed.page(&cursor, PATIENCE, &mut Ticks::default()).await.unwrap();
        cursor = page.cursor;
        if page.observations.len() == 1 {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_hears_of_us_as_often_as_is_wanted() {
    let world = World::start().await;
    world.set_up().await;
    let options = FeedOptions { feedback: SHORT, ..world.feed_options(100) };
    let mut feed = CampaignFeed::new(options, world.tables().await);
    let cursor = feed.page(&Cursor::start(), PATIENCE, &mut Ticks::default()).await.unwrap().cursor;
    assert!(!cursor.is_start());
    let superuser = world.database.session("campaign").await.unwrap();
    let heard = async {
        let mut times = BTreeSet::new();
        while times.len() < 4 {
            let asked = "select reply_time::text from pg_stat_replication";
            let row = superuser.query_one(asked, &[]).await.unwrap();
            times.extend(row.get::<_, Option<String>>(0));
        }
    };
    // By its own timeout of a minute the server would hear of us every 20 seconds.
    let in_time = tokio::time::timeout(Duration::from_secs(15), heard);
    tokio::select! {
        ended = feed.keep_alive() => panic!("{ended}"),
        heard = in_time => heard.expect("replies come often"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_drawn_in_calls_of_the_wanted_size() {
    let world = World::start().await;
    world
        .sql(
            "create function getfewids(n integer) returns text language plpgsql as $$
             begin
                if 3 < n then
                    raise exception 'too many at once' using detail = 'the row of ann@x.org';
                end if;
                return (select string_agg(nextval('xtknewid')::text, ',')
                          from generate_series(1, n));
             end $$",
        )
        .await;
    let url = &world.campaign.truce;
    let leader = Leader::try_lead(url, "public", "truce", PATIENCE).await.unwrap().unwrap();
    let functions = BTreeMap::from([(RECIPIENTS, "getfewids".to_owned())]);
    let options = WriteOptions { rows: 10, keys: 3, lock_timeout: SHORT };
    let tables = world.tables().await;
    let writer = CampaignWriter::new(leader, tables, &functions, options).await.unwrap();
    let keys = writer.draw_keys(RECIPIENTS, 7).await.unwrap();
    assert_eq!(keys.iter().collect::<BTreeSet<&RecordId>>().len(), 7);
    drop(writer);

    // What the server says of a row beside its refusal is not told on.
    let lead = async || Leader::try_lead(url, "public", "truce", PATIENCE).await.unwrap();
    let leader = loop {
        if let Some(leader) = lead().await {
            break leader;
        }
    };
    let options = WriteOptions { keys: 4, ..options };
    let tables = world.tables().await;
    let writer = CampaignWriter::new(leader, tables, &functions, options).await.unwrap();
    let refused = cause(writer.draw_keys(RECIPIENTS, 7).await.unwrap_err());
    assert!(refused.contains("too many at once") && !refused.contains("ann@x.org"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clocks_are_compared_to_within_half_of_a_round_trip() {
    let world = World::start().await;
    // Both clocks are this machine's, so ours is set back by hand.
    let behind = SignedDuration::from_secs(90);
    let mut now = || Timestamp::now() - behind;
    let first = skew::measure(&world.owner, &mut now).await.unwrap();
    assert!((first.offset - behind).abs() <= first.uncertainty, "{first:?}");
    assert!(first.uncertainty < SignedDuration::from_secs(30));
    let mut set = Timestamp::now;
    let second = skew::measure(&world.owner, &mut set).await.unwrap();
    assert!(second.offset.abs() <= second.uncertainty, "{second:?}");
    let moved = skew::jumped(first, second).unwrap();
    assert!((moved + behind).abs() <= first.uncertainty + second.uncertainty);
    assert_eq!(skew::jumped(second, second), None);
}
