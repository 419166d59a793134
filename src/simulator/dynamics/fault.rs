//! Trouble on request, for answers and for single records.

use serde::{Deserialize, Serialize};

use super::super::fault::{self, Fate, Fault, one};
use super::exchange::Request;
use super::refusal::Refusal;

/// Late writes that are kept for release at most; a test uses a handful.
const LATE_MAX: usize = 10_000;

/// One record that is refused some times.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordFault {
    /// A record's id, or any text that the write bears.
    pub(super) key: String,
    pub(super) code: String,
    #[serde(default = "bad_request")]
    pub(super) status: u16,
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default = "one")]
    pub(super) count: u64,
    #[serde(default, skip_deserializing)]
    pub(super) hits: u64,
}

fn bad_request() -> u16 {
    400
}

/// All trouble that is ordered.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) answers: Vec<Fault>,
    pub(super) records: Vec<RecordFault>,
    late: Vec<Request>,
}

impl Faults {
    /// What is to happen to a request; counts it.
    pub(super) fn fate(&mut self, request: &Request) -> Fate {
        fault::fate(&mut self.answers, (&request.method, &request.target), "/api/data")
    }

    /// The error that a record is to meet, by its id and the texts that it is written with.
    pub(super) fn of_record(&mut self, keys: &[String]) -> Result<(), Refusal> {
        let is_due = |fault: &&mut RecordFault| {
            fault.hits < fault.count && keys.iter().any(|key| key.eq_ignore_ascii_case(&fault.key))
        };
        let Some(fault) = self.records.iter_mut().find(is_due) else { return Ok(()) };
        fault.hits += 1;
        let message = fault.message.clone().unwrap_or_else(|| "refused on request".to_owned());
        Err(Refusal::new(fault.status, &fault.code, message))
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

/// The refusal of an answer that is to fail.
pub(super) fn refusal_of(fault: &Fault) -> Refusal {
    let status = fault.status.unwrap_or(503);
    let (code, message) = match status {
        429 => (
            "0x80072322",
            "Number of requests exceeded the limit of 6000 over time window of 300 seconds.",
        ),
        _ => {
            ("0x8004a001", "The server is busy and the request was not completed. Try again later.")
        }
    };
    let code = fault.code.as_deref().unwrap_or(code);
    Refusal::new(status, code, fault.message.as_deref().unwrap_or(message))
}
