//! Bad input gets one clear message that names it and says what would be right, before anything
//! is written.

mod cli_world;

use cli_world::World;
use serde_json::json;

/// What is wrong, and what must be told of it.
struct Bad {
    /// What is replaced in a good config.
    good: &'static str,
    instead: String,
    code: i32,
    told: &'static [&'static str],
}

fn bad(
    good: &'static str,
    bad: impl Into<String>,
    code: i32,
    told: &'static [&'static str],
) -> Bad {
    Bad { good, instead: bad.into(), code, told }
}

#[expect(clippy::too_many_lines, reason = "it is a list")]
fn list() -> Vec<Bad> {
    let second = r#"last_name = { campaign = "slastname", crm = "LastName" }
again = { campaign = "smiddlename", crm = "LastName" }"#;
    let lookup = r#"last_name = { campaign = "slastname", crm = "LastName" }
account = { campaign = "iaccountid", crm = "AccountId", references = "contacts" }"#;
    vec![
        bad("url = \"https://", "url = \"http://", 2, &["crm.sales.url", "https"]),
        bad(
            "client_id",
            "sandbox = true\nclient_id",
            1,
            &["crm.sales", "sandbox = true, and at", "the production organisation", "00D"],
        ),
        bad("match_on", "matches_on", 2, &["matches_on", "match_on"]),
        bad(
            "client_secret_file = \"secret\"",
            "client_secret_file = \"no-secret\"",
            2,
            &["crm.sales.client_secret_file", "no-secret", "cannot be read"],
        ),
        bad(
            "last_name = { campaign = \"slastname\", crm = \"LastName\" }",
            second,
            2,
            &["again", "LastName"],
        ),
        bad(
            "\"slastname\"",
            "\"slastnam\"",
            1,
            &["mapping.contacts", "last_name", "no column `slastnam`", "did you mean `slastname`?"],
        ),
        bad(
            "\"LastName\" }",
            "\"LastNam\" }",
            1,
            &["mapping.contacts", "last_name", "no field `LastNam`", "grant"],
        ),
        bad(
            "\"slastname\"",
            "\"iaddrquality\"",
            1,
            &["last_name", "`iaddrquality` (integer)", "`LastName` (string"],
        ),
        bad(
            "last_name = { campaign = \"slastname\", crm = \"LastName\" }",
            lookup,
            1,
            &["mapping.contacts", "account", "`AccountId` refers to Account", "of `Contact`"],
        ),
        bad(
            "\"nmsrecipient\"",
            "\"nmsrecipients\"",
            1,
            &["mapping.contacts", "no table `nmsrecipients`"],
        ),
        bad(
            "object = \"Contact\"",
            "object = \"Kontakt\"",
            1,
            &["mapping.contacts", "no object `Kontakt`"],
        ),
        bad("key = \"irecipientid\"", "key = \"istatus\"", 1, &["istatus", "index"]),
        bad(
            "password_file = \"password\"",
            "password_file = \"secret\"",
            1,
            &["wrong password", "password_file"],
        ),
        bad("client_id = \"", "client_id = \"x", 1, &["crm.sales", "client"]),
        bad(
            "client_id",
            "api_version = \"199.0\"\nclient_id",
            1,
            &["crm.sales.api_version = \"199.0\" is not served", "the newest there is"],
        ),
        bad(
            "[campaign]",
            "[campaign]\nexternal_id_format = \"{instance}-of-a-company-with-a-name-that-does-not-\
             end-before-the-field-does-at-all:{key}\"",
            1,
            &["mapping.contacts", "`Truce_Id__c` of `Contact` holds 80", "external_id_format"],
        ),
        bad(
            "external_id = \"Truce_Id__c\"",
            "external_id = \"Title\"",
            1,
            &["external_id `Title`", "not unique", "not an external id", "`External ID` ticked"],
        ),
        bad(
            "stamp = \"Truce_Stamp__c\"",
            "stamp = \"MailingPostalCode\"",
            1,
            &["stamp `MailingPostalCode`", "of 20 characters", "at least 60"],
        ),
        bad(
            "email = { campaign = \"semail\", crm = \"Email\" }",
            "email = { campaign = \"semail\", crm = \"Description\" }",
            1,
            &["match_on", "`Description` of `Contact` cannot be filtered by"],
        ),
        bad(
            "[campaign]",
            "[campaign]\nlock_timeout_ms = 1000",
            1,
            &["lock timeout", "deadlock_timeout 1000 ms", "campaign.lock_timeout_ms below 1000"],
        ),
    ]
}

/// Files that the config names and that are not what it says.
fn files() -> Vec<Bad> {
    let ca_file = "ca_file = \"ca.pem\"";
    let ca = |file: &str, told: &'static [&'static str]| {
        bad(ca_file, format!("ca_file = \"{file}\""), 2, told)
    };
    let secret = "client_secret_file = \"secret\"";
    let key = |file: &str| format!("private_key_file = \"{file}\"\nusername = \"u@example.com\"");
    vec![
        // A directory is what nobody can read, not even root.
        ca(".", &["crm.sales.ca_file", "cannot be read"]),
        ca("no.pem", &["crm.sales.ca_file", "no.pem", "cannot be read"]),
        ca("secret", &["crm.sales.ca_file", "secret", "no certificate in PEM form"]),
        ca("torn.pem", &["crm.sales.ca_file", "torn.pem", "not a PEM file"]),
        bad(
            secret,
            "client_secret_file = \".\"",
            2,
            &["crm.sales.client_secret_file", "secret file", "cannot be read"],
        ),
        bad(
            secret,
            "client_secret_file = \"empty\"",
            2,
            &["client_secret_file", "empty", "should hold a secret"],
        ),
        bad(
            "password_file = \"password\"",
            "password_file = \"no-password\"",
            2,
            &["campaign.password_file", "no-password", "cannot be read"],
        ),
        bad(
            secret,
            "client_secret_env = \"TRUCE_NO\"",
            2,
            &["crm.sales.client_secret_env", "TRUCE_NO is not set"],
        ),
        bad(secret, key("no-key"), 2, &["private_key_file", "no-key", "cannot be read"]),
        bad(secret, key("secret"), 2, &["private_key_file", "holds no private key"]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_is_told_by_what_it_is_and_nothing_is_written() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    let config = world.config();
    std::fs::write(world.file("empty"), "\n").unwrap();
    let whole = std::fs::read_to_string(world.file("ca.pem")).unwrap();
    std::fs::write(world.file("torn.pem"), whole.split_at(whole.len() / 2).0).unwrap();
    for Bad { good, instead, code, told } in list().into_iter().chain(files()) {
        assert!(config.contains(good), "{good}");
        world.configure(&config.replacen(good, &instead, 1));
        for command in ["check", "run"] {
            let said = world.ends(&[command], code).await;
            for word in told {
                assert!(
                    said.contains(word),
                    "{command} with {instead} does not say {word}: {said}"
                );
            }
        }
    }
    let counters = world.look("counters").await;
    assert_eq!(counters["records_written"], json!(0), "{counters}");
    let rows = world.rows("select irecipientid::text from nmsrecipient").await;
    assert_eq!(rows, ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_grants_are_told_with_the_statement_that_gives_them() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    let superuser = world.database.session("campaign").await.unwrap();
    superuser.batch_execute("revoke campaign from truce").await.unwrap();
    let said = world.ends(&["check"], 1).await;
    let grant = "grant select, update, insert on \"public\".\"nmsrecipient\" to";
    assert!(said.contains(grant), "{said}");
    let said = world.ends(&["run"], 1).await;
    assert!(said.contains("nmsrecipient") && said.contains("grant "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_log_for_decoding_is_told_with_the_setting() {
    let world = World::start_with(&[("wal_level", "replica")]).await;
    let remedy = "alter system set wal_level";
    for command in ["check", "setup"] {
        let said = world.ends(&[command], 1).await;
        assert!(said.contains("wal_level") && said.contains(remedy), "{command}: {said}");
    }
    let made = "select pubname::text from pg_publication
                union all select datname::text from pg_database where datname = 'truce'";
    assert_eq!(world.rows(made).await, [""; 0], "nothing was made that would stand half done");
    assert!(world.done(&["setup", "--print"]).await.contains(remedy));
    let output = world.truce(&["check", "--json"]).await;
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["would_run"], false, "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_unique_index_is_told_before_campaigns_own_updates_fail() {
    let world = World::start().await;
    let unique = "select string_agg(format('drop index %s', indexrelid::regclass), '; ')
                    from pg_index where indrelid = 'nmsrecipient'::regclass and indisunique";
    let drop = world.rows(unique).await.swap_remove(0);
    world.sql(&drop).await;
    for command in ["check", "setup"] {
        let said = world.ends(&[command], 1).await;
        for word in ["nmsrecipient", "unique index", "identity = \"full\""] {
            assert!(said.contains(word), "{command} does not say {word}: {said}");
        }
    }
    assert_eq!(world.rows("select pubname::text from pg_publication").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_down_is_told_with_where_it_should_be() {
    let mut world = World::start().await;
    world.done(&["setup"]).await;
    world.database.stop().await.unwrap();
    let place = format!("127.0.0.1:{}", world.database.port());
    for command in [&["check"][..], &["run"], &["setup"], &["status"], &["held", "list"]] {
        let said = world.ends(command, 1).await;
        for word in [&place, "nothing listens there", "is PostgreSQL running"] {
            assert!(said.contains(word), "{command:?} does not say {word}: {said}");
        }
    }
}
