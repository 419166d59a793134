//! How the loops are: what `/readyz`, the first scan and the metrics ask them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::reconcile::Side;

/// The state of the process, shared by its loops and its endpoints.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
    passed: Notify,
}

#[derive(Debug, Default)]
struct State {
    leads: bool,
    standing_by_for: Option<String>,
    loops: BTreeMap<Arc<str>, Loop>,
    reads: BTreeMap<Reads, Come>,
}

/// What is read whole: one side of a mapping.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reads {
    /// The mapping.
    pub mapping: Arc<str>,
    /// Of which side.
    pub side: Side,
    /// In which way.
    pub pass: Pass,
}

/// A way to read a side whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pass {
    /// From its first record to its last.
    Scan,
    /// By the keys that links name.
    Sweep,
}

/// How far such a reading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Come {
    /// Records that were read.
    pub done: u64,
    /// Records that there are, where that is known.
    pub total: Option<u64>,
}

/// A loop, by its own word.
#[derive(Clone, Debug)]
struct Loop {
    /// When it began.
    begun: Instant,
    /// When it last came round.
    beat: Instant,
    /// Feeds: when it last saw the end of what there is, and the tick drawn before it asked.
    passed: Option<(Instant, u64)>,
    /// What stands in its way.
    trouble: Option<String>,
    /// Feeds: how old the last pass may be.
    fresh_within: Option<Duration>,
}

/// A loop that has not come round for this long is stuck: longer than any call may take.
const STUCK_AFTER: Duration = Duration::from_mins(20);

impl Health {
    /// Says that this agent stands by, and for what it waits.
    pub fn stands_by(&self, for_what: &str) {
        let mut state = self.state();
        state.leads = false;
        state.loops.clear();
        state.reads.clear();
        state.standing_by_for = Some(for_what.to_owned());
        crate::telemetry::metrics::leader(false);
    }

    /// Forgets loops that ended: after a reload others may run.
    pub fn begins_anew(&self) {
        let mut state = self.state();
        state.loops.clear();
        state.reads.clear();
    }

    /// Says that this agent leads.
    pub fn leads(&self) {
        let mut state = self.state();
        state.leads = true;
        state.standing_by_for = None;
        crate::telemetry::metrics::leader(true);
    }

    /// A loop begins; a feed says how old its last pass may be.
    pub fn begins(&self, name: &Arc<str>, fresh_within: Option<Duration>) {
        let now = Instant::now();
        let begun = Loop { begun: now, beat: now, passed: None, trouble: None, fresh_within };
        self.state().loops.insert(Arc::clone(name), begun);
    }

    /// A loop came round.
    pub fn beats(&self, name: &str) {
        if let Some(known) = self.state().loops.get_mut(name) {
            known.beat = Instant::now();
            known.trouble = None;
        }
    }

    /// A loop comes round, and what stands in its way still does.
    pub fn lives(&self, name: &str) {
        if let Some(known) = self.state().loops.get_mut(name) {
            known.beat = Instant::now();
        }
    }

    /// A feed saw the end of what there is, after having drawn this tick.
    pub fn passes(&self, name: &str, tick: u64) {
        if let Some(known) = self.state().loops.get_mut(name) {
            known.passed = Some((Instant::now(), tick));
        }
        self.passed.notify_waiters();
    }

    /// A loop came round to nothing.
    pub fn stumbles(&self, name: &str, why: &str) {
        if let Some(known) = self.state().loops.get_mut(name) {
            known.beat = Instant::now();
            known.trouble = Some(why.to_owned());
        }
    }

    /// Waits until these feeds have seen the end of what there was when this was asked.
    pub async fn all_pass(&self, feeds: &[Arc<str>], since: u64) {
        loop {
            let next = self.passed.notified();
            tokio::pin!(next);
            next.as_mut().enable();
            let passed = |name: &Arc<str>| {
                let state = self.state();
                let passed = state.loops.get(name).and_then(|known| known.passed);
                passed.is_some_and(|(_, tick)| since < tick)
            };
            if feeds.iter().all(passed) {
                return;
            }
            next.await;
        }
    }

    /// One side of a mapping is being read whole, and has come so far.
    pub fn reads(&self, what: &Reads, come: Come) {
        self.state().reads.insert(what.clone(), come);
    }

    /// One side of a mapping was read to its end.
    pub fn has_read(&self, what: &Reads) {
        self.state().reads.remove(what);
    }

    /// What is being read whole.
    pub fn under_way(&self) -> BTreeMap<Reads, Come> {
        self.state().reads.clone()
    }

    /// How long ago each feed last saw the end of what there is, or began where it has not yet.
    pub fn ages(&self) -> Vec<(Arc<str>, Duration)> {
        let state = self.state();
        let feeds = state.loops.iter().filter(|(_, known)| known.fresh_within.is_some());
        let since = |known: &Loop| known.passed.map_or(known.begun, |(at, _)| at).elapsed();
        feeds.map(|(name, known)| (Arc::clone(name), since(known))).collect()
    }

    /// Which loops are stuck; none is what `/livez` wants.
    pub fn stuck(&self) -> Vec<String> {
        let state = self.state();
        let stuck = state.loops.iter().filter(|(_, known)| STUCK_AFTER < known.beat.elapsed());
        stuck.map(|(name, _)| name.to_string()).collect()
    }

    /// Why this agent does not keep the two sides in agreement now; nothing where it does.
    pub fn unready(&self) -> Vec<String> {
        let state = self.state();
        if !state.leads {
            let why = state.standing_by_for.as_deref().unwrap_or("it is starting");
            return vec![format!("standing by: {why}")];
        }
        state.loops.iter().filter_map(|(name, known)| known.unready(name)).collect()
    }

    /// Whether this agent leads.
    pub fn is_leading(&self) -> bool {
        self.state().leads
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loop {
    fn unready(&self, name: &str) -> Option<String> {
        if let Some(trouble) = &self.trouble {
            return Some(format!("{name}: {trouble}"));
        }
        let within = self.fresh_within?;
        match self.passed {
            None => Some(format!("{name}: not caught up yet")),
            Some((at, _)) if within < at.elapsed() => {
                Some(format!("{name}: behind for {} s", at.elapsed().as_secs()))
            }
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_leading_with_every_feed_fresh_and_no_trouble() {
        let health = Health::default();
        assert_eq!(health.unready(), ["standing by: it is starting"]);
        health.leads();
        let feed: Arc<str> = "feed/campaign".into();
        health.begins(&feed, Some(Duration::from_mins(1)));
        assert_eq!(health.unready(), ["feed/campaign: not caught up yet"]);
        health.passes(&feed, 1);
        assert!(health.unready().is_empty());
        health.begins(&feed, Some(Duration::ZERO));
        health.passes(&feed, 2);
        assert_eq!(health.unready(), ["feed/campaign: behind for 0 s"]);
        health.stumbles(&feed, "the server is gone");
        assert_eq!(health.unready(), ["feed/campaign: the server is gone"]);
    }

    #[tokio::test]
    async fn a_feed_has_passed_what_was_asked_after() {
        let health = Health::default();
        let feed: Arc<str> = "feed/campaign".into();
        health.begins(&feed, None);
        health.passes(&feed, 7);
        let feeds = [feed];
        let waits = health.all_pass(&feeds, 7);
        tokio::pin!(waits);
        tokio::select! {
            biased;
            () = &mut waits => panic!("it has passed 7 only"),
            () = std::future::ready(()) => (),
        }
        health.passes(&feeds[0], 8);
        waits.await;
    }
}
