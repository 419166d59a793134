//! What scans and reads promise: every record once, and an answer for each that is asked for.

use std::collections::BTreeSet;

use truce::peer::Scan as _;
use truce::reconcile::{Presence, RecordId, Value};

use crate::stage::{Stage, read, titles};

/// Everything that a scan gives, in pages of at most three, by another scan after each.
async fn scanned<S: Stage>(stage: &mut S) -> Vec<RecordId> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let mut scan = stage.scan().await;
        let entity = S::TERMS.entity;
        let page = scan.scan(entity, after.as_ref(), 3, stage.ask()).await.unwrap();
        assert!(page.len() <= 3, "{} of three at most", page.len());
        let Some(last) = page.last() else { return all };
        after = Some(last.record.clone());
        assert!(page.iter().all(|seen| seen.row().is_some()), "who is there is read");
        all.extend(page.into_iter().map(|seen| seen.record));
        assert!(all.len() < 1_000, "the scan does not end");
    }
}

pub(crate) async fn a_scan_gives_every_record_once_whoever_goes_on<S: Stage>() {
    let mut stage = S::new().await;
    stage.make(&titles(10)).await;
    let all = scanned(&mut stage).await;
    let once: BTreeSet<RecordId> = all.iter().cloned().collect();
    assert_eq!(all.len(), once.len(), "none twice");
    assert_eq!(once, stage.living().await);
}

pub(crate) async fn what_was_deleted_is_not_scanned_and_reads_as_gone<S: Stage>() {
    let mut stage = S::new().await;
    let ids = stage.make(&titles(3)).await;
    stage.delete(&ids[1]).await;
    let all = scanned(&mut stage).await;
    assert!(all.contains(&ids[0]) && !all.contains(&ids[1]), "{all:?}");
    let seen = read(&mut stage, &ids[1]).await;
    assert!(matches!(seen.presence, Presence::Gone(_)), "{seen:?}");
    assert_eq!(seen.record, ids[1]);
}

pub(crate) async fn a_read_answers_each_of_many_keys<S: Stage>() {
    let mut stage = S::new().await;
    let made = stage.make(&titles(450)).await;
    stage.delete(&made[7]).await;
    let asked: Vec<RecordId> = made.iter().cloned().chain([S::nobody()]).collect();
    let mut scan = stage.scan().await;
    let seen = scan.read(S::TERMS.entity, &asked, stage.ask()).await.unwrap();
    assert_eq!(seen.len(), asked.len(), "one answer a key");
    for (n, id) in asked.iter().enumerate() {
        let own: Vec<_> = seen.iter().filter(|seen| seen.record == *id).collect();
        let [own] = own.as_slice() else { panic!("{id} is answered {} times", own.len()) };
        match n {
            7 | 450 => assert!(own.row().is_none(), "{id} is not there"),
            n => assert_eq!(own.value(S::TERMS.title), Some(&Value::text(&format!("title {n}")))),
        }
    }
}

pub(crate) async fn a_read_of_nothing_is_answered_by_nothing<S: Stage>() {
    let mut stage = S::new().await;
    stage.make(&titles(1)).await;
    let mut scan = stage.scan().await;
    let seen = scan.read(S::TERMS.entity, &[], stage.ask()).await.unwrap();
    assert_eq!(seen, []);
}
