//! Service protection slows the account down, and loses nothing.

use std::time::Duration;

use serde_json::json;
use truce::crm::delays::Pace;
use truce::peer::PeerError;

use crate::stage::{DONE, Stage, TITLE, text};

#[tokio::test]
async fn who_is_told_to_wait_waits_and_then_goes_on_with_fewer_calls_at_once() {
    let mut stage = Stage::with(|settings| settings.pace = Pace::default()).await;
    let id = stage.contact(json!({})).await;
    let before = stage.crm.account().usage().at_once;
    let fail = json!({ "count": 1, "kind": "answer", "status": 429, "code": "0x80072322" });
    stage.order("fail", fail).await;
    let write = stage.set(&id, &[(TITLE, text("Dr"))]);
    assert_eq!(stage.write_one(write).await, DONE);
    assert!(stage.crm.account().usage().at_once < before);
}

#[tokio::test]
async fn a_long_wait_is_told_and_nothing_is_sent_meanwhile() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    // All requests of the window are used up: it is minutes until the first of them is over.
    stage.order("limits", json!({ "requests": 6000, "used": 6000 })).await;
    let write = stage.set(&id, &[(TITLE, text("Dr"))]);
    let error = stage.write(vec![write]).await.unwrap_err();
    let PeerError::Throttled { after, .. } = error else { panic!("{error:?}") };
    assert!(Duration::from_secs(5) < after, "{after:?}");
    let sent = stage.look("counters").await["requests"].as_u64().unwrap();
    let write = stage.set(&id, &[(TITLE, text("Dr"))]);
    stage.write(vec![write]).await.unwrap_err();
    assert_eq!(stage.look("counters").await["requests"].as_u64().unwrap(), sent);
    stage.order("limits", json!({ "clear": true })).await;
}
