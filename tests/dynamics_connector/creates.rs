//! A record is made once, whatever becomes of the answer; large loads go by one action.

use serde_json::json;
use truce::reconcile::{Outcome, RecordId, RefusalKind, Write};

use crate::stage::{DONE, EMAIL, LAST_NAME, Stage, TITLE, text};

fn created(outcome: &Outcome) -> RecordId {
    let Outcome::Done { created: Some(id), .. } = outcome else { panic!("{outcome:?}") };
    id.clone()
}

#[tokio::test]
async fn a_new_row_bears_the_key_across_and_has_the_id_that_is_told() {
    let mut stage = Stage::new().await;
    let write = stage.create("4711", &[(LAST_NAME, text("Poe"))]);
    let id = created(&stage.write_one(write).await);
    let held = stage.held(&id).await;
    assert_eq!((&held["lastname"], &held["new_truceid"]), (&json!("Poe"), &json!("campaign:4711")));
    assert!(held["new_trucestamp"].is_string());
}

#[tokio::test]
async fn two_links_for_one_key_do_not_make_two_rows() {
    let mut stage = Stage::new().await;
    let (one, other) = (
        stage.create("4711", &[(LAST_NAME, text("Poe"))]),
        stage.create("4711", &[(LAST_NAME, text("Poe"))]),
    );
    created(&stage.write_one(one).await);
    let outcome = stage.write_one(other).await;
    assert!(matches!(&outcome, Outcome::Found(found) if found.len() == 1), "{outcome:?}");
}

#[tokio::test]
async fn a_duplicate_that_a_rule_finds_is_held_where_rules_count() {
    let mut stage = Stage::with(|settings| settings.duplicate_detection = true).await;
    let rule = json!({ "table": "contact", "columns": ["emailaddress1"] });
    stage.order("duplicates", rule).await;
    stage.contact(json!({ "emailaddress1": "ann@x.org" })).await;
    let write = stage.create("1", &[(LAST_NAME, text("Poe")), (EMAIL, text("ann@x.org"))]);
    let outcome = stage.write_one(write).await;
    let Outcome::Refused(refusal) = &outcome else { panic!("{outcome:?}") };
    assert_eq!((&refusal.kind, &*refusal.code), (&RefusalKind::Record, "0x80040333"));
}

async fn counted(stage: &Stage, what: &str) -> usize {
    let requests = stage.look("requests").await;
    let all = requests["requests"].as_array().unwrap().clone();
    all.iter().filter(|request| request.to_string().contains(what)).count()
}

#[tokio::test]
async fn a_large_load_goes_by_one_action_and_one_bad_row_is_refused_alone() {
    let mut stage = Stage::with(|settings| {
        (settings.multiple_from, settings.batch) = (Some(40), 20);
    })
    .await;
    let mut writes: Vec<Write> = Vec::new();
    for n in 0..41 {
        let name = if n == 13 { "x".repeat(51) } else { format!("Poe {n}") };
        writes.push(stage.create(&n.to_string(), &[(LAST_NAME, text(&name))]));
    }
    let outcomes = stage.write(writes).await.unwrap();
    for (n, outcome) in outcomes.iter().enumerate() {
        if n == 13 {
            assert!(matches!(outcome, Outcome::Refused(refusal) if &*refusal.code == "0x80044331"));
        } else {
            let id = created(outcome);
            assert_eq!(stage.held(&id).await["lastname"], format!("Poe {n}"));
        }
    }
    assert!(0 < counted(&stage, "CreateMultiple").await);
    assert_eq!(counted(&stage, "$batch").await, 0);

    let ids: Vec<RecordId> = outcomes
        .iter()
        .enumerate()
        .filter(|(n, _)| *n != 13)
        .map(|(_, one)| created(one))
        .collect();
    let mut writes: Vec<Write> = Vec::new();
    for id in &ids {
        writes.push(stage.set(id, &[(TITLE, text("Dr"))]));
    }
    let outcomes = stage.write(writes).await.unwrap();
    assert!(outcomes.iter().all(|outcome| *outcome == DONE), "{outcomes:?}");
    assert!(0 < counted(&stage, "UpdateMultiple").await);
}
