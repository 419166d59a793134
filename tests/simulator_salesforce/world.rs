//! A simulated Salesforce and a client of it, for the tests that drive one.
use std::sync::Once;

use reqwest::{Certificate, Client, Method, StatusCode};
use serde_json::{Value, json};
use truce::simulator::salesforce::{Options, Running, start};

/// A client with its token, and the way to the control address.
pub(crate) struct World {
    pub(crate) running: Running,
    pub(crate) http: Client,
    pub(crate) token: String,
}

impl World {
    pub(crate) async fn new() -> World {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let running = start(Options::default()).await.unwrap();
        let ca = Certificate::from_pem(running.ca_pem.as_bytes()).unwrap();
        let http = Client::builder().tls_certs_only([ca]).build().unwrap();
        let mut world = World { running, http, token: String::new() };
        world.log_in().await;
        world
    }

    pub(crate) async fn log_in(&mut self) {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.running.client_id),
            ("client_secret", &self.running.client_secret),
        ];
        let answer = self.http.post(&self.running.token_url).form(&form).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["instance_url"], json!(self.running.base_url));
        self.token = body["access_token"].as_str().unwrap().into();
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/services/data/v66.0{path}", self.running.base_url);
        self.http.request(method, url).bearer_auth(&self.token)
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let mut request = self.request(method, path);
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, Value::Null).await
    }

    pub(crate) async fn query(&self, resource: &str, soql: &str) -> (u16, Value) {
        let url = format!("{}/services/data/v66.0/{resource}/", self.running.base_url);
        let request = self.http.get(url).query(&[("q", soql)]).bearer_auth(&self.token);
        let answer = request.send().await.unwrap();
        assert!(answer.headers().contains_key("sforce-limit-info"), "on every answer");
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub(crate) async fn rows(&self, soql: &str) -> Vec<Value> {
        let (status, body) = self.query("queryAll", soql).await;
        assert_eq!(status, 200, "{body}");
        body["records"].as_array().unwrap().clone()
    }

    pub(crate) async fn upsert(&self, records: Value) -> Vec<Value> {
        let body = json!({ "allOrNone": false, "records": records });
        let path = "/composite/sobjects/Contact/Truce_Id__c";
        let (status, body) = self.call(Method::PATCH, path, body).await;
        assert_eq!(status, 200, "{body}");
        body.as_array().unwrap().clone()
    }

    pub(crate) async fn order(&self, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.running.control_url);
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    pub(crate) async fn look(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.running.control_url);
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    pub(crate) async fn seed(&self, object: &str, records: Value) -> Vec<String> {
        let body = self.order("/seed", json!({ "object": object, "records": records })).await;
        let ids = body["ids"].as_array().unwrap();
        ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }
}

/// A contact as the body of a collection has it.
#[expect(clippy::needless_pass_by_value, reason = "callers write the fields in place")]
pub(crate) fn contact(fields: Value) -> Value {
    let mut record = json!({ "attributes": { "type": "Contact" } });
    record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    record
}

pub(crate) fn code(outcome: &Value) -> &str {
    outcome["errors"][0]["statusCode"].as_str().unwrap_or("")
}
