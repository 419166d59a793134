//! Trouble on request: which of the next answers fail, how, and whether the effect happens.

use serde::{Deserialize, Serialize};

use super::super::fault::{self, one};
pub(super) use super::super::fault::{Effect, Failing, Fate, Fault};
use super::api::Request;
use super::refusal::Refusal;

/// Late writes that are kept for release at most; a test uses a handful.
const LATE_MAX: usize = 10_000;

/// The status and error of a failing answer.
pub(super) fn refusal_of(fault: &Fault) -> (u16, Refusal) {
    let status = fault.status.unwrap_or(503);
    let code = fault.code.as_deref().unwrap_or("SERVER_UNAVAILABLE");
    let message =
        fault.message.as_deref().unwrap_or("The server is temporarily unavailable, try later");
    (status, Refusal::new(code, message))
}

/// One record that is refused some times.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RecordFault {
    /// A record id, or the value of any external id or unique field that the write bears.
    pub(super) key: String,
    #[serde(alias = "status_code")]
    pub(super) status_code: String,
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default)]
    pub(super) fields: Vec<String>,
    #[serde(default = "one")]
    pub(super) count: u64,
    #[serde(default, skip_deserializing)]
    pub(super) hits: u64,
}

/// All trouble that is ordered.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) answers: Vec<Fault>,
    pub(super) records: Vec<RecordFault>,
    late: Vec<Request>,
}

impl Faults {
    /// Adds trouble; what has had its say is forgotten.
    pub(super) fn order(&mut self, fault: Fault) {
        fault::order(&mut self.answers, fault);
    }

    /// What is to happen to a request; counts it.
    pub(super) fn fate(&mut self, request: &Request) -> Fate {
        fault::fate(&mut self.answers, (&request.method, &request.target), "/services/data")
    }

    /// The error that a record is to meet, by its id and its keys.
    pub(super) fn of_record(&mut self, keys: &[String]) -> Option<Refusal> {
        let fault = self
            .records
            .iter_mut()
            .find(|fault| fault.hits < fault.count && keys.iter().any(|key| fault.names(key)))?;
        fault.hits += 1;
        let message = fault.message.clone().unwrap_or_else(|| "refused on request".to_owned());
        let fields: Vec<&str> = fault.fields.iter().map(String::as_str).collect();
        Some(Refusal::of(&fault.status_code, message, &fields))
    }

    /// Keeps a request whose effect comes later.
    pub(super) fn keep_late(&mut self, request: Request) {
        if self.late.len() < LATE_MAX {
            self.late.push(Request { admitted: true, ..request });
        }
    }

    /// The requests that were kept, in their order.
    pub(super) fn take_late(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.late)
    }
}

impl RecordFault {
    fn names(&self, key: &str) -> bool {
        self.key == key || (self.key.len() == 15 && key.len() == 18 && key.starts_with(&self.key))
    }
}
