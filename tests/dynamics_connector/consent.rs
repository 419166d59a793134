//! Consent that an environment keeps in a choice: each option says what the config says of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use truce::crm::dynamics::{ConsentOptions, Dynamics};
use truce::peer::{Cursor, Scan as _};
use truce::reconcile::mapping::{SideField, SideMapping};
use truce::reconcile::{Consent, Lane, Presence, RecordId, Shape, Value};

use crate::stage::{CONSENT, CONTACTS, DONE, Stage, expecting};

/// A stage whose contacts say by `new_consent` whether they may be written to: 1 is yes, 2 no, 3 never.
async fn stage() -> Stage {
    let options = ConsentOptions { out: vec![2, 3], allowed: vec![1] };
    let mut stage = Stage::with(|settings| {
        settings.consent_options = BTreeMap::from([("new_consent".into(), options)]);
        settings.polling.page = 5;
    })
    .await;
    let column =
        json!({ "name": "new_consent", "type": "choice", "options": ["Yes", "No", "Never"] });
    stage.order("columns", json!({ "table": "contact", "add": [column] })).await;
    let account = Arc::clone(stage.crm.account());
    let contact = account.describe("contact").await.unwrap().table();
    let field = SideField {
        field: CONSENT,
        name: "opted_out".into(),
        columns: vec![contact.column("new_consent").unwrap().clone()],
        shape: Shape::Consent,
        zero_is_null: false,
        writable: true,
    };
    let mapping = SideMapping {
        entity: CONTACTS,
        name: "contacts".into(),
        table: Arc::clone(&contact.name),
        key: Arc::clone(&contact.id),
        external_id: None,
        stamp: None,
        fields: vec![field],
        match_on: Vec::new(),
        converts: None,
        defaults: BTreeMap::new(),
    };
    let org = account.organisation().await.unwrap();
    stage.crm = Dynamics::with(account, &org, vec![(mapping, &contact)]).unwrap();
    stage.writer = stage.crm.writer();
    stage
}

#[tokio::test]
async fn each_option_is_read_as_what_it_says_and_the_first_of_its_kind_is_written() {
    let mut stage = stage().await;
    let yes = stage.contact(json!({ "new_consent": 1 })).await;
    let no = stage.contact(json!({ "new_consent": 2 })).await;
    let never = stage.contact(json!({ "new_consent": 3 })).await;
    let silent = stage.contact(json!({})).await;
    let seen = stage.pass(&mut stage.feed(), &mut Cursor::start()).await;
    let said = |id: &RecordId| {
        seen.iter().rfind(|one| one.record == *id).and_then(|one| one.value(CONSENT)).cloned()
    };
    let (out, allowed) = (Value::Consent(Consent::Out), Value::Consent(Consent::In));
    assert_eq!([said(&no), said(&never)], [Some(out.clone()), Some(out.clone())]);
    assert_eq!([said(&yes), said(&silent)], [Some(allowed.clone()), Some(allowed.clone())]);

    let mut write = stage.set(&silent, &[(CONSENT, out.clone())]);
    write.lane = Lane::Consent;
    assert_eq!(stage.write_one(write).await, DONE);
    assert_eq!(stage.held(&silent).await["new_consent"], 2);
    let mut write = stage.set(&never, &[(CONSENT, allowed)]);
    (write.lane, write.opt_in) = (Lane::Consent, true);
    assert_eq!(stage.write_one(expecting(write, CONSENT, out)).await, DONE);
    assert_eq!(stage.held(&never).await["new_consent"], 1);

    // An option that came later says nothing until somebody says what: it is told, and not guessed.
    let more = json!({ "new_consent": ["Yes", "No", "Never", "Later"] });
    stage.order("columns", json!({ "table": "contact", "options": more })).await;
    stage.edit(&yes, json!({ "new_consent": 4 })).await;
    let seen = stage.crm.scan().read(CONTACTS, &[yes], &mut stage.ticks).await.unwrap();
    let Presence::Here { unfit, .. } = &seen[0].presence else { panic!("it is there") };
    assert!(unfit[&CONSENT].contains("consent_options says nothing of"), "{unfit:?}");
}

#[tokio::test]
async fn an_opt_out_by_a_choice_is_seen_ahead_of_a_long_delta_too() {
    let mut stage = stage().await;
    let records = (0..20).map(|n| json!({ "lastname": format!("Roe {n}") })).collect();
    let made = stage.seeded("contact", records).await;
    let (mut feed, mut cursor) = (stage.feed(), Cursor::start());
    stage.pass(&mut feed, &mut cursor).await;
    for id in &made {
        stage.edit(id, json!({ "jobtitle": "Dr" })).await;
    }
    stage.edit(&made[3], json!({ "new_consent": 3 })).await;
    let first = stage.page(&mut feed, &cursor).await;
    let ahead = stage.page(&mut feed, &first.cursor).await;
    let told: Vec<_> = ahead.observations.iter().map(|one| &one.record).collect();
    assert_eq!(told, [&made[3]]);
}
