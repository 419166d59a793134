//! Rules of the link that chance seldom or never meets in the simulation, one small case each.
//! `tests/mutations` takes the rules away one by one, on demand; its table says what was measured.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use truce::reconcile::decide::{Gate, HeldReason, Moment};
use truce::reconcile::join;
use truce::reconcile::link::BlockReason;
use truce::reconcile::policy::Flap;
use truce::reconcile::shape::{Case, Text, TooLong};
use truce::reconcile::{
    Bond, Change, Clocks, Consent, DeleteConflict, DeletePolicy, Direction, Entity, Field,
    FieldRule, Gone, Interval, Lane, Link, LinkId, Observation, Outcome, Policy, Position,
    Presence, Read, RecordId, Rule, SeenField, Shape, Side, Sides, Stamp, Value,
};

const ENTITY: Entity = Entity(1);
const NAME: Field = Field(1);
const CITY: Field = Field(2);
const OUT: Field = Field(3);
const PARENT: Field = Field(4);

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

/// A link whose CRM record was to be renamed from ann to eve; no answer came.
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

fn unanswered() -> (Link, Stamp) {
    let mut link = paired();
    set(&mut link, Side::Campaign, NAME, Value::text("eve"));
    let write = link.decide(&policy(), &moment()).writes.remove(0);
    let write = link.send(write, at(100), Position::default());
    let when = (at(101), Position { major: 101, ..Position::default() });
    link.conclude(write.stamp, Outcome::Lost, &policy(), when);
    (link, write.stamp)
}

/// The CRM's record, asked for and changed at that second.
fn sighting(second: i64, [name, city]: [&str; 2], stamp: Option<Stamp>) -> Observation {
    Observation {
        entity: ENTITY,
        record: RecordId::from("c1"),
        was: None,
        at: Position { epoch: 0, major: u64::try_from(second).unwrap(), minor: 0 },
        read: Read::Asked(at(second)),
        presence: Presence::Here {
            row: [(NAME, Value::text(name)), (CITY, Value::text(city))].into(),
            raw: BTreeMap::new(),
            unfit: BTreeMap::new(),
        },
        modified: Some(interval(second - 1, second)),
        stamp,
        claims: None,
    }
}

/// What is held of a link, and why.
fn reasons(link: &Link, policy: &Policy, moment: &Moment) -> Vec<HeldReason> {
    link.decide(policy, moment).held.into_iter().map(|held| held.reason).collect()
}

/// A link whose two records hold the same.
fn paired() -> Link {
    let fields = [(NAME, Value::text("ann")), (CITY, Value::text("Oslo"))];
    let mut link = alone(Side::Campaign, &fields);
    link.seen.crm = link.seen.campaign.clone();
    link.seen.crm.record = Some(RecordId::from("c1"));
    link.agree(&policy(), at(90));
    link
}

/// A link that stands on one side only.
fn alone(side: Side, fields: &[(Field, Value)]) -> Link {
    let mut link = Link::new(LinkId(1), ENTITY);
    link.seen[side].record = Some(RecordId::from("k1"));
    link.seen[side].bond = Bond::Here;
    let rest = [(OUT, Value::Consent(Consent::In)), (PARENT, Value::Null), (CITY, Value::Null)];
    for (field, value) in rest.into_iter().chain(fields.iter().cloned()) {
        set(&mut link, side, field, value);
    }
    link
}

fn set(link: &mut Link, side: Side, field: Field, value: Value) {
    let seen = SeenField { value, raw: None, unfit: None, changed: None, touched: false };
    link.seen[side].fields.insert(field, seen);
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn interval(after: i64, until: i64) -> Interval {
    Interval { after: at(after), until: at(until) }
}

fn moment() -> Moment {
    Moment {
        now: at(100),
        clocks: Clocks::default(),
        epochs: Sides::default(),
        ledger_epoch: 1,
        creates: Gate::Open,
        deletes: Gate::Open,
        parents: BTreeMap::new(),
    }
}

fn policy() -> Policy {
    let rule = |shape: Shape| FieldRule {
        shape,
        direction: Direction::Both,
        conflict: Rule::Hold,
        pairing: Rule::Hold,
        required: Sides::default(),
        unique: Sides::default(),
    };
    let text = Text { max: 40, case: Case::Kept, too_long: TooLong::Reject, only: None };
    Policy {
        entity: ENTITY,
        fields: BTreeMap::from([
            (NAME, rule(Shape::Text(text.clone()))),
            (CITY, rule(Shape::Text(text))),
            (OUT, FieldRule { conflict: Rule::MostRestrictive, ..rule(Shape::Consent) }),
            (PARENT, rule(Shape::Reference(Entity(2)))),
        ]),
        create: [Side::Campaign, Side::Crm].into(),
        delete: DeletePolicy::Hold,
        delete_conflict: DeleteConflict::Hold,
        match_on: vec![NAME],
        stamped: true,
        write_limit: Duration::from_secs(20),
        late_commit: Duration::from_secs(5),
        wait_limit: Duration::from_mins(1),
        flap: Flap { returns: 3, window: Duration::from_secs(30) },
        blank_fields: 2,
    }
}
