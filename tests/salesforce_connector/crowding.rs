//! What is locked comes again in smaller company, and fewer calls are made while it is crowded.

use std::time::Duration;

use serde_json::json;
use truce::crm::http::Call;
use truce::reconcile::{Delay, Outcome, RecordId};

use crate::stage::{Stage, TITLE, text};

const DONE: Outcome = Outcome::Done { created: None, xid: None };

async fn lock(stage: &Stage, id: &RecordId, count: u64) {
    let message = "unable to obtain exclusive access to this record or 1 records: 001xx000003DGb2";
    let fault = json!({ "key": &*id.0, "status_code": "UNABLE_TO_LOCK_ROW", "message": message,
        "count": count });
    stage.order("fail-record", fault).await;
}

#[tokio::test]
async fn a_locked_record_waits_its_neighbours_do_not_and_it_comes_again_in_a_smaller_batch() {
    let mut stage = Stage::with(|settings| settings.batch = 4).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(stage.contact(json!({})).await);
    }
    lock(&stage, &ids[0], 2).await;
    lock(&stage, &ids[1], 1).await;
    let all = |stage: &mut Stage, ids: &[RecordId]| -> Vec<_> {
        ids.iter().map(|id| stage.set(id, &[(TITLE, text("x"))])).collect()
    };
    let writes = all(&mut stage, &ids);
    let outcomes = stage.write(writes).await.unwrap();
    let later =
        |seconds| Outcome::Later(Delay::of(Duration::from_secs(seconds), "UNABLE_TO_LOCK_ROW"));
    assert_eq!(outcomes, [later(2), later(2), DONE, DONE]);
    let sent = |stage: &Stage| stage.crm.account().calls().made(Call::Write);
    assert_eq!(sent(&stage), 1);
    assert_eq!(stage.crm.account().usage().at_once, 4, "half of eight");

    let writes = all(&mut stage, &ids);
    let outcomes = stage.write(writes).await.unwrap();
    assert_eq!(outcomes, [later(4), DONE, DONE, DONE]);
    assert_eq!(sent(&stage), 3, "the free ones, and the two by their parent");

    let writes = all(&mut stage, &ids);
    assert_eq!(stage.write(writes).await.unwrap(), vec![DONE; 4]);
    assert_eq!(sent(&stage), 5, "the one alone");
    let writes = all(&mut stage, &ids);
    assert_eq!(stage.write(writes).await.unwrap(), vec![DONE; 4]);
    assert_eq!(sent(&stage), 6, "and with the others again");
}

#[tokio::test]
async fn too_many_calls_at_once_halve_those_that_are_made() {
    let stage = Stage::new().await;
    let account = stage.crm.account();
    assert_eq!(account.usage().at_once, 8);
    let busy = "ConcurrentRequests (Concurrent API Requests) Limit exceeded.";
    for fault in [
        json!({ "status": 403, "code": "REQUEST_LIMIT_EXCEEDED", "message": busy }),
        json!({ "status": 429, "code": "TOO_MANY_APEX_REQUESTS" }),
    ] {
        stage.order("fail", fault).await;
        account.describe("Contact").await.unwrap();
    }
    assert_eq!(account.usage().at_once, 4, "both at once are one sign");
}

#[tokio::test]
async fn a_record_that_is_told_of_too_many_calls_at_once_halves_them() {
    for (code, message) in [
        ("REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."),
        ("TOO_MANY_APEX_REQUESTS", "too many"),
    ] {
        let mut stage = Stage::new().await;
        let id = stage.contact(json!({})).await;
        let fault = json!({ "key": &*id.0, "status_code": code, "message": message });
        stage.order("fail-record", fault).await;
        let write = stage.set(&id, &[(TITLE, text("x"))]);
        let later = Outcome::Later(Delay::of(Duration::from_secs(2), code));
        assert_eq!(stage.write_one(write).await, later, "{code}");
        let usage = stage.crm.account().usage();
        assert_eq!((usage.at_once, usage.paused), (4, None), "{code}");
    }
}
