//! The day's calls: who may use the last of them, how it pauses, and how it goes on.

use std::time::Duration;

use serde_json::{Value as Json, json};
use truce::crm::http::{Call, Paused};
use truce::peer::{Cursor, Feed as _, PeerError, Scan as _};
use truce::reconcile::{Consent, Delay, Lane, Outcome, Value, Write};

use crate::stage::{CONSENT, CONTACTS, LAST_NAME, Stage, TITLE, text};

const DONE: Outcome = Outcome::Done { created: None, xid: None };

#[tokio::test]
async fn the_last_calls_are_for_consent_and_for_seeing_it() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    stage.order("quota", json!({ "max": 100, "used": 85 })).await;
    stage.crm.account().describe("Contact").await.unwrap();
    let write = stage.set(&id, &[(TITLE, text("x"))]);
    let error = stage.write(vec![write]).await.unwrap_err();
    assert!(
        matches!(&error, PeerError::Throttled { why, .. } if why.contains("reserve")),
        "{error}"
    );
    assert_eq!(stage.crm.account().usage().paused, Some(Paused::Budget));

    let out = stage.set(&id, &[(CONSENT, Value::Consent(Consent::Out))]);
    assert_eq!(stage.write_one(Write { lane: Lane::Consent, ..out }).await, DONE);
    let mut feed = stage.feed();
    stage.page(&mut feed, &Cursor::start()).await;
}

#[tokio::test]
async fn polls_and_repairs_leave_the_last_calls_to_opt_outs_that_are_written() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    let (mut feed, mut scan) = (stage.feed(), stage.crm.scan());
    stage.order("quota", json!({ "max": 100, "used": 84 })).await;
    stage.crm.account().describe("Contact").await.unwrap();
    let read = scan.read(CONTACTS, std::slice::from_ref(&id), &mut stage.ticks).await;
    assert!(matches!(&read, Err(PeerError::Throttled { .. })), "{read:?}");
    stage.page(&mut feed, &Cursor::start()).await;

    stage.order("quota", json!({ "max": 100, "used": 91 })).await;
    stage.crm.account().describe("Contact").await.unwrap();
    let polled = feed.page(&Cursor::start(), Duration::ZERO, &mut stage.ticks).await;
    let Err(PeerError::Throttled { why, .. }) = &polled else { panic!("{polled:?}") };
    assert!(why.contains("half of the reserve"), "{why}");
    let plain = stage.create("1", &[(LAST_NAME, text("Roe"))]);
    let refused = stage.write(vec![plain]).await;
    assert!(matches!(&refused, Err(PeerError::Throttled { .. })), "{refused:?}");

    let out = (CONSENT, Value::Consent(Consent::Out));
    let update = Write { lane: Lane::Consent, ..stage.set(&id, std::slice::from_ref(&out)) };
    let create = stage.create("2", &[(LAST_NAME, text("Poe")), out]);
    let outcomes = stage.write(vec![update, create]).await.unwrap();
    assert_eq!(outcomes[0], DONE);
    assert!(matches!(outcomes[1], Outcome::Done { created: Some(_), .. }), "{outcomes:?}");
}

#[tokio::test]
async fn polls_do_not_wait_for_the_look_back_that_waits_for_calls() {
    let mut stage = Stage::new().await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    let id = stage.contact(json!({})).await;
    stage.pass(&mut feed, &mut cursor).await;
    stage.at(7_300).await;
    stage.edit(&id, json!({ "DoNotCall": true })).await;
    stage.order("quota", json!({ "max": 100, "used": 84 })).await;
    stage.tell(7_301).await;
    let seen = stage.pass(&mut feed, &mut cursor).await;
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].record, id);
}

#[tokio::test]
async fn a_record_that_is_told_of_the_days_calls_pauses_the_account() {
    for (code, message) in
        [("EXCEEDED_QUOTA", ""), ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")]
    {
        let mut stage = Stage::new().await;
        let ids = [stage.contact(json!({})).await, stage.contact(json!({})).await];
        let fault = json!({ "key": &*ids[0].0, "status_code": code, "message": message });
        stage.order("fail-record", fault).await;
        let writes = ids.iter().map(|id| stage.set(id, &[(TITLE, text("x"))])).collect();
        let outcomes = stage.write(writes).await.unwrap();
        let probe = truce::crm::http::Limits::default().probe;
        assert_eq!(outcomes, [Outcome::Later(Delay::of(probe, code)), DONE], "{code}");
        let account = stage.crm.account();
        assert_eq!(account.usage().paused, Some(Paused::Budget), "{code}");
        let sent = account.calls().made(Call::Read);
        let write = stage.set(&ids[0], &[(TITLE, text("x"))]);
        stage.write(vec![write]).await.unwrap_err();
        assert_eq!(stage.crm.account().calls().made(Call::Read), sent, "{code}: nothing is asked");
    }
}

#[tokio::test]
async fn a_used_up_day_pauses_everything_and_a_probe_finds_that_it_is_over() {
    let mut stage = Stage::with(|settings| settings.limits.probe = Duration::ZERO).await;
    let id = stage.contact(json!({})).await;
    stage.order("quota", json!({ "max": 100, "used": 100 })).await;
    let mut feed = stage.feed();
    let error = feed.page(&Cursor::start(), Duration::ZERO, &mut stage.ticks).await.unwrap_err();
    assert!(matches!(error, PeerError::Throttled { .. }), "{error:?}");
    let sent = stage.requests("query").await;

    let write = stage.set(&id, &[(TITLE, text("x"))]);
    let error = stage.write(vec![write]).await.unwrap_err();
    assert!(matches!(error, PeerError::Throttled { .. }), "{error:?}");
    let account = stage.crm.account();
    assert_eq!(account.calls().made(Call::Limits), 1, "one probe, and it was refused");
    assert_eq!(account.calls().made(Call::Write) + account.calls().made(Call::Read), 0);
    assert_eq!(stage.requests("query").await, sent, "nothing else is asked");
    assert_eq!(stage.held(&id).await["Title"], Json::Null);

    stage.order("quota", json!({ "used": 10 })).await;
    let write = stage.set(&id, &[(TITLE, text("x"))]);
    assert_eq!(stage.write_one(write).await, DONE);
    assert_eq!(stage.crm.account().calls().made(Call::Limits), 2);
    assert_eq!(stage.crm.account().usage().paused, None);
}

#[tokio::test]
async fn probes_are_sparse() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    stage.order("quota", json!({ "max": 100, "used": 100 })).await;
    for _ in 0..5 {
        let write = stage.set(&id, &[(TITLE, text("x"))]);
        stage.write(vec![write]).await.unwrap_err();
    }
    let account = stage.crm.account();
    assert_eq!(account.calls().made(Call::Read), 1, "the first, which was refused");
    assert_eq!(account.calls().made(Call::Limits), 0, "not before five minutes are over");
}
