//! A CRM: records with whole-second stamps, a feed that is polled, writes without compare-and-set.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use truce::peer::{
    Ask, Cursor, Ended, Feed, Listed, Notes, Outline, Page, PeerError, Scan, Writer,
};
use truce::reconcile::{
    Change, Entity, Gone, Interval, Observation, Outcome, Position, Presence, Read, RecordId,
    Refusal, RefusalKind, Row, Side, Stamp, Target, Value, Write,
};

use crate::campaign::{blank, duplicate, here, matches, set};
use crate::schema::{BOTH, CODE, LATE, WRITE_LIMIT};
use crate::steps::pause;
use crate::world::{CrmFeed, Shared, World, lock};

#[derive(Clone, Default)]
pub(crate) struct Crm {
    pub records: BTreeMap<(Entity, RecordId), Record>,
    /// Every version with the tick and the time at which it came, for a feed that tells all.
    pub history: Vec<(Entity, RecordId, Record, (u64, Timestamp))>,
    /// What people set that no feed ever tells.
    pub untold: Vec<(Entity, RecordId, Row)>,
    pub next_id: u64,
    /// How far its clock is ahead of ours, in seconds.
    pub ahead: i64,
    /// People's edits that are not visible yet, with the stamp they will bear.
    pub late: Vec<(u64, Entity, RecordId, Row, i64)>,
    /// Our writes that land after their answer was lost.
    pub latecomers: Vec<(u64, Write)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub row: Row,
    pub modified: i64,
    pub stamp: Option<Stamp>,
    pub claims: Option<RecordId>,
    pub gone: Option<Gone>,
}

/// What the overlap of a poll must cover: late commits, a clock that steps back.
const OVERLAP: i64 = 15;

impl World {
    pub(crate) fn crm_second(&mut self) -> i64 {
        let back =
            i64::try_from(if self.troubles.backward { self.rng.below(4) } else { 0 }).unwrap();
        self.now().as_second() + self.crm.ahead - back
    }

    pub(crate) fn draw_id(&mut self) -> RecordId {
        self.crm.next_id += 1;
        RecordId::from(format!("c{:03}", self.crm.next_id))
    }

    /// Puts a record as it is from now on.
    pub(crate) fn put(&mut self, entity: Entity, id: &RecordId, record: Record) {
        let came = (self.tick(), self.now());
        self.crm.history.push((entity, id.clone(), record.clone(), came));
        self.crm.records.insert((entity, id.clone()), record);
    }

    /// What is due to become visible, or to land late.
    pub(crate) fn crm_passes_time(&mut self) {
        let due = |at: u64, now: u64| at <= now;
        let now = self.millis;
        let (late, rest) =
            std::mem::take(&mut self.crm.late).into_iter().partition(|late| due(late.0, now));
        self.crm.late = rest;
        let late: Vec<(u64, Entity, RecordId, Row, i64)> = late;
        for (_, entity, id, row, modified) in late {
            self.crm_edit(entity, &id, row, modified);
        }
        let (landing, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.crm.latecomers).into_iter().partition(|late| due(late.0, now));
        self.crm.latecomers = rest;
        for (_, write) in landing {
            self.tell(|| format!("crm: latecomer {} {:?}", write.stamp, write.change));
            // What it overwrites was written after our read: the window of rule 14, at its widest.
            if let (Target::Record(id), Change::Set(row)) = (&write.target, &write.change) {
                self.excused.extend(row.keys().map(|field| (id.clone(), *field)));
            }
            let landed = self.apply(&write);
            self.tell(|| format!("crm: latecomer {landed:?}"));
        }
    }

    /// A person's edit becomes visible.
    pub(crate) fn crm_edit(&mut self, entity: Entity, id: &RecordId, edits: Row, modified: i64) {
        let Some(mut record) = self.crm.records.get(&(entity, id.clone())).cloned() else { return };
        if record.gone.is_some() {
            return;
        }
        for (field, value) in &edits {
            self.word(Side::Crm, entity, id, *field, value.clone());
        }
        record.row.extend(edits);
        record.modified = modified;
        self.put(entity, id, record);
    }

    pub(crate) fn restore_crm(&mut self, backup: &Crm) {
        let (next_id, ahead) = (self.crm.next_id, self.crm.ahead);
        self.crm =
            Crm { next_id, ahead, latecomers: Vec::new(), late: Vec::new(), ..backup.clone() };
        self.epochs.crm += 1;
    }

    fn sight(
        &self,
        at: (Position, Timestamp),
        entity: Entity,
        id: &RecordId,
        record: Option<&Record>,
    ) -> Observation {
        let presence = match record {
            None => Presence::Gone(Gone::Missing),
            Some(Record { gone: Some(gone), .. }) => Presence::Gone(gone.clone()),
            Some(record) => here(record.row.clone()),
        };
        let modified = record.and_then(|record| Timestamp::from_second(record.modified).ok());
        let second = SignedDuration::from_secs(1);
        Observation {
            entity,
            record: id.clone(),
            was: None,
            at: at.0,
            read: Read::Asked(at.1),
            presence,
            modified: modified
                .map(|m| Interval { after: m, until: m.checked_add(second).unwrap() }),
            by: None,
            stamp: record.and_then(|record| record.stamp).filter(|_| self.kind.stamped),
            claims: record.and_then(|record| record.claims.clone()),
        }
    }

    /// What stands in a write's way, read just before it.
    fn guard(&mut self, write: &Write, at: (Position, Timestamp)) -> Option<Outcome> {
        let entity = write.entity;
        match &write.target {
            Target::Record(id) => {
                let record = self.crm.records.get(&(entity, id.clone()));
                let sight = || Some(Box::new(self.sight(at, entity, id, record)));
                let Some(live) = record.filter(|record| record.gone.is_none()) else {
                    return Some(Outcome::Gone(sight()));
                };
                let moved = write.expect.iter().any(|(f, e)| live.row.get(f) != Some(&e.value));
                moved.then(|| Outcome::Stale(sight()))
            }
            Target::New { unless, .. } => {
                let found: Vec<Observation> = (self.crm.records.iter())
                    .filter(|((of, _), record)| {
                        *of == entity && record.gone.is_none() && matches(unless, &record.row)
                    })
                    .map(|((_, id), record)| self.sight(at, entity, id, Some(record)))
                    .collect();
                (!found.is_empty()).then_some(Outcome::Found(found))
            }
        }
    }

    /// Carries a write out, as a batch call does: without comparing anything.
    fn apply(&mut self, write: &Write) -> Outcome {
        let entity = write.entity;
        let modified = self.crm_second();
        let stamp = Some(write.stamp);
        let mut created = None;
        let (id, mut record) = match &write.target {
            Target::Record(id) => {
                match self.crm.records.get(&(entity, id.clone())).filter(|r| r.gone.is_none()) {
                    Some(record) => (id.clone(), record.clone()),
                    None => return Outcome::Gone(None),
                }
            }
            Target::New { across, .. } => {
                let owner = self.crm.records.iter().find(|((of, _), record)| {
                    *of == entity && record.gone.is_none() && record.claims.as_ref() == Some(across)
                });
                if let Some(((_, id), record)) = owner {
                    // It was made by an earlier try, and no feed told of it for as long as a write
                    // may take: what people made of it since is overwritten unseen.
                    let (id, record) = (id.clone(), record.clone());
                    let fields = crate::schema::fields(entity).iter();
                    self.excused.extend(fields.map(|field| (id.clone(), *field)));
                    created = Some(id.clone());
                    (id, record)
                } else {
                    let id = self.draw_id();
                    created = Some(id.clone());
                    let (row, claims) = (blank(entity), Some(across.clone()));
                    (id, Record { row, modified, stamp, claims, gone: None })
                }
            }
        };
        match &write.change {
            Change::Delete => {
                self.check_delete(entity);
                record.gone = Some(Gone::Deleted);
            }
            Change::Set(fields) => {
                if let Some(refusal) = self.refusal(entity, &id, fields) {
                    return Outcome::Refused(refusal);
                }
                self.check_opt_in(write);
                self.check_blanks(&record.row, fields);
                for (field, value) in fields {
                    let old = record.row.get(field).cloned();
                    self.note_overwrite(Side::Crm, entity, &id, *field, old.as_ref(), value);
                }
                set(&mut record.row, fields);
            }
        }
        record.modified = modified;
        record.stamp = stamp;
        self.note_written(write, id.clone());
        self.put(entity, &id, record);
        Outcome::Done { created, xid: None }
    }

    pub(crate) fn crm_held(
        &self,
        entity: Entity,
        id: &RecordId,
        field: truce::reconcile::Field,
        value: &Value,
    ) -> bool {
        let of =
            |(e, i, ..): &&(Entity, RecordId, Record, (u64, Timestamp))| *e == entity && i == id;
        let untold = self.crm.untold.iter().filter(|(e, i, _)| *e == entity && i == id);
        let held = |row: &Row| row.get(&field) == Some(value);
        self.crm.history.iter().filter(of).any(|(_, _, record, _)| held(&record.row))
            || untold.into_iter().any(|(_, _, row)| held(row))
    }

    /// Everything that a restore touches has a break in its story.
    pub(crate) fn disturb_all(&mut self) {
        let keys: Vec<RecordId> = self.campaign.rows.keys().map(|(_, key)| key.clone()).collect();
        self.disturbed.extend(keys.into_iter().map(|key| (Side::Campaign, key)));
        let ids: Vec<RecordId> = self.crm.records.keys().map(|(_, id)| id.clone()).collect();
        self.disturbed.extend(ids.into_iter().map(|id| (Side::Crm, id)));
    }

    fn refusal(&self, entity: Entity, id: &RecordId, fields: &Row) -> Option<Refusal> {
        if fields.get(&BOTH) == Some(&Value::text("bad")) {
            let fields = if id.0.ends_with('1') { Vec::new() } else { vec![BOTH] };
            let (code, message) = ("FIELD_CUSTOM_VALIDATION_EXCEPTION".into(), "bad".into());
            return Some(Refusal { kind: RefusalKind::Record, code, message, fields });
        }
        let code = fields.get(&CODE).filter(|code| !code.is_null())?;
        let owner = self.crm.records.iter().find(|((of, other), record)| {
            *of == entity
                && other != id
                && record.gone.is_none()
                && record.row.get(&CODE) == Some(code)
        });
        owner.map(|((_, owner), _)| duplicate(owner.clone()))
    }

    fn crm_write(&mut self, write: &Write, at: (Position, Timestamp)) -> Outcome {
        self.writes += 1;
        self.check_stamp(write);
        if let Some(outcome) = self.guard(write, at) {
            self.tell(|| format!("crm: {:?} {} -> {outcome:?}", write.target, write.stamp));
            return outcome;
        }
        if self.precondition_fails(write) {
            let Target::Record(id) = &write.target else { return Outcome::Stale(None) };
            let record = self.crm.records.get(&(write.entity, id.clone()));
            return Outcome::Stale(Some(Box::new(self.sight(at, write.entity, id, record))));
        }
        self.edit_in_the_window(write);
        let (lost, latecomers) = (self.troubles.lost, self.troubles.latecomers);
        if self.trouble(lost, 12) {
            self.lost += 1;
            self.tell(|| format!("crm: lost before {} {:?}", write.stamp, write.change));
            return Outcome::Lost;
        }
        if self.trouble(lost && latecomers, 12) {
            self.lost += 1;
            let limit = u64::try_from(WRITE_LIMIT.as_millis()).unwrap() - 2_000;
            let at = self.millis
                + u64::try_from(self.rng.below(usize::try_from(limit).unwrap())).unwrap();
            self.crm.latecomers.push((at, write.clone()));
            self.tell(|| format!("crm: {} will land at {at}", write.stamp));
            return Outcome::Lost;
        }
        let outcome = self.apply(write);
        self.tell(|| {
            format!(
                "crm: agent {} {:?} {:?} -> {outcome:?}",
                write.stamp, write.target, write.change
            )
        });
        if matches!(outcome, Outcome::Done { .. }) && self.trouble(lost, 12) {
            self.lost += 1;
            return Outcome::Lost;
        }
        outcome
    }

    /// If-Unmodified-Since: whole seconds, so a change in the same second passes.
    fn precondition_fails(&self, write: &Write) -> bool {
        let (Target::Record(id), true, Some(since)) =
            (&write.target, write.opt_in, write.unmodified_since)
        else {
            return false;
        };
        let record = self.crm.records.get(&(write.entity, id.clone()));
        record.is_some_and(|record| record.modified + 1 > since.as_second())
    }
}

/// The door to the CRM.
#[derive(Clone)]
pub(crate) struct CrmPeer(pub Shared);

impl Feed for CrmPeer {
    async fn page(
        &mut self,
        after: &Cursor,
        _: Duration,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Page, PeerError> {
        let at = asked.tick();
        pause().await;
        let mut world = lock(&self.0);
        world.crm_passes_time();
        let feed = world.kind.feed;
        Ok(match feed {
            CrmFeed::Complete => world.all_versions(after),
            CrmFeed::Latest => world.latest_states(after, at),
        })
    }

    async fn confirm(&mut self, _: &Cursor) -> Result<(), PeerError> {
        Ok(())
    }
}

impl World {
    /// Each version as of the moment it came: as if it had been asked for just then.
    fn all_versions(&mut self, after: &Cursor) -> Page {
        let epoch = self.epochs.crm;
        let same_life = after.0["epoch"].as_u64() == Some(u64::from(epoch));
        let from = if same_life {
            usize::try_from(after.0["at"].as_u64().unwrap_or(0)).unwrap()
        } else {
            0
        };
        let to = self.crm.history.len().min(from + 1 + self.rng.below(5));
        let observations = (self.crm.history[from..to].iter())
            .map(|(entity, id, record, (tick, time))| {
                let at = (Position { epoch, major: *tick, minor: 0 }, *time);
                self.sight(at, *entity, id, Some(record))
            })
            .collect();
        let cursor = Cursor(serde_json::json!({ "epoch": epoch, "at": to }));
        let more = to < self.crm.history.len();
        Page { observations, cursor, more, skew: None, compare: Vec::new() }
    }

    fn latest_states(&mut self, after: &Cursor, at: (Position, Timestamp)) -> Page {
        let from = after.0["second"].as_i64().unwrap_or(0);
        let mut rows: Vec<(i64, Entity, RecordId)> = (self.crm.records.iter())
            .filter(|(_, record)| record.modified >= from - OVERLAP)
            .map(|((entity, id), record)| (record.modified, *entity, id.clone()))
            .collect();
        rows.sort();
        let second = rows.last().map_or(from, |row| row.0).max(from);
        let observations = (rows.into_iter())
            .map(|(_, entity, id)| {
                let record = self.crm.records.get(&(entity, id.clone()));
                self.sight(at, entity, &id, record)
            })
            .collect();
        let cursor = Cursor(serde_json::json!({ "second": second }));
        Page { observations, cursor, more: false, skew: None, compare: Vec::new() }
    }
}

impl Scan for CrmPeer {
    async fn scan(
        &mut self,
        entity: Entity,
        after: Option<&RecordId>,
        limit: usize,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Observation>, PeerError> {
        let at = asked.tick();
        pause().await;
        let world = lock(&self.0);
        let live = world.crm.records.iter().filter(|((of, id), record)| {
            *of == entity && Some(id) > after && record.gone.is_none()
        });
        Ok(live.take(limit).map(|((_, id), r)| world.sight(at, entity, id, Some(r))).collect())
    }

    async fn read(
        &mut self,
        entity: Entity,
        records: &[RecordId],
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Observation>, PeerError> {
        let at = asked.tick();
        pause().await;
        let world = lock(&self.0);
        let read = |id: &RecordId| {
            world.sight(at, entity, id, world.crm.records.get(&(entity, id.clone())))
        };
        Ok(records.iter().map(read).collect())
    }
}

impl Outline for CrmPeer {
    async fn outline(
        &mut self,
        entity: Entity,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<Vec<Listed>, PeerError> {
        pause().await;
        let world = lock(&self.0);
        let live = world.crm.records.iter().filter(|((of, id), record)| {
            *of == entity && Some(id) > after && record.gone.is_none()
        });
        let listed = |((_, id), record): (&(Entity, RecordId), &Record)| Listed {
            record: id.clone(),
            modified: Timestamp::from_second(record.modified + 1).ok(),
        };
        Ok(live.take(limit).map(listed).collect())
    }
}

impl Writer for CrmPeer {
    async fn write(
        &self,
        writes: Vec<Write>,
        _: &(impl Notes + Sync),
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Outcome>, PeerError> {
        let at = asked.tick();
        pause().await;
        let mut outcomes = Vec::new();
        for write in writes {
            outcomes.push(lock(&self.0).crm_write(&write, at));
            pause().await;
        }
        Ok(outcomes)
    }

    async fn draw_keys(&self, _: Entity, _: usize) -> Result<Vec<RecordId>, PeerError> {
        Ok(Vec::new())
    }

    async fn transaction(&self, _: u64) -> Result<Option<Ended>, PeerError> {
        Ok(None)
    }
}

/// How long a late commit may take, in milliseconds.
pub(crate) fn late_millis() -> usize {
    usize::try_from(LATE.as_millis()).unwrap() - 1_000
}

impl World {
    /// A person edits the record between our read and our write (rule 14).
    fn edit_in_the_window(&mut self, write: &Write) {
        let (Target::Record(id), Change::Set(row)) = (&write.target, &write.change) else { return };
        let window = self.troubles.window;
        if !self.trouble(window, 6) || write.opt_in {
            return;
        }
        let (id, entity) = (id.clone(), write.entity);
        let edits = self.edits(Side::Crm, entity);
        self.tell(|| format!("crm: person sets {id} {edits:?} in the window"));
        for field in edits.keys().filter(|field| row.contains_key(field)) {
            self.excused.insert((id.clone(), *field));
        }
        let second = self.crm_second();
        self.crm_edit(entity, &id, edits, second);
    }
}
