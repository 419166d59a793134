//! A mapping of recipients with thirteen fields, and their links in agreement.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use truce::agent::{Linger, Plan, Plans};
use truce::campaign::catalog::Table;
use truce::campaign::table::{Mapped, Tables, time_zone};
use truce::postgres::Session;
use truce::reconcile::brake::BrakeRule;
use truce::reconcile::decide::Gate;
use truce::reconcile::mapping::{SideField, SideMapping};
use truce::reconcile::policy::{Fallback, Flap};
use truce::reconcile::shape::{Case, Text, TooLong};
use truce::reconcile::{
    Bond, DeleteConflict, DeletePolicy, Direction, Entity, Field, FieldRule, Link, LinkId,
    Observation, Policy, Position, RecordId, Rule, Seen, SeenField, Shape, Side, Sides,
};

pub(crate) const RECIPIENTS: Entity = Entity(1);

/// All columns that are mapped; the last is the one that the bench changes.
const TEXTS: [&str; 11] = [
    "semail",
    "sfirstname",
    "slastname",
    "sphone",
    "scity",
    "saddress1",
    "szipcode",
    "scountrycode",
    "slanguage",
    "sorigin",
    "stext1",
];

/// The fields by number, with their columns.
fn fields() -> Vec<(Field, Vec<&'static str>, Shape)> {
    let text = Text { max: 255, case: Case::Kept, too_long: TooLong::Reject, only: None };
    let numbered = (1_u16..).zip(TEXTS);
    let mut fields: Vec<_> = numbered
        .map(|(number, column)| (Field(number), vec![column], Shape::Text(text.clone())))
        .collect();
    fields.push((Field(20), vec!["tsbirth"], Shape::Date));
    fields.push((Field(21), vec!["iblacklistemail", "iblacklist"], Shape::Consent));
    fields
}

/// Fills the table as Campaign would, and lets it be followed.
pub(crate) fn fill(rows: u64) -> String {
    format!(
        "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname, scity, sphone,
             saddress1, szipcode, scountrycode, slanguage, sorigin, tscreated, tslastmodified, tsbirth)
         select i, 'recipient' || i || '@example.com', 'First' || i, 'Last' || i, 'City', '+33 1 23 45',
             i || ', rue de la Paix', '75002', 'FR', 'fr', 'web', now(), now(), '1980-01-01'
         from generate_series(1, {rows}) as i;
         analyze nmsrecipient"
    )
}

/// The table as it is mapped.
pub(crate) async fn tables(session: &Session) -> Tables {
    let zone = time_zone(session, "public", None).await.unwrap();
    let table = Table::read(session, "public", "nmsrecipient").await.unwrap().unwrap();
    let field = |(field, columns, shape): (Field, Vec<&str>, Shape)| SideField {
        field,
        name: columns[0].into(),
        columns: columns.iter().map(|name| table.column(name).unwrap().column.clone()).collect(),
        shape,
        zero_is_null: false,
        writable: true,
    };
    let mapping = SideMapping {
        entity: RECIPIENTS,
        name: "contacts".into(),
        table: "nmsrecipient".into(),
        key: "irecipientid".into(),
        external_id: None,
        stamp: None,
        fields: fields().into_iter().map(field).collect(),
        match_on: vec![Field(1)],
        converts: None,
        defaults: BTreeMap::new(),
    };
    Tables::from([(RECIPIENTS, Arc::new(Mapped::new(table, mapping, zone).unwrap()))])
}

/// The mapping as the loops see it.
pub(crate) fn plans() -> Plans {
    let rule = |shape: Shape| FieldRule {
        conflict: if matches!(shape, Shape::Consent) {
            Rule::MostRestrictive
        } else {
            Rule::Newest(Fallback::Prefer(Side::Crm))
        },
        shape,
        direction: Direction::Both,
        pairing: Rule::FillBlank(Side::Crm),
        required: Sides::default(),
        unique: Sides::default(),
    };
    let policy = Policy {
        entity: RECIPIENTS,
        fields: fields().into_iter().map(|(field, _, shape)| (field, rule(shape))).collect(),
        create: BTreeSet::from(Side::BOTH),
        delete: DeletePolicy::Hold,
        delete_conflict: DeleteConflict::Hold,
        match_on: vec![Field(1)],
        stamped: true,
        write_limit: Duration::from_mins(10),
        late_commit: Duration::from_mins(15),
        wait_limit: Duration::from_hours(1),
        flap: Flap { returns: 4, window: Duration::from_hours(1) },
        blank_fields: 6,
    };
    let plan = Plan {
        name: "contacts".into(),
        account: 0,
        policy,
        brake: BrakeRule { records: 100, share: 0.05, window: Duration::from_hours(1) },
        linger: Linger::default(),
        census: None,
        tombstone_keep: Duration::from_hours(24 * 365),
        field_names: BTreeMap::new(),
        creates: Gate::Open,
        deletes: Gate::Open,
    };
    Plans::from([(RECIPIENTS, plan)])
}

/// A link whose contact holds what its recipient was seen to hold.
pub(crate) fn linked(id: LinkId, seen: &Observation, policy: &Policy, now: Timestamp) -> Link {
    let mut link = Link::new(id, RECIPIENTS);
    link.observe(Side::Campaign, seen, policy);
    let row = seen.row().unwrap().clone();
    let field = |value: &truce::reconcile::Value| SeenField {
        value: value.clone(),
        raw: None,
        unfit: None,
        changed: None,
        by: None,
        touched: false,
    };
    link.seen.crm = Seen {
        record: Some(RecordId::from(format!("003Wz{:013}", id.0))),
        bond: Bond::Here,
        at: Position { epoch: 1, major: 1, minor: 0 },
        asked: Some(now),
        modified: Some(now),
        fields: row.iter().map(|(name, value)| (*name, field(value))).collect(),
        ..Seen::default()
    };
    link.base = row;
    link
}
