//! Moments, each written down once and named by its place.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::body::NotBody;
use crate::reconcile::Interval;

/// The place of a moment among a body's times.
pub(super) type Place = u16;

/// All moments of a body, in the order in which they were first named.
#[derive(Debug, Default)]
pub(super) struct Times(Vec<Timestamp>);

/// As they are written.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct StoredTimes(Vec<String>);

impl Times {
    /// Its place. A link names a few dozen moments, most of them again and again: a walk is quick.
    pub(super) fn place(&mut self, time: Timestamp) -> Place {
        let found = self.0.iter().position(|known| *known == time);
        let place = found.unwrap_or_else(|| {
            self.0.push(time);
            self.0.len() - 1
        });
        Place::try_from(place).expect("trails and writes are bounded far below this")
    }

    pub(super) fn interval(&mut self, interval: Interval) -> (Place, Place) {
        (self.place(interval.after), self.place(interval.until))
    }

    pub(super) fn store(&self) -> StoredTimes {
        StoredTimes(self.0.iter().map(ToString::to_string).collect())
    }

    pub(super) fn at(&self, place: Place) -> Result<Timestamp, NotBody> {
        let time = self.0.get(usize::from(place)).copied();
        time.ok_or_else(|| NotBody(format!("there is no time {place}")))
    }

    pub(super) fn between(&self, (after, until): (Place, Place)) -> Result<Interval, NotBody> {
        Ok(Interval { after: self.at(after)?, until: self.at(until)? })
    }
}

impl StoredTimes {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn load(&self) -> Result<Times, NotBody> {
        let parse =
            |text: &String| text.parse().map_err(|_| NotBody(format!("`{text}` is not a moment")));
        Ok(Times(self.0.iter().map(parse).collect::<Result<_, _>>()?))
    }
}
