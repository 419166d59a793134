//! Which sightings were given already, so that overlapping passes do not give them again.
//!
//! A sighting is its stamp and a hash of its values: a second change in the same second has an
//! equal stamp, and only the hash tells. An entry counts only once the page that held it is
//! durable. One whose sighting was ignored (it was asked for before a write of that link was
//! answered) is forgotten, so that the next pass gives it again. Kept in memory only: what is
//! given twice is seen once.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hasher as _};

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::crm::salesforce::api::Record;
use crate::peer::Cursor;
use crate::reconcile::RecordId;

/// As many as change in a late commit's window of a busy day; some 12 MB.
const ENTRIES_MAX: usize = 200_000;
/// Pages that are given and not confirmed; an agent that lags behind further gets some twice.
const UNCONFIRMED_MAX: usize = 4;

/// The first 15 characters of an id: all that tells records apart.
type Id = [u8; 15];

/// A sighting: the second of its stamp, and a hash of what it held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Print {
    second: i64,
    hash: u64,
}

/// Which sightings were given already.
#[derive(Debug, Default)]
pub(super) struct Seen {
    durable: BTreeMap<Id, Print>,
    unconfirmed: VecDeque<(Cursor, BTreeMap<Id, Print>)>,
}

impl Print {
    /// A query and a read by id may tell the fields in different orders, which is no difference.
    pub(super) fn of(record: &Record, modified: Timestamp) -> Self {
        let of_field = |(name, value): (&String, &Json)| {
            let mut hasher = DefaultHasher::new();
            hasher.write(name.as_bytes());
            hasher.write_u8(0xFF);
            hasher.write(value.to_string().as_bytes());
            hasher.finish()
        };
        let fields = record.iter().filter(|(name, _)| *name != "attributes").map(of_field);
        Self { second: modified.as_second(), hash: fields.fold(0, u64::wrapping_add) }
    }
}

impl Seen {
    /// Whether this very sighting was given in a page that is durable, or about to be.
    pub(super) fn knows(&self, record: &RecordId, print: Print) -> bool {
        let Some(id) = key(record) else { return false };
        let newest = self.unconfirmed.iter().rev().find_map(|(_, page)| page.get(&id));
        newest.or_else(|| self.durable.get(&id)) == Some(&print)
    }

    /// Drops pages that were given and not taken: the agent goes on from `after`.
    pub(super) fn resume(&mut self, after: &Cursor) {
        match self.unconfirmed.iter().rposition(|(cursor, _)| cursor == after) {
            Some(last) => self.unconfirmed.truncate(last + 1),
            None => self.unconfirmed.clear(),
        }
    }

    /// Keeps what a page gives, until it is confirmed.
    pub(super) fn give(&mut self, cursor: Cursor, page: &[(RecordId, Print)]) {
        let entries = page.iter().filter_map(|(record, print)| Some((key(record)?, *print)));
        self.unconfirmed.push_back((cursor, entries.collect()));
        if self.unconfirmed.len() > UNCONFIRMED_MAX {
            self.unconfirmed.pop_front();
        }
    }

    /// The pages up to this cursor are durable.
    pub(super) fn confirm(&mut self, durable: &Cursor) {
        let Some(last) = self.unconfirmed.iter().rposition(|(cursor, _)| cursor == durable) else {
            return;
        };
        for (_, page) in self.unconfirmed.drain(..=last) {
            self.durable.extend(page);
        }
        if self.durable.len() > ENTRIES_MAX {
            let mut seconds: Vec<i64> = self.durable.values().map(|print| print.second).collect();
            let half = seconds.len() / 2;
            let (_, median, _) = seconds.select_nth_unstable(half);
            let median = *median;
            self.durable.retain(|_, print| print.second > median);
        }
    }

    /// Drops what was given of a record, and says which stamp it had.
    pub(super) fn forget(&mut self, record: &RecordId) -> Option<Timestamp> {
        let id = key(record)?;
        let pages = self.unconfirmed.iter_mut().map(|(_, page)| page.remove(&id));
        let given = pages.collect::<Vec<_>>().into_iter().flatten().last();
        let durable = self.durable.remove(&id);
        Timestamp::from_second(given.or(durable)?.second).ok()
    }

    /// Drops what no pass will read again.
    pub(super) fn drop_before(&mut self, floor: Timestamp) {
        self.durable.retain(|_, print| print.second >= floor.as_second());
    }
}

fn key(record: &RecordId) -> Option<Id> {
    record.0.as_bytes().first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn print(second: i64, value: &str) -> Print {
        let record = json!({ "attributes": { "url": value }, "Name": value });
        Print::of(record.as_object().unwrap(), Timestamp::from_second(second).unwrap())
    }

    fn cursor(n: u32) -> Cursor {
        Cursor(json!(n))
    }

    fn id() -> RecordId {
        "003xx000004TmiQAAS".into()
    }

    #[test]
    fn a_second_change_in_the_same_second_is_another_sighting() {
        let mut seen = Seen::default();
        seen.give(cursor(1), &[(id(), print(7, "a"))]);
        seen.confirm(&cursor(1));
        assert!(seen.knows(&id(), print(7, "a")));
        assert!(!seen.knows(&id(), print(7, "b")));
        assert!(!seen.knows(&id(), print(8, "a")));
    }

    #[test]
    fn a_page_that_was_not_taken_is_given_again() {
        let mut seen = Seen::default();
        seen.give(cursor(1), &[(id(), print(7, "a"))]);
        seen.resume(&cursor(0));
        assert!(!seen.knows(&id(), print(7, "a")));
        seen.give(cursor(1), &[(id(), print(7, "a"))]);
        seen.resume(&cursor(1));
        assert!(seen.knows(&id(), print(7, "a")), "the agent went on from it");
    }

    #[test]
    fn a_sighting_that_was_ignored_is_given_again() {
        let mut seen = Seen::default();
        seen.give(cursor(1), &[(id(), print(7, "a"))]);
        assert_eq!(seen.forget(&id()), Timestamp::from_second(7).ok());
        seen.confirm(&cursor(1));
        assert!(!seen.knows(&id(), print(7, "a")));
        assert_eq!(seen.forget(&id()), None);
    }

    #[test]
    fn memory_is_bounded_by_time_and_by_number() {
        let mut seen = Seen::default();
        let rows: Vec<(RecordId, Print)> = (0_i64..250_000)
            .map(|n| (RecordId::from(format!("003xx{n:010}AAA")), print(n, "a")))
            .collect();
        seen.give(cursor(1), &rows);
        seen.confirm(&cursor(1));
        assert!(seen.durable.len() <= ENTRIES_MAX);
        assert!(seen.knows(&rows[249_999].0, rows[249_999].1), "the newest are kept");
        seen.drop_before(Timestamp::from_second(249_000).unwrap());
        assert_eq!(seen.durable.len(), 1_000);
    }
}
