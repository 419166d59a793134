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

fn list() -> Vec<Bad> {
    let second = r#"last_name = { campaign = "slastname", crm = "LastName" }
again = { campaign = "smiddlename", crm = "LastName" }"#;
    vec![
        bad("url = \"https://", "url = \"http://", 2, &["crm.sales.url", "https"]),
        bad("match_on", "matches_on", 2, &["matches_on", "match_on"]),
        bad(
            "client_secret_file = \"secret\"",
            "client_secret_file = \"no-secret\"",
            2,
            &["no-secret", "cannot be read"],
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
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_is_told_by_what_it_is_and_nothing_is_written() {
    let world = World::start().await;
    world.done(&["setup"]).await;
    let config = world.config();
    for Bad { good, instead, code, told } in list() {
        assert!(config.contains(good), "{good}");
        world.configure(&config.replacen(good, &instead, 1));
        for command in ["check", "run"] {
            let output = world.truce(&[command]).await;
            let mut said = String::from_utf8(output.stdout).unwrap();
            said.push_str(&String::from_utf8(output.stderr).unwrap());
            assert_eq!(output.status.code(), Some(code), "{command} with {instead}: {said}");
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
    let superuser = world.database.session("campaign").await.unwrap();
    superuser.batch_execute("revoke campaign from truce").await.unwrap();
    let output = world.truce(&["check"]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("grant select, update, insert on \"public\".\"nmsrecipient\" to"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_log_for_decoding_is_told_with_the_setting() {
    let world = World::start_with(&[("wal_level", "replica")]).await;
    let output = world.truce(&["check"]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("wal_level") && said.contains("alter system set wal_level"), "{said}");
    let output = world.truce(&["check", "--json"]).await;
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["would_run"], false, "{found}");
}
