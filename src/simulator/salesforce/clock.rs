//! The organisation's clock, and dates as Salesforce prints them.

use jiff::Timestamp;

pub(super) use super::super::clock::{Clock, Millis, http_date, parse_http_date, second};

/// A date-time as Salesforce prints it: `2026-10-31T12:00:00.000+0000`.
pub(super) fn stamp(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(at) => at.strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string(),
        Err(_) => "9999-12-31T23:59:59.000+0000".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::stamp;

    #[test]
    fn dates_are_printed_as_salesforce_prints_them() {
        assert_eq!(stamp(1_793_448_000), "2026-10-31T12:00:00.000+0000");
    }
}
