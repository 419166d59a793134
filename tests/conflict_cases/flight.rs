//! What happens while a write is on its way, and what does when its answer never comes.

use serde_json::json;

use crate::stage::Stage;

const PHONE: &str = "update nmsrecipient set sphone";

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_goes_there_and_back_while_its_write_is_in_flight_ends_as_it_was() {
    let mut stage = Stage::set(1, str::to_owned).await;
    stage.world.order("delay", json!({"ms": 1500, "count": 1, "method": "PATCH"})).await;
    stage.sql(&format!("{PHONE} = '1' where irecipientid = 1")).await;
    stage.met(1).await;
    stage.sql(&format!("{PHONE} = '0' where irecipientid = 1")).await;
    stage.wait("the way back", async || stage.sent(&stage.ids[0]).await.len() == 2).await;
    stage.quiet().await;

    assert_eq!(stage.sent(&stage.ids[0]).await, ["update Phone=1", "update Phone=0"]);
    assert_eq!(stage.written(1).await, [""; 0], "an echo is nobody's edit");
    assert_eq!(stage.decisions().await, [""; 0]);
    stage.agree(&["p1@x.org|Pat|0|0"]).await;
    stage.pause().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_lands_after_the_value_went_back_is_taken_back_and_is_nobodys_edit() {
    let mut stage = Stage::set(1, str::to_owned).await;
    stage.world.order("fail", json!({"kind": "late", "count": 1, "method": "PATCH"})).await;
    stage.sql(&format!("{PHONE} = '1' where irecipientid = 1")).await;
    stage.met(1).await;
    stage.sql(&format!("{PHONE} = '0' where irecipientid = 1")).await;
    stage.pass().await;
    let before = stage.sent(&stage.ids[0]).await.len();
    let released = stage.world.order("release", json!({})).await;
    assert_eq!(released, json!({"released": 1, "statuses": [200]}), "it lands after all");
    stage.wait("the way back", async || stage.sent(&stage.ids[0]).await.len() == before + 2).await;
    stage.quiet().await;

    let sent = stage.sent(&stage.ids[0]).await;
    assert_eq!(sent[before..], ["update Phone=1", "update Phone=0"]);
    assert_eq!(stage.written(1).await, [""; 0], "the latecomer is ours");
    assert_eq!(stage.decisions().await, [""; 0]);
    stage.agree(&["p1@x.org|Pat|0|0"]).await;
    stage.pause().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_a_write_to_the_crm_and_its_answer_costs_no_second_write_and_no_conflict() {
    let mut stage = Stage::set(1, str::to_owned).await;
    stage.world.order("delay", json!({"ms": 1000, "count": 1, "method": "PATCH"})).await;
    stage.sql(&format!("{PHONE} = '1' where irecipientid = 1")).await;
    stage.met(1).await;
    stage.freeze();
    stage.wait("the write to land", async || stage.sent(&stage.ids[0]).await.len() == 1).await;
    stage.kill().await;
    stage.resume().await;
    stage.quiet().await;

    assert_eq!(stage.sent(&stage.ids[0]).await, ["update Phone=1"]);
    assert_eq!(stage.written(1).await, [""; 0]);
    assert_eq!((stage.decisions().await, stage.held().await), (vec![], vec![]));
    // It is known to be agreed on: what the other side makes of it goes over.
    stage.edit(1, json!({"Phone": "2"})).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_a_commit_in_campaign_and_its_answer_costs_no_second_write_and_no_conflict()
{
    let mut stage = Stage::set(1, str::to_owned).await;
    stage.sql(GATE).await;
    stage.sql("select pg_advisory_lock(42)").await;
    stage.edit(1, json!({"Phone": "1"})).await;
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
