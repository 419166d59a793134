//! The CRM's screen: what a person there does, through the simulator's control address.
//!
//! Things and fields go by Salesforce's names, whichever CRM it is: see `terms`.

use std::sync::Once;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::PeopleError;
use super::terms::Terms;
use crate::simulator::any::Kind;

/// An order of a test is carried out in memory; this is for a machine that is very busy.
const ANSWER_MAX: Duration = Duration::from_mins(2);

/// A person at the screen.
#[derive(Clone, Debug)]
pub struct Screen {
    http: reqwest::Client,
    control: String,
    terms: &'static Terms,
}

impl Screen {
    /// Of the simulator of this kind that takes orders at this address.
    pub fn of(kind: Kind, control_url: &str) -> Self {
        static PROVIDER: Once = Once::new();
        // The client wants one even for plain http. Where one is installed already, it stays.
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let (http, control) = (reqwest::Client::new(), control_url.to_owned());
        Self { http, control, terms: Terms::of(kind) }
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
        self.make("seed", object, records).await
    }

    /// Makes a record as a person; its id.
    pub async fn create(&self, object: &str, record: Value) -> Result<String, PeopleError> {
        Ok(self.make("create", object, vec![record]).await?.swap_remove(0))
    }

    async fn make(
        &self,
        route: &str,
        object: &str,
        records: Vec<Value>,
    ) -> Result<Vec<String>, PeopleError> {
        let written = |record| self.terms.written(object, members(record)).into();
        let records: Vec<Value> = records.into_iter().map(written).collect();
        let made = self.order_of(route, object, json!({ "records": records })).await?;
        let ids = made["ids"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(ids.iter().filter_map(|id| id.as_str().map(ToOwned::to_owned)).collect())
    }

    /// Edits one field of one record.
    pub async fn edit(
        &self,
        object: &str,
        id: &str,
        (field, value): (&str, &Value),
    ) -> Result<(), PeopleError> {
        let fields = Map::from_iter([(field.to_owned(), value.clone())]);
        let fields = self.terms.written(object, fields);
        self.order_of("edit", object, json!({ "id": id, "fields": fields })).await.map(drop)
    }

    /// Deletes a record.
    pub async fn delete(&self, object: &str, id: &str) -> Result<(), PeopleError> {
        self.order_of("delete", object, json!({ "ids": [id] })).await.map(drop)
    }

    /// Gives an order about records of one kind.
    async fn order_of(
        &self,
        route: &str,
        object: &str,
        mut order: Value,
    ) -> Result<Value, PeopleError> {
        order[self.terms.object] = self.terms.thing(object).into();
        self.order(route, order).await
    }

    /// All records that are not deleted, nor merged into another.
    pub async fn records(&self, object: &str, fields: &str) -> Result<Vec<Value>, PeopleError> {
        let mut records = self.read(object, fields, self.terms.live).await?;
        records.retain(|record| record["merged"] != json!(true));
        Ok(records)
    }

    /// All records, also those that were merged into another, and deleted ones where the CRM keeps
    /// them.
    pub async fn ever(&self, object: &str, fields: &str) -> Result<Vec<Value>, PeopleError> {
        self.read(object, fields, "").await
    }

    async fn read(
        &self,
        object: &str,
        fields: &str,
        which: &str,
    ) -> Result<Vec<Value>, PeopleError> {
        let fields = fields.split(',').map(|field| self.terms.read(object, field));
        let fields: Vec<&str> = fields.chain(self.terms.merged).collect();
        let thing = self.terms.thing(object);
        let route = format!("records/{thing}?{which}fields={}", fields.join(","));
        let read = list(&self.look(&route).await?, "records");
        Ok(read.into_iter().map(|one| self.terms.told(object, members(one)).into()).collect())
    }

    /// All that there is of an object, in the CRM's own words.
    pub async fn all(&self, object: &str) -> Result<Value, PeopleError> {
        self.look(&format!("records/{}", self.terms.thing(object))).await
    }

    /// Every change of an object that was made after the seeds, oldest first: each field with its
    /// `old` and its `new` value, and when readers saw it.
    pub async fn history(&self, object: &str) -> Result<Vec<Value>, PeopleError> {
        let Terms { object: parameter, old, new, .. } = self.terms;
        let route = format!("history?{parameter}={}", self.terms.thing(object));
        let told = |mut change: Value| {
            let values = |(name, values): (String, Value)| {
                (name, json!({ "old": values.pointer(old), "new": values.pointer(new) }))
            };
            let fields = members(change["fields"].take()).into_iter().map(values).collect();
            change["fields"] = self.terms.told(object, fields).into();
            // What is committed shows at once, where nothing else is said.
            if change["shown_at_ms"].is_null() {
                change["shown_at_ms"] = change["at_ms"].clone();
            }
            change
        };
        Ok(list(&self.look(&route).await?, "changes").into_iter().map(told).collect())
    }

    /// When programs set a field of a record to this, oldest first.
    pub async fn set_by_programs(
        &self,
        object: &str,
        id: &str,
        (field, value): (&str, &Value),
    ) -> Result<Vec<Timestamp>, PeopleError> {
        let Terms { object: parameter, new, .. } = self.terms;
        let route = format!("history?{parameter}={}&id={id}", self.terms.thing(object));
        let read = self.terms.read(object, field);
        let set = |change: &Value| {
            let to = change["fields"][read].pointer(new);
            let at = change["at_ms"].as_i64()?;
            let at = (change["via"] == "api" && to == Some(value)).then_some(at)?;
            Timestamp::from_millisecond(at).ok()
        };
        Ok(list(&self.look(&route).await?, "changes").iter().filter_map(set).collect())
    }

    /// How many calls programs made, and how many records they read by them.
    pub async fn calls(&self) -> Result<(u64, u64), PeopleError> {
        let counters = self.look("counters").await?;
        let count = |name: &str| counters[name].as_u64().unwrap_or(0);
        Ok((count(self.terms.calls), count("records_read")))
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

/// The members of what is an object.
fn members(record: Value) -> Map<String, Value> {
    match record {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

fn list(answer: &Value, name: &str) -> Vec<Value> {
    answer[name].as_array().cloned().unwrap_or_default()
}
