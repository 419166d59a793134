//! A column that is not what it was pauses its own field, and no other.

use serde_json::json;
use truce::peer::Cursor;
use truce::reconcile::{Outcome, Presence};

use crate::stage::{DONE, LAST_NAME, Stage, TITLE, text};

#[tokio::test]
async fn a_column_that_gets_column_security_is_left_out_before_it_is_read_as_empty() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({ "jobtitle": "Dr" })).await;
    let mut watch = stage.crm.drift();
    let drifts = watch.look().await.unwrap();
    assert!(drifts.iter().all(|drift| drift.paused.is_empty() && !drift.back), "{drifts:?}");
    assert!(watch.look().await.unwrap().is_empty(), "nothing has changed");

    stage.order("columns", json!({ "table": "contact", "hide": ["jobtitle"] })).await;
    let drifts = watch.look().await.unwrap();
    let paused: Vec<_> = drifts.iter().flat_map(|drift| drift.paused.keys()).collect();
    assert_eq!(paused, [&"jobtitle".into()]);
    let seen = stage.pass(&mut stage.feed(), &mut Cursor::start()).await;
    let one = seen.iter().rfind(|one| one.record == id).unwrap();
    let Presence::Here { row, .. } = &one.presence else { panic!("{one:?}") };
    assert!(!row.contains_key(&TITLE), "unknown, and not null");

    let title = stage.set(&id, &[(TITLE, text("x"))]);
    let name = stage.set(&id, &[(LAST_NAME, text("Poe"))]);
    assert!(matches!(stage.write_one(title).await, Outcome::Refused(_)));
    assert_eq!(stage.write_one(name).await, DONE);

    stage.order("columns", json!({ "table": "contact", "show": ["jobtitle"] })).await;
    let drifts = watch.look().await.unwrap();
    assert!(drifts.iter().any(|drift| drift.back), "{drifts:?}");
    let title = stage.set(&id, &[(TITLE, text("x"))]);
    assert_eq!(stage.write_one(title).await, DONE);
}
