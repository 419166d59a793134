//! The agent's clock: our time, the ticks that order what a CRM was asked, measured clocks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use jiff::Timestamp;

use crate::reconcile::{Clocks, Side, Sides, Skew};

use super::epochs::Epochs;
use super::time::Clock;

/// The clock of a leader. Its ticks are above those of all leaders before it.
#[derive(Debug)]
pub struct AgentClock {
    term: u64,
    counter: AtomicU64,
    epochs: Epochs,
    clocks: RwLock<Vec<Clocks>>,
}

/// How many bits a leader's own ticks have: at a million reads a second they last for 12 days,
/// and no CRM allows a hundred; the term above them has 23.
const COUNTER_BITS: u32 = 40;

impl AgentClock {
    /// The clock of the leader of this term.
    pub fn new(term: u64, epochs: Epochs) -> Self {
        assert!(term < 1 << 23, "a term is a count of elections");
        let clocks = RwLock::new(vec![Clocks::default(); epochs.crms.len()]);
        Self { term, counter: AtomicU64::new(0), epochs, clocks }
    }

    /// Notes how far a side's clock is ahead of ours; Campaign's is the same for all accounts.
    pub fn measured(&self, account: usize, side: Side, skew: Skew) {
        let mut clocks = self.clocks.write().unwrap_or_else(PoisonError::into_inner);
        match side {
            Side::Campaign => clocks.iter_mut().for_each(|clocks| clocks.campaign = skew),
            Side::Crm => clocks.iter_mut().skip(account).take(1).for_each(|c| c.crm = skew),
        }
    }
}

impl Clock for AgentClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the loops read the clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn tick(&self) -> u64 {
        (self.term << COUNTER_BITS) | (self.counter.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn leading_since(&self) -> u64 {
        self.term << COUNTER_BITS
    }

    fn epochs(&self, account: usize) -> Sides<u32> {
        let crm = self.epochs.crms.get(account).copied().unwrap_or(1);
        Sides { campaign: self.epochs.campaign, crm }
    }

    fn clocks(&self, account: usize) -> Clocks {
        let clocks = self.clocks.read().unwrap_or_else(PoisonError::into_inner);
        clocks.get(account).copied().unwrap_or_default()
    }

    fn ledger_epoch(&self) -> u32 {
        self.epochs.ledger
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn clock(term: u64) -> AgentClock {
        AgentClock::new(term, Epochs { ledger: 1, campaign: 1, crms: vec![1, 1] })
    }

    #[test]
    fn a_later_leaders_first_tick_is_above_all_of_an_earlier_ones() {
        let (first, second) = (clock(7), clock(8));
        let earlier: Vec<u64> = (0..1000).map(|_| first.tick()).collect();
        assert!(earlier.is_sorted_by(|a, b| a < b));
        assert!(earlier.iter().all(|tick| first.leading_since() < *tick));
        assert!(earlier.iter().all(|tick| *tick < second.leading_since()));
    }

    #[test]
    fn campaigns_clock_is_everybodys_and_a_crms_its_own() {
        let clock = clock(1);
        let ahead =
            |seconds| Skew { offset: SignedDuration::from_secs(seconds), ..Skew::default() };
        clock.measured(0, Side::Campaign, ahead(3));
        clock.measured(1, Side::Crm, ahead(9));
        let offsets = |account| {
            let Clocks { campaign, crm } = clock.clocks(account);
            (campaign.offset.as_secs(), crm.offset.as_secs())
        };
        assert_eq!((offsets(0), offsets(1)), ((3, 0), (3, 9)));
    }
}
