//! Every error code of Salesforce that is known: its class, and what is then done about it.
//!
//! One table. A code that means two things stands in it twice, with the words that tell which; the
//! first row that fits counts. An answer without a code has one made of its status, `HTTP_414`. What
//! is in no row is taken as a refusal of its record, and told loudly: a new release may bring one, and
//! neighbours must go on. `docs/salesforce-errors.md` is made from here.
//!
//! Three codes that the platform's own tables count to the mapping are the record's here, as they
//! come from one record's values or from a trigger: `MALFORMED_ID`,
//! `INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY`, `CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY`. One bad
//! record never stops its neighbours.

use crate::crm::class::Class;
use crate::crm::http::Allowance;

/// What the agent does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A new token, once.
    RenewToken,
    /// Nothing more is asked of the account until somebody mends it.
    StopAccount,
    /// What was asked is denied, and nothing else stops.
    DenyRequest,
    /// Nothing but probes until the day's calls are back.
    PauseDay,
    /// Fewer calls at once.
    FewerWorkers,
    /// What was to go as a job goes by calls, and jobs are left alone for a while.
    RestJobs,
    /// The same for longer: a right is missing.
    DenyJobs,
    /// The record waits for minutes; somebody must make room.
    MakeRoom,
    /// The request, again.
    RepeatRequest,
    /// The question, again, for less.
    AskForLess,
    /// The record, again, among fewer and with those of its parent.
    SmallerBatch,
    /// The record, again, soon.
    RecordSoon,
    /// The record, again, after minutes.
    RecordLate,
    /// The record waits for its parent.
    WaitForParent,
    /// The record is read, to tell how it is gone.
    ReadGone,
    /// The record waits until it may be touched.
    WaitForUnlock,
    /// The record is held, since nothing can be done to it.
    HoldArchived,
    /// The record is read and decided anew.
    ReadAgain,
    /// The record is held.
    HoldRecord,
    /// The field is held, with who owns the value.
    HoldUnique,
    /// The record is held, with those that it is like.
    HoldDuplicate,
    /// The batch is halved until the guilty record is alone.
    SplitBody,
    /// The object is described anew.
    DescribeAnew,
}

impl Action {
    /// The class of the errors that it is the answer to.
    pub(super) fn class(self) -> Class {
        match self {
            Self::RepeatRequest
            | Self::AskForLess
            | Self::SmallerBatch
            | Self::RecordSoon
            | Self::RecordLate => Class::Retry,
            Self::PauseDay | Self::FewerWorkers | Self::RestJobs | Self::MakeRoom => Class::Quota,
            Self::RenewToken | Self::StopAccount | Self::DenyRequest | Self::DenyJobs => {
                Class::Auth
            }
            Self::WaitForParent => Class::Dependency,
            Self::ReadGone | Self::WaitForUnlock | Self::HoldArchived => Class::Gone,
            Self::ReadAgain => Class::Stale,
            Self::HoldRecord | Self::HoldUnique | Self::HoldDuplicate | Self::SplitBody => {
                Class::PermanentRecord
            }
            Self::DescribeAnew => Class::PermanentMapping,
        }
    }
}

/// When a row counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// Always.
    Anything,
    /// Where the message holds this.
    Words(&'static str),
    /// Where the message holds a code that passes by itself: a trigger fails with what failed in it.
    PassingCode,
    /// Where the answer's `Sforce-Limit-Info` says that no call is left.
    UsedUp,
    /// Where a job was to be made, filled or closed.
    OfJobs,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    code: &'static str,
    says: Says,
    action: Action,
}

const fn row(code: &'static str, action: Action) -> Row {
    Row { code, says: Says::Anything, action }
}

const fn told(code: &'static str, says: Says, action: Action) -> Row {
    Row { code, says, action }
}

/// Where an error was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Met {
    /// By what.
    pub(super) of: Allowance,
    /// Whether the answer says that no call is left.
    pub(super) used_up: bool,
}

impl Met {
    /// In one record of an answer, or in one that does not tell of calls.
    pub(super) const PLAIN: Self = Self { of: Allowance::Account, used_up: false };
}

/// What is done about an error; `None` where it is in no row.
pub(super) fn look_up(code: &str, message: &str, met: Met) -> Option<Action> {
    let fits = |row: &&Row| {
        row.code == code
            && match row.says {
                Says::Anything => true,
                Says::Words(words) => message.contains(words),
                Says::PassingCode => holds_passing_code(message),
                Says::UsedUp => met.used_up,
                Says::OfJobs => met.of == Allowance::Jobs,
            }
    };
    TABLE.iter().find(fits).map(|row| row.action)
}

fn holds_passing_code(message: &str) -> bool {
    let passing = |row: &&Row| {
        row.says == Says::Anything
            && matches!(row.action, Action::SmallerBatch | Action::RecordSoon | Action::RecordLate)
    };
    TABLE.iter().filter(passing).any(|row| message.contains(row.code))
}

const TABLE: &[Row] = &[
    // The token.
    told(
        "INVALID_SESSION_ID",
        Says::Words("Connected app is not attached to Agent"),
        Action::StopAccount,
    ),
    told(
        "INVALID_SESSION_ID",
        Says::Words("not valid for use with the REST API"),
        Action::StopAccount,
    ),
    row("INVALID_SESSION_ID", Action::RenewToken),
    told(
        "INVALID_AUTH_HEADER",
        Says::Words("Connected app is not attached to Agent"),
        Action::StopAccount,
    ),
    row("INVALID_AUTH_HEADER", Action::RenewToken),
    row("HTTP_401", Action::RenewToken),
    // The account.
    row("INVALID_LOGIN", Action::StopAccount),
    row("LOGIN_MUST_USE_SECURITY_TOKEN", Action::StopAccount),
    row("INVALID_OPERATION_WITH_EXPIRED_PASSWORD", Action::StopAccount),
    row("API_DISABLED_FOR_ORG", Action::StopAccount),
    row("API_CURRENTLY_DISABLED", Action::StopAccount),
    // Jobs have allowances and rights of their own.
    told("LIMIT_EXCEEDED", Says::OfJobs, Action::RestJobs),
    told("EXCEEDED_QUOTA", Says::OfJobs, Action::RestJobs),
    told("STORAGE_LIMIT_EXCEEDED", Says::OfJobs, Action::RestJobs),
    told("FUNCTIONALITY_TEMPORARILY_UNAVAILABLE", Says::OfJobs, Action::RestJobs),
    told("FUNCTIONALITY_NOT_ENABLED", Says::OfJobs, Action::DenyJobs),
    told("FEATURENOTENABLED", Says::OfJobs, Action::DenyJobs),
    told("INSUFFICIENT_ACCESS", Says::OfJobs, Action::DenyJobs),
    told("INSUFFICIENT_ACCESS_OR_READONLY", Says::OfJobs, Action::DenyJobs),
    told("TXN_SECURITY_NO_ACCESS", Says::OfJobs, Action::DenyJobs),
    row("FUNCTIONALITY_NOT_ENABLED", Action::DenyRequest),
    row("TXN_SECURITY_NO_ACCESS", Action::DenyRequest),
    row("TXN_SECURITY_END_A_SESSION", Action::StopAccount),
    row("TXN_SECURITY_TWO_FA_REQUIRED", Action::StopAccount),
    row("TRIAL_EXPIRED", Action::StopAccount),
    row("ORG_LOCKED", Action::StopAccount),
    row("INVALID_CLIENT", Action::StopAccount),
    // The day's calls, and calls at once: one code for both.
    told("REQUEST_LIMIT_EXCEEDED", Says::Words("TotalRequests"), Action::PauseDay),
    told("REQUEST_LIMIT_EXCEEDED", Says::Words("Concurrent"), Action::FewerWorkers),
    told("REQUEST_LIMIT_EXCEEDED", Says::UsedUp, Action::PauseDay),
    row("REQUEST_LIMIT_EXCEEDED", Action::FewerWorkers),
    row("EXCEEDED_QUOTA", Action::PauseDay),
    row("TOO_MANY_APEX_REQUESTS", Action::FewerWorkers),
    row("HTTP_429", Action::FewerWorkers),
    row("STORAGE_LIMIT_EXCEEDED", Action::MakeRoom),
    row("LIMIT_EXCEEDED", Action::MakeRoom),
    // The record, again.
    row("UNABLE_TO_LOCK_ROW", Action::SmallerBatch),
    row("REQUEST_RUNNING_TOO_LONG", Action::SmallerBatch),
    row("TXN_SECURITY_METERING_ERROR", Action::RecordSoon),
    row("MATCH_SERVICE_UNAVAILABLE_ERROR", Action::RecordSoon),
    row("MATCH_SERVICE_TIMED_OUT", Action::RecordSoon),
    row("RECORD_IN_USE_BY_WORKFLOW", Action::RecordSoon),
    row("ALL_OR_NONE_OPERATION_ROLLED_BACK", Action::RecordSoon),
    row("PROCESSING_HALTED", Action::RecordSoon),
    told("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", Says::PassingCode, Action::SmallerBatch),
    told("CANNOT_EXECUTE_FLOW_TRIGGER", Says::PassingCode, Action::SmallerBatch),
    row("INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", Action::RecordLate),
    row("FUNCTIONALITY_TEMPORARILY_UNAVAILABLE", Action::RecordLate),
    row("ORG_IN_MAINTENANCE", Action::RecordLate),
    // The request, again.
    row("SERVER_UNAVAILABLE", Action::RepeatRequest),
    row("UNKNOWN_EXCEPTION", Action::RepeatRequest),
    row("QUERY_TIMEOUT", Action::AskForLess),
    row("API_ERROR", Action::RepeatRequest),
    row("HTTP_406", Action::RepeatRequest),
    row("HTTP_408", Action::RepeatRequest),
    row("HTTP_420", Action::RepeatRequest),
    row("HTTP_500", Action::RepeatRequest),
    row("HTTP_502", Action::RepeatRequest),
    row("HTTP_503", Action::RepeatRequest),
    row("HTTP_504", Action::RepeatRequest),
    // What it refers to.
    told("INVALID_FIELD", Says::Words("Foreign key external ID"), Action::WaitForParent),
    row("INVALID_CROSS_REFERENCE_KEY", Action::WaitForParent),
    // What is gone, or may not be touched.
    row("ENTITY_IS_DELETED", Action::ReadGone),
    row("NOT_FOUND", Action::ReadGone),
    row("HTTP_404", Action::ReadGone),
    row("CANNOT_UPDATE_CONVERTED_LEAD", Action::ReadGone),
    row("ENTITY_IS_LOCKED", Action::WaitForUnlock),
    row("ENTITY_IS_ARCHIVED", Action::HoldArchived),
    // What we knew is no longer so.
    row("HTTP_412", Action::ReadAgain),
    row("HTTP_300", Action::ReadAgain),
    row("ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE", Action::ReadAgain),
    row("INVALID_QUERY_LOCATOR", Action::ReadAgain),
    row("INVALID_REPLICATION_DATE", Action::ReadAgain),
    row("EXCEEDED_ID_LIMIT", Action::ReadAgain),
    row("INVALIDJOB", Action::ReadAgain),
    row("INVALIDJOBSTATE", Action::ReadAgain),
    // The record's data.
    row("DUPLICATE_VALUE", Action::HoldUnique),
    row("DUPLICATES_DETECTED", Action::HoldDuplicate),
    row("JSON_PARSER_ERROR", Action::SplitBody),
    row("REQUIRED_FIELD_MISSING", Action::HoldRecord),
    row("STRING_TOO_LONG", Action::HoldRecord),
    row("INVALID_EMAIL_ADDRESS", Action::HoldRecord),
    row("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", Action::HoldRecord),
    row("FIELD_CUSTOM_VALIDATION_EXCEPTION", Action::HoldRecord),
    row("FIELD_INTEGRITY_EXCEPTION", Action::HoldRecord),
    row("FIELD_FILTER_VALIDATION_EXCEPTION", Action::HoldRecord),
    row("NUMBER_OUTSIDE_VALID_RANGE", Action::HoldRecord),
    row("INVALID_TYPE_ON_FIELD_IN_RECORD", Action::HoldRecord),
    row("INVALID_DATE_FORMAT", Action::HoldRecord),
    row("TEXT_DATA_OUTSIDE_SUPPORTED_CHARSET", Action::HoldRecord),
    row("DUPLICATE_EXTERNAL_ID", Action::HoldRecord),
    row("INVALID_PERSON_ACCOUNT_OPERATION", Action::HoldRecord),
    row("INACTIVE_OWNER_OR_USER", Action::HoldRecord),
    row("TRANSFER_REQUIRES_READ", Action::HoldRecord),
    row("SELF_REFERENCE_FROM_TRIGGER", Action::HoldRecord),
    row("CUSTOM_APEX_ERROR", Action::HoldRecord),
    row("MALFORMED_ID", Action::HoldRecord),
    row("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", Action::HoldRecord),
    row("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", Action::HoldRecord),
    row("CANNOT_EXECUTE_FLOW_TRIGGER", Action::HoldRecord),
    row("DELETE_FAILED", Action::HoldRecord),
    // The mapping.
    row("INVALID_FIELD", Action::DescribeAnew),
    row("INVALID_TYPE", Action::DescribeAnew),
    row("INVALID_FIELD_FOR_INSERT_UPDATE", Action::DescribeAnew),
    row("FIELD_NOT_UPDATABLE", Action::DescribeAnew),
    row("INSUFFICIENT_ACCESS_OR_READONLY", Action::DescribeAnew),
    row("INVALID_ID_FIELD", Action::DescribeAnew),
    row("MISSING_ARGUMENT", Action::DescribeAnew),
    row("MALFORMED_QUERY", Action::DescribeAnew),
    row("INVALID_QUERY_FILTER_OPERATOR", Action::DescribeAnew),
    row("QUERY_TOO_COMPLICATED", Action::DescribeAnew),
    row("MIXED_DML_OPERATION", Action::DescribeAnew),
    row("METHOD_NOT_ALLOWED", Action::DescribeAnew),
    row("UNSUPPORTED_MEDIA_TYPE", Action::DescribeAnew),
    row("UNSUPPORTED_API_VERSION", Action::DescribeAnew),
    row("OPERATION_TOO_LARGE", Action::DescribeAnew),
    row("EXCEEDED_MAX_SIZE_REQUEST", Action::DescribeAnew),
    row("INVALIDENTITY", Action::DescribeAnew),
    row("INVALIDBATCH", Action::DescribeAnew),
    row("HTTP_405", Action::DescribeAnew),
    row("HTTP_410", Action::DescribeAnew),
    row("HTTP_414", Action::DescribeAnew),
    row("HTTP_415", Action::DescribeAnew),
    row("HTTP_428", Action::DescribeAnew),
    row("HTTP_431", Action::DescribeAnew),
];

#[cfg(test)]
mod document;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_hides_another() {
        for (at, row) in TABLE.iter().enumerate() {
            let hidden = TABLE[..at].iter().any(|before| {
                before.code == row.code
                    && (before.says == Says::Anything || before.says == row.says)
            });
            assert!(!hidden, "{row:?}");
        }
    }

    #[test]
    fn one_code_with_two_meanings_is_told_apart_by_its_words() {
        let check = |code: &str, message: &str, used_up: bool, expected: Action| {
            let met = Met { used_up, ..Met::PLAIN };
            assert_eq!(look_up(code, message, met), Some(expected), "{code} {message}");
        };
        let missing = "Foreign key external ID: x not found for field F in entity E";
        check("INVALID_FIELD", missing, false, Action::WaitForParent);
        check("INVALID_FIELD", "No such column", false, Action::DescribeAnew);
        let trigger = "T: execution of AfterUpdate caused by UNABLE_TO_LOCK_ROW";
        for code in ["CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "CANNOT_EXECUTE_FLOW_TRIGGER"] {
            check(code, trigger, false, Action::SmallerBatch);
            check(code, "a validation of the flow", false, Action::HoldRecord);
        }
        let limit = "REQUEST_LIMIT_EXCEEDED";
        check(limit, "TotalRequests Limit exceeded.", false, Action::PauseDay);
        let concurrent = "ConcurrentRequests (Concurrent API Requests) Limit exceeded.";
        check(limit, concurrent, true, Action::FewerWorkers);
        check(limit, "ConcurrentPerOrgLongTxn Limit exceeded.", false, Action::FewerWorkers);
        check(limit, "", true, Action::PauseDay);
        check(limit, "", false, Action::FewerWorkers);
        assert_eq!(look_up("A_CODE_OF_NEXT_YEAR", "", Met::PLAIN), None);
    }

    #[test]
    fn what_jobs_are_refused_for_is_no_matter_of_calls() {
        let check = |code: &str, of_jobs: Action, of_calls: Option<Action>| {
            let jobs = Met { of: Allowance::Jobs, used_up: false };
            assert_eq!(look_up(code, "", jobs), Some(of_jobs), "{code}");
            assert_eq!(look_up(code, "", Met::PLAIN), of_calls, "{code}");
        };
        check("LIMIT_EXCEEDED", Action::RestJobs, Some(Action::MakeRoom));
        check("EXCEEDED_QUOTA", Action::RestJobs, Some(Action::PauseDay));
        check("FUNCTIONALITY_NOT_ENABLED", Action::DenyJobs, Some(Action::DenyRequest));
        check("FEATURENOTENABLED", Action::DenyJobs, None);
        let day = Met { of: Allowance::Jobs, used_up: true };
        assert_eq!(look_up("REQUEST_LIMIT_EXCEEDED", "", day), Some(Action::PauseDay));
    }
}
