//! Requests on condition: what they find unchanged, what they refuse, and where they do not exist.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::world::World;

const NOON: &str = "Thu, 31 Oct 2030 12:00:00 GMT";
const BEFORE: &str = "Thu, 31 Oct 2030 11:59:59 GMT";

impl World {
    async fn at_noon() -> World {
        let mut world = World::new().await;
        world.order("/clock", json!({ "at": "2030-10-31T12:00:00Z", "scale": 0 })).await;
        world.log_in().await;
        world
    }

    async fn send(&self, method: Method, path: &str, header: (&str, &str)) -> Response {
        let mut request = self.request(method.clone(), path).header(header.0, header.1);
        if method == Method::PATCH {
            request = request.json(&json!({ "Description": "x" }));
        }
        request.send().await.unwrap()
    }
}

async fn code(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    (status, body[0]["errorCode"].clone())
}

#[tokio::test]
async fn what_is_unchanged_is_not_sent_again() {
    let world = World::at_noon().await;
    let id = world.seed("Contact", json!([{ "LastName": "Roe" }])).await.remove(0);
    let change = json!({ "object": "Contact", "hide": ["Fax"] });
    world.order("/fields", change).await;
    let now = world.look("/clock").await["now"].clone();
    assert_eq!(now, "2030-10-31T12:00:00.000+0000");
    let later = "Thu, 31 Oct 2030 12:00:01 GMT";
    for path in [
        "/sobjects".to_owned(),
        "/sobjects/Contact/describe".to_owned(),
        format!("/sobjects/Contact/{id}"),
    ] {
        let answer = world.send(Method::GET, &path, ("if-modified-since", later)).await;
        assert_eq!(answer.status(), 304, "{path}");
        assert!(answer.headers().contains_key("last-modified"));
        let answer = world.send(Method::GET, &path, ("if-modified-since", BEFORE)).await;
        assert_eq!(answer.status(), 200, "{path}");
        let answer = world.send(Method::GET, &path, ("if-unmodified-since", BEFORE)).await;
        assert_eq!(answer.status(), 412, "{path}");
    }
}

#[tokio::test]
async fn a_change_within_the_named_second_passes_the_check() {
    let world = World::at_noon().await;
    let id = world.seed("Contact", json!([{ "LastName": "Roe" }])).await.remove(0);
    let path = format!("/sobjects/Contact/{id}");
    let edit = json!({ "object": "Contact", "id": id, "fields": { "Title": "first" } });
    world.order("/edit", edit).await;
    let answer = world.send(Method::PATCH, &path, ("if-unmodified-since", NOON)).await;
    assert_eq!(answer.status(), 204);
    let answer = world.send(Method::PATCH, &path, ("if-unmodified-since", BEFORE)).await;
    assert_eq!(answer.status(), 412);
    let answer = world.send(Method::PATCH, &path, ("if-unmodified-since", "noon")).await;
    assert_eq!(code(answer).await, (400, json!("INVALID_ARGUMENT")));
    let answer = world.send(Method::GET, &path, ("if-unmodified-since", "noon")).await;
    assert_eq!(answer.status(), 200, "a read does not mind");
    let answer = world.send(Method::DELETE, &path, ("if-unmodified-since", BEFORE)).await;
    assert_eq!(answer.status(), 204, "deletes have no conditions");
}

#[tokio::test]
async fn an_upsert_of_a_record_that_is_there_has_the_condition_too() {
    let world = World::at_noon().await;
    world.seed("Contact", json!([{ "LastName": "Roe", "Truce_Id__c": "1" }])).await;
    let path = "/sobjects/Contact/Truce_Id__c/1";
    let answer = world.send(Method::PATCH, path, ("if-unmodified-since", BEFORE)).await;
    assert_eq!(answer.status(), 412);
    let answer = world.send(Method::PATCH, path, ("if-unmodified-since", NOON)).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn accounts_alone_have_entity_tags() {
    let world = World::at_noon().await;
    let contact = world.seed("Contact", json!([{ "LastName": "Roe" }])).await.remove(0);
    let account = world.seed("Account", json!([{ "Name": "Acme" }])).await.remove(0);
    let contact = format!("/sobjects/Contact/{contact}");
    let account = format!("/sobjects/Account/{account}");
    let (none, any) = (("x-none", ""), ("if-match", "\"other\""));
    let answer = world.send(Method::GET, &contact, none).await;
    assert!(!answer.headers().contains_key("etag"));
    assert_eq!(world.send(Method::PATCH, &contact, any).await.status(), 204);

    let answer = world.send(Method::GET, &account, none).await;
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    let answer = world.send(Method::GET, &account, ("if-none-match", &tag)).await;
    assert_eq!(answer.status(), 304);
    assert_eq!(world.send(Method::PATCH, &account, any).await.status(), 412);
    assert_eq!(world.send(Method::PATCH, &account, ("if-none-match", &tag)).await.status(), 412);
    assert_eq!(world.send(Method::PATCH, &account, ("if-match", "other")).await.status(), 400);
    world.order("/clock", json!({ "at": "2030-10-31T12:00:05Z" })).await;
    assert_eq!(world.send(Method::PATCH, &account, ("if-match", &tag)).await.status(), 204);
    assert_eq!(world.send(Method::PATCH, &account, ("if-match", &tag)).await.status(), 412);
}
