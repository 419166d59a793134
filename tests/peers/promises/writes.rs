//! What a writer promises: each write is tried once, on the record that was seen, and answered.

use std::slice::from_ref;

use truce::reconcile::{
    Change, Consent, Outcome, Presence, RecordId, RefusalKind, Row, Side, Target, Value, Write,
};

use crate::stage::{Desk, Stage, expecting, is_done, read, titles, written};

async fn title<S: Stage>(stage: &mut S, record: &RecordId) -> Option<String> {
    stage.text(record, S::TERMS.title).await
}

/// The record that an answer to a create names.
fn named(outcome: &Outcome) -> Option<RecordId> {
    match outcome {
        Outcome::Done { created, .. } => created.clone(),
        Outcome::Found(found) => match found.as_slice() {
            [one] => Some(one.record.clone()),
            _ => None,
        },
        Outcome::Stale(_)
        | Outcome::Gone(_)
        | Outcome::Refused(_)
        | Outcome::Later(_)
        | Outcome::Lost => None,
    }
}

pub(crate) async fn a_stale_guard_changes_nothing_and_tells_what_is_there<S: Stage>() {
    let mut stage = S::new().await;
    let (mut desk, id) = (Desk::default(), stage.make(&["seen".to_owned()]).await.remove(0));
    stage.edit(&id, "theirs").await;
    let late = expecting(desk.title::<S>(&id, "ours"), S::TERMS.title, Value::text("seen"));
    let outcome = written(&mut stage, late).await;
    let Outcome::Stale(Some(seen)) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(seen.value(S::TERMS.title), Some(&Value::text("theirs")));
    assert_eq!(title(&mut stage, &id).await.as_deref(), Some("theirs"));
    // What was found is what the next decision may go by.
    let next = expecting(desk.title::<S>(&id, "ours"), S::TERMS.title, Value::text("theirs"));
    let outcome = written(&mut stage, next).await;
    assert!(is_done(&outcome), "{outcome:?}");
    assert_eq!(title(&mut stage, &id).await.as_deref(), Some("ours"));
}

pub(crate) async fn an_edit_of_another_field_makes_no_write_stale<S: Stage>() {
    let mut stage = S::new().await;
    let (mut desk, id) = (Desk::default(), stage.make(&["seen".to_owned()]).await.remove(0));
    stage.set_email(&id, "new@x.org").await;
    let write = expecting(desk.title::<S>(&id, "ours"), S::TERMS.title, Value::text("seen"));
    let outcome = written(&mut stage, write).await;
    assert!(is_done(&outcome), "{outcome:?}");
    let email = stage.text(&id, S::TERMS.email).await;
    assert_eq!(email.as_deref(), Some("new@x.org"), "what was not written stays");
}

pub(crate) async fn an_update_never_makes_a_record<S: Stage>() {
    let mut stage = S::new().await;
    let (mut desk, ids) = (Desk::default(), stage.make(&titles(3)).await);
    stage.delete(&ids[0]).await;
    let before = stage.living().await;
    for id in [&ids[0], &S::nobody()] {
        for write in [desk.title::<S>(id, "back"), desk.consent::<S>(id, Consent::Out)] {
            let outcome = written(&mut stage, write).await;
            let Outcome::Gone(Some(seen)) = &outcome else { panic!("{id}: {outcome:?}") };
            assert!(matches!(seen.presence, Presence::Gone(_)), "{id}: {seen:?}");
            assert_eq!(seen.record, *id);
        }
    }
    assert_eq!(stage.living().await, before);
}

pub(crate) async fn a_lost_create_is_not_doubled<S: Stage>() {
    let mut stage = S::new().await;
    let mut desk = Desk::default();
    stage.make(&titles(1)).await;
    let before = stage.living().await;
    let write = desk.create(&mut stage, "ours").await;
    stage.lose_next_answer().await;
    let again = desk.again(&write);
    assert_eq!(written(&mut stage, write).await, Outcome::Lost);
    let outcome = written(&mut stage, again).await;
    let living = stage.living().await;
    let made: Vec<_> = living.difference(&before).cloned().collect();
    assert_eq!(made.len(), 1, "{outcome:?}");
    assert_eq!(named(&outcome).as_ref(), made.first(), "it is told which: {outcome:?}");
    assert_eq!(title(&mut stage, &made[0]).await.as_deref(), Some("ours"));
}

pub(crate) async fn a_lost_update_is_told_as_lost_and_can_be_read<S: Stage>() {
    let mut stage = S::new().await;
    let (mut desk, id) = (Desk::default(), stage.make(&titles(1)).await.remove(0));
    let write = desk.title::<S>(&id, "ours");
    let stamp = write.stamp;
    stage.lose_next_answer().await;
    assert_eq!(written(&mut stage, write).await, Outcome::Lost);
    let seen = read(&mut stage, &id).await;
    assert_eq!(seen.value(S::TERMS.title), Some(&Value::text("ours")), "it had landed");
    match S::TERMS.side {
        Side::Crm => assert_eq!(seen.stamp, Some(stamp), "its stamp says so"),
        // There the transaction's id says so, which was noted before.
        Side::Campaign => {}
    }
    let next = expecting(desk.title::<S>(&id, "next"), S::TERMS.title, Value::text("ours"));
    let outcome = written(&mut stage, next).await;
    assert!(is_done(&outcome), "and the door is open again: {outcome:?}");
}

pub(crate) async fn each_write_of_a_batch_has_an_answer_of_its_own<S: Stage>() {
    let mut stage = S::new().await;
    let (mut desk, ids) = (Desk::default(), stage.make(&titles(6)).await);
    stage.delete(&ids[3]).await;
    let before = stage.living().await;
    let bad = stage.bad().await;
    let late = expecting(desk.title::<S>(&ids[2], "no"), S::TERMS.title, Value::text("else"));
    let writes = vec![
        desk.title::<S>(&ids[0], "first"),
        desk.set::<S>(&ids[1], bad.field, bad.value),
        late,
        desk.title::<S>(&ids[3], "gone"),
        desk.create(&mut stage, "new").await,
        desk.consent::<S>(&ids[4], Consent::Out),
        desk.title::<S>(&ids[5], "last"),
    ];
    let outcomes = stage.write(writes).await.unwrap();
    assert!(
        matches!(
            outcomes.as_slice(),
            [
                Outcome::Done { created: None, .. },
                Outcome::Refused(_),
                Outcome::Stale(Some(_)),
                Outcome::Gone(Some(_)),
                Outcome::Done { created: Some(_), .. },
                Outcome::Done { created: None, .. },
                Outcome::Done { created: None, .. },
            ]
        ),
        "{outcomes:?}"
    );
    let mut held = Vec::new();
    for id in [0, 1, 2, 4, 5].map(|n| &ids[n]) {
        held.push(title(&mut stage, id).await.unwrap());
    }
    assert_eq!(held, ["first", "title 1", "title 2", "title 4", "last"]);
    let living = stage.living().await;
    // Whoever makes a bad value by a record of its own has made it before.
    let made: Vec<_> = living.difference(&before).collect();
    assert!(made.contains(&&named(&outcomes[4]).unwrap()), "{made:?}");
}

pub(crate) async fn a_refused_write_leaves_its_like_alone<S: Stage>() {
    let mut stage = S::new().await;
    let (mut desk, ids) = (Desk::default(), stage.make(&titles(9)).await);
    let bad = stage.bad().await;
    let mut writes = Vec::new();
    for (n, id) in ids.iter().enumerate() {
        let good = Value::text(&format!("p{n}@x.org"));
        let value = if [2, 5, 8].contains(&n) { bad.value.clone() } else { good };
        writes.push(desk.set::<S>(id, bad.field, value));
    }
    // They are of one form, so that they go together wherever anything does.
    let outcomes = stage.write(writes).await.unwrap();
    for (n, (id, outcome)) in ids.iter().zip(&outcomes).enumerate() {
        if [2, 5, 8].contains(&n) {
            let Outcome::Refused(refusal) = outcome else { panic!("{n}: {outcome:?}") };
            assert_eq!((&*refusal.code, refusal.fields.as_slice()), (bad.code, &[bad.field][..]));
        } else {
            assert!(is_done(outcome), "{n}: {outcome:?}");
            let held = stage.text(id, bad.field).await;
            assert_eq!(held, Some(format!("p{n}@x.org")));
        }
    }
}

pub(crate) async fn a_batch_larger_than_a_call_is_answered_in_order<S: Stage>() {
    let mut stage = S::new().await;
    let (mut desk, ids) = (Desk::default(), stage.make(&titles(450)).await);
    stage.edit(&ids[333], "somebody's").await;
    let mut writes = Vec::new();
    for (n, id) in ids.iter().enumerate() {
        let write = desk.title::<S>(id, &format!("after {n}"));
        writes.push(expecting(write, S::TERMS.title, Value::text(&format!("title {n}"))));
    }
    let outcomes = stage.write(writes).await.unwrap();
    assert_eq!(outcomes.len(), ids.len());
    for (n, outcome) in outcomes.iter().enumerate() {
        assert_eq!(is_done(outcome), n != 333, "{n}: {outcome:?}");
    }
    for n in [0, 199, 200, 201, 332, 334, 449] {
        let held = title(&mut stage, &ids[n]).await;
        assert_eq!(held, Some(format!("after {n}")), "each went to its own record");
    }
    assert_eq!(title(&mut stage, &ids[333]).await.as_deref(), Some("somebody's"));
}

pub(crate) async fn a_refusal_names_the_code_and_the_field<S: Stage>() {
    let mut stage = S::new().await;
    let (mut desk, id) = (Desk::default(), stage.make(&titles(1)).await.remove(0));
    let bad = stage.bad().await;
    let row = Row::from([(S::TERMS.title, Value::text("ours")), (bad.field, bad.value)]);
    let write = desk.change::<S>(&id, Change::Set(row));
    let outcome = written(&mut stage, write).await;
    let Outcome::Refused(refusal) = &outcome else { panic!("{outcome:?}") };
    assert_eq!((&*refusal.code, refusal.fields.as_slice()), (bad.code, from_ref(&bad.field)));
    assert!(!refusal.message.is_empty(), "in the side's own words");
    assert_ne!(refusal.kind, RefusalKind::Mapping, "other records are not refused for it");
    assert_eq!(title(&mut stage, &id).await.as_deref(), Some("title 0"), "nothing of it is done");
}

pub(crate) async fn an_empty_batch_costs_nothing<S: Stage>() {
    let mut stage = S::new().await;
    let (mut desk, id) = (Desk::default(), stage.make(&titles(1)).await.remove(0));
    let write = desk.title::<S>(&id, "one");
    assert!(is_done(&written(&mut stage, write).await));
    let before = stage.traffic().await;
    assert_eq!(stage.write(Vec::new()).await.unwrap(), []);
    assert_eq!(stage.traffic().await, before);
    let write = desk.title::<S>(&id, "two");
    assert!(is_done(&written(&mut stage, write).await));
    assert_ne!(stage.traffic().await, before, "what costs is seen");
}

pub(crate) async fn an_opt_in_yields_to_whoever_was_there_since<S: Stage>() {
    let mut stage = S::new().await;
    let (mut desk, ids) = (Desk::default(), stage.make(&titles(2)).await);
    let mut writes = Vec::new();
    for id in &ids {
        stage.opt_out(id).await;
    }
    stage.pass_time().await;
    for id in &ids {
        let seen = read(&mut stage, id).await;
        let out = Value::Consent(Consent::Out);
        assert_eq!(seen.value(S::TERMS.consent), Some(&out));
        let write = expecting(desk.consent::<S>(id, Consent::In), S::TERMS.consent, out);
        let unmodified_since = seen.modified.map(|modified| modified.until);
        writes.push(Write { unmodified_since, ..write });
    }
    stage.opt_out_again(&ids[0]).await;
    stage.pass_time().await;
    let outcomes = stage.write(writes).await.unwrap();
    assert!(matches!(outcomes[0], Outcome::Stale(_)), "{outcomes:?}");
    assert!(is_done(&outcomes[1]), "nobody was there: {outcomes:?}");
    for (id, out) in ids.iter().zip([true, false]) {
        let seen = read(&mut stage, id).await;
        let Some(Value::Consent(consent)) = seen.value(S::TERMS.consent) else {
            panic!("{seen:?}")
        };
        assert_eq!(consent.is_out(), out, "{consent:?}");
    }
}

pub(crate) async fn an_opt_out_goes_whoever_was_there_since<S: Stage>() {
    let mut stage = S::new().await;
    let (mut desk, id) = (Desk::default(), stage.make(&titles(1)).await.remove(0));
    let write = desk.consent::<S>(&id, Consent::Out);
    let unmodified_since = read(&mut stage, &id).await.modified.map(|modified| modified.until);
    stage.pass_time().await;
    stage.edit(&id, "theirs").await;
    let outcome = written(&mut stage, Write { unmodified_since, ..write }).await;
    assert!(is_done(&outcome), "{outcome:?}");
    let seen = read(&mut stage, &id).await;
    assert_eq!(seen.value(S::TERMS.consent), Some(&Value::Consent(Consent::Out)));
    assert_eq!(title(&mut stage, &id).await.as_deref(), Some("theirs"));
}

pub(crate) async fn a_create_tells_who_stands_for_the_same<S: Stage>() {
    let mut stage = S::new().await;
    let (mut desk, ids) = (Desk::default(), stage.make(&titles(2)).await);
    stage.set_email(&ids[0], "ann@x.org").await;
    let before = stage.living().await;
    let mut outcomes = Vec::new();
    for email in ["ann@x.org", "bob@x.org"] {
        let mut write = desk.create(&mut stage, "ours").await;
        if let Target::New { unless, .. } = &mut write.target {
            unless.push((S::TERMS.email, Value::text(email)));
        }
        outcomes.push(written(&mut stage, write).await);
    }
    let Outcome::Found(found) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!(found.iter().map(|seen| &seen.record).collect::<Vec<_>>(), [&ids[0]]);
    assert!(is_done(&outcomes[1]), "{outcomes:?}");
    let living = stage.living().await;
    let made: Vec<_> = living.difference(&before).cloned().collect();
    assert_eq!(made, Vec::from_iter(named(&outcomes[1])));
}

pub(crate) async fn a_new_record_is_told_with_its_key_and_holds_what_was_written<S: Stage>() {
    let mut stage = S::new().await;
    let mut desk = Desk::default();
    let write = desk.create(&mut stage, "ours").await;
    let Target::New { key, across, .. } = write.target.clone() else { panic!("it is new") };
    let stamp = write.stamp;
    let outcome = written(&mut stage, write).await;
    let Outcome::Done { created: Some(id), .. } = &outcome else { panic!("{outcome:?}") };
    assert!(stage.living().await.contains(id));
    assert_eq!(title(&mut stage, id).await.as_deref(), Some("ours"));
    let seen = read(&mut stage, id).await;
    match S::TERMS.side {
        Side::Campaign => assert_eq!(Some(id), key.as_ref(), "it is the one that was drawn"),
        Side::Crm => {
            assert_eq!(seen.claims, Some(across), "it names the record across");
            assert_eq!(seen.stamp, Some(stamp), "and bears the write's stamp");
        }
    }
}

pub(crate) async fn a_delete_is_guarded_and_done_once<S: Stage>() {
    let mut stage = S::new().await;
    let (mut desk, ids) = (Desk::default(), stage.make(&titles(2)).await);
    stage.edit(&ids[0], "still wanted").await;
    let mut writes = Vec::new();
    for (n, id) in ids.iter().enumerate() {
        let write = desk.change::<S>(id, Change::Delete);
        writes.push(expecting(write, S::TERMS.title, Value::text(&format!("title {n}"))));
    }
    let outcomes = stage.write(writes).await.unwrap();
    assert!(matches!(outcomes[0], Outcome::Stale(Some(_))), "{outcomes:?}");
    assert!(is_done(&outcomes[1]), "{outcomes:?}");
    let living = stage.living().await;
    assert!(living.contains(&ids[0]) && !living.contains(&ids[1]), "{living:?}");
    let again = desk.change::<S>(&ids[1], Change::Delete);
    let outcome = written(&mut stage, again).await;
    assert!(matches!(outcome, Outcome::Gone(_)), "{outcome:?}");
}
