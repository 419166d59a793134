//! Edits of fields, while neither side knows of the other's.

use serde_json::json;

use crate::crm::Crm;
use crate::stage::Stage;

pub(crate) async fn two_fields<C: Crm>() {
    let mut stage = Stage::<C>::set(1, str::to_owned).await;
    stage.pause().await;
    stage.sql("update nmsrecipient set sphone = '1' where irecipientid = 1").await;
    stage.edit(1, json!({"email": "new@x.org"})).await;
    stage.resume().await;
    stage.agree(&["new@x.org|Pat|1|0"]).await;
    stage.quiet().await;

    assert_eq!(stage.sent(&stage.ids[0]).await, ["update phone=1"]);
    assert_eq!(stage.written(1).await, ["update semail=new@x.org"]);
    assert_eq!(stage.decisions().await, [""; 0], "there was nothing to decide");
    stage.pause().await;
}

pub(crate) async fn same_edit<C: Crm>() {
    let mut stage = Stage::<C>::set(1, str::to_owned).await;
    stage.pause().await;
    stage.sql("update nmsrecipient set sphone = '1' where irecipientid = 1").await;
    stage.edit(1, json!({"phone": "1"})).await;
    stage.resume().await;
    stage.quiet().await;

    assert_eq!(stage.sent(&stage.ids[0]).await, [""; 0], "nothing has to be written");
    assert_eq!(stage.written(1).await, [""; 0]);
    assert_eq!(stage.decisions().await, [""; 0]);
    assert_eq!(stage.held().await, [""; 0]);

    // Both are known to hold it: what one side makes of it next goes over.
    stage.edit(1, json!({"phone": "2"})).await;
    stage.agree(&["p1@x.org|Pat|2|0"]).await;
    assert_eq!(stage.written(1).await, ["update sphone=2"]);
    stage.pause().await;
}

pub(crate) async fn fast_clock<C: Crm>() {
    let newest = |config: &str| {
        let policy = "conflict = \"newest\"\nfallback = \"campaign\"\npairing";
        config.replace("conflict = \"crm\"\npairing", policy)
    };
    let mut stage = Stage::<C>::set(1, newest).await;
    // From here on all that the CRM tells looks newer than it is; an edit makes the record's last
    // stamp one of the fast clock too.
    stage.control.order("clock", json!({"offset_s": 300})).await;
    stage.quiet().await;
    stage.edit(1, json!({"last_name": "Rowe"})).await;
    stage.quiet().await;
    stage.pause().await;
    stage.sql("update nmsrecipient set sphone = '1' where irecipientid = 1").await;
    stage.edit(1, json!({"phone": "2"})).await;
    stage.resume().await;
    stage.agree(&["p1@x.org|Pat|1|0"]).await;
    stage.quiet().await;

    assert_eq!(stage.decisions().await, ["phone newest_fallback campaign"]);
    assert_eq!(stage.sent(&stage.ids[0]).await, ["update phone=1"]);
    assert_eq!(
        stage.written(1).await,
        ["update slastname=Rowe"],
        "the CRM's phone never went over"
    );
    stage.pause().await;
}

pub(crate) async fn long_text<C: Crm>() {
    let mut stage = Stage::<C>::set(1, str::to_owned).await;
    let text = "select md5(n::text) from generate_series(1, 250) n";
    let text = stage.world.rows(text).await.concat();
    stage.sql(&format!("update nmsrecipient set mdata = '{text}' where irecipientid = 1")).await;
    stage.quiet().await;
    assert_eq!(stage.contact(&stage.ids[0], "note").await, json!(text));

    // Stored apart, it is not in the log of an update that leaves it alone.
    stage.sql("update nmsrecipient set sphone = '1' where irecipientid = 1").await;
    stage.agree(&["p1@x.org|Pat|1|0"]).await;
    stage.pause().await;
    stage.resume().await;
    stage.sql("update nmsrecipient set sphone = '2' where irecipientid = 1").await;
    stage.edit(1, json!({"first_name": "Pam"})).await;
    stage.agree(&["p1@x.org|Pam|2|0"]).await;
    stage.quiet().await;

    assert_eq!(stage.contact(&stage.ids[0], "note").await, json!(text));
    assert_eq!(stage.recipient(1, "mdata").await, text);
    let sent = stage.sent(&stage.ids[0]).await;
    assert_eq!(sent[1..], ["update phone=1", "update phone=2"]);
    assert_eq!(stage.written(1).await, ["update sfirstname=Pam"]);
    stage.pause().await;
}
