//! What is committed hours late, or was deleted long ago, is found by Salesforce's own log.

use serde_json::json;
use truce::crm::http::Call;
use truce::peer::{Cursor, Feed as _};
use truce::reconcile::{Gone, Observation, Presence};

use crate::stage::{CONTACTS, Stage, TITLE, text};

const HOUR: i64 = 3_600;

fn titles(seen: &[Observation]) -> Vec<String> {
    seen.iter().map(|seen| format!("{:?}", seen.value(TITLE))).collect()
}

#[tokio::test]
async fn what_becomes_visible_hours_late_is_found_by_the_log_and_told_once() {
    let mut stage = Stage::new().await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    let (late, prompt) = (stage.contact(json!({})).await, stage.contact(json!({})).await);
    stage.pass(&mut feed, &mut cursor).await;
    stage.order("hold", json!({ "seconds": 1_000_000, "object": "Contact" })).await;
    stage.edit(&late, json!({ "Title": "late" })).await;
    stage.order("hold", json!({ "seconds": 0 })).await;
    for hour in 1..=3 {
        stage.at(hour * HOUR - 60).await;
        stage.edit(&prompt, json!({ "Title": format!("at {hour}") })).await;
        stage.tell(hour * HOUR + 60).await;
        let seen = stage.pass(&mut feed, &mut cursor).await;
        let expected = format!("{:?}", Some(text(&format!("at {hour}"))));
        assert_eq!(titles(&seen), [expected], "once, whoever comes by it first");
        assert_eq!(
            cursor.0["covered"], "2026-10-31T12:00:00Z",
            "an open transaction holds it back"
        );
    }
    stage.order("publish", json!({})).await;
    stage.tell(4 * HOUR + 120).await;
    let seen = stage.pass(&mut feed, &mut cursor).await;
    assert_eq!(titles(&seen), [format!("{:?}", Some(text("late")))]);
    assert_eq!(cursor.0["covered"], "2026-10-31T16:02:00Z");
}

#[tokio::test]
async fn a_deletion_that_no_pass_came_by_is_told_from_the_log() {
    let mut stage = Stage::new().await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    let id = stage.contact(json!({})).await;
    stage.pass(&mut feed, &mut cursor).await;
    stage.order("delete", json!({ "object": "Contact", "ids": [&*id.0] })).await;
    // As if the ledger had gone on without it: the last pass is later than the deletion.
    cursor.0["until"] = json!("2026-10-31T15:00:00Z");
    cursor.0["wide"] = json!("2026-10-31T15:00:00Z");
    stage.tell(3 * HOUR).await;
    let mut feed = stage.feed();
    let seen = stage.pass(&mut feed, &mut cursor).await;
    let told = seen.iter().find(|seen| seen.record == id).expect("the log tells of it");
    assert_eq!(told.presence, Presence::Gone(Gone::Deleted));
}

#[tokio::test]
async fn a_review_goes_on_where_it_was_left_off() {
    let mut stage = Stage::new().await;
    let mut made = Vec::new();
    for n in 0..2_100 {
        made.push(json!({ "LastName": format!("n{n}"), "SystemModstamp": "2026-10-31T11:59:00Z" }));
    }
    stage.order("seed", json!({ "object": "Contact", "records": made })).await;
    let mut feed = stage.feed();
    let mut cursor = stage.page(&mut feed, &Cursor::start()).await.cursor;
    cursor.0.as_object_mut().unwrap().remove("pass");
    cursor.0["until"] = json!("2026-10-31T14:00:00Z");
    cursor.0["wide"] = json!("2026-10-31T14:00:00Z");
    cursor.0["covered"] = json!("2026-10-31T11:50:00Z");
    stage.tell(2 * HOUR).await;
    let mut feed = stage.feed();
    let first = stage.page(&mut feed, &cursor).await;
    assert_eq!((first.observations.len(), first.more), (2_000, true));
    // Whoever takes over in the middle asks the log again, and goes on behind what was given.
    let mut feed = stage.feed();
    let second = stage.page(&mut feed, &first.cursor).await;
    assert_eq!(second.observations.len(), 100);
    assert!(first.cursor.0["review"].is_object() && second.cursor.0["review"].is_null());
}

#[tokio::test]
async fn a_time_that_the_log_no_longer_tells_of_has_everything_compared() {
    let mut stage = Stage::new().await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    let id = stage.contact(json!({})).await;
    stage.pass(&mut feed, &mut cursor).await;
    let purge = json!({ "object": "Contact", "ids": [&*id.0], "purge": true });
    stage.order("delete", purge).await;
    stage.tell(16 * 24 * HOUR).await;
    let mut feed = stage.feed();
    let page = stage.page(&mut feed, &cursor).await;
    assert_eq!(page.compare, [CONTACTS]);
    cursor = page.cursor;
    feed.confirm(&cursor).await.unwrap();
    for hour in 1..=2 {
        stage.tell(16 * 24 * HOUR + hour * (HOUR + 60)).await;
        let page = stage.page(&mut feed, &cursor).await;
        assert!(page.compare.is_empty(), "once");
        cursor = page.cursor;
    }
}

#[tokio::test]
async fn an_hour_without_changes_costs_two_calls_more() {
    let mut stage = Stage::new().await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    let id = stage.contact(json!({})).await;
    stage.edit(&id, json!({ "Title": "once" })).await;
    assert_eq!(stage.pass(&mut feed, &mut cursor).await.len(), 1);
    let calls = |stage: &Stage, call| stage.crm.account().calls().made(call);
    stage.tell(HOUR + 60).await;
    let (polls, reads) = (calls(&stage, Call::Feed), calls(&stage, Call::Read));
    assert!(stage.pass(&mut feed, &mut cursor).await.is_empty(), "told already");
    assert_eq!(calls(&stage, Call::Feed), polls + 3, "both logs, and the pass");
    assert_eq!(calls(&stage, Call::Read), reads + 1, "of the one that changed since");
    stage.pass(&mut feed, &mut cursor).await;
    assert_eq!(calls(&stage, Call::Feed), polls + 4, "once an hour");
}

#[tokio::test]
async fn a_log_that_is_not_for_us_to_read_stops_no_feed() {
    let mut stage = Stage::new().await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    stage.pass(&mut feed, &mut cursor).await;
    let denied = json!({ "status": 403, "code": "INSUFFICIENT_ACCESS_OR_READONLY", "count": 9,
        "path_contains": "/updated" });
    stage.order("fail", denied).await;
    let id = stage.contact(json!({})).await;
    stage.tell(HOUR + 60).await;
    // Its stamp is further back than a wide pass looks; one by stamps looks two hours back.
    stage.order("clock", json!({ "at": "2026-10-31T12:00:10Z", "scale": 0.0 })).await;
    stage.edit(&id, json!({ "Title": "late" })).await;
    stage.tell(HOUR + 60).await;
    let seen = stage.pass(&mut feed, &mut cursor).await;
    assert_eq!(titles(&seen), [format!("{:?}", Some(text("late")))]);
}
