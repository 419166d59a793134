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
    Some(bounded(key))
}

/// A key that an index takes: of a long one its beginning, and a print of the whole.
fn bounded(key: String) -> String {
    if key.len() <= KEY_BYTES_MAX {
        return key;
    }
    // FNV-1a, as its value is kept.
    let print = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |print, byte| {
        (print ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let head = &key[..key.floor_char_boundary(KEY_BYTES_MAX)];
    format!("{head}\u{1f}{print:016x}")
}

/// PostgreSQL indexes texts of up to some 2,700 bytes.
const KEY_BYTES_MAX: usize = 1000;

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

/// Finds the counterpart of a link that stands on `side` only, among the links that share its
/// match key or a claim. What an external id says comes before what values say.
pub fn find_match(link: &Link, side: Side, candidates: &[&Link]) -> Matched {
    let across = side.other();
    let others = candidates.iter().filter(|other| other.id != link.id);
    let (others, spoken_for): (Vec<&Link>, Vec<&Link>) = others.partition(|other| is_live(other));
    let alone = |other: &&&Link| here(other, across) && is_alone(other, side);
    let claiming: Vec<LinkId> =
        others.iter().filter(alone).filter(|other| claims(link, other)).map(|o| o.id).collect();
    match claiming.as_slice() {
        [] => (),
        [one] => return Matched::With(*one),
        [_, _, ..] => return Matched::Ambiguous,
    }
    let matching: BTreeSet<LinkId> = others.iter().filter(alone).map(|other| other.id).collect();
    let twins: Vec<&&Link> =
        others.iter().filter(|other| here(other, side) && !here(other, across)).collect();
    if twins.iter().any(|twin| !twin.sent[across].is_empty()) {
        return Matched::UnderWay;
    }
    // A record that is left alone, or an alias, is still that person's.
    let kept = spoken_for.iter().any(|other| here(other, side) || here(other, across));
    let taken = kept || others.iter().any(|other| here(other, side) && here(other, across));
    let elder = twins.iter().any(|twin| twin.id < link.id);
    match (matching.len(), twins.is_empty(), taken) {
        (1, true, false) => matching.first().map_or(Matched::None, |id| Matched::With(*id)),
        // Of several with one key on their own side the eldest may be made, the others are told.
        (0, _, false) if !elder => Matched::None,
        _ => Matched::Ambiguous,
    }
}

/// Whether one of two lone records names the other by its external id.
pub fn claims(a: &Link, b: &Link) -> bool {
    let names = |crm: &Link, campaign: &Link| {
        here(crm, Side::Crm)
            && crm.claims.is_some()
            && crm.claims.as_ref() == campaign.record(Side::Campaign)
    };
    names(a, b) || names(b, a)
}

fn is_alone(link: &Link, missing: Side) -> bool {
    link.seen[missing].bond == Bond::Never && link.sent[missing].is_empty()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_key_is_told_from_others_and_fits_an_index() {
        let long = |end: &str| bounded(format!("{}{end}", "ä".repeat(2000)));
        assert_eq!(bounded("ann@x.org".to_owned()), "ann@x.org");
        assert_eq!(long("a"), long("a"));
        assert_ne!(long("a"), long("b"));
        assert!(long("a").len() < KEY_BYTES_MAX + 20);
    }
}
