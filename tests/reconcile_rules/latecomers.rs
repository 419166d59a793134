//! Of a value that a lost write carried: when it is that latecomer's, and when it is somebody's.

use truce::reconcile::{Change, Link, Outcome, Position, Side, Stamp, Value};

use super::pair::{NAME, at, moment, policy, set, sighting, unanswered};

#[test]
fn an_edit_back_to_what_a_lost_write_carried_is_an_edit() {
    let (mut link, _) = unanswered();
    link.observe(Side::Crm, &sighting(103, ["ann", "Oslo"], None), &policy());
    done(&mut link, 105);
    set(&mut link, Side::Campaign, NAME, Value::text("zoe"));
    let newest = done(&mut link, 110);
    link.observe(Side::Crm, &sighting(115, ["zoe", "Oslo"], Some(newest)), &policy());
    link.observe(Side::Crm, &sighting(121, ["eve", "Oslo"], Some(newest)), &policy());
    let writes = link.decide(&policy(), &moment()).writes;
    let to: Vec<_> = writes.iter().map(|write| (write.side, &write.change)).collect();
    assert_eq!(to, [(Side::Campaign, &Change::Set([(NAME, Value::text("eve"))].into()))]);
}

#[test]
fn a_lost_write_that_lands_after_the_next_is_nobodys_edit() {
    let (mut link, lost) = unanswered();
    link.observe(Side::Crm, &sighting(103, ["ann", "Oslo"], None), &policy());
    done(&mut link, 105);
    set(&mut link, Side::Campaign, NAME, Value::text("zoe"));
    let newest = done(&mut link, 110);
    link.observe(Side::Crm, &sighting(115, ["zoe", "Oslo"], Some(newest)), &policy());
    link.observe(Side::Crm, &sighting(121, ["eve", "Oslo"], Some(lost)), &policy());
    let writes = link.decide(&policy(), &moment()).writes;
    let to: Vec<_> = writes.iter().map(|write| (write.side, &write.change)).collect();
    assert_eq!(to, [(Side::Crm, &Change::Set([(NAME, Value::text("zoe"))].into()))]);
}

fn done(link: &mut Link, second: i64) -> Stamp {
    let write = link.decide(&policy(), &moment()).writes.remove(0);
    assert_eq!(write.side, Side::Crm);
    let write = link.send(write, at(second), Position::default());
    let when =
        (at(second), Position { major: u64::try_from(second).unwrap(), ..Position::default() });
    link.conclude(write.stamp, Outcome::Done { created: None, xid: None }, &policy(), when);
    write.stamp
}
