//! `docs/salesforce-errors.md`, made from the tables so that it cannot say anything else.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use crate::crm::salesforce::auth::{Means, TOKEN_ERRORS};

use super::{Action, Class, Says, TABLE};

/// What is done, in the order of the document.
const DONE: [(Action, &str); 23] = [
    (
        Action::RepeatRequest,
        "The request is sent again, each time after a longer wait, a bounded number of \
         times. A write is not: nobody knows what became of it, so its records are read.",
    ),
    (
        Action::AskForLess,
        "The page is asked for again at once with half as many rows, down to a few; pages grow \
         back slowly once they come in time.",
    ),
    (
        Action::SmallerBatch,
        "The record is decided again after a wait that doubles, then sent with those of the \
         same parent and in a smaller batch, each time half of the last; fewer calls are \
         made at once meanwhile. After eight tries it waits for ten minutes.",
    ),
    (Action::RecordSoon, "The record is decided and sent again after seconds."),
    (Action::RecordLate, "The record is decided and sent again after ten minutes."),
    (
        Action::FewerWorkers,
        "Half as many calls are made at once, and one more every half minute once it passed. \
         The call is sent again after a wait.",
    ),
    (
        Action::PauseDay,
        "The account pauses: nothing is written or polled. `/limits` is asked now and then, \
         and it goes on once calls are back.",
    ),
    (
        Action::RestJobs,
        "What was to go as a bulk job goes by calls at once. No job of that kind, of those \
         that write or of those that read, is asked for in the next ten minutes.",
    ),
    (
        Action::MakeRoom,
        "The record is tried again after ten minutes. Somebody has to make room over there.",
    ),
    (Action::RenewToken, "One new token for all workers; the call is sent again, once."),
    (
        Action::StopAccount,
        "The account stops and says why. It is asked again after one minute, then two, up to \
         every ten.",
    ),
    (
        Action::DenyRequest,
        "What was asked is tried again every minute, and it is said why; what needs it waits, \
         and nothing else of the account stops.",
    ),
    (
        Action::DenyJobs,
        "What was to go as a bulk job goes by calls at once. No job of that kind is asked for \
         in the next hour: somebody has to grant it.",
    ),
    (
        Action::WaitForParent,
        "The field waits until the record that it refers to is there, for `reference_wait`; \
         then it is held. Its neighbours go over.",
    ),
    (
        Action::ReadGone,
        "The record is read, deleted rows included: the mapping's `delete`, a merge or a \
         conversion follows. If it is there after all, what it refers to is gone.",
    ),
    (
        Action::WaitForUnlock,
        "The record is tried again every ten minutes: an approval that locks it ends.",
    ),
    (Action::HoldArchived, "The record is held for a person."),
    (
        Action::ReadAgain,
        "What was known is read again, and decided anew. Three times without news hold the \
         link.",
    ),
    (
        Action::HoldRecord,
        "The record, or the fields that the error names, are held with code and words. They \
         are tried again when a value changes, or by `truce held retry`.",
    ),
    (
        Action::HoldUnique,
        "The field is held with the record that owns its value; two that swap theirs get \
         both done.",
    ),
    (
        Action::HoldDuplicate,
        "The record is held with the ids of the records that the organisation's duplicate \
         rule takes it for.",
    ),
    (
        Action::SplitBody,
        "The batch is sent in halves until the record is alone that makes it unreadable; \
         that one is held.",
    ),
    (
        Action::DescribeAnew,
        "The object is described anew at once: a field that is not as it was mapped is \
         paused. What is refused although nothing has changed is held, and said.",
    ),
];

/// With `TRUCE_REWRITE=1` the document is written, otherwise compared.
#[test]
fn the_document_says_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/salesforce-errors.md");
    let made = document();
    if std::env::var_os("TRUCE_REWRITE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == made,
        "docs/salesforce-errors.md is not what the table says; TRUCE_REWRITE=1 cargo test --lib \
         the_document_says writes it"
    );
}

fn document() -> String {
    let mut page = String::from(
        "# What Salesforce's errors mean\n\n\
         Made from the tables of `src/crm/salesforce/codes.rs` and `auth.rs`; a test compares.\n\n\
         A code is looked up as it stands in the answer, of a request or of one record in it. An \
         answer without a code goes by its status (`HTTP_503`). Web pages of the edge, empty \
         bodies and bodies that end in the middle are taken like `HTTP_503`. A code that is not \
         here is held for its record alone, logged as an error and counted in \
         `truce_crm_errors_total` under its own name: please tell us of it.\n",
    );
    let mut classes: BTreeSet<Class> = BTreeSet::new();
    for (action, told) in DONE {
        if classes.insert(action.class()) {
            writeln!(page, "\n## {}", action.class().word()).unwrap();
        }
        writeln!(page, "\n{told}\n").unwrap();
        for row in TABLE.iter().filter(|row| row.action == action) {
            let when = match row.says {
                Says::Anything => String::new(),
                Says::Words(words) => format!(", where its words are \"{words}\""),
                Says::PassingCode => {
                    ", where its words name a code that passes by itself".to_owned()
                }
                Says::OfJobs => ", where a bulk job is made, filled or closed".to_owned(),
                Says::UsedUp => ", where `Sforce-Limit-Info` says that none is left".to_owned(),
            };
            writeln!(page, "- `{}`{when}", row.code).unwrap();
        }
    }
    page.push_str(
        "\n## Refusals to give a token\n\n\
         The first line that fits counts; a description may be missing.\n\n\
         | error | description | what is done |\n| --- | --- | --- |\n",
    );
    for known in TOKEN_ERRORS {
        let any = |text: &str| if text.is_empty() { "any".into() } else { format!("`{text}`") };
        let done = match known.means {
            Means::Again => "asked again, a bounded number of times".to_owned(),
            Means::Later => "asked again after five minutes".to_owned(),
            Means::Mend(remedy) => format!("the account stops; {remedy}"),
        };
        let (error, words) = (any(known.error), any(known.words));
        writeln!(page, "| {error} | {words} | {done} |").unwrap();
    }
    page
}

#[test]
fn every_action_is_in_the_document_and_in_the_table() {
    for (action, _) in DONE {
        assert!(TABLE.iter().any(|row| row.action == action), "{action:?}");
    }
    assert!(TABLE.iter().all(|row| DONE.iter().any(|(action, _)| *action == row.action)));
}
