//! What happens while a write is on its way, and what does when its answer never comes.

use serde_json::json;

use crate::crm::Crm;
use crate::stage::Stage;

const PHONE: &str = "update nmsrecipient set sphone";

pub(crate) async fn there_and_back<C: Crm>() {
    let mut stage = Stage::<C>::set(1, str::to_owned).await;
    stage.trouble("delay", json!({"ms": 1500, "count": 1})).await;
    stage.sql(&format!("{PHONE} = '1' where irecipientid = 1")).await;
    stage.met(1).await;
    stage.sql(&format!("{PHONE} = '0' where irecipientid = 1")).await;
    stage.wait("the way back", async || stage.sent(&stage.ids[0]).await.len() == 2).await;
    stage.quiet().await;

    assert_eq!(stage.sent(&stage.ids[0]).await, ["update phone=1", "update phone=0"]);
    assert_eq!(stage.written(1).await, [""; 0], "an echo is nobody's edit");
    assert_eq!(stage.decisions().await, [""; 0]);
    stage.agree(&["p1@x.org|Pat|0|0"]).await;
    stage.pause().await;
}

pub(crate) async fn latecomer<C: Crm>() {
    let mut stage = Stage::<C>::set(1, str::to_owned).await;
    stage.trouble("fail", json!({"kind": "late", "count": 1})).await;
    stage.sql(&format!("{PHONE} = '1' where irecipientid = 1")).await;
    stage.met(1).await;
    stage.sql(&format!("{PHONE} = '0' where irecipientid = 1")).await;
    stage.quiet().await;
    // It may have been tried again meanwhile, and a version that is not the record's any more is
    // refused.
    let before = stage.sent(&stage.ids[0]).await.len();
    let released = stage.control.order("release", json!({})).await;
    assert_eq!(released, json!({"released": 1, "statuses": [200]}), "it comes after all");
    let all = if C::GUARDED && 0 < before { before } else { before + 2 };
    stage.wait("the way back", async || stage.sent(&stage.ids[0]).await.len() == all).await;
    stage.quiet().await;

    let sent = stage.sent(&stage.ids[0]).await;
    assert_eq!(sent[all - 2..], ["update phone=1", "update phone=0"]);
    assert_eq!(sent.len(), all);
    assert_eq!(stage.written(1).await, [""; 0], "the latecomer is ours");
    assert_eq!(stage.decisions().await, [""; 0]);
    stage.agree(&["p1@x.org|Pat|0|0"]).await;
    stage.pause().await;
}

pub(crate) async fn kill_before_answer<C: Crm>() {
    let mut stage = Stage::<C>::set(1, str::to_owned).await;
    stage.trouble("delay", json!({"ms": 1000, "count": 1})).await;
    stage.sql(&format!("{PHONE} = '1' where irecipientid = 1")).await;
    stage.met(1).await;
    stage.freeze();
    stage.wait("the write to land", async || stage.sent(&stage.ids[0]).await.len() == 1).await;
    stage.kill().await;
    stage.resume().await;
    stage.quiet().await;

    assert_eq!(stage.sent(&stage.ids[0]).await, ["update phone=1"]);
    assert_eq!(stage.written(1).await, [""; 0]);
    assert_eq!((stage.decisions().await, stage.held().await), (vec![], vec![]));
    // It is known to be agreed on: what the other side makes of it goes over.
    stage.edit(1, json!({"phone": "2"})).await;
    stage.agree(&["p1@x.org|Pat|2|0"]).await;
    stage.pause().await;
}

/// Keeps the agent's transactions in their COMMIT for as long as somebody else has lock 42.
const GATE: &str = "
    create function gate() returns trigger language plpgsql as $$
    begin
      if session_user = 'truce' then
        perform set_config('lock_timeout', '0', true), pg_advisory_xact_lock(42);
      end if;
      return null;
    end $$;
    create constraint trigger gate after update on nmsrecipient
      deferrable initially deferred for each row execute function gate()";

pub(crate) async fn kill_before_commit_is_told<C: Crm>() {
    let mut stage = Stage::<C>::set(1, str::to_owned).await;
    stage.sql(GATE).await;
    stage.sql("select pg_advisory_lock(42)").await;
    stage.edit(1, json!({"phone": "1"})).await;
    let waiting = "select count(*)::text from pg_locks where locktype = 'advisory' and not granted";
    stage.wait("a COMMIT", async || stage.world.rows(waiting).await == ["1"]).await;
    stage.freeze();
    stage.sql("select pg_advisory_unlock(42)").await;
    stage.wait("it to be done", async || stage.written(1).await.len() == 1).await;
    stage.kill().await;
    stage.resume().await;
    stage.quiet().await;

    assert_eq!(stage.written(1).await, ["update sphone=1"]);
    assert_eq!(stage.sent(&stage.ids[0]).await, [""; 0]);
    assert_eq!((stage.decisions().await, stage.held().await), (vec![], vec![]));
    stage.sql(&format!("{PHONE} = '2' where irecipientid = 1")).await;
    stage.agree(&["p1@x.org|Pat|2|0"]).await;
    stage.pause().await;
}
