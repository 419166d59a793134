//! The words that the core's types have on the metrics page.

use crate::reconcile::{Lane, Outcome, Side};

/// What a call to a CRM is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiCall {
    /// A token.
    Token,
    /// Changed records: a page of a poll.
    Poll,
    /// All records: a page of a scan.
    Scan,
    /// Records just before they are written, or after a lost answer.
    Read,
    /// Records that are written.
    Write,
    /// What the CRM's objects look like.
    Describe,
    /// What is left of the limits.
    Limits,
}

/// A bulk job that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkJob {
    /// What it was for.
    pub kind: BulkKind,
    /// What became of it.
    pub end: BulkEnd,
}

/// What a bulk job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkKind {
    /// Reading an object whole.
    Read,
    /// Writing many records.
    Write,
}

/// What became of a bulk job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkEnd {
    /// It was carried out; rows of it may have been refused.
    Done,
    /// It was not carried out to its end: it failed, or it was aborted.
    Failed,
    /// Nobody knows: its records are read.
    Lost,
}

/// How far a first scan has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Records that were read.
    pub done: u64,
    /// Records that there are, about.
    pub total: u64,
}

impl Scan {
    /// The part that is done; an empty table is done.
    pub(super) fn ratio(self) -> f64 {
        if self.total == 0 { 1.0 } else { (real(self.done) / real(self.total)).min(1.0) }
    }
}

/// A count as Prometheus has it: exact up to 2^53, which no count of ours reaches.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
pub(super) fn real(count: u64) -> f64 {
    count as f64
}

pub(super) const fn call(kind: ApiCall) -> &'static str {
    match kind {
        ApiCall::Token => "token",
        ApiCall::Poll => "poll",
        ApiCall::Scan => "scan",
        ApiCall::Read => "read",
        ApiCall::Write => "write",
        ApiCall::Describe => "describe",
        ApiCall::Limits => "limits",
    }
}

pub(super) const fn bulk_kind(kind: BulkKind) -> &'static str {
    match kind {
        BulkKind::Read => "read",
        BulkKind::Write => "write",
    }
}

pub(super) const fn bulk_end(end: BulkEnd) -> &'static str {
    match end {
        BulkEnd::Done => "done",
        BulkEnd::Failed => "failed",
        BulkEnd::Lost => "lost",
    }
}

pub(super) const fn side(side: Side) -> &'static str {
    match side {
        Side::Campaign => "campaign",
        Side::Crm => "crm",
    }
}

pub(super) const fn lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Consent => "consent",
        Lane::Ordinary => "ordinary",
    }
}

pub(super) const fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done { .. } => "done",
        Outcome::Stale(_) => "stale",
        Outcome::Found(_) => "found",
        Outcome::Gone(_) => "gone",
        Outcome::Refused(_) => "refused",
        Outcome::Later(_) => "later",
        Outcome::Lost => "lost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_of_nothing_is_done_and_none_is_more_than_done() {
        let ratio = |done, total| Scan { done, total }.ratio();
        assert!((ratio(0, 0) - 1.0).abs() < f64::EPSILON);
        assert!((ratio(1, 4) - 0.25).abs() < f64::EPSILON);
        // The total is an estimate.
        assert!((ratio(5, 4) - 1.0).abs() < f64::EPSILON);
    }
}
