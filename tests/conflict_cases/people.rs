//! Records that are made, deleted, merged and swapped, and what refers to them.

use serde_json::json;

use crate::crm::{Crm, firms};
use crate::stage::Stage;

const NONE: [&str; 0] = [];

/// With deletions carried over.
pub(crate) fn deleting(config: &str) -> String {
    config.replace("create =", "delete = \"propagate\"\ncreate =")
}

pub(crate) async fn deletion_and_edit<C: Crm>() {
    let mut stage = Stage::<C>::set(1, deleting).await;
    stage.pause().await;
    stage.sql("delete from nmsrecipient where irecipientid = 1").await;
    stage.edit(1, json!({"phone": "1"})).await;
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

pub(crate) async fn made_twice<C: Crm>() {
    let fill = |config: &str| {
        config.replace("pairing = \"crm\"", "pairing = \"fill_blank\"\nfallback = \"crm\"")
    };
    let mut stage = Stage::<C>::set(0, fill).await;
    stage.pause().await;
    stage
        .sql(
            "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname, mdata)
             values (7, 'ann@x.org', 'Ann', 'Low', 'met at the fair')",
        )
        .await;
    let ann = json!({
        "email": "ann@x.org", "first_name": "Anne", "last_name": "Low", "phone": "9",
    });
    let ann = stage.make(&[ann]).await.remove(0);
    stage.resume().await;
    stage.agree(&["ann@x.org|Anne|9|0"]).await;
    stage.quiet().await;

    assert_eq!(stage.contact(&ann, "note").await, "met at the fair");
    assert_eq!(stage.sent(&ann).await, ["update note=met at the fair"]);
    assert_eq!(stage.written(7).await, ["update sfirstname=Anne sphone=9"]);
    assert!(stage.decisions().await.contains(&"first_name fill_blank crm".to_owned()));
    stage.agree(&["ann@x.org|Anne|9|0"]).await;
    stage.pause().await;
}

pub(crate) async fn claimed_twice<C: Crm>() {
    let mut stage = Stage::<C>::set(2, str::to_owned).await;
    stage.pause().await;
    stage.sql("update nmsrecipient set smember = 'M1' where irecipientid = 1").await;
    stage.edit(2, json!({"member": "M1"})).await;
    stage.resume().await;
    stage.holds(&["refused member 1", "refused member 2"]).await;

    // Everything else of both goes on.
    stage.sql("update nmsrecipient set sphone = '1' where irecipientid = 1").await;
    stage.edit(2, json!({"phone": "2"})).await;
    stage.agree(&["p1@x.org|Pat|1|0", "p2@x.org|Pat|2|0"]).await;
    stage.pass().await;
    assert_eq!(stage.recipient(1, "smember").await, "M1");
    assert_eq!(stage.contact(&stage.ids[1], "member").await, "M1");
    assert_eq!(stage.sent(&stage.ids[0]).await, ["update phone=1"]);
    assert_eq!(stage.sent(&stage.ids[1]).await, NONE);
    assert_eq!(stage.written(1).await, NONE);
    assert_eq!(stage.written(2).await, ["update sphone=2"]);
    stage.holds(&["refused member 1", "refused member 2"]).await;

    // One of them gives it up: the other has it on both sides.
    stage.edit(2, json!({"member": null})).await;
    stage.holds(&["refused member 1"]).await;
    stage.world.done(&["held", "retry", "--reason", "refused"]).await;
    stage
        .wait("the number to go over", async || {
            stage.contact(&stage.ids[0], "member").await == "M1"
        })
        .await;
    stage.holds(&[]).await;
    assert_eq!(stage.recipient(1, "smember").await, "M1");
    stage.pause().await;
}

pub(crate) async fn merge_and_edit<C: Crm>() {
    let mut stage = Stage::<C>::set(2, deleting).await;
    stage.control.order("connections", json!({"accept": false})).await;
    stage.sql("update nmsrecipient set sphone = '2' where irecipientid = 2").await;
    stage.due(2).await;
    stage.control.order("merge", C::merge(&stage.ids[0], &stage.ids[1])).await;
    stage.control.order("connections", json!({"accept": true})).await;
    stage.wait("the edit to land", async || stage.crm().await == ["p1@x.org|Pat|2|0"]).await;
    stage.quiet().await;
    assert_eq!(stage.sent(&stage.ids[0]).await, ["update phone=2"]);
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

pub(crate) async fn refused_parent<C: Crm>() {
    let mut stage = Stage::<C>::set(1, |config| config.to_owned() + &firms::<C>()).await;
    stage.control.order("fail-record", C::refusal("campaign:70")).await;
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
    assert_eq!(fathered(&stage).await, 0);
    // A comparison tries a refusal again; the children wait for nobody's hand.
    stage.holds(&["refused - 70"]).await;

    stage.control.forget_faults().await;
    stage.world.done(&["held", "retry", "--mapping", "accounts"]).await;
    stage.wait("both children to have their parent", async || fathered(&stage).await == 2).await;
    stage.quiet().await;
    let route = format!("records/{}?fields={}", C::FIRM, C::FIRM_NAME);
    let firms = stage.control.look(&route).await;
    assert_eq!(firms["records"], json!([{C::FIRM_NAME: "Acme"}]), "made once");
    assert_eq!(stage.crm().await.len(), 2, "no child was made twice");
    let sent = stage.sent(&stage.ids[0]).await;
    assert!(sent.len() == 2 && sent[0] == "update phone=1", "{sent:?}");
    assert_eq!(stage.held().await, NONE);
    stage.pause().await;
}

/// How many contacts have a firm.
async fn fathered<C: Crm>(stage: &Stage<C>) -> usize {
    let contacts = stage.contacts().await;
    contacts.iter().filter(|contact| !contact[C::ACCOUNT.1].is_null()).count()
}

pub(crate) async fn swap<C: Crm>() {
    let mut stage = Stage::<C>::set(2, str::to_owned).await;
    stage
        .sql("update nmsrecipient set smember = 'M' || irecipientid where irecipientid in (1, 2)")
        .await;
    let members = async |stage: &Stage<C>, first: &str, second: &str| {
        stage.contact(&stage.ids[0], "member").await == first
            && stage.contact(&stage.ids[1], "member").await == second
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

pub(crate) async fn mass_deletion<C: Crm>() {
    let mut stage = Stage::<C>::set(100, deleting).await;
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
