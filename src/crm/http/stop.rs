//! Whether an account is left alone because it said no: until when, and why.
//!
//! A refusal that lasts until a person has done something (a wrong secret, a user who is locked, an
//! app that was blocked) stops the whole account. It is asked again now and then, each time twice as
//! long after the last, so that it goes on by itself once it is mended, and nobody is hammered: what
//! refuses today may lock the user tomorrow.

use std::time::Duration;

use tokio::time::Instant;

use crate::crm::http::budget::Paused;
use crate::peer::PeerError;

/// How long the first refusal is believed.
const FIRST: Duration = Duration::from_mins(1);

/// The longest that one is believed: 144 attempts a day, of the 3,600 an hour that are allowed.
const LONGEST: Duration = Duration::from_mins(10);

/// Why and until when an account is left alone.
#[derive(Debug, Default)]
pub(super) struct Stop {
    said: Option<Said>,
    /// How many refusals came one after the other.
    row: u32,
}

#[derive(Debug)]
struct Said {
    until: Instant,
    why: String,
    /// Whether somebody must mend something first.
    mend: bool,
}

impl Stop {
    /// Takes in why the account could not be called; says how long it is left alone now.
    pub(super) fn take(&mut self, error: &PeerError, now: Instant) -> Option<Duration> {
        let (after, why, mend) = match error {
            PeerError::Denied { why } => {
                let after = FIRST.saturating_mul(1 << self.row.min(16)).min(LONGEST);
                self.row = self.row.saturating_add(1);
                (after, why, true)
            }
            PeerError::Throttled { after, why } => (*after, why, false),
            PeerError::Transient { .. }
            | PeerError::CursorLost { .. }
            | PeerError::NewEpoch { .. }
            | PeerError::Unfit { .. } => return None,
        };
        self.said = Some(Said { until: now + after, why: why.clone(), mend });
        Some(after)
    }

    /// It answers: what was said before is over.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// Why it is left alone, where it is.
    pub(super) fn reason(&self, now: Instant) -> Option<Paused> {
        let said = self.said.as_ref().filter(|said| now < said.until)?;
        Some(if said.mend { Paused::Refused } else { Paused::Asked })
    }

    /// Whether it may be called; the error is what it said, and not asked again for.
    pub(super) fn check(&self, now: Instant) -> Result<(), PeerError> {
        let Some(Said { until, why, mend }) = &self.said else { return Ok(()) };
        match until.checked_duration_since(now).filter(|left| !left.is_zero()) {
            None => Ok(()),
            Some(_) if *mend => Err(PeerError::Denied { why: why.clone() }),
            Some(after) => Err(PeerError::Throttled { after, why: why.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied() -> PeerError {
        PeerError::Denied { why: "no".to_owned() }
    }

    #[test]
    fn a_refusal_stops_the_account_longer_each_time_until_it_answers() {
        let (mut stop, now) = (Stop::default(), Instant::now());
        assert!(stop.check(now).is_ok());
        let waits: Vec<u64> =
            (0..6).map(|_| stop.take(&denied(), now).unwrap().as_secs() / 60).collect();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
        let soon = stop.check(now + Duration::from_secs(599));
        assert!(matches!(soon, Err(PeerError::Denied { why }) if why == "no"));
        assert_eq!(stop.reason(now), Some(Paused::Refused));
        assert!(stop.check(now + LONGEST).is_ok(), "it is asked once more");
        stop.answered();
        assert!(stop.check(now).is_ok());
        assert_eq!(stop.take(&denied(), now), Some(FIRST));
    }

    #[test]
    fn what_passes_by_itself_is_waited_for_as_long_as_it_said() {
        let (mut stop, now) = (Stop::default(), Instant::now());
        let after = Duration::from_mins(5);
        stop.take(&PeerError::Throttled { after, why: "too many logins".to_owned() }, now);
        let soon = stop.check(now + Duration::from_mins(2));
        let rest = Duration::from_mins(3);
        assert!(matches!(soon, Err(PeerError::Throttled { after, .. }) if after == rest));
        assert_eq!(stop.reason(now), Some(Paused::Asked));
        assert!(stop.check(now + after).is_ok());
        assert_eq!(stop.reason(now + after), None);
        let broken = PeerError::Transient { doing: "asking", source: "gone".into() };
        assert_eq!(stop.take(&broken, now), None);
    }
}
