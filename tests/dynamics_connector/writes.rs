//! A write replaces what it saw and nothing else; one bad row never stops its neighbours.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use truce::peer::{Cursor, PeerError};
use truce::reconcile::{
    Consent, Gone, Lane, Outcome, Presence, RecordId, RefusalKind, Value, Write,
};

use crate::stage::{
    BIRTHDATE, CONSENT, DONE, EMAIL, INTERESTS, LAST_NAME, LIMIT, METHOD, PARENT, STATUS, Stage,
    TITLE, expecting, text,
};

#[tokio::test]
async fn every_kind_of_value_is_written_and_comes_back_as_it_was() {
    let mut stage = Stage::new().await;
    let firm = stage.seeded("account", vec![json!({ "name": "Acme" })]).await.remove(0);
    let id = stage.contact(json!({})).await;
    let names: BTreeSet<Arc<str>> = ["1".into(), "3".into()].into();
    let row = [
        (LAST_NAME, text("O'Neil & Zoë")),
        (EMAIL, text("ann@x.org")),
        (PARENT, Value::Record(firm.clone())),
        (INTERESTS, Value::Set(names)),
        (BIRTHDATE, Value::Date("1984-02-29".parse().unwrap())),
        (LIMIT, Value::Decimal("1250.5".parse().unwrap())),
        (METHOD, Value::Int(2)),
    ];
    let write = stage.set(&id, &row);
    assert_eq!(stage.write_one(write).await, DONE);
    let seen = stage.pass(&mut stage.feed(), &mut Cursor::start()).await;
    let one = seen.iter().rfind(|one| one.record == id).unwrap();
    for (field, value) in &row {
        assert_eq!(one.value(*field), Some(value));
    }
    assert!(one.stamp.is_some(), "it bears the write's stamp");

    let row = [PARENT, INTERESTS, BIRTHDATE, LIMIT, METHOD].map(|field| (field, Value::Null));
    let write = stage.set(&id, &row);
    assert_eq!(stage.write_one(write).await, DONE);
    let held = stage.held(&id).await;
    for column in ["_parentcustomerid_value", "new_interests", "birthdate", "creditlimit"] {
        assert!(held[column].is_null(), "{column}: {held}");
    }
}

/// What comes of a write whose row somebody touches between its read and the write itself.
async fn overtaken(stage: &mut Stage, write: Write, (route, order): (&str, Json)) -> Outcome {
    // The write is slow, and somebody is faster.
    stage.order("delay", json!({ "ms": 400, "count": 1, "path_contains": "$batch" })).await;
    let control = format!("{}/{route}", stage.running.control_url);
    let requests = format!("{}/requests", stage.running.control_url);
    let client = reqwest::Client::new();
    let act = async {
        // The read has been answered once the batch is on its way.
        loop {
            let told = client.get(&requests).send().await.unwrap().text().await.unwrap();
            if told.contains("$filter") || told.contains("%24filter") {
                break;
            }
            tokio::task::yield_now().await;
        }
        client.post(&control).json(&order).send().await.unwrap();
    };
    let (outcome, ()) = tokio::join!(stage.write_one(write), act);
    outcome
}

#[tokio::test]
async fn what_comes_between_the_read_and_the_write_is_not_overwritten() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({ "jobtitle": "Dr" })).await;
    let write = stage.set(&id, &[(TITLE, text("Mr"))]);
    let write = expecting(write, TITLE, text("Dr"));
    let order = json!({ "table": "contact", "id": &*id.0, "fields": { "jobtitle": "Prof" } });
    let outcome = overtaken(&mut stage, write, ("edit", order)).await;
    let Outcome::Stale(Some(seen)) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(seen.value(TITLE), Some(&text("Prof")));
    assert_eq!(stage.held(&id).await["jobtitle"], "Prof");
}

#[tokio::test]
async fn a_unique_value_of_another_row_is_refused_with_that_row() {
    let mut stage = Stage::new().await;
    let key = json!({ "table": "contact", "name": "new_TitleKey", "columns": ["jobtitle"] });
    stage.order("keys", key).await;
    let first = stage.contact(json!({ "jobtitle": "M1" })).await;
    let other = stage.contact(json!({})).await;
    let claim = stage.set(&other, &[(TITLE, text("M1")), (LAST_NAME, text("Poe"))]);
    let made = stage.create("7", &[(TITLE, text("M1")), (LAST_NAME, text("Poe"))]);
    let (owned, unknown) = (RefusalKind::Unique(Some(first)), RefusalKind::Unique(None));
    let refused = |outcome: &Outcome, kind: &RefusalKind| {
        let Outcome::Refused(refusal) = outcome else { panic!("{outcome:?}") };
        assert_eq!((&refusal.kind, refusal.fields.as_slice()), (kind, [TITLE].as_slice()));
    };
    for outcome in stage.write(vec![claim, made]).await.unwrap() {
        refused(&outcome, &owned);
    }
    // Where it cannot be asked whose it is, it is refused all the same, or tried again if that passes.
    let asking = |code: &str| json!({ "count": 9, "status": 400, "code": code, "path_contains": "jobtitle%20eq" });
    stage.order("fail", asking("0x80060888")).await;
    let claim = stage.set(&other, &[(TITLE, text("M1"))]);
    refused(&stage.write_one(claim).await, &unknown);
    stage.forget_faults().await;
    stage.order("fail", asking("0x8004A001")).await;
    let claim = stage.set(&other, &[(TITLE, text("M1"))]);
    let outcome = stage.write_one(claim).await;
    assert!(matches!(outcome, Outcome::Later(_)), "{outcome:?}");
}

#[tokio::test]
async fn an_update_never_makes_what_was_deleted() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    stage.delete(&id).await;
    for lane in Lane::ALL {
        let mut write = stage.set(&id, &[(TITLE, text("Dr"))]);
        write.lane = lane;
        let outcome = stage.write_one(write).await;
        let Outcome::Gone(Some(seen)) = &outcome else { panic!("{outcome:?}") };
        assert_eq!(seen.presence, Presence::Gone(Gone::Deleted));
    }
    assert!(stage.contacts().await.iter().all(|record| record["contactid"] != *id.0));
}

#[tokio::test]
async fn an_opt_out_does_not_make_what_was_deleted_after_its_read() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    let mut write = stage.set(&id, &[(CONSENT, Value::Consent(Consent::Out))]);
    write.lane = Lane::Consent;
    let delete = ("delete", json!({ "table": "contact", "ids": [&*id.0] }));
    let outcome = overtaken(&mut stage, write, delete).await;
    let Outcome::Gone(Some(seen)) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(seen.presence, Presence::Gone(Gone::Deleted));
    assert!(stage.contacts().await.iter().all(|record| record["contactid"] != *id.0));
}

#[tokio::test]
async fn an_opt_out_is_written_in_the_first_column_and_an_opt_in_only_where_nobody_was_there() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    let out = Value::Consent(Consent::Out);
    let mut write = stage.set(&id, &[(CONSENT, out.clone())]);
    write.lane = Lane::Consent;
    assert_eq!(stage.write_one(write).await, DONE);
    let held = stage.held(&id).await;
    assert_eq!((&held["donotbulkemail"], &held["followemail"]), (&json!(true), &json!(true)));

    let opt_in = |stage: &mut Stage, since: &str| {
        let mut write = stage.set(&id, &[(CONSENT, Value::Consent(Consent::In))]);
        (write.lane, write.opt_in) = (Lane::Consent, true);
        write.unmodified_since = Some(since.parse().unwrap());
        expecting(write, CONSENT, out.clone())
    };
    let early = opt_in(&mut stage, "2026-01-01T00:00:00Z");
    let outcome = stage.write_one(early).await;
    assert!(matches!(outcome, Outcome::Stale(Some(_))), "{outcome:?}");
    let now = opt_in(&mut stage, "2100-01-01T00:00:00Z");
    assert_eq!(stage.write_one(now).await, DONE);
    assert_eq!(stage.held(&id).await["donotbulkemail"], false);
}

#[tokio::test]
async fn an_option_that_is_not_listed_is_refused_with_its_field() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    let unknown = stage.set(&id, &[(METHOD, Value::Int(99))]);
    let Outcome::Refused(refusal) = stage.write_one(unknown).await else { panic!("it is taken") };
    assert_eq!(refusal.kind, RefusalKind::Record);
    assert_eq!((&*refusal.code, refusal.fields.as_slice()), ("0x8004431A", [METHOD].as_slice()));
}

#[tokio::test]
async fn a_parent_that_is_missing_is_a_dependency_and_no_end() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    let nobody = RecordId::from("00000000-0000-4000-8000-000000000001");
    let write = stage.set(&id, &[(PARENT, Value::Record(nobody.clone()))]);
    let outcome = stage.write_one(write).await;
    let Outcome::Refused(refusal) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(refusal.kind, RefusalKind::Dependency);
    let new = stage.create("1", &[(LAST_NAME, text("Poe")), (PARENT, Value::Record(nobody))]);
    let outcome = stage.write_one(new).await;
    let Outcome::Refused(refusal) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(refusal.kind, RefusalKind::Dependency);
}

#[tokio::test]
async fn a_status_takes_its_state_with_it() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    let write = stage.set(&id, &[(STATUS, Value::Int(2))]);
    assert_eq!(stage.write_one(write).await, DONE);
    let held = stage.held(&id).await;
    assert_eq!((&held["statecode"], &held["statuscode"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn a_server_that_is_not_reached_was_asked_for_nothing() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    stage.order("connections", json!({ "accept": false })).await;
    let write = stage.set(&id, &[(TITLE, text("Mr"))]);
    let error = stage.write(vec![write]).await.unwrap_err();
    assert!(matches!(error, PeerError::Transient { .. }), "{error:?}");
}

#[tokio::test]
async fn what_a_plug_in_refuses_is_tried_a_few_times_and_then_held_with_its_words() {
    let mut stage = Stage::with(|settings| settings.plugin_retries = 2).await;
    let id = stage.contact(json!({})).await;
    let refuse = json!({ "table": "contact", "column": "jobtitle",
        "rewrite": { "refuse": "No titles on Mondays." } });
    stage.order("plugin", refuse).await;
    // The agent decides it anew each time: another write of the same link.
    let first = stage.set(&id, &[(TITLE, text("Dr"))]);
    let again =
        |stage: &mut Stage| Write { link: first.link, ..stage.set(&id, &[(TITLE, text("Dr"))]) };
    for _ in 0..2 {
        let write = again(&mut stage);
        let outcome = stage.write_one(write).await;
        let Outcome::Later(delay) = &outcome else { panic!("{outcome:?}") };
        assert_eq!(delay.why.as_deref(), Some("0x80040265"));
    }
    let write = again(&mut stage);
    let outcome = stage.write_one(write).await;
    let Outcome::Refused(refusal) = &outcome else { panic!("{outcome:?}") };
    assert_eq!((&refusal.kind, &*refusal.code), (&RefusalKind::Record, "0x80040265"));
    assert_eq!(&*refusal.message, "No titles on Mondays.");
    stage.order("plugin", json!({ "table": "contact", "column": "jobtitle" })).await;
    let write = again(&mut stage);
    assert_eq!(stage.write_one(write).await, DONE);
}
