//! Calls that take long, and how many of them run at one time.
//!
//! Only calls that last some while count: a client that sends many short ones at once never meets
//! this limit (Salesforce: "API Request Limits and Allocations").

use std::collections::BTreeMap;

use super::clock::Millis;
use super::refusal::Refusal;

/// The calls that are under way.
#[derive(Debug)]
pub(super) struct Concurrency {
    /// Long calls that may run at one time.
    pub(super) max: usize,
    /// From when on a call is long.
    pub(super) long_ms: Millis,
    /// Long calls of other clients, as a test orders them.
    pub(super) busy: usize,
    open: BTreeMap<u64, Millis>,
}

impl Default for Concurrency {
    fn default() -> Concurrency {
        Concurrency { max: 25, long_ms: 20_000, busy: 0, open: BTreeMap::new() }
    }
}

impl Concurrency {
    pub(super) fn begin(&mut self, number: u64, now: Millis) {
        self.open.insert(number, now);
    }

    pub(super) fn end(&mut self, number: u64) {
        self.open.remove(&number);
    }

    /// Long calls that run, but for the one that asks.
    pub(super) fn long(&self, number: u64, now: Millis) -> usize {
        let is_long =
            |(one, since): &(&u64, &Millis)| **one != number && self.long_ms <= now - **since;
        self.busy + self.open.iter().filter(is_long).count()
    }

    /// Lets a call in, unless too many run.
    pub(super) fn admit(&self, number: u64, now: Millis) -> Result<(), Refusal> {
        if self.long(number, now) < self.max {
            return Ok(());
        }
        let message = "ConcurrentRequests (Concurrent API Requests) Limit exceeded.";
        Err(Refusal::new("REQUEST_LIMIT_EXCEEDED", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_calls_do_not_count() {
        let mut calls = Concurrency { max: 2, long_ms: 100, ..Concurrency::default() };
        calls.begin(1, 0);
        calls.begin(2, 0);
        assert!(calls.admit(3, 99).is_ok());
        assert!(calls.admit(3, 100).is_err());
        assert!(calls.admit(2, 100).is_ok(), "it does not stand in its own way");
        calls.end(1);
        assert!(calls.admit(3, 100).is_ok());
        calls.busy = 1;
        assert!(calls.admit(3, 100).is_err());
    }
}
