//! A simulated environment and a client of it, for the tests that drive one.

use std::sync::Once;

use reqwest::{Certificate, Client, Method, StatusCode};
use serde_json::{Value, json};
use truce::simulator::dynamics::{Options, Running, start};

/// A client with its token, and the way to the control address.
pub(crate) struct World {
    pub(crate) running: Running,
    pub(crate) http: Client,
    pub(crate) token: String,
}

/// An answer, as far as tests look at it.
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Told {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The code of an error.
    pub(crate) fn code(&self) -> (u16, &str) {
        (self.status, self.body["error"]["code"].as_str().unwrap_or(""))
    }

    pub(crate) fn rows(&self) -> &Vec<Value> {
        self.body["value"].as_array().unwrap_or_else(|| panic!("{}", self.text))
    }
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
        let scope = format!("{}/.default", self.running.base_url);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.running.client_id),
            ("client_secret", &self.running.client_secret),
            ("scope", &scope),
        ];
        let answer = self.http.post(&self.running.token_url).form(&form).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["token_type"], "Bearer", "{body}");
        self.token = body["access_token"].as_str().unwrap().into();
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = if path.starts_with("https://") {
            path.to_owned()
        } else {
            format!("{}/api/data/v9.2/{path}", self.running.base_url)
        };
        self.http.request(method, url).bearer_auth(&self.token)
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Told {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        // As it came: a text would lose its byte order mark.
        let text = String::from_utf8(answer.bytes().await.unwrap().to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Told { status, headers, text, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Told {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn prefer(&self, path: &str, preference: &str) -> Told {
        self.send(self.request(Method::GET, path).header("prefer", preference)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Told {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Told {
        self.send(self.request(Method::PATCH, path).json(&body)).await
    }

    pub(crate) async fn patch_if(&self, path: &str, header: (&str, &str), body: Value) -> Told {
        self.send(self.request(Method::PATCH, path).header(header.0, header.1).json(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Told {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Makes a record; its id.
    pub(crate) async fn make(&self, set: &str, body: Value) -> String {
        let told = self.post(set, body).await;
        assert_eq!(told.status, 204, "{}", told.text);
        let address = told.header("odata-entityid");
        address.rsplit_once('(').unwrap().1.trim_end_matches(')').to_owned()
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

    pub(crate) async fn seed(&self, table: &str, records: Value) -> Vec<String> {
        let body = self.order("/seed", json!({ "table": table, "records": records })).await;
        let ids = body["ids"].as_array().unwrap();
        ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }
}

/// An id that nobody has.
pub(crate) const NOBODY: &str = "00000000-0000-4000-8000-00000000dead";
