//! Who may come in, and what is said to who may not.

use std::sync::Arc;

use serde_json::json;
use truce::crm::http::Call;
use truce::crm::salesforce::{Account, Credentials, Settings};
use truce::crm::{Rights, Secret, Signer, Wanted};
use truce::peer::PeerError;
use truce::simulator::salesforce::{Options, Running, start};

use crate::stage::{Stage, settings};

async fn refused(adjust: impl FnOnce(&mut Settings)) -> PeerError {
    let running = start(Options::default()).await.unwrap();
    let mut settings = settings(&running);
    adjust(&mut settings);
    let account = match Account::open(settings) {
        Ok(account) => account,
        Err(error) => return error,
    };
    let error = account.inspect().await.unwrap_err();
    running.stop().await;
    error
}

fn says(error: &PeerError, words: &[&str]) {
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

#[tokio::test]
async fn the_organisation_says_who_it_is() {
    let stage = Stage::new().await;
    let org = stage.crm.account().inspect().await.unwrap();
    assert_eq!(*org.id, *stage.running.org_id);
    assert_eq!(org.api_version, "66.0");
    let reported = org.usage.reported.unwrap();
    assert!(reported.used > 0 && reported.allowed > reported.used, "{reported:?}");
    assert_eq!(stage.crm.account().calls().made(Call::Token), 1, "one token for all");
}

#[tokio::test]
async fn an_address_without_tls_is_refused_before_anything_is_sent() {
    let error = refused(|settings| settings.url = settings.url.replace("https:", "http:")).await;
    assert!(matches!(error, PeerError::Unfit { .. }));
    says(&error, &["http://localhost", "not https"]);
}

#[tokio::test]
async fn wrong_credentials_are_told_at_once_and_asked_for_once() {
    let running = start(Options::default()).await.unwrap();
    let mut settings = settings(&running);
    settings.credentials = Credentials::Secret(Secret::new("wrong"));
    let account = Account::open(settings).unwrap();
    for _ in 0..3 {
        let error = account.inspect().await.unwrap_err();
        assert!(matches!(error, PeerError::Denied { .. }), "{error}");
        says(&error, &["client_secret"]);
    }
    assert_eq!(account.calls().made(Call::Token), 1, "no hammering");
}

#[tokio::test]
async fn an_assertion_opens_the_door_by_the_certificate_that_the_app_was_given() {
    let certificate = Some("tests/keys/app.crt".into());
    let running = start(Options { jwt_certificate: certificate, ..Options::default() });
    let running = running.await.unwrap();
    let open = |username: &str, audience: &str| {
        let key = include_bytes!("../keys/app.key");
        let signer = Signer::from_pem(key, "2026-11-01T00:00:00Z".parse().unwrap()).unwrap();
        let mut settings = settings(&running);
        settings.credentials = Credentials::Assertion {
            signer: Arc::new(signer),
            username: username.to_owned(),
            audience: audience.to_owned(),
        };
        Account::open(settings).unwrap()
    };
    let login = "https://login.salesforce.com";
    let org = open(&running.username, login).inspect().await.unwrap();
    assert_eq!(*org.id, *running.org_id);
    let error = open(&running.username, "https://test.salesforce.com").inspect().await.unwrap_err();
    says(&error, &["audience"]);
    let error = open("nobody@example.com", login).inspect().await.unwrap_err();
    assert!(matches!(error, PeerError::Denied { .. }), "{error:?}");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_told_with_the_remedy() {
    let error = refused(|settings| settings.ca_pem = None).await;
    assert!(matches!(error, PeerError::Denied { .. }), "{error:?}");
    says(&error, &["certificate", "ca_file"]);
}

#[tokio::test]
async fn a_version_that_is_not_served_is_told_with_the_newest() {
    let error = refused(|settings| settings.api_version = "99.0".to_owned()).await;
    says(&error, &["99.0", "is not served", "68.0"]);
}

#[tokio::test]
async fn an_address_that_nobody_listens_at_may_be_tried_again() {
    let gone = |running: &Running| running.base_url.clone();
    let first = start(Options::default()).await.unwrap();
    let url = gone(&first);
    first.stop().await;
    let error = refused(|settings| settings.url = url).await;
    assert!(matches!(error, PeerError::Transient { .. }), "{error:?}");
}

#[tokio::test]
async fn an_object_that_cannot_be_seen_is_told_and_so_is_a_hidden_field() {
    let stage = Stage::new().await;
    let account = stage.crm.account();
    says(&account.describe("Contract__c").await.unwrap_err(), &["no object `Contract__c`"]);
    stage.order("fields", json!({ "object": "Contact", "hide": ["Truce_Stamp__c"] })).await;
    let contact = account.describe("Contact").await.unwrap().object();
    let rights = Rights { query: true, create: true, update: true, delete: true };
    let wanted = Wanted { external_id: Some("Truce_Id__c"), stamp: Some("Truce_Stamp__c"), rights };
    let problems = contact.problems(&wanted);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("no field `Truce_Stamp__c`"), "{problems:?}");
    assert!(!account.describe("User").await.unwrap().object().problems(&wanted).is_empty());
}
