//! A write whose fate is unknown is told as lost and repeated by nobody.

use serde_json::{Value as Json, json};
use truce::crm::http::Call;
use truce::peer::PeerError;
use truce::reconcile::{Consent, Lane, Outcome, Value, Write};

use crate::stage::{CONSENT, LAST_NAME, Stage, TITLE, text};

const DONE: Outcome = Outcome::Done { created: None, xid: None };

/// Every way to lose an answer to a write.
fn losses(effect: &str) -> Vec<Json> {
    let fault = |kind: &str, status: u16| json!({ "kind": kind, "status": status, "effect": effect, "method": "PATCH" });
    vec![fault("answer", 503), fault("answer", 500), fault("reset", 500), fault("html", 502)]
}

#[tokio::test]
async fn a_create_is_not_doubled_whatever_became_of_the_first() {
    let mut stage = Stage::new().await;
    let mut key = 0;
    for effect in ["before", "after"] {
        for fault in losses(effect) {
            key += 1;
            let across = key.to_string();
            stage.order("fail", fault.clone()).await;
            let write = stage.create(&across, &[(LAST_NAME, text("Roe"))]);
            assert_eq!(stage.write_one(write).await, Outcome::Lost, "{fault}");
            let write = stage.create(&across, &[(LAST_NAME, text("Roe"))]);
            let first = write.stamp.sequence - 1;
            match (effect, stage.write_one(write).await) {
                ("before", Outcome::Done { created: Some(_), .. }) => {}
                ("after", Outcome::Found(found)) => {
                    assert_eq!(found[0].claims, Some(across.as_str().into()));
                    assert_eq!(found[0].stamp.unwrap().sequence, first, "the first one landed");
                }
                (effect, outcome) => panic!("{effect} {fault}: {outcome:?}"),
            }
            assert_eq!(stage.contacts().await.len(), key, "{fault}");
        }
    }
    assert_eq!(stage.crm.account().calls().lost(), 8);
}

#[tokio::test]
async fn an_update_whose_answer_is_lost_is_sent_once() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    for effect in ["before", "after"] {
        for fault in losses(effect) {
            stage.edit(&id, json!({ "Title": null })).await;
            let sent = stage.crm.account().calls().made(Call::Write);
            stage.order("fail", fault.clone()).await;
            let write = stage.set(&id, &[(TITLE, text("ours"))]);
            assert_eq!(stage.write_one(write).await, Outcome::Lost, "{fault}");
            assert_eq!(stage.crm.account().calls().made(Call::Write), sent + 1, "{fault}");
            let landed = stage.held(&id).await["Title"] == "ours";
            assert_eq!(landed, effect == "after", "{fault}");
        }
    }
}

#[tokio::test]
async fn a_lost_opt_in_is_sent_once() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({ "HasOptedOutOfEmail": true })).await;
    let fault = json!({ "kind": "reset", "effect": "before", "method": "PATCH" });
    stage.order("fail", fault).await;
    let write = stage.set(&id, &[(CONSENT, Value::Consent(Consent::In))]);
    let write = Write { lane: Lane::Consent, opt_in: true, ..write };
    assert_eq!(stage.write_one(write).await, Outcome::Lost);
    assert_eq!(stage.crm.account().calls().made(Call::Write), 1);
}

#[tokio::test]
async fn a_dead_token_and_a_busy_server_carried_nothing_out_and_are_asked_again() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    let busy = "ConcurrentRequests (Concurrent API Requests) Limit exceeded.";
    for (status, code, message) in [
        (401, "INVALID_SESSION_ID", "Session expired or invalid"),
        (403, "REQUEST_LIMIT_EXCEEDED", busy),
    ] {
        let fault =
            json!({ "status": status, "code": code, "message": message, "method": "PATCH" });
        stage.order("fail", fault).await;
        let sent = stage.crm.account().calls().made(Call::Write);
        let write = stage.set(&id, &[(TITLE, text(code))]);
        assert_eq!(stage.write_one(write).await, DONE, "{code}");
        assert_eq!(stage.crm.account().calls().made(Call::Write), sent + 2, "{code}");
        assert_eq!(stage.held(&id).await["Title"], code);
    }
}

#[tokio::test]
async fn a_used_up_day_leaves_writes_untried() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    let fault = json!({ "status": 403, "code": "REQUEST_LIMIT_EXCEEDED",
        "message": "TotalRequests Limit exceeded.", "method": "PATCH" });
    stage.order("fail", fault).await;
    let write = stage.set(&id, &[(TITLE, text("x"))]);
    let error = stage.write(vec![write]).await.unwrap_err();
    assert!(matches!(error, PeerError::Throttled { .. }), "{error:?}");
    assert_eq!(stage.held(&id).await["Title"], Json::Null);
}

#[tokio::test]
async fn a_server_that_takes_no_connections_was_not_written_to() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    stage.order("connections", json!({ "accept": false })).await;
    let write = stage.set(&id, &[(TITLE, text("x"))]);
    let error = stage.write(vec![write]).await.unwrap_err();
    assert!(matches!(error, PeerError::Transient { .. }), "{error:?}");
    stage.order("connections", json!({ "accept": true })).await;
    let write = stage.set(&id, &[(TITLE, text("x"))]);
    assert_eq!(stage.write_one(write).await, DONE);
}

#[tokio::test]
async fn what_was_tried_is_told_although_the_rest_could_not_be() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    let out = stage.set(&id, &[(CONSENT, Value::Consent(Consent::Out))]);
    let out = Write { lane: Lane::Consent, ..out };
    let new = stage.create("9", &[(LAST_NAME, text("Roe"))]);
    let fault = json!({ "status": 403, "code": "REQUEST_LIMIT_EXCEEDED",
        "message": "TotalRequests Limit exceeded.", "path_contains": "query" });
    stage.order("fail", fault).await;
    let outcomes = stage.write(vec![new, out]).await.unwrap();
    assert!(matches!(outcomes[0], Outcome::Later(_)), "{outcomes:?}");
    assert_eq!(outcomes[1], DONE, "the opt-out went first");
}
