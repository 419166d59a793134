//! The rows of the decision log: what a decision was taken by, in a form that stays small.
//!
//! Inputs are told per field: the base where there is one, both sides' values, when each came to its
//! value and was last seen, and the clocks where the rule compares times. Moments are microseconds
//! since 1970, by the side's own clock; `crm` of `seen` is ours, when the read was asked for.
//! A new record's row names the values that it is given, by the numbers of their fields.

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use crate::ledger::{Decision, PUT_OFF, Receipt, Verdict};
use crate::reconcile::decide::{Held, Ruled, Wait};
use crate::reconcile::{
    Answer, Change, Clocks, Field, Lane, Link, LinkId, Outcome, Sent, Side, Stamp, Target, Write,
};

use super::held::Word;
use super::kept::printed;

/// A side's words are kept up to this many characters.
const WORDS_MAX: usize = 500;

/// When something was decided, and by which clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct When<'a> {
    pub(super) now: Timestamp,
    pub(super) clocks: &'a Clocks,
}

/// What a write was decided by, a row for each field; before it is sent.
pub(super) fn of_write(
    link: &Link,
    write: &Write,
    ruled: &[Ruled],
    When { now, clocks }: When<'_>,
) -> Vec<Decision> {
    let across = write.side.other();
    let row = |field, (rule, verdict, winner): (&str, _, _), values| Decision {
        link: link.id,
        at: now,
        field,
        rule: rule.to_owned(),
        verdict,
        winner,
        write: Some((write.side, link.sequence + 1)),
        values,
    };
    let set = match (&write.change, &write.target) {
        (Change::Delete, _) => {
            let rule = if link.released().is_some() { "told" } else { "delete" };
            return vec![row(None, (rule, Verdict::Written, Some(across)), Json::Null)];
        }
        (Change::Set(set), Target::New { .. }) => {
            let given = set.iter().map(|(field, value)| (field.0.to_string(), printed(value)));
            let values = json!({ "set": given.collect::<Map<_, _>>() });
            return vec![row(None, ("create", Verdict::Written, Some(across)), values)];
        }
        (Change::Set(set), Target::Record(_)) => set,
    };
    let of_field = |(field, value): (&Field, &_)| {
        let contested = ruled.iter().find(|ruled| ruled.field == *field);
        let said = link.ruled.get(field) == Some(value);
        let by = match contested {
            Some(ruled) => (ruled.rule, Verdict::Discarded, Some(ruled.winner)),
            None if write.opt_in => ("opt_in", Verdict::Written, Some(across)),
            None if write.lane == Lane::Consent => ("opt_out", Verdict::Written, Some(across)),
            None if said && moved(link, write.side, *field) => ("told", Verdict::Discarded, None),
            None if said => ("told", Verdict::Written, None),
            None => ("moved", Verdict::Written, Some(across)),
        };
        let mut values = inputs(link, *field);
        values.insert("seen".to_owned(), seen(link));
        if by.0.starts_with("newest") || write.lane == Lane::Consent {
            values.insert("clocks".to_owned(), measured(clocks));
        }
        if said {
            values.insert("said".to_owned(), printed(value));
        }
        row(Some(*field), by, Json::Object(values))
    };
    set.iter().map(of_field).collect()
}

/// Whether a side holds something else than was agreed on.
fn moved(link: &Link, side: Side, field: Field) -> bool {
    link.seen[side].value(field) != link.base.get(&field)
}

/// A temporary value, which lets two records exchange a unique one.
pub(super) fn swap(link: &Link, write: &Write, field: Field, now: Timestamp) -> Decision {
    Decision {
        link: link.id,
        at: now,
        field: Some(field),
        rule: "swap".to_owned(),
        verdict: Verdict::Written,
        winner: None,
        write: Some((write.side, link.sequence + 1)),
        values: Json::Object(inputs(link, field)),
    }
}

/// What is left to a person. When it was seen is not told: a record that is seen again, unchanged, is
/// no other decision.
pub(super) fn of_held(link: &Link, held: &Held, now: Timestamp) -> Decision {
    let mut values = held.field.map(|field| inputs(link, field)).unwrap_or_default();
    let told = [
        ("side", held.reason.side().map(|side| side.name().to_owned())),
        ("words", held.reason.words()),
    ];
    let told = told.into_iter().filter_map(|(name, told)| Some((name.to_owned(), told?.into())));
    values.extend(told);
    let rule = held.reason.word();
    decided(link.id, now, held.field, (rule, Verdict::Held), Json::Object(values))
}

/// A field or record that waits for another.
pub(super) fn of_wait(link: &Link, wait: &Wait, now: Timestamp) -> Decision {
    let (field, rule) = match wait {
        Wait::Parent(field, _) => (Some(*field), "parent"),
        Wait::Counterpart(field, _) => (Some(*field), "counterpart"),
        Wait::Survivor(_) => (None, "survivor"),
    };
    let values = field.map(|field| inputs(link, field)).unwrap_or_default();
    decided(link.id, now, field, (rule, Verdict::Parked), Json::Object(values))
}

/// What a link stands for changed.
pub(super) fn of_change(link: LinkId, rule: &str, now: Timestamp) -> Decision {
    decided(link, now, None, (rule, Verdict::Changed), Json::Null)
}

/// A person said so; which one is among the values.
pub(super) fn of_word(
    link: &Link,
    field: Option<Field>,
    (rule, winner): (&str, Option<Side>),
    word: Word<'_>,
) -> Decision {
    let mut values = field.map(|field| inputs(link, field)).unwrap_or_default();
    let said = field.and_then(|field| link.ruled.get(&field));
    values.extend(said.map(|said| ("said".to_owned(), printed(said))));
    values.extend(word.by.map(|by| ("by".to_owned(), by.into())));
    let told = decided(link.id, word.at, field, (rule, Verdict::Told), Json::Object(values));
    Decision { winner, ..told }
}

fn decided(
    link: LinkId,
    at: Timestamp,
    field: Option<Field>,
    (rule, verdict): (&str, Verdict),
    values: Json,
) -> Decision {
    let rule = rule.to_owned();
    Decision { link, at, field, rule, verdict, winner: None, write: None, values }
}

/// The base, both sides' values, and when each came to be.
fn inputs(link: &Link, field: Field) -> Map<String, Json> {
    let mut values = Map::new();
    if let Some(base) = link.base.get(&field) {
        values.insert("base".to_owned(), printed(base));
    }
    let mut changed = Map::new();
    for side in Side::BOTH {
        let Some(seen) = link.seen[side].fields.get(&field) else { continue };
        values.insert(side.name().to_owned(), printed(&seen.value));
        if let Some(interval) = seen.changed {
            let ends = [interval.after, interval.until].map(micros);
            changed.insert(side.name().to_owned(), json!(ends));
        }
    }
    if !changed.is_empty() {
        values.insert("changed".to_owned(), Json::Object(changed));
    }
    values
}

fn seen(link: &Link) -> Json {
    let campaign = link.seen.campaign.modified.and_then(micros);
    json!({ "campaign": campaign, "crm": link.seen.crm.asked.and_then(micros) })
}

fn measured(clocks: &Clocks) -> Json {
    let of = |side: Side| {
        let skew = clocks[side];
        json!([skew.offset, skew.uncertainty].map(|span| span.as_micros().to_string()))
    };
    json!({ "campaign": of(Side::Campaign), "crm": of(Side::Crm) })
}

/// Nothing where no end is known.
fn micros(at: Timestamp) -> Option<i64> {
    (at != Timestamp::MIN).then(|| at.as_microsecond())
}

/// What was answered to a write. That it is put off is kept where the answer before was another, or
/// for something else: the ledger sees to that.
pub(super) fn receipt(
    (link, stamp): (LinkId, Stamp),
    side: Side,
    outcome: &Outcome,
    at: Timestamp,
) -> Receipt {
    let (answer, words) = match outcome {
        Outcome::Later(delay) => (PUT_OFF, delay.why.as_deref().map(ToOwned::to_owned)),
        Outcome::Done { xid, .. } => ("done", xid.map(|xid| format!("transaction {xid}"))),
        Outcome::Stale(_) => ("stale", None),
        Outcome::Found(_) => ("found", None),
        Outcome::Gone(_) => ("gone", None),
        Outcome::Refused(refusal) => {
            ("refused", Some(format!("{}: {}", refusal.code, refusal.message)))
        }
        Outcome::Lost => ("lost", None),
    };
    let words = words.map(|words| words.chars().take(WORDS_MAX).collect());
    Receipt { link, side, sequence: stamp.sequence, at, answer: answer.to_owned(), words }
}

/// What became of writes whose answer was lost, now that their record was read.
pub(super) fn resolved(before: &[Sent], link: &Link, side: Side, at: Timestamp) -> Vec<Receipt> {
    let lost = before.iter().filter(|sent| matches!(sent.answer, Answer::Lost(_)));
    let open = |sent: &Sent| link.sent[side].iter().any(|s| s.write.stamp == sent.write.stamp);
    let gone = lost.filter(|sent| !open(sent));
    let receipt = |sent: &Sent| {
        let stamp = sent.write.stamp;
        let landed = Some(stamp) <= link.seen[side].stamp;
        let answer = if landed { "seen" } else { "not_seen" }.to_owned();
        Receipt { link: link.id, side, sequence: stamp.sequence, at, answer, words: None }
    };
    gone.map(receipt).collect()
}
