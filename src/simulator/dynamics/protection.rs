//! Service protection: what one user may ask of the service within five minutes.

use std::collections::{BTreeMap, VecDeque};

use super::super::clock::Millis;

/// Requests that are remembered beyond the limit; more say no more.
const REMEMBERED_MAX: usize = 100_000;

/// A limit that was met.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Met {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) retry_after_s: i64,
}

/// The accounts of the app's user.
#[derive(Debug)]
pub(super) struct Protection {
    /// Requests in a window.
    pub(super) requests_max: usize,
    /// Milliseconds of execution in a window, over all requests.
    pub(super) execution_max_ms: Millis,
    /// Requests at one time.
    pub(super) concurrent_max: usize,
    pub(super) window_ms: Millis,
    /// What a request costs at least: a service works also where a simulator does not.
    pub(super) cost_ms: Millis,
    /// Requests of others that run, as a test orders them.
    pub(super) busy: usize,
    /// What the answers recommend.
    pub(super) parallelism: u32,
    /// Requests that were refused.
    pub(super) refused: u64,
    begun: VecDeque<Millis>,
    executed: VecDeque<(Millis, Millis)>,
    open: BTreeMap<u64, Millis>,
}

impl Default for Protection {
    fn default() -> Protection {
        Protection {
            requests_max: 6_000,
            execution_max_ms: 1_200_000,
            concurrent_max: 52,
            window_ms: 300_000,
            cost_ms: 0,
            busy: 0,
            parallelism: 4,
            refused: 0,
            begun: VecDeque::new(),
            executed: VecDeque::new(),
            open: BTreeMap::new(),
        }
    }
}

impl Protection {
    /// A request begins to run.
    pub(super) fn begin(&mut self, number: u64, now: Millis) {
        self.open.insert(number, now);
    }

    /// A request ends; its time is counted.
    pub(super) fn end(&mut self, number: u64, now: Millis) {
        if let Some(begun) = self.open.remove(&number) {
            self.executed.push_back((now, (now - begun).max(self.cost_ms)));
        }
    }

    /// Takes in a request that runs, or says which limit it meets. Those that are refused count,
    /// so that who keeps sending waits longer.
    pub(super) fn admit(&mut self, number: u64, now: Millis) -> Result<(), Met> {
        self.forget(now);
        self.begun.push_back(now);
        let met = self.met(number, now);
        self.refused += u64::from(met.is_some());
        met.map_or(Ok(()), Err)
    }

    fn met(&self, number: u64, now: Millis) -> Option<Met> {
        let seconds = self.window_ms / 1000;
        let wait = |until: Millis| ((until - now + 999) / 1000).max(1);
        if self.requests_max < self.begun.len() {
            // So many must become older than the window before one more has its place.
            let over = self.begun.len() - self.requests_max - 1;
            let oldest = self.begun.get(over).copied().unwrap_or(now);
            return Some(Met {
                code: "0x80072322",
                message: format!(
                    "Number of requests exceeded the limit of {} over time window of {seconds} \
                     seconds.",
                    self.requests_max
                ),
                retry_after_s: wait(oldest + self.window_ms),
            });
        }
        let spent: Millis = self.executed.iter().map(|(_, cost)| cost).sum();
        if self.execution_max_ms < spent {
            let mut over = spent - self.execution_max_ms;
            let frees = self.executed.iter().find(|(_, cost)| {
                over -= cost;
                over <= 0
            });
            let at = frees.map_or(now, |(at, _)| *at);
            return Some(Met {
                code: "0x80072321",
                message: format!(
                    "Combined execution time of incoming requests exceeded limit of {} milliseconds \
                     over time window of {seconds} seconds. Decrease number of concurrent requests \
                     or reduce the duration of requests and try again later.",
                    thousands(self.execution_max_ms)
                ),
                retry_after_s: wait(at + self.window_ms),
            });
        }
        let others = self.open.keys().filter(|open| **open != number).count() + self.busy;
        (self.concurrent_max <= others).then(|| Met {
            code: "0x80072326",
            message: format!(
                "Number of concurrent requests exceeded the limit of {}.",
                self.concurrent_max
            ),
            retry_after_s: 1,
        })
    }

    fn forget(&mut self, now: Millis) {
        let from = now - self.window_ms;
        while self.begun.front().is_some_and(|at| *at <= from) {
            self.begun.pop_front();
        }
        while REMEMBERED_MAX < self.begun.len() {
            self.begun.pop_front();
        }
        while self.executed.front().is_some_and(|(at, _)| *at <= from) {
            self.executed.pop_front();
        }
    }

    /// What is left in the window: requests, and seconds as the headers write them.
    pub(super) fn left(&mut self, now: Millis) -> (usize, String) {
        self.forget(now);
        let spent: Millis = self.executed.iter().map(|(_, cost)| cost).sum();
        let left = (self.execution_max_ms - spent).max(0);
        let seconds = format!("{}.{:02}", thousands(left / 1000), left % 1000 / 10);
        (self.requests_max.saturating_sub(self.begun.len()), seconds)
    }

    /// Forgets what was asked so far.
    pub(super) fn clear(&mut self) {
        self.begun.clear();
        self.executed.clear();
    }

    /// So many requests of the window are used, at this moment.
    pub(super) fn use_up(&mut self, requests: usize, now: Millis) {
        self.begun = vec![now; requests.min(REMEMBERED_MAX)].into();
    }
}

/// A whole number with commas, as texts and headers of the service have it.
pub(super) fn thousands(number: i64) -> String {
    let digits = number.abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if 0 < at && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_in_a_sliding_window() {
        let mut accounts = Protection { requests_max: 2, ..Protection::default() };
        for (number, at) in [(1, 0), (2, 100_000)] {
            assert_eq!(accounts.admit(number, at), Ok(()));
        }
        let met = accounts.admit(3, 200_000).unwrap_err();
        assert_eq!((met.code, met.retry_after_s), ("0x80072322", 100));
        let again = accounts.admit(4, 200_000).unwrap_err();
        assert_eq!(again.retry_after_s, 200, "who keeps sending waits longer");
        assert!(accounts.admit(5, 500_001).is_ok());
    }

    #[test]
    fn execution_and_concurrency_are_counted_too() {
        let mut accounts = Protection { execution_max_ms: 1_000, ..Protection::default() };
        accounts.begin(1, 0);
        accounts.end(1, 1_500);
        let met = accounts.admit(2, 2_000).unwrap_err();
        assert_eq!((met.code, met.retry_after_s), ("0x80072321", 300));
        assert!(met.message.contains("limit of 1,000 milliseconds"), "{}", met.message);
        accounts.clear();
        accounts.concurrent_max = 1;
        accounts.begin(3, 0);
        assert!(accounts.admit(3, 0).is_ok(), "it does not stand in its own way");
        assert_eq!(accounts.admit(4, 0).unwrap_err().code, "0x80072326");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(thousands(1_200), "1,200");
        assert_eq!(thousands(-1_234_567), "-1,234,567");
        assert_eq!(thousands(12), "12");
    }
}
