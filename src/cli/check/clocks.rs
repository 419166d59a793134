//! Clocks that are far apart, and the zone of times that have none.
//!
//! `newest` reckons with the measured offset of the clocks, so it stands one that is off. Signed
//! logins, certificates and whoever reads two logs side by side do not.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::config::{Config, Label};
use crate::reconcile::Skew;

use super::super::finding::{Finding, Findings};
use super::super::schemas::Schemas;

/// Far more than a clock that is kept by NTP is off, and less than what any login minds.
const APART_MAX: SignedDuration = SignedDuration::from_secs(10);

/// Campaign's server against ours.
pub(super) fn campaign(skew: Skew, findings: &mut Findings) {
    apart("campaign", "Campaign's server", skew.offset, findings);
}

/// A CRM's against ours; its answers have whole seconds.
pub(super) fn crm(name: &Label, there: Timestamp, here: Timestamp, findings: &mut Findings) {
    apart(&format!("crm.{name}"), "the CRM", there.duration_since(here), findings);
}

fn apart(place: &str, whose: &str, offset: SignedDuration, findings: &mut Findings) {
    let (off, way) = (offset.abs(), if offset.is_negative() { "ahead of" } else { "behind" });
    let seconds = off.as_secs();
    if APART_MAX < off {
        findings.warning(Finding::at(
            place,
            format!(
                "our clock is {seconds} s {way} that of {whose}: signed logins and certificates may \
                 be refused for it; let NTP set the one that is wrong (timedatectl set-ntp true)"
            ),
        ));
    }
}

/// By which zone times without one are read, where any such column is mapped.
pub(super) fn zone(config: &Config, schemas: &Schemas, findings: &mut Findings) {
    for (name, mapping) in config.in_order() {
        let Some(Some(table)) = schemas.tables.get(name) else { continue };
        let mapped = mapping.fields.values().flat_map(|field| field.campaign.iter());
        let times = mapped.filter_map(|column| table.column(column.as_str()));
        let zoneless = times.filter(|known| &*known.column.type_name == ZONELESS);
        let columns: Vec<&str> = zoneless.map(|known| &*known.column.name).collect();
        if columns.is_empty() {
            continue;
        }
        let zone = schemas.zone.iana_name().unwrap_or("a fixed offset");
        let what = format!("times without a zone ({}) are read as {zone}", columns.join(", "));
        if schemas.zone == TimeZone::UTC && config.campaign.time_zone.is_none() {
            findings.warning(Finding::of(
                name,
                format!(
                    "{what}, as campaign.time_zone is not given and Campaign's options name no zone \
                     for them; set time_zone = \"Europe/Paris\", or \"UTC\" where that is so"
                ),
            ));
        } else {
            findings.good(Finding::of(name, what));
        }
    }
}

const ZONELESS: &str = "timestamp without time zone";

#[cfg(test)]
mod tests {
    use super::*;

    fn told(offset: i64) -> Vec<String> {
        let mut findings = Findings::default();
        let offset = SignedDuration::from_secs(offset);
        campaign(Skew { offset, uncertainty: SignedDuration::ZERO }, &mut findings);
        findings.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn clocks_that_are_far_apart_are_told_by_whose_is_how_far_off() {
        assert!(told(10).is_empty());
        assert!(told(-10).is_empty());
        let ahead = told(-3600).concat();
        assert!(ahead.contains("campaign: our clock is 3600 s ahead of"), "{ahead}");
        let behind = told(11).concat();
        assert!(behind.contains("our clock is 11 s behind that of Campaign's server"), "{behind}");
    }
}
