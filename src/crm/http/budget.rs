//! The day's calls: how many were made, how many are left, and for whom.
//!
//! A CRM allows so many calls in any 24 hours, for all of its clients together, and says with
//! each answer how many were used. We keep a number of our own beside that, hour by hour, so that
//! a config can give us less than the whole. The last part of either is a reserve for consent.

use std::time::Duration;

use tokio::time::Instant;

/// Who may use the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Anything that can wait for tomorrow's calls.
    Ordinary,
    /// Consent, and what keeps the account going.
    Urgent,
}

/// What the CRM says of its own count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Calls used in the last 24 hours, by everyone.
    pub used: u64,
    /// Calls allowed in 24 hours.
    pub allowed: u64,
}

/// The day's calls as they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// What the CRM last reported.
    pub reported: Option<Reported>,
    /// Calls of ours in the last 24 hours.
    pub ours: u64,
    /// Calls that ordinary work may still make, where there is a limit.
    pub left: Option<u64>,
    /// Calls that it might make in a day of which nothing is used.
    pub most: Option<u64>,
}

impl Usage {
    /// The share of the day's calls that is left for ordinary work, from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a day's calls are exact in a float")]
    pub fn share_left(&self) -> Option<f64> {
        let (left, most) = (self.left?, self.most?);
        (0 < most).then(|| left as f64 / most as f64)
    }
}

const HOUR: Duration = Duration::from_hours(1);

/// Counts calls in 24 hours, by the hour.
#[derive(Debug)]
pub(super) struct Budget {
    per_day: Option<u64>,
    reserve_percent: u8,
    started: Instant,
    hours: [u64; 24],
    hour: u64,
    reported: Option<(Reported, Instant)>,
}

impl Budget {
    pub(super) fn new(per_day: Option<u64>, reserve_percent: u8, now: Instant) -> Self {
        assert!(reserve_percent < 100, "a reserve of all calls would leave none");
        Self { per_day, reserve_percent, started: now, hours: [0; 24], hour: 0, reported: None }
    }

    /// Takes in what the CRM reported with an answer.
    pub(super) fn report(&mut self, reported: Reported, now: Instant) {
        self.reported = Some((reported, now));
    }

    /// Counts a call, if it may be made.
    ///
    /// Where nothing is left by the CRM's count, one call is let through every `probe`: its answer
    /// is the only way to learn that the count has fallen.
    pub(super) fn take(&mut self, urgency: Urgency, now: Instant, probe: Duration) -> bool {
        self.turn(now);
        if self.left(urgency).is_some_and(|(left, _)| left == 0) {
            let own = self.per_day.is_some_and(|most| self.ours() >= most);
            match &mut self.reported {
                Some((_, asked)) if !own && now.duration_since(*asked) >= probe => *asked = now,
                Some(_) | None => return false,
            }
        }
        let at = self.slot();
        self.hours[at] += 1;
        true
    }

    /// The day's calls as they stand.
    pub(super) fn usage(&mut self, now: Instant) -> Usage {
        self.turn(now);
        Usage {
            reported: self.reported.map(|(reported, _)| reported),
            ours: self.ours(),
            left: self.left(Urgency::Ordinary).map(|(left, _)| left),
            most: self.left(Urgency::Ordinary).map(|(_, most)| most),
        }
    }

    /// The calls that are left, and of how many: by our own count or the CRM's, whichever is less.
    fn left(&self, urgency: Urgency) -> Option<(u64, u64)> {
        let reserve = |most: u64| match urgency {
            Urgency::Ordinary => most.saturating_mul(u64::from(self.reserve_percent)) / 100,
            Urgency::Urgent => 0,
        };
        let left = |allowed: u64, used: u64| {
            let most = allowed - reserve(allowed);
            (most.saturating_sub(used), most)
        };
        let own = self.per_day.map(|most| left(most, self.ours()));
        let theirs = self.reported.map(|(reported, _)| left(reported.allowed, reported.used));
        own.into_iter().chain(theirs).min()
    }

    fn ours(&self) -> u64 {
        self.hours.iter().sum()
    }

    /// Empties the hours that have passed since the last call.
    fn turn(&mut self, now: Instant) {
        let hour = now.duration_since(self.started).as_secs() / HOUR.as_secs();
        for _ in self.hour..hour.min(self.hour + 24) {
            self.hour += 1;
            let at = self.slot();
            self.hours[at] = 0;
        }
        self.hour = hour;
    }

    fn slot(&self) -> usize {
        usize::try_from(self.hour % 24).expect("an hour of the day is small")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: Duration = Duration::from_mins(5);

    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn the_reserve_is_for_consent() {
        let start = now();
        let mut budget = Budget::new(Some(10), 20, start);
        let made = (0..20).filter(|_| budget.take(Urgency::Ordinary, start, PROBE)).count();
        assert_eq!(made, 8);
        let urgent = (0..20).filter(|_| budget.take(Urgency::Urgent, start, PROBE)).count();
        assert_eq!(urgent, 2);
    }

    #[test]
    fn calls_come_back_after_a_day() {
        let start = now();
        let mut budget = Budget::new(Some(2), 0, start);
        assert!(budget.take(Urgency::Ordinary, start, PROBE));
        assert!(budget.take(Urgency::Ordinary, start + 5 * HOUR, PROBE));
        assert!(!budget.take(Urgency::Ordinary, start + 23 * HOUR, PROBE));
        assert!(budget.take(Urgency::Ordinary, start + 24 * HOUR, PROBE));
        assert!(!budget.take(Urgency::Ordinary, start + 24 * HOUR, PROBE));
        assert_eq!(budget.usage(start + 100 * HOUR).ours, 0);
    }

    #[test]
    fn what_the_other_side_counts_stops_us_and_is_probed_now_and_then() {
        let start = now();
        let mut budget = Budget::new(None, 10, start);
        budget.report(Reported { used: 95, allowed: 100 }, start);
        assert_eq!(budget.usage(start).left, Some(0));
        assert!(!budget.take(Urgency::Ordinary, start, PROBE));
        assert!(budget.take(Urgency::Urgent, start, PROBE));
        assert!(budget.take(Urgency::Ordinary, start + PROBE, PROBE), "one probe");
        assert!(!budget.take(Urgency::Ordinary, start + PROBE, PROBE), "and no second");
        budget.report(Reported { used: 5, allowed: 100 }, start + PROBE);
        assert_eq!(budget.usage(start + PROBE).left, Some(85));
    }
}
