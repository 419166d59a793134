//! The census: now and then every record of a CRM's object is counted, for what no feed told.
//!
//! A feed tells what changes. It does not tell of records that are deleted for good, become visible
//! by a sharing rule or lose their visibility, nor of anything that was lost on the way. So all ids
//! are listed in their order, each with its stamp, some thousands a call, and compared with the links
//! whose records lie between the same ids. Where the two differ the record is read by its id, and
//! what that says is taken in like anything else that is seen. Nothing follows from the list itself:
//! a record that is not in it is read too, and one that is not found is held, as absence is not
//! deletion.
//!
//! A census goes on where it was left off: how far it came is kept with what it found. It takes a
//! bounded number of pages at a look, so that nothing else waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

use crate::ledger::{Bearer, Kept, Ledger};
use crate::peer::{Cursor, Listed, Outline};
use crate::reconcile::{Bond, Entity, LinkState, RecordId, Side};

use super::absorb::absorb;
use super::plan::Plan;
use super::time::{Clock, Ticks};
use super::{AgentError, Desk};

/// The most ids of a page: a call of Salesforce gives no more, nor reads more.
const PAGE: usize = 2000;

/// A record whose write is under way says nothing, and is read again with the pages that follow;
/// after the last page so often. Its write reads it, too.
const LAST_READS: u8 = 3;

/// Where a mapping's census stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Census {
    /// The last one ended then, or everything was compared.
    Done(Timestamp),
    /// One is under way.
    UnderWay(Count),
}

/// How far a census has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All records up to this one are counted.
    after: Option<RecordId>,
    /// How many there are.
    counted: u64,
    /// How many differed from what the feeds had told, and were read.
    differing: u64,
    /// Those that are to be read again.
    again: BTreeSet<RecordId>,
    /// How often that was done since the last page.
    last_reads: u8,
}

/// What a page of a census came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Where the census stands.
    pub stands: Census,
    /// How many records were counted so far.
    pub counted: u64,
    /// How many of all differed from what the feeds had told.
    pub differing: u64,
}

impl Census {
    /// Where a mapping's census stands; `None` before everything was compared once.
    pub async fn of<L: Ledger>(ledger: &L, plan: &Plan) -> Result<Option<Self>, AgentError> {
        Ok(Self::read(&ledger.cursor(&cursor_name(plan)).await?))
    }

    /// What is to go on or to begin now, if anything is.
    pub fn due(self, every: Duration, now: Timestamp) -> Option<Count> {
        match self {
            Self::UnderWay(count) => Some(count),
            Self::Done(at) => {
                let every = SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX);
                (every <= now.duration_since(at)).then(Count::default)
            }
        }
    }

    /// To be kept under [`cursor_name`].
    pub fn cursor(&self) -> Cursor {
        Cursor(match self {
            Self::Done(at) => json!({ "done": at.to_string() }),
            Self::UnderWay(count) => json!({
                "after": count.after.as_ref().map(ToString::to_string),
                "counted": count.counted,
                "differing": count.differing,
                "again": count.again.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "last_reads": count.last_reads,
            }),
        })
    }

    fn read(cursor: &Cursor) -> Option<Self> {
        let kept = &cursor.0;
        if let Some(done) = kept["done"].as_str() {
            return done.parse().ok().map(Self::Done);
        }
        let again = kept["again"].as_array()?;
        Some(Self::UnderWay(Count {
            after: kept["after"].as_str().map(RecordId::from),
            counted: kept["counted"].as_u64()?,
            differing: kept["differing"].as_u64()?,
            again: again.iter().filter_map(Json::as_str).map(RecordId::from).collect(),
            last_reads: u8::try_from(kept["last_reads"].as_u64()?).ok()?,
        }))
    }
}

impl Count {
    /// How many records differed so far from what the feeds had told.
    pub fn differing(&self) -> u64 {
        self.differing
    }
}

/// Under which name a mapping's census is kept.
pub fn cursor_name(plan: &Plan) -> String {
    format!("census/{}", plan.name)
}

/// Counts one page of records, reads what differs and takes it in; where the census stands then.
pub async fn count<L: Ledger, C: Clock, S: Outline>(
    desk: &Desk<'_, L, C>,
    plan: &Plan,
    scan: &mut S,
    mut count: Count,
) -> Result<Counted, AgentError> {
    let entity = plan.policy.entity;
    let listed = if count.last_reads == 0 {
        scan.outline(entity, count.after.as_ref(), PAGE).await?
    } else {
        Vec::new()
    };
    let last = listed.last().map(|listed| listed.record.clone());
    let mut wanted = std::mem::take(&mut count.again);
    if count.last_reads == 0 {
        let stretch = (count.after.as_ref(), last.as_ref());
        let differing = differing(desk.ledger, entity, stretch, &listed).await?;
        count.counted += listed.len() as u64;
        count.differing += differing.len() as u64;
        wanted.extend(differing);
    }
    let ended = last.is_none();
    count.after = last.or(count.after);
    let records: Vec<RecordId> = wanted.into_iter().collect();
    let mut found = Vec::with_capacity(records.len());
    for some in records.chunks(PAGE) {
        let mut ticks = Ticks::new(desk.clock, desk.account, Side::Crm);
        found.extend(scan.read(entity, some, &mut ticks).await?);
    }
    // Those that say nothing are known only once they are taken in: kept a page late, and with none
    // before them to be lost.
    let absorbed = absorb(desk, Side::Crm, &found, &BTreeMap::new()).await?;
    count.again.extend(absorbed.deaf);
    count.last_reads += u8::from(ended);
    let over = ended && (count.again.is_empty() || LAST_READS < count.last_reads);
    let (counted, differing) = (count.counted, count.differing);
    let stands = if over { Census::Done(desk.clock.now()) } else { Census::UnderWay(count) };
    let cursors = BTreeMap::from([(cursor_name(plan), stands.cursor())]);
    absorb(desk, Side::Crm, &[], &cursors).await?;
    Ok(Counted { stands, counted, differing })
}

/// The records of a stretch of ids that are not as the ledger knows them.
async fn differing<L: Ledger>(
    ledger: &L,
    entity: Entity,
    (after, until): (Option<&RecordId>, Option<&RecordId>),
    listed: &[Listed],
) -> Result<BTreeSet<RecordId>, AgentError> {
    let mut rest: BTreeMap<&RecordId, &Listed> =
        listed.iter().map(|listed| (&listed.record, listed)).collect();
    let mut wanted = BTreeSet::new();
    let mut from = after.cloned();
    loop {
        let stretch = (from.as_ref(), until);
        let links = ledger.between(entity, Side::Crm, stretch, PAGE).await?;
        for kept in &links {
            let Some(record) = kept.link.record(Side::Crm) else { continue };
            if differs(kept, rest.remove(record)) {
                wanted.insert(record.clone());
            }
        }
        match links.last().and_then(|kept| kept.link.record(Side::Crm)) {
            Some(last) if links.len() == PAGE => from = Some(last.clone()),
            Some(_) | None => break,
        }
    }
    let bearers: Vec<Bearer> =
        rest.keys().map(|record| (entity, Side::Crm, (*record).clone())).collect();
    let ended = if bearers.is_empty() { Vec::new() } else { ledger.links_of(&bearers).await? };
    // One that is left alone on purpose is none that was missed.
    let left_alone: BTreeSet<&RecordId> = (ended.iter())
        .filter(|kept| {
            kept.link.state == LinkState::Severed && kept.link.seen.crm.bond == Bond::Here
        })
        .filter_map(|kept| kept.link.record(Side::Crm))
        .collect();
    wanted.extend(rest.into_keys().filter(|record| !left_alone.contains(record)).cloned());
    Ok(wanted)
}

/// Whether a live link's record is not as it was seen last: there or not, and of that time.
fn differs(kept: &Kept, listed: Option<&Listed>) -> bool {
    let known = &kept.link.seen.crm;
    match (listed, &known.bond) {
        (Some(Listed { modified, .. }), Bond::Here) => {
            modified.is_some() && *modified != known.modified
        }
        (Some(_), Bond::Gone(_) | Bond::Never) | (None, Bond::Here) => true,
        (None, Bond::Gone(_) | Bond::Never) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_census_is_read_as_it_was_kept() {
        let count = Count {
            after: Some("003".into()),
            counted: 4_000,
            differing: 3,
            again: ["001".into()].into(),
            last_reads: 1,
        };
        for census in [Census::UnderWay(count), Census::Done(at(7))] {
            assert_eq!(Census::read(&census.cursor()), Some(census));
        }
        assert_eq!(Census::read(&Cursor::start()), None);
    }

    #[test]
    fn one_that_was_left_off_goes_on_and_the_next_waits_for_its_time() {
        let hour = Duration::from_hours(1);
        let count = Count { counted: 9, ..Count::default() };
        assert_eq!(Census::UnderWay(count.clone()).due(hour, at(0)), Some(count));
        assert_eq!(Census::Done(at(0)).due(hour, at(3_599)), None);
        assert_eq!(Census::Done(at(0)).due(hour, at(3_600)), Some(Count::default()));
    }
}
