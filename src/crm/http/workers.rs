//! How many calls are under way at once: half as many after each sign of crowding, one more after each
//! while without.
//!
//! The limit over there is on long calls of the whole organisation, and locks are taken by others
//! too: nobody tells how many calls are too many, so it is found, as congestion is. Times in,
//! decisions out; [`Permits`] waits.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::crm::http::budget::Urgency;

/// Calls that were under way together fail together: that is one sign, not many.
const ONE_SIGN: Duration = Duration::from_secs(5);

/// As long without a sign earns one more call.
const MORE_AFTER: Duration = Duration::from_secs(30);

/// How many calls may be under way.
#[derive(Debug)]
struct Workers {
    most: u32,
    allowed: u32,
    busy: u32,
    /// When it last shrank.
    shrunk: Option<Instant>,
    /// Since when nothing has changed it.
    steady: Instant,
}

impl Workers {
    fn new(most: u32, now: Instant) -> Self {
        assert!(0 < most, "an account without calls would wait forever");
        Self { most, allowed: most, busy: 0, shrunk: None, steady: now }
    }

    /// A sign of crowding; says how many calls are allowed now, where that is fewer.
    fn shrink(&mut self, now: Instant) -> Option<u32> {
        self.grow(now);
        if self.shrunk.is_some_and(|shrunk| now.saturating_duration_since(shrunk) < ONE_SIGN) {
            return None;
        }
        (self.shrunk, self.steady) = (Some(now), now);
        let before = self.allowed;
        self.allowed = (before / 2).max(1);
        (self.allowed < before).then_some(self.allowed)
    }

    fn grow(&mut self, now: Instant) {
        while self.allowed < self.most && self.steady + MORE_AFTER <= now {
            self.allowed += 1;
            self.steady += MORE_AFTER;
        }
    }

    /// Takes a place, if there is one. What is urgent may have one more: it never waits for a single
    /// slow call.
    fn take(&mut self, urgency: Urgency, now: Instant) -> bool {
        self.grow(now);
        let more = match urgency {
            Urgency::Ordinary | Urgency::Feed => 0,
            Urgency::Urgent | Urgency::Probe => u32::from(self.allowed < self.most),
        };
        let free = self.busy < self.allowed + more;
        self.busy += u32::from(free);
        free
    }
}

/// Places for calls, to be waited for.
#[derive(Debug)]
pub(super) struct Permits {
    workers: Mutex<Workers>,
    freed: Notify,
}

/// A place, held until the call is answered.
#[derive(Debug)]
pub(super) struct Permit<'a>(&'a Permits);

impl Permits {
    pub(super) fn new(most: u32, now: Instant) -> Self {
        Self { workers: Mutex::new(Workers::new(most, now)), freed: Notify::new() }
    }

    /// Waits for a place.
    pub(super) async fn take(&self, urgency: Urgency) -> Permit<'_> {
        loop {
            let next = self.freed.notified();
            tokio::pin!(next);
            next.as_mut().enable();
            if self.with(|workers| workers.take(urgency, Instant::now())) {
                return Permit(self);
            }
            next.await;
        }
    }

    /// A sign of crowding over there; says how many calls are allowed now, where that is fewer.
    pub(super) fn shrink(&self, now: Instant) -> Option<u32> {
        self.with(|workers| workers.shrink(now))
    }

    /// How many calls are allowed.
    pub(super) fn allowed(&self, now: Instant) -> u32 {
        self.with(|workers| {
            workers.grow(now);
            workers.allowed
        })
    }

    /// Plain numbers: those that a panic left behind are as good as any.
    fn with<T>(&self, act: impl FnOnce(&mut Workers) -> T) -> T {
        act(&mut self.workers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.with(|workers| workers.busy -= 1);
        self.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_of_crowding_halves_and_calm_brings_one_after_the_other() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut workers = Workers::new(8, now);
        assert_eq!(workers.shrink(now), Some(4));
        assert_eq!(workers.shrink(at(1)), None, "the others of the same moment");
        assert_eq!(workers.shrink(at(6)), Some(2));
        assert_eq!(workers.shrink(at(12)), Some(1));
        assert_eq!(workers.shrink(at(18)), None, "one is the least");
        workers.grow(at(47));
        assert_eq!(workers.allowed, 1);
        workers.grow(at(48));
        assert_eq!(workers.allowed, 2);
        workers.grow(at(48 + 10 * 30));
        assert_eq!(workers.allowed, 8, "and no more than there were");
    }

    #[test]
    fn what_is_urgent_has_a_place_of_its_own_while_there_are_fewer() {
        let now = Instant::now();
        let mut workers = Workers::new(2, now);
        assert!(workers.take(Urgency::Ordinary, now) && workers.take(Urgency::Urgent, now));
        assert!(!workers.take(Urgency::Urgent, now), "the most is the most");
        workers.busy = 0;
        workers.shrink(now);
        assert!(workers.take(Urgency::Ordinary, now));
        assert!(!workers.take(Urgency::Ordinary, now));
        assert!(workers.take(Urgency::Urgent, now));
    }

    #[tokio::test]
    async fn no_more_requests_are_under_way_than_allowed() {
        let permits = Permits::new(1, Instant::now());
        let first = permits.take(Urgency::Ordinary).await;
        let second = permits.take(Urgency::Ordinary);
        tokio::pin!(second);
        assert!(futures_util::FutureExt::now_or_never(&mut second).is_none());
        drop(first);
        second.await;
    }
}
