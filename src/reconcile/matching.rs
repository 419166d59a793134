//! Which records stand for the same thing, where no external id says so.

use std::collections::BTreeSet;

use crate::reconcile::{Bond, Link, LinkId, LinkState, Policy, Side, Value};

/// The key by which a link's record on `side` is matched: all fields of `match_on` together, case
/// aside. `None` where one of them has no value, which matches nothing.
pub fn match_key(link: &Link, side: Side, policy: &Policy) -> Option<String> {
    if policy.match_on.is_empty() || link.seen[side].bond != Bond::Here {
        return None;
    }
    let mut key = String::new();
    for field in &policy.match_on {
        key.push_str(&key_part(link.seen[side].value(*field)?)?);
        key.push('\u{1f}');
    }
    Some(key)
}

/// One value's part of a match key.
fn key_part(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Text(text) => Some(text.to_lowercase()),
        Value::Bool(_)
        | Value::Int(_)
        | Value::Decimal(_)
        | Value::Date(_)
        | Value::Time(_)
        | Value::Instant(_)
        | Value::Uuid(_)
        | Value::Set(_)
        | Value::Record(_)
        | Value::Link(_)
        | Value::Consent(_) => Some(format!("{value:?}")),
    }
}

/// What the ledger knows of the records with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matched {
    /// None: a new record may be made.
    None,
    /// This one, which is not paired yet.
    With(LinkId),
    /// Several, or one that is paired with another, or the key is not unique on its own side: a
    /// person decides, nothing is guessed.
    Ambiguous,
    /// A record with the key is being made: wait.
    UnderWay,
}

/// Finds the counterpart of a link that stands on `side` only, among the links that bear its key.
pub fn find_match(link: &Link, side: Side, candidates: &[Link]) -> Matched {
    let alive = candidates.iter().filter(|other| other.id != link.id && is_live(other));
    let mut across = BTreeSet::new();
    let mut elder_twins = 0_usize;
    let mut taken = false;
    for other in alive {
        match (here(other, side), here(other, side.other())) {
            (false, true) => {
                across.insert(other.id);
            }
            (true, false) if !other.sent[side.other()].is_empty() => return Matched::UnderWay,
            // Of several with one key on its own side the eldest may be made, the others are told.
            (true, false) => elder_twins += usize::from(other.id < link.id),
            (true, true) => taken = true,
            (false, false) => (),
        }
    }
    match (across.len(), elder_twins, taken) {
        (0, 0, false) => Matched::None,
        (1, 0, false) => across.first().map_or(Matched::None, |id| Matched::With(*id)),
        _ => Matched::Ambiguous,
    }
}

fn here(link: &Link, side: Side) -> bool {
    link.seen[side].bond == Bond::Here
}

fn is_live(link: &Link) -> bool {
    match link.state {
        LinkState::Live => true,
        LinkState::Alias(_) | LinkState::Severed | LinkState::Tombstone => false,
    }
}
