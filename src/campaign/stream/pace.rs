//! When to wait before reading again.
//!
//! Measured on one million single-row changes: reading at once takes 165 to 258 thousand reads,
//! waiting a millisecond 10 to 16 thousand, with a third less time of the client and up to a
//! quarter less of the server. A change that comes alone must not wait, so it is the rate that
//! decides, and a read that filled the buffer is followed by another at once.

use tokio::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_millis(3);
const BUSY_BYTES: f64 = 16_384.0;

#[derive(Debug)]
pub(super) struct Pace {
    /// How long to let rows pile up.
    pause: Duration,
    window_began: Instant,
    window_bytes: f64,
    is_busy: bool,
}

impl Pace {
    pub(super) fn new(pause: Duration, now: Instant) -> Self {
        Self { pause, window_began: now, window_bytes: 0.0, is_busy: false }
    }

    /// Takes note of a read.
    pub(super) fn read(&mut self, bytes: usize, now: Instant) {
        self.window_bytes += f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
        let elapsed = now.duration_since(self.window_began);
        if WINDOW <= elapsed {
            // By rate: a window that a quiet time has stretched is not busy, however much came at
            // its end.
            let windows = elapsed.as_secs_f64() / WINDOW.as_secs_f64();
            self.is_busy = BUSY_BYTES * windows < self.window_bytes;
            self.window_began = now;
            self.window_bytes = 0.0;
        }
    }

    /// How long to wait before the next read, where much came just now and more is on its way.
    pub(super) fn pause(&self) -> Option<Duration> {
        (self.is_busy && !self.pause.is_zero()).then_some(self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(3);

    fn after(delay: Duration, reads: &[(u64, usize)]) -> Option<Duration> {
        let start = Instant::now();
        let mut pace = Pace::new(delay, start);
        for (at_us, bytes) in reads {
            pace.read(*bytes, start + Duration::from_micros(*at_us));
        }
        pace.pause()
    }

    fn busy_after(reads: &[(u64, usize)]) -> bool {
        after(DELAY, reads).is_some()
    }

    #[test]
    fn a_lone_change_is_read_at_once() {
        assert!(!busy_after(&[]));
        assert!(!busy_after(&[(2_000, 400), (4_000, 400), (6_000, 400), (8_000, 400)]));
    }

    #[test]
    fn a_flood_is_let_pile_up() {
        let flood: Vec<(u64, usize)> = (1..100).map(|i| (i * 50, 600)).collect();
        assert_eq!(after(DELAY, &flood), Some(DELAY));
        assert_eq!(after(Duration::ZERO, &flood), None, "where no delay is wanted, there is none");
    }

    #[test]
    fn after_a_quiet_time_the_next_change_is_read_at_once() {
        let mut reads: Vec<(u64, usize)> = (1..100).map(|i| (i * 50, 600)).collect();
        reads.push((500_000, 30_000));
        assert!(!busy_after(&reads));
    }
}
