//! What changes over there is seen, once, in order, whatever happens in between.

use std::time::Duration;

use serde_json::json;
use truce::peer::{Cursor, Feed as _, PeerError};
use truce::reconcile::{Consent, Gone, Observation, Presence, RecordId, Value};

use crate::stage::{CONSENT, CONTACTS, EMAIL, LAST_NAME, PARENT, Stage, TITLE, text};

fn ids(seen: &[Observation]) -> Vec<&RecordId> {
    seen.iter().map(|one| &one.record).collect()
}

#[tokio::test]
async fn a_load_gives_everything_and_a_poll_what_changed() {
    let mut stage = Stage::with(|settings| settings.polling.page = 2).await;
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(stage.contact(json!({ "lastname": format!("Roe {n}") })).await);
    }
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    let seen = stage.pass(&mut feed, &mut cursor).await;
    assert!(made.iter().all(|id| ids(&seen).contains(&id)), "{seen:?}");

    assert!(stage.pass(&mut feed, &mut cursor).await.is_empty());
    stage.edit(&made[1], json!({ "jobtitle": "Dr", "donotbulkemail": true })).await;
    stage.delete(&made[2]).await;
    let seen = stage.pass(&mut feed, &mut cursor).await;
    assert_eq!(ids(&seen), [&made[1], &made[2]]);
    assert_eq!(seen[0].value(TITLE), Some(&text("Dr")));
    assert_eq!(seen[0].value(CONSENT), Some(&Value::Consent(Consent::Out)));
    assert!(seen[0].modified.is_some());
    assert_eq!(seen[1].presence, Presence::Gone(Gone::Deleted));
}

#[tokio::test]
async fn the_mapping_is_compared_once_behind_a_load() {
    let mut stage = Stage::new().await;
    stage.contact(json!({})).await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    let mut compared = Vec::new();
    loop {
        let page = stage.page(&mut feed, &cursor).await;
        compared.extend(page.compare);
        cursor = page.cursor;
        if !page.more {
            break;
        }
    }
    assert_eq!(compared, [CONTACTS]);
    assert!(stage.page(&mut feed, &cursor).await.compare.is_empty());
}

#[tokio::test]
async fn a_row_that_changes_while_the_load_goes_by_is_seen_by_the_overlap() {
    let mut stage = Stage::with(|settings| settings.polling.page = 2).await;
    for n in 0..6 {
        stage.contact(json!({ "lastname": format!("Roe {n}") })).await;
    }
    let mut feed = stage.feed();
    let first = stage.page(&mut feed, &Cursor::start()).await;
    let id = first.observations[0].record.clone();
    stage.edit(&id, json!({ "lastname": "Low" })).await;
    let mut cursor = first.cursor;
    let seen = stage.pass(&mut feed, &mut cursor).await;
    let last = seen.iter().rfind(|one| one.record == id).unwrap();
    assert_eq!(last.value(LAST_NAME), Some(&text("Low")));
}

#[tokio::test]
async fn an_expired_token_has_everything_loaded_and_compared_without_anybody() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    stage.pass(&mut feed, &mut cursor).await;
    for status in [400, 410, 500] {
        stage.order("tracking", json!({ "expire": true, "expired_status": status })).await;
        let lost = feed.page(&cursor, Duration::ZERO, &mut stage.ticks).await;
        assert!(matches!(lost, Err(PeerError::CursorLost { .. })), "{status}: {lost:?}");
        cursor = Cursor::start();
        let seen = stage.pass(&mut feed, &mut cursor).await;
        assert!(ids(&seen).contains(&&id));
    }
}

#[tokio::test]
async fn what_was_ignored_is_read_again_and_who_dies_before_begins_a_page_back() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    stage.pass(&mut feed, &mut cursor).await;
    stage.edit(&id, json!({ "jobtitle": "Dr" })).await;
    assert_eq!(ids(&stage.pass(&mut feed, &mut cursor).await), [&id]);
    feed.forget(std::slice::from_ref(&id));
    let again = stage.page(&mut feed, &cursor).await;
    assert!(again.more && again.cursor == cursor && ids(&again.observations) == [&id]);

    // Another process goes on from the cursor, and knows nothing of what was ignored.
    let mut other = stage.feed();
    let seen = stage.pass(&mut other, &mut cursor).await;
    assert_eq!(ids(&seen), [&id], "the page before is read once more");
    // What is ignored twice is kept with the cursor.
    other.forget(std::slice::from_ref(&id));
    stage.page(&mut other, &cursor).await;
    other.forget(std::slice::from_ref(&id));
    stage.pass(&mut other, &mut cursor).await;
    let mut third = stage.feed();
    assert_eq!(ids(&stage.pass(&mut third, &mut cursor).await), [&id]);
}

#[tokio::test]
async fn a_page_that_repeats_a_row_and_an_unknown_deletion_do_no_harm() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    stage.order("tracking", json!({ "repeats": true })).await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    assert!(ids(&stage.pass(&mut feed, &mut cursor).await).contains(&&id));
    let made =
        stage.order("create", json!({ "table": "contact", "records": [{ "lastname": "Poe" }] }));
    let gone = RecordId::from(made.await["ids"][0].as_str().unwrap());
    stage.delete(&gone).await;
    let seen = stage.pass(&mut feed, &mut cursor).await;
    assert!(seen.iter().all(|one| one.presence == Presence::Gone(Gone::Deleted)), "{seen:?}");
    assert!(ids(&seen).contains(&&gone));
}

#[tokio::test]
async fn a_merge_names_the_survivor() {
    let mut stage = Stage::new().await;
    let (kept, lost) = (stage.contact(json!({})).await, stage.contact(json!({})).await);
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    stage.pass(&mut feed, &mut cursor).await;
    let merge = json!({ "table": "contact", "master": &*kept.0, "subordinate": &*lost.0 });
    stage.order("merge", merge).await;
    let seen = stage.pass(&mut feed, &mut cursor).await;
    let loser = seen.iter().find(|one| one.record == lost).unwrap();
    assert_eq!(loser.presence, Presence::Gone(Gone::Merged(kept.clone())));
    assert!(seen.iter().all(|one| one.record != kept || one.row().is_some()));
}

#[tokio::test]
async fn a_customer_that_is_a_person_is_no_account() {
    let mut stage = Stage::new().await;
    let firm = stage.seeded("account", vec![json!({ "name": "Acme" })]).await.remove(0);
    let boss = stage.contact(json!({ "lastname": "Boss" })).await;
    let of_firm = stage.contact(json!({ "_parentcustomerid_value": &*firm.0,
        "lastname": "A" }));
    let of_firm = of_firm.await;
    let of_boss = stage.contact(json!({ "lastname": "B" })).await;
    let bind = json!({ "parentcustomerid_contact@odata.bind": format!("/contacts({boss})") });
    stage.edit(&of_boss, bind).await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    let seen = stage.pass(&mut feed, &mut cursor).await;
    let of = |id: &RecordId| seen.iter().rfind(|one| one.record == *id).unwrap();
    assert_eq!(of(&of_firm).value(PARENT), Some(&Value::Record(firm)));
    let Presence::Here { unfit, .. } = &of(&of_boss).presence else { panic!("it is there") };
    assert!(unfit[&PARENT].contains("row of `contact`"), "{unfit:?}");
}

#[tokio::test]
async fn a_column_that_is_gone_has_the_feed_begin_anew_without_it() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({ "emailaddress1": "ann@x.org" })).await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    stage.pass(&mut feed, &mut cursor).await;
    stage.order("columns", json!({ "table": "contact", "remove": ["jobtitle"] })).await;
    let drifts = stage.crm.drift().look().await.unwrap();
    assert!(drifts.iter().any(|drift| !drift.paused.is_empty()), "{drifts:?}");
    let lost = feed.page(&cursor, Duration::ZERO, &mut stage.ticks).await;
    assert!(matches!(lost, Err(PeerError::CursorLost { .. })), "{lost:?}");
    let seen = stage.pass(&mut feed, &mut Cursor::start()).await;
    let one = seen.iter().find(|one| one.record == id).unwrap();
    assert_eq!(one.value(EMAIL), Some(&text("ann@x.org")));
    assert_eq!(one.value(TITLE), None, "unknown, and not null");
}

#[tokio::test]
async fn an_opt_out_behind_a_long_delta_is_seen_before_the_delta_has_come_to_it() {
    let mut stage = Stage::with(|settings| settings.polling.page = 5).await;
    let records = (0..40).map(|n| json!({ "lastname": format!("Roe {n}") })).collect();
    let made = stage.seeded("contact", records).await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    stage.pass(&mut feed, &mut cursor).await;
    for id in &made {
        stage.edit(id, json!({ "jobtitle": "Dr" })).await;
    }
    let (by_flag, by_other) = (made[7].clone(), made[9].clone());
    stage.edit(&by_flag, json!({ "donotbulkemail": true })).await;
    stage.edit(&by_other, json!({ "followemail": false })).await;

    let first = stage.page(&mut feed, &cursor).await;
    assert!(first.more && !ids(&first.observations).contains(&&by_flag));
    let ahead = stage.page(&mut feed, &first.cursor).await;
    assert_eq!(ahead.cursor, first.cursor, "the way is where it was");
    assert!(ahead.more);
    assert_eq!(ahead.observations.len(), 2);
    let told = |id: &RecordId| {
        let mut ahead = ahead.observations.iter();
        ahead.find(|one| one.record == *id).and_then(|one| one.value(CONSENT)).cloned()
    };
    assert_eq!(told(&by_flag), Some(Value::Consent(Consent::Out)));
    assert_eq!(told(&by_other), Some(Value::Consent(Consent::Implied)));

    // The way comes by them again, and nothing is looked for twice.
    cursor = first.cursor;
    let seen = stage.pass(&mut feed, &mut cursor).await;
    let count = |id: &RecordId| seen.iter().filter(|one| one.record == *id).count();
    assert_eq!((count(&by_flag), count(&by_other)), (1, 1));
    assert!(
        made.iter().all(|id| ids(&seen).contains(&id) || ids(&first.observations).contains(&id))
    );
}

#[tokio::test]
async fn an_opt_out_that_a_load_has_yet_to_come_to_is_seen_before_its_end() {
    let mut stage = Stage::with(|settings| settings.polling.page = 5).await;
    let records = (0..40).map(|n| json!({ "lastname": format!("Roe {n}") })).collect();
    let made = stage.seeded("contact", records).await;
    let scan = stage.pass(&mut stage.feed(), &mut Cursor::start()).await;
    let order: Vec<&RecordId> = ids(&scan).into_iter().filter(|id| made.contains(id)).collect();
    // One while nobody looked, and one while the load goes by; both at its end.
    let (before, during) = (order[38].clone(), order[39].clone());
    stage.edit(&before, json!({ "donotbulkemail": true })).await;
    stage.order("clock", json!({ "offset_s": 86_400 })).await;
    let mut feed = stage.feed();
    let first = stage.page(&mut feed, &Cursor::start()).await;
    stage.edit(&during, json!({ "donotbulkemail": true })).await;
    let ahead = stage.page(&mut feed, &first.cursor).await;
    assert_eq!(ids(&ahead.observations), [&during, &before]);
    assert_eq!(ahead.cursor, first.cursor);
}
