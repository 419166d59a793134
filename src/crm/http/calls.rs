//! What was called how often: read by the metrics, and by whoever plans the next call.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a call is for. Each is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// A new token.
    Token,
    /// Metadata, versions.
    Describe,
    /// The change feed.
    Feed,
    /// A scan of a whole object.
    Scan,
    /// Reading records by id, or by what they would be known by.
    Read,
    /// Writing.
    Write,
    /// Whether the day's calls are back.
    Limits,
}

impl Call {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 7] = [
        Self::Token,
        Self::Describe,
        Self::Feed,
        Self::Scan,
        Self::Read,
        Self::Write,
        Self::Limits,
    ];

    /// The kind's name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Describe => "describe",
            Self::Feed => "feed",
            Self::Scan => "scan",
            Self::Read => "read",
            Self::Write => "write",
            Self::Limits => "limits",
        }
    }
}

/// Counters of calls, and of what became of them.
#[derive(Debug, Default)]
pub struct Calls {
    made: [AtomicU64; Call::ALL.len()],
    repeated: AtomicU64,
    lost: AtomicU64,
}

impl Calls {
    /// Counts a request that is about to be sent.
    pub(super) fn count(&self, call: Call) {
        self.made[call as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that is sent again.
    pub(super) fn count_repeated(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request of which nobody knows what became.
    pub(super) fn count_lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests of this kind were sent, repeats included.
    pub fn made(&self, call: Call) -> u64 {
        self.made[call as usize].load(Ordering::Relaxed)
    }

    /// How many requests were sent again.
    pub fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// How many requests came to no whole answer.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own_counter() {
        let calls = Calls::default();
        for (times, call) in Call::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| calls.count(call));
        }
        let made: Vec<u64> = Call::ALL.into_iter().map(|call| calls.made(call)).collect();
        assert_eq!(made, [0, 1, 2, 3, 4, 5, 6]);
    }
}
