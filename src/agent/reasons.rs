//! What the words mean for which things are held: why, what waits for it, and the ways out.

use serde::Serialize;

use crate::reconcile::Field;

/// A reason, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Why it is held.
    pub why: &'static str,
    /// What does not go on meanwhile.
    pub blocked: &'static str,
    /// The ways out.
    pub ways: &'static [&'static str],
}

const UNKNOWN: &str = "a reason of another release";
const TWO_VALUES: &[&str] = &[
    "truce held resolve --take campaign",
    "truce held resolve --take crm",
    "truce held resolve --value TEXT",
    "truce held resolve --ignore",
];
const ONE_GONE: &[&str] = &[
    "truce held release (leave the other record alone)",
    "truce held release --delete (delete it too)",
    "truce held release --recreate (make the other again)",
];
const RETRY: &[&str] = &["mend the cause, then truce held retry"];
const REFUSED: &[&str] =
    &["mend the cause, then truce held retry", "truce held resolve --ignore (a field's)"];
const LET_GO: &[&str] = &["truce held release"];

/// What a reason's word means.
pub(super) fn told(word: &str, field: Option<Field>) -> Reason {
    let (why, ways): (_, &[_]) = match word {
        "conflict" => {
            ("both sides changed it, and the field's policy leaves that to a person", TWO_VALUES)
        }
        "pairing" => (
            "the two records met with different values, and the field's pairing policy leaves that \
             to a person",
            TWO_VALUES,
        ),
        "deleted" => (
            "one record was deleted, and the mapping leaves to a person what becomes of the other",
            ONE_GONE,
        ),
        "deleted_and_changed" => ("one record was deleted and the other changed", ONE_GONE),
        "missing" => ("the record is not found any more, which is no deletion", ONE_GONE),
        "truncated" => ("the table was truncated", ONE_GONE),
        "merged" => ("the CRM merged the record into one that never showed", ONE_GONE),
        "converted" => (
            "the lead was converted into something that no other mapping keeps in step with its \
             record",
            ONE_GONE,
        ),
        "blanked" => ("many fields turned empty at once, as when a column is secured", LET_GO),
        "unfit" => (
            "the value has no form that both sides can hold",
            &["edit it where it stands, then it goes on by itself"],
        ),
        "required" => (
            "the other side cannot hold a record without a value here",
            &["truce held resolve --value TEXT", "truce held resolve --ignore"],
        ),
        "refused" => ("the other side refused it, and is not asked again unchanged", REFUSED),
        "stale" => ("each write found the record changed, and no news came", RETRY),
        "flapping" => ("the field goes back and forth, as when two programs contend for it", RETRY),
        "wider_opt_out" => (
            "the CRM opted in while a wider opt-out stands in Campaign",
            &["clear the wider opt-out where it stands", "truce held resolve --take campaign"],
        ),
        "parent" => ("the record that it refers to did not come in time", RETRY),
        "epoch" => (
            "a side was restored or cloned: creates and deletes wait for a person",
            &["truce held release --epoch"],
        ),
        "braked" => (
            "more would be deleted or emptied than the mapping's brake lets through",
            &["truce held release --brake MAPPING", "truce held release (this record)"],
        ),
        "ambiguous" => (
            "several records match, or the one that does is taken",
            &["make the values by which they match unique; it is looked at again by itself"],
        ),
        _ => (UNKNOWN, RETRY),
    };
    let blocked = match field {
        Some(_) => "this field; the record's other fields go on",
        None => "the whole record, but opt-outs",
    };
    Reason { why, blocked, ways }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_for_which_something_is_held_is_told() {
        let decide = include_str!("../reconcile/decide.rs");
        let start = decide.find("pub fn word(&self)").expect("the words are there");
        let words = decide[start..].split('}').next().expect("the match ends");
        let words: Vec<&str> = words.split('"').skip(1).step_by(2).collect();
        assert!(words.len() > 15, "{words:?}");
        for word in words {
            assert_ne!(told(word, None).why, UNKNOWN, "{word}");
        }
    }
}
