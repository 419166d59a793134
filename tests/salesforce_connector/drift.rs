//! A field that is not what it was mapped as is paused, alone and aloud, and goes on once it is mended.

use std::time::Duration;

use serde_json::{Value as Json, json};
use truce::peer::{Cursor, Feed as _, PeerError};
use truce::reconcile::{Outcome, Presence, RefusalKind};

use crate::stage::{LAST_NAME, SOURCE, Stage, TITLE, text};

const DONE: Outcome = Outcome::Done { created: None, xid: None };

async fn fields(stage: &Stage, change: Json) {
    let mut order = json!({ "object": "Contact" });
    order.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    stage.order("fields", order).await;
}

#[tokio::test]
async fn a_hidden_field_is_left_out_and_refused_alone_until_it_is_back() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({ "Title": "Dr" })).await;
    let mut watch = stage.crm.drift();
    let drifts = watch.look().await.unwrap();
    assert!(drifts.iter().all(|drift| drift.paused.is_empty() && !drift.back), "{drifts:?}");

    fields(&stage, json!({ "hide": ["Title"] })).await;
    let mut feed = stage.feed();
    let refused = feed.page(&Cursor::start(), Duration::ZERO, &mut stage.ticks).await;
    assert!(
        matches!(refused, Err(PeerError::Transient { .. })),
        "nobody has looked yet: {refused:?}"
    );
    let drifts = watch.look().await.unwrap();
    let paused: Vec<_> = drifts.iter().flat_map(|drift| drift.paused.iter()).collect();
    assert_eq!(paused.len(), 1, "{paused:?}");
    assert!(paused[0].1.contains("gone, or hidden"), "{paused:?}");

    stage.edit(&id, json!({ "LastName": "Low" })).await;
    let seen = stage.pass(&mut feed, &mut Cursor::start()).await;
    let Presence::Here { row, unfit, .. } = &seen[0].presence else { panic!("{seen:?}") };
    assert_eq!(row.get(&LAST_NAME), Some(&text("Low")));
    assert!(!row.contains_key(&TITLE) && unfit.is_empty(), "unknown, and not null");

    let title = stage.set(&id, &[(TITLE, text("x"))]);
    let name = stage.set(&id, &[(LAST_NAME, text("Poe"))]);
    let outcomes = [stage.write_one(title).await, stage.write_one(name).await];
    let Outcome::Refused(refusal) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!((&refusal.kind, &*refusal.code), (&RefusalKind::Mapping, "TRUCE_FIELD_PAUSED"));
    assert_eq!(refusal.fields, [TITLE]);
    assert_eq!(outcomes[1], DONE);

    fields(&stage, json!({ "show": ["Title"] })).await;
    let drifts = watch.look().await.unwrap();
    assert!(drifts.iter().any(|drift| drift.back), "{drifts:?}");
    let title = stage.set(&id, &[(TITLE, text("x"))]);
    assert_eq!(stage.write_one(title).await, DONE);
}

#[tokio::test]
async fn a_field_that_takes_less_is_read_and_not_written() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({ "Title": "Dr" })).await;
    let mut watch = stage.crm.drift();
    fields(&stage, json!({ "fields": [{ "name": "Title", "type": "string", "length": 5 }] })).await;
    watch.look().await.unwrap();
    let mut feed = stage.feed();
    stage.edit(&id, json!({ "Title": "Prof" })).await;
    let seen = stage.pass(&mut feed, &mut Cursor::start()).await;
    assert_eq!(seen[0].value(TITLE), Some(&text("Prof")));
    let title = stage.set(&id, &[(TITLE, text("x"))]);
    let outcome = stage.write_one(title).await;
    let Outcome::Refused(refusal) = outcome else { panic!("{outcome:?}") };
    assert!(refusal.message.contains("takes 5 characters now"), "{refusal:?}");
}

#[tokio::test]
async fn a_value_that_a_picklist_takes_from_now_on_is_sent() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    let mut watch = stage.crm.drift();
    watch.look().await.unwrap();
    let chat = stage.set(&id, &[(SOURCE, text("Chat"))]);
    let refused = stage.write_one(chat.clone()).await;
    assert!(matches!(refused, Outcome::Refused(_)), "{refused:?}");
    let values = ["Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other", "Chat"];
    let source = json!({ "name": "LeadSource", "type": "picklist", "length": 255,
        "restricted": true, "values": values });
    fields(&stage, json!({ "fields": [source] })).await;
    watch.look().await.unwrap();
    assert_eq!(stage.write_one(chat).await, DONE);
    assert_eq!(stage.held(&id).await["LeadSource"], "Chat");
}

#[tokio::test]
async fn what_was_not_changed_is_not_described_again() {
    let stage = Stage::new().await;
    let mut watch = stage.crm.drift();
    // Long after the organisation was made: what is described soon after a change is asked again.
    stage.at(20 * 365 * 86_400).await;
    assert_eq!(watch.look().await.unwrap().len(), 3);
    assert!(watch.look().await.unwrap().is_empty());
    fields(&stage, json!({ "hide": ["Title"] })).await;
    assert_eq!(watch.look().await.unwrap().len(), 3, "the model has one time for all its objects");
}
