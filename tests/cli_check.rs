//! What `truce check` tells of a world that would run: what is known of it, and what to watch.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod cli_world;

use cli_world::World;
use nix::sys::signal::Signal;
use serde_json::{Value as Json, json};

/// The findings as a machine reads them.
async fn found(world: &World) -> Vec<Json> {
    let output = world.truce(&["check", "--json"]).await;
    let told: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["would_run"], output.status.success(), "{told}");
    told["findings"].as_array().unwrap().clone()
}

/// That exactly one finding at the place says so, at this level.
fn says(findings: &[Json], level: &str, place: &str, words: &str) {
    let at = findings.iter().filter(|one| one["place"] == place);
    let told: Vec<&Json> = at.filter(|one| one["what"].as_str().unwrap().contains(words)).collect();
    assert!(
        matches!(&told[..], [one] if one["level"] == level),
        "{level} {place}: {words}: {findings:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn costs_clocks_zones_and_lengths_are_told_of_a_world_that_would_run() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    let last = "last_name = { campaign = \"slastname\", crm = \"LastName\" }";
    let visit = "visit = { campaign = \"tsvisit\", crm = \"Last_Visit__c\" }";
    world.configure(&world.config().replace(last, &format!("{last}\n{visit}")));
    let zoneless = "alter table nmsrecipient add column tsvisit timestamp;
                    update xtkoption set ilongvalue = 0 where sname = 'WdbcUseTimeStampWithTZ'";
    world.sql(zoneless).await;
    let findings = found(&world).await;
    // Ten polls a second, and what an account of this size has in a day.
    says(&findings, "warning", "crm.sales", "set crm.sales.poll_seconds to");
    says(&findings, "good", "ledger", "PostgreSQL");
    says(&findings, "good", "ledger", "records of Campaign's make");
    says(&findings, "warning", "ledger", "fsync = off");
    says(&findings, "warning", "mapping.contacts", "characters and `Email` 80");
    says(&findings, "good", "mapping.contacts", "(tsvisit) are read as Europe/Paris");
    assert!(!findings.iter().any(|one| one["what"].as_str().unwrap().contains("our clock")));

    world.sql("delete from xtkoption where sname = 'WdbcTimeZone'").await;
    world.order("clock", json!({"offset_s": -120})).await;
    world.configure(
        &world
            .config()
            .replace(last, &format!("{last}\n{visit}"))
            .replace("poll_seconds = 0.1\npoll_idle_seconds = 0.2", "poll_seconds = 10"),
    );
    let findings = found(&world).await;
    says(&findings, "warning", "mapping.contacts", "set time_zone = ");
    says(&findings, "warning", "crm.sales", "s ahead of that of the CRM");
    says(&findings, "good", "crm.sales", "asking for changes of 1 mapping takes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_field_that_is_hidden_is_told_as_such() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    let hide = json!({"object": "Contact", "hide": ["HasOptedOutOfEmail"]});
    world.order("fields", hide).await;
    let findings = found(&world).await;
    says(&findings, "problem", "mapping.contacts", "`HasOptedOutOfEmail`");
    says(&findings, "problem", "mapping.contacts", "opt-outs");
}

/// The warnings that the agent logged, place and words, in order.
fn warned(log: &str) -> Vec<(String, String)> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
    let ours = lines.filter(|line| line["message"] == "it runs, and `truce check` warns");
    let ours = ours.inspect(|line| assert_eq!(line["level"], "WARN", "{line}"));
    let text = |line: &Json, name: &str| line[name].as_str().unwrap().to_owned();
    let mut told: Vec<_> = ours.map(|line| (text(&line, "place"), text(&line, "what"))).collect();
    told.sort();
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn run_says_each_warning_of_check_once_and_again_after_a_reload() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    let findings = found(&world).await;
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    let place = |one: &Json| match one["field"].as_str() {
        Some(field) => format!("{}.fields.{field}", text(&one["place"])),
        None => text(&one["place"]),
    };
    let warnings = findings.iter().filter(|one| one["level"] == "warning");
    let mut wanted: Vec<_> = warnings.map(|one| (place(one), text(&one["what"]))).collect();
    wanted.sort();
    assert!(wanted.len() > 2, "{wanted:#?}");

    let agent = world.run().await;
    agent.until("readyz", "\"ready\":true").await;
    world.configure(&world.config().replace("conflict = \"crm\"", "conflict = \"campaign\""));
    agent.signal(Signal::SIGHUP);
    agent.until_logged("the config is taken up").await;
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");
    let twice: Vec<_> = wanted.iter().flat_map(|one| [one.clone(), one.clone()]).collect();
    assert_eq!(warned(&log), twice, "{log}");
}

const ACCOUNTS: &str = r#"
total = { campaign = "scity", crm = "Total__c", direction = "to_campaign" }

[mapping.accounts]
crm = "sales"
table = "cusaccount"
key = "icusaccountid"
object = "Account"
external_id = "Truce_Id__c"
stamp = "Truce_Stamp__c"
match_on = ["name", "phone"]
conflict = "crm"
pairing = "crm"
create = ["campaign"]

[mapping.accounts.fields]
name = { campaign = "sname", crm = "Name" }
phone = { campaign = "sphone", crm = "PersonMobilePhone" }
score = { campaign = "dscore", crm = "AnnualRevenue" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_check_tells_reads_well() {
    let world = World::start().await;
    let formula = json!([{"name": "Total__c", "type": "string", "length": 75, "calculated": true}]);
    world.order("fields", json!({"object": "Contact", "fields": formula})).await;
    let fields = json!([{"name": "IsPersonAccount", "type": "boolean"},
        {"name": "PersonMobilePhone", "type": "phone", "length": 32},
        {"name": "CurrencyIsoCode", "type": "string", "length": 3}]);
    world.order("fields", json!({"object": "Account", "fields": fields})).await;
    world.configure(&(world.config().trim_end().to_owned() + ACCOUNTS));
    world.done(&["setup"]).await;
    let told = world.done(&["check"]).await;
    // What differs between servers: their versions, the database's identity, the ledger's size.
    let cuts = [
        ("server version: PostgreSQL ", "VERSION"),
        ("database: system ", "SYSTEM, XtkDatabaseId ID"),
        ("truce on 127.0.0.1, PostgreSQL ", "VERSION, SIZE MB"),
    ];
    let same = |line: &str| {
        let cut = cuts.iter().find_map(|(start, end)| Some((line.find(start)? + start.len(), end)));
        cut.map_or_else(|| line.to_owned(), |(at, end)| format!("{}{end}", &line[..at]))
    };
    insta::assert_snapshot!(told.lines().map(same).collect::<Vec<_>>().join("\n"));
}
