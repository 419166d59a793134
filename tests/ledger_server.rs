//! What only the durable ledger can show: it survives its server, leaves nothing of a store that
//! broke off, refuses schemas that are not its own, and lets one agent lead.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(dead_code, reason = "what the tests of ledgers share")]

#[path = "ledger/people.rs"]
mod people;
#[path = "ledger/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use truce::ledger::{
    Batch, Keep, Leader, LeaseError, Ledger as _, LedgerError, Life, PostgresLedger, StoreError,
    Verdict, check_schema, migrate,
};
use truce::peer::Cursor;
use truce::postgres::{Settings, connect};
use truce::reconcile::{LinkId, Side};
use truce::simulator::database::{Database, DatabaseOptions};

use people::{at, batch, bearing, link, load, said, stored};

/// Longer than a test may take.
const LONG: Duration = Duration::from_mins(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_breaks_off_leaves_nothing() {
    let (ledger, url, _server) = server::ledger("breaks_off").await;
    let kept = stored(&ledger, &[(Some("b1"), None)]).await.remove(0);
    let session = connect(&url, &Settings::default()).await.unwrap();
    // The last statement of the batch fails, after links, queues and cursors were written.
    let trap = "alter table truce.decision add constraint trap check (rule <> 'trap')";
    session.batch_execute(trap).await.unwrap();
    let new = ledger.draw(1).await.unwrap()[0];
    let trapped = |rule: &str, keep: Keep| Batch {
        links: vec![keep, Keep::new(link(new, Some("b2"), None))],
        cursors: BTreeMap::from([("campaign".to_owned(), Cursor(json!("1/2")))]),
        decisions: vec![truce::ledger::Decision {
            link: new,
            at: at(1),
            field: None,
            rule: rule.to_owned(),
            verdict: Verdict::Changed,
            winner: None,
            write: None,
            values: json!({"email": "ann@x.org"}),
        }],
        ..Batch::new(at(0))
    };
    let error = ledger.store(trapped("trap", said(kept.clone().keep(), "x"))).await.unwrap_err();
    let StoreError::Ledger(LedgerError::Refused { source, .. }) = &error else {
        panic!("{error:?}")
    };
    // What is an error is logged, and the server quotes the whole row in its detail.
    let told = source.to_string();
    assert!(told.contains("trap") && !told.contains("ann@x.org"), "{told}");
    assert_eq!(load(&ledger, kept.link.id).await, kept);
    assert!(bearing(&ledger, Side::Campaign, "b2").await.is_empty());
    assert_eq!(ledger.cursor("campaign").await.unwrap(), Cursor::start());
    assert_eq!(ledger.counts(Timestamp::MAX).await.unwrap().links.values().sum::<u64>(), 1);
    ledger.store(trapped("fine", said(kept.keep(), "x"))).await.unwrap();
    assert_eq!(ledger.counts(Timestamp::MAX).await.unwrap().links.values().sum::<u64>(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_outlives_the_server_and_the_sessions_come_back() {
    let mut database = Database::start(DatabaseOptions::default()).await.unwrap();
    let url = database.url();
    assert_eq!(migrate(&url).await.unwrap(), 2);
    assert_eq!(migrate(&url).await.unwrap(), 0);
    let ledger = PostgresLedger::open(&url).await.unwrap();
    let kept = stored(&ledger, &[(Some("s1"), Some("S1"))]).await.remove(0);
    let drawn = ledger.draw(1).await.unwrap()[0];
    database.session("postgres").await.unwrap().batch_execute("checkpoint").await.unwrap();
    database.restart().await.unwrap();
    // The old sessions are dead; a question may find that out, the next one gets another.
    let mut answers = Vec::new();
    for _ in 0..2 {
        answers.push(ledger.links(&[kept.link.id]).await);
    }
    assert_eq!(answers.pop().unwrap().unwrap(), std::slice::from_ref(&kept));
    let other = PostgresLedger::open(&url).await.unwrap();
    assert!(drawn < other.draw(1).await.unwrap()[0]);
    let again = said(kept.keep(), "again");
    if let Err(error) = ledger.store(batch(vec![again.clone()])).await {
        assert!(matches!(error, StoreError::Ledger(LedgerError::Unavailable { .. })), "{error:?}");
        ledger.store(batch(vec![again])).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_the_first_schema_is_upgraded_with_its_decisions() {
    let (url, _server) = server::database("upgraded").await;
    let session = connect(&url, &Settings::default()).await.unwrap();
    let first = include_str!("../src/ledger/migrations/0001_ledger.sql");
    let noted = "create table truce.migration (version integer primary key, name text not null,
                   applied_at timestamptz not null default now());
                 insert into truce.migration (version, name) values (1, 'ledger')";
    let kept = r#"insert into truce.decision (link, at, field, rule, winner, "values") values
                  (7, '2026-01-02T03:04:05Z', 3, 'newest', 'crm', '{"crm":"a"}'),
                  (7, '2026-01-02T03:04:06Z', null, 'paired', null, 'null')"#;
    for sql in ["create schema truce", first, noted, kept] {
        session.batch_execute(sql).await.unwrap();
    }
    let error = PostgresLedger::open(&url).await.unwrap_err();
    assert!(matches!(error, LedgerError::OlderSchema { found: 1, known: 2 }), "{error:?}");
    assert_eq!(migrate(&url).await.unwrap(), 1);
    let ledger = PostgresLedger::open(&url).await.unwrap();
    let found = ledger.decisions(LinkId(7), 9).await.unwrap();
    let told: Vec<_> = found.iter().map(|d| (d.rule.as_str(), d.verdict, d.write)).collect();
    assert_eq!(told, [("paired", Verdict::Changed, None), ("newest", Verdict::Discarded, None)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_not_ours_is_refused_with_the_remedy() {
    let (url, _server) = server::database("schemas").await;
    let error = check_schema(&url).await.unwrap_err();
    assert!(matches!(error, LedgerError::OlderSchema { found: 0, known: 2 }), "{error:?}");
    migrate(&url).await.unwrap();
    check_schema(&url).await.unwrap();
    let session = connect(&url, &Settings::default()).await.unwrap();
    let newer = "insert into truce.migration (version, name) values (99, 'of a later release')";
    session.batch_execute(newer).await.unwrap();
    for error in [migrate(&url).await.unwrap_err(), PostgresLedger::open(&url).await.unwrap_err()] {
        assert_eq!(
            error.to_string(),
            "the ledger's schema is at version 99 and this release knows 2: run the newer release, \
             or restore the ledger from before it"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_can_read_every_table() {
    let (_ledger, url, _server) = server::ledger("readable").await;
    let session = connect(&url, &Settings::default()).await.unwrap();
    let silent = "select count(*) from pg_class as c
                   where c.relnamespace = 'truce'::regnamespace and c.relkind = 'r'
                     and obj_description(c.oid, 'pg_class') is null";
    assert_eq!(session.query_one(silent, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_in_place_leaves_the_indexes_alone() {
    let (ledger, url, _server) = server::ledger("in_place").await;
    let kept = stored(&ledger, &[(Some("i1"), Some("I1"))]).await.remove(0);
    let mut keep = people::due(said(kept.keep(), "a"), truce::reconcile::Lane::Ordinary, 5);
    for word in ["b", "c", "d"] {
        let mark = keep.mark_after();
        ledger.store(batch(vec![keep.clone()])).await.unwrap();
        keep = said(Keep { mark, ..keep }, word);
    }
    // What a session counted is told when it ends, at the latest.
    drop(ledger);
    let session = connect(&url, &Settings::default()).await.unwrap();
    let updates = "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables
                    where schemaname = 'truce' and relname = 'link' and n_tup_upd = 3";
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        session.batch_execute("select pg_stat_clear_snapshot()").await.unwrap();
        if let Some(row) = session.query_opt(updates, &[]).await.unwrap() {
            assert_eq!(row.get::<_, i64>(1), 3);
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "the counters never came");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_leaders_one_leads_and_a_paused_one_finds_itself_deposed() {
    let (ledger, url, _server) = server::ledger("leaders").await;
    let session = connect(&url, &Settings::default()).await.unwrap();
    let mut first = Leader::new(&url, "first", LONG, LONG);
    let mut second = Leader::new(&url, "second", LONG, LONG);
    assert!(!first.leads());
    assert_eq!(first.claim().await.unwrap(), 1);
    assert!(first.leads());
    let held = |error: LeaseError| match error {
        LeaseError::Held { holder, term: 1, remaining } if holder == "first" => remaining,
        other @ (LeaseError::Held { .. } | LeaseError::Deposed { .. } | LeaseError::Ledger(_)) => {
            panic!("{other:?}")
        }
    };
    assert!(LONG < held(second.claim().await.unwrap_err()), "lease and longest request");
    // The first is paused: its lease ends. Its requests may still be under way.
    let end = async |ago: u64| {
        let sql = "update truce.lease set ends_at = now() - make_interval(secs => $1)";
        let ago = Duration::from_secs(ago).as_secs_f64();
        session.execute(sql, &[&ago]).await.unwrap();
    };
    end(1).await;
    held(second.claim().await.unwrap_err());
    // Nobody took it: it goes on.
    first.renew().await.unwrap();
    ledger.lead(first.term());
    let kept = stored(&ledger, &[(Some("l1"), None)]).await.remove(0);
    end(LONG.as_secs() + 1).await;
    assert_eq!(second.claim().await.unwrap(), 2);
    let deposed = first.renew().await.unwrap_err();
    assert!(matches!(deposed, LeaseError::Deposed { ours: 1, current: 2 }), "{deposed:?}");
    assert!(!first.leads());
    let late = Batch {
        cursors: BTreeMap::from([("campaign".to_owned(), Cursor(json!("old")))]),
        ..batch(vec![said(kept.keep(), "late")])
    };
    let error = ledger.store(late.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::Deposed { ours: 1, current: 2 }), "{error:?}");
    assert_eq!(ledger.cursor("campaign").await.unwrap(), Cursor::start());
    // Who resigns need not be waited for; the term grows all the same.
    second.resign().await.unwrap();
    assert!(!second.leads());
    assert_eq!(first.claim().await.unwrap(), 3);
    ledger.lead(3);
    ledger.store(late.clone()).await.unwrap();
    // What begins anew under the same lease does so in a term of its own.
    assert_eq!(first.advance().await.unwrap(), 4);
    assert!(first.leads());
    assert_eq!(second.holder().await.unwrap().as_deref(), Some("first"));
    let error = ledger.store(Batch { links: Vec::new(), ..late }).await.unwrap_err();
    assert!(matches!(error, StoreError::Deposed { ours: 3, current: 4 }), "{error:?}");
    end(LONG.as_secs() + 1).await;
    assert_eq!(second.holder().await.unwrap(), None);
    assert_eq!(second.claim().await.unwrap(), 5);
    let deposed = first.advance().await.unwrap_err();
    assert!(matches!(deposed, LeaseError::Deposed { ours: 4, current: 5 }), "{deposed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_claim_at_once_one_leads() {
    let (_ledger, url, _server) = server::ledger("claimants").await;
    let mut leaders: Vec<Leader> =
        (0..8).map(|n| Leader::new(&url, &format!("agent {n}"), LONG, LONG)).collect();
    let claims = leaders.iter_mut().map(Leader::claim);
    let outcomes = futures_util::future::join_all(claims).await;
    let won: Vec<u64> = outcomes.into_iter().filter_map(Result::ok).collect();
    assert_eq!(won, [1]);
    assert_eq!(leaders.iter().filter(|leader| leader.leads()).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_ledger_begins_a_new_epoch() {
    let (_ledger, url, server) = server::ledger("restored").await;
    let life = Life::new(&url);
    let born = life.check(None).await.unwrap();
    assert_eq!(born.because, None);
    let grown = life.check(None).await.unwrap();
    assert_eq!((grown.epoch, &grown.because), (born.epoch, &None));
    drop(life);
    // A backup of the database, taken now and put back later.
    let session = server.session("postgres").await.unwrap();
    session.batch_execute("create database backup template restored").await.unwrap();
    let backup = Life::new(&url.clone().with_database("backup"));
    let restored = backup.check(Some("the slot goes on after it")).await.unwrap();
    assert!(born.epoch < restored.epoch, "{restored:?}");
    assert_eq!(restored.because.as_deref(), Some("the slot goes on after it"));
    assert_eq!(backup.check(None).await.unwrap().epoch, restored.epoch);
    // Another cluster.
    let session = server.session("backup").await.unwrap();
    session.batch_execute("update truce.life set system_identifier = '1'").await.unwrap();
    let cloned = backup.check(None).await.unwrap();
    assert!(restored.epoch < cloned.epoch, "{cloned:?}");
    assert!(cloned.because.unwrap().starts_with("its server's system identifier was 1 and is "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_cannot_be_read_is_named() {
    let (ledger, url, _server) = server::ledger("unreadable").await;
    let kept = stored(&ledger, &[(Some("u1"), None)]).await.remove(0);
    let session = connect(&url, &Settings::default()).await.unwrap();
    session.batch_execute(r#"update truce.link set body = '{"v":9}'"#).await.unwrap();
    let error = ledger.links(&[kept.link.id]).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "link 1 of the ledger cannot be read: its form is 9 and the newest known is 1; was it \
         stored by a newer release?"
    );
    let nul = Keep::new(link(LinkId(900), Some("a\0b"), None));
    let error = ledger.store(batch(vec![nul])).await.unwrap_err().to_string();
    assert_eq!(error, r#"the ledger cannot hold the record key "a\0b""#);
}
