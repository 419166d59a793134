//! What each error code of Salesforce means for the request, the record or the mapping.
//!
//! One table. Codes come as `errorCode` from single calls and as `statusCode` from collections;
//! the edge answers in HTML. A code that is not in the table is taken as a refusal of its record,
//! and told loudly: a new release may bring one, and neighbours must go on.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::crm::http::{Answer, Verdict};
use crate::crm::salesforce::ids;
use crate::peer::PeerError;
use crate::reconcile::mapping::SideMapping;
use crate::reconcile::{Field, Outcome, Refusal, RefusalKind};

/// An error, of a request or of one record in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct ApiError {
    /// Its code.
    #[serde(rename = "errorCode", alias = "statusCode")]
    pub(super) code: String,
    /// Its words; may hold values.
    #[serde(default)]
    pub(super) message: String,
    /// The fields that it names.
    #[serde(default)]
    pub(super) fields: Option<Vec<String>>,
}

/// What a code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The token has died.
    Expired,
    /// The account may not do this.
    Denied,
    /// The day's calls, or too many at once: the message tells which.
    Quota,
    /// Broke over there; for a request as a whole, what was carried out is unknown.
    Broken,
    /// This record, again, soon.
    Soon,
    /// This record, again, after minutes.
    Late,
    /// A record that it refers to is missing.
    Dependency,
    /// The record is deleted, or was never there.
    Gone,
    /// A unique value belongs to another record.
    Unique,
    /// The whole body could not be read: one record of it is to blame.
    Body,
    /// This record's data.
    Record,
    /// Every record of the mapping.
    Mapping,
}

/// Three codes that the platform's own tables count to the mapping are the record's here, as they
/// come from one record's values or from a trigger: `MALFORMED_ID`,
/// `INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY`, `CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY`. One bad
/// record never stops its neighbours.
const TABLE: &[(Class, &[&str])] = &[
    (Class::Expired, &["INVALID_SESSION_ID", "INVALID_AUTH_HEADER"]),
    (
        Class::Denied,
        &[
            "INVALID_LOGIN",
            "LOGIN_MUST_USE_SECURITY_TOKEN",
            "INVALID_OPERATION_WITH_EXPIRED_PASSWORD",
            "API_DISABLED_FOR_ORG",
            "API_CURRENTLY_DISABLED",
            "FUNCTIONALITY_NOT_ENABLED",
            "TXN_SECURITY_NO_ACCESS",
            "TXN_SECURITY_END_A_SESSION",
            "TXN_SECURITY_TWO_FA_REQUIRED",
            "TRIAL_EXPIRED",
            "ORG_LOCKED",
            "INVALID_CLIENT",
        ],
    ),
    (Class::Quota, &["REQUEST_LIMIT_EXCEEDED", "EXCEEDED_QUOTA", "TOO_MANY_APEX_REQUESTS"]),
    (Class::Broken, &["SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION", "QUERY_TIMEOUT"]),
    (
        Class::Soon,
        &[
            "UNABLE_TO_LOCK_ROW",
            "REQUEST_RUNNING_TOO_LONG",
            "TXN_SECURITY_METERING_ERROR",
            "MATCH_SERVICE_UNAVAILABLE_ERROR",
            "MATCH_SERVICE_TIMED_OUT",
            "RECORD_IN_USE_BY_WORKFLOW",
            "ALL_OR_NONE_OPERATION_ROLLED_BACK",
            "PROCESSING_HALTED",
        ],
    ),
    (
        Class::Late,
        &[
            "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE",
            "FUNCTIONALITY_TEMPORARILY_UNAVAILABLE",
            "ORG_IN_MAINTENANCE",
            "STORAGE_LIMIT_EXCEEDED",
            "LIMIT_EXCEEDED",
            "ENTITY_IS_LOCKED",
        ],
    ),
    (Class::Dependency, &["INVALID_CROSS_REFERENCE_KEY"]),
    (Class::Gone, &["ENTITY_IS_DELETED", "NOT_FOUND"]),
    (Class::Unique, &["DUPLICATE_VALUE"]),
    (Class::Body, &["JSON_PARSER_ERROR"]),
    (
        Class::Record,
        &[
            "REQUIRED_FIELD_MISSING",
            "STRING_TOO_LONG",
            "INVALID_EMAIL_ADDRESS",
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            "FIELD_CUSTOM_VALIDATION_EXCEPTION",
            "FIELD_INTEGRITY_EXCEPTION",
            "FIELD_FILTER_VALIDATION_EXCEPTION",
            "NUMBER_OUTSIDE_VALID_RANGE",
            "INVALID_TYPE_ON_FIELD_IN_RECORD",
            "INVALID_DATE_FORMAT",
            "TEXT_DATA_OUTSIDE_SUPPORTED_CHARSET",
            "DUPLICATE_EXTERNAL_ID",
            "DUPLICATES_DETECTED",
            "INVALID_PERSON_ACCOUNT_OPERATION",
            "INACTIVE_OWNER_OR_USER",
            "TRANSFER_REQUIRES_READ",
            "SELF_REFERENCE_FROM_TRIGGER",
            "CUSTOM_APEX_ERROR",
            "CANNOT_UPDATE_CONVERTED_LEAD",
            "ENTITY_IS_ARCHIVED",
            "MALFORMED_ID",
            "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
            "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
            "CANNOT_EXECUTE_FLOW_TRIGGER",
            "DELETE_FAILED",
        ],
    ),
    (
        Class::Mapping,
        &[
            "INVALID_FIELD",
            "INVALID_TYPE",
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            "FIELD_NOT_UPDATABLE",
            "INSUFFICIENT_ACCESS_OR_READONLY",
            "INVALID_ID_FIELD",
            "MISSING_ARGUMENT",
            "MALFORMED_QUERY",
            "INVALID_QUERY_FILTER_OPERATOR",
            "INVALID_QUERY_LOCATOR",
            "INVALID_REPLICATION_DATE",
            "EXCEEDED_ID_LIMIT",
            "QUERY_TOO_COMPLICATED",
            "MIXED_DML_OPERATION",
            "METHOD_NOT_ALLOWED",
            "UNSUPPORTED_MEDIA_TYPE",
            "UNSUPPORTED_API_VERSION",
            "OPERATION_TOO_LARGE",
            "EXCEEDED_MAX_SIZE_REQUEST",
        ],
    ),
];

/// Locks and hiccups pass in seconds.
const SOON: Duration = Duration::from_secs(2);
/// Maintenance, an approval that locks the record, a full disk: minutes at best.
const LATE: Duration = Duration::from_mins(10);

impl ApiError {
    /// What the code means, told apart by the words where one code means two things.
    pub(super) fn class(&self) -> Class {
        let code = self.code.as_str();
        let known = TABLE.iter().find(|(_, codes)| codes.contains(&code)).map(|(class, _)| *class);
        match code {
            "INVALID_FIELD" if self.message.contains("Foreign key external ID") => {
                Class::Dependency
            }
            "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY" | "CANNOT_EXECUTE_FLOW_TRIGGER"
                if self.mentions_a_hiccup() =>
            {
                Class::Soon
            }
            _ => known.unwrap_or_else(|| {
                tracing::error!(code, "an error code of Salesforce that is not known here");
                Class::Record
            }),
        }
    }

    /// A trigger fails with the code of what failed in it.
    fn mentions_a_hiccup(&self) -> bool {
        let soon = TABLE.iter().filter(|(class, _)| *class == Class::Soon);
        soon.flat_map(|(_, codes)| *codes).any(|code| self.message.contains(code))
    }

    /// The outcome of a write that got this error; `Gone` needs a read and is the caller's.
    pub(super) fn outcome(&self, mapping: &SideMapping) -> Outcome {
        let kind = match self.class() {
            Class::Soon | Class::Broken | Class::Quota | Class::Expired => {
                return Outcome::Later(SOON);
            }
            Class::Late => return Outcome::Later(LATE),
            Class::Gone => return Outcome::Gone(None),
            Class::Dependency => RefusalKind::Dependency,
            Class::Unique => RefusalKind::Unique(ids::find(&self.message, "record with id:")),
            Class::Body | Class::Record => RefusalKind::Record,
            Class::Denied | Class::Mapping => RefusalKind::Mapping,
        };
        Outcome::Refused(self.refusal(kind, mapping))
    }

    /// The refusal, with the fields that it names as the mapping's own.
    pub(super) fn refusal(&self, kind: RefusalKind, mapping: &SideMapping) -> Refusal {
        Refusal {
            kind,
            code: self.code.as_str().into(),
            message: self.message.as_str().into(),
            fields: self.mapped_fields(mapping),
        }
    }

    fn mapped_fields(&self, mapping: &SideMapping) -> Vec<Field> {
        let listed = self.fields.as_deref().unwrap_or_default();
        // A duplicate names no field but in its words.
        let told = self.message.strip_prefix("duplicate value found: ");
        let told = told.and_then(|rest| rest.split_whitespace().next());
        let names: Vec<&str> = listed.iter().map(String::as_str).chain(told).collect();
        let is = |column: &Arc<str>| names.iter().any(|name| column.eq_ignore_ascii_case(name));
        let hit = mapping.fields.iter().filter(|f| f.columns.iter().any(|c| is(&c.name)));
        hit.map(|field| field.field).collect()
    }
}

/// The errors in a body, where it holds any.
pub(super) fn errors(body: &[u8]) -> Vec<ApiError> {
    serde_json::from_slice(body)
        .or_else(|_| serde_json::from_slice(body).map(|one: ApiError| vec![one]))
        .unwrap_or_default()
}

/// What an answer means for the request as a whole.
pub(super) fn verdict(answer: &Answer) -> Verdict {
    // The code in the body of an unmet precondition is not documented: the status tells.
    if answer.status == 412 {
        return Verdict::Answered;
    }
    let html = || {
        let kind = answer.headers.get("content-type").and_then(|kind| kind.to_str().ok());
        kind.is_some_and(|kind| kind.starts_with("text/html"))
    };
    let errors = if answer.status < 300 { Vec::new() } else { errors(&answer.body) };
    let Some(error) = errors.first() else {
        return match answer.status {
            406 => Verdict::Broken("HTTP status 406 without a word".to_owned()),
            status if html() => Verdict::Broken(format!("a web page, with HTTP status {status}")),
            status => Verdict::of_status(status),
        };
    };
    match error.class() {
        Class::Expired if NEVER_RENEWED.iter().any(|text| error.message.contains(text)) => {
            Verdict::Stopped(denied(error))
        }
        Class::Expired => Verdict::Expired,
        Class::Denied => Verdict::Stopped(denied(error)),
        Class::Quota if error.message.contains("TotalRequests") => Verdict::Exhausted,
        Class::Quota => Verdict::Busy,
        Class::Broken => Verdict::Broken(format!("{} ({})", error.code, answer.status)),
        Class::Soon
        | Class::Late
        | Class::Dependency
        | Class::Gone
        | Class::Unique
        | Class::Body
        | Class::Record
        | Class::Mapping => Verdict::of_status(answer.status),
    }
}

/// A new token does not help against these, though the status says so.
const NEVER_RENEWED: [&str; 2] =
    ["Connected app is not attached to Agent", "not valid for use with the REST API"];

fn denied(error: &ApiError) -> String {
    format!(
        "Salesforce denies access: {} ({}); check the integration user's permissions and the app's \
         policies",
        error.message, error.code
    )
}

/// The error of a read that was answered by refusal.
pub(super) fn refused_read(answer: &Answer, what: &str) -> PeerError {
    let words = match errors(&answer.body).first() {
        Some(error) => format!("{}: {}", error.code, first_words(&error.message)),
        None => format!("HTTP status {}", answer.status),
    };
    PeerError::Unfit { why: format!("Salesforce refuses {what}: {words}") }
}

/// Messages to a query repeat the query, and with it what records hold: that is no log's business.
/// A name in quotes stays, a literal after an operator goes.
fn first_words(message: &str) -> String {
    let mut words = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let (mut within, mut before) = (None, ' ');
    words.retain(|letter| {
        let kept = within != Some(true) || letter == '\'';
        match (letter, within) {
            ('\'', None) => within = Some("=<>(,".contains(before)),
            ('\'', Some(_)) => within = None,
            (' ', _) => return kept,
            _ => (),
        }
        before = letter;
        kept
    });
    words.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, message: &str) -> ApiError {
        ApiError { code: code.to_owned(), message: message.to_owned(), fields: None }
    }

    #[test]
    fn no_code_is_in_two_classes() {
        let mut codes: Vec<&str> = TABLE.iter().flat_map(|(_, codes)| *codes).copied().collect();
        let all = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all);
    }

    #[test]
    fn one_code_with_two_meanings_is_told_apart_by_its_words() {
        let missing = "Foreign key external ID: x not found for field F in entity E";
        assert_eq!(error("INVALID_FIELD", missing).class(), Class::Dependency);
        assert_eq!(error("INVALID_FIELD", "No such column").class(), Class::Mapping);
        let trigger = "T: execution of AfterUpdate caused by UNABLE_TO_LOCK_ROW";
        assert_eq!(error("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", trigger).class(), Class::Soon);
        assert_eq!(error("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "x").class(), Class::Record);
        assert_eq!(error("A_CODE_OF_NEXT_YEAR", "").class(), Class::Record);
    }

    #[test]
    fn a_query_that_is_repeated_is_told_without_its_values() {
        let said = "\nSELECT Id FROM Contact WHERE Email = 'ann@x.org' AND Name IN ('Ann', 'Bo')\n\
                    ERROR at Row:1:Column:8\nNo such column 'FirstName' on entity 'Contact'";
        let told = first_words(said);
        assert!(!told.contains("ann@x.org") && !told.contains("Bo"), "{told}");
        assert!(told.contains("No such column 'FirstName' on entity 'Contact'"), "{told}");
    }

    fn check(status: u16, body: &str, expected: &Verdict) {
        let answer = Answer {
            status,
            headers: reqwest::header::HeaderMap::new(),
            body: body.as_bytes().to_vec(),
            date: None,
            took: Duration::ZERO,
        };
        assert_eq!(&verdict(&answer), expected, "{status} {body}");
    }

    #[test]
    fn a_request_as_a_whole_is_judged_by_its_code_first() {
        check(200, "[]", &Verdict::Answered);
        let expired =
            r#"[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]"#;
        check(401, expired, &Verdict::Expired);
        let day =
            r#"[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]"#;
        check(403, day, &Verdict::Exhausted);
        let busy = r#"[{"message":"ConcurrentRequests (Concurrent API Requests) Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]"#;
        check(403, busy, &Verdict::Busy);
        let gone =
            r#"[{"message":"entity is deleted","errorCode":"ENTITY_IS_DELETED","fields":[]}]"#;
        check(404, gone, &Verdict::Answered);
        let down = r#"[{"message":"busy","errorCode":"SERVER_UNAVAILABLE"}]"#;
        check(503, down, &Verdict::Broken("SERVER_UNAVAILABLE (503)".to_owned()));
        check(502, "<html>", &Verdict::Broken("HTTP status 502".to_owned()));
        check(412, "", &Verdict::Answered);
    }
}
