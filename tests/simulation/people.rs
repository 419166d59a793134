//! What people do: edit, create, opt out and in, delete, merge, clone, swap; and administrators.

use truce::reconcile::{Consent, Entity, Field, Gone, RecordId, Row, Side, Value};

use super::campaign::blank;
use super::crm::{Record, late_millis};
use super::schema::{
    ACCOUNT, BOTH, CAMPAIGN_ONLY, CITY, CODE, CONTACT, CRM_ONLY, EMAIL, NAME, OUT, PARENT,
};
use super::world::World;

impl World {
    pub(crate) fn person_acts(&mut self) {
        let troubles = self.troubles;
        match self.rng.below(24) {
            0..=7 => self.edit_campaign(),
            8..=15 => self.edit_crm(),
            16 => self.create_campaign(),
            17 => self.create_crm(),
            18 if troubles.deletes => self.delete(),
            19 if troubles.merges => self.merge_contacts(),
            20 if troubles.uniques => self.swap_codes(),
            21 if troubles.clones => self.clone_contact(),
            22 if troubles.blanks => self.empty(),
            22 if troubles.truncates && self.rng.one_in(6) => self.truncate(),
            22 if troubles.rekeys => self.change_key(),
            22 if troubles.untold => self.change_untold(),
            22 if troubles.undeletes => self.undelete(),
            _ => self.consent(),
        }
    }

    fn text(&mut self) -> Value {
        let bad = self.troubles.refusals && self.rng.one_in(12);
        if bad { Value::text("bad") } else { Value::text(&format!("v{}", self.rng.below(5))) }
    }

    /// Some fields of a record that a person on this side may edit.
    pub(crate) fn edits(&mut self, side: Side, entity: Entity) -> Row {
        let own = match (entity, side) {
            (ACCOUNT, _) => CITY,
            (_, Side::Campaign) => CAMPAIGN_ONLY,
            (_, Side::Crm) => CRM_ONLY,
        };
        let shared = if entity == ACCOUNT { CITY } else { BOTH };
        let field = if self.rng.one_in(3) { shared } else { own };
        let value = if field == BOTH || field == CITY {
            self.text()
        } else {
            Value::text(&format!("v{}", self.rng.below(50)))
        };
        let mut edits = Row::from([(field, value)]);
        if entity == CONTACT && self.rng.one_in(8) {
            let parent = self.some_account(side);
            edits.insert(PARENT, parent.map_or(Value::Null, Value::Record));
        }
        edits
    }

    fn some_account(&mut self, side: Side) -> Option<RecordId> {
        let known: Vec<RecordId> = match side {
            Side::Campaign => self.campaign_keys(ACCOUNT),
            Side::Crm => self.crm_ids(ACCOUNT),
        };
        self.rng.pick(&known).cloned()
    }

    fn campaign_keys(&self, entity: Entity) -> Vec<RecordId> {
        self.campaign
            .rows
            .keys()
            .filter(|(of, _)| *of == entity)
            .map(|(_, key)| key.clone())
            .collect()
    }

    fn crm_ids(&self, entity: Entity) -> Vec<RecordId> {
        let live = |(key, record): (&(Entity, RecordId), &Record)| {
            (key.0 == entity && record.gone.is_none()).then(|| key.1.clone())
        };
        self.crm.records.iter().filter_map(live).collect()
    }

    /// Everything that a contact holds of text is emptied at once.
    fn empty(&mut self) {
        let row = |own: Field| Row::from([own, BOTH, EMAIL].map(|field| (field, Value::Null)));
        if self.rng.one_in(2) {
            let keys = self.campaign_keys(CONTACT);
            let Some(key) = self.rng.pick(&keys).cloned() else { return };
            if !self.is_locked(CONTACT, &key) {
                self.tell(|| format!("campaign: person empties {key}"));
                self.write_campaign(CONTACT, &key, row(CAMPAIGN_ONLY));
            }
        } else {
            let ids = self.crm_ids(CONTACT);
            let Some(id) = self.rng.pick(&ids).cloned() else { return };
            self.write_crm(CONTACT, &id, row(CRM_ONLY));
        }
    }

    fn change_key(&mut self) {
        let keys = self.campaign_keys(CONTACT);
        let Some(key) = self.rng.pick(&keys).cloned() else { return };
        if !self.is_locked(CONTACT, &key) {
            self.rekey(&key);
        }
    }

    fn some_entity(&mut self) -> Entity {
        if self.rng.one_in(5) { ACCOUNT } else { CONTACT }
    }

    fn edit_campaign(&mut self) {
        let entity = self.some_entity();
        let keys = self.campaign_keys(entity);
        let Some(key) = self.rng.pick(&keys).cloned() else { return };
        if self.is_locked(entity, &key) {
            return;
        }
        let edits = self.edits(Side::Campaign, entity);
        let locks = self.troubles.locks;
        if self.trouble(locks, 6) {
            self.tell(|| format!("campaign: a long transaction takes {key}"));
            return self.open_transaction(entity, &key, edits);
        }
        self.tell(|| format!("campaign: person sets {key} {edits:?}"));
        self.write_campaign(entity, &key, edits);
    }

    fn write_campaign(&mut self, entity: Entity, key: &RecordId, edits: Row) {
        let Some(mut row) = self.campaign.rows.get(&(entity, key.clone())).cloned() else { return };
        for (field, value) in &edits {
            self.word(Side::Campaign, entity, key, *field, value.clone());
        }
        row.extend(edits);
        let xid = self.begin();
        self.commit(xid, vec![(entity, key.clone(), Some(row))]);
    }

    fn edit_crm(&mut self) {
        let entity = self.some_entity();
        let ids = self.crm_ids(entity);
        let Some(id) = self.rng.pick(&ids).cloned() else { return };
        let edits = self.edits(Side::Crm, entity);
        self.write_crm(entity, &id, edits);
    }

    fn write_crm(&mut self, entity: Entity, id: &RecordId, edits: Row) {
        let second = self.crm_second();
        let late = self.troubles.late_commits;
        if self.trouble(late, 5) {
            let at = self.millis + u64::try_from(self.rng.below(late_millis())).unwrap();
            self.tell(|| format!("crm: person sets {id} {edits:?}, visible at {at}"));
            self.crm.late.push((at, entity, id.clone(), edits, second));
            return;
        }
        self.tell(|| format!("crm: person sets {id} {edits:?}"));
        self.crm_edit(entity, id, edits, second);
    }

    fn new_row(&mut self, side: Side, entity: Entity) -> Row {
        let mut row = blank(entity);
        if entity == ACCOUNT {
            row.insert(NAME, Value::text(&format!("n{}", self.rng.below(6))));
            return row;
        }
        row.insert(EMAIL, Value::text(&format!("p{}@x", self.rng.below(12))));
        row.extend(self.edits(side, entity));
        if self.rng.one_in(4) {
            let wide = side == Side::Campaign && self.rng.one_in(3);
            let out = if wide { Consent::Implied } else { Consent::Out };
            row.insert(OUT, Value::Consent(out));
        }
        if self.troubles.uniques {
            let number = self.millis * 100 + u64::try_from(self.rng.below(100)).unwrap();
            row.insert(CODE, Value::text(&format!("u{number}")));
        }
        row
    }

    pub(crate) fn create_campaign(&mut self) {
        let entity = self.some_entity();
        let key = self.draw_key();
        let row = self.new_row(Side::Campaign, entity);
        self.tell(|| format!("campaign: person creates {key} {row:?}"));
        for (field, value) in row.iter().filter(|(_, value)| !value.is_null()) {
            self.word(Side::Campaign, entity, &key, *field, value.clone());
        }
        let xid = self.begin();
        self.commit(xid, vec![(entity, key, Some(row))]);
    }

    pub(crate) fn create_crm(&mut self) {
        let entity = self.some_entity();
        let id = self.draw_id();
        let row = self.new_row(Side::Crm, entity);
        let modified = self.crm_second();
        self.tell(|| format!("crm: person creates {id} {row:?}"));
        for (field, value) in row.iter().filter(|(_, value)| !value.is_null()) {
            self.word(Side::Crm, entity, &id, *field, value.clone());
        }
        self.put(entity, &id, Record { row, modified, stamp: None, claims: None, gone: None });
    }

    fn delete(&mut self) {
        if self.rng.one_in(2) {
            let keys = self.campaign_keys(CONTACT);
            let Some(key) = self.rng.pick(&keys).cloned() else { return };
            if self.is_locked(CONTACT, &key) {
                return;
            }
            self.tell(|| format!("campaign: person deletes {key}"));
            self.disturbed.insert((Side::Campaign, key.clone()));
            let xid = self.begin();
            self.commit(xid, vec![(CONTACT, key, None)]);
        } else {
            let ids = self.crm_ids(CONTACT);
            let Some(id) = self.rng.pick(&ids).cloned() else { return };
            self.tell(|| format!("crm: person deletes {id}"));
            self.end_crm(&id, Gone::Deleted);
        }
    }

    /// A contact comes back out of the recycle bin, without what has become another's meanwhile.
    fn undelete(&mut self) {
        let deleted = |record: &Record| record.gone == Some(Gone::Deleted);
        let ids: Vec<RecordId> = (self.crm.records.iter())
            .filter(|((entity, _), record)| *entity == CONTACT && deleted(record))
            .map(|((_, id), _)| id.clone())
            .collect();
        let Some(id) = self.rng.pick(&ids).cloned() else { return };
        let mut record = self.crm.records[&(CONTACT, id.clone())].clone();
        let live = || self.crm.records.values().filter(|record| record.gone.is_none());
        let taken = live().any(|other| other.claims.is_some() && other.claims == record.claims);
        let code = record.row.get(&CODE).cloned();
        let owned = live().any(|other| other.row.get(&CODE) == code.as_ref());
        if taken {
            record.claims = None;
        }
        if owned {
            record.row.insert(CODE, Value::Null);
        }
        record.gone = None;
        record.modified = self.crm_second();
        self.tell(|| format!("crm: person brings {id} back"));
        self.put(CONTACT, &id, record);
    }

    fn end_crm(&mut self, id: &RecordId, gone: Gone) {
        let Some(mut record) = self.crm.records.get(&(CONTACT, id.clone())).cloned() else {
            return;
        };
        record.gone = Some(gone);
        record.modified = self.crm_second();
        self.disturbed.insert((Side::Crm, id.clone()));
        self.put(CONTACT, id, record);
    }

    fn merge_contacts(&mut self) {
        let ids = self.crm_ids(CONTACT);
        let (Some(loser), Some(winner)) =
            (self.rng.pick(&ids).cloned(), self.rng.pick(&ids).cloned())
        else {
            return;
        };
        if loser == winner {
            return;
        }
        self.tell(|| format!("crm: person merges {loser} into {winner}"));
        self.disturbed.insert((Side::Crm, winner.clone()));
        self.end_crm(&loser, Gone::Merged(winner));
    }

    /// A record goes for good, or is edited; whatever the feed is asked, it does not tell.
    fn change_untold(&mut self) {
        let ids = self.crm_ids(CONTACT);
        let Some(id) = self.rng.pick(&ids).cloned() else { return };
        if self.rng.one_in(3) {
            self.tell(|| format!("crm: {id} is purged, untold"));
            self.disturbed.insert((Side::Crm, id.clone()));
            self.crm.records.remove(&(CONTACT, id));
            return;
        }
        let edits = self.edits(Side::Crm, CONTACT);
        self.tell(|| format!("crm: person sets {id} {edits:?}, untold"));
        for (field, value) in &edits {
            self.word(Side::Crm, CONTACT, &id, *field, value.clone());
        }
        // Its stamp is further back than any poll looks.
        let second = self.crm_second() - 10_000;
        self.crm.untold.push((CONTACT, id.clone(), edits.clone()));
        if let Some(record) = self.crm.records.get_mut(&(CONTACT, id)) {
            record.row.extend(edits);
            record.modified = second;
        }
    }

    /// Two records exchange their codes, as fast as one side allows.
    fn swap_codes(&mut self) {
        let keys = self.campaign_keys(CONTACT);
        let (Some(a), Some(b)) = (self.rng.pick(&keys).cloned(), self.rng.pick(&keys).cloned())
        else {
            return;
        };
        if a == b || self.is_locked(CONTACT, &a) || self.is_locked(CONTACT, &b) {
            return;
        }
        let code = |world: &Self, key: &RecordId| {
            world.campaign.rows[&(CONTACT, key.clone())][&CODE].clone()
        };
        let (of_a, of_b) = (code(self, &a), code(self, &b));
        self.tell(|| format!("campaign: person swaps the codes of {a} and {b}"));
        let mut changes = Vec::new();
        for (key, value) in [(a, of_b), (b, of_a)] {
            self.word(Side::Campaign, CONTACT, &key, CODE, value.clone());
            let mut row = self.campaign.rows[&(CONTACT, key.clone())].clone();
            row.insert(CODE, value);
            changes.push((CONTACT, key, Some(row)));
        }
        let xid = self.begin();
        self.commit(xid, changes);
    }

    /// A clone bears its original's stamp, and no external id, which is unique.
    fn clone_contact(&mut self) {
        let ids = self.crm_ids(CONTACT);
        let Some(original) = self.rng.pick(&ids).cloned() else { return };
        let mut record = self.crm.records[&(CONTACT, original.clone())].clone();
        record.claims = None;
        record.row.insert(CODE, Value::Null);
        let email = Value::text(&format!("clone{}@x", self.millis));
        record.row.insert(EMAIL, email);
        record.modified = self.crm_second();
        let id = self.draw_id();
        self.tell(|| format!("crm: person clones {original} as {id}"));
        self.put(CONTACT, &id, record);
    }

    fn consent(&mut self) {
        let out = if self.rng.one_in(3) { Consent::In } else { Consent::Out };
        if self.rng.one_in(2) {
            let keys = self.campaign_keys(CONTACT);
            let Some(key) = self.rng.pick(&keys).cloned() else { return };
            if self.is_locked(CONTACT, &key) {
                return;
            }
            let out =
                if out == Consent::Out && self.rng.one_in(3) { Consent::Implied } else { out };
            self.tell(|| format!("campaign: person says {out:?} for {key}"));
            self.write_campaign(CONTACT, &key, Row::from([(OUT, Value::Consent(out))]));
        } else {
            let ids = self.crm_ids(CONTACT);
            let Some(id) = self.rng.pick(&ids).cloned() else { return };
            self.write_crm(CONTACT, &id, Row::from([(OUT, Value::Consent(out))]));
        }
    }
}

impl World {
    /// All contacts at once, which the log tells in one word.
    pub(crate) fn truncate(&mut self) {
        let keys: Vec<RecordId> = self.campaign.rows.keys().map(|(_, key)| key.clone()).collect();
        let contacts = |key: &RecordId| self.campaign.rows.contains_key(&(CONTACT, key.clone()));
        let keys: Vec<RecordId> = keys.into_iter().filter(contacts).collect();
        if !self.campaign.open.is_empty() {
            return;
        }
        self.tell(|| "campaign: its contacts are truncated".to_owned());
        self.disturbed.extend(keys.iter().map(|key| (Side::Campaign, key.clone())));
        let xid = self.begin();
        let from = self.campaign.log.len();
        self.commit(xid, keys.into_iter().map(|key| (CONTACT, key, None)).collect());
        self.campaign.log[from..].iter_mut().for_each(|entry| entry.gone = Gone::Truncated);
    }

    /// A contact's key is changed.
    pub(crate) fn rekey(&mut self, was: &RecordId) {
        let Some(row) = self.campaign.rows.remove(&(CONTACT, was.clone())) else { return };
        let key = self.draw_key();
        self.tell(|| format!("campaign: person changes the key {was} to {key}"));
        let words: Vec<_> = (self.words.iter())
            .filter(|((side, of, record, _), _)| {
                (*side, *of) == (Side::Campaign, CONTACT) && record == was
            })
            .map(|((.., field), word)| (*field, word.clone()))
            .collect();
        for (field, word) in words {
            self.words.insert((Side::Campaign, CONTACT, key.clone(), field), word);
        }
        for said in self.consents.iter_mut().filter(|said| said.1 == *was) {
            said.1 = key.clone();
        }
        if self.disturbed.contains(&(Side::Campaign, was.clone())) {
            self.disturbed.insert((Side::Campaign, key.clone()));
        }
        let xid = self.begin();
        self.commit(xid, vec![(CONTACT, key, Some(row))]);
        if let Some(entry) = self.campaign.log.last_mut() {
            entry.was = Some(was.clone());
            entry.unchanged.clear();
        }
    }
}

/// The fields that one side alone edits.
pub(crate) fn owner(field: Field) -> Option<Side> {
    match field {
        CAMPAIGN_ONLY | CODE => Some(Side::Campaign),
        CRM_ONLY => Some(Side::Crm),
        _ => None,
    }
}
