//! The day's calls: how many were made, how many are left, and for whom.
//!
//! A CRM allows so many calls in any 24 hours, for all of its clients together, and says with
//! each answer how many were used. We keep a number of our own beside that, hour by hour, so that
//! a config can give us less than the whole. The last part of either is a reserve for consent.
//!
//! Both windows roll: calls come back as those of yesterday leave it. When ours do is known to the
//! hour; theirs has to be asked for, by a probe now and then while nothing else is called.

use std::time::Duration;

use tokio::time::Instant;

/// Who may use the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Anything that can wait for tomorrow's calls.
    Ordinary,
    /// Polls, up to half of it: an opt-out over there is seen by no other way, but one that is to be
    /// written comes first.
    Feed,
    /// Writes of consent with their reads, and what keeps the account going.
    Urgent,
    /// The question whether calls are back.
    Probe,
}

/// Whether a call may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spend {
    /// It may, and is counted.
    Taken,
    /// Not before it was asked whether calls are back.
    Probe,
    /// Not before so long.
    Wait(Duration),
}

/// Why an account is not called now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Paused {
    /// The day's calls are used up, but for the reserve.
    Budget,
    /// It asked to be left alone.
    Asked,
    /// It refuses, until somebody mends it.
    Refused,
}

impl Paused {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::Budget, Self::Asked, Self::Refused];
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
    /// Why ordinary work is paused, where it is.
    pub paused: Option<Paused>,
    /// How many calls may be under way at once.
    pub at_once: u32,
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
    reported: Option<Reported>,
    /// The CRM has refused a call for want of calls, and has not said since that there are any.
    refused: bool,
    /// When it was last asked, or told without being asked, that nothing is left.
    asked: Option<Instant>,
}

impl Budget {
    pub(super) fn new(per_day: Option<u64>, reserve_percent: u8, now: Instant) -> Self {
        assert!(reserve_percent < 100, "a reserve of all calls would leave none");
        Self {
            per_day,
            reserve_percent,
            started: now,
            hours: [0; 24],
            hour: 0,
            reported: None,
            refused: false,
            asked: None,
        }
    }

    /// Takes in what the CRM reported with an answer.
    pub(super) fn report(&mut self, reported: Reported, now: Instant) {
        self.reported = Some(reported);
        // What is told needs not be asked for.
        self.asked = self.asked.map(|_| now);
        if reported.used < reported.allowed {
            self.refused = false;
        }
    }

    /// The CRM refuses a call, as none is left.
    pub(super) fn exhausted(&mut self, now: Instant) {
        self.refused = true;
        self.asked = Some(now);
    }

    /// Counts a call, if it may be made; every `probe` it is to be asked whether calls are back.
    pub(super) fn take(&mut self, urgency: Urgency, now: Instant, probe: Duration) -> Spend {
        self.turn(now);
        if urgency != Urgency::Probe {
            if self.own(urgency).is_some_and(|(left, _)| left == 0) {
                return Spend::Wait(self.until_back(urgency, now));
            }
            if self.refused || self.theirs(urgency).is_some_and(|(left, _)| left == 0) {
                let asked = *self.asked.get_or_insert(now);
                let left = probe.saturating_sub(now.saturating_duration_since(asked));
                if !left.is_zero() {
                    return Spend::Wait(left);
                }
                self.asked = Some(now);
                return Spend::Probe;
            }
            if urgency == Urgency::Ordinary {
                self.asked = None;
            }
        }
        let at = self.slot();
        self.hours[at] += 1;
        Spend::Taken
    }

    /// The day's calls as they stand.
    pub(super) fn usage(&mut self, now: Instant) -> Usage {
        self.turn(now);
        let left = self.left(Urgency::Ordinary);
        let none = self.refused || left.is_some_and(|(left, _)| left == 0);
        Usage {
            reported: self.reported,
            ours: self.ours(),
            left: if self.refused { Some(0) } else { left.map(|(left, _)| left) },
            most: left.map(|(_, most)| most),
            paused: none.then_some(Paused::Budget),
            at_once: 0,
        }
    }

    /// How many calls are left to what is so urgent, where there is a limit.
    pub(super) fn left_for(&mut self, urgency: Urgency, now: Instant) -> Option<u64> {
        self.turn(now);
        let left = self.left(urgency).map(|(left, _)| left);
        if self.refused { Some(0) } else { left }
    }

    /// The calls that are left, and of how many: by our own count or the CRM's, whichever is less.
    fn left(&self, urgency: Urgency) -> Option<(u64, u64)> {
        self.own(urgency).into_iter().chain(self.theirs(urgency)).min()
    }

    fn own(&self, urgency: Urgency) -> Option<(u64, u64)> {
        self.per_day.map(|most| self.less_reserve(urgency, most, self.ours()))
    }

    fn theirs(&self, urgency: Urgency) -> Option<(u64, u64)> {
        let reported = self.reported?;
        Some(self.less_reserve(urgency, reported.allowed, reported.used))
    }

    fn less_reserve(&self, urgency: Urgency, allowed: u64, used: u64) -> (u64, u64) {
        let reserve = allowed.saturating_mul(u64::from(self.reserve_percent)) / 100;
        let kept = match urgency {
            Urgency::Ordinary => reserve,
            Urgency::Feed => reserve.div_ceil(2),
            Urgency::Urgent | Urgency::Probe => 0,
        };
        let most = allowed - kept;
        (most.saturating_sub(used), most)
    }

    /// When the first of our own calls leave the window that are one too many now.
    fn until_back(&self, urgency: Urgency, now: Instant) -> Duration {
        let most = self.own(urgency).map_or(u64::MAX, |(_, most)| most);
        let mut used = self.ours();
        // From the hour that leaves the window first, which is the next to be written.
        for ahead in 1..=24_u64 {
            let at =
                usize::try_from((self.hour + ahead) % 24).expect("an hour of the day is small");
            used -= self.hours[at];
            if used < most {
                let back =
                    self.started + HOUR * u32::try_from(self.hour + ahead).unwrap_or(u32::MAX);
                return back.saturating_duration_since(now);
            }
        }
        HOUR
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
        let mut made = |urgency| {
            (0..20).filter(|_| budget.take(urgency, start, PROBE) == Spend::Taken).count()
        };
        assert_eq!(made(Urgency::Ordinary), 8);
        assert_eq!(made(Urgency::Urgent), 2);
    }

    #[test]
    fn polls_leave_half_of_the_reserve_to_writes_of_consent() {
        let start = now();
        let mut budget = Budget::new(Some(10), 30, start);
        let mut made = |urgency| {
            (0..20).filter(|_| budget.take(urgency, start, PROBE) == Spend::Taken).count()
        };
        assert_eq!(made(Urgency::Ordinary), 7);
        assert_eq!(made(Urgency::Feed), 1);
        assert_eq!(made(Urgency::Urgent), 2);
        assert_eq!(budget.left_for(Urgency::Feed, start), Some(0));
        assert_eq!(budget.take(Urgency::Feed, start, PROBE), Spend::Wait(24 * HOUR));
        assert_eq!(budget.left_for(Urgency::Feed, start + 24 * HOUR), Some(8));

        let mut budget = Budget::new(None, 20, start);
        budget.report(Reported { used: 89, allowed: 100 }, start);
        assert_eq!(budget.take(Urgency::Ordinary, start, PROBE), Spend::Wait(PROBE));
        assert_eq!(budget.take(Urgency::Feed, start, PROBE), Spend::Taken);
        budget.report(Reported { used: 90, allowed: 100 }, start);
        assert_eq!(budget.take(Urgency::Feed, start, PROBE), Spend::Wait(PROBE));
        assert_eq!(budget.take(Urgency::Urgent, start, PROBE), Spend::Taken);
    }

    #[test]
    fn our_calls_come_back_when_they_leave_the_window_and_not_before() {
        let start = now();
        let mut budget = Budget::new(Some(2), 0, start);
        let mut take = |at| budget.take(Urgency::Ordinary, start + at, PROBE);
        assert_eq!(take(Duration::ZERO), Spend::Taken);
        assert_eq!(take(5 * HOUR), Spend::Taken);
        assert_eq!(take(5 * HOUR), Spend::Wait(19 * HOUR));
        assert_eq!(take(23 * HOUR + HOUR / 2), Spend::Wait(HOUR / 2));
        assert_eq!(take(24 * HOUR), Spend::Taken);
        assert_eq!(take(24 * HOUR), Spend::Wait(5 * HOUR));
        assert_eq!(budget.usage(start + 24 * HOUR).paused, Some(Paused::Budget));
        let later = budget.usage(start + 100 * HOUR);
        assert_eq!((later.ours, later.paused), (0, None));
    }

    #[test]
    fn what_the_other_side_counts_pauses_us_and_is_asked_now_and_then() {
        let start = now();
        let mut budget = Budget::new(None, 10, start);
        budget.report(Reported { used: 95, allowed: 100 }, start);
        assert_eq!(budget.usage(start).left, Some(0));
        let ordinary = |budget: &mut Budget, at| budget.take(Urgency::Ordinary, start + at, PROBE);
        assert_eq!(ordinary(&mut budget, Duration::ZERO), Spend::Wait(PROBE));
        assert_eq!(budget.take(Urgency::Urgent, start, PROBE), Spend::Taken);
        budget.report(Reported { used: 96, allowed: 100 }, start + PROBE);
        let rest = Spend::Wait(PROBE / 2);
        assert_eq!(ordinary(&mut budget, PROBE * 3 / 2), rest, "that answer told it");
        assert_eq!(ordinary(&mut budget, PROBE * 2), Spend::Probe);
        assert_eq!(ordinary(&mut budget, PROBE * 2), Spend::Wait(PROBE), "one probe and no second");
        assert_eq!(budget.take(Urgency::Probe, start + PROBE * 2, PROBE), Spend::Taken);
        budget.report(Reported { used: 5, allowed: 100 }, start + PROBE * 2);
        assert_eq!(budget.usage(start + PROBE).left, Some(85));
        assert_eq!(ordinary(&mut budget, PROBE * 2), Spend::Taken, "and it goes on");
    }

    #[test]
    fn a_refusal_for_want_of_calls_pauses_consent_too_until_calls_are_reported() {
        let start = now();
        let mut budget = Budget::new(None, 20, start);
        budget.report(Reported { used: 50, allowed: 100 }, start);
        budget.exhausted(start);
        assert_eq!(budget.take(Urgency::Urgent, start, PROBE), Spend::Wait(PROBE));
        let usage = budget.usage(start);
        assert_eq!((usage.left, usage.paused), (Some(0), Some(Paused::Budget)));
        assert_eq!(budget.take(Urgency::Urgent, start + PROBE, PROBE), Spend::Probe);
        budget.report(Reported { used: 100, allowed: 100 }, start + PROBE);
        assert_eq!(budget.take(Urgency::Urgent, start + PROBE, PROBE), Spend::Wait(PROBE));
        budget.report(Reported { used: 70, allowed: 100 }, start + PROBE);
        assert_eq!(budget.take(Urgency::Ordinary, start + PROBE, PROBE), Spend::Taken);
    }
}
