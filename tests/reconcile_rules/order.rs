//! What is told late or twice says nothing (rule 3).

use jiff::SignedDuration;
use truce::reconcile::observe::News;
use truce::reconcile::{
    Bond, Change, Gone, Link, Observation, Outcome, Position, Presence, Side, Skew, Value,
};

use crate::pair::{NAME, at, interval, logged, moment, paired, policy, selected, set, sighting};

#[test]
fn what_the_log_tells_again_says_nothing() {
    let mut link = paired();
    let (eve, ida) = (logged(10, 7, "eve"), logged(20, 8, "ida"));
    assert_eq!(campaign(&mut link, &eve), (News::Changed, "eve".into()));
    assert_eq!(campaign(&mut link, &ida), (News::Changed, "ida".into()));
    // The stream begins again where it was last confirmed.
    assert_eq!(campaign(&mut link, &eve), (News::Older, "ida".into()));
    assert_eq!(campaign(&mut link, &ida), (News::Older, "ida".into()));
}

#[test]
fn a_select_that_did_not_see_the_logs_transaction_is_older() {
    let mut link = paired();
    campaign(&mut link, &logged(20, 8, "ida"));
    for early in ["8:8:", "7:9:8", "8:9:8"] {
        assert_eq!(campaign(&mut link, &selected(early, "ann")), (News::Older, "ida".into()));
    }
    assert_eq!(campaign(&mut link, &selected("9:9:", "eve")), (News::Changed, "eve".into()));
}

#[test]
fn the_log_is_older_than_a_select_that_saw_its_transaction() {
    let mut link = paired();
    campaign(&mut link, &selected("9:12:10", "ida"));
    assert_eq!(campaign(&mut link, &logged(20, 8, "eve")), (News::Older, "ida".into()));
    assert_eq!(campaign(&mut link, &logged(30, 11, "eve")), (News::Older, "ida".into()));
    // It was under way in that snapshot.
    assert_eq!(campaign(&mut link, &logged(40, 10, "eve")), (News::Changed, "eve".into()));
}

#[test]
fn the_log_tells_why_a_select_found_nothing() {
    let mut link = paired();
    let none = Observation { presence: Presence::Gone(Gone::Missing), ..selected("9:9:", "ann") };
    link.observe(Side::Campaign, &none, &policy());
    assert_eq!(link.seen.campaign.bond, Bond::Gone(Gone::Missing));
    campaign(&mut link, &logged(20, 7, "eve"));
    assert_eq!(link.seen.campaign.bond, Bond::Gone(Gone::Missing), "that was before");
    let deleted = Presence::Gone(Gone::Deleted);
    link.observe(
        Side::Campaign,
        &Observation { presence: deleted, ..logged(30, 8, "eve") },
        &policy(),
    );
    assert_eq!(link.seen.campaign.bond, Bond::Gone(Gone::Deleted));
}

#[test]
fn that_a_select_found_nothing_does_not_take_back_why() {
    let mut link = paired();
    let gone = |why, read: Observation| Observation { presence: Presence::Gone(why), ..read };
    link.observe(Side::Campaign, &gone(Gone::Deleted, logged(5, 100, "ann")), &policy());
    link.observe(Side::Campaign, &gone(Gone::Missing, selected("200:200:", "ann")), &policy());
    assert_eq!(link.seen.campaign.bond, Bond::Gone(Gone::Deleted));
}

#[test]
fn of_two_selects_the_later_snapshot_counts() {
    let mut link = paired();
    assert_eq!(campaign(&mut link, &selected("9:9:", "ida")), (News::Changed, "ida".into()));
    assert_eq!(campaign(&mut link, &selected("7:7:", "ann")), (News::Older, "ida".into()));
    assert_eq!(campaign(&mut link, &selected("7:9:7", "ann")), (News::Older, "ida".into()));
    assert_eq!(campaign(&mut link, &selected("9:10:9", "eve")), (News::Changed, "eve".into()));
}

#[test]
fn an_edit_that_is_read_while_a_write_is_under_way_is_read_again() {
    let mut link = paired();
    set(&mut link, Side::Campaign, NAME, Value::text("eve"));
    let write = link.decide(&policy(), &moment()).writes.remove(0);
    let write = link.send(write, at(100), Position::default());
    // The write was done and a person has edited the record since, but its answer is not here yet.
    let edited = sighting(102, ["eva", "Oslo"], Some(write.stamp));
    assert_eq!(link.observe(Side::Crm, &edited, &policy()), News::Deaf);
    let done = Outcome::Done { created: None, xid: None };
    let tick = Position { major: 103, ..Position::default() };
    link.conclude(write.stamp, done, &policy(), (at(103), tick));
    // The answer covers what was asked for before it: only the next read can tell.
    assert_eq!(link.observe(Side::Crm, &edited, &policy()), News::Deaf);
    let again = sighting(104, ["eva", "Oslo"], Some(write.stamp));
    assert_eq!(link.observe(Side::Crm, &again, &policy()), News::Changed);
    let write = link.decide(&policy(), &moment()).writes.remove(0);
    assert_eq!(write.side, Side::Campaign);
    assert_eq!(write.change, Change::Set([(NAME, Value::text("eva"))].into()));
}

/// What Campaign's sighting told, and the name that it is taken to hold since.
fn campaign(link: &mut Link, seen: &Observation) -> (News, String) {
    let news = link.observe(Side::Campaign, seen, &policy());
    let Some(Value::Text(name)) = link.seen.campaign.value(NAME) else {
        return (news, String::new());
    };
    (news, name.to_string())
}

#[test]
fn when_a_value_was_last_read_is_told_by_the_other_sides_clock() {
    let skew = Skew { offset: SignedDuration::from_secs(-40), ..Skew::default() };
    let mut link = paired();
    for (read, changed, name) in [(100, 10, "ann"), (110, 70, "eva")] {
        let modified = Some(interval(changed - 1, changed));
        let seen = Observation { modified, ..sighting(read, [name, "Oslo"], None) };
        link.observe_by(Side::Crm, &seen, &policy(), Some(skew));
    }
    // Read by us at 100, by its own clock at 60, and five seconds a change may be late.
    assert_eq!(link.seen.crm.fields[&NAME].changed, Some(interval(55, 70)));
}

#[test]
fn the_answer_to_a_write_is_no_read_of_the_records_other_fields() {
    let mut link = paired();
    set(&mut link, Side::Campaign, NAME, Value::text("eve"));
    let write = link.decide(&policy(), &moment()).writes.remove(0);
    let write = link.send(write, at(100), Position::default());
    let done = Outcome::Done { created: None, xid: None };
    link.conclude(write.stamp, done, &policy(), (at(101), Position::default()));
    assert_eq!(link.seen.crm.asked, None);
}
