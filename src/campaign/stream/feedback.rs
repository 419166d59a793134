//! When the server is told how far we are, and what.

use tokio::time::{Duration, Instant};

use crate::reconcile::Lsn;

/// A raised confirmation may wait this long for others: each one makes the server save the slot.
const RAISE_MAX: Duration = Duration::from_secs(1);
/// For a server that never times out (`wal_sender_timeout = 0`).
const SENDER_TIMEOUT_DEFAULT: Duration = Duration::from_mins(1);
/// Slower networks than any timeout below this could bear exist; it is also that of tests.
const SENDER_TIMEOUT_MIN: Duration = Duration::from_millis(300);

/// What kind of status is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Only say.
    Say,
    /// Say, and have the server answer: that is how a dead one is found out.
    AndAsk,
}

#[derive(Debug)]
pub(super) struct Feedback {
    received: Lsn,
    confirmed: Lsn,
    said_confirmed: Lsn,
    said_at: Instant,
    in_a_hurry: bool,
    sender_timeout: Duration,
    every: Duration,
}

impl Feedback {
    /// `every` is how often to say something at the least; a server that hangs up sooner is told
    /// more often.
    pub(super) fn new(
        from: Lsn,
        (sender_timeout, every): (Option<Duration>, Duration),
        now: Instant,
    ) -> Self {
        let sender_timeout =
            sender_timeout.unwrap_or(SENDER_TIMEOUT_DEFAULT).max(SENDER_TIMEOUT_MIN);
        Self {
            received: from,
            confirmed: from,
            said_confirmed: from,
            said_at: now,
            in_a_hurry: false,
            sender_timeout,
            every: every.min(sender_timeout / 3),
        }
    }

    pub(super) fn received(&self) -> Lsn {
        self.received
    }

    pub(super) fn confirmed(&self) -> Lsn {
        self.confirmed
    }

    pub(super) fn receive(&mut self, lsn: Lsn) {
        self.received = self.received.max(lsn);
    }

    pub(super) fn confirm(&mut self, durable: Lsn) {
        assert!(
            durable <= self.received,
            "confirming {durable}, which lies ahead of {}, would lose what is between",
            self.received
        );
        self.confirmed = self.confirmed.max(durable);
    }

    pub(super) fn hurry(&mut self) {
        self.in_a_hurry = true;
    }

    /// A server that we ask this often and that stays silent this long is gone.
    pub(super) fn silence_max(&self) -> Duration {
        self.sender_timeout
    }

    /// When something must be said at the latest, as things stand.
    pub(super) fn due_at(&self) -> Instant {
        if self.in_a_hurry {
            return self.said_at;
        }
        let regular = self.every;
        if self.said_confirmed < self.confirmed {
            return self.said_at + regular.min(RAISE_MAX);
        }
        self.said_at + regular
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due_at() <= now
    }

    /// What to say now that it is due.
    pub(super) fn status(&mut self, now: Instant) -> Status {
        let is_regular = self.said_at + self.every <= now;
        self.said_at = now;
        self.said_confirmed = self.confirmed;
        self.in_a_hurry = false;
        if is_regular { Status::AndAsk } else { Status::Say }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: (Option<Duration>, Duration) =
        (Some(Duration::from_mins(1)), Duration::from_mins(10));

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn silence_is_broken_in_time_and_answered() {
        let start = Instant::now();
        let mut feedback = Feedback::new(Lsn(5), MINUTE, start);
        assert!(!feedback.is_due(start + seconds(19)));
        assert!(feedback.is_due(start + seconds(20)));
        assert_eq!(feedback.status(start + seconds(20)), Status::AndAsk);
        assert!(!feedback.is_due(start + seconds(39)));
    }

    #[test]
    fn it_is_broken_more_often_where_that_is_wanted() {
        let start = Instant::now();
        let mut feedback = Feedback::new(Lsn(5), (MINUTE.0, seconds(4)), start);
        assert!(!feedback.is_due(start + seconds(3)));
        assert!(feedback.is_due(start + seconds(4)));
        assert_eq!(feedback.status(start + seconds(4)), Status::AndAsk);
        assert_eq!(feedback.silence_max(), seconds(60), "and no sooner taken for dead");
    }

    #[test]
    fn a_raised_position_is_told_within_a_second() {
        let start = Instant::now();
        let mut feedback = Feedback::new(Lsn(5), MINUTE, start);
        feedback.receive(Lsn(9));
        feedback.confirm(Lsn(9));
        assert!(!feedback.is_due(start));
        assert!(feedback.is_due(start + seconds(1)));
        assert_eq!(feedback.status(start + seconds(1)), Status::Say);
        feedback.confirm(Lsn(9));
        assert!(!feedback.is_due(start + seconds(20)), "nothing new was confirmed");
    }

    #[test]
    fn a_wish_for_a_reply_is_met_at_once() {
        let start = Instant::now();
        let mut feedback = Feedback::new(Lsn(5), MINUTE, start);
        feedback.hurry();
        assert!(feedback.is_due(start));
        feedback.status(start);
        assert!(!feedback.is_due(start));
    }

    #[test]
    fn a_position_never_steps_back() {
        let mut feedback = Feedback::new(Lsn(5), MINUTE, Instant::now());
        feedback.receive(Lsn(9));
        feedback.receive(Lsn(7));
        feedback.confirm(Lsn(8));
        feedback.confirm(Lsn(6));
        assert_eq!((feedback.received(), feedback.confirmed()), (Lsn(9), Lsn(8)));
    }

    #[test]
    #[should_panic(expected = "confirming 0/9, which lies ahead of 0/5")]
    fn what_never_came_is_never_confirmed() {
        Feedback::new(Lsn(5), MINUTE, Instant::now()).confirm(Lsn(9));
    }
}
