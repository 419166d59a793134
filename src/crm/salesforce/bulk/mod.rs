//! Bulk API 2.0: what is too much for calls of 200 or 2,000 goes as one job, where that costs fewer.
//!
//! A job is made, filled, closed, watched and read: some ten calls, however many records. Nothing of
//! it happens before it is closed, so whatever is lost before that is certainly undone. Once closed
//! it runs by itself, in batches of 10,000 in no order, and may fail half way: what became of each
//! record is read from its results, and where these do not tell, from the record, as for any write
//! whose answer was lost. No job is ever sent again.
//!
//! Jobs take minutes. So consent is never in one, and one that takes too long is aborted: a row that
//! runs when its write is no longer remembered would be taken for somebody's edit. For the same
//! reason the job's number is kept in the ledger before it is closed: the next leader ends it.

mod cells;
mod extract;
mod ingest;
mod job;

use std::time::Duration;

pub(super) use cells::Cells;
pub(super) use extract::Extract;
pub(super) use ingest::Rows;
pub(super) use job::{Jobs, Rests, Slot};

/// When and how jobs are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bulk {
    /// From how many records on; `None` is never.
    pub from_records: Option<usize>,
    /// How soon a job is looked at first; each further look waits twice as long.
    pub look_first: Duration,
    /// But no longer than this.
    pub look_longest: Duration,
    /// How long a job that writes may take before it is aborted: less than the time after which a
    /// write is no longer expected to land.
    pub patience: Duration,
}

impl Default for Bulk {
    fn default() -> Self {
        Self {
            // A hundred calls of writes; a job costs a fifth of them, and its records stand longer
            // between being read and being written.
            from_records: Some(20_000),
            look_first: Duration::from_secs(2),
            look_longest: Duration::from_secs(30),
            patience: Duration::from_mins(8),
        }
    }
}

/// The calls of a job that writes: made, filled, closed, its three results; and so many looks.
pub(super) const INGEST_CALLS: usize = 6 + LOOKS;
/// The calls of a job that reads, besides its pages: counted, made, and so many looks.
const EXTRACT_CALLS: usize = 2 + LOOKS;
/// A job is looked at in lengthening intervals: this is two minutes of them, in which most have ended.
const LOOKS: usize = 8;

/// The most records of a page of a job's results.
const PAGE: usize = 10_000;

/// The most writes of a job: one batch over there, and some 20 MB here.
pub(super) const JOB_WRITES_MAX: usize = 10_000;

impl Bulk {
    /// Whether so many writes cost fewer calls as a job than in batches; where more wait than a job
    /// takes, a full one is enough.
    pub(super) fn writes(&self, records: usize, batch: usize) -> bool {
        let wanted = self.from_records.is_some_and(|from| from.min(JOB_WRITES_MAX) <= records);
        wanted && INGEST_CALLS < records.div_ceil(batch.max(1))
    }

    /// Whether so many records cost fewer calls to read as a job than in pages.
    pub(super) fn reads(&self, records: usize, page: usize) -> bool {
        let wanted = self.from_records.is_some_and(|from| from <= records);
        wanted && EXTRACT_CALLS + records.div_ceil(PAGE) < records.div_ceil(page.max(1))
    }

    /// The wait before the n-th look.
    fn look_after(&self, looks: u32) -> Duration {
        self.look_first.saturating_mul(1 << looks.min(16)).min(self.look_longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_made_where_it_costs_fewer_calls_and_is_wanted() {
        let eager = Bulk { from_records: Some(1), ..Bulk::default() };
        assert!(!eager.writes(2_800, 200) && eager.writes(2_801, 200));
        assert!(!eager.reads(20_000, 2_000) && eager.reads(30_000, 2_000));
        let never = Bulk { from_records: None, ..eager };
        assert!(!never.writes(10_000_000, 200) && !never.reads(10_000_000, 2_000));
        let late = Bulk { from_records: Some(20_000), ..eager };
        assert!(!late.writes(9_999, 200) && late.writes(10_000, 200));
    }

    #[test]
    fn looks_lengthen_up_to_a_bound() {
        let bulk = Bulk::default();
        let seconds = [0, 1, 2, 9].map(|n| bulk.look_after(n).as_secs());
        assert_eq!(seconds, [2, 4, 8, 30]);
    }
}
