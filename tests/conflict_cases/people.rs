//! Records that are made, deleted, merged and swapped, and what refers to them.

use serde_json::{Value as Json, json};

use crate::stage::Stage;

const NONE: [&str; 0] = [];

/// With deletions carried over.
fn deleting(config: &str) -> String {
    config.replace("create =", "delete = \"propagate\"\ncreate =")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_against_a_later_edit_is_held_and_the_edit_is_not_lost() {
    let mut stage = Stage::set(1, deleting).await;
    stage.pause().await;
    stage.sql("delete from nmsrecipient where irecipientid = 1").await;
    stage.edit(1, json!({"Phone": "1"})).await;
    stage.resume().await;
    stage.holds(&["deleted_and_changed - 1"]).await;
    stage.quiet().await;
    assert_eq!(stage.crm().await, ["p1@x.org|Pat|1|0"]);
    assert_eq!(stage.campaign().await, NONE, "it was not made again behind anybody's back");
    assert_eq!(stage.sent(&stage.ids[0]).await, NONE);

    let told = stage.world.done(&["held", "release", "--key", "1", "--recreate"]).await;
    assert!(told.starts_with("1 record"), "{told}");
    stage.agree(&["p1@x.org|Pat|1|0"]).await;
    stage.holds(&[]).await;
    stage.pause().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_made_on_both_sides_becomes_one_pair_field_by_field() {
    let fill = |config: &str| {
        config.replace("pairing = \"crm\"", "pairing = \"fill_blank\"\nfallback = \"crm\"")
    };
    let mut stage = Stage::set(0, fill).await;
    stage.pause().await;
    stage
        .sql(
            "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname, mdata)
             values (7, 'ann@x.org', 'Ann', 'Low', 'met at the fair')",
        )
        .await;
    let ann = json!([{"Email": "ann@x.org", "FirstName": "Anne", "LastName": "Low", "Phone": "9"}]);
    let ann = stage.world.contacts_made(ann).await.remove(0);
    stage.resume().await;
    stage.agree(&["ann@x.org|Anne|9|0"]).await;
    stage.quiet().await;

    assert_eq!(stage.contact(&ann, "Description").await, "met at the fair");
    assert_eq!(stage.sent(&ann).await, ["update Description=met at the fair"]);
    assert_eq!(stage.written(7).await, ["update sfirstname=Anne sphone=9"]);
    assert!(stage.decisions().await.contains(&"first_name fill_blank crm".to_owned()));
    stage.agree(&["ann@x.org|Anne|9|0"]).await;
    stage.pause().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_value_that_two_people_claim_holds_that_field_and_destroys_nobody() {
    let mut stage = Stage::set(2, str::to_owned).await;
    stage.pause().await;
    stage.sql("update nmsrecipient set smember = 'M1' where irecipientid = 1").await;
    stage.edit(2, json!({"Member_Number__c": "M1"})).await;
    stage.resume().await;
    stage.holds(&["refused member 1", "refused member 2"]).await;

    // Everything else of both goes on.
    stage.sql("update nmsrecipient set sphone = '1' where irecipientid = 1").await;
    stage.edit(2, json!({"Phone": "2"})).await;
    stage.agree(&["p1@x.org|Pat|1|0", "p2@x.org|Pat|2|0"]).await;
    stage.pass().await;
    assert_eq!(stage.recipient(1, "smember").await, "M1");
    assert_eq!(stage.contact(&stage.ids[1], "Member_Number__c").await, "M1");
    assert_eq!(stage.sent(&stage.ids[0]).await, ["update Phone=1"]);
    assert_eq!(stage.sent(&stage.ids[1]).await, NONE);
    assert_eq!(stage.written(1).await, NONE);
    assert_eq!(stage.written(2).await, ["update sphone=2"]);
    assert_eq!(stage.held().await, ["refused member 1", "refused member 2"]);

    // One of them gives it up: the other has it on both sides.
    stage.edit(2, json!({"Member_Number__c": null})).await;
    stage.holds(&["refused member 1"]).await;
    stage.world.done(&["held", "retry", "--reason", "refused"]).await;
    stage
        .wait("the number to go over", async || {
            stage.contact(&stage.ids[0], "Member_Number__c").await == "M1"
        })
        .await;
    stage.holds(&[]).await;
    assert_eq!(stage.recipient(1, "smember").await, "M1");
    stage.pause().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_a_record_that_the_crm_merges_away_lands_on_the_survivor() {
    let mut stage = Stage::set(2, deleting).await;
    stage.world.order("connections", json!({"accept": false})).await;
    stage.sql("update nmsrecipient set sphone = '2' where irecipientid = 2").await;
    stage.due(2).await;
    let merge = json!({"object": "Contact", "winner": stage.ids[0], "losers": [stage.ids[1]]});
    stage.world.order("merge", merge).await;
    stage.world.order("connections", json!({"accept": true})).await;
    stage.wait("the edit to land", async || stage.crm().await == ["p1@x.org|Pat|2|0"]).await;
    stage.quiet().await;
    assert_eq!(stage.sent(&stage.ids[0]).await, ["update Phone=2"]);
    let both = ["p1@x.org|Pat|2|0", "p2@x.org|Pat|2|0"];
    assert_eq!(stage.campaign().await, both, "a merge deletes nobody in Campaign");

    // An opt-out of either recipient reaches the one contact, which was made but once.
    stage.sql("update nmsrecipient set iblacklistemail = 1 where irecipientid = 2").await;
    stage.wait("the opt-out", async || stage.crm().await == ["p1@x.org|Pat|2|1"]).await;
    stage.quiet().await;
    assert_eq!(stage.campaign().await, ["p1@x.org|Pat|2|1", "p2@x.org|Pat|2|1"]);
    assert_eq!(stage.held().await, NONE);
    stage.pause().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_whose_parent_is_refused_is_parked_for_that_field_and_released_with_it() {
    let accounts = r#"account = { campaign = "iaccountid", crm = "AccountId", references = "accounts" }

[mapping.accounts]
crm = "sales"
table = "cusaccount"
key = "icusaccountid"
object = "Account"
external_id = "Truce_Id__c"
stamp = "Truce_Stamp__c"
match_on = ["name"]
create = ["campaign", "crm"]

[mapping.accounts.fields]
name = { campaign = "sname", crm = "Name" }
"#;
    let mut stage = Stage::set(1, |config| config.to_owned() + accounts).await;
    let refusal = "FIELD_CUSTOM_VALIDATION_EXCEPTION";
    stage.world.order("fail-record", json!({"key": "campaign:70", "statusCode": refusal})).await;
    stage
        .sql(
            "begin;
             update nmsrecipient set iaccountid = 70, sphone = '1' where irecipientid = 1;
             insert into nmsrecipient (irecipientid, semail, sfirstname, slastname, iaccountid)
             values (2, 'p2@x.org', 'Pat', 'Roe', 70);
             insert into cusaccount (icusaccountid, sname) values (70, 'Acme');
             commit",
        )
        .await;
    stage.agree(&["p1@x.org|Pat|1|0", "p2@x.org|Pat||0"]).await;
    stage.holds(&["refused - 70"]).await;
    stage.pass().await;
    let child = stage.world.look("records/Contact?deleted=false&fields=Id,Email,AccountId").await;
    let children: Vec<Json> = child["records"].as_array().unwrap().clone();
    assert!(children.iter().all(|child| child["AccountId"].is_null()), "{children:?}");
    assert_eq!(stage.held().await, ["refused - 70"], "the children wait for nobody's hand");

    stage.world.done(&["held", "retry", "--mapping", "accounts"]).await;
    stage
        .wait("both children to have their parent", async || {
            let answer = stage.world.look("records/Contact?deleted=false&fields=AccountId").await;
            let records = answer["records"].as_array().unwrap();
            records.iter().filter(|child| !child["AccountId"].is_null()).count() == 2
        })
        .await;
    stage.quiet().await;
    let accounts = stage.world.look("records/Account?fields=Name").await;
    assert_eq!(accounts["records"], json!([{"Name": "Acme"}]), "made once");
    assert_eq!(stage.crm().await.len(), 2, "no child was made twice");
    let sent = stage.sent(&stage.ids[0]).await;
    assert!(sent.len() == 2 && sent[0] == "update Phone=1", "{sent:?}");
    assert_eq!(stage.held().await, NONE);
    stage.pause().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_inside_a_lost_cursor_are_found_by_their_keys_and_held() {
    let mut stage = Stage::set(5, deleting).await;
    stage.pause().await;
    // Three are purged, so that no feed will ever tell; one is in the recycle bin.
    let delete =
        |ids: &[String], purge: bool| json!({"object": "Contact", "ids": ids, "purge": purge});
    stage.world.order("delete", delete(&stage.ids[..3], true)).await;
    stage.world.order("delete", delete(&stage.ids[3..4], false)).await;
    let lost = "update truce.feed set cursor = '7' where name = 'feed/sales/contacts'";
    let touched = stage.ledger().await.execute(lost, &[]).await.unwrap();
    assert_eq!(touched, 1, "one feed of the CRM");
    stage.resume().await;
    stage.holds(&["missing - 1", "missing - 2", "missing - 3"]).await;
    stage.wait("the deletion that was told", async || stage.campaign().await.len() == 4).await;
    stage.pass().await;
    let left = ["p1@x.org|Pat|0|0", "p2@x.org|Pat|0|0", "p3@x.org|Pat|0|0", "p5@x.org|Pat|0|0"];
    assert_eq!(stage.campaign().await, left, "absence deletes nobody");
    assert_eq!(stage.crm().await, ["p5@x.org|Pat|0|0"], "and makes nobody again");
    assert_eq!(stage.written(4).await, ["delete"]);

    let told = stage.world.done(&["held", "release", "--reason", "missing", "--delete"]).await;
    assert!(told.starts_with("3 records"), "{told}");
    stage.agree(&["p5@x.org|Pat|0|0"]).await;
    stage.holds(&[]).await;
    stage.pause().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_who_swap_a_unique_value_both_get_it() {
    let mut stage = Stage::set(2, str::to_owned).await;
    stage
        .sql("update nmsrecipient set smember = 'M' || irecipientid where irecipientid in (1, 2)")
        .await;
    let members = async |stage: &Stage, first: &str, second: &str| {
        stage.contact(&stage.ids[0], "Member_Number__c").await == first
            && stage.contact(&stage.ids[1], "Member_Number__c").await == second
    };
    stage.wait("the numbers", async || members(&stage, "M1", "M2").await).await;
    stage.quiet().await;

    stage
        .sql(
            "begin;
             update nmsrecipient set smember = null where irecipientid = 1;
             update nmsrecipient set smember = 'M1' where irecipientid = 2;
             update nmsrecipient set smember = 'M2' where irecipientid = 1;
             commit",
        )
        .await;
    stage.wait("the swap", async || members(&stage, "M2", "M1").await).await;
    stage.quiet().await;
    assert!(members(&stage, "M2", "M1").await);
    assert_eq!(stage.recipient(1, "smember").await, "M2");
    assert_eq!(stage.recipient(2, "smember").await, "M1");
    assert_eq!((stage.written(1).await, stage.written(2).await), (vec![], vec![]));
    let sent = [stage.sent(&stage.ids[0]).await, stage.sent(&stage.ids[1]).await].concat();
    assert!(sent.len() <= 5, "two numbers, the swap, and one that stood in: {sent:?}");
    assert_eq!(stage.held().await, NONE);
    stage.pause().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mass_deletion_of_a_fifth_is_held_by_the_brake_until_a_person_releases_it() {
    let mut stage = Stage::set(100, deleting).await;
    stage.sql("delete from nmsrecipient where irecipientid between 1 and 20").await;
    // Ten are let through: below that, a share says nothing.
    stage.wait("the brake", async || stage.held().await.len() == 10).await;
    stage.sql("update nmsrecipient set sphone = '1' where irecipientid = 100").await;
    stage
        .wait("an edit", async || stage.crm().await.contains(&"p100@x.org|Pat|1|0".to_owned()))
        .await;
    stage.pass().await;
    let held = stage.held().await;
    assert!(held.len() == 10 && held.iter().all(|held| held.starts_with("braked")), "{held:?}");
    assert_eq!(stage.crm().await.len(), 90, "what is held stands");

    stage.world.done(&["held", "release", "--brake", "contacts"]).await;
    stage.wait("the rest", async || stage.crm().await.len() == 80).await;
    stage.holds(&[]).await;
    assert_eq!(stage.campaign().await, stage.crm().await);
    stage.pause().await;
}
