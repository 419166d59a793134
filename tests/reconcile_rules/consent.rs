//! An opt-in goes over where it is provably the later, and nowhere else.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use truce::reconcile::decide::{Decision, Gate, Moment};
use truce::reconcile::observe::News;
use truce::reconcile::policy::Flap;
use truce::reconcile::{
    Clocks, Consent, DeleteConflict, DeletePolicy, Direction, Entity, Field, FieldRule, Interval,
    Link, LinkId, Observation, Outcome, Policy, Position, Presence, Read, RecordId, Row, Rule,
    Shape, Side, Sides, Value,
};

const OUT: Field = Field(1);

#[test]
fn an_opt_in_long_after_the_opt_out_went_over_goes_over_too() {
    let mut link = agreed();
    campaign(&mut link, 100, Consent::Out);
    conclude(&mut link, 101);
    // The echo tells when the CRM's own clock says that it was opted out: that is news to keep.
    assert_eq!(crm(&mut link, 102, Consent::Out), News::Changed);
    campaign(&mut link, 900, Consent::In);
    let decision = decide(&link, 901);
    let write = decision.writes.first().unwrap();
    assert!(write.opt_in && write.side == Side::Crm, "{decision:?}");
}

#[test]
fn a_lost_opt_in_is_sent_again_only_when_it_can_no_longer_land() {
    let mut link = lost_opt_in();
    still_out(&mut link, 950);
    assert!(decide(&link, 951).writes.is_empty(), "the server may carry it out yet");
    still_out(&mut link, 3_000);
    assert!(decide(&link, 3_001).writes.first().unwrap().opt_in, "now it cannot");
}

#[test]
fn a_lost_opt_in_that_is_no_longer_wanted_is_never_sent_again() {
    let mut link = lost_opt_in();
    campaign(&mut link, 1_000, Consent::Out);
    for second in [1_010, 3_000, 4_000] {
        still_out(&mut link, second);
        assert!(decide(&link, second + 1).writes.is_empty(), "at {second}");
    }
}

#[test]
fn a_lost_opt_in_does_not_stand_in_an_opt_outs_way() {
    let mut link = lost_opt_in();
    crm(&mut link, 950, Consent::In);
    campaign(&mut link, 1_000, Consent::Out);
    let decision = decide(&link, 1_001);
    let write = decision.writes.first().unwrap();
    assert!(!write.opt_in && write.side == Side::Crm, "{decision:?}");
}

#[test]
fn an_opt_in_does_not_count_where_the_other_side_may_have_moved_since() {
    let mut link = agreed();
    campaign(&mut link, 100, Consent::Out);
    conclude(&mut link, 101);
    crm(&mut link, 102, Consent::Out);
    campaign(&mut link, 900, Consent::In);
    // Somebody has changed the CRM's record: in and out again, for all that a read can tell.
    crm(&mut link, 950, Consent::Out);
    let decision = decide(&link, 951);
    let write = decision.writes.first().unwrap();
    assert!(!write.opt_in && write.side == Side::Campaign, "{decision:?}");
}

#[test]
fn an_opt_in_that_is_told_late_does_not_lift_the_opt_out_after_it() {
    let mut link = agreed();
    campaign(&mut link, 100, Consent::Out);
    crm(&mut link, 500, Consent::Out);
    // The log lags: it tells only now of an opt-in that was made before the CRM's opt-out.
    campaign(&mut link, 300, Consent::In);
    let decision = decide(&link, 901);
    let write = decision.writes.first().unwrap();
    assert!(!write.opt_in && write.side == Side::Campaign, "{decision:?}");
}

#[test]
fn a_wider_opt_out_is_not_lifted_by_an_opt_in_of_the_crm() {
    let mut link = agreed();
    campaign(&mut link, 100, Consent::Implied);
    conclude(&mut link, 101);
    crm(&mut link, 102, Consent::Out);
    crm(&mut link, 5_000, Consent::In);
    let decision = decide(&link, 5_001);
    assert!(decision.writes.is_empty(), "{decision:?}");
    assert_eq!(decision.held.first().unwrap().reason.word(), "wider_opt_out");
}

/// A pair that was opted out; Campaign opted in again, and the CRM's answer to that was lost.
fn lost_opt_in() -> Link {
    let mut link = agreed();
    campaign(&mut link, 100, Consent::Out);
    conclude(&mut link, 101);
    crm(&mut link, 102, Consent::Out);
    campaign(&mut link, 900, Consent::In);
    let write = decide(&link, 901).writes.first().unwrap().clone();
    let tick = Position { epoch: 1, major: 9_010, minor: 0 };
    let kept = link.send(write, at(901), tick);
    link.conclude(kept.stamp, Outcome::Lost, &policy(), (at(902), tick));
    link
}

/// A pair that agrees on In since second 10.
fn agreed() -> Link {
    let mut link = Link::new(LinkId(1), Entity(1));
    campaign(&mut link, 10, Consent::In);
    crm(&mut link, 11, Consent::In);
    link
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn campaign(link: &mut Link, second: i64, consent: Consent) -> News {
    let xid = u64::try_from(second).unwrap();
    let changed = Interval { after: at(second - 1), until: at(second) };
    let position = Position { epoch: 1, major: 1_000_000 + link.seen.campaign.at.major, minor: 0 };
    observe(link, Side::Campaign, (position, Read::Logged { xid }, changed), consent)
}

fn crm(link: &mut Link, second: i64, consent: Consent) -> News {
    let changed = Interval { after: at(second), until: at(second + 1) };
    crm_changed(link, second, changed, consent)
}

/// The CRM's record is read, and nobody has touched it since it was opted out.
fn still_out(link: &mut Link, second: i64) {
    crm_changed(link, second, Interval { after: at(102), until: at(103) }, Consent::Out);
}

fn crm_changed(link: &mut Link, second: i64, changed: Interval, consent: Consent) -> News {
    let major = u64::try_from(second).unwrap() * 10;
    let position = Position { epoch: 1, major, minor: 0 };
    observe(link, Side::Crm, (position, Read::Asked(at(second)), changed), consent)
}

fn observe(
    link: &mut Link,
    side: Side,
    (position, read, changed): (Position, Read, Interval),
    consent: Consent,
) -> News {
    let row = Row::from([(OUT, Value::Consent(consent))]);
    let seen = Observation {
        entity: Entity(1),
        record: RecordId::from(side.name()),
        was: None,
        at: position,
        read,
        presence: Presence::Here { row, raw: BTreeMap::new(), unfit: BTreeMap::new() },
        modified: Some(changed),
        by: None,
        stamp: None,
        claims: None,
    };
    link.observe(side, &seen, &policy())
}

fn decide(link: &Link, second: i64) -> Decision {
    let moment = Moment {
        now: at(second),
        clocks: Clocks::default(),
        epochs: Sides { campaign: 1, crm: 1 },
        ledger_epoch: 1,
        creates: Gate::Open,
        deletes: Gate::Open,
        parents: BTreeMap::new(),
    };
    link.decide(&policy(), &moment)
}

/// Carries out what is decided, and answers that it was done.
fn conclude(link: &mut Link, second: i64) {
    let write = decide(link, second).writes.first().unwrap().clone();
    let major = u64::try_from(second).unwrap() * 10;
    let tick = Position { epoch: 1, major, minor: 0 };
    let kept = link.send(write, at(second), tick);
    let done = Outcome::Done { created: None, xid: None };
    link.conclude(kept.stamp, done, &policy(), (at(second), tick));
}

fn policy() -> Policy {
    let rule = FieldRule {
        shape: Shape::Consent,
        direction: Direction::Both,
        conflict: Rule::MostRestrictive,
        pairing: Rule::MostRestrictive,
        required: Sides::default(),
        unique: Sides::default(),
    };
    Policy {
        entity: Entity(1),
        fields: BTreeMap::from([(OUT, rule)]),
        create: [].into(),
        delete: DeletePolicy::Hold,
        delete_conflict: DeleteConflict::Hold,
        match_on: Vec::new(),
        stamped: true,
        write_limit: Duration::from_mins(10),
        late_commit: Duration::from_mins(15),
        wait_limit: Duration::from_mins(10),
        flap: Flap { returns: 3, window: Duration::from_mins(10) },
        blank_fields: 4,
    }
}
