//! Who made a value that stands apart is kept with it.

use std::sync::Arc;

use truce::reconcile::{Observation, Side};

use crate::pair::{NAME, paired, policy, sighting};

fn by(who: &str, second: i64, values: [&str; 2]) -> Observation {
    Observation { by: Some(Arc::from(who)), ..sighting(second, values, None) }
}

#[test]
fn who_made_an_edit_is_kept_with_it_until_both_agree() {
    let mut link = paired();
    let kept = |link: &truce::reconcile::Link| link.seen.crm.fields[&NAME].by.clone();
    link.observe(Side::Crm, &by("005A", 102, ["eva", "Oslo"]), &policy());
    assert_eq!(kept(&link).as_deref(), Some("005A"));
    link.observe(Side::Crm, &by("005B", 103, ["eva", "Rome"]), &policy());
    assert_eq!(kept(&link).as_deref(), Some("005A"), "another's edit of another field");
    link.observe(Side::Crm, &by("005B", 104, ["ann", "Rome"]), &policy());
    assert_eq!(kept(&link), None, "both agree on it");
}
