//! Opt-outs, which no later edit and no late news undoes.

use serde_json::json;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_stands_against_a_later_edit_of_another_field() {
    let mut stage = Stage::set(1, str::to_owned).await;
    stage.pause().await;
    stage.sql("update nmsrecipient set iblacklistemail = 1 where irecipientid = 1").await;
    stage.world.order("clock", json!({"offset_s": 60})).await;
    stage.edit(1, json!({"Phone": "1"})).await;
    stage.resume().await;
    stage.agree(&["p1@x.org|Pat|1|1"]).await;
    stage.quiet().await;

    assert_eq!(stage.sent(&stage.ids[0]).await, ["update HasOptedOutOfEmail=true"]);
    assert_eq!(stage.written(1).await, ["update sphone=1"], "the flag was never touched");
    stage.pause().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_re_consent_older_than_the_opt_out_that_arrives_late_changes_nothing() {
    let mut stage = Stage::set(1, str::to_owned).await;
    stage.edit(1, json!({"HasOptedOutOfEmail": true})).await;
    stage.agree(&["p1@x.org|Pat|0|1"]).await;
    stage.quiet().await;

    // The opt-in is made, and nobody can see it yet; then the person unsubscribes again.
    stage.world.order("hold", json!({"seconds": 600, "object": "Contact", "via": "user"})).await;
    stage.edit(1, json!({"HasOptedOutOfEmail": false})).await;
    stage.world.order("hold", json!({"seconds": 0})).await;
    stage.sql("update nmsrecipient set iblacklist = 1 where irecipientid = 1").await;
    stage.pass().await;
    stage.world.order("publish", json!({})).await;
    stage
        .wait("the late opt-in to be answered", async || {
            stage.decisions().await == ["opted_out most_restrictive campaign"]
        })
        .await;
    stage.agree(&["p1@x.org|Pat|0|1"]).await;
    stage.quiet().await;

    assert_eq!(stage.sent(&stage.ids[0]).await, ["update HasOptedOutOfEmail=true"]);
    assert_eq!(stage.written(1).await, ["update iblacklistemail=1"], "it never went back in");
    assert_eq!(stage.held().await, [""; 0]);
    stage.pause().await;
}
