//! What was refused is not tried again unchanged, until what it was refused for is no more.

use truce::reconcile::{
    Change, Observation, Outcome, Position, Presence, RecordId, Refusal, RefusalKind, Side, Value,
};

use crate::pair::{CITY, NAME, alone, at, moment, policy, sighting};

#[test]
fn a_field_that_was_hidden_when_the_record_was_made_goes_over_once_it_is_shown() {
    let mut link =
        alone(Side::Campaign, &[(NAME, Value::text("ann")), (CITY, Value::text("Rome"))]);
    let write = link.decide(&policy(), &moment()).writes.remove(0);
    let write = link.send(write, at(100), Position::default());
    let refusal = Refusal {
        kind: RefusalKind::Mapping,
        code: "TRUCE_FIELD_PAUSED".into(),
        message: "the field `city` is hidden".into(),
        fields: vec![CITY],
    };
    let when = (at(101), Position::default());
    link.conclude(write.stamp, Outcome::Refused(refusal), &policy(), when);
    let write = link.decide(&policy(), &moment()).writes.remove(0);
    let stamp = link.send(write, at(102), Position::default()).stamp;
    let made = Outcome::Done { created: Some(RecordId::from("c1")), xid: None };
    link.conclude(stamp, made, &policy(), (at(103), Position::default()));

    let hidden = without_city(sighting(105, ["ann", ""], Some(stamp)));
    link.observe(Side::Crm, &hidden, &policy());
    assert!(link.decide(&policy(), &moment()).writes.is_empty());
    let mut shown = sighting(110, ["ann", ""], Some(stamp));
    if let Presence::Here { row, .. } = &mut shown.presence {
        row.insert(CITY, Value::Null);
    }
    link.observe(Side::Crm, &shown, &policy());
    let writes = link.decide(&policy(), &moment()).writes;
    assert_eq!(writes[0].change, Change::Set([(CITY, Value::text("Rome"))].into()));
}

fn without_city(mut seen: Observation) -> Observation {
    if let Presence::Here { row, .. } = &mut seen.presence {
        row.remove(&CITY);
    }
    seen
}
