//! The review: Salesforce's own log says which records changed, however late they were committed.
//!
//! `updated` and `deleted` give ids by the minute, and `latestDateCovered`: up to when the answer is
//! complete, which is where the oldest transaction began that still runs anywhere on the instance.
//! The next review begins there, so that nothing is ever left out, whether a transaction took
//! minutes or days; a transaction that does not end makes the window grow, up to what the log keeps.
//! The records are read by their ids, and what was told before is left out as in any other pass.
//!
//! Where the log does not reach back (30 days for changes, 15 for deletions, less where it was
//! purged), what went by can only be found by comparing everything.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::crm::http::{Call, Urgency};
use crate::crm::salesforce::api::{Api, get};
use crate::crm::salesforce::progress::back;
use crate::crm::salesforce::{errors, ids, soql, values};
use crate::peer::PeerError;
use crate::reconcile::RecordId;

/// A comparison reads everything: a day lies between two that a log too short asks for.
pub(super) const COMPARE_EVERY: Duration = Duration::from_hours(24);

/// How far back the log tells of changes, less an hour for the time that passes while we ask.
const CHANGES_KEPT: Duration = Duration::from_hours(30 * 24 - 1);

/// The same for deletions.
const DELETIONS_KEPT: Duration = Duration::from_hours(15 * 24 - 1);

/// The log counts whole minutes, and asks for more than one.
const WINDOW_MIN: SignedDuration = SignedDuration::from_mins(2);

/// A window of 30 days, halved so often, is the shortest.
const HALVES_MAX: usize = 15;

/// A review that is due or under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Review {
    /// What changed from here on,
    pub(super) from: Timestamp,
    /// and before this.
    pub(super) until: Timestamp,
    pub(super) begun: Timestamp,
    /// Up to when the log was complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    covered: Option<Timestamp>,
    /// The last record that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<String>,
}

/// What the log says of a review's window.
#[derive(Debug, Default)]
pub(super) struct Logged {
    /// The records that changed or were deleted, in order, each once.
    ids: Vec<Id>,
    /// Whether something may have gone by that the log does not tell.
    pub(super) gap: bool,
}

/// The first 15 characters of an id: 600,000 of them are 9 MB.
type Id = [u8; 15];

/// What one question to the log brought.
enum Told<T> {
    All(T),
    /// Too many for one answer: a shorter window is to be asked for.
    TooMany,
    /// The log does not reach back so far.
    TooOld,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Updated {
    ids: Vec<String>,
    latest_date_covered: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Deleted {
    #[serde(rename = "deletedRecords")]
    records: Vec<DeletedRecord>,
    earliest_date_available: Option<String>,
    latest_date_covered: Option<String>,
}

#[derive(Deserialize)]
struct DeletedRecord {
    id: String,
}

impl Review {
    /// What was committed since `covered`; `None` where that is too short a time to ask for.
    pub(super) fn new(covered: Timestamp, now: Timestamp) -> Option<Self> {
        let long_enough = now.duration_since(covered) >= WINDOW_MIN;
        let new = Self { from: covered, until: now, begun: now, covered: None, at: None };
        long_enough.then_some(new)
    }

    /// The log was complete up to this moment.
    pub(super) fn told(&self, covered: Timestamp) -> Self {
        Self { covered: Some(covered.clamp(self.from, self.until)), ..self.clone() }
    }

    /// The first half of it.
    fn halved(&self) -> Option<Self> {
        let half = self.until.duration_since(self.from) / 2;
        let until = self.from.checked_add(half).ok()?;
        (half >= WINDOW_MIN).then(|| Self { until, ..self.clone() })
    }

    pub(super) fn went_on(&self, at: &str) -> Self {
        Self { at: Some(at.to_owned()), ..self.clone() }
    }

    /// Where the next one begins.
    pub(super) fn covered(&self) -> Timestamp {
        self.covered.unwrap_or(self.from)
    }

    /// Whether it reaches up to when it began; else the rest is due at once.
    pub(super) fn is_whole(&self) -> bool {
        self.until == self.begun
    }

    /// Where the log no longer tells of changes, from where it does.
    fn reaching(&self, kept: Duration) -> (Timestamp, bool) {
        let reach = back(self.begun, kept);
        (self.from.max(reach), self.from < reach)
    }

    /// Asks the log. Gives the review with what it covers; its window is shorter where there was too
    /// much for one answer.
    pub(super) async fn ask(&self, api: &Api, object: &str) -> Result<(Self, Logged), PeerError> {
        let mut review = self.clone();
        for _ in 0..HALVES_MAX {
            let Some((covered, logged)) = review.ask_whole(api, object).await? else {
                review = review.halved().ok_or_else(|| PeerError::CursorLost {
                    why: format!("more `{object}` changed in minutes than its log tells"),
                })?;
                continue;
            };
            // Asked again in the middle, what the first answer covered is what counts.
            let covered = review.covered.map_or(covered, |first| first.min(covered));
            return Ok((review.told(covered), logged));
        }
        let why = format!("the log of `{object}` does not answer, however little is asked for");
        Err(PeerError::CursorLost { why })
    }

    /// `None` where there is too much.
    async fn ask_whole(
        &self,
        api: &Api,
        object: &str,
    ) -> Result<Option<(Timestamp, Logged)>, PeerError> {
        let (from, mut gap) = self.reaching(CHANGES_KEPT);
        let updated: Told<Updated> = api.log(object, "updated", (from, self.until)).await?;
        let (mut ids, mut covered) = match updated {
            Told::All(updated) => {
                (updated.ids, time(updated.latest_date_covered).unwrap_or(self.from))
            }
            Told::TooMany => return Ok(None),
            Told::TooOld => {
                gap = true;
                (Vec::new(), self.until)
            }
        };
        let (from, too_old) = self.reaching(DELETIONS_KEPT);
        gap |= too_old;
        if too_old && self.until.duration_since(from) < WINDOW_MIN {
            return Ok(Some((covered, Logged { ids: in_order(&ids), gap })));
        }
        let deleted: Told<Deleted> = api.log(object, "deleted", (from, self.until)).await?;
        match deleted {
            Told::All(deleted) => {
                gap |= time(deleted.earliest_date_available).is_some_and(|first| from < first);
                covered = covered.min(time(deleted.latest_date_covered).unwrap_or(self.from));
                ids.extend(deleted.records.into_iter().map(|record| record.id));
            }
            Told::TooMany => return Ok(None),
            Told::TooOld => gap = true,
        }
        Ok(Some((covered, Logged { ids: in_order(&ids), gap })))
    }
}

impl Logged {
    /// The next records after this one, at most so many; and whether more are behind them.
    pub(super) fn after(&self, at: Option<&str>, most: usize) -> (Vec<RecordId>, bool) {
        let at = at.and_then(|id| id.as_bytes().first_chunk());
        let begin = at.map_or(0, |at: &Id| self.ids.partition_point(|id| id <= at));
        let rest = &self.ids[begin..];
        let next = rest.iter().take(most).filter_map(|id| str::from_utf8(id).ok());
        (next.filter_map(ids::record_id).collect(), most < rest.len())
    }
}

impl Api {
    async fn log<T: serde::de::DeserializeOwned>(
        &self,
        object: &str,
        which: &str,
        (from, until): (Timestamp, Timestamp),
    ) -> Result<Told<T>, PeerError> {
        let doing = "reading the log of what changed";
        let time = |at| soql::encode(&soql::instant(at));
        let (object, from, until) = (soql::encode(object), time(from), time(until));
        let path = format!("{}/sobjects/{object}/{which}/?start={from}&end={until}", self.root);
        // It comes hourly, reads whatever was late, and waits for calls; polls do not wait for it.
        let request = get(path, Call::Feed, Urgency::Ordinary);
        let answer = self.client.send(&request, &mut || ()).await;
        let answer = answer.map_err(|failure| failure.into_error(doing))?;
        if answer.status == 200 {
            return answer.json(doing).map(Told::All);
        }
        let refused = errors::errors(&answer.body);
        match refused.first().map(|error| error.code.as_str()) {
            Some("EXCEEDED_ID_LIMIT") => Ok(Told::TooMany),
            Some("INVALID_REPLICATION_DATE") => Ok(Told::TooOld),
            _ => Err(errors::refused_read(&answer, doing)),
        }
    }
}

fn time(text: Option<String>) -> Option<Timestamp> {
    values::instant(&text?)
}

fn in_order(ids: &[String]) -> Vec<Id> {
    let mut ids: Vec<Id> =
        ids.iter().filter_map(|id| id.as_bytes().first_chunk().copied()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(60 * minute).unwrap()
    }

    #[test]
    fn a_window_too_short_for_the_log_waits() {
        assert_eq!(Review::new(at(10), at(11)), None);
        assert_eq!(Review::new(at(12), at(11)), None, "a clock that stepped back");
        assert!(Review::new(at(10), at(12)).is_some());
    }

    #[test]
    fn what_is_too_much_is_asked_for_in_halves_and_the_rest_is_due() {
        let review = Review::new(at(0), at(16)).unwrap();
        let half = review.halved().unwrap();
        assert_eq!((half.from, half.until), (at(0), at(8)));
        assert!(review.is_whole() && !half.is_whole());
        assert_eq!(half.halved().unwrap().halved().unwrap().halved(), None);
        assert_eq!(half.told(at(20)).covered(), at(8), "never more than was asked for");
        assert_eq!(half.covered(), at(0), "nor anything that was not told");
    }

    #[test]
    fn what_the_log_no_longer_keeps_is_a_gap() {
        let now = at(60 * 24 * 40);
        let review = |days_ago: i64| Review::new(at(60 * 24 * (40 - days_ago)), now).unwrap();
        assert!(!review(29).reaching(CHANGES_KEPT).1);
        assert!(review(31).reaching(CHANGES_KEPT).1);
        assert!(!review(14).reaching(DELETIONS_KEPT).1);
        let (from, gap) = review(16).reaching(DELETIONS_KEPT);
        assert!(gap && from == back(now, DELETIONS_KEPT));
    }

    #[test]
    fn records_are_given_in_order_and_each_once() {
        let id = |n: u32| format!("003xx{n:010}");
        let ids = in_order(&[id(3), id(1), id(2), id(1), "short".to_owned()]);
        let logged = Logged { ids, gap: false };
        let (first, more) = logged.after(None, 2);
        assert!(more && first.len() == 2);
        assert_eq!(first[0], ids::record_id(&id(1)).unwrap());
        let (rest, more) = logged.after(Some(&first[1].0), 2);
        assert!(!more);
        assert_eq!(rest, [ids::record_id(&id(3)).unwrap()]);
    }
}
