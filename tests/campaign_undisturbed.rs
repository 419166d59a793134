//! Campaign goes on as if nobody were there: its workflows, structure updates and maintenance, while
//! the agent reads and writes the same tables; and what comes undone is said, and found.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};
use truce::simulator::people::{
    Agent, Both, Cast, Desk, Draw, Mappings, Screen, Stage, StageOptions, address,
};

const AGREE_MAX: Duration = Duration::from_mins(3);
/// The tables are looked at twice a minute.
const NOTICE_MAX: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// The agent's statements give up waiting after 500 ms, so nobody can wait for them longer than for
/// that and for one statement. From here on the server writes a line about whoever waits.
const WAIT_MAX_MS: u64 = 800;

async fn agreeing() -> (Stage, Cast, Agent) {
    let settings =
        [("log_lock_waits", "on".to_owned()), ("deadlock_timeout", format!("{WAIT_MAX_MS}ms"))];
    let options = StageOptions {
        mappings: Mappings { poll_seconds: 0.2, ..Mappings::default() },
        settings: settings.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        ..StageOptions::default()
    };
    let stage = Stage::set(Path::new(env!("CARGO_BIN_EXE_truce")), options).await.unwrap();
    let cast = stage.fill(200, &mut Draw::new(17)).await.unwrap();
    stage.truce(&["setup"]).await.unwrap();
    let mut agent = stage.agent().unwrap();
    agent.leads().await.unwrap();
    agree(&stage, &mut agent).await;
    (stage, cast, agent)
}

async fn agree(stage: &Stage, agent: &mut Agent) -> Both {
    let deadline = Instant::now() + AGREE_MAX;
    loop {
        agent.must_live().unwrap();
        let both = Both::read(&stage.desk, &stage.screen).await.unwrap();
        let differences = both.differences();
        if differences.is_empty() {
            return both;
        }
        assert!(
            Instant::now() < deadline,
            "{} differences, first {}\n{}",
            differences.len(),
            differences[0],
            stage.truce(&["held", "list"]).await.unwrap()
        );
        sleep(LOOK_EVERY).await;
    }
}

async fn log_says(agent: &mut Agent, words: &[&str]) {
    let deadline = Instant::now() + NOTICE_MAX;
    loop {
        agent.must_live().unwrap();
        let log = agent.log();
        if log.lines().any(|line| words.iter().all(|word| line.contains(word))) {
            return;
        }
        assert!(Instant::now() < deadline, "no line with {words:?} in\n{log}");
        sleep(LOOK_EVERY).await;
    }
}

/// The CRM's people edit one contact after another until they are told to stop, so that the agent
/// always has something to write to Campaign.
async fn keep_editing(
    screen: Screen,
    people: Vec<(usize, String)>,
    stop: Arc<AtomicBool>,
) -> usize {
    let mut edits = 0;
    while !stop.load(Ordering::Acquire) {
        let (_, id) = &people[edits % people.len()];
        edits += 1;
        let value = json!(format!("busy {edits}"));
        screen.edit("Contact", id, ("MailingCity", &value)).await.unwrap();
    }
    edits
}

/// A workflow: rows one by one from the last to the first, where the agent goes by key upwards.
async fn workflow(desk: &Desk, round: usize) {
    let rows = desk
        .read("select irecipientid from nmsrecipient where irecipientid <> 0 order by 1 desc", &[])
        .await
        .unwrap();
    desk.script("begin").await.unwrap();
    for row in rows {
        let key: i32 = row.get(0);
        let update = "update nmsrecipient set stext2 = $2, tslastmodified = now() \
                      where irecipientid = $1";
        desk.run(update, &[&key, &format!("workflow {round}")]).await.unwrap();
    }
    desk.script("commit").await.unwrap();
}

const STRUCTURE: [&str; 6] = [
    "alter table nmsrecipient alter column scity type varchar(100)",
    "alter table nmsrecipient add column sextra varchar(20)",
    "update nmsrecipient set sextra = 'x' where irecipientid <> 0",
    "alter table nmsrecipient drop column sextra",
    "reindex index nmsrecipient_id",
    "reindex table nmsrecipient",
];

#[tokio::test(flavor = "multi_thread")]
async fn workflows_structure_updates_and_maintenance_neither_fail_nor_wait_nor_deadlock() {
    let (stage, cast, mut agent) = agreeing().await;
    let stop = Arc::new(AtomicBool::new(false));
    let busy = keep_editing(stage.screen.clone(), cast.both.clone(), Arc::clone(&stop));
    let busy = tokio::spawn(busy);
    // A long transaction holds rows of its own beside all the rest.
    let long = Desk::open(&stage.campaign.owner).await.unwrap();
    let held = [address(0), address(1), address(2)];
    for round in 0..5 {
        workflow(&stage.desk, round).await;
        for statement in STRUCTURE {
            stage.desk.script(statement).await.unwrap();
        }
        long.script("begin").await.unwrap();
        for who in &held {
            assert_eq!(long.edit(who, "stext3", &format!("long {round}")).await.unwrap(), 1);
        }
        let others = "update nmsrecipient set stext4 = 'beside' \
                      where irecipientid <> 0 and semail <> all($1)";
        assert!(0 < stage.desk.run(others, &[&&held[..]]).await.unwrap());
        long.script("commit").await.unwrap();
    }
    stop.store(true, Ordering::Release);
    let edits = busy.await.unwrap();
    assert!(100 < edits, "the agent had work beside all this");
    agree(&stage, &mut agent).await;

    let server = std::fs::read_to_string(stage.database.directory().join("server.log")).unwrap();
    let hurt =
        ["deadlock detected", "still waiting for", "canceling statement due to lock timeout"];
    let lines: Vec<&str> = server
        .lines()
        .filter(|line| line.contains("campaign@") && hurt.iter().any(|word| line.contains(word)))
        .collect();
    assert!(lines.is_empty(), "Campaign was disturbed:\n{}", lines.join("\n"));
    assert!(agent.stop().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_index_that_is_dropped_and_made_again_is_alarmed_with_its_sql() {
    let (stage, cast, mut agent) = agreeing().await;
    stage
        .desk
        .script(
            "drop index nmsrecipient_id; \
             create unique index nmsrecipient_id on nmsrecipient (irecipientid)",
        )
        .await
        .unwrap();
    let sql = "replica identity using index";
    log_says(&mut agent, &["ERROR", "a table came undone", sql, "nmsrecipient_id"]).await;
    // The agent's role may mend it here, so Campaign's updates pass again, and arrive.
    let who = address(cast.both[0].0);
    assert_eq!(stage.desk.edit(&who, "sphone", "mended").await.unwrap(), 1);
    let both = agree(&stage, &mut agent).await;
    assert_eq!(both.person(&who).1.unwrap()["Phone"], "mended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_rebuilt_by_copy_and_rename_is_found_and_compared() {
    let (stage, cast, mut agent) = agreeing().await;
    let who = address(cast.both[1].0);
    // The edit is made in the copy, which nobody publishes: only a comparison can find it.
    let rebuild = format!(
        "begin;
         create table nmsrecipient_copy (like nmsrecipient including all);
         insert into nmsrecipient_copy select * from nmsrecipient;
         update nmsrecipient_copy set sphone = 'in the copy' where semail = '{who}';
         drop table nmsrecipient;
         alter table nmsrecipient_copy rename to nmsrecipient;
         commit"
    );
    stage.desk.script(&rebuild).await.unwrap();
    log_says(&mut agent, &["its table was rebuilt: comparing", "contacts"]).await;
    let both = agree(&stage, &mut agent).await;
    assert_eq!(both.person(&who).1.unwrap()["Phone"], "in the copy");
    // From then on it is followed as before.
    assert_eq!(stage.desk.edit(&who, "sphone", "after").await.unwrap(), 1);
    let both = agree(&stage, &mut agent).await;
    assert_eq!(both.person(&who).1.unwrap()["Phone"], "after");
}

/// What the alarms of a log name as their remedies, each once, in their order.
fn remedies(log: &str) -> Vec<String> {
    let alarms = log.lines().filter(|line| line.contains("a table came undone"));
    let mut all: Vec<String> = Vec::new();
    for line in alarms {
        let sql = line.split("sql=\"").nth(1).and_then(|rest| rest.split("\" mended").next());
        let sql = sql.unwrap_or_default().replace("\\\"", "\"");
        if !sql.is_empty() && !all.contains(&sql) {
            all.push(sql);
        }
    }
    all
}

async fn log_counts(agent: &mut Agent, words: &str, wanted: usize) {
    let deadline = Instant::now() + NOTICE_MAX;
    while agent.log().matches(words).count() < wanted {
        agent.must_live().unwrap();
        assert!(Instant::now() < deadline, "not {wanted} times {words:?} in\n{}", agent.log());
        sleep(LOOK_EVERY).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_role_may_not_mend_is_alarmed_with_its_sql_and_compared_once_that_was_run() {
    let (stage, cast, mut agent) = agreeing().await;
    let superuser = Desk::open(&stage.campaign.superuser).await.unwrap();
    let rights = "grant select, insert, update, delete on nmsrecipient, cusaccount to truce;
                  grant select on xtkoption to truce;
                  grant usage on sequence xtknewid, nmsrecipientid to truce";
    stage.desk.script(rights).await.unwrap();
    superuser.script("revoke campaign from truce").await.unwrap();
    let rebuild = "begin;
         create table nmsrecipient_copy (like nmsrecipient including all);
         insert into nmsrecipient_copy select * from nmsrecipient;
         drop table nmsrecipient;
         alter table nmsrecipient_copy rename to nmsrecipient;
         grant select, insert, update, delete on nmsrecipient to truce;
         commit";
    let scanned = agent.log().matches("both sides are scanned").count();
    stage.desk.script(rebuild).await.unwrap();
    let add = "alter publication \\\"truce\\\" add table only";
    log_says(&mut agent, &["ERROR", "a table came undone", add, "nmsrecipient"]).await;
    log_counts(&mut agent, "both sides are scanned", scanned + 1).await;
    // After that comparison, and before anybody publishes the table: it is in no log, and nothing
    // follows it that would be.
    let who = address(cast.both[4].0);
    assert_eq!(stage.desk.edit(&who, "sphone", "between").await.unwrap(), 1);
    let remedies = remedies(&agent.log());
    assert_eq!(remedies.len(), 2, "identity and publication: {remedies:?}");
    for sql in remedies {
        superuser.script(&sql).await.unwrap();
    }
    let both = agree(&stage, &mut agent).await;
    assert_eq!(both.person(&who).1.unwrap()["Phone"], "between");
    assert_eq!(stage.desk.edit(&who, "sphone", "after").await.unwrap(), 1);
    let both = agree(&stage, &mut agent).await;
    assert_eq!(both.person(&who).1.unwrap()["Phone"], "after");
    assert!(agent.stop().await.unwrap().success());
}

/// Until the CRM holds this of a person.
async fn crm_holds(stage: &Stage, agent: &mut Agent, (id, field): (&str, &str), value: &str) {
    let deadline = Instant::now() + AGREE_MAX;
    loop {
        agent.must_live().unwrap();
        let records = stage.screen.records("Contact", &format!("Id,{field}")).await.unwrap();
        let record = records.iter().find(|record| record["Id"] == id).unwrap();
        if record[field] == value {
            return;
        }
        assert!(Instant::now() < deadline, "{field} is {}, not {value}", record[field]);
        sleep(LOOK_EVERY).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapped_column_that_is_gone_for_a_while_pauses_its_field_and_catches_up() {
    let (stage, cast, mut agent) = agreeing().await;
    let (number, id) = &cast.both[2];
    let (who, gone) = (address(*number), "rename column sphone to sphone_old");
    stage.desk.script(&format!("alter table nmsrecipient {gone}")).await.unwrap();
    // Campaign's own update passes, and what else it changes arrives.
    let edit = "update nmsrecipient set sphone_old = 'unseen', scity = 'Elsewhere'
                 where semail = $1";
    assert_eq!(stage.desk.run(edit, &[&who]).await.unwrap(), 1);
    crm_holds(&stage, &mut agent, (id, "MailingCity"), "Elsewhere").await;
    // So do edits of the CRM, of the field and of its neighbour.
    let (_, other) = &cast.both[3];
    stage.screen.edit("Contact", other, ("Phone", &json!("from the CRM"))).await.unwrap();
    stage.screen.edit("Contact", other, ("MailingCity", &json!("Nowhere"))).await.unwrap();
    let there = address(cast.both[3].0);
    let deadline = Instant::now() + AGREE_MAX;
    let city = "select 1 from nmsrecipient where semail = $1 and scity = 'Nowhere'";
    while stage.desk.read(city, &[&there]).await.unwrap().is_empty() {
        assert!(Instant::now() < deadline, "the neighbour waits");
        sleep(LOOK_EVERY).await;
    }
    log_says(&mut agent, &["ERROR", "a table came undone", "`sphone`", "is gone", "phone"]).await;

    let back = "rename column sphone_old to sphone";
    stage.desk.script(&format!("alter table nmsrecipient {back}")).await.unwrap();
    log_says(&mut agent, &["WARN", "a mapped column is back", "sphone"]).await;
    let both = agree(&stage, &mut agent).await;
    assert_eq!(both.person(&who).1.unwrap()["Phone"], "unseen");
    assert_eq!(both.person(&there).1.unwrap()["Phone"], "from the CRM");
    assert!(agent.stop().await.unwrap().success());
}

/// The schema as `pg_dump` sees it, and what no dump shows.
async fn found(stage: &Stage) -> (String, Vec<String>) {
    let output = Command::new(stage.database.program("pg_dump"))
        .args(["--schema-only", "--username", "postgres", "--host"])
        .arg(stage.database.directory())
        .args(["--port", &stage.database.port().to_string(), "campaign"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let dump = String::from_utf8(output.stdout).unwrap();
    // The marks around a dump are random since a security release.
    let dump = dump.lines().filter(|line| !line.contains("restrict")).collect::<Vec<_>>();
    let beside = "select relname || ' ' || relreplident::text from pg_class where relkind = 'r'
                    and relnamespace = 'public'::regnamespace
                  union all select 'index ' || indexrelid::regclass::text from pg_index
                   where indisreplident
                  union all select 'database ' || datname::text from pg_database
                  union all select 'slot ' || slot_name::text from pg_replication_slots
                  union all select 'publication ' || pubname::text from pg_publication
                   order by 1";
    let superuser = Desk::open(&stage.campaign.superuser).await.unwrap();
    let rows = superuser.read(beside, &[]).await.unwrap();
    (dump.join("\n"), rows.iter().map(|row| row.get(0)).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_agent_was_there_undo_leaves_the_database_as_it_was_found() {
    let stage = Stage::set(Path::new(env!("CARGO_BIN_EXE_truce")), StageOptions::default());
    let stage = stage.await.unwrap();
    stage.fill(40, &mut Draw::new(23)).await.unwrap();
    let before = found(&stage).await;
    stage.truce(&["setup"]).await.unwrap();
    let mut agent = stage.agent().unwrap();
    agent.leads().await.unwrap();
    agree(&stage, &mut agent).await;
    assert!(agent.stop().await.unwrap().success());
    assert_ne!(found(&stage).await.1, before.1, "there is something to undo");
    stage.truce(&["setup", "--undo", "--yes"]).await.unwrap();
    let after = found(&stage).await;
    assert_eq!(after.1, before.1);
    assert_eq!(after.0, before.0);
}
