//! Edits of fields, while neither side knows of the other's.

use serde_json::json;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn edits_of_two_fields_of_one_record_are_both_kept() {
    let mut stage = Stage::set(1, str::to_owned).await;
    stage.pause().await;
    stage.sql("update nmsrecipient set sphone = '1' where irecipientid = 1").await;
    stage.edit(1, json!({"Email": "new@x.org"})).await;
    stage.resume().await;
    stage.agree(&["new@x.org|Pat|1|0"]).await;
    stage.quiet().await;

    assert_eq!(stage.sent(&stage.ids[0]).await, ["update Phone=1"]);
    assert_eq!(stage.written(1).await, ["update semail=new@x.org"]);
    assert_eq!(stage.decisions().await, [""; 0], "there was nothing to decide");
    stage.pause().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_edit_on_both_sides_is_no_conflict() {
    let mut stage = Stage::set(1, str::to_owned).await;
    stage.pause().await;
    stage.sql("update nmsrecipient set sphone = '1' where irecipientid = 1").await;
    stage.edit(1, json!({"Phone": "1"})).await;
    stage.resume().await;
    stage.quiet().await;

    assert_eq!(stage.sent(&stage.ids[0]).await, [""; 0], "nothing has to be written");
    assert_eq!(stage.written(1).await, [""; 0]);
    assert_eq!(stage.decisions().await, [""; 0]);
    assert_eq!(stage.held().await, [""; 0]);

    // Both are known to hold it: what one side makes of it next goes over.
    stage.edit(1, json!({"Phone": "2"})).await;
    stage.agree(&["p1@x.org|Pat|2|0"]).await;
    assert_eq!(stage.written(1).await, ["update sphone=2"]);
    stage.pause().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_five_minutes_ahead_wins_nothing_and_the_fallback_is_flagged() {
    let newest = |config: &str| {
        let policy = "conflict = \"newest\"\nfallback = \"campaign\"\npairing";
        config.replace("conflict = \"crm\"\npairing", policy)
    };
    let mut stage = Stage::set(1, newest).await;
    // From here on all that the CRM tells looks newer than it is; an edit makes the record's last
    // stamp one of the fast clock too.
    stage.world.order("clock", json!({"offset_s": 300})).await;
    stage.quiet().await;
    stage.edit(1, json!({"LastName": "Rowe"})).await;
    stage.quiet().await;
    stage.pause().await;
    stage.sql("update nmsrecipient set sphone = '1' where irecipientid = 1").await;
    stage.edit(1, json!({"Phone": "2"})).await;
    stage.resume().await;
    stage.agree(&["p1@x.org|Pat|1|0"]).await;
    stage.quiet().await;

    assert_eq!(stage.decisions().await, ["phone newest_fallback campaign"]);
    assert_eq!(stage.sent(&stage.ids[0]).await, ["update Phone=1"]);
    assert_eq!(
        stage.written(1).await,
        ["update slastname=Rowe"],
        "the CRM's phone never went over"
    );
    stage.pause().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_text_that_the_log_leaves_out_stays_as_it_is() {
    let mut stage = Stage::set(1, str::to_owned).await;
    let text = "select md5(n::text) from generate_series(1, 250) n";
    let text = stage.world.rows(text).await.concat();
    stage.sql(&format!("update nmsrecipient set mdata = '{text}' where irecipientid = 1")).await;
    stage.quiet().await;
    assert_eq!(stage.contact(&stage.ids[0], "Description").await, json!(text));

    // Stored apart, it is not in the log of an update that leaves it alone.
    stage.sql("update nmsrecipient set sphone = '1' where irecipientid = 1").await;
    stage.agree(&["p1@x.org|Pat|1|0"]).await;
    stage.pause().await;
    stage.resume().await;
    stage.sql("update nmsrecipient set sphone = '2' where irecipientid = 1").await;
    stage.edit(1, json!({"FirstName": "Pam"})).await;
    stage.agree(&["p1@x.org|Pam|2|0"]).await;
    stage.quiet().await;

    assert_eq!(stage.contact(&stage.ids[0], "Description").await, json!(text));
    assert_eq!(stage.recipient(1, "mdata").await, text);
    let sent = stage.sent(&stage.ids[0]).await;
    assert_eq!(sent[1..], ["update Phone=1", "update Phone=2"]);
    assert_eq!(stage.written(1).await, ["update sfirstname=Pam"]);
    stage.pause().await;
}
