//! How fast an account may be called: a second, at once, a day, and not at all for a while.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock as _;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::time::Instant;

use crate::crm::http::budget::{Budget, Paused, Reported, Spend, Urgency, Usage};
use crate::crm::http::stop::Stop;
use crate::crm::http::workers::{Permit, Permits};
use crate::peer::PeerError;

/// An account's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests a second.
    pub per_second: NonZeroU32,
    /// Requests under way at once.
    pub in_flight: NonZeroU32,
    /// Calls of ours in 24 hours; without it only the CRM's own limit counts.
    pub per_day: Option<u64>,
    /// How much of a day's calls is kept for consent.
    pub reserve_percent: u8,
    /// How long to leave an account alone that has used up its day, before one call asks again.
    pub probe: Duration,
}

impl Default for Limits {
    /// Salesforce counts only calls of 20 seconds and more at once, 25 of them; a fifth of the
    /// day's calls stays for consent, since an opt-out must go out also at the end of a bad day.
    fn default() -> Self {
        const SECOND: NonZeroU32 = NonZeroU32::new(20).expect("is not zero");
        const AT_ONCE: NonZeroU32 = NonZeroU32::new(8).expect("is not zero");
        Self {
            per_second: SECOND,
            in_flight: AT_ONCE,
            per_day: None,
            reserve_percent: 20,
            probe: Duration::from_mins(5),
        }
    }
}

/// Whether a request may go out.
#[derive(Debug)]
pub(super) enum Admission<'a> {
    /// It may; the permit is held until it is answered.
    Go(Permit<'a>),
    /// Not before it was asked whether the day's calls are back.
    Probe,
}

/// Waits shorter than this are slept through; longer ones are the caller's to know of.
const NAP: Duration = Duration::from_secs(5);

/// Lets requests pass one by one.
#[derive(Debug)]
pub(super) struct Gate {
    limits: Limits,
    second: DefaultDirectRateLimiter,
    at_once: Permits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    budget: Budget,
    closed: Option<(Instant, String)>,
    stop: Stop,
    /// Why the account is not to be called at all, for as long as this process runs.
    barred: Option<String>,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Self {
        let now = Instant::now();
        let budget = Budget::new(limits.per_day, limits.reserve_percent, now);
        Self {
            limits,
            second: RateLimiter::direct(Quota::per_second(limits.per_second)),
            at_once: Permits::new(limits.in_flight.get(), now),
            state: Mutex::new(State { budget, closed: None, stop: Stop::default(), barred: None }),
        }
    }

    /// Waits until a request may go out, for a while.
    pub(super) async fn admit(&self, urgency: Urgency) -> Result<Admission<'_>, PeerError> {
        self.stands()?;
        let permit = self.at_once.take(urgency).await;
        while let Some((after, why)) = self.closed(Instant::now()) {
            if after > NAP {
                return Err(PeerError::Throttled { after, why });
            }
            tokio::time::sleep(after).await;
        }
        match self.with(|state| state.budget.take(urgency, Instant::now(), self.limits.probe)) {
            Spend::Taken => {}
            Spend::Probe => return Ok(Admission::Probe),
            Spend::Wait(after) => {
                return Err(PeerError::Throttled { after, why: used_up(urgency) });
            }
        }
        while let Err(early) = self.second.check() {
            tokio::time::sleep(early.wait_time_from(self.second.clock().now())).await;
        }
        Ok(Admission::Go(permit))
    }

    /// Whether the account may be called, or what it said when it refused.
    pub(super) fn stands(&self) -> Result<(), PeerError> {
        self.with(|state| match &state.barred {
            Some(why) => Err(PeerError::Denied { why: why.clone() }),
            None => state.stop.check(Instant::now()),
        })
    }

    /// Nothing is to be asked of the account any more.
    pub(super) fn bar(&self, why: String) {
        self.with(|state| state.barred = Some(why));
    }

    /// The account refuses to be called: it is left alone, where this error is such a refusal.
    pub(super) fn refused(&self, error: &PeerError) {
        if let Some(again_in) = self.with(|state| state.stop.take(error, Instant::now())) {
            tracing::debug!(?again_in, "the account refuses, and is left alone");
        }
    }

    /// The account answers.
    pub(super) fn answered(&self) {
        self.with(|state| state.stop.answered());
    }

    /// Stops all workers of the account for a while.
    pub(super) fn close(&self, how_long: Duration, why: &str) {
        let until = Instant::now() + how_long;
        self.with(|state| {
            if state.closed.as_ref().is_none_or(|(other, _)| *other < until) {
                state.closed = Some((until, why.to_owned()));
            }
        });
    }

    /// A sign that calls of ours, or of others, are too many at once.
    pub(super) fn crowded(&self) {
        if let Some(allowed) = self.at_once.shrink(Instant::now()) {
            tracing::warn!(allowed, "the organisation is crowded: fewer calls are made at once");
        }
    }

    /// The other side advises so many calls at once.
    pub(super) fn advise(&self, most: u32) {
        self.at_once.advise(most, Instant::now());
    }

    /// Leaves the account alone until a probe learns that the day's calls are back.
    pub(super) fn exhausted(&self) -> PeerError {
        self.with(|state| state.budget.exhausted(Instant::now()));
        PeerError::Throttled { after: self.limits.probe, why: used_up(Urgency::Urgent) }
    }

    pub(super) fn report(&self, reported: Reported) {
        self.with(|state| state.budget.report(reported, Instant::now()));
    }

    pub(super) fn usage(&self) -> Usage {
        let now = Instant::now();
        let closed = self.closed(now).map(|_| Paused::Asked);
        self.with(|state| {
            let usage = state.budget.usage(now);
            let barred = state.barred.as_ref().map(|_| Paused::Refused);
            let stopped = barred.or(state.stop.reason(now));
            let at_once = self.at_once.allowed(now);
            Usage { paused: stopped.or(usage.paused).or(closed), at_once, ..usage }
        })
    }

    /// How many of the day's calls are left to what is so urgent, where there is a limit.
    pub(super) fn left_for(&self, urgency: Urgency) -> Option<u64> {
        self.with(|state| state.budget.left_for(urgency, Instant::now()))
    }

    fn closed(&self, now: Instant) -> Option<(Duration, String)> {
        self.with(|state| {
            let (until, why) = state.closed.as_ref()?;
            let left = until.checked_duration_since(now).filter(|left| !left.is_zero())?;
            Some((left, why.clone()))
        })
    }

    /// The state is plain numbers: one that a panic left behind is as good as any.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn used_up(urgency: Urgency) -> String {
    match urgency {
        Urgency::Ordinary => "the calls of 24 hours are used up, but for the reserve for consent",
        Urgency::Feed => {
            "the calls of 24 hours are used up, but for the half of the reserve that is for writes of \
             consent"
        }
        Urgency::Urgent | Urgency::Probe => "the calls of 24 hours are used up",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_account_is_left_alone_until_the_latest_time_that_was_asked_for() {
        let gate = Gate::new(Limits::default());
        let now = Instant::now();
        assert_eq!(gate.closed(now), None);
        gate.close(Duration::from_mins(1), "busy");
        gate.close(Duration::from_secs(2), "busy too");
        let (after, why) = gate.closed(now).unwrap();
        assert!(after >= Duration::from_mins(1) && why == "busy");
        assert_eq!(gate.closed(now + Duration::from_secs(61)), None);
        let refused = gate.admit(Urgency::Urgent).await.unwrap_err();
        assert!(matches!(refused, PeerError::Throttled { after, .. } if after > NAP));
    }
}
