//! How long to wait before the next try: exponential, with jitter, bounded; and before the next poll.
//!
//! The one place that knows the package `backoff`, which nobody maintains any more, so that it
//! can be exchanged in an hour. Only delays are computed here; the caller sleeps.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// How fast tries follow each other, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The first delay, give or take half of it.
    pub first: Duration,
    /// The longest delay.
    pub longest: Duration,
    /// How often something is tried again.
    pub again: u32,
}

impl Default for Pace {
    /// Half a second to half a minute: five tries outlast a fail-over, and hammer nobody.
    fn default() -> Self {
        Self { first: Duration::from_millis(500), longest: Duration::from_secs(30), again: 5 }
    }
}

/// The delays of one call, one after the other.
#[derive(Debug)]
pub struct Delays {
    backoff: ExponentialBackoff,
    left: u32,
}

impl Delays {
    /// The delays of a call that is about to be tried for the first time.
    pub fn new(pace: Pace) -> Self {
        let backoff = ExponentialBackoff {
            current_interval: pace.first,
            initial_interval: pace.first,
            max_interval: pace.longest,
            multiplier: 2.0,
            // The number of tries ends a call, not a clock.
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Self { backoff, left: pace.again }
    }
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        self.backoff.next_backoff()
    }
}

/// The time until the next poll: longer when nothing happens, and when calls run short.
///
/// A poll may take a tenth of the calls that are left, spread over the day that they must last.
pub(super) fn poll_interval(
    (shortest, longest): (Duration, Duration),
    idle_polls: u32,
    left: Option<u64>,
) -> Duration {
    const DAY: Duration = Duration::from_hours(24);
    let idle = shortest.mul_f64(1.1_f64.powi(i32::try_from(idle_polls.min(60)).unwrap_or(60)));
    let frugal = match left {
        None => shortest,
        Some(left) => DAY / u32::try_from((left / 10).max(1)).unwrap_or(u32::MAX),
    };
    idle.max(frugal).clamp(shortest, longest.max(shortest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_with_jitter_up_to_a_bound_and_end() {
        let pace =
            Pace { first: Duration::from_secs(1), longest: Duration::from_secs(4), again: 5 };
        let delays: Vec<f64> = Delays::new(pace).map(|delay| delay.as_secs_f64()).collect();
        assert_eq!(delays.len(), 5);
        for (delay, middle) in delays.iter().zip([1.0, 2.0, 4.0, 4.0, 4.0]) {
            assert!((middle / 2.0..=middle * 1.5).contains(delay), "{delay} around {middle}");
        }
    }
}
