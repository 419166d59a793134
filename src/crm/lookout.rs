//! When a feed with many pages to go looks ahead of them for opt-outs: between two pages, as often
//! as an idle feed is polled.

use std::time::Duration;

use tokio::time::Instant;

/// When to look ahead; never twice without a page between.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    next: Option<Instant>,
    looked: bool,
}

impl Lookout {
    /// The way begins: what is at its end is a poll's time away, if it is short.
    pub(super) fn set_out(&mut self, now: Instant, every: Duration) {
        self.next = Some(now + every);
    }

    /// A page of the way is read.
    pub(super) fn goes_on(&mut self) {
        self.looked = false;
    }

    /// Whether a look is due; if so, the next one is so much later.
    pub(super) fn is_due(&mut self, now: Instant, every: Duration) -> bool {
        if self.looked || self.next.is_some_and(|next| now < next) {
            return false;
        }
        (self.looked, self.next) = (true, Some(now + every));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(5);

    #[test]
    fn a_look_is_due_after_a_polls_time_and_a_page() {
        let (mut lookout, begin) = (Lookout::default(), Instant::now());
        let at = |second| begin + Duration::from_secs(second);
        lookout.set_out(begin, EVERY);
        lookout.goes_on();
        assert!(!lookout.is_due(at(4), EVERY), "the way may be short");
        assert!(lookout.is_due(at(5), EVERY));
        assert!(!lookout.is_due(at(60), EVERY), "no page came between");
        lookout.goes_on();
        assert!(lookout.is_due(at(60), EVERY));
        lookout.goes_on();
        assert!(!lookout.is_due(at(64), EVERY));
    }
}
