//! Writing to Campaign: guards hold, nobody waits for us and we wait for nobody, refusals stay
//! with their row, row 0 is left alone, and a lost answer can be settled.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod campaign_world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use campaign_world::{
    ACCOUNT, ACCOUNTS, BIRTH, EMAIL, FIRST_NAME, MEMBER, NAME, Noted, OPTED_OUT, RECIPIENTS, SCORE,
    ThenMute, Ticks, World, create, delete, update,
};
use tokio::time::Instant;
use truce::campaign::apply::CampaignWriter;
use truce::campaign::lead::Leader;
use truce::campaign::scan::{CampaignScan, ScanOptions};
use truce::peer::{Ended, Notes, PeerError, Scan as _, Writer as _};
use truce::reconcile::{
    Consent, Expected, Gone, LinkId, Outcome, Presence, Read, RecordId, RefusalKind, Value, Write,
};

async fn written(writer: &CampaignWriter, all: Vec<Write>) -> Vec<Outcome> {
    writer.write(all, &Noted::default(), &mut Ticks::default()).await.unwrap()
}

fn is_done(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Done { xid: Some(xid), .. } if *xid > 0)
}

async fn recipients(world: &World, keys: std::ops::RangeInclusive<i32>) {
    let (first, last) = (keys.start(), keys.end());
    world
        .sql(&format!(
            "insert into nmsrecipient (irecipientid, semail, sfirstname, tslastmodified)
             select n, 'p' || n || '@x.org', 'N' || n, '2020-01-01'
               from generate_series({first}, {last}) n"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_written_only_where_the_decisions_fields_are_as_they_were() {
    let world = World::start().await;
    recipients(&world, 1..=4).await;
    world.sql("update nmsrecipient set sfirstname = '' where irecipientid = 2").await;
    world.sql("update nmsrecipient set sfirstname = ' N4 ' where irecipientid = 4").await;
    let writer = world.writer().await;
    let ann = [(FIRST_NAME, Value::text("Ann"))];
    let mut padded = update(RECIPIENTS, "4", &ann, &[]);
    let raw = Some(vec![Some(Arc::from(" N4 "))]);
    padded.expect.insert(FIRST_NAME, Expected { value: Value::text("N4"), raw });
    let notes = Noted::default();
    let outcomes = writer
        .write(
            vec![
                update(RECIPIENTS, "1", &ann, &[(FIRST_NAME, Value::text("N1"))]),
                update(RECIPIENTS, "2", &ann, &[(FIRST_NAME, Value::Null)]),
                update(RECIPIENTS, "3", &ann, &[(FIRST_NAME, Value::text("Eve"))]),
                padded,
                update(RECIPIENTS, "99", &ann, &[(FIRST_NAME, Value::Null)]),
                update(RECIPIENTS, "0", &ann, &[(FIRST_NAME, Value::Null)]),
            ],
            &notes,
            &mut Ticks::default(),
        )
        .await
        .unwrap();
    assert!(outcomes[..2].iter().all(is_done), "{outcomes:?}");
    assert!(is_done(&outcomes[3]), "{outcomes:?}");
    let Outcome::Stale(Some(seen)) = &outcomes[2] else { panic!("{outcomes:?}") };
    assert_eq!(seen.value(FIRST_NAME), Some(&Value::text("N3")));
    assert!(matches!(&seen.read, Read::Selected(snapshot) if snapshot.sees(1)));
    let Outcome::Gone(Some(seen)) = &outcomes[4] else { panic!("{outcomes:?}") };
    assert_eq!(seen.presence, Presence::Gone(Gone::Missing));
    assert!(matches!(&outcomes[5], Outcome::Refused(_)), "row 0 is not a record: {outcomes:?}");
    assert_eq!(notes.links(), [1, 2, 4].into());
    let names = "select string_agg(coalesce(sfirstname, '-'), ',' order by irecipientid)
                   from nmsrecipient";
    assert_eq!(world.text(names).await.unwrap(), "-,Ann,Ann,N3,Ann");
    let moved = "select string_agg(irecipientid::text, ',' order by irecipientid)
                   from nmsrecipient where tslastmodified > '2021-01-01'";
    assert_eq!(world.text(moved).await.unwrap(), "1,2,4");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_written_and_read_back_as_the_same_value() {
    let world = World::start().await;
    recipients(&world, 7..=7).await;
    world.sql("insert into cusaccount (icusaccountid, sname) values (5, 'Acme')").await;
    let writer = world.writer().await;
    let person = [
        (EMAIL, Value::text("o'brien\\@x.org")),
        (OPTED_OUT, Value::Consent(Consent::Out)),
        (ACCOUNT, Value::Record("5".into())),
        (BIRTH, Value::Date("1971-02-03".parse().unwrap())),
        (MEMBER, Value::Null),
    ];
    let account =
        [(NAME, Value::text("Acmé 😀")), (SCORE, Value::Decimal("12.5".parse().unwrap()))];
    let outcomes = written(
        &writer,
        vec![
            update(RECIPIENTS, "7", &person, &[(OPTED_OUT, Value::Consent(Consent::In))]),
            update(ACCOUNTS, "5", &account, &[(SCORE, Value::Decimal("0".parse().unwrap()))]),
        ],
    )
    .await;
    assert!(outcomes.iter().all(is_done), "{outcomes:?}");
    let url = world.campaign.truce.clone();
    let mut scan = CampaignScan::new(url, "public", world.tables().await, ScanOptions::default());
    let seen = scan.read(RECIPIENTS, &["7".into()], &mut Ticks::default()).await.unwrap();
    for (field, value) in &person {
        assert_eq!(seen[0].value(*field), Some(value));
    }
    let seen = scan.scan(ACCOUNTS, None, 10, &mut Ticks::default()).await.unwrap();
    assert_eq!(seen.len(), 1, "row 0 is not scanned");
    for (field, value) in &account {
        assert_eq!(seen[0].value(*field), Some(value));
    }
    // The global flag implies the channel's: an opt-in that expects the channel's own is stale.
    world.sql("update nmsrecipient set iblacklist = 1 where irecipientid = 7").await;
    let opt_in = [(OPTED_OUT, Value::Consent(Consent::In))];
    let expect = [(OPTED_OUT, Value::Consent(Consent::Out))];
    let outcomes = written(&writer, vec![update(RECIPIENTS, "7", &opt_in, &expect)]).await;
    let Outcome::Stale(Some(seen)) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!(seen.value(OPTED_OUT), Some(&Value::Consent(Consent::Implied)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_walks_all_keys_in_pages_negative_ones_too() {
    let world = World::start().await;
    recipients(&world, -3..=-1).await;
    recipients(&world, 1..=4).await;
    let url = world.campaign.truce.clone();
    let mut scan = CampaignScan::new(url, "public", world.tables().await, ScanOptions::default());
    let (mut ticks, mut keys, mut after) = (Ticks::default(), Vec::new(), None);
    loop {
        let page = scan.scan(RECIPIENTS, after.as_ref(), 3, &mut ticks).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 3);
        after = Some(last.record.clone());
        keys.extend(page.into_iter().map(|seen| seen.record.0.as_ref().to_owned()));
    }
    assert_eq!(keys, ["-3", "-2", "-1", "1", "2", "3", "4"]);
    let asked: Vec<RecordId> = ["4", "77", "not a key", "0"].map(RecordId::from).into();
    let seen = scan.read(RECIPIENTS, &asked, &mut ticks).await.unwrap();
    let here = seen.iter().filter(|seen| seen.row().is_some()).count();
    assert_eq!((seen.len(), here), (4, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_is_writing_is_left_to_them() {
    let world = World::start().await;
    recipients(&world, 1..=3).await;
    // Whoever waits for the row waits long enough to be seen.
    let writer = world.writer_with(&world.campaign.truce, Duration::from_secs(15)).await;
    world.sql("begin; update nmsrecipient set stext1 = 'x' where irecipientid = 2").await;
    let set = [(FIRST_NAME, Value::text("Ann"))];
    let write = |key: &str| update(RECIPIENTS, key, &set, &[(EMAIL, email(key))]);
    let started = Instant::now();
    let outcomes = written(&writer, vec![write("1"), write("2"), write("3")]).await;
    assert!(started.elapsed() < Duration::from_secs(10), "it did not wait for the row");
    assert!(is_done(&outcomes[0]) && is_done(&outcomes[2]), "{outcomes:?}");
    assert!(matches!(outcomes[1], Outcome::Later(_)), "{outcomes:?}");
    world.sql("commit").await;
    assert!(is_done(&written(&writer, vec![write("2")]).await[0]));
}

fn email(key: &str) -> Value {
    Value::text(&format!("p{key}@x.org"))
}

#[tokio::test(flavor = "multi_thread")]
async fn workflows_that_update_in_opposite_order_never_fail_nor_wait_long() {
    let world = World::start().await;
    recipients(&world, 1..=200).await;
    let writer = world.writer().await;
    let mut workflow = world.another_session().await;
    let done = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&done);
    let campaign = tokio::spawn(async move {
        let (mut rounds, mut longest) = (0, Duration::ZERO);
        while !stop.load(Ordering::SeqCst) {
            let transaction = workflow.transaction().await.unwrap();
            for half in ["> 100", "<= 100"] {
                let update = format!(
                    "update nmsrecipient set stext1 = stext1 || 'x' from
                     (select irecipientid k from nmsrecipient where irecipientid {half}
                       and irecipientid <> 0 order by 1 desc) o where irecipientid = k"
                );
                let started = Instant::now();
                transaction.execute(&update, &[]).await.unwrap();
                longest = longest.max(started.elapsed());
            }
            transaction.commit().await.unwrap();
            rounds += 1;
        }
        (rounds, longest)
    });
    let mut all_done = 0;
    for round in 0..60 {
        let set = [(FIRST_NAME, Value::text(&format!("R{round}")))];
        let write = |key: i32| update(RECIPIENTS, &key.to_string(), &set, &[]);
        let outcomes = written(&writer, (1..=200).map(write).collect()).await;
        all_done += outcomes.iter().filter(|outcome| is_done(outcome)).count();
        let fine = |outcome: &Outcome| is_done(outcome) || matches!(outcome, Outcome::Later(_));
        assert!(outcomes.iter().all(fine), "{outcomes:?}");
    }
    done.store(true, Ordering::SeqCst);
    let (rounds, longest) = campaign.await.unwrap();
    assert!(0 < rounds && 0 < all_done);
    assert!(longest < Duration::from_secs(1), "Campaign waited {longest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_made_with_campaigns_keys_and_its_tables_defaults() {
    let world = World::start().await;
    let writer = world.writer().await;
    let keys = writer.draw_keys(RECIPIENTS, 3).await.unwrap();
    assert_eq!(keys, ["1000", "1001", "1002"].map(RecordId::from));
    let ann = [(EMAIL, Value::text("ann@x.org"))];
    let bob = [(EMAIL, Value::text("bob@x.org"))];
    let outcomes = written(
        &writer,
        vec![create(RECIPIENTS, &keys[0], &ann, &ann), create(RECIPIENTS, &keys[1], &bob, &bob)],
    )
    .await;
    assert!(outcomes.iter().all(is_done), "{outcomes:?}");
    assert!(matches!(&outcomes[0], Outcome::Done { created: Some(key), .. } if *key == keys[0]));
    let made = "select count(*)::text from nmsrecipient where irecipientid in (1000, 1001)
                 and istatus = 0 and tscreated is not null and tslastmodified is not null";
    assert_eq!(world.text(made).await.unwrap(), "2");

    // The same again is found by its key, another record for the same person by its address.
    world.sql("update nmsrecipient set semail = ' ANN@x.org' where irecipientid = 1000").await;
    let outcomes = written(
        &writer,
        vec![create(RECIPIENTS, &keys[1], &bob, &[]), create(RECIPIENTS, &keys[2], &ann, &ann)],
    )
    .await;
    for (outcome, key) in outcomes.iter().zip(["1001", "1000"]) {
        let Outcome::Found(seen) = outcome else { panic!("{outcomes:?}") };
        assert_eq!(seen.iter().map(|seen| &*seen.record.0).collect::<Vec<_>>(), [key]);
    }
    let zero = RecordId::from("0");
    let outcomes = written(&writer, vec![create(RECIPIENTS, &zero, &ann, &[])]).await;
    assert!(matches!(outcomes[0], Outcome::Refused(_)));
    let accounts = writer.draw_keys(ACCOUNTS, 2).await.unwrap();
    assert_eq!(accounts.len(), 2, "drawn from the function that all tables share");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_match_in_a_large_table_is_found_by_its_index() {
    let world = World::start().await;
    world
        .sql(
            "insert into nmsrecipient (irecipientid, semail, stext1)
             select n, 'p' || n || '@x.org', repeat('x', 170) from generate_series(1, 250000) n",
        )
        .await;
    let large = "select (pg_relation_size('nmsrecipient') > 64 << 20)::text";
    assert_eq!(world.text(large).await.unwrap(), "true");
    let writer = world.writer().await;
    let keys = writer.draw_keys(RECIPIENTS, 2).await.unwrap();
    let known = [(EMAIL, Value::text("P77777@X.org"))];
    let new = [(EMAIL, Value::text("p250001@x.org"))];
    // Keys that are drawn here were taken above.
    world.sql("delete from nmsrecipient where irecipientid in (1000, 1001)").await;
    let outcomes = written(
        &writer,
        vec![
            create(RECIPIENTS, &keys[0], &known, &known),
            create(RECIPIENTS, &keys[1], &new, &new),
        ],
    )
    .await;
    let Outcome::Found(seen) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!(&*seen[0].record.0, "77777");
    assert!(is_done(&outcomes[1]), "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_row_does_not_stop_its_neighbours() {
    let world = World::start().await;
    recipients(&world, 1..=20).await;
    world.sql("update nmsrecipient set smember = 'M7' where irecipientid = 20").await;
    let writer = world.writer().await;
    let member = |key: i32| {
        let member = if key == 9 { "X".repeat(41) } else { format!("M{key}") };
        update(RECIPIENTS, &key.to_string(), &[(MEMBER, Value::text(&member))], &[])
    };
    let outcomes = written(&writer, (1..=19).map(member).collect()).await;
    for (key, outcome) in (1..).zip(&outcomes) {
        match key {
            7 => {
                let Outcome::Refused(refusal) = outcome else { panic!("{outcome:?}") };
                assert_eq!(refusal.kind, RefusalKind::Unique(Some("20".into())));
                assert_eq!((&*refusal.code, &*refusal.fields), ("23505", &[MEMBER][..]));
            }
            9 => {
                let Outcome::Refused(refusal) = outcome else { panic!("{outcome:?}") };
                assert_eq!(refusal.kind, RefusalKind::Record);
                assert_eq!((&*refusal.code, &*refusal.fields), ("22001", &[MEMBER][..]));
            }
            _ => assert!(is_done(outcome), "{key}: {outcome:?}"),
        }
    }
    let set = "select count(*)::text from nmsrecipient where smember = 'M' || irecipientid";
    assert_eq!(world.text(set).await.unwrap(), "17");

    world.sql("revoke update on nmsrecipient from truce").await;
    let outcomes = written(&writer, vec![member(1)]).await;
    let Outcome::Refused(refusal) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!((&refusal.kind, &*refusal.code), (&RefusalKind::Mapping, "42501"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_table_is_tried_later_within_the_lock_timeout() {
    let world = World::start().await;
    recipients(&world, 1..=50).await;
    let writer = world.writer().await;
    world.sql("begin; lock table nmsrecipient in access exclusive mode").await;
    let set = [(FIRST_NAME, Value::text("Ann"))];
    let write = |key: i32| update(RECIPIENTS, &key.to_string(), &set, &[]);
    let started = Instant::now();
    let outcomes = written(&writer, (1..=50).map(write).collect()).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Later(_))), "{outcomes:?}");
    assert!(started.elapsed() < Duration::from_secs(3), "it gave up after three attempts");
    world.sql("rollback").await;
    let outcomes = written(&writer, vec![write(1)]).await;
    assert!(is_done(&outcomes[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_0_is_not_deleted() {
    let world = World::start().await;
    let writer = world.writer().await;
    let outcomes = written(&writer, vec![delete(RECIPIENTS, "0", &[])]).await;
    assert!(matches!(outcomes[0], Outcome::Refused(_)), "{outcomes:?}");
    let left = "select string_agg(irecipientid::text, ',') from nmsrecipient";
    assert_eq!(world.text(left).await.unwrap(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_noted_is_taken_back() {
    let world = World::start().await;
    recipients(&world, 1..=1).await;
    let writer = world.writer().await;
    let write = || update(RECIPIENTS, "1", &[(FIRST_NAME, Value::text("Ann"))], &[]);
    let notes = Noted { refuse: true, ..Noted::default() };
    let outcomes = writer.write(vec![write()], &notes, &mut Ticks::default()).await.unwrap();
    assert!(matches!(outcomes[0], Outcome::Later(_)));
    let name = "select sfirstname from nmsrecipient where irecipientid = 1";
    assert_eq!(world.text(name).await.unwrap(), "N1");
    assert!(is_done(&written(&writer, vec![write()]).await[0]), "the session is usable after that");
}

/// A ledger that hangs.
struct Hanging;

impl Notes for Hanging {
    async fn note(&self, _: Vec<LinkId>, _: u64) -> Result<(), PeerError> {
        std::future::pending().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_hangs_does_not_keep_rows_locked() {
    let world = World::start().await;
    recipients(&world, 1..=1).await;
    let writer = world.writer().await;
    let write = update(RECIPIENTS, "1", &[(FIRST_NAME, Value::text("Ann"))], &[]);
    let outcomes = writer.write(vec![write.clone()], &Hanging, &mut Ticks::default()).await;
    assert!(matches!(outcomes.unwrap()[0], Outcome::Later(_)));
    world.sql("update nmsrecipient set sfirstname = 'N1' where irecipientid = 1").await;
    assert!(is_done(&written(&writer, vec![write]).await[0]), "the session is usable after that");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_settled_by_the_transactions_id() {
    let world = World::start().await;
    recipients(&world, 1..=2).await;
    let mute = Arc::new(AtomicBool::new(false));
    let url = world.behind_proxy(&mute).await;
    let writer = world.writer_at(&url).await;
    let notes = ThenMute(Noted::default(), mute);
    let write = update(RECIPIENTS, "1", &[(FIRST_NAME, Value::text("Ann"))], &[]);
    let outcomes = writer.write(vec![write], &notes, &mut Ticks::default()).await.unwrap();
    assert_eq!(outcomes, [Outcome::Lost]);
    assert!(!writer.is_leading().await, "the lead went with the session");
    let refused = writer.write(vec![], &Noted::default(), &mut Ticks::default()).await;
    assert!(matches!(refused, Err(PeerError::Transient { .. })), "nothing was tried");
    let xid = notes.0.last_xid();

    let next = world.leading_again().await;
    assert_eq!(next.transaction(xid).await.unwrap(), Some(Ended::Committed));
    assert_eq!(next.transaction(xid + 1_000_000).await.unwrap(), Some(Ended::Aborted));
    let name = "select sfirstname from nmsrecipient where irecipientid = 1";
    assert_eq!(world.text(name).await.unwrap(), "Ann");

    // A transaction that is under way is neither.
    let open = "select txid_current()::text";
    world.sql("begin").await;
    let running: u64 = world.text(open).await.unwrap().parse().unwrap();
    assert_eq!(next.transaction(running).await.unwrap(), None);
    world.sql("rollback").await;
    assert_eq!(next.transaction(running).await.unwrap(), Some(Ended::Aborted));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_leads_and_the_next_leads_when_its_session_ends() {
    let world = World::start().await;
    let lead = || async {
        let limit = Duration::from_secs(5);
        Leader::try_lead(&world.campaign.truce, "public", "truce", limit).await.unwrap()
    };
    let first = lead().await.unwrap();
    assert!(first.is_leading());
    assert!(lead().await.is_none());
    let tables = world.tables().await;
    let options = truce::campaign::apply::WriteOptions {
        rows: 10,
        keys: 3,
        lock_timeout: Duration::from_millis(100),
    };
    let writer = CampaignWriter::new(first, tables, &BTreeMap::new(), options).await.unwrap();
    writer.check().await.unwrap();
    let superuser = world.database.session("campaign").await.unwrap();
    let kill = "select pg_terminate_backend(pid, 10000) from pg_stat_activity
                 where usename = 'truce'";
    superuser.query(kill, &[]).await.unwrap();
    writer.check().await.unwrap_err();
    assert!(lead().await.is_some());
}
