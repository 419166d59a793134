//! A whole table is read once, in bounded memory, and can be listed.

use std::collections::BTreeSet;

use serde_json::json;
use truce::peer::{Outline as _, Scan as _};
use truce::reconcile::{Gone, Presence, RecordId};

use crate::stage::{CONTACTS, Stage};

#[tokio::test]
async fn a_scan_gives_every_row_once_also_to_who_begins_again_in_the_middle() {
    let mut stage = Stage::with(|settings| settings.polling.page = 3).await;
    let records = (0..10).map(|n| json!({ "lastname": format!("Roe {n}") })).collect();
    let made: BTreeSet<RecordId> = stage.seeded("contact", records).await.into_iter().collect();
    let mut seen = Vec::new();
    let mut scan = stage.crm.scan();
    let mut after: Option<RecordId> = None;
    loop {
        let page = scan.scan(CONTACTS, after.as_ref(), 100_000, &mut stage.ticks).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 3);
        after = Some(last.record.clone());
        seen.extend(page.into_iter().map(|one| one.record));
        if seen.len() == 6 {
            scan = stage.crm.scan();
        }
    }
    assert_eq!(seen.len(), seen.iter().collect::<BTreeSet<_>>().len());
    assert!(made.is_subset(&seen.into_iter().collect()));
}

#[tokio::test]
async fn a_listing_is_in_the_order_of_the_ids_text() {
    let stage = Stage::new().await;
    let records = (0..7).map(|n| json!({ "lastname": format!("Roe {n}") })).collect();
    let made: BTreeSet<RecordId> = stage.seeded("contact", records).await.into_iter().collect();
    let (mut after, mut listed) = (None, Vec::new());
    loop {
        // Each page by another scan, as the agent asks for them.
        let mut scan = stage.crm.scan();
        let page = scan.outline(CONTACTS, after.as_ref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.record.clone());
        assert!(page.iter().all(|one| one.modified.is_some()));
        listed.extend(page.into_iter().map(|one| one.record));
        assert!(listed.is_sorted(), "or it has no end: {listed:?}");
    }
    assert!(made.is_subset(&listed.into_iter().collect()));
}

#[tokio::test]
async fn a_row_that_is_gone_is_told_from_one_that_is_not_for_us_to_see() {
    let mut stage = Stage::new().await;
    let (here, gone) = (stage.contact(json!({})).await, stage.contact(json!({})).await);
    stage.delete(&gone).await;
    let odd = RecordId::from("no id");
    let ids = [here.clone(), gone.clone(), odd.clone()];
    let seen = stage.crm.scan().read(CONTACTS, &ids, &mut stage.ticks).await.unwrap();
    let of = |id: &RecordId| &seen.iter().find(|one| one.record == *id).unwrap().presence;
    assert!(matches!(of(&here), Presence::Here { .. }));
    assert_eq!(*of(&gone), Presence::Gone(Gone::Deleted));
    assert_eq!(*of(&odd), Presence::Gone(Gone::Missing));
}

#[tokio::test]
async fn what_changed_since_a_moment_is_listed() {
    let stage = Stage::new().await;
    let (old, new) = (stage.contact(json!({})).await, stage.contact(json!({})).await);
    stage.edit(&new, json!({ "jobtitle": "Dr" })).await;
    let since = "2026-02-01T00:00:00Z".parse().unwrap();
    let listed = stage.crm.scan().changed_since(CONTACTS, since, None).await.unwrap();
    assert!(listed.contains(&new) && !listed.contains(&old), "{listed:?}");
    let rest = stage.crm.scan().changed_since(CONTACTS, since, listed.last()).await.unwrap();
    assert!(rest.is_empty(), "{rest:?}");
}
