//! How much of everything there is.

use std::time::Duration;

use truce::simulator::any::Kind;

/// How much of everything there is.
pub(crate) struct Size {
    /// On each side.
    pub(crate) records: usize,
    /// On each side.
    pub(crate) edits: usize,
    /// Of those on each side, on the same field of the same person as one of the other side.
    pub(crate) contested: usize,
    /// These stay with the CRM's outage, the rest comes amid faults.
    pub(crate) in_outage: usize,
    /// On each side: a share of all, as more than that is for the brake to hold.
    pub(crate) deletes: usize,
    pub(crate) outage: Duration,
    pub(crate) held_back: Duration,
}

/// The first of the cast opt out.
pub(crate) const OPT_OUTS: usize = 90;
/// So many pairs of those behind them are merged.
pub(crate) const MERGES: usize = 20;
pub(crate) const CREATES: usize = 40;

impl Size {
    /// As large as `TRUCE_LONG_PAIRS` says: by default the whole for the first CRM, and a quarter for a
    /// further one, which goes the same ways and must not double the time of `tests/run`.
    pub(crate) fn of(kind: Kind) -> Self {
        let usual = match kind {
            Kind::Salesforce => 10_000,
            Kind::Dynamics => 2_500,
        };
        let records = std::env::var("TRUCE_LONG_PAIRS");
        let records = records.map_or(usual, |pairs| pairs.parse().expect("a number of pairs"));
        assert!(1_000 <= records, "fewer than 1,000 pairs are not enough for what happens to them");
        let millis = u64::try_from(records).expect("it is small");
        Self {
            records,
            edits: records / 2,
            contested: records / 20,
            in_outage: records / 2,
            deletes: records / 500,
            outage: Duration::from_millis(6 * millis),
            held_back: Duration::from_millis(12 * millis),
        }
    }

    /// Nobody edits these: the first of the cast, who opt out, are merged, are deleted.
    pub(crate) fn spared(&self) -> usize {
        OPT_OUTS + 2 * MERGES + 2 * self.deletes
    }
}
