//! What asking alone costs of an account's day: the polls of all its mappings together.
//!
//! Writes come on top, and they are what the calls are for. Polls adapt to a short budget, so this
//! stops nothing: it tells of latency that is paid for with writes.

use std::time::Duration;

use crate::config::{Config, Crm, CrmKind, Label};
use crate::crm::http::Usage;

use super::super::finding::{Finding, Findings};

const DAY: Duration = Duration::from_hours(24);

/// A table of Dynamics is described by so many calls, about one for each type of column.
const DEFINITIONS: u64 = 17;

/// The share of the day's calls that polls may take before it is worth a warning: a half.
const SENSIBLE: u64 = 2;

/// The account's calls: those that polls take, and those that are left today.
pub(super) fn look(config: &Config, name: &Label, usage: Usage, findings: &mut Findings) {
    let crm = &config.crms[name];
    let mappings = config.mappings.values().filter(|mapping| mapping.crm == *name).count();
    let mappings = u64::try_from(mappings).unwrap_or(u64::MAX);
    let day = usage.most.unwrap_or_else(|| crm.calls_per_day.get().into());
    polls(crm, name, (mappings, day), findings);
    if usage.left == Some(0) {
        findings.warning(Finding::at(
            format!("crm.{name}"),
            format!(
                "none of the {day} calls that crm.{name}.calls_per_day and reserve leave for a day \
                 is left: only consent goes on, until some of the last 24 hours' calls are old enough"
            ),
        ));
    }
}

/// Long calls that a Developer Edition takes at once; others take 25.
const DEVELOPER_AT_ONCE: u32 = 5;

/// Whether the organisation takes as many calls at once as may be under way.
pub(super) fn at_once(config: &Config, name: &Label, edition: &str, findings: &mut Findings) {
    let in_flight = config.crms[name].in_flight.get();
    if edition == "Developer Edition" && DEVELOPER_AT_ONCE < in_flight {
        findings.warning(Finding::at(
            format!("crm.{name}"),
            format!(
                "crm.{name}.in_flight is {in_flight}, and a Developer Edition takes {DEVELOPER_AT_ONCE} \
                 calls at once that last 20 s or more, by everyone together: beyond them all are \
                 refused (REQUEST_LIMIT_EXCEEDED); set in_flight = {DEVELOPER_AT_ONCE} or less"
            ),
        ));
    }
}

fn polls(crm: &Crm, name: &Label, (mappings, day): (u64, u64), findings: &mut Findings) {
    let calls = |every: Duration| mappings.saturating_mul(times(every));
    let described = calls(crm.describe_seconds.get());
    let beside = match crm.kind {
        CrmKind::Salesforce => calls(crm.deep_seconds.get()).saturating_add(described),
        CrmKind::Dynamics => described.saturating_mul(DEFINITIONS),
    };
    let busy = calls(crm.poll_seconds.get()).saturating_add(beside);
    let idle = crm.poll_idle_seconds.get().max(crm.poll_seconds.get());
    let idle = calls(idle).saturating_add(beside);
    let place = format!("crm.{name}");
    let cost = format!(
        "asking for changes of {mappings} mapping{} takes {idle} to {busy} of the {day} calls of a \
         day",
        if mappings == 1 { "" } else { "s" }
    );
    if busy <= day / SENSIBLE {
        findings.good(Finding::at(place, cost));
        return;
    }
    let enough = (SENSIBLE * mappings * DAY.as_secs()).div_ceil(day.max(1));
    findings.warning(Finding::at(
        place,
        format!(
            "{cost}, more than half of them; set crm.{name}.poll_seconds to {enough} or more, or \
             raise calls_per_day where the organisation allows it"
        ),
    ));
}

/// How often in a day.
fn times(every: Duration) -> u64 {
    u64::try_from(DAY.as_millis() / every.as_millis().max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::parsed_with;

    fn told(poll_seconds: f64, usage: Usage) -> String {
        let mut config = parsed_with("");
        let name = config.crms.keys().next().unwrap().clone();
        let crm = config.crms.get_mut(&name).unwrap();
        crm.poll_seconds = poll_seconds.try_into().unwrap();
        let mut findings = Findings::default();
        look(&config, &name, usage, &mut findings);
        findings.0.iter().map(ToString::to_string).collect()
    }

    fn usage(most: Option<u64>, left: Option<u64>) -> Usage {
        Usage { reported: None, ours: 0, left, most, paused: None, at_once: 8 }
    }

    #[test]
    fn polls_that_take_more_than_half_of_the_day_are_told_with_the_key_and_the_number() {
        // 17,280 polls, 24 looks at the log and 144 describes.
        let found = told(5.0, usage(Some(30_000), None));
        for words in ["warning  crm.", "1608 to 17448 of the 30000 calls", "poll_seconds to 6 or"] {
            assert!(found.contains(words), "{words}: {found}");
        }
        let found = told(10.0, usage(Some(30_000), None));
        assert!(found.starts_with("ok") && found.contains("1608 to 8808 of the 30000"), "{found}");
    }

    #[test]
    fn more_calls_at_once_than_a_developer_edition_takes_are_told() {
        let told = |edition: &str, in_flight: u32| {
            let mut config = parsed_with("");
            let name = config.crms.keys().next().unwrap().clone();
            config.crms.get_mut(&name).unwrap().in_flight =
                i64::from(in_flight).try_into().unwrap();
            let mut findings = Findings::default();
            at_once(&config, &name, edition, &mut findings);
            findings.0.iter().map(ToString::to_string).collect::<String>()
        };
        let found = told("Developer Edition", 6);
        assert!(found.starts_with("warning  crm.") && found.contains("in_flight is 6"), "{found}");
        assert!(found.ends_with("set in_flight = 5 or less"), "{found}");
        assert_eq!(told("Developer Edition", 5), "");
        assert_eq!(told("Enterprise Edition", 25), "");
    }

    #[test]
    fn a_day_that_is_used_up_is_told() {
        let found = told(10.0, usage(Some(30_000), Some(0)));
        assert!(found.contains("only consent goes on"), "{found}");
        assert!(!told(10.0, usage(Some(30_000), Some(1))).contains("consent"));
    }
}
