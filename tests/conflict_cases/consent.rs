//! Opt-outs, which no later edit and no late news undoes.

use serde_json::json;

use crate::crm::Crm;
use crate::stage::Stage;

pub(crate) async fn opt_out_and_edit<C: Crm>() {
    let mut stage = Stage::<C>::set(1, str::to_owned).await;
    stage.pause().await;
    stage.sql("update nmsrecipient set iblacklistemail = 1 where irecipientid = 1").await;
    stage.control.order("clock", json!({"offset_s": 60})).await;
    stage.edit(1, json!({"phone": "1"})).await;
    stage.resume().await;
    stage.agree(&["p1@x.org|Pat|1|1"]).await;
    stage.quiet().await;

    assert_eq!(stage.sent(&stage.ids[0]).await, ["update opted_out=true"]);
    assert_eq!(stage.written(1).await, ["update sphone=1"], "the flag was never touched");
    stage.pause().await;
}

pub(crate) async fn late_re_consent<C: Crm>() {
    let mut stage = Stage::<C>::set(1, str::to_owned).await;
    stage.edit(1, json!({"opted_out": true})).await;
    stage.agree(&["p1@x.org|Pat|0|1"]).await;
    stage.quiet().await;

    // The opt-in is made, and nobody can see it yet; then the person unsubscribes again.
    C::hide(&stage.control).await;
    stage.edit(1, json!({"opted_out": false})).await;
    stage.sql("update nmsrecipient set iblacklist = 1 where irecipientid = 1").await;
    stage.campaign_passes().await;
    C::show(&stage.control).await;
    stage
        .wait("the late opt-in to be answered", async || {
            stage.decisions().await == ["opted_out most_restrictive campaign"]
        })
        .await;
    stage.agree(&["p1@x.org|Pat|0|1"]).await;
    stage.quiet().await;

    assert_eq!(stage.sent(&stage.ids[0]).await, ["update opted_out=true"]);
    assert_eq!(stage.written(1).await, ["update iblacklistemail=1"], "it never went back in");
    assert_eq!(stage.held().await, [""; 0]);
    stage.pause().await;
}
