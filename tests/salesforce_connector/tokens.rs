//! A token that died is renewed once, whoever notices; what no token mends stops the account.

use futures_util::future::join_all;
use serde_json::json;
use truce::crm::http::Call;
use truce::crm::salesforce::Account;
use truce::peer::PeerError;
use truce::simulator::salesforce::{Options, start};

use crate::stage::{Stage, settings};

#[tokio::test]
async fn many_workers_that_meet_a_dead_token_renew_it_once() {
    let stage = Stage::new().await;
    let account = stage.crm.account();
    stage.order("tokens", json!({ "expire": true })).await;
    let asked = join_all((0..8).map(|_| account.describe("Contact"))).await;
    assert!(asked.iter().all(Result::is_ok), "{asked:?}");
    assert_eq!(account.calls().made(Call::Token), 2, "the first, and one for all");
}

#[tokio::test]
async fn what_a_new_token_does_not_mend_asks_for_none_and_stops_the_account() {
    for message in [
        "Connected app is not attached to Agent",
        "This session is not valid for use with the REST API",
    ] {
        let stage = Stage::new().await;
        let account = stage.crm.account();
        let fault = json!({ "status": 401, "code": "INVALID_SESSION_ID", "message": message });
        stage.order("fail", fault).await;
        let before = stage.requests("describe").await;
        for _ in 0..3 {
            let error = account.describe("Contact").await.unwrap_err();
            assert!(
                matches!(&error, PeerError::Denied { why } if why.contains(message)),
                "{error}"
            );
        }
        assert_eq!(account.calls().made(Call::Token), 1, "{message}");
        assert_eq!(account.calls().made(Call::Describe), before + 1, "asked once: {message}");
    }
}

#[tokio::test]
async fn a_token_that_dies_at_once_is_renewed_once_and_then_told() {
    let stage = Stage::new().await;
    let account = stage.crm.account();
    let dead = json!({ "status": 401, "code": "INVALID_SESSION_ID", "count": 100,
        "message": "Session expired or invalid" });
    stage.order("fail", dead).await;
    for _ in 0..3 {
        let error = account.describe("Contact").await.unwrap_err();
        assert!(
            matches!(&error, PeerError::Denied { why } if why.contains("client_id")),
            "{error}"
        );
    }
    assert_eq!(account.calls().made(Call::Token), 2, "no hammering");
}

#[tokio::test]
async fn a_hiccup_of_the_token_service_is_tried_again() {
    let running = start(Options::default()).await.unwrap();
    let account = Account::open(settings(&running)).unwrap();
    let fault = json!({ "status": 503, "kind": "answer", "path_contains": "oauth2/token" });
    crate::stage::order(&running, "fail", &fault).await;
    account.inspect().await.unwrap();
    assert_eq!(account.calls().made(Call::Token), 2);
    running.stop().await;
}
