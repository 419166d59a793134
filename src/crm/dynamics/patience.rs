//! How often a record that was refused, by a plug-in or for a value that nobody seems to hold, was tried
//! again.
//!
//! What a customer's own logic throws has one code, whether it means this record (and always will) or
//! met a lock, a service of its own that is down, another plug-in's depth. So it is tried a few more
//! times before it is held. Nothing is lost with this memory: without it a
//! record is tried a few times more.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::reconcile::LinkId;

/// The first wait; who puts a write off several times in a row waits twice as long each time.
const FIRST: Duration = Duration::from_secs(5);

/// What was not tried again for this long is settled otherwise, and begins anew.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// As many as are put off in a round, and some of the next.
const LINKS_MAX: usize = 10_000;

/// The links whose writes were refused lately.
#[derive(Debug, Default)]
pub(super) struct Patience(BTreeMap<LinkId, (u32, Instant)>);

impl Patience {
    /// A link's write was refused; says when it may be tried again, or that it has been often enough.
    pub(super) fn refused(&mut self, link: LinkId, most: u32, now: Instant) -> Option<Duration> {
        let fresh = |at: Instant| now.saturating_duration_since(at) < FORGOTTEN_AFTER;
        let before = self.0.get(&link).filter(|(_, at)| fresh(*at)).map_or(0, |(times, _)| *times);
        if most <= before {
            self.0.remove(&link);
            return None;
        }
        if LINKS_MAX <= self.0.len() {
            self.0.retain(|_, (_, at)| fresh(*at));
        }
        if LINKS_MAX <= self.0.len() && !self.0.contains_key(&link) {
            // Too many to count: where so many are refused, what refuses them is down.
            return Some(FIRST);
        }
        self.0.insert(link, (before + 1, now));
        Some(FIRST)
    }

    /// A link's write was answered otherwise.
    pub(super) fn passed(&mut self, link: LinkId) {
        self.0.remove(&link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_more_tries_are_made_and_then_none() {
        let (mut patience, link, now) = (Patience::default(), LinkId(7), Instant::now());
        let mut again = || patience.refused(link, 3, now).is_some();
        assert_eq!([again(), again(), again(), again()], [true, true, true, false]);
        assert!(again(), "a person had it tried once more");
        patience.passed(link);
        assert_eq!([1, 1].map(|most| patience.refused(link, most, now)), [Some(FIRST), None]);
        assert!(patience.refused(link, 1, now).is_some());
        assert!(patience.refused(link, 1, now + FORGOTTEN_AFTER).is_some(), "it begins anew");
        assert_eq!(patience.refused(LinkId(8), 0, now), None, "none is wanted");
    }

    #[test]
    fn where_too_many_are_refused_to_be_counted_none_is_given_up() {
        let (mut patience, now) = (Patience::default(), Instant::now());
        for link in 0..=LINKS_MAX as u64 {
            assert_eq!(patience.refused(LinkId(link), 3, now), Some(FIRST));
        }
        assert_eq!(patience.0.len(), LINKS_MAX);
    }
}
