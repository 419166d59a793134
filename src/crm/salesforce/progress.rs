//! How far a feed has come, and where its next pass begins: times in, decisions out.
//!
//! `SystemModstamp` is set when a row is written and not when its transaction commits, so rows
//! become visible minutes after their stamp, in no order. A feed that went on from the largest
//! stamp it saw would lose them. So there are two kinds of passes, both over everything from some
//! stamp on, in the order of (stamp, id), a page at a time:
//!
//! - a **fast** pass goes back by a short overlap, and finds what ordinary people do at once;
//! - a **wide** pass, every few minutes, goes back from where the last wide pass *began* by the
//!   whole time that a transaction may take. It alone makes the feed complete: what was committed
//!   after the last wide pass began bears a stamp that is at most so much older.
//!
//! What Salesforce's own maintenance commits hours late is found by a **review** (`review`), which
//! comes seldom: Salesforce's log says which records changed, and up to when it is complete. An
//! object without such a log has a **deep** pass instead, a wide one that goes back further. After a
//! day of standing still the first pass is one of these or a wide one, as it is due.
//!
//! All times are the server's. The cursor that the ledger keeps is this, as JSON:
//! `{"org": "00D…", "until": "…Z", "wide": "…Z", "deep": "…Z", "covered": "…Z", "compared": "…Z",
//! "pass": {"kind": "fast", "from": "…Z", "begun": "…Z", "at": ["…Z", "003…"]}}`, where `pass` is
//! there only in the middle of one, and `review` in the middle of a review.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::crm::delays::poll_interval;
use crate::crm::salesforce::review::{self, Review};
use crate::crm::salesforce::{Polling, soql};
use crate::peer::{Cursor, PeerError};

/// How far a feed has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The organisation: stamps of another mean nothing.
    pub(super) org: String,
    /// The last pass ended here, by the server's clock.
    until: Timestamp,
    /// The last wide pass began here.
    wide: Timestamp,
    /// The last deep pass or review began here.
    deep: Timestamp,
    /// Salesforce's log has told everything that was committed before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    covered: Option<Timestamp>,
    /// When a comparison was last asked for, as the log could not tell everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compared: Option<Timestamp>,
    /// The review that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    review: Option<Review>,
    /// The pass that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pass: Option<Pass>,
}

/// A pass that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pass {
    kind: Kind,
    /// Everything with this stamp or a later one.
    pub(super) from: Timestamp,
    begun: Timestamp,
    /// The last row that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<(Timestamp, String)>,
}

/// How an object's late commits are found in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deep {
    /// By Salesforce's log of what changed.
    Log,
    /// By the stamps of hours: the object has no log.
    Stamps,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Fast,
    Wide,
    Deep,
}

impl Progress {
    /// Reads a cursor; at the start, everything that is committed from now on.
    pub(super) fn of(
        cursor: &Cursor,
        org: &str,
        now: Timestamp,
        polling: &Polling,
    ) -> Result<Self, PeerError> {
        if cursor.is_start() {
            let until = back(now, polling.late_commit);
            return Ok(Self {
                org: org.to_owned(),
                until,
                wide: now,
                deep: now,
                covered: Some(until),
                compared: None,
                review: None,
                pass: None,
            });
        }
        let progress: Self = serde_json::from_value(cursor.0.clone())
            .map_err(|error| PeerError::CursorLost { why: format!("not a cursor: {error}") })?;
        if progress.org != org {
            return Err(PeerError::NewEpoch {
                what: "organisation",
                was: progress.org,
                is: org.to_owned(),
            });
        }
        Ok(progress)
    }

    pub(super) fn cursor(&self) -> Cursor {
        Cursor(serde_json::to_value(self).expect("plain data is JSON"))
    }

    /// Whether a pass or a review is under way.
    pub(super) fn under_way(&self) -> bool {
        self.pass.is_some() || self.review.is_some()
    }

    /// The review that is under way, or the one that is due; never in the middle of a pass.
    pub(super) fn review(&self, now: Timestamp, polling: &Polling) -> Option<Review> {
        if self.review.is_some() || self.pass.is_some() {
            return self.review.clone();
        }
        if !due(self.deep, polling.deep_every, now) {
            return None;
        }
        let covered = self.covered.unwrap_or_else(|| back(self.deep, polling.late_commit));
        Review::new(covered.min(back(now, polling.deep_every)), now)
    }

    /// After a page of the review that ended with this record, while more is there.
    pub(super) fn reviewed_until(&self, review: &Review, at: &str) -> Self {
        Self { review: Some(review.went_on(at)), ..self.clone() }
    }

    /// After the last page of the review.
    pub(super) fn reviewed(&self, review: &Review) -> Self {
        let deep = if review.is_whole() { review.begun } else { self.deep };
        Self { review: None, covered: Some(review.covered()), deep, ..self.clone() }
    }

    /// Asks for a comparison, as something may have gone by untold; `None` where one was asked for
    /// within a day: a log that is always too short would have everything compared every hour.
    pub(super) fn compared(&self, now: Timestamp) -> Option<Self> {
        let again = self.compared.is_none_or(|last| due(last, review::COMPARE_EVERY, now));
        again.then(|| Self { compared: Some(now), ..self.clone() })
    }

    /// The pass that is under way, or the next one.
    pub(super) fn pass(&self, now: Timestamp, polling: &Polling, deep: Deep) -> Pass {
        if let Some(pass) = &self.pass {
            return pass.clone();
        }
        let (kind, from) = if deep == Deep::Stamps && due(self.deep, polling.deep_every, now) {
            (Kind::Deep, back(self.deep.min(now), polling.deep_overlap.max(polling.late_commit)))
        } else if due(self.wide, polling.wide_every, now) {
            (Kind::Wide, back(self.wide.min(now), polling.late_commit))
        } else {
            (Kind::Fast, back(self.until.min(now), polling.overlap))
        };
        Pass { kind, from, begun: now, at: None }
    }

    /// After a page of the pass that ended with this row, while more is there.
    pub(super) fn went_on(&self, pass: &Pass, at: (Timestamp, String)) -> Self {
        Self { pass: Some(Pass { at: Some(at), ..pass.clone() }), ..self.clone() }
    }

    /// After the last page of the pass, which was answered from what was there at `now`.
    pub(super) fn ended(&self, pass: &Pass, now: Timestamp) -> Self {
        let begun = pass.begun.min(now);
        // What began with a deep pass went back at least as far as a wide one.
        let (wide, deep) = match pass.kind {
            Kind::Fast => (self.wide, self.deep),
            Kind::Wide => (begun, self.deep),
            Kind::Deep => (begun, begun),
        };
        // The second that is not over yet may bring more.
        let until = back(now, Duration::from_secs(1));
        // An object that lost its log has no review to go on with.
        Self { until, wide, deep, pass: None, review: None, ..self.clone() }
    }

    /// No pass that is still to come goes back behind this.
    pub(super) fn floor(&self, polling: &Polling, deep: Deep) -> Timestamp {
        let stamps = back(self.deep, polling.deep_overlap.max(polling.late_commit));
        let deep = match deep {
            Deep::Log => self.covered.unwrap_or(stamps),
            Deep::Stamps => stamps,
        };
        back(self.until, polling.overlap).min(back(self.wide, polling.late_commit)).min(deep)
    }
}

impl Pass {
    /// How far the pass has come: what has an earlier stamp was given already.
    pub(super) fn reached(&self) -> Timestamp {
        self.at.as_ref().map_or(self.from, |(stamp, _)| *stamp)
    }

    /// The condition and order of the pass's next page.
    pub(super) fn condition(&self) -> String {
        let order = "ORDER BY SystemModstamp, Id";
        match &self.at {
            None => format!("WHERE SystemModstamp >= {} {order}", soql::instant(self.from)),
            Some((stamp, id)) => {
                let (stamp, id) = (soql::instant(*stamp), soql::text(id));
                format!(
                    "WHERE SystemModstamp >= {stamp} AND (SystemModstamp > {stamp} OR Id > {id}) \
                     {order}"
                )
            }
        }
    }
}

/// The time until the next poll.
pub(super) fn interval(polling: &Polling, idle_polls: u32, left: Option<u64>) -> Duration {
    poll_interval((polling.interval, polling.interval_max), idle_polls, left)
}

/// Whether it is time again. Where the server's clock stepped back it is: what bears a stamp of the
/// hour that comes again is before what was seen.
fn due(last: Timestamp, every: Duration, now: Timestamp) -> bool {
    now < back(last, STEP_BACK) || now.duration_since(last) >= span(every)
}

/// A date has whole seconds and is counted on by our own clock until the next: less than this is no
/// step back.
const STEP_BACK: Duration = Duration::from_mins(1);

pub(super) fn back(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_sub(span(by)).unwrap_or(Timestamp::MIN)
}

fn span(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLLING: Polling = Polling {
        interval: Duration::from_secs(5),
        interval_max: Duration::from_mins(1),
        overlap: Duration::from_secs(30),
        wide_every: Duration::from_mins(5),
        late_commit: Duration::from_mins(15),
        deep_every: Duration::from_hours(1),
        deep_overlap: Duration::from_hours(2),
        page: 2000,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn start(now: i64) -> Progress {
        Progress::of(&Cursor::start(), "o", at(now), &POLLING).unwrap()
    }

    /// A whole pass in one page.
    fn step(progress: &Progress, now: i64) -> (Timestamp, Progress) {
        let pass = progress.pass(at(now), &POLLING, Deep::Stamps);
        (pass.from, progress.ended(&pass, at(now)))
    }

    #[test]
    fn a_feed_begins_a_late_commit_ago_and_then_overlaps_shortly() {
        let (from, after) = step(&start(10_000), 10_000);
        assert_eq!(from, at(10_000 - 900 - 30));
        let (from, _) = step(&after, 10_005);
        assert_eq!(from, at(9_999 - 30));
    }

    #[test]
    fn whatever_becomes_visible_within_the_window_is_covered_by_some_later_pass() {
        let (mut progress, mut passes) = (start(10_000), Vec::new());
        for now in (10_000..20_000).step_by(7) {
            let (from, after) = step(&progress, now);
            passes.push((now, from));
            assert!(
                progress.floor(&POLLING, Deep::Stamps) <= from,
                "dedupe must reach as far as a pass"
            );
            progress = after;
        }
        for committed in 10_000..18_000 {
            let stamp = at(committed - 900);
            let found = passes.iter().any(|(now, from)| *now >= committed && *from <= stamp);
            assert!(found, "committed at {committed}");
        }
    }

    #[test]
    fn after_a_day_of_standing_still_the_whole_day_is_read() {
        let (_, progress) = step(&start(100_000), 100_000);
        let (from, _) = step(&progress, 186_400);
        assert_eq!(from, at(100_000 - 7_200));
    }

    #[test]
    fn an_hour_brings_one_deep_pass() {
        let (mut progress, mut deep) = (start(10_000), 0);
        for now in (10_000..13_700).step_by(10) {
            let (from, after) = step(&progress, now);
            deep += u32::from(from <= at(now - 7_200));
            progress = after;
        }
        assert_eq!(deep, 1);
    }

    #[test]
    fn an_hour_brings_one_review_which_goes_on_from_what_the_last_one_covered() {
        let mut progress = start(10_000);
        assert_eq!(progress.review(at(13_599), &POLLING), None);
        let review = progress.review(at(13_600), &POLLING).unwrap();
        assert_eq!((review.from, review.until), (at(9_100), at(13_600)));
        let review = review.told(at(13_200));
        let middle = progress.reviewed_until(&review, "003xx000004TmiQAAS");
        let read = Progress::of(&middle.cursor(), "o", at(13_700), &POLLING).unwrap();
        assert_eq!(read, middle);
        assert_eq!(read.review(at(13_700), &POLLING), middle.review, "the same, where it was");
        progress = read.reviewed(&review);
        assert_eq!(progress.review(at(17_199), &POLLING), None);
        let review = progress.review(at(17_200), &POLLING).unwrap();
        assert_eq!(review.from, at(13_200), "an open transaction is older than the last review");
        let pass = progress.pass(at(17_200), &POLLING, Deep::Log);
        assert_eq!(pass.kind, Kind::Wide, "the log takes the deep pass's place");
    }

    #[test]
    fn a_log_that_is_always_too_short_has_everything_compared_once_a_day() {
        let once = start(10_000).compared(at(10_000)).unwrap();
        assert_eq!(once.compared(at(96_399)), None);
        assert!(once.compared(at(96_400)).is_some());
    }

    #[test]
    fn a_clock_that_steps_back_is_read_again() {
        let (_, progress) = step(&start(100_000), 100_000);
        let (from, after) = step(&progress, 96_400);
        assert!(from <= at(96_400 - 900));
        let (from, _) = step(&after, 96_405);
        assert!(from <= at(96_405 - 30));
    }

    #[test]
    fn a_pass_goes_on_behind_the_last_row_also_among_equal_stamps() {
        let progress = start(10_000);
        let pass = progress.pass(at(10_000), &POLLING, Deep::Log);
        let progress = progress.went_on(&pass, (at(9_990), "003xx000004TmiQAAS".to_owned()));
        let read = Progress::of(&progress.cursor(), "o", at(10_007), &POLLING).unwrap();
        assert_eq!(read, progress);
        assert_eq!(
            read.pass(at(10_400), &POLLING, Deep::Log).condition(),
            "WHERE SystemModstamp >= 1970-01-01T02:46:30Z AND (SystemModstamp > \
             1970-01-01T02:46:30Z OR Id > '003xx000004TmiQAAS') ORDER BY SystemModstamp, Id"
        );
    }

    #[test]
    fn a_cursor_of_another_organisation_is_another_epoch() {
        let cursor = start(10_000).cursor();
        let other = Progress::of(&cursor, "p", at(10_000), &POLLING);
        assert!(matches!(other, Err(PeerError::NewEpoch { .. })));
        let nonsense = Progress::of(&Cursor(serde_json::json!(7)), "o", at(0), &POLLING);
        assert!(matches!(nonsense, Err(PeerError::CursorLost { .. })));
    }

    #[test]
    fn polls_spread_when_nothing_happens_or_calls_run_short() {
        let seconds = |idle, left| interval(&POLLING, idle, left).as_secs();
        assert_eq!(seconds(0, None), 5);
        assert_eq!(seconds(0, Some(1_000_000)), 5);
        assert_eq!(seconds(0, Some(15_000)), 57);
        assert_eq!(seconds(0, Some(0)), 60);
        assert_eq!(seconds(10, None), 12);
        assert_eq!(seconds(1000, None), 60);
    }
}
