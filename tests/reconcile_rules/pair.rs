//! A link of two records that hold the same, and what is done to it in the tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use truce::reconcile::decide::{Gate, HeldReason, Moment};
use truce::reconcile::policy::Flap;
use truce::reconcile::shape::{Case, Text, TooLong};
use truce::reconcile::{
    Bond, Clocks, Consent, DeleteConflict, DeletePolicy, Direction, Entity, Field, FieldRule,
    Interval, Link, LinkId, Observation, Outcome, Policy, Position, Presence, Read, RecordId, Rule,
    SeenField, Shape, Side, Sides, Stamp, Value,
};

pub(crate) const ENTITY: Entity = Entity(1);
pub(crate) const NAME: Field = Field(1);
pub(crate) const CITY: Field = Field(2);
pub(crate) const OUT: Field = Field(3);
pub(crate) const PARENT: Field = Field(4);

/// A link whose CRM record was to be renamed from ann to eve; no answer came.
pub(crate) fn unanswered() -> (Link, Stamp) {
    let mut link = paired();
    set(&mut link, Side::Campaign, NAME, Value::text("eve"));
    let write = link.decide(&policy(), &moment()).writes.remove(0);
    let write = link.send(write, at(100), Position::default());
    let when = (at(101), Position { major: 101, ..Position::default() });
    link.conclude(write.stamp, Outcome::Lost, &policy(), when);
    (link, write.stamp)
}

/// The CRM's record, asked for and changed at that second.
pub(crate) fn sighting(second: i64, [name, city]: [&str; 2], stamp: Option<Stamp>) -> Observation {
    Observation {
        at: Position { epoch: 0, major: u64::try_from(second).unwrap(), minor: 0 },
        read: Read::Asked(at(second)),
        modified: Some(interval(second - 1, second)),
        stamp,
        ..seen("c1", [name, city])
    }
}

/// Campaign's record, as the log tells of that transaction's change, committed at that position.
pub(crate) fn logged(lsn: u64, xid: u64, name: &str) -> Observation {
    Observation {
        at: Position { epoch: 0, major: lsn, minor: 0 },
        read: Read::Logged { xid },
        ..seen("k1", [name, "Oslo"])
    }
}

/// Campaign's record, read in that snapshot.
pub(crate) fn selected(snapshot: &str, name: &str) -> Observation {
    let read = Read::Selected(Arc::new(snapshot.parse().unwrap()));
    Observation { read, ..seen("k1", [name, "Oslo"]) }
}

fn seen(record: &str, [name, city]: [&str; 2]) -> Observation {
    Observation {
        entity: ENTITY,
        record: RecordId::from(record),
        was: None,
        at: Position::default(),
        read: Read::Logged { xid: 0 },
        presence: Presence::Here {
            row: [(NAME, Value::text(name)), (CITY, Value::text(city))].into(),
            raw: BTreeMap::new(),
            unfit: BTreeMap::new(),
        },
        modified: None,
        by: None,
        stamp: None,
        claims: None,
    }
}

/// What is held of a link, and why.
pub(crate) fn reasons(link: &Link, policy: &Policy, moment: &Moment) -> Vec<HeldReason> {
    link.decide(policy, moment).held.into_iter().map(|held| held.reason).collect()
}

/// A link whose two records hold the same.
pub(crate) fn paired() -> Link {
    let fields = [(NAME, Value::text("ann")), (CITY, Value::text("Oslo"))];
    let mut link = alone(Side::Campaign, &fields);
    link.seen.crm = link.seen.campaign.clone();
    link.seen.crm.record = Some(RecordId::from("c1"));
    link.base = link.seen.crm.fields.iter().map(|(f, seen)| (*f, seen.value.clone())).collect();
    link
}

/// A link that stands on one side only.
pub(crate) fn alone(side: Side, fields: &[(Field, Value)]) -> Link {
    let mut link = Link::new(LinkId(1), ENTITY);
    link.seen[side].record = Some(RecordId::from("k1"));
    link.seen[side].bond = Bond::Here;
    let rest = [(OUT, Value::Consent(Consent::In)), (PARENT, Value::Null), (CITY, Value::Null)];
    for (field, value) in rest.into_iter().chain(fields.iter().cloned()) {
        set(&mut link, side, field, value);
    }
    link
}

pub(crate) fn set(link: &mut Link, side: Side, field: Field, value: Value) {
    let (raw, unfit, changed, by) = (None, None, None, None);
    let seen = SeenField { value, raw, unfit, changed, by, touched: false };
    link.seen[side].fields.insert(field, seen);
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(crate) fn interval(after: i64, until: i64) -> Interval {
    Interval { after: at(after), until: at(until) }
}

pub(crate) fn moment() -> Moment {
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

pub(crate) fn policy() -> Policy {
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
