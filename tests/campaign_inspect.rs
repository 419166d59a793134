//! What `check` finds in Campaign's database: each finding names its remedy, and the remedies,
//! carried out, leave nothing to be found.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod campaign_world;

use campaign_world::{ACCOUNTS, Noted, RECIPIENTS, Ticks, World, delete};
use truce::campaign::inspect::{Expectations, Finding, Health, MappingNeeds, inspect};
use truce::campaign::setup::Chosen;
use truce::peer::Writer as _;
use truce::postgres::{Session, Settings, connect};
use truce::reconcile::Outcome;

fn expectations() -> Expectations {
    Expectations {
        schema: "public".into(),
        publication: "truce".into(),
        slot: "truce".into(),
        lock_timeout_ms: 500,
        retained_max: 1 << 30,
        mappings: vec![MappingNeeds {
            name: "contacts".into(),
            table: "nmsrecipient".into(),
            key: "irecipientid".into(),
            identity: Chosen::Index,
            columns: ["semail", "sfirstname", "iblacklistemail"].map(Into::into).into(),
            written: ["semail", "sfirstname"].map(Into::into).into(),
            matched: vec!["semail".into()],
            flags: Vec::new(),
            creates: true,
            deletes: false,
            id_function: None,
            misses_blacklist: false,
        }],
    }
}

async fn look(session: &Session, wanted: &Expectations) -> Vec<Finding> {
    inspect(session, wanted).await.unwrap()
}

fn failing(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.health == Health::Fail).collect()
}

fn named<'a>(findings: &'a [Finding], what: &str) -> &'a Finding {
    findings.iter().find(|finding| finding.what.contains(what)).unwrap()
}

async fn agent(world: &World) -> Session {
    connect(&world.campaign.truce, &Settings::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_names_the_statement_that_mends_it() {
    let world = World::start().await;
    let revoke = "revoke all on nmsrecipient, xtkoption from truce;
                  revoke execute on all functions in schema public from public";
    world.sql(revoke).await;
    let superuser = world.database.session("campaign").await.unwrap();
    superuser.batch_execute("alter role truce noreplication").await.unwrap();
    let agent = agent(&world).await;
    let findings = look(&agent, &expectations()).await;
    let failed = failing(&findings);
    assert_eq!(failed.len(), 7, "{failed:#?}");
    for finding in failed {
        let sql = finding.remedy.as_deref().unwrap();
        superuser.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    let findings = look(&agent, &expectations()).await;
    assert_eq!(failing(&findings), Vec::<&Finding>::new());
    assert_eq!(named(&findings, "setup").health, Health::Good);
}

/// What is lacking of the rights, as the statements that would give them.
async fn grants(session: &Session, wanted: &Expectations, what: &str) -> Vec<String> {
    let findings = look(session, wanted).await;
    let failing = findings.into_iter().filter(|finding| finding.health == Health::Fail);
    let of_it = failing.filter(|finding| finding.what.contains(what));
    of_it.map(|finding| finding.remedy.unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_need_the_right_to_lock_which_is_that_to_update() {
    let world = World::start().await;
    world
        .sql("insert into cusaccount (icusaccountid, sname) values (7, 'Acme'), (8, 'Bolt')")
        .await;
    world
        .sql(
            "revoke all on nmsrecipient, cusaccount from truce;
             grant select on nmsrecipient, cusaccount, xtkoption to truce;
             grant delete on cusaccount to truce",
        )
        .await;
    let mut wanted = expectations();
    wanted.mappings[0] = MappingNeeds {
        name: "accounts".into(),
        table: "cusaccount".into(),
        key: "icusaccountid".into(),
        identity: Chosen::Full,
        columns: vec!["sname".into()],
        written: vec![],
        creates: false,
        deletes: true,
        ..wanted.mappings[0].clone()
    };
    let agent = agent(&world).await;
    let lacking = grants(&agent, &wanted, "accounts: rights").await;
    assert_eq!(lacking, [r#"grant update on "public"."cusaccount" to "truce""#]);
    // That is so: without it the writer cannot take the row, with the right to one column it can.
    let gone = || vec![delete(ACCOUNTS, "7", &[])];
    let writer = world.writer().await;
    let (notes, mut ticks) = (Noted::default(), Ticks::default());
    let outcomes = writer.write(gone(), &notes, &mut ticks).await.unwrap();
    assert!(matches!(&outcomes[0], Outcome::Refused(refusal) if &*refusal.code == "42501"));
    world.sql("grant update (sname) on cusaccount to truce").await;
    assert!(grants(&agent, &wanted, "accounts: rights").await.is_empty());
    let outcomes = writer.write(gone(), &notes, &mut ticks).await.unwrap();
    assert!(matches!(outcomes[0], Outcome::Done { .. }), "{outcomes:?}");
    world.sql("revoke all on cusaccount from truce").await;
    let lacking = grants(&agent, &wanted, "accounts: rights").await;
    assert_eq!(lacking, [r#"grant select, update, delete on "public"."cusaccount" to "truce""#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_need_the_function_and_the_sequence_that_it_draws_from() {
    let world = World::start().await;
    let revoke = "revoke all on sequence nmsrecipientid, xtknewid from truce;
                  revoke execute on all functions in schema public from public";
    world.sql(revoke).await;
    let agent = agent(&world).await;
    let lacking = |wanted: Expectations| {
        let agent = &agent;
        async move { grants(agent, &wanted, "keys for new records").await }
    };
    let found = lacking(expectations()).await;
    assert_eq!(
        found,
        [
            r#"grant execute on function getnewnmsrecipientids(integer) to "truce""#,
            r#"grant usage on sequence public.nmsrecipientid to "truce""#,
        ]
    );
    world.sql(&found[0]).await;
    // Either right draws.
    world.sql("grant update on sequence nmsrecipientid to truce").await;
    assert!(lacking(expectations()).await.is_empty());
    assert_eq!(world.writer().await.draw_keys(RECIPIENTS, 2).await.unwrap().len(), 2);

    let named = |function: &str| {
        let mut wanted = expectations();
        wanted.mappings[0].id_function = Some(function.to_owned());
        wanted
    };
    world
        .sql(
            "create function getownids(n bigint) returns text language sql security definer as
             $$ select string_agg(nextval('xtknewid')::text, ',') from generate_series(1, n) $$;
             create function getplainids(n bigint) returns text language sql
             begin atomic
                select string_agg(nextval('xtknewid')::text, ',') from generate_series(1, n);
             end;
             grant execute on function getownids(bigint), getplainids(bigint) to truce",
        )
        .await;
    assert!(lacking(named("getownids")).await.is_empty(), "it draws with its owner's rights");
    let plain = lacking(named("getplainids")).await;
    assert_eq!(plain, [r#"grant usage on sequence public.xtknewid to "truce""#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_did_to_the_publication_is_found() {
    let world = World::start().await;
    world.set_up().await;
    let superuser = world.database.session("campaign").await.unwrap();
    superuser
        .batch_execute(
            "alter publication truce drop table nmsrecipient;
             alter publication truce add table nmsrecipient (irecipientid, semail);
             alter publication truce add table xtkoption;
             create publication bi for table nmsrecipient;
             create index on nmsrecipient (smember)",
        )
        .await
        .unwrap();
    let findings = look(&agent(&world).await, &expectations()).await;
    let found = |words: &str, health: Health| {
        let known = findings.iter().find(|finding| finding.cause.contains(words));
        assert_eq!(known.map(|finding| finding.health), Some(health), "{words}: {findings:#?}");
    };
    found("nmsrecipient has a column list", Health::Fail);
    found("xtkoption, which is not mapped", Health::Fail);
    found("cusaccount, which is not mapped", Health::Warn);
    assert_eq!(named(&findings, "publication bi").health, Health::Warn);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_columns_and_settings_that_do_not_fit_are_named() {
    let world = World::start_with(&[("wal_level", "replica"), ("deadlock_timeout", "300ms")]).await;
    world.sql("alter table cusaccount drop column tslastmodified").await;
    let mut wanted = expectations();
    let recipients = wanted.mappings[0].clone();
    wanted.mappings[0].columns.push("sEmail".into());
    wanted.mappings[0].misses_blacklist = true;
    wanted.mappings.push(MappingNeeds { table: "nmsprospect".into(), ..recipients.clone() });
    wanted.mappings.push(MappingNeeds {
        name: "accounts".into(),
        table: "cusaccount".into(),
        key: "icusaccountid".into(),
        identity: Chosen::Full,
        columns: vec!["sname".into()],
        written: vec!["sname".into()],
        id_function: Some("getnewaccountids".to_owned()),
        ..recipients
    });
    let findings = look(&agent(&world).await, &wanted).await;
    let is = |what: &str, health: Health, words: &str| {
        let finding = named(&findings, what);
        let text = format!("{} {}", finding.cause, finding.remedy.as_deref().unwrap_or(""));
        assert_eq!(finding.health, health, "{finding:?}");
        assert!(text.contains(words), "{text}");
    };
    is("wal_level", Health::Fail, "alter system set wal_level = 'logical'");
    is("lock timeout", Health::Fail, "below 300");
    is("column sEmail", Health::Fail, "write `semail`");
    is("nmsprospect", Health::Fail, "no such table");
    is("contacts: iblacklist", Health::Warn, "unsubscribe");
    is("accounts: tslastmodified", Health::Warn, "incremental");
    is("cusaccount: identity", Health::Warn, "old row whole");
    is("accounts: keys", Health::Fail, "getnewaccountids");
    is("max_slot_wal_keep_size", Health::Warn, "alter system set");
    is("database", Health::Good, "XtkDatabaseId uFE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_an_encoding_is_refused() {
    let world = World::start().await;
    let server = world.database.session("campaign").await.unwrap();
    server
        .batch_execute(
            "create database plain encoding 'SQL_ASCII' template template0
                    lc_collate 'C' lc_ctype 'C'",
        )
        .await
        .unwrap();
    let plain = world.database.session("plain").await.unwrap();
    let findings = truce::campaign::inspect::inspect_server(&plain, &expectations()).await.unwrap();
    assert_eq!(named(&findings, "encoding").health, Health::Fail);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_publication_that_leaves_something_out_is_refused_with_what_mends_it() {
    let world = World::start().await;
    world.set_up().await;
    let superuser = world.database.session("campaign").await.unwrap();
    let made = "create publication lists for table nmsrecipient (irecipientid, semail);
                create publication filters for table nmsrecipient where (irecipientid > 7);
                create publication whole for table nmsrecipient";
    superuser.batch_execute(made).await.unwrap();
    let agent = agent(&world).await;
    let findings = look(&agent, &expectations()).await;
    assert_eq!(named(&findings, "publication whole").health, Health::Warn);
    for (what, words) in [("lists", "a column list"), ("filters", "a row filter")] {
        let found = named(&findings, &format!("publication {what}"));
        assert_eq!(found.health, Health::Fail, "{found:?}");
        assert!(found.cause.contains(words), "{found:?}");
        superuser.batch_execute(found.remedy.as_deref().unwrap()).await.unwrap();
    }
    assert_eq!(failing(&look(&agent, &expectations()).await), Vec::<&Finding>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_hidden_and_writes_that_are_forbidden_are_told_with_their_statements() {
    let world = World::start().await;
    world.set_up().await;
    let superuser = world.database.session("campaign").await.unwrap();
    let hide = "alter table nmsrecipient enable row level security;
                alter role truce set default_transaction_read_only = on";
    superuser.batch_execute(hide).await.unwrap();
    let findings = look(&agent(&world).await, &expectations()).await;
    let failed = failing(&findings);
    let words: Vec<&str> = failed.iter().map(|finding| &*finding.cause).collect();
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(words[0].contains("so nothing can be written"), "{words:?}");
    assert!(words[1].contains("row security hides rows"), "{words:?}");
    for finding in failed {
        superuser.batch_execute(finding.remedy.as_deref().unwrap()).await.unwrap();
    }
    let findings = look(&agent(&world).await, &expectations()).await;
    assert_eq!(failing(&findings), Vec::<&Finding>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_on_what_the_slot_keeps_is_weighed_against_the_alarm() {
    let world = World::start_with(&[("max_slot_wal_keep_size", "500MB")]).await;
    let agent = agent(&world).await;
    let tight = look(&agent, &expectations()).await;
    let tight = named(&tight, "max_slot_wal_keep_size");
    assert_eq!(tight.health, Health::Warn, "{tight:?}");
    for words in ["500MB", "retained_megabytes_max (1024 MB)", "is lost"] {
        assert!(tight.cause.contains(words), "{tight:?}");
    }
    let roomy = Expectations { retained_max: 100 << 20, ..expectations() };
    let roomy = look(&agent, &roomy).await;
    assert_eq!(named(&roomy, "max_slot_wal_keep_size").health, Health::Good);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enumeration_that_stands_for_a_checkbox_is_told_by_its_rows() {
    let world = World::start().await;
    let mut wanted = expectations();
    wanted.mappings[0].flags = vec!["istatus".into(), "iblacklistemail".into()];
    let agent = agent(&world).await;
    let of_flags = |findings: Vec<Finding>| -> Vec<String> {
        let told = findings.into_iter().filter(|finding| finding.cause.contains("checkbox"));
        told.map(|finding| format!("{} {}", finding.what, finding.cause)).collect()
    };
    assert_eq!(of_flags(look(&agent, &wanted).await), [""; 0]);
    world.sql("insert into nmsrecipient (irecipientid, istatus) values (7, 1), (8, 3)").await;
    let told = of_flags(look(&agent, &wanted).await);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("column istatus") && told[0].contains("1 rows"), "{told:?}");
}
