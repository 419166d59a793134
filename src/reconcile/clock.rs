//! When a value changed, as far as two clocks that nobody coordinates can tell.
//!
//! Only intervals are known. They are compared after both were brought to the agent's clock by the
//! measured offset and widened by its uncertainty; where they overlap, time does not decide.

use jiff::{SignedDuration, Timestamp};

use crate::reconcile::{Side, Sides};

/// When something happened: after `after`, and not later than `until`, by one side's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The last moment at which it is known not to have happened yet.
    pub after: Timestamp,
    /// The first moment at which it is known to have happened.
    pub until: Timestamp,
}

/// How far a side's clock is ahead of ours, as measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skew {
    /// Ahead of ours by this much.
    pub offset: SignedDuration,
    /// Give or take this much.
    pub uncertainty: SignedDuration,
}

/// The clocks of both sides.
pub type Clocks = Sides<Skew>;

impl Interval {
    /// The interval by our clock.
    pub fn by_our_clock(self, skew: Skew) -> Self {
        let shift = |time: Timestamp, by: SignedDuration| {
            time.checked_add(by).unwrap_or(if by.is_negative() {
                Timestamp::MIN
            } else {
                Timestamp::MAX
            })
        };
        Self {
            after: shift(self.after, -skew.offset - skew.uncertainty),
            until: shift(self.until, -skew.offset + skew.uncertainty),
        }
    }
}

/// The side that changed last, or `None` where the intervals are missing, empty or overlap.
pub fn later(changed: Sides<Option<Interval>>, clocks: &Clocks) -> Option<Side> {
    let campaign = changed.campaign?.by_our_clock(clocks.campaign);
    let crm = changed.crm?.by_our_clock(clocks.crm);
    if campaign.until < campaign.after || crm.until < crm.after {
        None
    } else if campaign.until <= crm.after {
        Some(Side::Crm)
    } else if crm.until <= campaign.after {
        Some(Side::Campaign)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn interval(after: i64, until: i64) -> Interval {
        Interval { after: at(after), until: at(until) }
    }

    #[test]
    fn intervals_that_touch_no_more_than_at_their_ends_are_ordered() {
        let order = |campaign, crm| later(Sides { campaign, crm }, &Clocks::default());
        assert_eq!(order(Some(interval(0, 10)), Some(interval(10, 20))), Some(Side::Crm));
        assert_eq!(order(Some(interval(10, 20)), Some(interval(0, 10))), Some(Side::Campaign));
        assert_eq!(order(Some(interval(0, 11)), Some(interval(10, 20))), None);
        assert_eq!(
            order(Some(interval(5, 4)), Some(interval(10, 20))),
            None,
            "a clock that stepped back"
        );
        assert_eq!(order(None, Some(interval(10, 20))), None);
    }

    #[test]
    fn a_clock_that_runs_ahead_does_not_win_by_it() {
        let clocks = Clocks {
            campaign: Skew {
                offset: SignedDuration::from_secs(300),
                uncertainty: SignedDuration::from_secs(1),
            },
            crm: Skew::default(),
        };
        let order = |campaign, crm| later(Sides { campaign, crm }, &clocks);
        assert_eq!(order(Some(interval(300, 310)), Some(interval(11, 20))), Some(Side::Crm));
        assert_eq!(
            order(Some(interval(300, 310)), Some(interval(10, 20))),
            None,
            "within the uncertainty"
        );
    }
}
