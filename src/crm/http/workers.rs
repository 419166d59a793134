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
    /// What the other side advises.
    advised: u32,
    allowed: u32,
    busy: u32,
    /// How many of these are not urgent.
    patient: u32,
    /// How many urgent calls wait for a place.
    waiting: u32,
    /// When it last shrank.
    shrunk: Option<Instant>,
    /// Since when nothing has changed it.
    steady: Instant,
}

impl Workers {
    fn new(most: u32, now: Instant) -> Self {
        assert!(0 < most, "an account without calls would wait forever");
        Self {
            most,
            advised: u32::MAX,
            allowed: most,
            busy: 0,
            patient: 0,
            waiting: 0,
            shrunk: None,
            steady: now,
        }
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
        while self.allowed < self.most.min(self.advised) && self.steady + MORE_AFTER <= now {
            self.allowed += 1;
            self.steady += MORE_AFTER;
        }
    }

    /// The other side advises so many; no more are allowed, however many are configured.
    fn advise(&mut self, advised: u32, now: Instant) {
        self.grow(now);
        if advised.max(1) != self.advised {
            (self.advised, self.steady) = (advised.max(1), now);
            self.allowed = self.allowed.min(self.advised);
        }
    }

    /// Takes a place, if there is one. One is always kept for what is urgent, or made for it where
    /// there is a single one: it never waits for slow calls alone, and goes first where it waits.
    fn take(&mut self, urgency: Urgency, now: Instant) -> bool {
        self.grow(now);
        let free = if is_urgent(urgency) {
            self.busy < self.allowed + u32::from(self.allowed < self.most)
        } else {
            let most = self.allowed.saturating_sub(1).max(1);
            self.waiting == 0 && self.patient < most && self.busy < self.allowed
        };
        self.busy += u32::from(free);
        self.patient += u32::from(free && !is_urgent(urgency));
        free
    }

    fn give_back(&mut self, urgency: Urgency) {
        self.busy -= 1;
        self.patient -= u32::from(!is_urgent(urgency));
    }
}

/// Whether a call is not to wait for others.
fn is_urgent(urgency: Urgency) -> bool {
    match urgency {
        Urgency::Ordinary | Urgency::Feed => false,
        Urgency::Urgent | Urgency::Probe => true,
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
pub(super) struct Permit<'a> {
    of: &'a Permits,
    urgency: Urgency,
}

/// An urgent call that waits: others do not go before it.
struct Waiting<'a>(&'a Permits);

impl Permits {
    pub(super) fn new(most: u32, now: Instant) -> Self {
        Self { workers: Mutex::new(Workers::new(most, now)), freed: Notify::new() }
    }

    /// Waits for a place.
    pub(super) async fn take(&self, urgency: Urgency) -> Permit<'_> {
        let mut waiting = None;
        loop {
            let next = self.freed.notified();
            tokio::pin!(next);
            next.as_mut().enable();
            if self.with(|workers| workers.take(urgency, Instant::now())) {
                return Permit { of: self, urgency };
            }
            if is_urgent(urgency) && waiting.is_none() {
                waiting = Some(Waiting::of(self));
            }
            next.await;
        }
    }

    /// A sign of crowding over there; says how many calls are allowed now, where that is fewer.
    pub(super) fn shrink(&self, now: Instant) -> Option<u32> {
        self.with(|workers| workers.shrink(now))
    }

    /// The other side advises so many at once.
    pub(super) fn advise(&self, advised: u32, now: Instant) {
        self.with(|workers| workers.advise(advised, now));
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
        self.of.with(|workers| workers.give_back(self.urgency));
        self.of.freed.notify_waiters();
    }
}

impl<'a> Waiting<'a> {
    fn of(permits: &'a Permits) -> Self {
        permits.with(|workers| workers.waiting += 1);
        Self(permits)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.with(|workers| workers.waiting -= 1);
        self.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

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
    fn advice_is_a_cap_and_never_a_licence() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut workers = Workers::new(8, now);
        workers.advise(4, now);
        assert_eq!(workers.allowed, 4);
        workers.grow(at(3000));
        assert_eq!(workers.allowed, 4);
        workers.advise(100, at(3000));
        workers.grow(at(9000));
        assert_eq!(workers.allowed, 8, "what is configured is the most");
    }

    #[test]
    fn what_is_urgent_has_a_place_of_its_own_while_there_are_fewer() {
        let now = Instant::now();
        let mut workers = Workers::new(2, now);
        assert!(workers.take(Urgency::Ordinary, now) && workers.take(Urgency::Urgent, now));
        assert!(!workers.take(Urgency::Urgent, now), "the most is the most");
        workers.give_back(Urgency::Ordinary);
        workers.give_back(Urgency::Urgent);
        workers.shrink(now);
        assert!(workers.take(Urgency::Ordinary, now));
        assert!(!workers.take(Urgency::Ordinary, now));
        assert!(workers.take(Urgency::Urgent, now));
    }

    #[test]
    fn one_place_is_kept_for_what_is_urgent() {
        let now = Instant::now();
        let mut workers = Workers::new(3, now);
        let all = [Urgency::Ordinary, Urgency::Feed, Urgency::Ordinary];
        assert_eq!(all.map(|urgency| workers.take(urgency, now)), [true, true, false]);
        assert!(workers.take(Urgency::Urgent, now));
        workers.give_back(Urgency::Feed);
        assert!(workers.take(Urgency::Ordinary, now), "an urgent call holds no place of theirs");
    }

    #[tokio::test]
    async fn an_urgent_call_that_waits_goes_before_those_that_came_first() {
        let permits = Permits::new(1, Instant::now());
        let slow = permits.take(Urgency::Ordinary).await;
        let ordinary = permits.take(Urgency::Ordinary);
        let given_up = permits.take(Urgency::Urgent);
        tokio::pin!(ordinary);
        assert!(ordinary.as_mut().now_or_never().is_none() && given_up.now_or_never().is_none());
        let urgent = permits.take(Urgency::Urgent);
        tokio::pin!(urgent);
        assert!(urgent.as_mut().now_or_never().is_none());
        drop(slow);
        assert!(ordinary.as_mut().now_or_never().is_none());
        drop(urgent.as_mut().now_or_never().expect("the place is free"));
        assert!(ordinary.now_or_never().is_some(), "and nobody waits for who gave up");
    }

    #[tokio::test]
    async fn no_more_requests_are_under_way_than_allowed() {
        let permits = Permits::new(1, Instant::now());
        let first = permits.take(Urgency::Ordinary).await;
        let second = permits.take(Urgency::Ordinary);
        tokio::pin!(second);
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        second.await;
    }
}
