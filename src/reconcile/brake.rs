//! The brake: a mapping that would delete or blank many records at once is held.

use std::time::Duration;

use jiff::Timestamp;

/// How much is too much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BrakeRule {
    /// This many records.
    pub records: u64,
    /// Or this share of the mapping's links, where that is more than a handful.
    pub share: f64,
    /// Within this long.
    pub window: Duration,
}

/// A mapping's brake. Plain data, kept in the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brake {
    /// When a record was let through, oldest first.
    pub passed: Vec<Timestamp>,
    /// Since when it is on.
    pub on_since: Option<Timestamp>,
}

impl Brake {
    /// Lets a record be deleted or blanked, or puts the brake on. It stays on until a person
    /// releases it.
    pub fn admit(&mut self, rule: &BrakeRule, links: u64, now: Timestamp) -> bool {
        if self.on_since.is_some() {
            return false;
        }
        self.passed.retain(|at| !super::observe::passed(*at, rule.window, now));
        let many = self.passed.len() as u64 + 1;
        if many > rule.records.min(share_of(rule.share, links)) {
            self.on_since = Some(now);
            return false;
        }
        self.passed.push(now);
        true
    }

    /// A person released it: the window begins anew.
    pub fn release(&mut self) {
        *self = Self::default();
    }
}

/// Below this a share says nothing: half of four records are two.
const SHARE_FLOOR: u64 = 10;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a count is a count"
)]
fn share_of(share: f64, links: u64) -> u64 {
    ((links as f64 * share) as u64).max(SHARE_FLOOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: BrakeRule = BrakeRule { records: 20, share: 0.1, window: Duration::from_mins(10) };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn it_goes_on_at_the_number_or_the_share_and_stays_on() {
        let admitted = |links, seconds: i64| {
            let mut brake = Brake::default();
            (0..100).filter(|n| brake.admit(&RULE, links, at(n * seconds))).count()
        };
        assert_eq!(admitted(1_000_000, 1), 20, "the number");
        assert_eq!(admitted(150, 1), 15, "the share");
        assert_eq!(admitted(4, 1), 10, "a share of a handful says nothing");
        assert_eq!(admitted(1_000_000, 60), 100, "slow enough");
    }

    #[test]
    fn released_it_lets_through_again() {
        let mut brake = Brake::default();
        while brake.admit(&RULE, 1_000_000, at(0)) {}
        assert!(!brake.admit(&RULE, 1_000_000, at(100_000)));
        brake.release();
        assert!(brake.admit(&RULE, 1_000_000, at(100_000)));
    }
}
