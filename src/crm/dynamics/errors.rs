//! Errors as they come, and what the table of `codes` makes of them: for the request as a whole, and
//! for one record in it.
//!
//! The API's own errors are JSON; a dead token and what stands in front of the API answer with
//! nothing, or with a web page.

use std::time::Duration;

use serde::Deserialize;

use crate::crm::dynamics::codes::{self, Action};
use crate::crm::http::{Answer, Verdict};
use crate::peer::PeerError;
use crate::reconcile::mapping::SideMapping;
use crate::reconcile::{Delay, Field, Outcome, Refusal, RefusalKind};
use crate::telemetry::metrics;

/// An error, of a request or of one record in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    code: Option<u32>,
    pub(super) status: u16,
    /// Its words; may hold values.
    pub(super) message: String,
}

#[derive(Deserialize)]
struct Body {
    error: Inner,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What is in no row is its record's alone.
const UNKNOWN: Action = Action::HoldRecord;

/// Locks and hiccups pass in seconds.
const SOON: Duration = Duration::from_secs(2);

impl ApiError {
    /// The error that a refusal of this status bears.
    pub(super) fn of(status: u16, body: &[u8]) -> Self {
        match serde_json::from_slice::<Body>(body) {
            Ok(Body { error }) => {
                Self { code: codes::number(&error.code), status, message: error.message }
            }
            Err(_) => Self { code: None, status, message: "refused without a word".to_owned() },
        }
    }

    /// What is done about it.
    pub(super) fn action(&self) -> Action {
        self.known().unwrap_or(UNKNOWN)
    }

    fn known(&self) -> Option<Action> {
        codes::look_up(self.code, self.status)
    }

    /// Counts it, once for each time that something follows from it. An unknown one is loud.
    fn count(&self) {
        let (known, code) = (self.known(), self.code_word());
        if known.is_none() {
            tracing::error!(
                code,
                "an error code of Dataverse that is not known here: it is taken as a refusal of its \
                 record alone; please report it"
            );
        }
        metrics::crm_error(known.map_or("unknown", |action| action.class().word()), &code);
    }

    /// The code as it is written; where there is none, the status.
    pub(super) fn code_word(&self) -> String {
        self.code.map_or_else(|| format!("HTTP_{}", self.status), |code| format!("0x{code:08X}"))
    }

    /// The outcome of a write that got this error; `Gone` and `Stale` need a read and are the
    /// caller's.
    pub(super) fn outcome(&self, mapping: &SideMapping) -> Outcome {
        self.count();
        let kind = match self.action() {
            Action::RecordSoon
            | Action::RepeatRequest
            | Action::FewerWorkers
            | Action::RenewToken => return Outcome::Later(Delay::of(SOON, self.code_word())),
            Action::ReadGone => return Outcome::Gone(None),
            Action::ReadAgain | Action::ReadMade | Action::LoadAnew => return Outcome::Stale(None),
            Action::HoldUnique => RefusalKind::Unique(None),
            Action::RecordFewTimes
            | Action::HoldRecord
            | Action::HoldDuplicate
            | Action::SplitBody => RefusalKind::Record,
            Action::StopAccount | Action::DenyRequest | Action::DescribeAnew => {
                RefusalKind::Mapping
            }
        };
        Outcome::Refused(Refusal {
            kind,
            code: self.code_word().into(),
            message: self.message.as_str().into(),
            fields: self.mapped_fields(mapping),
        })
    }

    /// The fields whose columns the words name.
    fn mapped_fields(&self, mapping: &SideMapping) -> Vec<Field> {
        let words: Vec<&str> =
            self.message.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        let named = |name: &str| words.iter().any(|word| word.eq_ignore_ascii_case(name));
        let hit = mapping.fields.iter().filter(|f| f.columns.iter().any(|c| named(&c.name)));
        hit.map(|field| field.field).collect()
    }
}

/// What an answer means for the request as a whole.
pub(super) fn verdict(answer: &Answer) -> Verdict {
    let status = answer.status;
    let kind = answer.headers.get("content-type").and_then(|kind| kind.to_str().ok());
    let is = |wanted: &str| kind.is_some_and(|kind| kind.starts_with(wanted));
    if status < 300 {
        let cut = is("application/json") && answer.body.trim_ascii_end().last() != Some(&b'}');
        return match (cut, is("text/html")) {
            (true, _) => Verdict::Broken("an answer that ends in the middle".to_owned()),
            (false, true) => Verdict::Broken(format!("a web page, with HTTP status {status}")),
            (false, false) => Verdict::Answered,
        };
    }
    let error = ApiError::of(status, &answer.body);
    let verdict = match error.known() {
        Some(Action::RenewToken) => Verdict::Expired,
        Some(Action::StopAccount) => Verdict::Stopped(denied(&error)),
        Some(Action::FewerWorkers) => Verdict::Busy,
        Some(Action::RepeatRequest) => Verdict::Broken(format!("{} ({status})", error.code_word())),
        Some(
            Action::DenyRequest
            | Action::RecordSoon
            | Action::RecordFewTimes
            | Action::ReadGone
            | Action::ReadAgain
            | Action::ReadMade
            | Action::LoadAnew
            | Action::HoldRecord
            | Action::HoldUnique
            | Action::HoldDuplicate
            | Action::SplitBody
            | Action::DescribeAnew,
        )
        | None => Verdict::Answered,
    };
    // What is an answer is counted by whoever reads it.
    if verdict != Verdict::Answered {
        error.count();
    }
    verdict
}

fn denied(error: &ApiError) -> String {
    let remedy = match error.code {
        Some(0x8007_2560) => "create an application user for client_id in this environment",
        Some(0x8004_2F09) => "give the application user a security role",
        Some(0x8009_5FFC) => "let the app pass in the environment's policies",
        Some(0x8004_A104) => "the organisation is switched off: ask its administrator",
        Some(_) | None => "check the application user: enabled, and with a security role",
    };
    format!("Dataverse denies access: {} ({}); {remedy}", error.message, error.code_word())
}

/// The error of a read that was answered by refusal: one that passes by itself, or one to mend.
pub(super) fn refused_read(answer: &Answer, what: &'static str) -> PeerError {
    let error = ApiError::of(answer.status, &answer.body);
    error.count();
    let means = codes::meaning(error.code).map(|means| format!(", {means}")).unwrap_or_default();
    let words = format!("{}{means}: {}", error.code_word(), first_words(&error.message));
    match error.action() {
        Action::RecordSoon | Action::RepeatRequest | Action::ReadAgain => {
            PeerError::Transient { doing: what, source: words.into() }
        }
        Action::LoadAnew => PeerError::CursorLost {
            why: format!("the change token has expired, or the table was changed ({words})"),
        },
        Action::DenyRequest | Action::StopAccount => PeerError::Denied {
            why: format!(
                "Dataverse denies {what}: {words}; give the application user a security role with \
                 Read on the table, for the whole organisation"
            ),
        },
        Action::DescribeAnew if is_untracked(&error) => PeerError::Unfit {
            why: format!(
                "the table's changes are not tracked ({words}); an administrator switches on Track \
                 changes in the table's properties"
            ),
        },
        Action::RenewToken
        | Action::FewerWorkers
        | Action::ReadGone
        | Action::ReadMade
        | Action::RecordFewTimes
        | Action::HoldRecord
        | Action::HoldUnique
        | Action::HoldDuplicate
        | Action::SplitBody
        | Action::DescribeAnew => {
            PeerError::Unfit { why: format!("Dataverse refuses {what}: {words}") }
        }
    }
}

fn is_untracked(error: &ApiError) -> bool {
    matches!(error.code, Some(0x8007_2491 | 0x8007_2492))
}

/// Messages repeat what was asked, and with it what records hold: that is no log's business. What
/// stands in quotes is told where it names a part of the schema, and else left out.
fn first_words(message: &str) -> String {
    let mut told = String::new();
    for (at, part) in message.split('\'').enumerate() {
        if at % 2 == 0 {
            told.push_str(part);
            continue;
        }
        let before = told.trim_end().rsplit(' ').next().unwrap_or_default();
        let named = ["named", "type", "segment", "resource", "property", "the", "of", "entity"];
        let name = |c: char| c.is_ascii_alphanumeric() || "_.".contains(c);
        let is_name = named.contains(&before) && part.chars().all(name);
        told.push('\'');
        told.push_str(if is_name { part } else { "…" });
        told.push('\'');
    }
    let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderValue};

    use super::*;

    fn answer(status: u16, kind: &'static str, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(kind));
        let body = body.as_bytes().to_vec();
        Answer { status, headers, body, date: None, took: Duration::ZERO }
    }

    fn refused(status: u16, code: &str, message: &str) -> Answer {
        let body = serde_json::json!({ "error": { "code": code, "message": message } });
        answer(status, "application/json", &body.to_string())
    }

    #[test]
    fn a_verdict_is_by_the_code_and_by_the_status_where_there_is_none() {
        let check = |answer: &Answer, expected: fn(&Verdict) -> bool| {
            let verdict = verdict(answer);
            assert!(expected(&verdict), "{verdict:?}");
        };
        check(&answer(401, "text/html", ""), |v| *v == Verdict::Expired);
        check(&answer(503, "text/html", "<html>"), |v| matches!(v, Verdict::Broken(_)));
        check(&answer(200, "text/html", "<html>"), |v| matches!(v, Verdict::Broken(_)));
        check(&answer(200, "application/json", r#"{"value":[{"#), |v| {
            matches!(v, Verdict::Broken(_))
        });
        check(&answer(204, "application/json", "}"), |v| *v == Verdict::Answered);
        for code in ["0x80072322", "0x80072321", "0x80072326"] {
            check(&refused(429, code, ""), |v| *v == Verdict::Busy);
        }
        check(
            &refused(403, "0x80072560", "no"),
            |v| matches!(v, Verdict::Stopped(why) if why.contains("create an application user")),
        );
        check(&refused(403, "0x80040220", "no"), |v| *v == Verdict::Answered);
        check(&refused(412, "0x80060882", ""), |v| *v == Verdict::Answered);
    }

    #[test]
    fn a_token_for_changes_that_expired_is_no_fault_of_anybody() {
        for status in [400, 404, 410, 500] {
            let refused = refused(status, "0x80044352", "Version stamp has expired.");
            let error = refused_read(&refused, "reading changes");
            assert!(matches!(error, PeerError::CursorLost { .. }), "{error:?}");
        }
        let untracked = refused_read(&refused(400, "0x80072491", ""), "reading changes");
        assert!(untracked.to_string().contains("switches on Track changes"));
    }

    #[test]
    fn words_name_the_schema_and_never_what_a_record_holds() {
        let said = "Could not find a property named 'x' on type 'Microsoft.Dynamics.CRM.contact'.";
        assert_eq!(first_words(said), said);
        let said = "The value 'ann@x.org' of 'Ann Roe' is refused";
        assert_eq!(first_words(said), "The value '…' of '…' is refused");
    }
}
