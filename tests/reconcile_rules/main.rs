//! Rules of the link that chance seldom or never meets in the simulation, one small case each.
//! `tests/mutations` takes the rules away one by one, on demand; its table says what was measured.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod consent;
mod epochs;
mod latecomers;
mod matching;
mod order;
mod pair;
mod person;
mod refusals;
mod rulings;
mod unhindered;
mod unique;
mod who;

use truce::reconcile::decide::{Gate, HeldReason, Moment};
use truce::reconcile::join;
use truce::reconcile::link::BlockReason;
use truce::reconcile::policy::Fallback;
use truce::reconcile::{
    Bond, Change, Consent, DeleteConflict, DeletePolicy, Field, Gone, Lane, LinkId, Outcome,
    Policy, Position, RecordId, Rule, Side, Sides, Stamp, Value,
};

use pair::{
    CITY, NAME, OUT, PARENT, alone, at, interval, moment, paired, policy, reasons, set, sighting,
    unanswered,
};

#[test]
fn a_new_epoch_holds_creates_and_deletes() {
    let alone = alone(Side::Campaign, &[(NAME, Value::text("ann"))]);
    let held = Moment { creates: Gate::Held, deletes: Gate::Held, ..moment() };
    assert_eq!(reasons(&alone, &policy(), &held), [HeldReason::Epoch]);
    assert_eq!(alone.decide(&policy(), &moment()).writes.len(), 1, "without the gate it is made");
    let policy = Policy { delete: DeletePolicy::Propagate, ..policy() };
    let mut deleted = paired();
    deleted.seen.crm.bond = Bond::Gone(Gone::Deleted);
    assert_eq!(reasons(&deleted, &policy, &held), [HeldReason::Epoch]);
    assert_eq!(deleted.decide(&policy, &moment()).writes[0].change, Change::Delete);
}

#[test]
fn three_stales_without_news_are_held() {
    let mut link = paired();
    set(&mut link, Side::Campaign, NAME, Value::text("eve"));
    for _ in 0..3 {
        let write = link.decide(&policy(), &moment()).writes.remove(0);
        let write = link.send(write, at(100), Position::default());
        let when = (at(100), Position::default());
        link.conclude(write.stamp, Outcome::Stale(None), &policy(), when);
    }
    assert_eq!(reasons(&link, &policy(), &moment()), [HeldReason::Stale(Side::Crm)]);
}

#[test]
fn a_held_field_leaves_its_neighbours_alone() {
    let mut link = paired();
    set(&mut link, Side::Campaign, NAME, Value::text("eve"));
    set(&mut link, Side::Crm, NAME, Value::text("eva"));
    set(&mut link, Side::Campaign, CITY, Value::text("Rome"));
    let decision = link.decide(&policy(), &moment());
    assert_eq!(decision.held[0].field, Some(NAME));
    assert_eq!(decision.writes[0].change, Change::Set([(CITY, Value::text("Rome"))].into()));
}

#[test]
fn what_a_sweep_or_a_truncate_took_is_no_deletion() {
    let policy = Policy { delete: DeletePolicy::Propagate, ..policy() };
    let held = |gone| {
        let mut link = paired();
        link.seen.campaign.bond = Bond::Gone(gone);
        reasons(&link, &policy, &moment())
    };
    assert_eq!(held(Gone::Missing), [HeldReason::Missing(Side::Campaign)]);
    assert_eq!(held(Gone::Truncated), [HeldReason::Truncated(Side::Campaign)]);
    assert_eq!(held(Gone::Deleted), []);
}

#[test]
fn a_deletion_is_held_unless_the_policy_says_more() {
    let mut link = paired();
    link.seen.campaign.bond = Bond::Gone(Gone::Deleted);
    assert_eq!(reasons(&link, &policy(), &moment()), [HeldReason::Deleted(Side::Campaign)]);
}

#[test]
fn a_record_that_comes_again_bears_the_consent_of_its_tombstone() {
    let mut ended = paired();
    for side in Side::BOTH {
        set(&mut ended, side, OUT, Value::Consent(Consent::Out));
    }
    ended.retire(&policy());
    assert_eq!(ended.successor(LinkId(2)).inherited.get(&OUT), Some(&Consent::Out));
}

#[test]
fn many_fields_that_turn_null_at_once_are_held() {
    let mut link = paired();
    for field in [NAME, CITY] {
        set(&mut link, Side::Crm, field, Value::Null);
    }
    let held = reasons(&link, &policy(), &moment());
    assert_eq!(held, [HeldReason::Blanked(Side::Crm)]);
    set(&mut link, Side::Crm, CITY, Value::text("Oslo"));
    assert_eq!(reasons(&link, &policy(), &moment()), [], "one alone goes over");
}

#[test]
fn the_losers_pending_edit_moves_over_once() {
    let (mut loser, mut survivor) = (paired(), paired());
    survivor.id = LinkId(2);
    set(&mut loser, Side::Campaign, NAME, Value::text("eve"));
    join::merge(&mut loser, &mut survivor, &policy(), at(100));
    assert_eq!(survivor.ruled.get(&NAME), Some(&Value::text("eve")));
    assert_eq!(survivor.ruled.get(&CITY), None, "what was not edited stays");
    assert!(loser.ruled.is_empty());
}

#[test]
fn what_moved_over_from_a_merged_record_outlives_the_news_that_both_hold_the_value_before() {
    let (mut loser, mut survivor) = (paired(), paired());
    survivor.id = LinkId(2);
    set(&mut loser, Side::Campaign, NAME, Value::text("eve"));
    join::merge(&mut loser, &mut survivor, &policy(), at(100));
    survivor.agree(&policy(), at(101));
    let writes = survivor.decide(&policy(), &moment()).writes;
    let sides: Vec<Side> = writes.iter().map(|write| write.side).collect();
    assert_eq!(sides, Side::BOTH, "neither holds it yet");
    for side in Side::BOTH {
        set(&mut survivor, side, NAME, Value::text("eve"));
    }
    survivor.agree(&policy(), at(102));
    assert!(survivor.ruled.is_empty(), "both do");
}

#[test]
fn consent_of_merged_records_reaches_both() {
    let (mut loser, mut survivor) = (paired(), paired());
    survivor.id = LinkId(2);
    set(&mut loser, Side::Campaign, OUT, Value::Consent(Consent::Out));
    join::merge(&mut loser, &mut survivor, &policy(), at(100));
    for link in [&loser, &survivor] {
        let writes = link.decide(&policy(), &moment()).writes;
        assert!(writes.iter().any(|write| write.lane == Lane::Consent), "link {}", link.id);
    }
}

#[test]
fn a_parent_that_is_missing_parks_its_field_and_holds_a_child_that_needs_it() {
    let mut link = paired();
    set(&mut link, Side::Campaign, PARENT, Value::Record(RecordId::from("a1")));
    set(&mut link, Side::Campaign, CITY, Value::text("Rome"));
    let writes = link.decide(&policy(), &moment()).writes;
    assert_eq!(writes[0].change, Change::Set([(CITY, Value::text("Rome"))].into()));

    let mut policy = policy();
    policy.fields.get_mut(&PARENT).unwrap().required = Sides { campaign: true, crm: true };
    let parent = (PARENT, Value::Record(RecordId::from("a1")));
    let mut child = alone(Side::Campaign, &[(NAME, Value::text("ann")), parent]);
    child.waiting_since = Some(at(90));
    assert_eq!(reasons(&child, &policy, &moment()), [], "it waits");
    child.waiting_since = Some(at(10));
    assert_eq!(reasons(&child, &policy, &moment()), [HeldReason::Parent]);
}

#[test]
fn a_field_that_flaps_is_held() {
    let mut link = paired();
    for (n, name) in ["eve", "ann", "eve", "ann", "eve"].into_iter().enumerate() {
        for side in Side::BOTH {
            set(&mut link, side, NAME, Value::text(name));
        }
        link.agree(&policy(), at(91 + i64::try_from(n).unwrap()));
    }
    assert!(link.blocks.iter().any(|block| block.reason == BlockReason::Flapping));
    set(&mut link, Side::Campaign, NAME, Value::text("ann"));
    assert_eq!(reasons(&link, &policy(), &moment()), [HeldReason::Flapping]);
}

#[test]
fn an_edit_of_another_field_while_a_write_is_under_way_goes_over_after_it() {
    let mut link = paired();
    set(&mut link, Side::Campaign, CITY, Value::text("Rome"));
    let write = link.decide(&policy(), &moment()).writes.remove(0);
    let write = link.send(write, at(100), Position::default());
    set(&mut link, Side::Campaign, NAME, Value::text("eve"));
    let done = Outcome::Done { created: None, xid: None };
    link.conclude(write.stamp, done, &policy(), (at(101), Position::default()));
    let write = link.decide(&policy(), &moment()).writes.remove(0);
    assert_eq!(write.side, Side::Crm);
    assert_eq!(write.change, Change::Set([(NAME, Value::text("eve"))].into()));
}

#[test]
fn where_both_were_seen_to_agree_the_next_edit_is_no_conflict() {
    let mut link = paired();
    for side in Side::BOTH {
        set(&mut link, side, NAME, Value::text("eve"));
    }
    link.agree(&policy(), at(100));
    set(&mut link, Side::Crm, NAME, Value::text("eva"));
    let decision = link.decide(&policy(), &moment());
    assert_eq!((decision.held.len(), decision.writes.len()), (0, 1));
}

#[test]
fn an_opt_out_does_not_wait_for_the_records_other_write() {
    let mut link = paired();
    set(&mut link, Side::Campaign, CITY, Value::text("Rome"));
    let write = link.decide(&policy(), &moment()).writes.remove(0);
    link.send(write, at(100), Position::default());
    set(&mut link, Side::Campaign, OUT, Value::Consent(Consent::Out));
    assert_eq!(link.decide(&policy(), &moment()).writes[0].lane, Lane::Consent);
}

#[test]
fn a_wider_opt_out_is_never_cleared() {
    let mut link = paired();
    set(&mut link, Side::Campaign, OUT, Value::Consent(Consent::Implied));
    set(&mut link, Side::Crm, OUT, Value::Consent(Consent::In));
    link.base.insert(OUT, Value::Consent(Consent::Out));
    let fields = &mut link.seen;
    fields.campaign.fields.get_mut(&OUT).unwrap().changed = Some(interval(0, 10));
    fields.crm.fields.get_mut(&OUT).unwrap().changed = Some(interval(20, 30));
    let decision = link.decide(&policy(), &moment());
    assert_eq!(decision.held[0].reason, HeldReason::WiderOptOut(Side::Campaign));
    assert!(decision.writes.is_empty());
}

#[test]
fn an_opt_in_goes_with_the_records_own_time_for_the_precondition() {
    let mut link = paired();
    link.seen.crm.modified = Some(at(40));
    set(&mut link, Side::Crm, OUT, Value::Consent(Consent::Out));
    link.base.insert(OUT, Value::Consent(Consent::Out));
    link.seen.crm.fields.get_mut(&OUT).unwrap().changed = Some(interval(0, 10));
    link.seen.campaign.fields.get_mut(&OUT).unwrap().changed = Some(interval(20, 30));
    let write = link.decide(&policy(), &moment()).writes.remove(0);
    assert!(write.opt_in && write.unmodified_since == Some(at(40)) && !write.expect.is_empty());
}

#[test]
fn an_edit_of_another_field_does_not_make_this_one_newer() {
    let mut link = paired();
    link.observe(Side::Crm, &sighting(50, ["eva", "Oslo"], None), &policy());
    link.observe(Side::Crm, &sighting(90, ["eva", "Rome"], None), &policy());
    let until = |field: Field| link.seen.crm.fields[&field].changed.unwrap().until;
    assert_eq!((until(NAME), until(CITY)), (at(50), at(90)));
}

#[test]
fn a_crm_edit_is_not_taken_for_later_than_it_may_have_been() {
    let mut policy = policy();
    policy.fields.get_mut(&NAME).unwrap().conflict = Rule::Newest(Fallback::Hold);
    let mut link = paired();
    link.observe(Side::Crm, &sighting(50, ["ann", "Oslo"], None), &policy);
    link.observe(Side::Crm, &sighting(90, ["eva", "Oslo"], None), &policy);
    let changed = link.seen.crm.fields[&NAME].changed;
    assert_eq!(changed, Some(interval(50, 90)), "from the stamp before to the stamp");
    set(&mut link, Side::Campaign, NAME, Value::text("eve"));
    link.seen.campaign.fields.get_mut(&NAME).unwrap().changed = Some(interval(59, 60));
    assert_eq!(reasons(&link, &policy, &moment()), [HeldReason::Conflict]);
}

#[test]
fn a_record_is_not_made_again_while_an_opt_out_of_the_other_is_under_way() {
    let policy = Policy { delete_conflict: DeleteConflict::UpdateWins, ..policy() };
    let mut link = paired();
    set(&mut link, Side::Campaign, OUT, Value::Consent(Consent::Out));
    let write = link.decide(&policy, &moment()).writes.remove(0);
    let write = link.send(write, at(100), Position::default());
    link.seen.campaign.bond = Bond::Gone(Gone::Deleted);
    set(&mut link, Side::Crm, CITY, Value::text("Rome"));
    assert!(link.decide(&policy, &moment()).writes.is_empty(), "it would be made opted in");
    let done = Outcome::Done { created: None, xid: None };
    link.conclude(write.stamp, done, &policy, (at(101), Position::default()));
    let write = link.decide(&policy, &moment()).writes.remove(0);
    let Change::Set(row) = write.change else { panic!("{write:?}") };
    assert_eq!(row.get(&OUT), Some(&Value::Consent(Consent::Out)));
}

#[test]
fn where_two_records_meet_an_opt_out_of_either_reaches_both() {
    for out in Side::BOTH {
        let mut link = paired();
        set(&mut link, out, OUT, Value::Consent(Consent::Out));
        link.base.remove(&OUT);
        let write = link.decide(&policy(), &moment()).writes.remove(0);
        assert_eq!((write.side, write.opt_in), (out.other(), false));
        assert_eq!(write.change, Change::Set([(OUT, Value::Consent(Consent::Out))].into()));
    }
}

#[test]
fn a_stamp_proves_that_a_write_landed_whatever_the_record_holds_since() {
    let (mut link, stamp) = unanswered();
    link.observe(Side::Crm, &sighting(102, ["eva", "Oslo"], Some(stamp)), &policy());
    assert_eq!(link.base.get(&NAME), Some(&Value::text("eve")));
    assert_eq!(reasons(&link, &policy(), &moment()), [], "an edit since, not a conflict");
}

#[test]
fn without_its_stamp_a_write_may_land_later_and_is_no_edit_then() {
    let (mut link, _) = unanswered();
    link.observe(Side::Crm, &sighting(102, ["ann", "Oslo"], None), &policy());
    assert_eq!(link.given_up.len(), 1);
    set(&mut link, Side::Campaign, NAME, Value::text("ida"));
    link.observe(Side::Crm, &sighting(103, ["eve", "Oslo"], None), &policy());
    let decision = link.decide(&policy(), &moment());
    assert_eq!(decision.held, [], "the latecomer is ours");
    assert_eq!(decision.writes[0].change, Change::Set([(NAME, Value::text("ida"))].into()));
}

#[test]
fn a_stamp_that_names_another_link_proves_nothing() {
    let mut link = paired();
    let foreign = Stamp { epoch: 1, link: LinkId(9), sequence: 7 };
    link.observe(Side::Crm, &sighting(102, ["ann", "Oslo"], Some(foreign)), &policy());
    assert_eq!(link.seen.crm.stamp, None);
}

#[test]
fn the_first_read_of_a_record_that_was_made_begins_no_new_life_of_its_side() {
    let fields = [(NAME, Value::text("ann")), (CITY, Value::text("Oslo"))];
    let mut link = alone(Side::Campaign, &fields);
    let tick = |major| Position { epoch: 1, major, minor: 0 };
    let write = link.decide(&policy(), &moment()).writes.remove(0);
    let stamp = link.send(write, at(100), tick(1)).stamp;
    let made = Outcome::Done { created: Some(RecordId::from("c1")), xid: None };
    link.conclude(stamp, made, &policy(), (at(101), tick(2)));
    // Somebody edits it in Campaign before the CRM has shown it for the first time.
    set(&mut link, Side::Campaign, NAME, Value::text("anna"));
    let mut seen = sighting(103, ["ann", "Oslo"], Some(stamp));
    seen.at = tick(3);
    link.observe(Side::Crm, &seen, &policy());
    let decision = link.decide(&policy(), &moment());
    assert!(decision.ruled.is_empty(), "{:?}", decision.ruled);
    assert_eq!(decision.writes[0].side, Side::Crm, "what both agreed on still stands");
}
