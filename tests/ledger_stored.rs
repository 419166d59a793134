//! Whatever a link holds comes back from its written form, and a form that is not ours is told.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use truce::ledger::stored::{Columns, decode, encode};
use truce::reconcile::link::{BlockReason, Release};
use truce::reconcile::{
    Answer, Block, Bond, Change, Consent, Decimal, Entity, Expected, Field, Gone, Interval, Lane,
    Link, LinkId, LinkState, Position, RecordId, Refusal, RefusalKind, Row, Seen, SeenField, Sent,
    Side, Sides, Snapshot, Stamp, Target, Value, Write,
};

proptest! {
    #[test]
    fn what_is_written_is_read(link in link()) {
        let body = encode(&link);
        prop_assert_eq!(decode(columns(&link), &body).unwrap(), link);
    }

    #[test]
    fn noise_is_told_and_does_not_panic(noise in ".{0,60}", link in link(), cut in 0..400_usize) {
        drop(decode(columns(&link), &noise));
        let body = encode(&link);
        let cut = (0..cut.min(body.len())).rev().find(|at| body.is_char_boundary(*at));
        prop_assert!(decode(columns(&link), &body[..cut.unwrap_or(0)]).is_err());
    }
}

#[test]
fn what_agrees_is_written_once_and_what_is_as_usual_not_at_all() {
    let mut link = Link::new(LinkId(7), Entity(1));
    assert_eq!(encode(&link), r#"{"v":1}"#);
    let time = Timestamp::from_second(1_764_000_000).unwrap();
    let changed = Some(Interval { after: time, until: time });
    for (field, value) in [(1, Value::text("Zoë")), (2, Value::Int(3)), (3, Value::Null)] {
        let (value_there, raw, unfit, by) = (value.clone(), None, None, None);
        let seen = SeenField { value: value_there, raw, unfit, changed, by, touched: false };
        link.seen.crm.fields.insert(Field(field), seen);
        link.base.insert(Field(field), value);
    }
    link.seen.crm.bond = Bond::Here;
    link.seen.crm.fields.get_mut(&Field(2)).unwrap().touched = true;
    let expected = r#"{"v":1,"times":["2025-11-24T16:00:00Z"],"base":{"1":"Zoë","2":{"int":3},"3":null},"crm":{"bond":"here","same":[[[0,0],[1,3]]],"fields":{"2":{"value":{"int":3},"changed":[0,0],"touched":true}}}}"#;
    assert_eq!(encode(&link), expected);
}

#[test]
fn a_newer_form_and_an_unknown_member_are_refused() {
    let link = Link::new(LinkId(7), Entity(1));
    for body in [r#"{"v":2}"#, r#"{"v":1,"moods":[]}"#, r#"{"v":1,"crm":{"same":[[null,[1]]]}}"#] {
        let error = decode(columns(&link), body).unwrap_err().to_string();
        assert!(!error.is_empty());
    }
    let newer = decode(columns(&link), r#"{"v":2}"#).unwrap_err().to_string();
    assert_eq!(newer, "its form is 2 and the newest known is 1");
}

fn columns(link: &Link) -> Columns {
    let records = Sides::of(|side| link.record(side).cloned());
    Columns { id: link.id, entity: link.entity, state: link.state.clone(), records }
}

prop_compose! {
    fn link()(
        state in state(),
        seen in (seen(), seen()),
        (base, ruled, ignored) in (row(), row(), btree_map(field(), (value(), value()), 0..2)),
        sent in vec(sent(), 0..4),
        sequence in any::<u32>(),
        blocks in vec(block(), 0..3),
        trail in btree_map(field(), vec((time(), value()), 0..4), 0..3),
        inherited in btree_map(field(), consent(), 0..3),
        claims in option::of(record()),
        (waiting_since, held_since, ended) in
            (option::of(time()), option::of(time()), option::of(time())),
        agree in any::<bool>(),
    ) -> Link {
        let mut link = Link::new(LinkId(5), Entity(3));
        link.state = state;
        link.seen = Sides { campaign: seen.0, crm: seen.1 };
        link.base = base;
        if agree {
            // What the base holds is what the sides hold, as in most links.
            for field in link.seen.crm.fields.iter().filter(|(_, seen)| !seen.touched) {
                link.base.insert(*field.0, field.1.value.clone());
            }
        }
        for (place, sent) in sent.into_iter().enumerate() {
            match place {
                0 => link.sent.campaign.push(sent),
                1 | 2 => link.sent.crm.push(sent),
                _ => link.given_up.push(sent),
            }
        }
        link.sequence = sequence;
        (link.blocks, link.ruled, link.trail) = (blocks, ruled, trail);
        (link.inherited, link.claims) = (inherited, claims);
        (link.waiting_since, link.held_since) = (waiting_since, held_since);
        let apart = |(campaign, crm)| Sides { campaign, crm };
        link.ignored = ignored.into_iter().map(|(field, two)| (field, apart(two))).collect();
        link.ended = ended;
        link
    }
}

prop_compose! {
    fn seen()(
        record in option::of(record()),
        bond in bond(),
        (at, deaf_until) in (position(), position()),
        xid in any::<u64>(),
        snapshot in option::of(vec(any::<u64>(), 0..3)),
        (asked, modified) in (option::of(time()), option::of(time())),
        stamp in option::of(stamp()),
        fields in btree_map(field(), seen_field(), 0..6),
    ) -> Seen {
        let snapshot = snapshot.map(|running| Arc::new(Snapshot { xmin: 3, xmax: 9, running }));
        Seen { record, bond, at, xid, snapshot, deaf_until, asked, modified, stamp, fields }
    }
}

prop_compose! {
    fn seen_field()(
        value in value(),
        raw in option::of(raw()),
        unfit in option::weighted(0.1, text()),
        changed in option::of((time(), time())),
        by in option::weighted(0.1, text()),
        touched in any::<bool>(),
    ) -> SeenField {
        let changed = changed.map(|(after, until)| Interval { after, until });
        SeenField { value, raw, unfit, changed, by, touched }
    }
}

prop_compose! {
    fn sent()(
        link in prop_oneof![Just(LinkId(5)), any::<u64>().prop_map(LinkId)],
        entity in prop_oneof![Just(Entity(3)), any::<u16>().prop_map(Entity)],
        side in side(),
        lane in prop_oneof![Just(Lane::Consent), Just(Lane::Ordinary)],
        (target, change) in (target(), prop_oneof![row().prop_map(Change::Set), Just(Change::Delete)]),
        expect in btree_map(field(), (value(), option::of(raw())), 0..3),
        stamp in stamp(),
        unmodified_since in option::of(time()),
        opt_in in any::<bool>(),
        (at, tick, xid) in (time(), position(), option::of(any::<u64>())),
        answer in prop_oneof![
            Just(Answer::Pending),
            time().prop_map(Answer::Lost),
            any::<u64>().prop_map(Answer::Committed)
        ],
    ) -> Sent {
        let expect: BTreeMap<Field, Expected> =
            expect.into_iter().map(|(f, (value, raw))| (f, Expected { value, raw })).collect();
        let write = Write {
            link, entity, side, lane, target, change, expect, stamp, unmodified_since, opt_in,
        };
        Sent { write, at, tick, xid, answer }
    }
}

fn state() -> impl Strategy<Value = LinkState> {
    prop_oneof![
        Just(LinkState::Live),
        any::<u64>().prop_map(|id| LinkState::Alias(LinkId(id))),
        Just(LinkState::Severed),
        Just(LinkState::Tombstone),
    ]
}

fn bond() -> impl Strategy<Value = Bond> {
    prop_oneof![
        Just(Bond::Never),
        Just(Bond::Here),
        Just(Bond::Gone(Gone::Deleted)),
        record().prop_map(|into| Bond::Gone(Gone::Merged(into))),
        option::of((any::<u16>().prop_map(Entity), record()))
            .prop_map(|into| Bond::Gone(Gone::Converted(into))),
        Just(Bond::Gone(Gone::Truncated)),
        Just(Bond::Gone(Gone::Missing)),
    ]
}

fn target() -> impl Strategy<Value = Target> {
    let new = (option::of(record()), record(), vec((field(), value()), 0..3));
    prop_oneof![
        record().prop_map(Target::Record),
        new.prop_map(|(key, across, unless)| Target::New { key, across, unless }),
    ]
}

fn block() -> impl Strategy<Value = Block> {
    let kind = prop_oneof![
        Just(RefusalKind::Record),
        Just(RefusalKind::Mapping),
        Just(RefusalKind::Dependency),
        option::of(record()).prop_map(RefusalKind::Unique),
    ];
    let refused = (kind, text(), text(), vec(field(), 0..3), row()).prop_map(
        |(kind, code, message, fields, change)| {
            let refusal = Refusal { kind, code, message, fields };
            BlockReason::Refused { refusal, change }
        },
    );
    let reason = prop_oneof![
        refused,
        any::<u8>().prop_map(BlockReason::Stale),
        Just(BlockReason::Flapping),
        Just(BlockReason::Braked),
        any::<u8>().prop_map(BlockReason::PutOff),
        Just(BlockReason::Swapping),
        Just(BlockReason::Released(Release::Go)),
        Just(BlockReason::Released(Release::Delete)),
        Just(BlockReason::Released(Release::Recreate)),
    ];
    (option::of(field()), side(), reason, time()).prop_map(|(field, side, reason, since)| Block {
        field,
        side,
        reason,
        since,
    })
}

fn value() -> impl Strategy<Value = Value> {
    let days = -700_000..2_900_000_i32;
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-(10_i128.pow(30) - 1)..10_i128.pow(30), 0..=30_u8)
            .prop_map(|(mantissa, scale)| Value::Decimal(Decimal::new(mantissa, scale))),
        text().prop_map(Value::Text),
        days.prop_map(|day| Value::Date(
            Date::constant(1970, 1, 1).saturating_add(jiff::Span::new().days(day))
        )),
        (0..24_i8, 0..60_i8, 0..60_i8, 0..1_000_000_000_i32)
            .prop_map(|(h, m, s, n)| Value::Time(Time::new(h, m, s, n).unwrap())),
        time().prop_map(Value::Instant),
        any::<u128>().prop_map(Value::Uuid),
        btree_set(text(), 0..4).prop_map(Value::Set),
        record().prop_map(Value::Record),
        any::<u64>().prop_map(|id| Value::Link(LinkId(id))),
        consent().prop_map(Value::Consent),
    ]
}

fn consent() -> impl Strategy<Value = Consent> {
    prop_oneof![Just(Consent::In), Just(Consent::Out), Just(Consent::Implied)]
}

fn row() -> impl Strategy<Value = Row> {
    btree_map(field(), value(), 0..6)
}

fn raw() -> impl Strategy<Value = Vec<Option<Arc<str>>>> {
    vec(option::of(text()), 0..3)
}

fn field() -> impl Strategy<Value = Field> {
    (1..9_u16).prop_map(Field)
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Campaign), Just(Side::Crm)]
}

fn record() -> impl Strategy<Value = RecordId> {
    text().prop_map(RecordId)
}

/// All of Unicode, control characters and quotes too.
fn text() -> impl Strategy<Value = Arc<str>> {
    vec(any::<char>(), 0..12).prop_map(|chars| chars.into_iter().collect::<String>().into())
}

fn time() -> impl Strategy<Value = Timestamp> {
    let seconds = Timestamp::MIN.as_second() + 1..Timestamp::MAX.as_second();
    (seconds, 0..1_000_000_000_i32).prop_map(|(s, n)| Timestamp::new(s, n).unwrap())
}

fn position() -> impl Strategy<Value = Position> {
    (any::<u32>(), any::<u64>(), any::<u32>()).prop_map(|(epoch, major, minor)| Position {
        epoch,
        major,
        minor,
    })
}

fn stamp() -> impl Strategy<Value = Stamp> {
    (any::<u32>(), any::<u64>(), any::<u32>()).prop_map(|(epoch, link, sequence)| Stamp {
        epoch,
        link: LinkId(link),
        sequence,
    })
}
