//! Two records are taken for one thing where nothing speaks against it; a person is asked where
//! something does (rule 8).

use truce::reconcile::matching::{Matched, find_match};
use truce::reconcile::{
    Change, Gone, Link, LinkId, Observation, Outcome, Position, Presence, RecordId, Side, Target,
    Value,
};

use crate::pair::{CITY, NAME, alone, at, moment, paired, policy, set, sighting};

#[test]
fn the_one_record_that_matches_is_the_counterpart() {
    let (ours, theirs) = (lone(1, Side::Campaign, "k1"), lone(2, Side::Crm, "c2"));
    assert_eq!(find_match(&ours, Side::Campaign, &[&theirs]), Matched::With(LinkId(2)));
    assert_eq!(find_match(&theirs, Side::Crm, &[&ours]), Matched::With(LinkId(1)));
    assert_eq!(find_match(&ours, Side::Campaign, &[]), Matched::None);
}

#[test]
fn of_several_records_that_match_none_is_guessed() {
    let ours = lone(1, Side::Campaign, "k1");
    let (one, other) = (lone(2, Side::Crm, "c2"), lone(3, Side::Crm, "c3"));
    assert_eq!(find_match(&ours, Side::Campaign, &[&one, &other]), Matched::Ambiguous);
    // Nor is one taken from the record that it is paired with.
    let taken = Link { id: LinkId(4), ..paired() };
    assert_eq!(find_match(&ours, Side::Campaign, &[&taken]), Matched::Ambiguous);
    let twin = lone(5, Side::Campaign, "k5");
    assert_eq!(find_match(&ours, Side::Campaign, &[&one, &twin]), Matched::Ambiguous);
}

#[test]
fn what_an_external_id_says_comes_before_what_values_say() {
    let ours = lone(1, Side::Campaign, "k1");
    let stranger = lone(2, Side::Crm, "c2");
    let named = Link { claims: Some(RecordId::from("k1")), ..lone(3, Side::Crm, "c3") };
    assert_eq!(find_match(&ours, Side::Campaign, &[&stranger, &named]), Matched::With(LinkId(3)));
    assert_eq!(find_match(&named, Side::Crm, &[&ours]), Matched::With(LinkId(1)));
}

#[test]
fn a_key_that_is_being_made_is_waited_for() {
    let ours = lone(1, Side::Campaign, "k1");
    // A younger twin, which was looked at first: its create is under way.
    let mut twin = lone(2, Side::Campaign, "k2");
    let write = twin.decide(&policy(), &moment()).writes.remove(0);
    twin.send(write, at(100), Position::default());
    assert_eq!(find_match(&ours, Side::Campaign, &[&twin]), Matched::UnderWay);
}

#[test]
fn a_key_that_was_drawn_is_kept_and_used_again() {
    let mut link = lone(1, Side::Crm, "c1");
    let write = link.decide(&policy(), &moment()).writes.remove(0);
    let mut write = link.send(write, at(100), Position::default());
    let Target::New { key, .. } = &mut write.target else { panic!("{write:?}") };
    *key = Some(RecordId::from("k9"));
    link.give_key(&write);
    // The log's row of that key is this link's, before any answer came.
    assert_eq!(link.record(Side::Campaign), Some(&RecordId::from("k9")));
    let when = (at(101), Position::default());
    link.conclude(write.stamp, Outcome::Lost, &policy(), when);
    let again = link.decide(&policy(), &moment()).writes.remove(0);
    let Target::New { key, .. } = again.target else { panic!("{again:?}") };
    assert_eq!(key, Some(RecordId::from("k9")));
}

#[test]
fn a_record_that_was_merged_into_another_was_not_deleted() {
    let policy =
        truce::reconcile::Policy { delete: truce::reconcile::DeletePolicy::Propagate, ..policy() };
    let mut link = paired();
    let into = Presence::Gone(Gone::Merged(RecordId::from("c2")));
    let seen = Observation { presence: into, ..sighting(50, ["ann", "Oslo"], None) };
    link.observe(Side::Crm, &seen, &policy);
    let decision = link.decide(&policy, &moment());
    assert!(decision.writes.is_empty() && decision.waits.len() == 1, "{decision:?}");
    let seen = Observation { presence: Presence::Gone(Gone::Deleted), ..seen };
    let mut link = paired();
    link.observe(Side::Crm, &seen, &policy);
    assert_eq!(link.decide(&policy, &moment()).writes[0].change, Change::Delete);
}

/// A link that stands on one side only, for somebody called ann.
fn lone(id: u64, side: Side, record: &str) -> Link {
    let mut link = alone(side, &[]);
    link.id = LinkId(id);
    link.seen[side].record = Some(RecordId::from(record));
    set(&mut link, side, NAME, Value::text("ann"));
    set(&mut link, side, CITY, Value::text("Oslo"));
    link
}
