//! Linked recipients of twelve fields, in agreement, as a campaign's database has them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use truce::reconcile::{
    Bond, Consent, Decimal, Entity, Field, Interval, Link, LinkId, Position, RecordId, Row, Seen,
    SeenField, Value,
};

/// The mapping of all.
pub(crate) const ENTITY: Entity = Entity(1);

/// The key of a link's recipient.
pub(crate) fn campaign_key(number: u64) -> String {
    (1_000_000 + number).to_string()
}

/// A link in agreement.
pub(crate) fn link(number: u64) -> Link {
    let mut link = Link::new(LinkId(number), ENTITY);
    let row = row(number);
    let fields = |until: i64| -> BTreeMap<Field, SeenField> {
        let changed = Some(Interval { after: at(until - 60), until: at(until) });
        let seen = |value: &Value| SeenField {
            value: value.clone(),
            raw: None,
            unfit: None,
            changed,
            by: None,
            touched: false,
        };
        row.iter().map(|(field, value)| (*field, seen(value))).collect()
    };
    link.seen.campaign = Seen {
        record: Some(RecordId::from(campaign_key(number))),
        bond: Bond::Here,
        at: Position { epoch: 1, major: 0x1_0000_0000 + number * 300, minor: 1 },
        xid: 700_000 + number,
        modified: Some(at(1_764_000_000)),
        fields: fields(1_764_000_000),
        ..Seen::default()
    };
    link.seen.crm = Seen {
        record: Some(RecordId::from(format!("003Wz{number:013}"))),
        bond: Bond::Here,
        at: Position { epoch: 1, major: 50_000 + number, minor: 0 },
        asked: Some(at(1_764_000_100)),
        modified: Some(at(1_764_000_090)),
        fields: fields(1_764_000_090),
        ..Seen::default()
    };
    link.base = row;
    link
}

/// A recipient's city moved: what an observation does to its link.
pub(crate) fn observe(link: &mut Link, round: u64) {
    let until = at(1_764_100_000 + i64::try_from(round).unwrap());
    let seen = &mut link.seen.campaign;
    seen.at.major += 1_000_000_000;
    seen.xid += 1;
    seen.modified = Some(until);
    let city = seen.fields.get_mut(&Field(6)).unwrap();
    city.value = Value::text(&format!("Lyon {round}"));
    city.changed = Some(Interval { after: at(1_764_000_000), until });
    city.touched = true;
}

fn row(number: u64) -> Row {
    let text = |field: u16, text: String| (Field(field), Value::text(&text));
    Row::from([
        text(1, format!("Marie-{number}")),
        text(2, "Dupont de la Tour".to_owned()),
        text(3, format!("marie.dupont.{number}@example.com")),
        text(4, "+33 6 12 34 56 78".to_owned()),
        text(5, format!("{} rue de la République", number % 300)),
        text(6, "Paris".to_owned()),
        text(7, "75011".to_owned()),
        text(8, "FR".to_owned()),
        (Field(9), Value::Date("1984-02-29".parse().unwrap())),
        (Field(10), Value::Consent(Consent::In)),
        (Field(11), Value::Decimal("1250.75".parse::<Decimal>().unwrap())),
        (Field(12), Value::Link(LinkId(number % 1000 + 1))),
    ])
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}
