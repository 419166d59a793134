//! How far the server's clock is ahead of ours: measured when a stream starts, and every few minutes
//! from beside it, since clocks drift, and are set.
//!
//! The server's answer was given at some moment between our question and its arrival, so half of the
//! round trip is the uncertainty; the shortest of a few is taken, and a busy moment costs nothing.

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::Client;

use crate::campaign::peer_error;
use crate::peer::PeerError;
use crate::reconcile::Skew;

/// So many round trips are made, and the shortest counts.
const TRIES: usize = 3;

/// The server's clock has microseconds, and so has ours; the scheduler does not.
const UNCERTAINTY_MIN: SignedDuration = SignedDuration::from_millis(1);

/// A clock that was set, or one that drifted unseen: times of before and after it do not compare.
pub const JUMP: SignedDuration = SignedDuration::from_secs(1);

/// Measures it; `now` reads our clock.
pub async fn measure(
    client: &Client,
    now: &mut (dyn FnMut() -> Timestamp + Send),
) -> Result<Skew, PeerError> {
    let mut best: Option<Skew> = None;
    for _ in 0..TRIES {
        let before = now();
        let row = client.query_typed("select clock_timestamp()::text", &[]).await;
        let after = now();
        let rows = row.map_err(|error| peer_error("asking the server for its clock", error))?;
        let there = rows.first().and_then(|row| row.get::<_, &str>(0).parse().ok());
        let skew = there.map(|there| between(before, there, after));
        let better = |skew: &Skew| best.is_none_or(|best| skew.uncertainty < best.uncertainty);
        best = skew.filter(better).or(best);
    }
    best.ok_or_else(|| PeerError::Transient {
        doing: "asking the server for its clock",
        source: "it has an answer that is no time".into(),
    })
}

/// Whether the clocks moved against each other by more than what is not known of either measure
/// and than [`JUMP`]; by how much.
pub fn jumped(was: Skew, is: Skew) -> Option<SignedDuration> {
    let moved = is.offset.checked_sub(was.offset)?;
    let unknown = was.uncertainty.checked_add(is.uncertainty)?;
    (JUMP < moved.abs() && unknown < moved.abs()).then_some(moved)
}

fn between(before: Timestamp, there: Timestamp, after: Timestamp) -> Skew {
    let half = after.duration_since(before) / 2;
    let ours = before.checked_add(half).unwrap_or(before);
    Skew { offset: there.duration_since(ours), uncertainty: half.abs().max(UNCERTAINTY_MIN) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_000_000_000_000 + millis).unwrap()
    }

    fn skew(offset: i64, uncertainty: i64) -> Skew {
        let millis = SignedDuration::from_millis;
        Skew { offset: millis(offset), uncertainty: millis(uncertainty) }
    }

    #[test]
    fn the_error_is_at_most_half_of_the_round_trip() {
        assert_eq!(between(at(0), at(5_020), at(40)), skew(5_000, 20));
        assert_eq!(between(at(0), at(-3_000), at(0)), skew(-3_000, 1), "as sure as a clock can be");
        // Whenever within the round trip the answer was given, the truth is within the error.
        for given in [0, 10, 40] {
            let measured = between(at(0), at(5_000 + given), at(40));
            assert!((measured.offset - skew(5_000, 0).offset).abs() <= measured.uncertainty);
        }
    }

    #[test]
    fn a_jump_is_more_than_a_second_and_more_than_what_is_not_known() {
        assert_eq!(jumped(skew(0, 1), skew(900, 1)), None);
        assert_eq!(jumped(skew(0, 1), skew(-1_500, 1)), Some(SignedDuration::from_millis(-1_500)));
        assert_eq!(jumped(skew(0, 2_000), skew(1_500, 1)), None, "a slow answer is no jump");
    }
}
