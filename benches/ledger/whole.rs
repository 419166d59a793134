//! The ledger itself: links by record, a change to each, all of it stored with the cursor.

use std::collections::BTreeMap;
use std::time::Instant;

use jiff::Timestamp;
use truce::ledger::{
    Batch, Decision, Due, Keep, Kept, Ledger as _, PostgresLedger, Receipt, Verdict, migrate,
};
use truce::peer::Cursor;
use truce::reconcile::{Field, Lane, LinkId, RecordId, Side};
use truce::simulator::database::Database;

use crate::people;

/// Whether the links are to be looked at afterwards, as they are unless all was an echo.
#[derive(Clone, Copy, PartialEq, Eq)]
enum News {
    Echo,
    Change,
    Done,
}

pub(crate) async fn run(database: &Database, links: u64) {
    let session = database.session("postgres").await.unwrap();
    session.batch_execute("create database whole").await.unwrap();
    let url = database.socket_url().with_database("whole");
    migrate(&url).await.unwrap();
    let ledger = PostgresLedger::open(&url).await.unwrap();
    let began = Instant::now();
    for from in (1..=links).step_by(2000) {
        let ids = from..(from + 2000).min(links + 1);
        let keeps = ids.map(|n| {
            let mut keep = Keep::new(people::link(n));
            keep.keys.campaign.insert(format!("marie.dupont.{n}@example.com"));
            keep.keys.crm.insert(format!("marie.dupont.{n}@example.com"));
            keep
        });
        ledger.store(Batch { links: keeps.collect(), ..Batch::new(now()) }).await.unwrap();
    }
    let rate = links as f64 / began.elapsed().as_secs_f64();
    println!("new links with match keys: {rate:.0} rows/s");
    let count = links / 4;
    let rounds = [
        ("an echo", News::Echo, 1, count),
        ("a change, now due", News::Change, 1 + count, count),
        ("the same done", News::Done, 1 + count, count),
    ];
    for (name, news, first, count) in rounds {
        for size in [1, 50, 2000] {
            let count = count.min(size * 400) / 3;
            let first = first + count * u64::from(size > 1) + count * u64::from(size > 50);
            let session = database.session("whole").await.unwrap();
            let wal = crate::forms::wal(&session).await;
            let began = Instant::now();
            for from in (first..first + count).step_by(usize::try_from(size).unwrap()) {
                round(&ledger, from..(from + size).min(first + count), news).await;
            }
            let took = began.elapsed().as_secs_f64();
            let wal = crate::forms::wal(&session).await - wal;
            println!(
                "{name:18} in batches of {size:>4}: {:>6.0} rows/s, {:>7.2} ms a batch, {:>5.0} bytes of WAL a row",
                count as f64 / took,
                took * 1000.0 / (count as f64 / size as f64),
                wal as f64 / count as f64,
            );
        }
    }
    decided(database, &ledger, links).await;
}

/// What the decision log adds to a write: a decision and an answer, and a decision taken again.
async fn decided(database: &Database, ledger: &PostgresLedger, links: u64) {
    let (news, again) = ("decided, answered", "decided again");
    for (name, size) in [(news, 50), (news, 2000), (again, 2000)] {
        let count = links.min(size * 100);
        let session = database.session("whole").await.unwrap();
        let wal = crate::forms::wal(&session).await;
        let began = Instant::now();
        for from in (1..=count).step_by(usize::try_from(size).unwrap()) {
            let ids = from..(from + size).min(count + 1);
            let mut batch = Batch::new(now());
            batch.decisions = ids.clone().map(|n| decision(n, size)).collect();
            if name == news {
                batch.receipts = ids.map(receipt).collect();
            }
            ledger.store(batch).await.unwrap();
        }
        let took = began.elapsed().as_secs_f64();
        let wal = crate::forms::wal(&session).await - wal;
        println!(
            "{name:18} in batches of {size:>4}: {:>6.0} rows/s, {:>5.0} bytes of WAL a row",
            count as f64 / took,
            wal as f64 / count as f64,
        );
    }
    let session = database.session("whole").await.unwrap();
    let size = "select (pg_total_relation_size('truce.decision')
                      + pg_total_relation_size('truce.receipt'))::float8
                     / (select count(*) from truce.decision)";
    let size: f64 = session.query_one(size, &[]).await.unwrap().get(0);
    println!("a decision and its answer take {size:.0} bytes of disk");
}

fn decision(link: u64, city: u64) -> Decision {
    Decision {
        link: LinkId(link),
        at: now(),
        field: Some(Field(6)),
        rule: "moved".to_owned(),
        verdict: Verdict::Written,
        winner: Some(Side::Campaign),
        write: Some((Side::Crm, 2)),
        values: serde_json::json!({
            "base": "Paris", "campaign": format!("Lyon {city}"), "crm": "Paris",
            "changed": {"campaign": [1_764_000_000_000_000_u64, 1_764_100_000_000_000_u64]},
            "seen": {"campaign": 1_764_100_000_000_000_u64, "crm": 1_764_000_090_000_000_u64},
        }),
    }
}

fn receipt(link: u64) -> Receipt {
    let (link, answer) = (LinkId(link), "done".to_owned());
    Receipt { link, side: Side::Crm, sequence: 2, at: now(), answer, words: None }
}

async fn round(ledger: &PostgresLedger, numbers: std::ops::Range<u64>, news: News) {
    let bearer = |n| (people::ENTITY, Side::Campaign, RecordId::from(people::campaign_key(n)));
    let bearers: Vec<_> = numbers.clone().map(bearer).collect();
    let loaded = ledger.links_of(&bearers).await.unwrap();
    assert_eq!(loaded.len(), bearers.len());
    let due = Due { lane: Lane::Ordinary, at: now() };
    let keep = |mut kept: Kept| {
        people::observe(&mut kept.link, numbers.start);
        let LinkId(n) = kept.link.id;
        let mut keep = kept.keep();
        keep.keys.campaign.insert(format!("marie.dupont.{n}@example.com"));
        keep.keys.crm.insert(format!("marie.dupont.{n}@example.com"));
        keep.due = (news == News::Change).then_some(due);
        keep
    };
    let links = loaded.into_iter().map(keep).collect();
    let cursors =
        BTreeMap::from([("campaign".to_owned(), Cursor(serde_json::json!(numbers.start)))]);
    ledger.store(Batch { links, cursors, ..Batch::new(now()) }).await.unwrap();
}

fn now() -> Timestamp {
    Timestamp::from_second(1_764_200_000).unwrap()
}
