//! What `check` finds in Campaign's database: each finding names its remedy, and the remedies,
//! carried out, leave nothing to be found.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod campaign_world;

use campaign_world::World;
use truce::campaign::inspect::{Expectations, Finding, Health, MappingNeeds, inspect};
use truce::campaign::setup::Chosen;
use truce::postgres::{Session, Settings, connect};

fn expectations() -> Expectations {
    Expectations {
        schema: "public".into(),
        publication: "truce".into(),
        slot: "truce".into(),
        lock_timeout_ms: 500,
        mappings: vec![MappingNeeds {
            name: "contacts".into(),
            table: "nmsrecipient".into(),
            key: "irecipientid".into(),
            identity: Chosen::Index,
            columns: ["semail", "sfirstname", "iblacklistemail"].map(Into::into).into(),
            written: ["semail", "sfirstname"].map(Into::into).into(),
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
