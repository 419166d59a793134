//! The metrics page, and a function for each thing that is counted.
//!
//! `mapping` and `crm` are names of the config file, and nothing else: a label's values must be
//! few. No value of a record is ever a label.

use std::time::Duration;

use ::metrics::{Unit, counter, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use super::catalogue::{self as names, Kind, Metric};
use super::labels::{self, ApiCall, BulkJob, Scan, real};
use crate::reconcile::{Lane, Outcome, Side};

/// Why there are no metrics.
#[derive(Debug, thiserror::Error)]
#[error("the metrics page cannot be set up; one process has one page")]
pub struct MetricsError(#[from] BuildError);

/// The page that Prometheus reads.
#[derive(Clone, Debug)]
pub struct Page(PrometheusHandle);

/// Sets up the process's metrics. What is counted before is not on the page.
pub fn install() -> Result<Page, MetricsError> {
    let page = Page(builder()?.install_recorder()?);
    describe();
    Ok(page)
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in &names::ALL {
        if let Kind::Histogram(buckets) = metric.kind {
            let matcher = Matcher::Full(metric.name.to_owned());
            builder = builder.set_buckets_for_metric(matcher, buckets)?;
        }
    }
    Ok(builder)
}

fn describe() {
    for Metric { name, kind, help, .. } in &names::ALL {
        let unit = unit(name);
        match kind {
            Kind::Counter => ::metrics::describe_counter!(*name, unit, *help),
            Kind::Gauge => ::metrics::describe_gauge!(*name, unit, *help),
            Kind::Histogram(_) => ::metrics::describe_histogram!(*name, unit, *help),
        }
    }
    gauge!(names::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    gauge!(names::LEADER).set(0.0);
    gauge!(names::RELOADED).set(1.0);
}

/// The unit is part of the name, as Prometheus has it.
fn unit(name: &str) -> Unit {
    if name.ends_with("_seconds") {
        Unit::Seconds
    } else if name.ends_with("_bytes") {
        Unit::Bytes
    } else {
        Unit::Count
    }
}

impl Page {
    /// The page's text.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds what histograms have gathered. To be called every few seconds: without it they grow
    /// while nobody reads the page.
    pub fn fold(&self) {
        self.0.run_upkeep();
    }
}

/// Whether this agent is the one that writes.
pub fn leader(leads: bool) {
    gauge!(names::LEADER).set(flag(leads));
}

/// How much of Campaign's log is not durable in the ledger, and how much its server keeps for us.
pub fn wal(lag_bytes: u64, retained_bytes: u64) {
    gauge!(names::WAL_LAG).set(real(lag_bytes));
    gauge!(names::SLOT_RETAINED).set(real(retained_bytes));
}

/// Campaign's clock less ours, in seconds.
pub fn campaign_clock_offset(seconds: f64) {
    gauge!(names::CAMPAIGN_CLOCK).set(seconds);
}

/// Whether the config that was read last was taken up.
pub fn reloaded(successfully: bool) {
    gauge!(names::RELOADED).set(flag(successfully));
}

/// Observations that are durable now.
pub fn observed(mapping: &str, side: Side, observations: u64) {
    let side = labels::side(side);
    counter!(names::OBSERVATIONS, "mapping" => mapping.to_owned(), "side" => side)
        .increment(observations);
}

/// Records that a census found to differ from what the feed told.
pub fn census(mapping: &str, records: u64) {
    counter!(names::CENSUS, "mapping" => mapping.to_owned()).increment(records);
}

/// Decisions that came to this.
pub fn decided(mapping: &str, verdict: &'static str, decisions: u64) {
    counter!(names::DECISIONS, "mapping" => mapping.to_owned(), "verdict" => verdict)
        .increment(decisions);
}

/// A field in which a value was discarded, by the core's word for the rule that decided.
pub fn conflict(mapping: &str, policy: &'static str) {
    counter!(names::CONFLICTS, "mapping" => mapping.to_owned(), "policy" => policy).increment(1);
}

/// A write that was tried.
pub fn wrote(mapping: &str, side: Side, outcome: &Outcome) {
    counter!(
        names::WRITES,
        "mapping" => mapping.to_owned(),
        "side" => labels::side(side),
        "outcome" => labels::outcome(outcome)
    )
    .increment(1);
}

/// The same by the reason's word, as the ledger counts them.
pub fn held_by(mapping: &str, reason: &str, count: u64) {
    gauge!(names::HELD, "mapping" => mapping.to_owned(), "reason" => reason.to_owned())
        .set(real(count));
}

/// How many links a mapping has.
pub fn links(mapping: &str, count: u64) {
    gauge!(names::LINKS, "mapping" => mapping.to_owned()).set(real(count));
}

/// How many links are to be looked at, now or later, for a write of this lane.
pub fn due(mapping: &str, lane: Lane, count: u64) {
    let lane = labels::lane(lane);
    gauge!(names::LINKS_DUE, "mapping" => mapping.to_owned(), "lane" => lane).set(real(count));
}

/// How many pairs differ in consent.
pub fn opposed(mapping: &str, count: u64) {
    gauge!(names::OPPOSED, "mapping" => mapping.to_owned()).set(real(count));
}

/// Whether the brake holds a mapping.
pub fn brake(mapping: &str, holds: bool) {
    gauge!(names::BRAKE, "mapping" => mapping.to_owned()).set(flag(holds));
}

/// How many fields of a mapping are paused.
pub fn paused_fields(mapping: &str, count: u64) {
    gauge!(names::PAUSED_FIELDS, "mapping" => mapping.to_owned()).set(real(count));
}

/// How long it took from a change on the other side to the request that writes it to this side.
pub fn settled(mapping: &str, side: Side, after: Duration) {
    let side = labels::side(side);
    histogram!(names::SETTLE, "mapping" => mapping.to_owned(), "side" => side).record(after);
}

/// How long an opt-out took from the other side to its answered write on this side.
pub fn opted_out(mapping: &str, side: Side, after: Duration) {
    let side = labels::side(side);
    histogram!(names::OPTOUT, "mapping" => mapping.to_owned(), "side" => side).record(after);
}

/// How long a record of a CRM was between its read and its write.
pub fn window(crm: &str, open: Duration) {
    histogram!(names::WINDOW, "crm" => crm.to_owned()).record(open);
}

/// A call to a CRM.
pub fn called(crm: &str, kind: ApiCall) {
    let kind = labels::call(kind);
    counter!(names::API_CALLS, "crm" => crm.to_owned(), "kind" => kind).increment(1);
}

/// Calls to a CRM that were sent again, and those of which nobody knows what became.
pub fn faltered(crm: &str, repeated: u64, lost: u64) {
    counter!(names::REPEATED, "crm" => crm.to_owned()).increment(repeated);
    counter!(names::LOST, "crm" => crm.to_owned()).increment(lost);
}

/// A bulk job of a CRM that came to an end, or to none that anybody knows of.
pub fn bulk_job(crm: &str, job: BulkJob) {
    let (kind, outcome) = (labels::bulk_kind(job.kind), labels::bulk_end(job.end));
    counter!(names::BULK, "crm" => crm.to_owned(), "kind" => kind, "outcome" => outcome)
        .increment(1);
}

/// An error that a CRM answered with. Codes are the CRM's own, of which there are some hundreds.
pub fn crm_error(class: &'static str, code: &str) {
    counter!(names::CRM_ERRORS, "class" => class, "code" => code.to_owned()).increment(1);
}

/// Which share of the day's calls is left.
pub fn budget(crm: &str, left: f64) {
    gauge!(names::API_BUDGET, "crm" => crm.to_owned()).set(left);
}

/// How many calls of a day are used, and how many are left for ordinary work.
pub fn calls(crm: &str, used: u64, left: Option<u64>) {
    gauge!(names::CALLS_USED, "crm" => crm.to_owned()).set(real(used));
    if let Some(left) = left {
        gauge!(names::CALLS_LEFT, "crm" => crm.to_owned()).set(real(left));
    }
}

/// How many calls to a CRM may be under way at once.
pub fn workers(crm: &str, at_once: u32) {
    gauge!(names::WORKERS, "crm" => crm.to_owned()).set(f64::from(at_once));
}

/// Whether a CRM is not called for this reason.
pub fn paused(crm: &str, reason: &'static str, is: bool) {
    gauge!(names::PAUSED, "crm" => crm.to_owned(), "reason" => reason).set(flag(is));
}

/// How long ago a mapping's last complete poll was asked for.
pub fn poll_age(crm: &str, mapping: &str, age: Duration) {
    gauge!(names::POLL_AGE, "crm" => crm.to_owned(), "mapping" => mapping.to_owned()).set(age);
}

/// A CRM's clock less ours, in seconds.
pub fn clock_offset(crm: &str, seconds: f64) {
    gauge!(names::CLOCK_OFFSET, "crm" => crm.to_owned()).set(seconds);
}

/// How long a page took to become durable.
pub fn saved(took: Duration) {
    histogram!(names::LEDGER_SAVE).record(took);
}

/// How much disk the ledger takes.
pub fn ledger_size(bytes: u64) {
    gauge!(names::LEDGER_SIZE).set(real(bytes));
}

/// How far the first scan of a side has come.
pub fn backfill(mapping: &str, side: Side, scan: Scan) {
    let side = labels::side(side);
    gauge!(names::BACKFILL, "mapping" => mapping.to_owned(), "side" => side).set(scan.ratio());
}

fn flag(set: bool) -> f64 {
    if set { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::telemetry::labels::{BulkEnd, BulkKind};

    /// The page after everything happened once.
    fn page() -> String {
        let recorder = builder().unwrap().build_recorder();
        let page = Page(recorder.handle());
        ::metrics::with_local_recorder(&recorder, || {
            describe();
            everything_happens();
        });
        page.fold();
        page.render()
    }

    fn everything_happens() {
        let (mapping, side, second) = ("contacts", Side::Crm, Duration::from_secs(1));
        leader(true);
        wal(4_096, 16_777_216);
        campaign_clock_offset(0.25);
        reloaded(true);
        observed(mapping, Side::Campaign, 2);
        census(mapping, 1);
        decided(mapping, "written", 1);
        conflict(mapping, "most_restrictive");
        wrote(mapping, side, &Outcome::Lost);
        held_by(mapping, "ambiguous", 3);
        links(mapping, 10);
        due(mapping, Lane::Ordinary, 1);
        opposed(mapping, 2);
        brake(mapping, false);
        paused_fields(mapping, 1);
        settled(mapping, side, second);
        opted_out(mapping, side, second);
        window("sales", Duration::from_millis(40));
        called("sales", ApiCall::Write);
        faltered("sales", 2, 1);
        bulk_job("sales", BulkJob { kind: BulkKind::Write, end: BulkEnd::Failed });
        crm_error("retry", "UNABLE_TO_LOCK_ROW");
        budget("sales", 0.75);
        calls("sales", 4_000, Some(8_000));
        workers("sales", 8);
        paused("sales", "budget", false);
        poll_age("sales", mapping, second);
        clock_offset("sales", -0.5);
        saved(Duration::from_millis(2));
        ledger_size(1_048_576);
        backfill(mapping, side, Scan { done: 1, total: 4 });
    }

    #[test]
    fn the_page_is_what_dashboards_were_built_on() {
        let mut lines: Vec<String> = page()
            .lines()
            .filter(|line| !line.is_empty() && !line.contains("_bucket{"))
            .map(|line| line.replace(env!("CARGO_PKG_VERSION"), "VERSION"))
            .collect();
        // The exporter's order differs between runs; HELP, TYPE and samples of one name stay.
        lines.sort_by_key(|line| {
            let name = line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ");
            let end = name.find([' ', '{']).unwrap_or(name.len());
            (name[..end].to_owned(), !line.starts_with('#'), line.clone())
        });
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn every_metric_declared_is_on_the_page_and_no_other() {
        let page = page();
        let on_page: BTreeSet<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .filter_map(|line| line.split(' ').next())
            .collect();
        let declared: BTreeSet<_> = names::ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(on_page, declared);
    }

    #[test]
    fn names_follow_prometheus() {
        for Metric { name, kind, help, .. } in &names::ALL {
            assert!(name.starts_with("truce_") && help.ends_with('.'), "{name}");
            let counter = matches!(kind, Kind::Counter);
            assert_eq!(counter, name.ends_with("_total"), "{name}");
            if matches!(kind, Kind::Histogram(_)) {
                assert!(name.ends_with("_seconds"), "{name}");
            }
        }
    }
}
