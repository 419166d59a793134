//! What is done to rows and tables is what arrives.

use truce::simulator::database::DatabaseOptions;

use crate::support::{World, commits};

const TABLE: &str = "create table t (id integer not null, name text, big text);
     create unique index t_id on t (id);
     alter table t alter big set storage external";

#[tokio::test(flavor = "multi_thread")]
async fn changes_arrive_as_they_were_made() {
    let world = World::new(DatabaseOptions::default()).await;
    world.run(TABLE).await;
    world.publish("t", "t_id").await;
    let mut stream = world.stream().await;
    world.run("insert into t values (1, 'one', repeat('x', 3000)), (2, null, '')").await;
    world.run("update t set name = 'uno' where id = 1").await;
    world.run("update t set big = 'small' where id = 1").await;
    world.run("update t set id = 3 where id = 1").await;
    world.run("begin; delete from t where id = 3; insert into t values (4); commit").await;
    world.run("begin; insert into t values (5); rollback").await;
    world.run("begin; savepoint s; insert into t values (6); rollback to s; insert into t values (7); commit").await;
    let (lines, _) = commits(&mut stream, 6).await;
    insta::assert_snapshot!(lines.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_identity_shows_what_a_row_was() {
    let world = World::new(DatabaseOptions::default()).await;
    world.run(TABLE).await;
    world.publish("t", "t_id").await;
    world.run("alter table t replica identity full").await;
    let mut stream = world.stream().await;
    world.run("insert into t values (1, 'one', repeat('x', 3000))").await;
    world.run("update t set name = 'uno'").await;
    world.run("delete from t").await;
    let (lines, _) = commits(&mut stream, 3).await;
    insta::assert_snapshot!(lines.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_changes_is_described_again() {
    let world = World::new(DatabaseOptions::default()).await;
    world.run(TABLE).await;
    world.run("create type mood as enum ('calm', 'keen')").await;
    world.publish("t", "t_id").await;
    let mut stream = world.stream().await;
    world.run("insert into t values (1)").await;
    world
        .run(
            "alter table t add column felt mood, drop column big;
             insert into t values (2, 'two', 'keen')",
        )
        .await;
    world
        .run(
            "alter table t rename column name to label;
             alter table t alter label type varchar(80);
             insert into t values (3)",
        )
        .await;
    let (lines, _) = commits(&mut stream, 3).await;
    insta::assert_snapshot!(lines.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn emptied_tables_messages_and_origins_arrive() {
    let world = World::new(DatabaseOptions::default()).await;
    world.run(TABLE).await;
    world.run("create table u (id integer not null generated always as identity); create unique index u_id on u (id)").await;
    world.publish("t", "t_id").await;
    world
        .run("alter table u replica identity using index u_id; alter publication truce add table u")
        .await;
    let mut stream = world.stream().await;
    world.run("insert into t values (1); insert into u default values").await;
    world.run("truncate t, u restart identity cascade").await;
    world.run("begin; select pg_logical_emit_message(true, 'ours', 'within'); insert into t values (2); commit").await;
    world.run("select pg_logical_emit_message(false, 'ours', 'by itself')").await;
    let origin = "select pg_replication_origin_create('elsewhere');
         select pg_replication_origin_session_setup('elsewhere');
         begin; select pg_replication_origin_xact_setup('1/2', '2020-02-02 02:02:02+00');
         insert into t values (3); commit";
    world.admin.batch_execute(origin).await.unwrap();
    let (lines, _) = commits(&mut stream, 4).await;
    insta::assert_snapshot!(lines.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_larger_than_any_buffer_arrives_and_the_stream_goes_on() {
    let world = World::new(DatabaseOptions::default()).await;
    world.run(TABLE).await;
    world.publish("t", "t_id").await;
    let mut stream = world.stream().await;
    world.run("insert into t values (1, 'large', repeat('x', 20000000))").await;
    world.run("insert into t select i, 'small' from generate_series(2, 5000) as i").await;
    let (lines, _) = commits(&mut stream, 2).await;
    assert_eq!(lines[2], "insert ('1', 'large', 20000000 bytes)");
    assert_eq!(lines.iter().filter(|line| line.starts_with("insert")).count(), 5000);
    assert_eq!(lines[lines.len() - 2], "insert ('5000', 'small', null)");
}

#[tokio::test(flavor = "multi_thread")]
async fn campaigns_own_statements_arrive_and_other_tables_do_not() {
    let world = World::new(DatabaseOptions::default()).await;
    world.publish("nmsrecipient", "nmsrecipient_id").await;
    let mut stream = world.stream().await;
    world.run("insert into nmsrecipient (irecipientid, semail, ifolderid, tscreated)
               values (7, 'a@example.com', DefaultFolder('nmsFolder'), '2020-02-02 02:02:02.25+02')").await;
    world.run("create table wkf1 (i integer); insert into wkf1 values (1); drop table wkf1").await;
    world.run("update nmsrecipient set iblacklist = 1 where irecipientid = 7").await;
    let (lines, _) = commits(&mut stream, 2).await;
    insta::assert_snapshot!(lines.join("\n"));
}
