//! Every metric there is: name, kind, labels, what it says.
//!
//! Names follow Prometheus: base units, `_total` on what only grows. Labels are bounded: mappings
//! and CRMs are those of the config file, all others are closed sets (`labels`). Dashboards and
//! alerts are built on these names; a golden test keeps them.

/// A metric.
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
}

/// What a metric is to Prometheus.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    /// With the upper ends of its buckets.
    Histogram(&'static [f64]),
}

/// From the half millisecond that a commit takes to reach us, to the hour that a backlog may take.
const LATENCY: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 900.0, 3600.0,
];

/// One call or one transaction.
const CALL: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

pub(super) const BUILD_INFO: &str = "truce_build_info";
pub(super) const LEADER: &str = "truce_leader";
pub(super) const WAL_LAG: &str = "truce_campaign_wal_lag_bytes";
pub(super) const SLOT_RETAINED: &str = "truce_campaign_slot_retained_bytes";
pub(super) const CAMPAIGN_CLOCK: &str = "truce_campaign_clock_offset_seconds";
pub(super) const RELOADED: &str = "truce_config_last_reload_successful";
pub(super) const OBSERVATIONS: &str = "truce_observations_total";
pub(super) const DECISIONS: &str = "truce_decisions_total";
pub(super) const CONFLICTS: &str = "truce_conflicts_total";
pub(super) const WRITES: &str = "truce_writes_total";
pub(super) const HELD: &str = "truce_held";
pub(super) const LINKS: &str = "truce_links";
pub(super) const LINKS_DUE: &str = "truce_links_due";
pub(super) const BRAKE: &str = "truce_brake";
pub(super) const PAUSED_FIELDS: &str = "truce_fields_paused";
pub(super) const SETTLE: &str = "truce_settle_seconds";
pub(super) const OPTOUT: &str = "truce_optout_propagation_seconds";
pub(super) const OPPOSED: &str = "truce_optout_disagreements";
pub(super) const WINDOW: &str = "truce_read_write_window_seconds";
pub(super) const API_CALLS: &str = "truce_crm_calls_total";
pub(super) const REPEATED: &str = "truce_crm_calls_repeated_total";
pub(super) const LOST: &str = "truce_crm_calls_lost_total";
pub(super) const BULK: &str = "truce_crm_bulk_jobs_total";
pub(super) const CRM_ERRORS: &str = "truce_crm_errors_total";
pub(super) const API_BUDGET: &str = "truce_crm_budget_left_ratio";
pub(super) const CALLS_USED: &str = "truce_crm_day_calls_used";
pub(super) const CALLS_LEFT: &str = "truce_crm_day_calls_left";
pub(super) const WORKERS: &str = "truce_crm_calls_at_once";
pub(super) const PAUSED: &str = "truce_crm_paused";
pub(super) const POLL_AGE: &str = "truce_crm_poll_age_seconds";
pub(super) const CLOCK_OFFSET: &str = "truce_crm_clock_offset_seconds";
pub(super) const LEDGER_SAVE: &str = "truce_ledger_save_seconds";
pub(super) const LEDGER_SIZE: &str = "truce_ledger_size_bytes";
pub(super) const CENSUS: &str = "truce_census_differing_total";
pub(super) const BACKFILL: &str = "truce_backfill_progress_ratio";

/// Every metric, in the order in which an operator asks.
pub(super) const ALL: [Metric; 35] = [
    gauge(BUILD_INFO, "Always 1; the version that runs is in the label."),
    gauge(LEADER, "1 while this agent writes, 0 while it stands by."),
    gauge(WAL_LAG, "How much of Campaign's log is not durable in the ledger yet."),
    gauge(SLOT_RETAINED, "How much log Campaign's server keeps on disk for the slot."),
    gauge(CAMPAIGN_CLOCK, "The clock of Campaign's server less ours."),
    gauge(RELOADED, "1 while what was last read of the config is what the agent goes by, else 0."),
    counter(OBSERVATIONS, "Observations kept in the ledger."),
    counter(
        DECISIONS,
        "Decisions, of a field or of a record, by what they came to; one that is taken again unchanged \
         counts again.",
    ),
    counter(
        CONFLICTS,
        "Fields in which a value was discarded for the other side's, by the rule that decided.",
    ),
    counter(WRITES, "Writes that were tried, by what came of it."),
    gauge(HELD, "Fields and records that wait for a person."),
    gauge(LINKS, "Pairs of records that are kept in agreement."),
    gauge(LINKS_DUE, "Links that are to be looked at, now or later, by their more urgent lane."),
    gauge(BRAKE, "1 while the brake holds the mapping."),
    gauge(
        PAUSED_FIELDS,
        "Fields that are paused, as the CRM's are not what they were mapped as; truce status says why.",
    ),
    histogram(
        SETTLE,
        LATENCY,
        "From a change on the other side to the request that writes it to this side: from the \
         commit to the CRM, from the answer of the poll to Campaign.",
    ),
    histogram(
        OPTOUT,
        LATENCY,
        "From an opt-out on the other side to its write on this side, answered.",
    ),
    gauge(
        OPPOSED,
        "Pairs of which one side says opted out and the other does not, or may not yet.",
    ),
    histogram(
        WINDOW,
        CALL,
        "From reading a record to writing it: an edit of the same field within is lost.",
    ),
    counter(API_CALLS, "Calls to the CRM, answered or not."),
    counter(
        REPEATED,
        "Calls to the CRM that were sent again: the answer before was none, or said to.",
    ),
    counter(
        LOST,
        "Calls to the CRM that came to no whole answer; what a write among them did is read.",
    ),
    counter(
        BULK,
        "Bulk jobs of the CRM, by what became of them; one under way is not counted yet.",
    ),
    counter(
        CRM_ERRORS,
        "Errors that the CRM answered with, by code; what each class means is in \
         docs/salesforce-errors.md and docs/dynamics-errors.md, and one of class unknown is not known \
         to the agent.",
    ),
    gauge(API_BUDGET, "The share of the day's calls that is left."),
    gauge(
        CALLS_USED,
        "Calls of the last 24 hours, by everyone where the CRM says so, else by this agent.",
    ),
    gauge(CALLS_LEFT, "Calls that ordinary work may still make; the reserve is not among them."),
    gauge(WORKERS, "How many calls may be under way at once; fewer while the CRM is crowded."),
    gauge(
        PAUSED,
        "1 while the CRM is not called: its budget is used up (consent may go on from the reserve), \
         it asked to be left alone, or it refuses until somebody mends something.",
    ),
    gauge(POLL_AGE, "How long ago the last complete poll was asked for."),
    gauge(CLOCK_OFFSET, "The CRM's clock less ours."),
    histogram(LEDGER_SAVE, CALL, "How long a page takes to become durable in the ledger."),
    gauge(LEDGER_SIZE, "How much disk the ledger takes."),
    counter(CENSUS, "Records that a census of the CRM found to differ from what its feed told."),
    gauge(BACKFILL, "How far the first scan has come; 1 is all of it."),
];

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, help }
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, help }
}

const fn histogram(name: &'static str, buckets: &'static [f64], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram(buckets), help }
}
