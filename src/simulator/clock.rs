//! A simulated organisation's own clock: real time, moved and stretched as a test asks.
//!
//! Everything below takes its time as an argument; the servers read this clock once a request.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Milliseconds since 1970, by the organisation's clock.
pub(super) type Millis = i64;

/// Maps real time to the organisation's: `simulated + (now - real) * scale`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    real: Millis,
    simulated: Millis,
    scale: f64,
}

impl Clock {
    /// A clock that shows real time.
    pub(super) fn new() -> Clock {
        let now = real_now();
        Clock { real: now, simulated: now, scale: 1.0 }
    }

    /// What the clock shows.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a test's milliseconds fit a double"
    )]
    pub(super) fn now(&self) -> Millis {
        self.simulated + ((real_now() - self.real) as f64 * self.scale) as i64
    }

    /// How far the clock is from real time.
    pub(super) fn offset(&self) -> Millis {
        self.now() - real_now()
    }

    /// How fast it goes.
    pub(super) fn scale(&self) -> f64 {
        self.scale
    }

    /// Shows `at` from now on.
    pub(super) fn set(&mut self, at: Millis) {
        *self = Clock { real: real_now(), simulated: at, scale: self.scale };
    }

    /// Shows real time plus `offset`.
    pub(super) fn set_offset(&mut self, offset: Millis) {
        self.set(real_now() + offset);
    }

    /// Goes `scale` times as fast as real time from now on; 0 stops it.
    pub(super) fn set_scale(&mut self, scale: f64) {
        *self = Clock { real: real_now(), simulated: self.now(), scale };
    }
}

/// The second that holds `at`: what the dates of records keep.
pub(super) fn second(at: Millis) -> i64 {
    at.div_euclid(1000)
}

/// An RFC 1123 date for the `Date` and `Last-Modified` headers.
pub(super) fn http_date(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .map(|at| at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .unwrap_or_default()
}

/// Reads an RFC 1123 date.
pub(super) fn parse_http_date(text: &str) -> Option<i64> {
    let civil = text.trim().strip_suffix("GMT")?.trim_end();
    let at = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S", civil).ok()?;
    Some(jiff::tz::TimeZone::UTC.to_timestamp(at).ok()?.as_second())
}

#[expect(clippy::disallowed_methods, reason = "the one place where the simulators read real time")]
fn real_now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_headers_are_read_as_they_are_printed() {
        assert_eq!(http_date(1_793_448_000), "Sat, 31 Oct 2026 12:00:00 GMT");
        assert_eq!(parse_http_date("Sat, 31 Oct 2026 12:00:00 GMT"), Some(1_793_448_000));
        assert_eq!(parse_http_date("yesterday"), None);
    }

    #[test]
    fn a_stopped_clock_stays_where_it_was_set() {
        let mut clock = Clock::new();
        clock.set_scale(0.0);
        clock.set(5_000);
        assert_eq!(clock.now(), 5_000);
        assert_eq!(second(-1), -1);
    }
}
