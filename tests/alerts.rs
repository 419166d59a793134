//! The alarms in `deploy/alerts.yml` speak of metrics and labels that there are: a name that is
//! changed takes its alarm with it.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};

const ALERTS: &str = include_str!("../deploy/alerts.yml");

/// The golden page: every metric, with every label.
const PAGE: &str = include_str!(
    "../src/telemetry/snapshots/\
     truce__telemetry__metrics__tests__the_page_is_what_dashboards_were_built_on.snap"
);

/// The metrics on the page, each with its labels.
fn metrics() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let samples = PAGE.lines().filter(|line| line.starts_with("truce_"));
    let mut metrics: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for line in samples {
        let name = name_at(line);
        let labels = line.get(name.len()..).unwrap().split(['{', ',', '}']);
        let labels = labels.filter_map(|label| label.split_once("=\"")).map(|(label, _)| label);
        metrics.entry(name).or_default().extend(labels);
    }
    metrics
}

/// The name that a text begins with.
fn name_at(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(text.len());
    text.get(..end).unwrap()
}

/// The metric that a time series is of, and whether its label is the bucket's.
fn series(name: &str) -> &str {
    name.strip_suffix("_bucket").unwrap_or(name)
}

fn expressions() -> Vec<&'static str> {
    ALERTS.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect()
}

#[test]
fn every_metric_and_label_of_an_alarm_is_on_the_page() {
    let metrics = metrics();
    let known = |name: &str| {
        let histogram = || metrics.get(format!("{}_sum", series(name)).as_str());
        metrics.get(name).or_else(histogram)
    };
    for expression in expressions() {
        let mut named = 0;
        for (at, _) in expression.match_indices("truce_") {
            let name = name_at(expression.get(at..).unwrap());
            let labels = known(name).unwrap_or_else(|| panic!("there is no {name}: {expression}"));
            let behind = expression.get(at + name.len()..).unwrap();
            if let Some(selector) = behind.strip_prefix('{') {
                let (selector, _) = selector.split_once('}').unwrap();
                for one in selector.split(',') {
                    let label = name_at(one);
                    assert!(labels.contains(label), "{name} has no label {label}: {expression}");
                }
            }
            named += 1;
        }
        assert!(0 < named, "an alarm about nothing of ours: {expression}");
    }
}

/// The classes of errors, as the page made from their table has them; one more is for the unknown.
const CLASSES: &str = include_str!("../docs/salesforce-errors.md");

#[test]
fn every_class_of_error_that_an_alarm_is_about_is_one() {
    let classes: BTreeSet<&str> =
        CLASSES.lines().filter_map(|line| line.strip_prefix("## ")).chain(["unknown"]).collect();
    let mut told = 0;
    for expression in expressions() {
        for (_, behind) in expression.match_indices("class=").map(|(at, _)| expression.split_at(at))
        {
            for class in behind.split('"').nth(1).unwrap().split('|') {
                assert!(classes.contains(class), "{class} is none of {classes:?}");
                told += 1;
            }
        }
    }
    assert!(1 < told, "no alarm is about a class of errors");
}

#[test]
fn every_alarm_says_how_bad_it_is_and_what_to_do_and_is_named_once() {
    let mut names = BTreeSet::new();
    let alarms: Vec<&str> = ALERTS.split("- alert: ").skip(1).collect();
    assert_eq!(alarms.len(), expressions().len());
    for alarm in alarms {
        let name = alarm.lines().next().unwrap();
        assert!(name.starts_with("Truce") && names.insert(name), "{name}");
        for key in ["for: ", "summary: ", "description: "] {
            assert_eq!(alarm.matches(key).count(), 1, "{name}: {key}");
        }
        let severe = ["severity: critical", "severity: warning"];
        assert_eq!(severe.iter().filter(|word| alarm.contains(*word)).count(), 1, "{name}");
    }
}

#[test]
fn what_must_never_happen_has_an_alarm() {
    let all = expressions().concat();
    for metric in [
        "truce_leader",
        "truce_campaign_slot_retained_bytes",
        "truce_optout_disagreements",
        "truce_brake",
        "truce_held",
        "truce_fields_paused",
        "truce_crm_paused",
        "truce_crm_budget_left_ratio",
        "truce_crm_poll_age_seconds",
        "truce_ledger_size_bytes",
    ] {
        assert!(all.contains(metric), "nothing watches {metric}");
    }
}
