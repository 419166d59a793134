//! Records that were locked by somebody else: when each is tried again, and with whom.
//!
//! A write of a child locks its parent, so two batches with children of one account fail each other.
//! What was locked goes next with those of the same parent, in a batch that is half of the last, and
//! after a wait that doubles. Nothing is lost with this memory: without it a record is only tried in
//! a batch that is too large.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::reconcile::RecordId;

/// The first wait: an ordinary transaction is over by then.
const FIRST: Duration = Duration::from_secs(2);

/// The longest one in between.
const LONGEST: Duration = Duration::from_mins(1);

/// After so many tries somebody's long work holds the lock, and it is tried rarely.
const TRIES: u32 = 8;

/// How rarely.
const RARELY: Duration = Duration::from_mins(10);

/// What was not tried again for this long is settled otherwise.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// As many as the writes under way can hold, many times over.
const RECORDS_MAX: usize = 10_000;

/// The records that were locked.
#[derive(Debug, Default)]
pub(super) struct Contention {
    locked: BTreeMap<RecordId, Locked>,
}

#[derive(Clone, Debug)]
struct Locked {
    tries: u32,
    parent: Option<RecordId>,
    at: Instant,
}

impl Contention {
    /// A record was locked, by way of this parent where that is known; says when it may be tried
    /// again.
    pub(super) fn locked(
        &mut self,
        record: &RecordId,
        parent: Option<RecordId>,
        now: Instant,
    ) -> Duration {
        let tries = self.locked.get(record).map_or(0, |locked| locked.tries);
        let tries = tries.saturating_add(1).min(TRIES + 1);
        if self.locked.len() >= RECORDS_MAX {
            let fresh =
                |locked: &Locked| now.saturating_duration_since(locked.at) < FORGOTTEN_AFTER;
            self.locked.retain(|_, locked| fresh(locked));
        }
        if self.locked.len() < RECORDS_MAX || self.locked.contains_key(record) {
            self.locked.insert(record.clone(), Locked { tries, parent, at: now });
        }
        if tries > TRIES {
            return RARELY;
        }
        FIRST.saturating_mul(1 << (tries - 1)).min(LONGEST)
    }

    /// A record was not locked any more.
    pub(super) fn passed(&mut self, record: &RecordId) {
        self.locked.remove(record);
    }

    /// Which places go together: those that were never locked first, at most so many, in their order;
    /// then the others by parent, less than a call holds, the less the more often they were locked.
    pub(super) fn batches(
        &self,
        records: &[(usize, &RecordId)],
        most: usize,
        in_a_call: usize,
    ) -> Vec<Vec<usize>> {
        let (mut free, mut locked) = (Vec::new(), Vec::new());
        for (place, record) in records {
            match self.locked.get(*record) {
                None => free.push(*place),
                Some(known) => locked.push((known.tries, &known.parent, *place)),
            }
        }
        let mut batches: Vec<Vec<usize>> = free.chunks(most.max(1)).map(<[_]>::to_vec).collect();
        locked.sort();
        let (mut of, mut size) = (0, 0);
        for (tries, _, place) in locked {
            if let Some(last) = batches.last_mut().filter(|last| of == tries && last.len() < size) {
                last.push(place);
            } else {
                (of, size) = (tries, (most.min(in_a_call) >> tries).max(1));
                batches.push(vec![place]);
            }
        }
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> RecordId {
        RecordId::from(format!("003{n}"))
    }

    #[test]
    fn a_locked_record_waits_twice_as_long_each_time_and_then_rarely() {
        let (mut contention, now) = (Contention::default(), Instant::now());
        let waits: Vec<u64> =
            (0..10).map(|_| contention.locked(&id(1), None, now).as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60, 600, 600]);
        contention.passed(&id(1));
        assert_eq!(contention.locked(&id(1), None, now), FIRST);
    }

    #[test]
    fn locked_records_go_by_parent_in_batches_that_halve() {
        let (mut contention, now) = (Contention::default(), Instant::now());
        let parents = ["001b", "001a"];
        for n in 0..6 {
            contention.locked(&id(n), Some(parents[n % 2].into()), now);
        }
        contention.locked(&id(5), Some("001a".into()), now);
        let ids: Vec<RecordId> = (0..10).map(id).collect();
        let records: Vec<(usize, &RecordId)> = ids.iter().enumerate().collect();
        let batches = contention.batches(&records, 2000, 4);
        assert_eq!(batches, [vec![6, 7, 8, 9], vec![1, 3], vec![0, 2], vec![4], vec![5]]);
        assert_eq!(contention.batches(&records, 1, 4).len(), 10, "one at a time is the least");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut contention, now) = (Contention::default(), Instant::now());
        for n in 0..RECORDS_MAX + 5 {
            contention.locked(&id(n), None, now);
        }
        assert_eq!(contention.locked.len(), RECORDS_MAX);
        contention.locked(&id(RECORDS_MAX + 9), None, now + FORGOTTEN_AFTER);
        assert_eq!(contention.locked.len(), 1);
    }
}
