//! How far a feed has come: links in, decisions out.
//!
//! A feed begins with a **load**: all rows of the table, read with change tracking on. Its last page
//! bears the first delta link. That link is stamped when that page is made, so a row that changed after
//! its own page went by, and before the last one, is in neither: an **overlap** follows, which asks for
//! what was modified since shortly before the load began. A row that was *deleted* in between is told
//! by nothing, so the mapping is compared once. From then on each poll follows the last delta link.
//!
//! A link is kept with the place that it was come from. What a page told of a record may have been
//! ignored (a write of that record was under way), and then the record is read again; who dies before
//! that begins one place back, or with the ids that were open. So nothing that was ignored is lost.
//!
//! The cursor that the ledger keeps is this, as JSON: `{"org": "…", "select": "…", "place": {"at":
//! "changes", "link": "/api/data/…"}, "before": {…}, "again": ["…"]}`. A link is of one table and one
//! selection: another selection begins anew.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::peer::{Cursor, PeerError};
use crate::reconcile::RecordId;

/// How far a feed has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The organisation: links of another mean nothing.
    pub(super) org: String,
    /// What is selected, which is part of a link.
    select: String,
    /// Where it goes on.
    pub(super) place: Place,
    /// Where it was before: what the last page told may have been ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Place>,
    /// What was ignored before that page, and not read again yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    again: Vec<String>,
}

/// A place in a feed. Links are paths: the host is ours to choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "snake_case")]
pub(super) enum Place {
    /// In the load; without a link, at its beginning.
    Load {
        /// When it began, by the server's clock.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        begun: Option<Timestamp>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<String>,
    },
    /// Behind the load, asking for what was modified since.
    Overlap {
        since: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<String>,
        /// Where the changes begin.
        delta: String,
    },
    /// Following changes.
    Changes {
        link: String,
        /// Whether the link leads to further pages of a poll that is under way.
        #[serde(default)]
        under_way: bool,
    },
}

/// What a page said of where it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Links {
    pub(super) next: Option<String>,
    pub(super) delta: Option<String>,
    /// The server's clock when it answered.
    pub(super) date: Timestamp,
}

/// More ids are not kept: then everything is compared.
pub(super) const AGAIN_MAX: usize = 10_000;

impl Progress {
    /// Reads a cursor; at the start, everything.
    pub(super) fn of(cursor: &Cursor, org: &str, select: &str) -> Result<Self, PeerError> {
        if cursor.is_start() {
            return Ok(Self {
                org: org.to_owned(),
                select: select.to_owned(),
                place: Place::Load { begun: None, link: None },
                before: None,
                again: Vec::new(),
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
        if progress.select != select {
            return Err(PeerError::CursorLost {
                why: "other columns are read than before, and a delta link is of its columns"
                    .to_owned(),
            });
        }
        Ok(progress)
    }

    pub(super) fn cursor(&self) -> Cursor {
        Cursor(serde_json::to_value(self).expect("plain data is JSON"))
    }

    /// Whether more pages wait behind this place.
    pub(super) fn under_way(&self) -> bool {
        match &self.place {
            Place::Load { .. } | Place::Overlap { .. } => true,
            Place::Changes { under_way, .. } => *under_way,
        }
    }

    /// Where who begins with this cursor goes on, and what it reads again first.
    pub(super) fn resumed(self) -> (Self, Vec<RecordId>) {
        let again = self.again.iter().map(|id| RecordId::from(id.as_str())).collect();
        let place = self.before.clone().unwrap_or(self.place);
        (Self { place, before: None, again: Vec::new(), ..self }, again)
    }

    /// After a page; `None` where it does not say how to go on.
    pub(super) fn after(
        &self,
        links: Links,
        overlap: Duration,
        again: &BTreeSet<RecordId>,
    ) -> Option<Self> {
        let Links { next, delta, date } = links;
        let place = match (&self.place, next, delta) {
            (Place::Load { begun, .. }, Some(next), _) => {
                Place::Load { begun: begun.or(Some(date)), link: Some(next) }
            }
            (Place::Load { begun, .. }, None, Some(delta)) => {
                let overlap = SignedDuration::try_from(overlap).unwrap_or(SignedDuration::MAX);
                let since = begun.unwrap_or(date).saturating_sub(overlap);
                Place::Overlap { since: since.unwrap_or(Timestamp::MIN), link: None, delta }
            }
            (Place::Overlap { since, delta, .. }, Some(next), _) => {
                Place::Overlap { since: *since, link: Some(next), delta: delta.clone() }
            }
            (Place::Overlap { delta, .. }, None, _) => {
                Place::Changes { link: delta.clone(), under_way: false }
            }
            (Place::Changes { .. }, Some(next), _) => {
                Place::Changes { link: next, under_way: true }
            }
            (Place::Changes { .. }, None, Some(delta)) => {
                Place::Changes { link: delta, under_way: false }
            }
            (Place::Load { .. } | Place::Changes { .. }, None, None) => return None,
        };
        Some(Self {
            org: self.org.clone(),
            select: self.select.clone(),
            place,
            before: Some(self.place.clone()),
            again: again.iter().map(ToString::to_string).collect(),
        })
    }

    /// Whether the load and what belongs to it have just ended: the mapping is to be compared.
    pub(super) fn has_loaded(&self) -> bool {
        matches!(self.before, Some(Place::Overlap { .. }))
            && matches!(self.place, Place::Changes { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVERLAP: Duration = Duration::from_mins(2);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn start() -> Progress {
        Progress::of(&Cursor::start(), "o", "a,b").unwrap()
    }

    fn next(link: &str, second: i64) -> Links {
        Links { next: Some(link.to_owned()), delta: None, date: at(second) }
    }

    fn delta(link: &str, second: i64) -> Links {
        Links { next: None, delta: Some(link.to_owned()), date: at(second) }
    }

    fn go(progress: &Progress, links: Links) -> Progress {
        let next = progress.after(links, OVERLAP, &BTreeSet::new()).unwrap();
        let again = Progress::of(&next.cursor(), "o", "a,b").unwrap();
        assert_eq!(again, next, "it is kept whole");
        next
    }

    #[test]
    fn a_load_is_followed_by_an_overlap_from_before_its_beginning_and_a_comparison() {
        let first = go(&start(), next("p2", 1000));
        let last = go(&first, delta("d1", 1500));
        let expected = Place::Overlap { since: at(880), link: None, delta: "d1".to_owned() };
        assert_eq!(last.place, expected);
        assert!(last.under_way() && !last.has_loaded());
        let none = Links { next: None, delta: None, date: at(1501) };
        let ended = go(&last, none);
        assert_eq!(ended.place, Place::Changes { link: "d1".to_owned(), under_way: false });
        assert!(ended.has_loaded() && !ended.under_way());
        let polled = go(&ended, delta("d2", 1600));
        assert!(!polled.has_loaded());
    }

    #[test]
    fn who_begins_anew_begins_a_page_back_with_what_was_open() {
        let one = go(&go(&start(), delta("d1", 9)), Links { next: None, delta: None, date: at(9) });
        let open = BTreeSet::from([RecordId::from("x")]);
        let two = one.after(delta("d2", 10), OVERLAP, &open).unwrap();
        let (resumed, again) = two.resumed();
        assert_eq!(resumed.place, Place::Changes { link: "d1".to_owned(), under_way: false });
        assert_eq!(again, [RecordId::from("x")]);
        assert_eq!(start().resumed().0, start());
    }

    #[test]
    fn a_page_that_does_not_say_how_to_go_on_is_no_page() {
        let none = || Links { next: None, delta: None, date: at(9) };
        assert_eq!(start().after(none(), OVERLAP, &BTreeSet::new()), None);
    }

    #[test]
    fn links_of_others_mean_nothing() {
        let cursor = go(&start(), next("p2", 1000)).cursor();
        let other = Progress::of(&cursor, "p", "a,b");
        assert!(matches!(other, Err(PeerError::NewEpoch { .. })));
        let wider = Progress::of(&cursor, "o", "a,b,c");
        assert!(matches!(wider, Err(PeerError::CursorLost { .. })));
        let strange = Progress::of(&Cursor(serde_json::json!(7)), "o", "a,b");
        assert!(matches!(strange, Err(PeerError::CursorLost { .. })));
    }
}
