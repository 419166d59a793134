//! Setting up Campaign's database: what is missing is made, in the order that never breaks
//! Campaign, once; what was found comes back exactly; what is in the way is named; what comes
//! undone is found.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod campaign_world;

use std::process::Command;
use std::time::Duration;

use campaign_world::{ACCOUNTS, RECIPIENTS, World, wanted};
use truce::campaign::carry_out::{Patience, StepError, carry_out};
use truce::campaign::setup::{Record, Step, Wanted, drop_database, plan, plan_database, script};
use truce::campaign::watch::TableWatch;
use truce::peer::PeerError;
use truce::postgres::{Session, Settings, connect};

const HURRY: Patience = Patience {
    lock_timeout: Duration::from_millis(50),
    attempts: 2,
    pause: Duration::from_millis(20),
    transactions: Duration::from_secs(10),
};

async fn agent(world: &World) -> Session {
    world.database.grant_setup(&world.campaign).await.unwrap();
    connect(&world.campaign.truce, &Settings::default()).await.unwrap()
}

fn dump(world: &World) -> String {
    let output = Command::new(world.database.program("pg_dump"))
        .args(["--host", "127.0.0.1", "--username", "postgres", "--port"])
        .arg(world.database.port().to_string())
        .arg("campaign")
        .env("PGPASSWORD", world.database.password())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    // The marks around a dump are random since a security release.
    lines.lines().filter(|line| !line.contains("restrict")).collect::<Vec<_>>().join("\n")
}

async fn identities(world: &World) -> String {
    let query = "select string_agg(relname || relreplident::text, ',' order by relname)
                   from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace";
    world.text(query).await.unwrap()
}

async fn databases(world: &World) -> String {
    world.text("select string_agg(datname, ',' order by datname) from pg_database").await.unwrap()
}

fn sql(steps: &[Step]) -> Vec<&str> {
    steps.iter().map(|step| step.sql.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn setup_makes_what_is_missing_once_and_its_undo_leaves_no_trace() {
    let world = World::start().await;
    world.sql("alter table cusaccount replica identity nothing").await;
    let agent = agent(&world).await;
    let before = (dump(&world), identities(&world).await, databases(&world).await);

    let mut steps = plan(&agent, &wanted()).await.unwrap();
    assert_eq!(
        sql(&steps),
        [
            "alter table \"public\".\"nmsrecipient\" replica identity using index \"nmsrecipient_id\"",
            "alter table \"public\".\"cusaccount\" replica identity full",
            "create publication \"truce\" for table only \"public\".\"nmsrecipient\", \
         only \"public\".\"cusaccount\" with (publish = 'insert, update, delete, truncate')",
            "select pg_create_logical_replication_slot('truce', 'pgoutput')",
        ]
    );
    let printed = script(&steps, Some(Duration::from_millis(500)));
    assert!(steps.iter().all(|step| printed.contains(&format!("{};\n", step.sql))), "{printed}");
    steps.extend(plan_database(&agent, "truce").await.unwrap());
    let mut record = Record::default();
    record.merge(carry_out(&agent, &steps, HURRY, |_| {}).await.unwrap());
    assert_eq!(record.found.len(), 5);
    assert_eq!(plan(&agent, &wanted()).await.unwrap(), [], "a second run has nothing to do");
    assert_eq!(plan_database(&agent, "truce").await.unwrap(), None);
    world.sql("update nmsrecipient set stext1 = 'x'; delete from cusaccount").await;
    world.sql("insert into cusaccount (icusaccountid) values (0)").await;
    world.sql("update nmsrecipient set stext1 = null").await;

    // What was found outlives the process as JSON.
    let kept = serde_json::to_string(&record).unwrap();
    let record: Record = serde_json::from_str(&kept).unwrap();
    let undo = record.undo(&agent).await.unwrap();
    carry_out(&agent, &undo, HURRY, |_| {}).await.unwrap();
    agent.batch_execute(&drop_database("truce")).await.unwrap();
    assert_eq!(identities(&world).await, before.1);
    assert_eq!(databases(&world).await, before.2);
    assert_eq!(dump(&world), before.0);
    let left = "select (select count(*) from pg_publication)::text
                    || (select count(*) from pg_replication_slots)";
    assert_eq!(world.text(left).await.unwrap(), "00");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_that_was_there_is_completed_and_left_as_it_was() {
    let world = World::start().await;
    world.sql("alter table nmsrecipient replica identity using index nmsrecipient_id").await;
    world.sql("create publication truce for table nmsrecipient").await;
    let agent = agent(&world).await;
    let steps = plan(&agent, &wanted()).await.unwrap();
    assert_eq!(
        sql(&steps)[..2],
        [
            "alter table \"public\".\"cusaccount\" replica identity full",
            "alter publication \"truce\" add table only \"public\".\"cusaccount\"",
        ]
    );
    let mut record = Record::default();
    record.merge(carry_out(&agent, &steps, HURRY, |_| {}).await.unwrap());
    let undo = record.undo(&agent).await.unwrap();
    carry_out(&agent, &undo, HURRY, |_| {}).await.unwrap();
    let left = "select string_agg(tablename, ',') from pg_publication_tables";
    assert_eq!(world.text(left).await.unwrap(), "nmsrecipient");
    assert_eq!(plan(&agent, &wanted()).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_kept_from_its_lock_steps_back_and_names_the_process() {
    let world = World::start().await;
    let agent = agent(&world).await;
    world.sql("begin; update nmsrecipient set stext1 = 'x' where irecipientid = 0").await;
    let pid = world.text("select pg_backend_pid()::text").await.unwrap();
    let steps = plan(&agent, &wanted()).await.unwrap();
    let error = carry_out(&agent, &steps, HURRY, |_| {}).await.unwrap_err();
    let StepError::Blocked { blockers, .. } = &error else { panic!("{error}") };
    assert_eq!(blockers[0].pid.to_string(), pid);
    assert!(error.to_string().contains(&format!("process {pid} (campaign")), "{error}");
    world.sql("rollback").await;
    carry_out(&agent, &steps, HURRY, |_| {}).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_the_statement_is_named_for_a_dba() {
    let world = World::start().await;
    let agent = connect(&world.campaign.truce, &Settings::default()).await.unwrap();
    let steps = plan(&agent, &wanted()).await.unwrap();
    let error = carry_out(&agent, &steps, HURRY, |_| {}).await.unwrap_err();
    let StepError::Denied { sql, .. } = &error else { panic!("{error}") };
    assert_eq!(*sql, steps[0].sql);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_followed_is_refused_with_what_would_mend_it() {
    let world = World::start().await;
    world
        .sql(
            "drop index nmsrecipient_id;
             create unique index nmsrecipient_key on nmsrecipient (irecipientid)
              where irecipientid <> 0",
        )
        .await;
    let refused = async |wanted: &Wanted| match plan(&world.owner, wanted).await {
        Err(PeerError::Unfit { why }) => why,
        other => panic!("{other:?}"),
    };
    let why = refused(&wanted()).await;
    assert!(why.contains("nmsrecipient_key covers some rows only"), "{why}");
    assert!(why.contains("create unique index"), "{why}");
    let mut other = wanted();
    other.tables[0].name = "nmsprospect".into();
    assert!(refused(&other).await.contains("no table public.nmsprospect"));
    world.sql("create unlogged table wkf1 (i integer not null); create unique index wkf1_id on wkf1 (i)").await;
    other.tables[0].name = "wkf1".into();
    assert!(refused(&other).await.contains("set logged"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_undone_is_found_and_mended_and_campaigns_updates_pass_again() {
    let world = World::start().await;
    let agent = agent(&world).await;
    let steps = plan(&agent, &wanted()).await.unwrap();
    carry_out(&agent, &steps, HURRY, |_| {}).await.unwrap();
    let tables = world.tables().await;
    let mut watch = TableWatch::new(&tables);
    let quiet = watch.look(&agent, &wanted(), &tables, HURRY).await.unwrap();
    assert_eq!(quiet, truce::campaign::watch::Watched::default());

    // REINDEX is harmless; an index dropped and made again is not.
    world.sql("reindex table nmsrecipient").await;
    world.sql("update nmsrecipient set stext1 = 'a'").await;
    world.sql("drop index nmsrecipient_id").await;
    world.sql("create unique index nmsrecipient_id on nmsrecipient (irecipientid)").await;
    world.owner.batch_execute("update nmsrecipient set stext1 = 'b'").await.unwrap_err();
    let seen = watch.look(&agent, &wanted(), &tables, HURRY).await.unwrap();
    assert!(seen.alarms[0].mended && seen.alarms[0].sql.contains("using index"), "{seen:?}");
    assert!(seen.compare.is_empty());
    world.sql("update nmsrecipient set stext1 = 'c'").await;

    // Dropped and not made again: the whole row names the row until it is back.
    world.sql("drop index nmsrecipient_id").await;
    let seen = watch.look(&agent, &wanted(), &tables, HURRY).await.unwrap();
    assert!(seen.alarms[0].mended && seen.alarms[0].sql.ends_with("identity full"), "{seen:?}");
    world.sql("update nmsrecipient set stext1 = 'd'").await;
    world.sql("create unique index nmsrecipient_id on nmsrecipient (irecipientid)").await;
    watch.look(&agent, &wanted(), &tables, HURRY).await.unwrap();

    // Rebuilt by copy and rename: the new table is not published, and was not compared.
    world
        .sql(
            "create table nmsrecipient_tmp (like nmsrecipient including defaults);
             insert into nmsrecipient_tmp select * from nmsrecipient;
             drop table nmsrecipient;
             alter table nmsrecipient_tmp rename to nmsrecipient;
             create unique index nmsrecipient_id on nmsrecipient (irecipientid)",
        )
        .await;
    let seen = watch.look(&agent, &wanted(), &tables, HURRY).await.unwrap();
    assert_eq!(seen.compare, [RECIPIENTS].into());
    assert_eq!(seen.alarms.iter().filter(|alarm| alarm.mended).count(), 2, "{seen:?}");
    world.sql("update nmsrecipient set stext1 = 'e'").await;
    let quiet = watch.look(&agent, &wanted(), &tables, HURRY).await.unwrap();
    assert_eq!(quiet, truce::campaign::watch::Watched::default());

    // Where the role may not, the statement is told.
    let stranger = connect(&world.campaign.truce, &Settings::default()).await.unwrap();
    world
        .database
        .session("postgres")
        .await
        .unwrap()
        .batch_execute("revoke campaign from truce")
        .await
        .unwrap();
    world.sql("alter table nmsrecipient replica identity nothing").await;
    let seen = watch.look(&stranger, &wanted(), &tables, HURRY).await.unwrap();
    assert!(!seen.alarms[0].mended && seen.alarms[0].sql.contains("using index"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_out_of_the_publication_for_a_while_is_compared_whoever_puts_it_back() {
    let world = World::start().await;
    let agent = agent(&world).await;
    let steps = plan(&agent, &wanted()).await.unwrap();
    carry_out(&agent, &steps, HURRY, |_| {}).await.unwrap();
    let tables = world.tables().await;
    let mut watch = TableWatch::new(&tables);
    let superuser = world.database.session("campaign").await.unwrap();
    let remove = "alter publication truce drop table cusaccount";
    superuser.batch_execute(remove).await.unwrap();
    let seen = watch.look(&agent, &wanted(), &tables, HURRY).await.unwrap();
    assert!(seen.alarms[0].mended, "{seen:?}");
    assert_eq!(seen.compare, [ACCOUNTS].into(), "it is the same table, and was not followed");

    superuser.batch_execute(remove).await.unwrap();
    superuser.batch_execute("revoke campaign from truce").await.unwrap();
    for _ in 0..2 {
        let seen = watch.look(&agent, &wanted(), &tables, HURRY).await.unwrap();
        assert!(!seen.alarms[0].mended && seen.compare.is_empty(), "{seen:?}");
    }
    superuser.batch_execute("alter publication truce add table cusaccount").await.unwrap();
    let seen = watch.look(&agent, &wanted(), &tables, HURRY).await.unwrap();
    assert!(seen.alarms.is_empty());
    assert_eq!(seen.compare, [ACCOUNTS].into());
    let quiet = watch.look(&agent, &wanted(), &tables, HURRY).await.unwrap();
    assert_eq!(quiet, truce::campaign::watch::Watched::default());

    // A table that cannot be followed any more does not hide that another was rebuilt.
    world
        .sql(
            "create unlogged table nmsrecipient_tmp (like nmsrecipient including all);
             drop table nmsrecipient;
             alter table nmsrecipient_tmp rename to nmsrecipient;
             create table cusaccount_tmp (like cusaccount including all);
             drop table cusaccount;
             alter table cusaccount_tmp rename to cusaccount",
        )
        .await;
    let seen = watch.look(&agent, &wanted(), &tables, HURRY).await.unwrap();
    assert_eq!(seen.compare, [RECIPIENTS, ACCOUNTS].into());
    assert!(seen.alarms.iter().any(|alarm| alarm.what.contains("logged")), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_followed_does_not_keep_another_from_being_mended() {
    let world = World::start().await;
    let agent = agent(&world).await;
    let steps = plan(&agent, &wanted()).await.unwrap();
    carry_out(&agent, &steps, HURRY, |_| {}).await.unwrap();
    let tables = world.tables().await;
    let mut watch = TableWatch::new(&tables);
    world
        .sql(
            "create unlogged table nmsrecipient_tmp (like nmsrecipient including all);
             drop table nmsrecipient;
             alter table nmsrecipient_tmp rename to nmsrecipient;
             create table cusaccount_tmp (like cusaccount including all);
             drop table cusaccount;
             alter table cusaccount_tmp rename to cusaccount",
        )
        .await;
    let seen = watch.look(&agent, &wanted(), &tables, HURRY).await.unwrap();
    assert!(seen.alarms.iter().any(|alarm| alarm.what.contains("not logged")), "{seen:?}");
    assert!(seen.compare.contains(&ACCOUNTS), "{seen:?}");
    let published = "select string_agg(tablename, ',') from pg_publication_tables";
    assert_eq!(world.text(published).await.as_deref(), Some("cusaccount"));
    world.sql("insert into cusaccount (icusaccountid) values (7)").await;
    world.sql("update cusaccount set sname = 'x' where icusaccountid = 7").await;

    // Followed again as soon as it can be, and compared.
    world.sql("alter table nmsrecipient set logged").await;
    let seen = watch.look(&agent, &wanted(), &tables, HURRY).await.unwrap();
    assert!(seen.alarms.iter().all(|alarm| alarm.mended), "{seen:?}");
    assert_eq!(seen.compare, [RECIPIENTS].into());
    let quiet = watch.look(&agent, &wanted(), &tables, HURRY).await.unwrap();
    assert_eq!(quiet, truce::campaign::watch::Watched::default());
}
