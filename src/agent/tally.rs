//! How many decisions came to what, for the metrics: counted once they are kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ledger::Decision;
use crate::telemetry::metrics;

use super::plan::Plans;
use super::working::Bench;

/// Decisions by their mapping and verdict.
pub(super) struct Tally(BTreeMap<(Arc<str>, &'static str), u64>);

impl Tally {
    /// Of the decisions that are about to be kept.
    pub(super) fn of(decisions: &[Decision], bench: &Bench, plans: &Plans) -> Self {
        let mut counts = BTreeMap::new();
        for decision in decisions {
            let piece = bench.pieces.get(&decision.link);
            if let Some(plan) = piece.and_then(|piece| plans.get(&piece.link.entity)) {
                let of = (Arc::clone(&plan.name), decision.verdict.name());
                *counts.entry(of).or_default() += 1;
            }
        }
        Self(counts)
    }

    /// They are kept.
    pub(super) fn count(self) {
        for ((mapping, verdict), decisions) in self.0 {
            metrics::decided(&mapping, verdict, decisions);
        }
    }
}
