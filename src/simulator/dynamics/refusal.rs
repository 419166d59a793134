//! Why a request is refused, as the service says it.

use serde_json::{Value as Json, json};

/// An error of the service: status, code, words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Refusal {
        Refusal { status, code: code.to_owned(), message: message.into() }
    }

    /// A column, key or option of the address that does not exist.
    pub(super) fn undefined(message: impl Into<String>) -> Refusal {
        Refusal::new(400, "0x80060888", message)
    }

    /// A property of the body that does not exist, or is of the wrong type.
    pub(super) fn payload(what: impl std::fmt::Display) -> Refusal {
        let message = format!(
            "Error identified in Payload provided by the user for Entity :'', For more information \
             on this error please follow this help link \
             https://go.microsoft.com/fwlink/?linkid=2195293  ----> InnerException : \
             Microsoft.OData.ODataException: {what}"
        );
        Refusal::new(400, "0x80048d19", message)
    }

    pub(super) fn argument(message: impl Into<String>) -> Refusal {
        Refusal::new(400, "0x80040203", message)
    }

    /// A part of an address that leads nowhere.
    pub(super) fn segment(name: &str) -> Refusal {
        let message = format!("Resource not found for the segment '{name}'.");
        Refusal::new(404, "0x8006088a", message)
    }

    /// Something that this service has and the simulator has not.
    pub(super) fn not_simulated(what: &str) -> Refusal {
        Refusal::new(501, "0x80060888", format!("{what} is not simulated"))
    }

    /// A record that is not there.
    pub(super) fn missing(table: &str, id: impl std::fmt::Display) -> Refusal {
        let message = format!("Entity '{table}' With Id = {id} Does Not Exist");
        Refusal::new(404, "0x80040217", message)
    }

    pub(super) fn json(&self) -> Json {
        json!({ "error": { "code": self.code, "message": self.message } })
    }
}
