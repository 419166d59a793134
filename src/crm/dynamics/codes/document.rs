//! `docs/dynamics-errors.md`, made from the tables so that it cannot say anything else.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use crate::crm::class::Class;
use crate::crm::dynamics::auth::TOKEN_ERRORS;

use super::{Action, TABLE};

impl Action {
    /// All of them, in the order of the document.
    const ALL: [Self; 16] = [
        Self::RepeatRequest,
        Self::RecordSoon,
        Self::FewerWorkers,
        Self::RenewToken,
        Self::StopAccount,
        Self::DenyRequest,
        Self::ReadGone,
        Self::ReadAgain,
        Self::ReadMade,
        Self::LoadAnew,
        Self::RecordFewTimes,
        Self::HoldRecord,
        Self::HoldUnique,
        Self::HoldDuplicate,
        Self::SplitBody,
        Self::DescribeAnew,
    ];

    /// What is done, for the document.
    fn told(self) -> &'static str {
        match self {
            Self::RepeatRequest => {
                "The request is sent again, each time after a longer wait, a bounded number of \
                 times. A write is not: nobody knows what became of it, so its records are read."
            }
            Self::RecordSoon => "The record is decided and sent again after seconds.",
            Self::FewerWorkers => {
                "All workers of the account wait as long as `Retry-After` says; half as many calls \
                 are made at once, and one more every half minute once it passed. Nothing of the \
                 request was carried out, so it is sent again."
            }
            Self::RenewToken => {
                "A new token is asked for and the call sent again, once; another refusal stops the \
                 account."
            }
            Self::StopAccount => {
                "The account stops and says why. It is asked again now and then, and goes on by \
                 itself once it is mended."
            }
            Self::DenyRequest => {
                "The application user's security role lacks a privilege: the record is refused, or \
                 the table's feed waits, and everything else goes on."
            }
            Self::ReadGone => {
                "The record is read. Where it is gone, the mapping's rule for deletes decides; where \
                 it is there, what it refers to is missing, and it waits for that."
            }
            Self::ReadAgain => "The record is read and decided anew by what it holds.",
            Self::ReadMade => {
                "Our own create was carried out although its answer was lost: the record is read \
                 and paired."
            }
            Self::LoadAnew => {
                "The table is read anew from its beginning, and every linked record is compared key \
                 by key, deletions included. Nobody has to do anything."
            }
            Self::RecordFewTimes => {
                "The record is decided and sent again `plugin_retries` times, each after twice as \
                 long: what a customer's own logic throws may be about this record, or about \
                 something that passes. Then it is held with Dataverse's words."
            }
            Self::HoldRecord => {
                "The record is held with Dataverse's words, and its neighbours go on. It is tried \
                 again when an input changes, or by `truce held retry`."
            }
            Self::HoldUnique => "The field is held: another row owns the value.",
            Self::HoldDuplicate => "The record is held with the rule's words.",
            Self::SplitBody => "The batch is halved until it passes, or the record is alone.",
            Self::DescribeAnew => {
                "The table is described anew; what is no longer as it was mapped is paused, and \
                 nothing else."
            }
        }
    }
}

fn document() -> String {
    let mut text = String::from(
        "# What Dataverse may answer, and what is done about it\n\n\
         Made from the tables in `src/crm/dynamics/codes.rs` and `auth.rs`; `TRUCE_REWRITE=1 cargo \
         test --lib dynamics_errors` writes it anew. A code is compared as a number; where an answer \
         has none, or one that is in no row, its HTTP status counts: 401, 403, 404, 405, 408, 412, \
         413, 429 and 5xx. Anything else is taken as a refusal of its record alone, counted in \
         `truce_crm_errors_total` as `unknown`, and logged as an error.\n",
    );
    for action in Action::ALL {
        let rows: Vec<_> = TABLE.iter().filter(|row| row.action == action).collect();
        let class: Class = action.class();
        write!(text, "\n## {action:?} ({})\n\n{}\n", class.word(), action.told()).unwrap();
        if !rows.is_empty() {
            text.push_str("\n| Code | Meaning |\n| --- | --- |\n");
        }
        for row in rows {
            writeln!(text, "| `0x{:08X}` | {} |", row.code, row.means).unwrap();
        }
    }
    text.push_str("\n## Tokens\n\nEntra ID's own numbers; all of these stop the account.\n\n");
    text.push_str("| Number | What mends it |\n| --- | --- |\n");
    for (number, remedy) in TOKEN_ERRORS {
        writeln!(text, "| AADSTS{number} | {remedy} |").unwrap();
    }
    text
}

#[test]
fn dynamics_errors_are_documented_as_they_are_handled() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/dynamics-errors.md");
    let expected = document();
    if std::env::var_os("TRUCE_REWRITE").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "docs/dynamics-errors.md is not as the tables say");
}

#[test]
fn every_action_is_in_the_document_once() {
    let words: BTreeSet<String> = Action::ALL.iter().map(|action| format!("{action:?}")).collect();
    assert_eq!(words.len(), Action::ALL.len());
    assert!(TABLE.iter().all(|row| Action::ALL.contains(&row.action)));
}
