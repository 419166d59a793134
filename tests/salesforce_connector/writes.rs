//! Writes do what they were meant to, to the record that was seen, and to no other.

use std::slice::from_ref;

use serde_json::{Value as Json, json};
use truce::crm::http::Call;
use truce::peer::{PeerError, Scan as _};
use truce::reconcile::{
    Consent, Gone, Lane, Outcome, Presence, RecordId, RefusalKind, Target, Value, Write,
};

use crate::stage::{
    ACCOUNT, BIRTHDATE, CALL_AFTER, CONSENT, CONTACTS, DESCRIPTION, EMAIL, INTERESTS, LAST_NAME,
    LAST_VISIT, MEMBER, SCORE, SOURCE, Stage, TITLE, at, expecting, text,
};

const DONE: Outcome = Outcome::Done { created: None, xid: None };

fn created(outcome: &Outcome) -> RecordId {
    let Outcome::Done { created: Some(id), .. } = outcome else {
        panic!("not created: {outcome:?}");
    };
    id.clone()
}

fn refusal(outcome: &Outcome) -> (&str, &RefusalKind, Vec<u16>) {
    let Outcome::Refused(refusal) = outcome else { panic!("not refused: {outcome:?}") };
    (&refusal.code, &refusal.kind, refusal.fields.iter().map(|field| field.0).collect())
}

fn consent(write: Write, opt_in: bool) -> Write {
    Write { lane: Lane::Consent, opt_in, ..write }
}

#[tokio::test]
async fn every_kind_of_value_comes_back_as_it_was_written() {
    let mut stage = Stage::new().await;
    let row = [
        (LAST_NAME, text("Zoë \"O'Neil\" \\ 石田 😀 𝔘")),
        (EMAIL, text("zoe+a@x.org")),
        (CONSENT, Value::Consent(Consent::Out)),
        (SCORE, Value::Decimal("-1234567.89".parse().unwrap())),
        (INTERESTS, Value::Set(["News".into(), "Travel".into()].into())),
        (BIRTHDATE, Value::Date("1961-08-13".parse().unwrap())),
        (LAST_VISIT, Value::Instant(at("2026-02-28T23:59:59Z"))),
        (MEMBER, text("007")),
        (SOURCE, text("Web")),
        (CALL_AFTER, Value::Time("08:30:00".parse().unwrap())),
        (DESCRIPTION, text("two\nlines\tand a tab")),
        (TITLE, Value::Null),
    ];
    let write = stage.create("42", &row);
    let stamp = write.stamp;
    let id = created(&stage.write_one(write).await);
    assert_eq!(id.0.len(), 18);
    let read = stage.crm.scan().read(CONTACTS, from_ref(&id), &mut stage.ticks).await.unwrap();
    for (field, value) in &row {
        assert_eq!(read[0].value(*field), Some(value), "field {}", field.0);
    }
    assert_eq!(read[0].claims, Some("42".into()));
    assert_eq!(read[0].stamp, Some(stamp));
    // The same values as an update, which clears what the create had set.
    let cleared: Vec<_> = row.iter().skip(3).map(|(field, _)| (*field, Value::Null)).collect();
    let write = stage.set(&id, &cleared);
    assert_eq!(stage.write_one(write).await, DONE);
    let read = stage.crm.scan().read(CONTACTS, &[id], &mut stage.ticks).await.unwrap();
    assert!(cleared.iter().all(|(field, _)| read[0].value(*field) == Some(&Value::Null)));
}

#[tokio::test]
async fn a_record_that_moved_is_stale_and_told_as_it_is() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({ "Title": "old", "Email": "a@x.org" })).await;
    stage.edit(&id, json!({ "Title": "theirs" })).await;
    let ours = stage.set(&id, &[(TITLE, text("ours"))]);
    let Outcome::Stale(Some(seen)) = stage.write_one(expecting(ours, TITLE, text("old"))).await
    else {
        panic!("stale, with what was found");
    };
    assert_eq!(seen.value(TITLE), Some(&text("theirs")));
    assert_eq!(stage.held(&id).await["Title"], "theirs");
    assert_eq!(stage.requests("update").await, 0, "nothing was sent");
    // Another field's edit is none of this decision's business.
    let other = stage.set(&id, &[(TITLE, text("ours"))]);
    let other = expecting(other, TITLE, text("theirs"));
    stage.edit(&id, json!({ "Email": "b@x.org" })).await;
    assert_eq!(stage.write_one(other).await, DONE);
    assert_eq!(stage.crm.account().windows().writes, 1);
}

#[tokio::test]
async fn a_body_that_one_record_spoils_is_sent_in_halves() {
    let mut stage = Stage::new().await;
    let mut writes = Vec::new();
    for n in 0..5 {
        let id = stage.contact(json!({})).await;
        writes.push(stage.set(&id, &[(TITLE, text(&format!("t{n}")))]));
    }
    let fault = json!({ "status": 400, "code": "JSON_PARSER_ERROR", "method": "PATCH" });
    stage.order("fail", fault).await;
    assert_eq!(stage.write(writes).await.unwrap(), vec![DONE; 5]);
    let mut titles: Vec<Json> = stage.contacts().await.iter().map(|r| r["Title"].clone()).collect();
    titles.sort_by_key(ToString::to_string);
    assert_eq!(titles, ["t0", "t1", "t2", "t3", "t4"]);
}

#[tokio::test]
async fn gone_records_stay_gone_and_say_how() {
    let mut stage = Stage::new().await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(stage.contact(json!({ "Truce_Id__c": format!("campaign:{n}") })).await);
    }
    stage.order("delete", json!({ "object": "Contact", "ids": [&*ids[0].0] })).await;
    let merge = json!({ "object": "Contact", "winner": &*ids[3].0, "losers": [&*ids[1].0] });
    stage.order("merge", merge).await;
    let purge = json!({ "object": "Contact", "ids": [&*ids[2].0], "purge": true });
    stage.order("delete", purge).await;
    let writes = ids[..3].iter().map(|id| stage.set(id, &[(TITLE, text("x"))])).collect();
    let outcomes = stage.write(writes).await.unwrap();
    let gone = [Gone::Deleted, Gone::Merged(ids[3].clone()), Gone::Missing];
    for (outcome, gone) in outcomes.iter().zip(gone) {
        let Outcome::Gone(Some(seen)) = outcome else { panic!("gone: {outcome:?}") };
        assert_eq!(seen.presence, Presence::Gone(gone));
    }
    assert_eq!(stage.contacts().await.len(), 3, "none was resurrected as another");
}

#[tokio::test]
async fn a_unique_value_names_its_owner() {
    let mut stage = Stage::new().await;
    let owner = stage.contact(json!({ "Member_Number__c": "007" })).await;
    let id = stage.contact(json!({})).await;
    let write = stage.set(&id, &[(MEMBER, text("007"))]);
    let outcome = stage.write_one(write).await;
    let expected = ("DUPLICATE_VALUE", &RefusalKind::Unique(Some(owner)), vec![MEMBER.0]);
    assert_eq!(refusal(&outcome), expected);
}

#[tokio::test]
async fn a_locked_record_is_tried_later_and_an_unknown_code_is_its_own_fault() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    for code in ["UNABLE_TO_LOCK_ROW", "SOMETHING_NEW"] {
        let fault = json!({ "key": &*id.0, "statusCode": code, "message": "…", "count": 1 });
        stage.order("fail-record", fault).await;
    }
    let mut again = async || {
        let write = stage.set(&id, &[(TITLE, text("x"))]);
        stage.write_one(write).await
    };
    assert!(matches!(again().await, Outcome::Later(_)));
    let unknown = again().await;
    assert_eq!(refusal(&unknown), ("SOMETHING_NEW", &RefusalKind::Record, vec![]));
    assert_eq!(again().await, DONE);
}

#[tokio::test]
async fn references_go_by_id_are_cleared_and_wait_for_their_parent() {
    let mut stage = Stage::new().await;
    let firms = json!({ "object": "Account", "records": [{ "Name": "A" }, { "Name": "B" }] });
    let firms = stage.order("seed", firms).await;
    let firm = |n: usize| RecordId::from(firms["ids"][n].as_str().unwrap());
    let id = stage.contact(json!({})).await;
    let write = stage.set(&id, &[(ACCOUNT, Value::Record(firm(0)))]);
    assert_eq!(stage.write_one(write).await, DONE);
    assert_eq!(stage.held(&id).await["AccountId"], *firm(0).0);
    let write = stage.set(&id, &[(ACCOUNT, Value::Null)]);
    assert_eq!(stage.write_one(write).await, DONE);
    assert_eq!(stage.held(&id).await["AccountId"], Json::Null);
    stage.order("delete", json!({ "object": "Account", "ids": [&*firm(1).0] })).await;
    let write = stage.set(&id, &[(ACCOUNT, Value::Record(firm(1)))]);
    let outcome = stage.write_one(write).await;
    assert_eq!(refusal(&outcome).1, &RefusalKind::Dependency, "{outcome:?}");
}

#[tokio::test]
async fn an_opt_out_writes_the_first_listed_column_only() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    let write = stage.set(&id, &[(CONSENT, Value::Consent(Consent::Out))]);
    assert_eq!(stage.write_one(consent(write, false)).await, DONE);
    let held = stage.held(&id).await;
    assert_eq!((&held["HasOptedOutOfEmail"], &held["DoNotCall"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn an_opt_in_goes_alone_under_its_precondition() {
    let mut stage = Stage::new().await;
    let ids = [
        stage.contact(json!({ "HasOptedOutOfEmail": true })).await,
        stage.contact(json!({ "HasOptedOutOfEmail": true })).await,
    ];
    let mut opt_in = |id: &RecordId, since: &str| {
        let write = stage.set(id, &[(CONSENT, Value::Consent(Consent::In))]);
        let write = expecting(write, CONSENT, Value::Consent(Consent::Out));
        Write { unmodified_since: Some(at(since)), ..consent(write, true) }
    };
    let writes = ids.iter().map(|id| opt_in(id, "2026-10-01T00:00:00Z")).collect();
    let late = opt_in(&ids[0], "2026-10-01T00:00:00Z");
    assert_eq!(stage.write(writes).await.unwrap(), vec![DONE; 2]);
    assert_eq!(stage.requests("update").await, 2, "one call each");
    // Somebody touched the record since the decision was taken: read again, decide again.
    stage.edit(&ids[0], json!({ "HasOptedOutOfEmail": true, "Title": "x" })).await;
    stage.at(60).await;
    assert!(matches!(stage.write_one(late).await, Outcome::Stale(Some(_))));
    assert_eq!(stage.requests("update").await, 2, "nothing was sent");
    assert_eq!(stage.held(&ids[0]).await["HasOptedOutOfEmail"], true);
}

#[tokio::test]
async fn an_opt_in_waits_for_the_end_of_the_records_second() {
    let mut stage = Stage::new().await;
    let stamp = "2026-10-31T12:00:00Z";
    let id = stage.contact(json!({ "HasOptedOutOfEmail": true, "SystemModstamp": stamp })).await;
    let write = stage.set(&id, &[(CONSENT, Value::Consent(Consent::In))]);
    let write = Write { unmodified_since: Some(at(stamp)), ..consent(write, true) };
    let outcome = stage.write_one(write.clone()).await;
    assert!(matches!(outcome, Outcome::Later(_)), "an opt-out now would pass: {outcome:?}");
    stage.at(3).await;
    assert_eq!(stage.write_one(write).await, DONE);
}

#[tokio::test]
async fn an_opt_in_whose_precondition_fails_is_stale() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({ "HasOptedOutOfEmail": true })).await;
    let fault = json!({ "status": 412, "path_contains": "sobjects/Contact/003" });
    stage.order("fail", fault).await;
    let write = stage.set(&id, &[(CONSENT, Value::Consent(Consent::In))]);
    let outcome = stage.write_one(consent(write, true)).await;
    assert!(matches!(outcome, Outcome::Stale(Some(_))), "{outcome:?}");
    assert_eq!(stage.held(&id).await["HasOptedOutOfEmail"], true);
}

#[tokio::test]
async fn an_opt_in_that_arrives_after_somebody_was_there_changes_nothing() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({ "HasOptedOutOfEmail": true })).await;
    stage.order("fail", json!({ "kind": "late", "path_contains": "sobjects/Contact/003" })).await;
    let write = stage.set(&id, &[(CONSENT, Value::Consent(Consent::In))]);
    assert_eq!(stage.write_one(consent(write, true)).await, Outcome::Lost);
    stage.at(60).await;
    stage.edit(&id, json!({ "HasOptedOutOfEmail": true, "Title": "called, wants none" })).await;
    let released = stage.order("release", json!({})).await;
    assert_eq!(released["statuses"], json!([412]));
    assert_eq!(stage.held(&id).await["HasOptedOutOfEmail"], true);
}

#[tokio::test]
async fn the_reserve_is_for_consent() {
    let mut stage = Stage::new().await;
    let id = stage.contact(json!({})).await;
    stage.order("quota", json!({ "max": 1000, "used": 850 })).await;
    stage.crm.account().inspect().await.unwrap();
    let write = stage.set(&id, &[(TITLE, text("x"))]);
    let error = stage.write(vec![write]).await.unwrap_err();
    assert!(matches!(error, PeerError::Throttled { .. }), "{error:?}");
    let write = stage.set(&id, &[(CONSENT, Value::Consent(Consent::Out))]);
    assert_eq!(stage.write_one(consent(write, false)).await, DONE);
}

#[tokio::test]
async fn a_create_tells_what_stands_for_the_same_thing() {
    let mut stage = Stage::new().await;
    let twins = [
        stage.contact(json!({ "Email": "ann@x.org" })).await,
        stage.contact(json!({ "Email": "ann@x.org" })).await,
    ];
    stage.contact(json!({ "Email": "other@x.org" })).await;
    let create = |write: Write, mail: &str| {
        let across = "1".into();
        let unless = vec![(EMAIL, text(mail)), (TITLE, text("it's")), (BIRTHDATE, Value::Null)];
        Write { target: Target::New { key: None, across, unless }, ..write }
    };
    let write = stage.create("1", &[(LAST_NAME, text("Ann"))]);
    let Outcome::Found(found) = stage.write_one(create(write, "ann@x.org")).await else {
        panic!("found");
    };
    let mut ids: Vec<RecordId> = found.into_iter().map(|seen| seen.record).collect();
    ids.sort();
    let mut expected = twins.to_vec();
    expected.sort();
    assert_eq!(ids, expected);
    let write = stage.create("1", &[(LAST_NAME, text("Bob"))]);
    created(&stage.write_one(create(write, "bob@x.org")).await);
    assert_eq!(stage.contacts().await.len(), 4);
}

#[tokio::test]
async fn a_full_batch_of_creates_asks_in_few_calls_and_writes_in_one() {
    let mut stage = Stage::new().await;
    let row = |n: u32| [(LAST_NAME, text("X")), (EMAIL, text(&format!("somebody{n}@example.org")))];
    let writes: Vec<Write> = (0..200)
        .map(|n| {
            let write = stage.create(&n.to_string(), &row(n));
            let unless = vec![(EMAIL, text(&format!("somebody{n}@example.org")))];
            let across = n.to_string().into();
            Write { target: Target::New { key: None, across, unless }, ..write }
        })
        .collect();
    let outcomes = stage.write(writes).await.unwrap();
    assert!(outcomes.iter().all(|outcome| created(outcome).0.starts_with("003")));
    let calls = stage.crm.account().calls();
    assert_eq!(calls.made(Call::Write), 1);
    assert!(calls.made(Call::Read) <= 3, "{} questions", calls.made(Call::Read));
}

#[tokio::test]
async fn a_value_that_thousands_hold_stops_its_own_create_only() {
    let mut stage = Stage::new().await;
    for _ in 0..5 {
        let many: Vec<_> =
            (0..2000).map(|_| json!({ "LastName": "Roe", "Title": "none" })).collect();
        stage.order("seed", json!({ "object": "Contact", "records": many })).await;
    }
    let writes = (0..5)
        .map(|n: u32| {
            let write = stage.create(&n.to_string(), &[(LAST_NAME, text("Ann"))]);
            let title = if n == 3 { "none".to_owned() } else { format!("title {n}") };
            let unless = vec![(TITLE, text(&title))];
            let across = n.to_string().into();
            Write { target: Target::New { key: None, across, unless }, ..write }
        })
        .collect();
    let outcomes = stage.write(writes).await.unwrap();
    for (n, outcome) in outcomes.iter().enumerate() {
        if n == 3 {
            assert_eq!(refusal(outcome).0, "TRUCE_MATCHES_TOO_MANY");
        } else {
            created(outcome);
        }
    }
}

#[tokio::test]
async fn a_write_holds_no_more_records_than_it_may() {
    let mut stage = Stage::with(|settings| settings.batch = 2).await;
    let writes = (0..5).map(|n: u32| stage.create(&n.to_string(), &[(LAST_NAME, text("X"))]));
    let writes: Vec<Write> = writes.collect();
    let outcomes = stage.write(writes).await.unwrap();
    assert_eq!(outcomes.len(), 5);
    assert_eq!(stage.crm.account().calls().made(Call::Write), 3);
}

#[tokio::test]
async fn one_read_comes_before_the_calls_of_two_hundred_that_it_guards() {
    let mut stage = Stage::new().await;
    let mut writes = Vec::new();
    for n in 0..450 {
        let id = stage.contact(json!({ "Title": "before" })).await;
        writes.push(expecting(
            stage.set(&id, &[(TITLE, text(&format!("after {n}")))]),
            TITLE,
            text("before"),
        ));
    }
    stage.edit(&id_of(&writes[300]), json!({ "Title": "somebody" })).await;
    // One of the three calls is answered by nobody.
    let lost = json!({ "count": 1, "kind": "reset", "effect": "after", "method": "PATCH" });
    stage.order("fail", lost).await;
    let outcomes = stage.write(writes.clone()).await.unwrap();
    assert_eq!((stage.requests("retrieve").await, stage.requests("update").await), (1, 3));
    let count = |wanted: &Outcome| outcomes.iter().filter(|outcome| *outcome == wanted).count();
    assert!(matches!(outcomes[300], Outcome::Stale(Some(_))));
    assert_eq!(count(&DONE) + count(&Outcome::Lost), 449);
    assert!([49, 200].contains(&count(&Outcome::Lost)), "{}", count(&Outcome::Lost));
    let holds = |record: &Json, title: &str| record["Title"] == json!(title);
    let contacts = stage.contacts().await;
    assert!(contacts.iter().any(|record| holds(record, "somebody")));
    assert!(
        (0..450)
            .filter(|n| *n != 300)
            .all(|n| { contacts.iter().any(|record| holds(record, &format!("after {n}"))) })
    );
}

fn id_of(write: &Write) -> RecordId {
    let Target::Record(id) = &write.target else { panic!("a write to a record") };
    id.clone()
}

#[tokio::test]
async fn what_a_restricted_picklist_would_refuse_is_refused_before_it_is_sent() {
    let mut stage = Stage::new().await;
    let (bad, good) = (stage.contact(json!({})).await, stage.contact(json!({})).await);
    let writes = [
        stage.set(&bad, &[(SOURCE, text("Semaphore")), (TITLE, text("a"))]),
        stage.set(&good, &[(SOURCE, text("Web"))]),
        stage.set(&bad, &[(INTERESTS, Value::Set(["News".into(), "Semaphores".into()].into()))]),
    ];
    let outcomes = stage.write(vec![writes[0].clone(), writes[1].clone()]).await.unwrap();
    let code = "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST";
    assert_eq!(refusal(&outcomes[0]), (code, &RefusalKind::Record, vec![SOURCE.0]));
    assert_eq!(outcomes[1], DONE);
    let calls = stage.requests("update").await;
    assert_eq!(
        refusal(&stage.write_one(writes[2].clone()).await),
        (code, &RefusalKind::Record, vec![INTERESTS.0])
    );
    assert_eq!(stage.requests("update").await, calls, "no call was spent");
    assert_eq!(stage.held(&bad).await["Title"], Json::Null);
}
