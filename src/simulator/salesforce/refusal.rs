//! Why a record or a whole request is refused, in Salesforce's codes and words.

use serde_json::{Value as Json, json};

/// Not documented by Salesforce: the code for null in a checkbox.
pub(super) const NULL_CHECKBOX: &str = "INVALID_TYPE_ON_FIELD_IN_RECORD";
/// Not documented by Salesforce: the code in the body of a 412.
pub(super) const PRECONDITION: &str = "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE";
/// Not documented by Salesforce: the code for more records than a collection takes.
pub(super) const TOO_MANY: &str = "LIMIT_EXCEEDED";
/// The code of an update or delete in a collection whose id was never given out, or was purged.
pub(super) const NO_SUCH_RECORD: &str = "INVALID_CROSS_REFERENCE_KEY";
/// A body that cannot be read as the fields' types spoils the whole request.
pub(super) const UNREADABLE: &str = "JSON_PARSER_ERROR";

/// One error: `statusCode` in collections, `errorCode` elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) fields: Option<Vec<String>>,
}

impl Refusal {
    /// An error that no field is to blame for.
    pub(super) fn new(code: &str, message: impl Into<String>) -> Refusal {
        Refusal { code: code.to_owned(), message: message.into(), fields: None }
    }

    /// An error that names the fields.
    pub(super) fn of(code: &str, message: impl Into<String>, fields: &[&str]) -> Refusal {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        Refusal { fields: Some(fields), ..Refusal::new(code, message) }
    }

    pub(super) fn json(&self, code_key: &str) -> Json {
        let mut body = json!({ "message": self.message });
        body[code_key] = json!(self.code);
        if let Some(fields) = &self.fields {
            body["fields"] = json!(fields);
        }
        body
    }

    /// As an element of a collection's answer, where `fields` is never missing.
    pub(super) fn in_collection(&self) -> Json {
        json!({
            "statusCode": self.code,
            "message": self.message,
            "fields": self.fields.clone().unwrap_or_default(),
        })
    }

    /// The status of a single call that ends in this error.
    pub(super) fn status(&self) -> u16 {
        match self.code.as_str() {
            "INVALID_SESSION_ID" | "INVALID_AUTH_HEADER" => 401,
            "REQUEST_LIMIT_EXCEEDED" | "API_DISABLED_FOR_ORG" => 403,
            "NOT_FOUND" | "ENTITY_IS_DELETED" => 404,
            "METHOD_NOT_ALLOWED" => 405,
            "UNSUPPORTED_MEDIA_TYPE" => 415,
            PRECONDITION => 412,
            "UNKNOWN_EXCEPTION" => 500,
            "SERVER_UNAVAILABLE" => 503,
            _ => 400,
        }
    }
}
