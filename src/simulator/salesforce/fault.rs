//! Trouble on request: which of the next answers fail, how, and whether the effect happens.

use serde::{Deserialize, Serialize};

use super::api::Request;
use super::refusal::Refusal;

/// Late writes that are kept for release at most; a test uses a handful.
const LATE_MAX: usize = 10_000;

/// How an answer fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Failing {
    /// With an error in Salesforce's form.
    #[default]
    Answer,
    /// The connection breaks instead.
    Reset,
    /// With a page of the edge: HTML.
    Html,
    /// The request is kept, and carried out when the test releases it.
    Late,
    /// Not at all: it is only slow.
    Delay,
}

/// Whether the request takes effect before its answer fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Effect {
    /// The answer fails before anything happened.
    #[default]
    Before,
    /// Everything happened; only the answer is lost.
    After,
}

/// What is to fail.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    /// How many answers; one if it is not said.
    #[serde(default = "one")]
    pub(super) count: u64,
    #[serde(default)]
    pub(super) kind: Failing,
    #[serde(default)]
    pub(super) effect: Effect,
    #[serde(default)]
    pub(super) status: Option<u16>,
    #[serde(default)]
    pub(super) code: Option<String>,
    #[serde(default)]
    pub(super) message: Option<String>,
    /// Only requests of this method.
    #[serde(default)]
    pub(super) method: Option<String>,
    /// Only requests whose path contains this; requests for tokens only where it says so.
    #[serde(default)]
    pub(super) path_contains: Option<String>,
    /// Milliseconds of real time that the answer takes longer.
    #[serde(default)]
    pub(super) delay_ms: u64,
    /// How many answers it has spoilt.
    #[serde(default, skip_deserializing)]
    pub(super) hits: u64,
}

fn one() -> u64 {
    1
}

impl Fault {
    fn concerns(&self, request: &Request) -> bool {
        self.count > self.hits
            && self.method.as_ref().is_none_or(|m| m.eq_ignore_ascii_case(&request.method))
            && match &self.path_contains {
                Some(part) => request.target.contains(part.as_str()),
                None => request.target.starts_with("/services/data"),
            }
    }

    /// The status and error of the failing answer.
    pub(super) fn refusal(&self) -> (u16, Refusal) {
        let status = self.status.unwrap_or(503);
        let code = self.code.as_deref().unwrap_or("SERVER_UNAVAILABLE");
        let message =
            self.message.as_deref().unwrap_or("The server is temporarily unavailable, try later");
        (status, Refusal::new(code, message))
    }
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

/// What happens to one request.
#[derive(Debug, Default)]
pub(super) struct Fate {
    pub(super) delay_ms: u64,
    pub(super) fault: Option<Fault>,
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
        self.answers.retain(|old| old.hits < old.count);
        self.answers.push(fault);
    }

    /// What is to happen to a request; counts it.
    pub(super) fn fate(&mut self, request: &Request) -> Fate {
        let mut fate = Fate::default();
        for fault in &mut self.answers {
            let is_delay = fault.kind == Failing::Delay;
            if (is_delay || fate.fault.is_none()) && fault.concerns(request) {
                fault.hits += 1;
                fate.delay_ms += fault.delay_ms;
                if !is_delay {
                    fate.fault = Some(fault.clone());
                }
            }
        }
        fate
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
