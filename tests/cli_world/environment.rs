//! A simulated environment of Dynamics that a config of the world can name.

use serde_json::{Value as Json, json};
use truce::simulator::dynamics::{self, Options, Running};

use super::World;

pub struct Environment {
    pub running: Running,
    control: reqwest::Client,
}

impl Environment {
    /// Its files are beside the world's config.
    pub async fn start(world: &World) -> Self {
        let ca_file = Some(world.file("dynamics.pem"));
        let running = dynamics::start(Options { ca_file, ..Options::default() }).await.unwrap();
        std::fs::write(world.file("dynamics_secret"), &running.client_secret).unwrap();
        Self { running, control: reqwest::Client::new() }
    }

    /// What a config says of it as the account of this name, polled fast.
    pub fn account(&self, name: &str) -> String {
        let Running { base_url, token_url, client_id, tenant_id, .. } = &self.running;
        format!(
            r#"
[crm.{name}]
kind = "dynamics"
url = "{base_url}"
token_url = "{token_url}"
tenant = "{tenant_id}"
ca_file = "dynamics.pem"
client_id = "{client_id}"
client_secret_file = "dynamics_secret"
poll_seconds = 0.1
poll_idle_seconds = 0.2
timeout_seconds = 5
retry_seconds_max = 1
"#
        )
    }

    pub async fn order(&self, route: &str, order: Json) -> Json {
        let url = format!("{}/{route}", self.running.control_url);
        let answer = self.control.post(url).json(&order).send().await.unwrap();
        assert!(answer.status().is_success(), "{route} {order}");
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    pub async fn contacts(&self) -> Vec<Json> {
        let url = format!("{}/records/contact", self.running.control_url);
        let text = self.control.get(url).send().await.unwrap().text().await.unwrap();
        let told: Json = serde_json::from_str(&text).unwrap();
        told["records"].as_array().unwrap().clone()
    }

    /// Edits the contact with this address as a person would.
    pub async fn edit(&self, mail: &str, fields: Json) {
        let all = self.contacts().await;
        let one = all.iter().find(|record| record["emailaddress1"] == mail).unwrap();
        let order = json!({ "table": "contact", "id": one["contactid"], "fields": fields });
        self.order("edit", order).await;
    }
}
