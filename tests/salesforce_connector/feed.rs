//! The feed finds every change once, whenever it becomes visible.

use std::slice::from_ref;
use std::time::Duration;

use serde_json::json;
use truce::crm::http::Call;
use truce::peer::{Cursor, Feed as _, Outline as _, PeerError, Scan as _};
use truce::reconcile::{Consent, Gone, Observation, Presence, Read, RecordId, Value};

use crate::stage::{
    ACCOUNT, CONSENT, CONTACTS, EMAIL, INTERESTS, LAST_NAME, SCORE, Stage, TITLE, at, text,
};

fn titles(seen: &[Observation]) -> Vec<&Value> {
    seen.iter().filter_map(|seen| seen.value(TITLE)).collect()
}

fn ids(seen: &[Observation]) -> Vec<RecordId> {
    seen.iter().map(|seen| seen.record.clone()).collect()
}

#[tokio::test]
async fn a_change_is_told_once_with_all_its_fields() {
    let mut stage = Stage::new().await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    let id = stage.contact(json!({ "LastName": "O'Neil", "Truce_Id__c": "campaign:42" })).await;
    assert!(stage.pass(&mut feed, &mut cursor).await.is_empty(), "the scan has what is older");
    let changed = json!({ "Email": "Zoe@X.org", "DoNotCall": true, "Score__c": 12.5,
        "Interests__c": "Travel;News", "Truce_Stamp__c": "t1.7.3" });
    stage.edit(&id, changed).await;
    stage.at(5).await;
    let before = stage.ticks.next;
    let seen = stage.pass(&mut feed, &mut cursor).await;
    assert_eq!(ids(&seen), from_ref(&id));
    let [seen] = seen.as_slice() else { panic!("one change") };
    assert_eq!(seen.value(LAST_NAME), Some(&text("O'Neil")));
    assert_eq!(seen.value(EMAIL), Some(&text("zoe@x.org")));
    assert_eq!(seen.value(CONSENT), Some(&Value::Consent(Consent::Implied)));
    assert_eq!(seen.value(SCORE), Some(&Value::Decimal("12.5".parse().unwrap())));
    let both = ["News".into(), "Travel".into()].into();
    assert_eq!(seen.value(INTERESTS), Some(&Value::Set(both)));
    assert_eq!(seen.value(ACCOUNT), Some(&Value::Null));
    assert_eq!(seen.claims, Some("42".into()));
    assert_eq!(seen.stamp.unwrap().to_string(), "t1.7.3");
    assert_eq!(seen.at.major, before + 1, "ordered by when it was asked for");
    assert_eq!(seen.read, Read::Asked(stage.ticks.clock));
    assert_eq!(seen.modified.unwrap().after, at("2026-10-31T12:00:00Z"));
    for second in 6..9 {
        stage.at(second).await;
        assert!(stage.pass(&mut feed, &mut cursor).await.is_empty(), "told twice");
    }
}

#[tokio::test]
async fn a_second_change_in_the_same_second_is_told_too() {
    let mut stage = Stage::new().await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    let id = stage.contact(json!({})).await;
    for title in ["one", "two", "three"] {
        stage.edit(&id, json!({ "Title": title })).await;
        let seen = stage.pass(&mut feed, &mut cursor).await;
        assert_eq!(titles(&seen), [&text(title)], "the clock stands still");
    }
}

#[tokio::test]
async fn rows_that_become_visible_late_are_found_by_the_wide_pass() {
    let mut stage = Stage::new().await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    let (late, prompt) = (stage.contact(json!({})).await, stage.contact(json!({})).await);
    stage.pass(&mut feed, &mut cursor).await;
    stage.order("hold", json!({ "seconds": 100_000, "object": "Contact" })).await;
    stage.edit(&late, json!({ "Title": "late" })).await;
    stage.order("hold", json!({ "seconds": 0 })).await;
    stage.at(200).await;
    stage.edit(&prompt, json!({ "Title": "prompt" })).await;
    assert_eq!(titles(&stage.pass(&mut feed, &mut cursor).await), [&text("prompt")]);
    stage.at(250).await;
    stage.order("publish", json!({})).await;
    assert!(stage.pass(&mut feed, &mut cursor).await.is_empty(), "out of a fast pass's reach");
    // The feed learns the time from an answer: the pass after this one is the wide one.
    stage.at(310).await;
    let mut seen = stage.pass(&mut feed, &mut cursor).await;
    seen.extend(stage.pass(&mut feed, &mut cursor).await);
    assert_eq!(titles(&seen), [&text("late")], "and nothing that was told already");
}

#[tokio::test]
async fn an_opt_out_is_told_ahead_of_the_pages_before_it() {
    let mut stage = Stage::with(|settings| {
        settings.polling.page = 2;
        settings.polling.interval = Duration::ZERO;
    })
    .await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    for second in 50..56 {
        stage.contact(json!({ "SystemModstamp": format!("2026-10-31T11:59:{second}Z") })).await;
    }
    let out = stage.contact(json!({})).await;
    stage.edit(&out, json!({ "DoNotCall": true })).await;
    let (mut told, mut pages) = (Vec::new(), 0);
    loop {
        let page = stage.page(&mut feed, &cursor).await;
        pages += 1;
        told.extend(ids(&page.observations));
        if pages == 1 {
            assert!(!told.contains(&out), "the first page is the oldest");
        } else if pages == 2 {
            assert_eq!(page.cursor, cursor, "the pass stays where it is");
            assert_eq!(told.last(), Some(&out));
        }
        cursor = page.cursor;
        if !page.more {
            break;
        }
    }
    told.sort();
    let times = told.iter().filter(|id| **id == out).count();
    assert!(1 < times, "the pass comes by it as well");
    told.dedup();
    assert_eq!(told.len(), 7, "and by all others");
}

#[tokio::test]
async fn pages_go_on_among_rows_of_the_same_second() {
    let mut stage = Stage::with(|settings| settings.polling.page = 2).await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(stage.contact(json!({ "SystemModstamp": "2026-10-31T11:59:59Z" })).await);
    }
    made.sort();
    let mut seen = Vec::new();
    for page in 1..=4 {
        let next = stage.page(&mut feed, &cursor).await;
        assert!(next.observations.len() <= 2);
        assert_eq!(next.more, page < 4, "page {page}");
        seen.extend(next.observations);
        // Whoever takes over in the middle goes on from the cursor.
        cursor = next.cursor;
        feed = stage.feed();
    }
    let mut told = ids(&seen);
    told.sort();
    assert_eq!(told, made);
}

#[tokio::test]
async fn deletes_merges_and_restores_come_in_the_same_call() {
    let mut stage = Stage::new().await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    let deleted = stage.contact(json!({})).await;
    let (winner, loser) = (stage.contact(json!({})).await, stage.contact(json!({})).await);
    stage.pass(&mut feed, &mut cursor).await;
    let calls = stage.crm.account().calls().made(Call::Feed);
    stage.order("delete", json!({ "object": "Contact", "ids": [&*deleted.0] })).await;
    let merge = json!({ "object": "Contact", "winner": &*winner.0, "losers": [&*loser.0] });
    stage.order("merge", merge).await;
    stage.at(3).await;
    let seen = stage.pass(&mut feed, &mut cursor).await;
    assert_eq!(stage.crm.account().calls().made(Call::Feed), calls + 1);
    let presence = |id: &RecordId| &seen.iter().find(|s| s.record == *id).unwrap().presence;
    assert_eq!(*presence(&deleted), Presence::Gone(Gone::Deleted));
    assert_eq!(*presence(&loser), Presence::Gone(Gone::Merged(winner)));
    stage.at(6).await;
    stage.order("undelete", json!({ "object": "Contact", "ids": [&*deleted.0] })).await;
    let seen = stage.pass(&mut feed, &mut cursor).await;
    assert!(seen.iter().any(|s| s.record == deleted && s.row().is_some()), "it is back");
}

#[tokio::test]
async fn what_was_ignored_is_told_again_also_when_no_pass_comes_by() {
    let mut stage = Stage::new().await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    let id = stage.contact(json!({ "SystemModstamp": "2026-10-31T12:00:00Z" })).await;
    let page = stage.page(&mut feed, &cursor).await;
    assert_eq!(ids(&page.observations), from_ref(&id));
    feed.forget(from_ref(&id));
    cursor = page.cursor;
    feed.confirm(&cursor).await.unwrap();
    assert_eq!(ids(&stage.pass(&mut feed, &mut cursor).await), from_ref(&id), "within the overlap");
    stage.at(100).await;
    stage.pass(&mut feed, &mut cursor).await;
    feed.forget(from_ref(&id));
    assert_eq!(ids(&stage.pass(&mut feed, &mut cursor).await), [id], "by its id");
    assert_eq!(stage.crm.account().calls().made(Call::Read), 1);
    assert!(stage.pass(&mut feed, &mut cursor).await.is_empty(), "once");
    let other = stage.contact(json!({ "SystemModstamp": "2026-10-31T12:01:39Z" })).await;
    for _ in 0..2 {
        assert_eq!(ids(&stage.pass(&mut feed, &mut cursor).await), from_ref(&other));
        feed.forget(from_ref(&other));
    }
    assert_eq!(stage.crm.account().calls().made(Call::Read), 1, "the pass comes by");
}

#[tokio::test]
async fn a_feed_waits_no_longer_than_asked_to() {
    let mut stage = Stage::with(|settings| {
        settings.polling.interval = Duration::from_hours(1);
        settings.polling.interval_max = Duration::from_hours(1);
    })
    .await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    stage.pass(&mut feed, &mut cursor).await;
    let polls = stage.crm.account().calls().made(Call::Feed);
    let page = feed.page(&cursor, Duration::from_millis(1), &mut stage.ticks).await.unwrap();
    assert!(page.observations.is_empty() && page.cursor == cursor);
    assert!(page.more, "what was not asked was not seen to its end");
    assert_eq!(stage.crm.account().calls().made(Call::Feed), polls, "not due");
}

#[tokio::test]
async fn a_token_that_dies_in_the_middle_is_renewed_once() {
    let mut stage = Stage::new().await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    let id = stage.contact(json!({ "SystemModstamp": "2026-10-31T12:00:00Z" })).await;
    stage.order("tokens", json!({ "expire": true })).await;
    assert_eq!(ids(&stage.pass(&mut feed, &mut cursor).await), [id]);
    assert_eq!(stage.crm.account().calls().made(Call::Token), 2);
}

#[tokio::test]
async fn a_used_up_day_stops_the_account_instead_of_hammering() {
    let mut stage = Stage::new().await;
    let mut feed = stage.feed();
    stage.order("quota", json!({ "max": 100, "used": 100 })).await;
    let start = Cursor::start();
    for _ in 0..3 {
        let error = feed.page(&start, Duration::ZERO, &mut stage.ticks).await.unwrap_err();
        assert!(matches!(error, PeerError::Throttled { .. }), "{error:?}");
    }
    assert_eq!(stage.crm.account().calls().made(Call::Feed), 1);
}

#[tokio::test]
async fn a_server_that_breaks_for_a_moment_is_asked_again() {
    let mut stage = Stage::new().await;
    let mut feed = stage.feed();
    for kind in ["answer", "reset", "html"] {
        let fault = json!({ "count": 2, "kind": kind, "status": 503, "path_contains": "query" });
        stage.order("fail", fault).await;
        let page = feed.page(&Cursor::start(), Duration::ZERO, &mut stage.ticks).await;
        assert!(page.is_ok(), "{kind}: {page:?}");
    }
    assert_eq!(stage.crm.account().calls().repeated(), 6);
}

/// How many rows the questions asked for, in order.
async fn limits(stage: &Stage) -> Vec<String> {
    let told = stage.look("requests?limit=1000").await;
    let targets = told["requests"].as_array().unwrap().iter().filter_map(|r| r["query"].as_str());
    targets.filter_map(|query| Some(query.split_once("LIMIT%20")?.1.to_owned())).collect()
}

#[tokio::test]
async fn a_page_that_takes_too_long_is_asked_for_in_halves() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({ "SystemModstamp": "2026-10-31T12:00:00Z" })).await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    for status in [400, 500] {
        let fault = json!({ "status": status, "code": "QUERY_TIMEOUT", "path_contains": "query" });
        stage.order("fail", fault).await;
    }
    assert_eq!(ids(&stage.pass(&mut feed, &mut cursor).await), from_ref(&id));
    assert_eq!(limits(&stage).await, ["2000", "1000", "500"]);
    stage.pass(&mut feed, &mut cursor).await;
    assert_eq!(limits(&stage).await.last().unwrap(), "500", "it stays with what is answered");

    let mut scan = stage.crm.scan();
    // The count of all, and the first page.
    let fault = json!({ "count": 2, "status": 400, "code": "QUERY_TIMEOUT",
        "path_contains": "query" });
    stage.order("fail", fault).await;
    let seen = scan.scan(CONTACTS, None, 300, &mut stage.ticks).await.unwrap();
    assert_eq!(ids(&seen), [id]);
    assert_eq!(limits(&stage).await[4..], ["300", "150"]);
}

#[tokio::test]
async fn the_clocks_are_compared_with_each_page() {
    let mut stage = Stage::new().await;
    stage.ticks.clock = at("2026-10-31T13:00:00Z");
    let mut feed = stage.feed();
    let skew = stage.page(&mut feed, &Cursor::start()).await.skew.unwrap();
    let off = (skew.offset.as_secs() + 3600).abs();
    assert!(off <= 1 && skew.uncertainty.as_secs() >= 1, "{skew:?}");
}

#[tokio::test]
async fn a_scan_reads_everything_in_the_order_of_ids() {
    let mut stage = Stage::new().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(stage.contact(json!({})).await);
    }
    stage.order("delete", json!({ "object": "Contact", "ids": [&*made[1].0] })).await;
    let purge = json!({ "object": "Contact", "ids": [&*made[2].0], "purge": true });
    stage.order("delete", purge).await;
    let (mut scan, mut seen, mut last) = (stage.crm.scan(), Vec::new(), None);
    loop {
        let page = scan.scan(CONTACTS, last.as_ref(), 2, &mut stage.ticks).await.unwrap();
        let Some(end) = page.last() else { break };
        last = Some(end.record.clone());
        seen.extend(ids(&page));
    }
    assert_eq!(seen, [made[0].clone(), made[3].clone(), made[4].clone()]);
    let read = scan.read(CONTACTS, &made[..3], &mut stage.ticks).await.unwrap();
    assert_eq!(ids(&read), made[..3]);
    assert!(read[0].row().is_some());
    assert_eq!(read[1].presence, Presence::Gone(Gone::Deleted));
    assert_eq!(read[2].presence, Presence::Gone(Gone::Missing));
}

#[tokio::test]
async fn deleted_records_with_long_texts_are_all_read_though_an_answer_holds_fewer() {
    let mut stage = Stage::new().await;
    // With two long texts in a row Salesforce gives 200 rows at a time, whatever is asked for.
    let long = json!([{ "name": "Title", "type": "textarea", "length": 300 }]);
    stage.order("fields", json!({ "object": "Contact", "fields": long })).await;
    let rows: Vec<_> = (0..250).map(|_| json!({ "LastName": "Roe" })).collect();
    let made = stage.order("seed", json!({ "object": "Contact", "records": rows })).await;
    stage.order("delete", json!({ "object": "Contact", "ids": made["ids"] })).await;
    let made: Vec<RecordId> =
        made["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().into()).collect();
    let never = RecordId::from("003xx0000000zzzAAA");
    let asked_for: Vec<RecordId> = made.iter().chain([&never]).cloned().collect();
    let read = stage.crm.scan().read(CONTACTS, &asked_for, &mut stage.ticks).await.unwrap();
    assert_eq!(ids(&read), asked_for);
    let (last, deleted) = read.split_last().unwrap();
    assert!(deleted.iter().all(|seen| seen.presence == Presence::Gone(Gone::Deleted)));
    assert_eq!(last.presence, Presence::Gone(Gone::Missing));
}

#[tokio::test]
async fn an_outline_lists_what_is_there_with_its_times_and_reads_nothing_else() {
    let mut stage = Stage::new().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(stage.contact(json!({})).await);
    }
    stage.order("delete", json!({ "object": "Contact", "ids": [&*made[1].0] })).await;
    let purge = json!({ "object": "Contact", "ids": [&*made[2].0], "purge": true });
    stage.order("delete", purge).await;
    stage.edit(&made[4], json!({ "Title": "changed" })).await;
    let (mut scan, mut listed, mut last) = (stage.crm.scan(), Vec::new(), None);
    loop {
        let page = scan.outline(CONTACTS, last.as_ref(), 2).await.unwrap();
        let Some(end) = page.last() else { break };
        last = Some(end.record.clone());
        listed.extend(page);
    }
    let there = [made[0].clone(), made[3].clone(), made[4].clone()];
    assert!(listed.iter().map(|listed| &listed.record).eq(&there));
    let read = scan.read(CONTACTS, &there, &mut stage.ticks).await.unwrap();
    let times = read.iter().map(|seen| seen.modified.map(|modified| modified.until));
    assert!(listed.iter().map(|listed| listed.modified).eq(times), "as the records tell them");
    assert_ne!(listed[1].modified, listed[2].modified);
}
