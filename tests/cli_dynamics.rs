//! An account of Dynamics beside one of Salesforce in one agent; and what `truce check` says of one that
//! would not work.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod cli_world;

use cli_world::{Agent, Environment, PATIENCE, World};
use serde_json::{Value as Json, json};

/// What the config says of the environment, which shares the recipients.
fn config(environment: &Environment) -> String {
    environment.account("dataverse") + PEOPLE
}

const PEOPLE: &str = r#"
[mapping.people]
crm = "dataverse"
table = "nmsrecipient"
key = "irecipientid"
object = "contact"
external_id = "new_truceid"
stamp = "new_trucestamp"
match_on = ["email"]
conflict = "crm"
pairing = "crm"
create = ["campaign", "crm"]

[mapping.people.create_with]
campaign = { ifolderid = 1182 }

[mapping.people.fields]
email = { campaign = "semail", crm = "emailaddress1" }
first_name = { campaign = "sfirstname", crm = "firstname" }
last_name = { campaign = "slastname", crm = "lastname" }
opted_out = { campaign = ["iblacklistemail", "iblacklist"], crm = ["donotbulkemail", "donotemail", "followemail"], conflict = "most_restrictive" }
"#;

async fn people(environment: &Environment) -> Vec<String> {
    let text = |record: &Json, name: &str| record[name].as_str().unwrap_or("").to_owned();
    let line = |record: &Json| {
        let names = ["emailaddress1", "firstname", "lastname"];
        let values: Vec<String> = names.iter().map(|name| text(record, name)).collect();
        format!("{}|{}", values.join("|"), u8::from(record["donotbulkemail"] == true))
    };
    let mut lines: Vec<String> = environment.contacts().await.iter().map(line).collect();
    lines.sort();
    lines
}

/// The world's own account, which only reads recipients: one mapping alone writes a column.
fn reading(config: &str) -> String {
    let (config, _) = config.split_once("opted_out").unwrap();
    let mut config = config
        .replace(
            "conflict = \"crm\"\npairing = \"crm\"",
            "conflict = \"campaign\"\npairing = \"campaign\"",
        )
        .replace("create = [\"campaign\", \"crm\"]", "create = [\"crm\"]")
        .replace("campaign = { ifolderid = 1182 }\n", "");
    for field in ["\"Email\"", "\"FirstName\"", "\"LastName\""] {
        let crm = format!("crm = {field}");
        config = config.replace(&crm, &format!("{crm}, direction = \"to_crm\""));
    }
    config
}

/// Waits until Campaign, Dynamics and, but for consent, Salesforce hold this.
async fn all_agree(world: &World, environment: &Environment, agent: &Agent, wanted: &[&str]) {
    let names = |lines: Vec<String>| -> Vec<String> {
        lines.iter().filter_map(|line| Some(line.rsplit_once('|')?.0.to_owned())).collect()
    };
    let mut seen = (Vec::new(), Vec::new(), Vec::new());
    let wanted_names = names(wanted.iter().map(ToString::to_string).collect());
    let looking = async {
        while seen.0 != wanted || seen.1 != wanted || seen.2 != wanted_names {
            let contacts = names(world.contacts().await);
            seen = (world.recipients().await, people(environment).await, contacts);
        }
    };
    let late = tokio::time::timeout(PATIENCE, looking).await.is_err();
    let ready = if late { agent.get("readyz").await } else { (0, String::new()) };
    assert!(!late, "wanted {wanted:#?}, and there are {seen:#?}; {ready:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_sides_agree_through_edits_an_opt_out_an_expired_token_and_a_kill() {
    let world = World::start().await;
    let environment = Environment::start(&world).await;
    world.configure(&(reading(&world.config()) + &config(&environment)));
    world
        .sql(
            "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname)
             values (1, 'ann@x.org', 'Ann', 'Roe')",
        )
        .await;
    let eve = json!({ "emailaddress1": "eve@x.org", "firstname": "Eve", "lastname": "Poe" });
    environment.order("create", json!({ "table": "contact", "records": [eve] })).await;
    world.done(&["setup"]).await;
    let told = world.done(&["check"]).await;
    assert!(told.contains("crm.dataverse") && told.contains("application user"), "{told}");
    let agent = world.run().await;
    let agree = async |agent: &Agent, wanted: &[&str]| {
        all_agree(&world, &environment, agent, wanted).await;
    };
    agree(&agent, &["ann@x.org|Ann|Roe|0", "eve@x.org|Eve|Poe|0"]).await;

    // From Dynamics by way of Campaign to Salesforce, with an opt-out; and from Campaign to both.
    environment.edit("eve@x.org", json!({ "firstname": "Eva", "donotbulkemail": true })).await;
    agree(&agent, &["ann@x.org|Ann|Roe|0", "eve@x.org|Eva|Poe|1"]).await;
    world.sql("update nmsrecipient set sfirstname = 'Anna' where irecipientid = 1").await;
    agree(&agent, &["ann@x.org|Anna|Roe|0", "eve@x.org|Eva|Poe|1"]).await;
    world.sql("update nmsrecipient set iblacklistemail = 1 where irecipientid = 1").await;
    agree(&agent, &["ann@x.org|Anna|Roe|1", "eve@x.org|Eva|Poe|1"]).await;

    // The change token expires, and nobody has to do anything.
    environment.order("tracking", json!({ "expire": true })).await;
    environment.edit("eve@x.org", json!({ "firstname": "Evi" })).await;
    agree(&agent, &["ann@x.org|Anna|Roe|1", "eve@x.org|Evi|Poe|1"]).await;

    // A killed agent goes on, and doubles nothing.
    agent.kill().await;
    environment.edit("ann@x.org", json!({ "lastname": "Row" })).await;
    let agent = world.run().await;
    agree(&agent, &["ann@x.org|Anna|Row|1", "eve@x.org|Evi|Poe|1"]).await;
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");
}

/// That a check refuses to run, and says so.
async fn refuses(world: &World, words: &[&str]) {
    let told = world.ends(&["check"], 1).await;
    for word in words {
        assert!(told.contains(word), "{word}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_not_work_has_its_own_line_with_what_to_do() {
    let world = World::start().await;
    let environment = Environment::start(&world).await;
    let good = reading(&world.config()) + &config(&environment);
    world.configure(&good);
    world.done(&["setup"]).await;

    environment.order("tables", json!({ "name": "contact", "tracking": false })).await;
    let key = |status: &str| {
        json!({ "table": "contact", "name": "new_ContactTruceKey", "columns": ["new_truceid"],
            "status": status })
    };
    environment.order("keys", key("Pending")).await;
    refuses(&world, &["switches on \"Track changes\"", "is Pending, and only an active one"]).await;
    environment.order("tables", json!({ "name": "contact", "tracking": true })).await;
    environment.order("keys", key("Active")).await;

    let secret = "note = { campaign = \"smiddlename\", crm = \"new_healthnote\" }\nopted_out";
    let at = good.rfind("opted_out").unwrap();
    world.configure(&format!("{}{secret}{}", &good[..at], &good[at + "opted_out".len()..]));
    refuses(&world, &["`new_healthnote` of `contact` has column security"]).await;
    world.configure(&good);

    let choice =
        good.replace("\"donotbulkemail\", \"donotemail\"", "\"preferredcontactmethodcode\"");
    assert_ne!(choice, good);
    world.configure(&choice);
    refuses(
        &world,
        &["people.fields.opted_out", "nothing says what its options 1, 2, 3, 4, 5 mean"],
    )
    .await;
    let kind = "kind = \"dynamics\"\n";
    let said = "consent_options = { preferredcontactmethodcode = { out = [1], in = [2, 3] } }\n";
    world.configure(&choice.replace(kind, &format!("{kind}{said}")));
    refuses(&world, &["nothing says what its options 4, 5 mean"]).await;
    world.configure(&good);

    let may = |may: bool| json!({ "table": "contact", "create": may, "write": may });
    environment.order("permissions", may(false)).await;
    refuses(&world, &["lacks prvCreateContact, prvWriteContact on `contact`; give it a security"])
        .await;
    environment.order("permissions", may(true)).await;
    environment.order("permissions", json!({ "table": "contact", "read": false })).await;
    refuses(&world, &["give the application user a security role with Read"]).await;
    environment.order("permissions", json!({ "table": "contact", "read": true })).await;
    environment.order("app", json!({ "standing": "no_role" })).await;
    refuses(&world, &["crm.dataverse", "give the application user a security role"]).await;
    environment.order("app", json!({ "standing": "good" })).await;

    let address = format!("\nurl = \"{}\"", environment.running.base_url);
    let http = address.replace("https://", "http://");
    world.configure(&good.replace(&address, &http));
    let told = world.ends(&["check"], 2).await;
    assert!(told.contains("crm.dataverse.url") && told.contains("write https://"), "{told}");
    let key = "private_key_file = \"app.key\"";
    let pem = include_bytes!("keys/app.key");
    let over = rcgen_expired();
    std::fs::write(world.file("app.key"), [pem.as_slice(), over.as_bytes()].concat()).unwrap();
    world.configure(&good.replace("client_secret_file = \"dynamics_secret\"", key));
    let told = world.ends(&["check"], 2).await;
    assert!(told.contains("holds a certificate that expired at"), "{told}");
    assert!(told.contains("make a new one"), "{told}");
}

/// A certificate of the app's key that is over.
fn rcgen_expired() -> String {
    let key = rcgen::KeyPair::from_pem(include_str!("keys/app.key")).unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["truce".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    params.self_signed(&key).unwrap().pem()
}
