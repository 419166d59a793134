//! Every error code of Dataverse that is known: its class, and what is then done about it.
//!
//! One table. Codes are 32-bit numbers, written in hexadecimal, in either case, by some versions as a
//! signed decimal; where there is none, the HTTP status counts. What is in no row and has no telling
//! status is its record's alone, and told loudly: a new release may bring one, and neighbours must go
//! on. `docs/dynamics-errors.md` is made from here.

use crate::crm::class::Class;

/// What the agent does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A new token, once.
    RenewToken,
    /// Nothing more is asked of the account until somebody mends it.
    StopAccount,
    /// What was asked is denied, and nothing else stops.
    DenyRequest,
    /// All workers wait as long as they are told, then half as many go on.
    FewerWorkers,
    /// The request, again.
    RepeatRequest,
    /// The record, again, soon.
    RecordSoon,
    /// The record, again a few times; then it is held.
    RecordFewTimes,
    /// The record is read, to tell whether it is gone or what it refers to.
    ReadGone,
    /// The record is read and decided anew.
    ReadAgain,
    /// Everything is read anew, and compared.
    LoadAnew,
    /// The record that bears our id was made before: it is read.
    ReadMade,
    /// The record is held.
    HoldRecord,
    /// The field is held, with who owns the value.
    HoldUnique,
    /// The record is held, with those that it is like.
    HoldDuplicate,
    /// The batch is halved until the guilty record is alone.
    SplitBody,
    /// The table is described anew.
    DescribeAnew,
}

impl Action {
    /// The class of the errors that it is the answer to.
    pub(super) fn class(self) -> Class {
        match self {
            Self::RepeatRequest | Self::RecordSoon => Class::Retry,
            Self::FewerWorkers => Class::Quota,
            Self::RenewToken | Self::StopAccount | Self::DenyRequest => Class::Auth,
            Self::ReadGone => Class::Gone,
            Self::ReadAgain | Self::ReadMade | Self::LoadAnew => Class::Stale,
            Self::RecordFewTimes
            | Self::HoldRecord
            | Self::HoldUnique
            | Self::HoldDuplicate
            | Self::SplitBody => Class::PermanentRecord,
            Self::DescribeAnew => Class::PermanentMapping,
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) code: u32,
    /// What it means, for the document.
    pub(super) means: &'static str,
    pub(super) action: Action,
}

const fn row(code: u32, action: Action, means: &'static str) -> Row {
    Row { code, means, action }
}

/// The number of a code, as hexadecimal or as a signed decimal; `None` where it is none, or says
/// nothing.
pub(super) fn number(code: &str) -> Option<u32> {
    let code = code.trim();
    let hex = code.strip_prefix("0x").or_else(|| code.strip_prefix("0X"));
    let number = match hex {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => code.parse::<i32>().ok()?.cast_unsigned(),
    };
    (number != 0).then_some(number)
}

/// What is done about an error of this code and status; `None` where neither tells.
pub(super) fn look_up(code: Option<u32>, status: u16) -> Option<Action> {
    let known = code.and_then(|code| TABLE.iter().find(|row| row.code == code));
    known.map(|row| row.action).or_else(|| of_status(status))
}

/// What a code means, where it is known.
pub(super) fn meaning(code: Option<u32>) -> Option<&'static str> {
    let row = TABLE.iter().find(|row| Some(row.code) == code)?;
    Some(row.means)
}

/// What the status alone tells.
pub(super) fn of_status(status: u16) -> Option<Action> {
    match status {
        401 => Some(Action::RenewToken),
        403 => Some(Action::DenyRequest),
        404 => Some(Action::ReadGone),
        405 | 414 | 415 | 431 | 501 => Some(Action::DescribeAnew),
        412 => Some(Action::ReadAgain),
        413 => Some(Action::SplitBody),
        429 => Some(Action::FewerWorkers),
        408 | 500 | 502..=599 => Some(Action::RepeatRequest),
        _ => None,
    }
}

pub(super) const TABLE: &[Row] = &[
    // The token.
    row(0x8004_A101, Action::RenewToken, "the token has expired"),
    row(0x8004_4302, Action::RenewToken, "not authenticated"),
    row(0x8004_4300, Action::RenewToken, "not authenticated"),
    // The account.
    row(0x8007_2560, Action::StopAccount, "the app has no application user here"),
    row(0x8009_5FFC, Action::StopAccount, "the app is blocked by a policy"),
    row(0x8004_0225, Action::StopAccount, "the user is disabled"),
    row(0x8004_D24B, Action::StopAccount, "the user is disabled or has no licence"),
    row(0x8004_2F09, Action::StopAccount, "the user has no security role"),
    row(0x8004_A104, Action::StopAccount, "the organisation is disabled"),
    row(0x8004_0220, Action::DenyRequest, "a privilege is missing"),
    row(0x8004_8306, Action::DenyRequest, "a privilege is missing"),
    // Service protection.
    row(0x8007_2322, Action::FewerWorkers, "too many requests in five minutes"),
    row(0x8007_2321, Action::FewerWorkers, "too much execution time in five minutes"),
    row(0x8007_2326, Action::FewerWorkers, "too many requests at once"),
    row(0x8005_F103, Action::FewerWorkers, "throttled"),
    row(0x8004_8544, Action::FewerWorkers, "throttled"),
    row(0x8007_2324, Action::FewerWorkers, "throttled"),
    // What passes.
    row(0x8004_0216, Action::RepeatRequest, "unexpected"),
    row(0x8004_0224, Action::RepeatRequest, "unexpected"),
    row(0x8004_4151, Action::RecordSoon, "the database took too long"),
    row(0x8004_4150, Action::RecordSoon, "the database failed"),
    row(0x8004_A001, Action::RepeatRequest, "the server is busy"),
    row(0x8007_3000, Action::RepeatRequest, "the network failed"),
    row(0x8007_1154, Action::RecordSoon, "another operation is under way"),
    row(0x8004_ED47, Action::RecordSoon, "a lock was not given in time"),
    // What is gone: the record, or what it refers to.
    row(0x8004_0217, Action::ReadGone, "there is no such row"),
    row(0x8006_0891, Action::ReadGone, "there is no row of that alternate key"),
    // What we knew is no longer so.
    row(0x8006_0882, Action::ReadAgain, "the row has changed since it was read"),
    row(0x8004_4352, Action::LoadAnew, "the change token has expired"),
    row(0x8004_0237, Action::ReadMade, "a row of that id is there"),
    // The record's data.
    row(0x8006_0892, Action::HoldUnique, "the values of an alternate key are another row's"),
    row(0x8007_3002, Action::HoldUnique, "a unique value is another row's"),
    row(0x8004_0333, Action::HoldDuplicate, "a duplicate detection rule found others"),
    row(0x8006_089D, Action::HoldRecord, "several rows have that alternate key"),
    row(0x8004_4331, Action::HoldRecord, "a text is too long"),
    row(0x8004_431A, Action::HoldRecord, "a choice is not among the options"),
    row(0x8004_432F, Action::HoldRecord, "a whole number is out of range"),
    row(0x8004_4330, Action::HoldRecord, "a number is out of range"),
    row(0x8004_0239, Action::HoldRecord, "a date cannot be stored"),
    row(0x8004_8408, Action::HoldRecord, "a status does not belong to the state"),
    row(0x8004_0203, Action::HoldRecord, "an argument is not taken"),
    row(0x8004_022E, Action::HoldRecord, "a column cannot be written"),
    row(0x8004_0230, Action::HoldRecord, "the row is inactive, and must be active to be written"),
    row(0x8004_0227, Action::HoldRecord, "other rows keep it from being deleted"),
    row(0x8004_0265, Action::RecordFewTimes, "a plug-in refuses it"),
    row(0x8004_5304, Action::HoldRecord, "the rows cannot be merged"),
    row(0x8004_5305, Action::HoldRecord, "the rows cannot be merged"),
    row(0x8004_418A, Action::SplitBody, "the request is too large"),
    // The mapping.
    row(
        0x8004_8D19,
        Action::DescribeAnew,
        "the body names what is not there, or gives it in a wrong type",
    ),
    row(0x8006_0890, Action::DescribeAnew, "there is no such alternate key"),
    row(0x8006_0888, Action::DescribeAnew, "the address names a column that is not there"),
    row(0x8006_088A, Action::DescribeAnew, "there is no such table, or it cannot be asked so"),
    row(0x8006_088D, Action::DescribeAnew, "the table keeps no versions to compare with"),
    row(0x8006_0883, Action::DescribeAnew, "a version to compare with is missing"),
    row(0x8007_2491, Action::DescribeAnew, "the table's changes are not tracked"),
    row(0x8007_2492, Action::DescribeAnew, "the changes of such tables cannot be tracked"),
];

#[cfg(test)]
mod document;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_stands_twice() {
        for (at, row) in TABLE.iter().enumerate() {
            assert!(TABLE[..at].iter().all(|before| before.code != row.code), "{:#x}", row.code);
        }
    }

    #[test]
    fn a_code_is_read_in_every_form_that_versions_write() {
        for text in ["0x80040217", "0X80040217", "0x80040217 ", "-2147220969"] {
            assert_eq!(number(text), Some(0x8004_0217), "{text}");
        }
        for text in ["", "0x0", "0", "NotFound"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn the_code_counts_first_and_then_the_status() {
        assert_eq!(look_up(Some(0x8004_4352), 400), Some(Action::LoadAnew));
        assert_eq!(look_up(Some(0x8004_4352), 500), Some(Action::LoadAnew));
        assert_eq!(look_up(Some(1), 412), Some(Action::ReadAgain));
        assert_eq!(look_up(None, 503), Some(Action::RepeatRequest));
        assert_eq!(look_up(Some(1), 400), None);
    }
}
