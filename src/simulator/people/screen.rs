//! The CRM's screen: what a person there does, through the simulator's control address.

use std::sync::Once;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::PeopleError;
use crate::simulator::salesforce::Running;

/// An order of a test is carried out in memory; this is for a machine that is very busy.
const ANSWER_MAX: Duration = Duration::from_mins(2);

/// A person at the screen.
#[derive(Clone, Debug)]
pub struct Screen {
    http: reqwest::Client,
    control: String,
}

impl Screen {
    /// Of this organisation.
    pub fn of(running: &Running) -> Self {
        static PROVIDER: Once = Once::new();
        // The client wants one even for plain http. Where one is installed already, it stays.
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        Self { http: reqwest::Client::new(), control: running.control_url.clone() }
    }

    /// Gives an order.
    pub async fn order(&self, route: &str, order: Value) -> Result<Value, PeopleError> {
        let request = self.http.post(format!("{}/{route}", self.control)).json(&order);
        self.answer(route, request).await
    }

    /// Looks at something.
    pub async fn look(&self, route: &str) -> Result<Value, PeopleError> {
        self.answer(route, self.http.get(format!("{}/{route}", self.control))).await
    }

    /// Records that have been there for a while; their ids.
    pub async fn seed(
        &self,
        object: &str,
        records: Vec<Value>,
    ) -> Result<Vec<String>, PeopleError> {
        let made = self.order("seed", json!({ "object": object, "records": records })).await?;
        Ok(ids(&made))
    }

    /// Makes a record as a person; its id.
    pub async fn create(&self, object: &str, record: Value) -> Result<String, PeopleError> {
        let made = self.order("create", json!({ "object": object, "records": [record] })).await?;
        Ok(ids(&made).swap_remove(0))
    }

    /// Edits one field of one record.
    pub async fn edit(
        &self,
        object: &str,
        id: &str,
        (field, value): (&str, &Value),
    ) -> Result<(), PeopleError> {
        let fields = Map::from_iter([(field.to_owned(), value.clone())]);
        let order = json!({ "object": object, "id": id, "fields": fields });
        self.order("edit", order).await.map(drop)
    }

    /// Deletes a record.
    pub async fn delete(&self, object: &str, id: &str) -> Result<(), PeopleError> {
        self.order("delete", json!({ "object": object, "ids": [id] })).await.map(drop)
    }

    /// All records that are not deleted.
    pub async fn records(&self, object: &str, fields: &str) -> Result<Vec<Value>, PeopleError> {
        let route = format!("records/{object}?deleted=false&fields={fields}");
        let mut answer = self.look(&route).await?;
        Ok(match answer["records"].take() {
            Value::Array(records) => records,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => Vec::new(),
        })
    }

    /// Every change of an object that was made after the seeds, oldest first.
    pub async fn history(&self, object: &str) -> Result<Vec<Value>, PeopleError> {
        let answer = self.look(&format!("history?object={object}")).await?;
        Ok(answer["changes"].as_array().cloned().unwrap_or_default())
    }

    async fn answer(
        &self,
        route: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<Value, PeopleError> {
        let failed = |source| PeopleError::Screen { route: route.to_owned(), source };
        let answer = request.timeout(ANSWER_MAX).send().await.map_err(failed)?;
        let status = answer.status();
        let text = answer.text().await.map_err(failed)?;
        let refused = || PeopleError::Refused { route: route.to_owned(), answer: text.clone() };
        if !status.is_success() {
            return Err(refused());
        }
        serde_json::from_str(&text).map_err(|_| refused())
    }
}

fn ids(made: &Value) -> Vec<String> {
    let ids = made["ids"].as_array().map(Vec::as_slice).unwrap_or_default();
    ids.iter().filter_map(|id| id.as_str().map(ToOwned::to_owned)).collect()
}
