//! Logged changes as observations: pure, one message at a time, until a page is full.
//!
//! Within one transaction the changes of a record become one observation, since nobody could see
//! it in between; across transactions they stay apart, because each may be the echo of a write of
//! ours and is known by its transaction's id. A page may end inside a transaction, so that memory
//! is bounded; the transaction is then sent again after a crash, and its first changes skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::campaign::cursor::Within;
use crate::campaign::pgoutput::{Begin, Message, Oid, Old, Relation, Tuple, Xid};
use crate::campaign::projection::Projection;
use crate::campaign::standing::Standing;
use crate::campaign::table::{Cell, Mapped, Tables};
use crate::peer::PeerError;
use crate::reconcile::{
    Entity, Gone, Interval, Lsn, Observation, Position, Presence, Read, RecordId,
};

/// What the log says, gathered into a page.
#[derive(Debug)]
pub(crate) struct Gather {
    tables: Tables,
    epoch: u32,
    relations: BTreeMap<Oid, Vec<Projection>>,
    oids: BTreeMap<u16, u32>,
    /// How the columns of each table stand, as of the last page.
    prints: BTreeMap<u16, String>,
    standings: BTreeMap<Entity, Arc<Standing>>,
    /// The newest transaction id that was seen, in 64 bits.
    newest_xid: u64,
    open: Option<Open>,
    /// When the transaction before was committed.
    previous: Option<Timestamp>,
    resume: Option<Within>,
    end: Lsn,
    page: Gathered,
    /// Where in the page the open transaction's records are.
    latest: BTreeMap<(Entity, RecordId), usize>,
}

/// A transaction that is being told.
#[derive(Debug)]
struct Open {
    commit: Lsn,
    committed_at: Timestamp,
    xid: u64,
    changes: u32,
    skip: u32,
}

/// What a page will hold.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) observations: Vec<Observation>,
    pub(crate) compare: BTreeSet<Entity>,
    bytes: usize,
}

/// Where the gathering begins.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) epoch: u32,
    pub(crate) end: Lsn,
    pub(crate) within: Option<Within>,
    /// The oid that each table was last known by.
    pub(crate) oids: BTreeMap<u16, u32>,
    /// What the columns of each table were last known by.
    pub(crate) prints: BTreeMap<u16, String>,
    /// A transaction id of about now, in 64 bits.
    pub(crate) xid: u64,
}

/// What an observation takes beside its texts, roughly.
const OBSERVATION_BYTES: usize = 512;
/// Campaign sets `tslastmodified` before it commits, but not by more than a long workflow takes.
/// One that is older was not moved by this change.
const TRANSACTION_MAX: Duration = Duration::from_hours(24);

impl Gather {
    pub(crate) fn new(tables: Tables, start: Start) -> Self {
        let mut page = Gathered::default();
        let (mut oids, mut prints) = (start.oids, start.prints);
        let mut standings = BTreeMap::new();
        for (entity, mapped) in &tables {
            let standing = mapped.standing();
            let known = oids.insert(entity.0, standing.oid());
            let rebuilt = known.is_some_and(|known| known != standing.oid());
            let known = prints.insert(entity.0, standing.print());
            if rebuilt || known.is_some_and(|known| known != standing.print()) {
                page.compare.insert(*entity);
            }
            standings.insert(*entity, standing);
        }
        Self {
            tables,
            epoch: start.epoch,
            relations: BTreeMap::new(),
            oids,
            prints,
            standings,
            newest_xid: start.xid,
            open: None,
            previous: None,
            resume: start.within,
            end: start.end,
            page,
            latest: BTreeMap::new(),
        }
    }

    /// Up to where everything is in this page or was in one before.
    pub(crate) fn end(&self) -> Lsn {
        self.end
    }

    /// The part of the open transaction that is in this page or was in one before.
    pub(crate) fn within(&self) -> Option<Within> {
        let open = self.open.as_ref()?;
        let changes = open.changes.max(open.skip);
        (0 < changes).then_some(Within { commit: open.commit, changes })
    }

    pub(crate) fn oids(&self) -> &BTreeMap<u16, u32> {
        &self.oids
    }

    pub(crate) fn prints(&self) -> &BTreeMap<u16, String> {
        &self.prints
    }

    /// Looks at how the columns stand by now: what one holds that came back or is another one is
    /// not in the log.
    pub(crate) fn look(&mut self) {
        for (entity, mapped) in &self.tables {
            let standing = mapped.standing();
            let known = self.standings.insert(*entity, Arc::clone(&standing));
            if known.as_ref().is_some_and(|known| Arc::ptr_eq(known, &standing)) {
                continue;
            }
            if known.is_none_or(|known| known.turns() != standing.turns()) {
                self.page.compare.insert(*entity);
            }
            self.prints.insert(entity.0, standing.print());
        }
    }

    pub(crate) fn is_in_transaction(&self) -> bool {
        self.open.is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.page.observations.is_empty() && self.page.compare.is_empty()
    }

    pub(crate) fn is_full(&self, rows: usize, bytes: usize) -> bool {
        rows <= self.page.observations.len() || bytes <= self.page.bytes
    }

    /// Ends the page.
    pub(crate) fn cut(&mut self) -> Gathered {
        self.latest.clear();
        std::mem::take(&mut self.page)
    }

    /// The server has nothing for us before this.
    pub(crate) fn keepalive(&mut self, end: Lsn) {
        if self.open.is_none() {
            self.end = self.end.max(end);
        }
    }

    /// Takes one message in.
    pub(crate) fn take(&mut self, message: &Message<'_>) -> Result<(), PeerError> {
        match message {
            Message::Begin(begin) => self.begin(begin),
            Message::Commit(commit) => {
                self.open = None;
                self.previous = Some(commit.committed_at);
                self.end = self.end.max(commit.end_lsn);
                self.latest.clear();
            }
            Message::Relation(relation) => self.relation(relation),
            Message::Insert(insert) => self.change(insert.relation, None, Some(insert.new))?,
            Message::Update(update) => {
                self.change(update.relation, update.old, Some(update.new))?;
            }
            Message::Delete(delete) => self.change(delete.relation, Some(delete.old), None)?,
            Message::Truncate(truncate) => {
                if self.is_new() {
                    let emptied = truncate.relations().filter_map(|id| self.relations.get(&id));
                    let emptied = emptied.flatten().map(|one| one.mapped.mapping.entity);
                    self.page.compare.extend(emptied);
                }
            }
            // Not ours to follow: whoever wrote it, a row is a row.
            Message::Origin(_) | Message::Type(_) | Message::Emitted(_) => {}
        }
        Ok(())
    }

    fn begin(&mut self, begin: &Begin) {
        let resume = self.resume.take().filter(|within| within.commit == begin.final_lsn);
        let xid = widened(begin.xid, self.newest_xid);
        self.newest_xid = self.newest_xid.max(xid);
        self.open = Some(Open {
            commit: begin.final_lsn,
            committed_at: begin.committed_at,
            xid,
            changes: 0,
            skip: resume.map_or(0, |within| within.changes),
        });
    }

    fn relation(&mut self, relation: &Relation<'_>) {
        let mut projections: Vec<Projection> = Vec::new();
        let before = self.relations.remove(&relation.id).unwrap_or_default();
        for (entity, mapped) in &self.tables {
            let table = &mapped.table;
            if *table.schema != *relation.schema || *table.name != *relation.name {
                continue;
            }
            let projection = Projection::plan(mapped, relation);
            let known = before.iter().find(|known| known.mapped.mapping.entity == *entity);
            if self.oids.insert(entity.0, relation.id.0) != Some(relation.id.0) {
                // Rebuilt by copy and rename: what happened in between was not logged as changes.
                self.page.compare.insert(*entity);
            }
            if projection.tell(known) {
                self.page.compare.insert(*entity);
            }
            projections.push(projection);
        }
        self.relations.insert(relation.id, projections);
    }

    /// Counts a change of the open transaction; whether it was not told before.
    fn is_new(&mut self) -> bool {
        self.open.as_mut().is_none_or(|open| {
            open.changes = open.changes.saturating_add(1);
            open.skip < open.changes
        })
    }

    fn change(
        &mut self,
        relation: Oid,
        old: Option<Old<'_>>,
        new: Option<Tuple<'_>>,
    ) -> Result<(), PeerError> {
        if !self.is_new() {
            return Ok(());
        }
        let Some(open) = &self.open else { return Ok(()) };
        let Some(projections) = self.relations.get(&relation) else { return Ok(()) };
        let mut seen = Vec::with_capacity(projections.len());
        for projection in projections {
            let told = Told { open, previous: self.previous, epoch: self.epoch };
            let (observation, bytes) = told.observation(projection, old, new)?;
            self.page.bytes += bytes;
            seen.extend(observation);
        }
        for observation in seen {
            self.push(observation);
        }
        Ok(())
    }

    fn push(&mut self, observation: Observation) {
        let key = (observation.entity, observation.record.clone());
        let before = self.latest.get(&key).and_then(|at| self.page.observations.get_mut(*at));
        if let Some(before) = before.filter(|before| joins(before, &observation)) {
            join(before, observation);
            return;
        }
        if let Some(was) = &observation.was {
            self.latest.remove(&(observation.entity, was.clone()));
        }
        self.latest.insert(key, self.page.observations.len());
        self.page.observations.push(observation);
    }
}

/// Whether two changes of a record in one transaction are one sighting. A row that was deleted and
/// came again is another record under the same key, and a key that changed is news of its own.
fn joins(before: &Observation, after: &Observation) -> bool {
    after.was.is_none()
        && matches!(
            (&before.presence, &after.presence),
            (Presence::Here { .. }, Presence::Here { .. } | Presence::Gone(_))
        )
}

/// The later one stands; a value that it did not bring (unchanged TOAST) is that of the earlier.
fn join(before: &mut Observation, after: Observation) {
    before.at = after.at;
    before.modified = match (before.modified, after.modified) {
        (Some(a), Some(b)) => Some(Interval { after: a.after.min(b.after), until: b.until }),
        (_, other) => other,
    };
    match (&mut before.presence, after.presence) {
        (
            Presence::Here { row, raw, unfit },
            Presence::Here { row: later, raw: later_raw, unfit: misfits },
        ) => {
            for field in later.keys().chain(misfits.keys()) {
                row.remove(field);
                raw.remove(field);
                unfit.remove(field);
            }
            row.extend(later);
            raw.extend(later_raw);
            unfit.extend(misfits);
        }
        (presence, other) => *presence = other,
    }
}

/// What an observation takes from its transaction.
struct Told<'a> {
    open: &'a Open,
    previous: Option<Timestamp>,
    epoch: u32,
}

impl Told<'_> {
    /// What a change says of a record, and how large it is; nothing of row 0.
    fn observation(
        &self,
        projection: &Projection,
        old: Option<Old<'_>>,
        new: Option<Tuple<'_>>,
    ) -> Result<(Option<Observation>, usize), PeerError> {
        let mapped = &projection.mapped;
        let was = match &old {
            Some(old) => mapped.record(&projection.cells(old.tuple(), None)?),
            None => None,
        };
        let whole = match old {
            Some(Old::Row(tuple)) => Some(tuple),
            Some(Old::Key(_)) | None => None,
        };
        let Some(new) = new else {
            let gone = was.map(|record| self.gone(mapped, record));
            return Ok((gone, OBSERVATION_BYTES));
        };
        let cells = projection.cells(new, whole)?;
        let Some(record) = mapped.record(&cells) else {
            // The key became that of row 0: the record is gone.
            let gone = was.map(|record| self.gone(mapped, record));
            return Ok((gone, OBSERVATION_BYTES));
        };
        let was = was.filter(|was| *was != record);
        let presence = mapped.presence(&cells);
        let modified = self.modified(mapped.modified(&cells));
        let (by, seen) = (mapped.modified_by(&cells), self.seen(mapped, record));
        Ok((Some(Observation { was, presence, modified, by, ..seen }), size(&cells)))
    }

    fn gone(&self, mapped: &Arc<Mapped>, record: RecordId) -> Observation {
        let modified = self.modified(None);
        Observation { modified, ..self.seen(mapped, record) }
    }

    fn seen(&self, mapped: &Arc<Mapped>, record: RecordId) -> Observation {
        Observation {
            entity: mapped.mapping.entity,
            record,
            was: None,
            at: Position { epoch: self.epoch, major: self.open.commit.0, minor: self.open.changes },
            read: Read::Logged { xid: self.open.xid },
            presence: Presence::Gone(Gone::Deleted),
            modified: None,
            by: None,
            stamp: None,
            claims: None,
        }
    }

    /// After the transaction before, up to the commit; from when the application says that it
    /// made the change, where that is earlier.
    fn modified(&self, said: Option<Timestamp>) -> Option<Interval> {
        let until = self.open.committed_at;
        // An origin that was set up carelessly makes commits of the year 2000.
        let earliest = until.checked_sub(TRANSACTION_MAX).ok()?;
        if until.as_second() <= CARELESS_UNTIL {
            return None;
        }
        let after = self.previous.map_or(until, |previous| previous.min(until));
        let said = said.filter(|said| earliest <= *said);
        Some(Interval { after: said.map_or(after, |said| said.min(after)), until })
    }
}

/// 2000-01-02: a commit time that was never set reads as the day before.
const CARELESS_UNTIL: i64 = 946_771_200;

fn size(cells: &[Cell<'_>]) -> usize {
    let text = |cell: &Cell<'_>| match cell {
        Cell::Text(text) => text.len(),
        Cell::Unknown | Cell::Null => 0,
    };
    OBSERVATION_BYTES + cells.iter().map(text).sum::<usize>()
}

/// A transaction id in 64 bits: the one of its kind that is nearest to one known to be recent.
fn widened(xid: Xid, near: u64) -> u64 {
    const WRAP: u64 = 1 << 32;
    let guess = (near & !(WRAP - 1)) | u64::from(xid.0);
    if guess + WRAP / 2 < near {
        guess + WRAP
    } else if near + WRAP / 2 < guess && WRAP <= guess {
        guess - WRAP
    } else {
        guess
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_ids_are_widened_across_a_wrap() {
        assert_eq!(widened(Xid(700), 690), 700);
        assert_eq!(widened(Xid(5), 0x1_FFFF_FFF0), 0x2_0000_0005);
        assert_eq!(widened(Xid(0xFFFF_FFF0), 0x2_0000_0005), 0x1_FFFF_FFF0);
        assert_eq!(widened(Xid(0xFFFF_FFF0), 5), 0xFFFF_FFF0, "nothing was before the first");
    }
}
