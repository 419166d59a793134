//! Campaign's database: rows, transactions with ids, a log of every commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use truce::peer::{Ask, Cursor, Ended, Feed, Notes, Page, PeerError, Scan, Writer};
use truce::reconcile::{
    Change, Entity, Field, Gone, Interval, Observation, Outcome, Position, Presence, Read,
    RecordId, Refusal, RefusalKind, Row, Side, Snapshot, Target, Value, Write,
};

use crate::schema::CODE;
use crate::steps::pause;
use crate::world::{Shared, World, lock};

#[derive(Clone, Default)]
pub(crate) struct Campaign {
    pub rows: BTreeMap<(Entity, RecordId), Row>,
    pub log: Vec<Entry>,
    lsn: u64,
    pub xid: u64,
    committed: BTreeSet<u64>,
    /// Begun and not ended.
    active: BTreeSet<u64>,
    /// Transactions of people that hold a row and have not committed.
    pub open: Vec<Open>,
    next_key: u64,
    last_commit: Option<Timestamp>,
    /// By how many seconds its clock is ahead of ours.
    pub ahead: i64,
}

impl Campaign {
    /// A server whose clock is so many seconds ahead of ours.
    pub(crate) fn ahead_by(ahead: i64) -> Self {
        Self { ahead, ..Self::default() }
    }
}

#[derive(Clone)]
pub(crate) struct Open {
    xid: u64,
    entity: Entity,
    pub key: RecordId,
    edits: Row,
}

#[derive(Clone)]
pub(crate) struct Entry {
    epoch: u32,
    lsn: u64,
    ordinal: u32,
    xid: u64,
    entity: Entity,
    key: RecordId,
    /// The key before, where this changed it.
    pub was: Option<RecordId>,
    row: Option<Row>,
    /// Why there is no row, where there is none.
    pub gone: Gone,
    pub unchanged: Vec<Field>,
    changed: Interval,
}

impl World {
    pub(crate) fn draw_key(&mut self) -> RecordId {
        self.campaign.next_key += 1;
        RecordId::from(format!("k{:03}", self.campaign.next_key))
    }

    /// A transaction's id.
    pub(crate) fn begin(&mut self) -> u64 {
        self.campaign.xid += 1;
        self.campaign.active.insert(self.campaign.xid);
        self.campaign.xid
    }

    /// Commits changes of rows under one transaction.
    pub(crate) fn commit(&mut self, xid: u64, changes: Vec<(Entity, RecordId, Option<Row>)>) {
        let now = self.now() + SignedDuration::from_secs(self.campaign.ahead);
        let after = self.campaign.last_commit.unwrap_or(now);
        self.campaign.last_commit = Some(now);
        self.campaign.lsn += 8;
        self.campaign.committed.insert(xid);
        self.campaign.active.remove(&xid);
        let epoch = self.epochs.campaign;
        for (ordinal, (entity, key, row)) in changes.into_iter().enumerate() {
            let old = match &row {
                Some(row) => self.campaign.rows.insert((entity, key.clone()), row.clone()),
                None => self.campaign.rows.remove(&(entity, key.clone())),
            };
            let untouched = |field: &&Field| {
                old.as_ref().and_then(|old| old.get(field))
                    == row.as_ref().and_then(|row| row.get(field))
            };
            let unchanged =
                row.iter().flat_map(BTreeMap::keys).filter(untouched).copied().collect();
            let (lsn, ordinal) = (self.campaign.lsn, u32::try_from(ordinal).unwrap());
            let when = Interval { after, until: now };
            self.campaign.log.push(Entry {
                epoch,
                lsn,
                ordinal,
                xid,
                entity,
                key,
                was: None,
                row,
                gone: Gone::Deleted,
                unchanged,
                changed: when,
            });
        }
    }

    pub(crate) fn is_locked(&self, entity: Entity, key: &RecordId) -> bool {
        self.campaign.open.iter().any(|open| open.entity == entity && open.key == *key)
    }

    pub(crate) fn open_transaction(&mut self, entity: Entity, key: &RecordId, edits: Row) {
        let xid = self.begin();
        self.campaign.open.push(Open { xid, entity, key: key.clone(), edits });
    }

    pub(crate) fn commit_open(&mut self) {
        if self.campaign.open.is_empty() {
            return;
        }
        let at = self.rng.below(self.campaign.open.len());
        let Open { xid, entity, key, edits } = self.campaign.open.remove(at);
        if let Some(mut row) = self.campaign.rows.get(&(entity, key.clone())).cloned() {
            for (field, value) in &edits {
                self.word(Side::Campaign, entity, &key, *field, value.clone());
            }
            row.extend(edits);
            self.tell(|| format!("campaign: a long transaction {xid} on {key} commits"));
            self.commit(xid, vec![(entity, key, Some(row))]);
        }
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        let running: Vec<u64> = self.campaign.active.iter().copied().collect();
        let xmax = self.campaign.xid + 1;
        let xmin = running.iter().copied().min().unwrap_or(xmax);
        Arc::new(Snapshot { xmin, xmax, running })
    }

    fn select(&self, entity: Entity, key: &RecordId) -> Observation {
        let row = self.campaign.rows.get(&(entity, key.clone())).cloned();
        let now = self.now() + SignedDuration::from_secs(self.campaign.ahead);
        Observation {
            entity,
            record: key.clone(),
            was: None,
            at: Position { epoch: self.epochs.campaign, major: 0, minor: 0 },
            read: Read::Selected(self.snapshot()),
            presence: row.map_or(Presence::Gone(Gone::Missing), here),
            modified: Some(Interval { after: Timestamp::MIN, until: now }),
            by: None,
            stamp: None,
            claims: None,
        }
    }

    /// The log begins anew: a restore from a backup.
    pub(crate) fn restore_campaign(&mut self, backup: &Campaign) {
        let (xid, lsn, next_key) = (self.campaign.xid, self.campaign.lsn, self.campaign.next_key);
        self.campaign = backup.clone();
        self.campaign.open.clear();
        self.campaign.log.clear();
        self.campaign.committed.clear();
        self.campaign.active.clear();
        // A server that is restored may well reach positions and ids that it had before.
        self.campaign.xid = xid.min(backup.xid + 3);
        self.campaign.lsn = lsn.min(backup.lsn + 3);
        self.campaign.next_key = next_key;
        self.epochs.campaign += 1;
    }

    /// The ledger was restored: what the log told since is told no more.
    pub(crate) fn restart_log(&mut self) {
        self.campaign.log.clear();
        self.epochs.campaign += 1;
    }

    /// The agent's sessions ended: what it had not committed is rolled back.
    pub(crate) fn abort_sessions(&mut self) {
        let open: BTreeSet<u64> = self.campaign.open.iter().map(|open| open.xid).collect();
        self.campaign.active.retain(|xid| open.contains(xid));
    }

    pub(crate) fn campaign_held(
        &self,
        entity: Entity,
        key: &RecordId,
        field: Field,
        value: &Value,
    ) -> bool {
        let mut key = key.clone();
        self.campaign.log.iter().rev().filter(|entry| entry.entity == entity).any(|entry| {
            let holds = entry.row.as_ref().is_some_and(|row| row.get(&field) == Some(value));
            let of_it = entry.key == key;
            // Before this its key was another.
            if let (true, Some(was)) = (of_it, &entry.was) {
                key = was.clone();
            }
            of_it && holds
        })
    }

    fn try_write(
        &mut self,
        write: &Write,
    ) -> Result<Vec<(Entity, RecordId, Option<Row>)>, Outcome> {
        let entity = write.entity;
        let (key, before) = match &write.target {
            Target::Record(key) => {
                if self.is_locked(entity, key) {
                    return Err(Outcome::Later(Duration::from_millis(500).into()));
                }
                let Some(row) = self.campaign.rows.get(&(entity, key.clone())) else {
                    return Err(Outcome::Gone(Some(Box::new(self.select(entity, key)))));
                };
                (key.clone(), row.clone())
            }
            Target::New { key, unless, .. } => {
                let found: Vec<Observation> = (self.campaign.rows.iter())
                    .filter(|((of, _), row)| *of == entity && matches(unless, row))
                    .map(|((_, key), _)| self.select(entity, key))
                    .collect();
                if !found.is_empty() {
                    return Err(Outcome::Found(found));
                }
                let key = key.clone().unwrap();
                if self.campaign.rows.contains_key(&(entity, key.clone())) {
                    return Err(Outcome::Stale(Some(Box::new(self.select(entity, &key)))));
                }
                (key, blank(entity))
            }
        };
        let moved = |(field, expected): (&Field, &truce::reconcile::Expected)| {
            before.get(field) != Some(&expected.value)
        };
        if write.expect.iter().any(moved) {
            return Err(Outcome::Stale(Some(Box::new(self.select(entity, &key)))));
        }
        let Change::Set(fields) = &write.change else {
            self.check_delete(entity);
            return Ok(vec![(entity, key, None)]);
        };
        if let Some(code) = fields.get(&CODE).filter(|code| !code.is_null()) {
            let owner = self.campaign.rows.iter().find(|((of, other), row)| {
                *of == entity && *other != key && row.get(&CODE) == Some(code)
            });
            if let Some(((_, owner), _)) = owner {
                return Err(Outcome::Refused(duplicate(owner.clone())));
            }
        }
        self.check_blanks(&before, fields);
        for (field, value) in fields {
            self.note_overwrite(Side::Campaign, entity, &key, *field, before.get(field), value);
        }
        let mut row = before;
        set(&mut row, fields);
        self.note_written(write, key.clone());
        Ok(vec![(entity, key, Some(row))])
    }
}

/// Sets fields; an opt-out by the field's own column leaves a wider one as it is.
pub(crate) fn set(row: &mut Row, fields: &Row) {
    for (field, value) in fields {
        let wide = row.get(field) == Some(&Value::Consent(truce::reconcile::Consent::Implied));
        if !(wide && matches!(value, Value::Consent(consent) if consent.is_out())) {
            row.insert(*field, value.clone());
        }
    }
}

pub(crate) fn duplicate(owner: RecordId) -> Refusal {
    Refusal {
        kind: RefusalKind::Unique(Some(owner)),
        code: "DUPLICATE_VALUE".into(),
        message: "duplicate value found".into(),
        fields: vec![CODE],
    }
}

pub(crate) fn matches(unless: &[(Field, Value)], row: &Row) -> bool {
    !unless.is_empty() && unless.iter().all(|(field, value)| row.get(field) == Some(value))
}

pub(crate) fn blank(entity: Entity) -> Row {
    let empty = |field: &Field| match *field {
        crate::schema::OUT => Value::Consent(truce::reconcile::Consent::In),
        _ => Value::Null,
    };
    crate::schema::fields(entity).iter().map(|field| (*field, empty(field))).collect()
}

pub(crate) fn here(row: Row) -> Presence {
    Presence::Here { row, raw: BTreeMap::new(), unfit: BTreeMap::new() }
}

/// The door to Campaign.
#[derive(Clone)]
pub(crate) struct CampaignPeer(pub Shared);

impl Feed for CampaignPeer {
    async fn page(
        &mut self,
        after: &Cursor,
        _: Duration,
        _: &mut (dyn Ask + Send),
    ) -> Result<Page, PeerError> {
        pause().await;
        let mut world = lock(&self.0);
        let epoch = world.epochs.campaign;
        let same_life = after.0["epoch"].as_u64() == Some(u64::from(epoch));
        let mut from = if same_life { after.0["lsn"].as_u64().unwrap_or(0) } else { 0 };
        // The stream begins anew where it was last confirmed.
        let again = world.troubles.again;
        if world.trouble(again, 4) {
            from = from.saturating_sub(8 * u64::try_from(world.rng.below(6)).unwrap());
        }
        let size = 1 + world.rng.below(5);
        let entries: Vec<Entry> =
            world.campaign.log.iter().filter(|entry| entry.lsn > from).cloned().collect();
        let last = entries.get(size.min(entries.len()).wrapping_sub(1)).map_or(from, |e| e.lsn);
        let more = entries.iter().any(|entry| entry.lsn > last);
        let mut observations = Vec::new();
        for entry in entries.into_iter().filter(|entry| entry.lsn <= last) {
            observations.push(world.logged(entry));
        }
        let cursor = Cursor(serde_json::json!({ "epoch": epoch, "lsn": last }));
        Ok(Page { observations, cursor, more, skew: None, compare: Vec::new() })
    }

    async fn confirm(&mut self, _: &Cursor) -> Result<(), PeerError> {
        Ok(())
    }
}

impl World {
    fn logged(&mut self, entry: Entry) -> Observation {
        let Entry { epoch, lsn, ordinal, xid, entity, key, was, row, gone, unchanged, changed } =
            entry;
        let mut row = row;
        // A large value that a statement did not touch is not in the log.
        if let (Some(field), Some(row)) = (self.rng.pick(&unchanged).copied(), row.as_mut())
            && self.rng.one_in(3)
        {
            row.remove(&field);
        }
        Observation {
            entity,
            record: key,
            was,
            at: Position { epoch, major: lsn, minor: ordinal },
            read: Read::Logged { xid },
            presence: row.map_or(Presence::Gone(gone), here),
            modified: Some(changed),
            by: None,
            stamp: None,
            claims: None,
        }
    }
}

impl Scan for CampaignPeer {
    async fn scan(
        &mut self,
        entity: Entity,
        after: Option<&RecordId>,
        limit: usize,
        _: &mut (dyn Ask + Send),
    ) -> Result<Vec<Observation>, PeerError> {
        pause().await;
        let world = lock(&self.0);
        let keys =
            world.campaign.rows.keys().filter(|(of, key)| *of == entity && Some(key) > after);
        Ok(keys.take(limit).map(|(_, key)| world.select(entity, key)).collect())
    }

    async fn read(
        &mut self,
        entity: Entity,
        records: &[RecordId],
        _: &mut (dyn Ask + Send),
    ) -> Result<Vec<Observation>, PeerError> {
        pause().await;
        let world = lock(&self.0);
        Ok(records.iter().map(|key| world.select(entity, key)).collect())
    }
}

impl Writer for CampaignPeer {
    async fn write(
        &self,
        writes: Vec<Write>,
        notes: &(impl Notes + Sync),
        _: &mut (dyn Ask + Send),
    ) -> Result<Vec<Outcome>, PeerError> {
        pause().await;
        let mut outcomes = Vec::new();
        for write in writes {
            let xid = lock(&self.0).begin();
            notes.note(vec![write.link], xid).await?;
            pause().await;
            let outcome = lock(&self.0).campaign_write(&write, xid);
            pause().await;
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    async fn draw_keys(&self, _: Entity, count: usize) -> Result<Vec<RecordId>, PeerError> {
        pause().await;
        let mut world = lock(&self.0);
        Ok((0..count).map(|_| world.draw_key()).collect())
    }

    async fn transaction(&self, xid: u64) -> Result<Option<Ended>, PeerError> {
        pause().await;
        let committed = lock(&self.0).campaign.committed.contains(&xid);
        Ok(Some(if committed { Ended::Committed } else { Ended::Aborted }))
    }
}

impl World {
    fn campaign_write(&mut self, write: &Write, xid: u64) -> Outcome {
        self.writes += 1;
        self.check_stamp(write);
        let lost = self.troubles.lost;
        self.campaign.active.remove(&xid);
        if self.trouble(lost, 10) {
            self.lost += 1;
            self.tell(|| format!("campaign: lost before commit {xid} {:?}", write.target));
            return Outcome::Lost;
        }
        match self.try_write(write) {
            Err(outcome) => {
                self.tell(|| format!("campaign: {:?} -> {outcome:?}", write.target));
                outcome
            }
            Ok(changes) => {
                self.tell(|| {
                    format!("campaign: agent writes {changes:?} in {xid} ({})", write.stamp)
                });
                self.check_opt_in(write);
                self.commit(xid, changes);
                if self.trouble(lost, 10) {
                    self.lost += 1;
                    return Outcome::Lost;
                }
                Outcome::Done { created: None, xid: Some(xid) }
            }
        }
    }
}
