//! A lead that was converted can no longer be written: it is told as what it became.

use serde_json::json;
use truce::peer::{Cursor, Outline as _, Scan as _};
use truce::reconcile::{Entity, Gone, Outcome, Presence, RecordId};

use crate::stage::{CONTACTS, LAST_NAME, LEADS, Stage, TITLE, text};

async fn lead(stage: &Stage, into: Option<&RecordId>) -> RecordId {
    let record = json!({ "LastName": "Roe", "Company": "Roe", "IsConverted": into.is_some(),
        "ConvertedContactId": into.map(|id| &*id.0), "SystemModstamp": "2026-10-31T12:00:00Z" });
    let made = stage.order("seed", json!({ "object": "Lead", "records": [record] })).await;
    RecordId::from(made["ids"][0].as_str().unwrap())
}

fn converted(into: &RecordId) -> Presence {
    let into: (Entity, RecordId) = (CONTACTS, into.clone());
    Presence::Gone(Gone::Converted(Some(into)))
}

#[tokio::test]
async fn a_converted_lead_is_told_with_the_contact_that_it_became() {
    let mut stage = Stage::new().await;
    let contact = stage.contact(json!({})).await;
    let (open, done) = (lead(&stage, None).await, lead(&stage, Some(&contact)).await);
    let mut feed = stage.crm.feeds().into_iter().find(|feed| feed.entity() == LEADS).unwrap();
    let seen = stage.pass(&mut feed, &mut Cursor::start()).await;
    let of = |id: &RecordId| seen.iter().find(|seen| seen.record == *id).unwrap();
    assert_eq!(of(&done).presence, converted(&contact));
    assert!(of(&open).row().is_some());
    let mut scan = stage.crm.scan();
    let all = scan.scan(LEADS, None, 10, &mut stage.ticks).await.unwrap();
    assert!(all.iter().map(|seen| &seen.record).eq([&open]), "converted long ago is no news");
    let listed = scan.outline(LEADS, None, 10).await.unwrap();
    assert!(listed.iter().map(|listed| &listed.record).eq([&open]));
    let read = scan.read(LEADS, &[done], &mut stage.ticks).await.unwrap();
    assert_eq!(read[0].presence, converted(&contact));
}

#[tokio::test]
async fn a_write_to_a_converted_lead_is_told_what_became_of_it() {
    let mut stage = Stage::new().await;
    let contact = stage.contact(json!({})).await;
    let done = lead(&stage, Some(&contact)).await;
    let open = lead(&stage, None).await;
    let mut write = stage.set(&done, &[(LAST_NAME, text("Doe"))]);
    write.entity = LEADS;
    let Outcome::Stale(Some(seen)) = stage.write_one(write).await else { panic!("told by a read") };
    assert_eq!(seen.presence, converted(&contact));
    // Converted between our read and our write, Salesforce itself says so.
    let refused = json!({ "key": &*open.0, "statusCode": "CANNOT_UPDATE_CONVERTED_LEAD",
        "message": "cannot reference converted lead", "fields": [], "count": 1 });
    stage.order("fail-record", refused).await;
    let mut write = stage.set(&open, &[(TITLE, text("x"))]);
    write.entity = LEADS;
    let outcome = stage.write_one(write).await;
    assert!(
        matches!(&outcome, Outcome::Refused(_)),
        "it is there, and says otherwise: {outcome:?}"
    );
}
