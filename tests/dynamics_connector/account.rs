//! Who may come in, and what is said to who may not.

use std::sync::Arc;

use serde_json::json;
use truce::crm::dynamics::{Account, Credentials, Settings};
use truce::crm::http::Call;
use truce::crm::{Algorithm, Rights, Secret, Signer, Wanted};
use truce::peer::PeerError;
use truce::simulator::dynamics::{Options, Running, start};

use crate::stage::{Stage, order, settings};

fn says(error: &PeerError, words: &[&str]) {
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

async fn refused(running: &Running, adjust: impl FnOnce(&mut Settings)) -> PeerError {
    let mut settings = settings(running);
    adjust(&mut settings);
    match Account::open(settings) {
        Ok(account) => account.inspect().await.unwrap_err(),
        Err(error) => error,
    }
}

#[tokio::test]
async fn the_organisation_says_who_it_is_and_as_whom_we_act() {
    let stage = Stage::new().await;
    let org = stage.crm.account().inspect().await.unwrap();
    assert_eq!(*org.id, *stage.running.org_id);
    assert_eq!(*org.user, *stage.running.user_id);
    assert_eq!(stage.crm.account().calls().made(Call::Token), 1, "one token for all");
    assert!(stage.crm.account().usage().at_once <= 4, "no more than x-ms-dop-hint advises");
}

#[tokio::test]
async fn an_address_without_tls_is_refused_before_anything_is_sent() {
    let running = start(Options::default()).await.unwrap();
    let error =
        refused(&running, |settings| settings.url = settings.url.replace("https:", "http:")).await;
    assert!(matches!(error, PeerError::Unfit { .. }));
    says(&error, &["http://localhost", "not https"]);
}

#[tokio::test]
async fn a_wrong_secret_is_told_at_once_and_asked_for_once() {
    let running = start(Options::default()).await.unwrap();
    let mut settings = settings(&running);
    settings.credentials = Credentials::Secret(Secret::new("wrong"));
    let account = Account::open(settings).unwrap();
    for _ in 0..3 {
        let error = account.inspect().await.unwrap_err();
        assert!(matches!(error, PeerError::Denied { .. }), "{error}");
        says(&error, &["AADSTS7000215", "client_secret_file"]);
    }
    assert_eq!(account.calls().made(Call::Token), 1, "no hammering");
}

#[tokio::test]
async fn a_certificate_opens_the_door_in_either_form() {
    let certificate = Some("tests/keys/app.crt".into());
    let options = Options { app_certificate: certificate, ..Options::default() };
    let running = start(options).await.unwrap();
    let open = |pem: Vec<u8>, algorithm| {
        let signer = Signer::from_pem(&pem, "2026-11-01T00:00:00Z".parse().unwrap()).unwrap();
        let mut settings = settings(&running);
        settings.credentials = Credentials::Certificate { signer: Arc::new(signer), algorithm };
        Account::open(settings).unwrap()
    };
    let key = include_bytes!("../keys/app.key");
    let both = [key.as_slice(), include_bytes!("../keys/app.crt")].concat();
    for algorithm in [Algorithm::Rs256, Algorithm::Ps256] {
        let org = open(both.clone(), algorithm).inspect().await.unwrap();
        assert_eq!(*org.id, *running.org_id);
    }
    let error = open(key.to_vec(), Algorithm::Rs256).inspect().await.unwrap_err();
    says(&error, &["holds no certificate"]);
}

#[tokio::test]
async fn an_app_without_a_user_or_without_a_role_stops_the_account_and_names_the_remedy() {
    for (standing, remedy) in [
        ("not_a_member", "create an application user"),
        ("no_role", "give the application user a security role"),
        ("disabled", "check the application user"),
    ] {
        let running = start(Options::default()).await.unwrap();
        order(&running, "app", &json!({ "standing": standing })).await;
        let account = Account::open(settings(&running)).unwrap();
        let error = account.inspect().await.unwrap_err();
        assert!(matches!(error, PeerError::Denied { .. }), "{error:?}");
        says(&error, &[remedy]);
        account.inspect().await.unwrap_err();
        assert_eq!(account.calls().made(Call::Token), 1, "{standing}: it is left alone");
    }
}

#[tokio::test]
async fn a_token_that_dies_early_is_renewed_once() {
    let stage = Stage::new().await;
    let account = stage.crm.account();
    stage.order("tokens", json!({ "expire": true })).await;
    account.describe("contact").await.unwrap();
    assert_eq!(account.calls().made(Call::Token), 2);
}

#[tokio::test]
async fn another_organisation_is_not_written_to_unawares() {
    let running = start(Options::default()).await.unwrap();
    let account = Account::open(settings(&running)).unwrap();
    account.assume("00000000-0000-0000-0000-000000000001").await;
    let error = account.describe("contact").await.unwrap_err();
    assert!(matches!(error, PeerError::NewEpoch { .. }), "{error:?}");
    assert_eq!(account.organisation().await.unwrap(), running.org_id);
    account.describe("contact").await.unwrap();
}

fn problems(table: &truce::crm::dynamics::Table) -> Vec<String> {
    let rights = Rights { query: true, create: true, update: true, delete: true };
    let (external_id, stamp) = (Some("new_truceid"), Some("new_trucestamp"));
    table.problems(&Wanted { external_id, stamp, rights })
}

#[tokio::test]
async fn what_keeps_a_table_from_being_followed_is_told_line_by_line() {
    let stage = Stage::new().await;
    let account = stage.crm.account();
    let contact = account.describe("contact").await.unwrap().table();
    assert_eq!(problems(&contact), Vec::<String>::new());
    assert!(contact.unreadable("new_healthnote").unwrap().contains("column security"));
    says(&account.describe("contacts").await.unwrap_err(), &["no table `contacts`"]);

    stage.order("tables", json!({ "name": "contact", "tracking": false })).await;
    let key = json!({ "table": "contact", "name": "new_ContactTruceKey",
        "columns": ["new_truceid"], "status": "Failed" });
    stage.order("keys", key).await;
    let contact = account.describe("contact").await.unwrap().table();
    let told = problems(&contact);
    assert!(told.len() == 2 && told[0].contains("Track changes"), "{told:?}");
    assert!(told[1].contains("is Failed, and only an active one counts"), "{told:?}");

    stage
        .order("permissions", json!({ "table": "contact", "create": false, "write": false }))
        .await;
    let told = problems(&account.describe("contact").await.unwrap().table());
    assert_eq!(told.len(), 3, "{told:?}");
    let lacking = "lacks prvCreateContact, prvWriteContact on `contact`; give it a security role";
    assert!(told.iter().any(|line| line.contains(lacking)), "{told:?}");

    stage.order("permissions", json!({ "table": "contact", "read": false })).await;
    let error = account.describe("contact").await.unwrap_err();
    assert!(matches!(error, PeerError::Unfit { .. }), "the others go on: {error:?}");
    says(&error, &["security role with Read"]);
    account.describe("account").await.unwrap();
}

#[tokio::test]
async fn a_description_costs_a_handful_of_calls() {
    let stage = Stage::new().await;
    let account = stage.crm.account();
    let before = account.calls().made(Call::Describe);
    account.describe("contact").await.unwrap();
    // The table; its choices, states, statuses and choices of several; the currencies; a row; what
    // may be done with rows, and what the user may do.
    assert_eq!(account.calls().made(Call::Describe) - before, 9);
    let before = account.calls().made(Call::Describe);
    stage.crm.drift().look().await.unwrap();
    assert_eq!(account.calls().made(Call::Describe) - before, 6 + 5, "contact, and account");
}
