//! Errors as they come, and what the table of `codes` makes of them: for the request as a whole, and
//! for one record in it.
//!
//! Codes come as `errorCode` from single calls and as `statusCode` from collections; the edge answers
//! in HTML, or not to the end.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::crm::http::{Allowance, Answer, Verdict};
use crate::crm::salesforce::api::usage;
use crate::crm::salesforce::codes::{self, Action, Met};
use crate::crm::salesforce::ids;
use crate::peer::PeerError;
use crate::reconcile::mapping::SideMapping;
use crate::reconcile::{Delay, Field, Outcome, RecordId, Refusal, RefusalKind};
use crate::telemetry::metrics;

/// An error, of a request or of one record in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
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
    /// What a duplicate rule found; some versions spell it so, some otherwise.
    #[serde(default, rename = "duplicateResult")]
    duplicates: Option<Json>,
    #[serde(default, rename = "duplicateResut")]
    duplicates_misspelt: Option<Json>,
}

/// What is in no row is its record's alone.
const UNKNOWN: Action = Action::HoldRecord;

/// The longest code of the platform's lists has 63 letters.
const CODE_LENGTH_MAX: usize = 80;

/// So many records are named in the words of a refusal.
const NAMED_MAX: usize = 10;

/// Locks and hiccups pass in seconds.
pub(super) const SOON: Duration = Duration::from_secs(2);
/// Maintenance, an approval that locks the record, a full disk: minutes at best.
pub(super) const LATE: Duration = Duration::from_mins(10);
/// A day's allowance comes back bit by bit.
const JOBS_REST: Duration = Duration::from_mins(10);
/// What an administrator has to grant.
const JOBS_DENIED: Duration = Duration::from_hours(1);

impl ApiError {
    /// An error that names no fields.
    pub(super) fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), ..Self::default() }
    }

    /// What is done about it, in one record of an answer.
    pub(super) fn action(&self) -> Action {
        self.known(Met::PLAIN).unwrap_or(UNKNOWN)
    }

    fn known(&self, met: Met) -> Option<Action> {
        codes::look_up(&self.code, &self.message, met)
    }

    /// Counts it, once for each time that something follows from it. An unknown one is loud.
    fn count(&self, met: Met) {
        let known = self.known(met);
        let code = self.code_word();
        if known.is_none() {
            tracing::error!(
                code,
                "an error code of Salesforce that is not known here: it is taken as a refusal of its \
                 record alone; please report it"
            );
        }
        metrics::crm_error(known.map_or("unknown", |action| action.class().word()), code);
    }

    /// The code, where it looks like one: it becomes a label, and a label holds no values.
    fn code_word(&self) -> &str {
        let letter = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_';
        let is_code =
            (1..=CODE_LENGTH_MAX).contains(&self.code.len()) && self.code.bytes().all(letter);
        if is_code { &self.code } else { "MALFORMED_CODE" }
    }

    /// That long, for its code.
    pub(super) fn delay(&self, after: Duration) -> Delay {
        Delay::of(after, self.code_word())
    }

    /// The record that was locked, where the words name it: mostly a parent.
    pub(super) fn locked(&self) -> Option<RecordId> {
        ids::find(&self.message, "records:")
    }

    /// The outcome of a write that got this error; `Gone` and `Stale` need a read and are the
    /// caller's, and so is how long a record waits that is locked.
    pub(super) fn outcome(&self, mapping: &SideMapping) -> Outcome {
        self.count(Met::PLAIN);
        let kind = match self.action() {
            Action::SmallerBatch
            | Action::RecordSoon
            | Action::RepeatRequest
            | Action::AskForLess
            | Action::PauseDay
            | Action::FewerWorkers
            | Action::RestJobs
            | Action::RenewToken => return Outcome::Later(self.delay(SOON)),
            Action::RecordLate | Action::WaitForUnlock => {
                return Outcome::Later(self.delay(LATE));
            }
            Action::MakeRoom => {
                tracing::error!(
                    code = self.code_word(),
                    "Salesforce has no room: somebody must make it"
                );
                return Outcome::Later(self.delay(LATE));
            }
            Action::ReadGone => return Outcome::Gone(None),
            Action::ReadAgain => return Outcome::Stale(None),
            Action::WaitForParent => RefusalKind::Dependency,
            Action::HoldUnique => RefusalKind::Unique(ids::find(&self.message, "record with id:")),
            Action::HoldRecord
            | Action::HoldArchived
            | Action::HoldDuplicate
            | Action::SplitBody => RefusalKind::Record,
            Action::StopAccount | Action::DenyRequest | Action::DenyJobs | Action::DescribeAnew => {
                RefusalKind::Mapping
            }
        };
        Outcome::Refused(self.refusal(kind, mapping))
    }

    /// The refusal, with the fields that it names as the mapping's own.
    pub(super) fn refusal(&self, kind: RefusalKind, mapping: &SideMapping) -> Refusal {
        Refusal {
            kind,
            code: self.code.as_str().into(),
            message: self.words().into(),
            fields: self.mapped_fields(mapping),
        }
    }

    /// Its words, with the records that a duplicate rule names beside them.
    fn words(&self) -> String {
        let found = self.duplicates.as_ref().or(self.duplicates_misspelt.as_ref());
        let Some(found) = found else { return self.message.clone() };
        let results = found.get("matchResults").and_then(Json::as_array);
        let records = results
            .into_iter()
            .flatten()
            .filter_map(|result| Some(result.get("matchRecords")?.as_array()?.iter()));
        let id = |record: &Json| {
            let record = record.get("record")?;
            let id = record.get("Id").or_else(|| record.get("id"))?.as_str()?;
            Some(ids::record_id(id)?.to_string())
        };
        let mut ids: Vec<String> = records.flatten().filter_map(id).take(NAMED_MAX).collect();
        ids.dedup();
        let rule = found.get("duplicateRule").and_then(Json::as_str).unwrap_or("without a name");
        if ids.is_empty() {
            return format!("{} (duplicate rule {rule})", self.message);
        }
        format!("{} (duplicate rule {rule}: {})", self.message, ids.join(", "))
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
pub(super) fn verdict(answer: &Answer, of: Allowance) -> Verdict {
    // The code in the body of an unmet precondition is not documented: the status tells.
    if matches!(answer.status, 304 | 412) {
        return Verdict::Answered;
    }
    let kind = answer.headers.get("content-type").and_then(|kind| kind.to_str().ok());
    let is = |wanted: &str| kind.is_some_and(|kind| kind.starts_with(wanted));
    let status = answer.status;
    if is("text/html") {
        return Verdict::Broken(format!("a web page, with HTTP status {status}"));
    }
    if status < 300 {
        return match answer.body.trim_ascii_end().last() {
            None if status == 200 => Verdict::Broken("an answer without a body".to_owned()),
            Some(last) if is("application/json") && !b"]}".contains(last) => {
                Verdict::Broken("an answer that ends in the middle".to_owned())
            }
            None | Some(_) => Verdict::Answered,
        };
    }
    let error = refusals(answer).swap_remove(0);
    let used_up = usage(&answer.headers).is_some_and(|usage| usage.allowed <= usage.used);
    let met = Met { of, used_up };
    let verdict = match error.known(met).unwrap_or(UNKNOWN) {
        Action::RenewToken => Verdict::Expired,
        Action::StopAccount => Verdict::Stopped(denied(&error)),
        Action::DenyRequest => Verdict::Denied(denied(&error)),
        Action::PauseDay => Verdict::Exhausted,
        Action::FewerWorkers => Verdict::Busy,
        Action::RepeatRequest => Verdict::Broken(broken(&error, status)),
        // Whatever its status: asked again as it was, it would take as long.
        Action::AskForLess | Action::RestJobs | Action::DenyJobs => Verdict::Answered,
        Action::SmallerBatch
        | Action::RecordSoon
        | Action::RecordLate
        | Action::MakeRoom
        | Action::WaitForParent
        | Action::ReadGone
        | Action::WaitForUnlock
        | Action::HoldArchived
        | Action::ReadAgain
        | Action::HoldRecord
        | Action::HoldUnique
        | Action::HoldDuplicate
        | Action::SplitBody
        | Action::DescribeAnew => Verdict::of_status(status),
    };
    // What is an answer is counted by whoever reads it.
    if verdict != Verdict::Answered {
        error.count(met);
    }
    verdict
}

/// The errors of an answer that refuses the request as a whole, never none.
pub(super) fn refusals(answer: &Answer) -> Vec<ApiError> {
    let errors = errors(&answer.body);
    if errors.is_empty() {
        return vec![ApiError::new(format!("HTTP_{}", answer.status), "refused without a word")];
    }
    errors
}

/// What broke, with the number by which Salesforce's support finds it.
fn broken(error: &ApiError, status: u16) -> String {
    let id = error.message.split_once("ErrorId").and_then(|(_, rest)| rest.split_once(':'));
    let number = |c: char| c.is_ascii_digit() || "-() ".contains(c);
    let id: String =
        id.map_or("", |(_, id)| id).chars().take_while(|c| number(*c)).take(60).collect();
    match id.trim() {
        "" => format!("{} ({status})", error.code_word()),
        id => format!("{} ({status}), ErrorId {id}", error.code_word()),
    }
}

fn denied(error: &ApiError) -> String {
    format!(
        "Salesforce denies access: {} ({}); check the integration user's permissions and the app's \
         policies",
        error.message, error.code
    )
}

/// The error of a read that was answered by refusal: one that passes by itself, or one to mend.
pub(super) fn refused_read(answer: &Answer, what: &'static str) -> PeerError {
    let error = refusals(answer).swap_remove(0);
    error.count(Met::PLAIN);
    let words = format!("{}: {}", error.code, first_words(&error.message));
    match error.action() {
        // What is read anew is asked for otherwise.
        Action::AskForLess | Action::SmallerBatch => {
            PeerError::Transient { doing: what, source: Box::new(TookTooLong(words)) }
        }
        Action::RecordSoon | Action::RepeatRequest | Action::ReadAgain => {
            PeerError::Transient { doing: what, source: words.into() }
        }
        // The object is described anew at once, and then asked for without what is not there.
        Action::DescribeAnew if &*error.code == "INVALID_FIELD" => {
            PeerError::Transient { doing: what, source: words.into() }
        }
        Action::RecordLate | Action::MakeRoom | Action::WaitForUnlock => {
            PeerError::Throttled { after: LATE, why: words }
        }
        Action::RenewToken
        | Action::StopAccount
        | Action::DenyRequest
        | Action::PauseDay
        | Action::FewerWorkers
        | Action::RestJobs
        | Action::DenyJobs
        | Action::WaitForParent
        | Action::ReadGone
        | Action::HoldArchived
        | Action::HoldRecord
        | Action::HoldUnique
        | Action::HoldDuplicate
        | Action::SplitBody
        | Action::DescribeAnew => {
            PeerError::Unfit { why: format!("Salesforce refuses {what}: {words}") }
        }
    }
}

/// A question took too long over there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct TookTooLong(String);

/// Whether less should be asked for.
pub(super) fn timed_out(error: &PeerError) -> bool {
    matches!(error, PeerError::Transient { source, .. } if source.is::<TookTooLong>())
}

/// How long jobs are left alone, where that is why one was refused; with the words.
pub(super) fn rests_jobs(answer: &Answer) -> Option<(Duration, String)> {
    let error = refusals(answer).swap_remove(0);
    let met = Met { of: Allowance::Jobs, used_up: false };
    let rest = match error.known(met) {
        Some(Action::RestJobs) => JOBS_REST,
        Some(Action::DenyJobs) => JOBS_DENIED,
        Some(_) | None => return None,
    };
    error.count(met);
    Some((rest, format!("{}: {}", error.code, first_words(&error.message))))
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
    use reqwest::header::{HeaderMap, HeaderValue};

    use super::*;

    #[test]
    fn a_duplicate_rule_names_what_it_found_however_that_is_spelt() {
        let found = serde_json::json!({ "allowSave": false, "duplicateRule": "Standard_Rule",
            "matchResults": [{ "matchRecords": [{ "record": { "Id": "003xx000004TmiQ" } }] }] });
        for name in ["duplicateResult", "duplicateResut"] {
            let mut error = serde_json::json!({ "statusCode": "DUPLICATES_DETECTED",
                "message": "Use one of these records?" });
            error[name] = found.clone();
            let error: ApiError = serde_json::from_value(error).unwrap();
            assert_eq!(
                error.words(),
                "Use one of these records? (duplicate rule Standard_Rule: 003xx000004TmiQAAS)"
            );
            assert_eq!(error.action(), Action::HoldDuplicate);
        }
    }

    #[test]
    fn an_unknown_code_is_its_records_alone_and_no_label_of_strange_letters() {
        assert_eq!(ApiError::new("A_CODE_OF_NEXT_YEAR", "").action(), Action::HoldRecord);
        assert_eq!(ApiError::new("A_CODE_OF_NEXT_YEAR", "").code_word(), "A_CODE_OF_NEXT_YEAR");
        assert_eq!(ApiError::new("ann@x.org", "").code_word(), "MALFORMED_CODE");
    }

    #[test]
    fn a_read_that_is_refused_for_now_is_no_fault_of_the_mapping() {
        let refused = |code: &str| {
            let answer = Answer {
                status: 400,
                headers: HeaderMap::new(),
                body: format!(r#"[{{"errorCode":"{code}","message":"later"}}]"#).into_bytes(),
                date: None,
                took: Duration::ZERO,
            };
            refused_read(&answer, "reading records")
        };
        assert!(matches!(refused("REQUEST_RUNNING_TOO_LONG"), PeerError::Transient { .. }));
        assert!(matches!(refused("ORG_IN_MAINTENANCE"), PeerError::Throttled { .. }));
        assert!(matches!(refused("INVALID_TYPE"), PeerError::Unfit { .. }));
    }

    #[test]
    fn a_query_that_is_repeated_is_told_without_its_values() {
        let said = "\nSELECT Id FROM Contact WHERE Email = 'ann@x.org' AND Name IN ('Ann', 'Bo')\n\
                    ERROR at Row:1:Column:8\nNo such column 'FirstName' on entity 'Contact'";
        let told = first_words(said);
        assert!(!told.contains("ann@x.org") && !told.contains("Bo"), "{told}");
        assert!(told.contains("No such column 'FirstName' on entity 'Contact'"), "{told}");
    }

    fn judged(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Verdict {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        let body = body.as_bytes().to_vec();
        let answer = Answer { status, headers: map, body, date: None, took: Duration::ZERO };
        verdict(&answer, Allowance::Account)
    }

    fn check(status: u16, body: &str, expected: &Verdict) {
        assert_eq!(&judged(status, &[], body), expected, "{status} {body}");
    }

    fn broken_by(why: &str) -> Verdict {
        Verdict::Broken(why.to_owned())
    }

    #[test]
    fn a_request_as_a_whole_is_judged_by_its_code_first() {
        check(200, "[]", &Verdict::Answered);
        check(204, "", &Verdict::Answered);
        let expired =
            r#"[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]"#;
        check(401, expired, &Verdict::Expired);
        check(401, "", &Verdict::Expired);
        let day =
            r#"[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]"#;
        check(403, day, &Verdict::Exhausted);
        let busy = r#"[{"message":"ConcurrentRequests (Concurrent API Requests) Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]"#;
        check(403, busy, &Verdict::Busy);
        check(429, "", &Verdict::Busy);
        let gone =
            r#"[{"message":"entity is deleted","errorCode":"ENTITY_IS_DELETED","fields":[]}]"#;
        check(404, gone, &Verdict::Answered);
        let down = r#"[{"message":"busy","errorCode":"SERVER_UNAVAILABLE"}]"#;
        check(503, down, &broken_by("SERVER_UNAVAILABLE (503)"));
        check(412, "", &Verdict::Answered);
        let agent = r#"[{"message":"Connected app is not attached to Agent","errorCode":"INVALID_SESSION_ID"}]"#;
        assert!(matches!(judged(401, &[], agent), Verdict::Stopped(_)));
    }

    #[test]
    fn a_limit_without_words_is_told_by_the_usage() {
        let bare = r#"[{"errorCode":"REQUEST_LIMIT_EXCEEDED"}]"#;
        let usage = |told: &'static str| judged(403, &[("sforce-limit-info", told)], bare);
        assert_eq!(usage("api-usage=5000/5000"), Verdict::Exhausted);
        assert_eq!(usage("api-usage=25/5000"), Verdict::Busy);
    }

    #[test]
    fn what_the_edge_says_and_what_is_torn_is_no_answer() {
        let html = [("content-type", "text/html;charset=UTF-8")];
        let json = [("content-type", "application/json;charset=UTF-8")];
        for status in [200, 400, 404, 503] {
            let verdict = judged(status, &html, "<html>Down for maintenance</html>");
            assert_eq!(verdict, broken_by(&format!("a web page, with HTTP status {status}")));
        }
        assert_eq!(judged(200, &json, ""), broken_by("an answer without a body"));
        let torn = judged(200, &json, r#"{"done":true,"records":[{"Id":"00"#);
        assert_eq!(torn, broken_by("an answer that ends in the middle"));
        assert_eq!(judged(200, &json, "{\"a\":1}\n"), Verdict::Answered);
        check(502, "<html>", &broken_by("HTTP_502 (502)"));
        check(406, "", &broken_by("HTTP_406 (406)"));
        check(420, "", &broken_by("HTTP_420 (420)"));
    }

    #[test]
    fn the_number_for_support_is_kept_and_nothing_else_of_the_message() {
        let body = r#"[{"errorCode":"UNKNOWN_EXCEPTION","message":"An unexpected error occurred. Please include this ErrorId if you contact support: 123456789-12345 (-1234567890) Ann"}]"#;
        let told = broken_by("UNKNOWN_EXCEPTION (500), ErrorId 123456789-12345 (-1234567890)");
        check(500, body, &told);
    }
}
