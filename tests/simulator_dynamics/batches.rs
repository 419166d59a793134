//! Batches: order, change sets, references, and what clients write.

use reqwest::Method;
use serde_json::json;

use super::world::{NOBODY, Told, World};

impl World {
    async fn batch(&self, prefer: &str, body: &str) -> Told {
        let request = self.request(Method::POST, "$batch");
        let request = request.header("content-type", "multipart/mixed; boundary=\"b1\"");
        self.send(request.header("prefer", prefer).body(body.to_owned())).await
    }

    async fn found(&self, lastname: &str) -> usize {
        self.get(&format!("contacts?$filter=lastname eq '{lastname}'")).await.rows().len()
    }
}

/// One part with a JSON body, or without.
fn part(boundary: &str, id: &str, line: &str, body: &str) -> String {
    let id = if id.is_empty() { String::new() } else { format!("Content-ID: {id}\r\n") };
    format!(
        "--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\
         {id}\r\n{line} HTTP/1.1\r\nContent-Type: application/json; type=entry\r\n\r\n{body}\r\n"
    )
}

fn change_set(parts: &str) -> String {
    format!("--b1\r\nContent-Type: multipart/mixed; boundary=c1\r\n\r\n{parts}--c1--\r\n")
}

#[tokio::test]
async fn a_change_set_happens_whole_or_not_at_all() {
    let world = World::new().await;
    let good = part("c1", "1", "POST /api/data/v9.2/accounts", r#"{"name":"Acme"}"#)
        + &part(
            "c1",
            "2",
            "POST /api/data/v9.2/contacts",
            r#"{"lastname":"Whole","parentcustomerid_account@odata.bind":"$1"}"#,
        );
    let told = world.batch("", &format!("{}--b1--", change_set(&good))).await;
    assert_eq!(told.status, 200, "{}", told.text);
    assert!(told.text.starts_with("--batchresponse_"), "{}", told.text);
    assert!(told.text.contains("--changesetresponse_"), "{}", told.text);
    assert_eq!(told.text.matches("HTTP/1.1 204 No Content\r\n").count(), 2);
    assert!(told.text.contains("OData-EntityId: https://localhost:"), "{}", told.text);
    let row = &world.get("contacts?$filter=lastname eq 'Whole'").await.rows()[0].clone();
    assert!(!row["_parentcustomerid_value"].is_null(), "by the reference $1: {row}");

    let bad = part("c1", "1", "POST contacts", r#"{"lastname":"Half"}"#)
        + &part("c1", "2", "PATCH contacts", "{}");
    let told = world.batch("", &format!("{}--b1--", change_set(&bad))).await;
    assert_eq!((told.status, told.text.matches("HTTP/1.1 ").count()), (405, 1), "{}", told.text);
    assert_eq!(world.found("Half").await, 0);
    let lost = part("c1", "1", "POST contacts", r#"{"new_SponsorId@odata.bind":"$7"}"#);
    let told = world.batch("", &format!("{}--b1--", change_set(&lost))).await;
    assert!(told.text.contains("Content-ID Reference: '$7' does not exist"), "{}", told.text);
}

#[tokio::test]
async fn the_first_failure_ends_a_batch_unless_it_is_to_go_on() {
    let world = World::new().await;
    let gone = format!("PATCH contacts({NOBODY})");
    let failing = part("b1", "", &gone, r#"{"fax":"1"}"#)
        .replace("Content-Type: application/json", "If-Match: *\r\nContent-Type: application/json");
    let body = failing + &part("b1", "", "POST contacts", r#"{"lastname":"After"}"#) + "--b1--";
    let told = world.batch("", &body).await;
    assert_eq!((told.status, world.found("After").await), (404, 0), "{}", told.text);
    let told = world.batch("odata.continue-on-error", &body).await;
    assert_eq!((told.status, world.found("After").await), (200, 1), "{}", told.text);
    assert!(told.text.contains("HTTP/1.1 404 Not Found\r\n"), "{}", told.text);
    assert!(told.text.contains("0x80040217"), "{}", told.text);
}

#[tokio::test]
async fn batches_are_read_as_clients_write_them() {
    let world = World::new().await;
    world.make("contacts", json!({ "lastname": "x y" })).await;
    let raw = "\n--b1\ncontent-type: application/http\n\nGET contacts?$select=lastname&$filter=\
               lastname eq 'x y' HTTP/1.1\nAccept: application/json\n--b1--\n";
    let told = world.batch("", raw).await;
    assert!(told.text.contains("\"lastname\":\"x y\""), "{}", told.text);
    let many = part("b1", "", "GET WhoAmI", "").repeat(1_001);
    assert_eq!(world.batch("", &format!("{many}--b1--")).await.code(), (400, "0x80040203"));
    let nested = part("b1", "", "POST /api/data/v9.2/$batch", "");
    assert_eq!(world.batch("", &format!("{nested}--b1--")).await.status, 400);
    let looks = change_set(&part("c1", "", "GET contacts", ""));
    assert_eq!(world.batch("", &format!("{looks}--b1--")).await.status, 400, "no GET in a set");
}
