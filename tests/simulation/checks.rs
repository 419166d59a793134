//! What must hold when everyone has stopped.

use std::collections::{BTreeMap, BTreeSet};

use truce::agent::Plans;
use truce::agent::kept::printed;
use truce::ledger::{Decision, Held, MemoryLedger, Verdict};
use truce::reconcile::{
    Bond, Consent, Direction, Entity, Field, Link, LinkId, LinkState, RecordId, Row, Shape, Side,
    Target, Value, Write,
};

use super::people::owner;
use super::schema::{OUT, blank_fields, brake_records};
use super::world::{Troubles, World};

/// Checks the world; how many breaches the window of rule 14 excuses, or what is broken.
pub(crate) fn check(world: &World, ledger: &MemoryLedger, plans: &Plans) -> Result<u64, String> {
    let links = ledger.every_link();
    let held = ledger.every_held();
    let mut excused = 0;
    no_doubles(world, &links)?;
    nothing_is_left(plans, &links, &held)?;
    within_bounds(world)?;
    let decisions = ledger.every_decision();
    for link in links.iter().filter(|link| link.state == LinkState::Live) {
        let both_here = Side::BOTH.iter().all(|side| link.seen[*side].bond == Bond::Here);
        if !both_here {
            continue;
        }
        let held: Vec<(Option<Field>, String)> =
            held[&link.id].iter().map(|held| (held.field, held.reason.clone())).collect();
        let whole = held.iter().any(|(field, _)| field.is_none());
        let rows = rows(world, link)
            .ok_or_else(|| format!("link {} has lost a record\n{link:#?}", link.id))?;
        for (field, rule) in &plans[&link.entity].policy.fields {
            let is_held = whole || held.iter().any(|(of, _)| *of == Some(*field));
            // What a person let stay apart is as it is by their word.
            if !is_held && !link.is_ignored(*field) {
                // A one-way field's own side stands until its source moves.
                if rule.direction == Direction::Both {
                    agree(&links, link, (*field, &rule.shape), rows)?;
                }
                excused += last_word(world, (link, &decisions), *field, rows)?;
            }
        }
        if !whole {
            excused += consent(world, &links, link, rows)?;
        }
    }
    discards(world, ledger, &links)?;
    Ok(excused)
}

fn rows<'a>(world: &'a World, link: &Link) -> Option<(&'a Row, &'a Row)> {
    let key = |side| Some((link.entity, link.record(side)?.clone()));
    let ours = world.campaign.rows.get(&key(Side::Campaign)?)?;
    let theirs = &world.crm.records.get(&key(Side::Crm)?)?.row;
    Some((ours, theirs))
}

/// Both sides hold the same on every field that is not held.
fn agree(
    links: &[Link],
    link: &Link,
    (field, shape): (Field, &Shape),
    (ours, theirs): (&Row, &Row),
) -> Result<(), String> {
    let canonical = |side: Side, value: &Value| match (shape, value) {
        (Shape::Reference(entity), Value::Record(record)) => parent(links, *entity, side, record),
        (_, Value::Consent(consent)) => Value::Bool(consent.is_out()),
        (_, value) => value.clone(),
    };
    let (ours, theirs) =
        (canonical(Side::Campaign, &ours[&field]), canonical(Side::Crm, &theirs[&field]));
    // A parent that is not linked has no counterpart to refer to.
    let parked = matches!(ours, Value::Record(_)) || matches!(theirs, Value::Record(_));
    if ours == theirs || parked || waits_for_parent(links, link, field) {
        return Ok(());
    }
    Err(format!(
        "link {} field {field:?}: campaign holds {ours:?}, the crm {theirs:?}\n{link:#?}",
        link.id
    ))
}

fn parent(links: &[Link], entity: Entity, side: Side, record: &RecordId) -> Value {
    let of = links
        .iter()
        .find(|link| link.entity == entity && link.record(side) == Some(record) && is_live(link));
    of.map_or_else(|| Value::Record(record.clone()), |link| Value::Link(link.id))
}

/// Whether a field's parent has no record over there, so that the field is parked.
fn waits_for_parent(links: &[Link], link: &Link, field: Field) -> bool {
    Side::BOTH.iter().any(|side| match link.seen[*side].value(field) {
        Some(Value::Link(parent)) => {
            let parent = links.iter().find(|other| other.id == *parent);
            // One that is no more was used up by another, which is the one that is meant.
            parent.is_some_and(|p| {
                !is_live(p) || Side::BOTH.iter().any(|s| p.seen[*s].bond != Bond::Here)
            })
        }
        Some(Value::Record(_)) => true,
        _ => false,
    })
}

fn is_live(link: &Link) -> bool {
    link.state == LinkState::Live
}

/// Nobody's last word on a field that one side alone edits is lost.
fn last_word(
    world: &World,
    (link, decisions): (&Link, &[Decision]),
    field: Field,
    (ours, theirs): (&Row, &Row),
) -> Result<u64, String> {
    let Some(side) = owner(field) else { return Ok(0) };
    let disturbed = disturbed(world, link);
    let Some(record) = link.record(side) else { return Ok(0) };
    let key = (side, link.entity, record.clone(), field);
    let Some(last) = world.words.get(&key) else { return Ok(0) };
    if disturbed || (ours[&field] == last.value && theirs[&field] == last.value) {
        return Ok(0);
    }
    // The operator has seen it and let the other side's value stand.
    let overruled = |d: &Decision| {
        d.link == link.id
            && d.field == Some(field)
            && (d.rule.as_str(), d.verdict) == ("told", Verdict::Discarded)
            && d.values[side.name()] == printed(&last.value)
    };
    // Or they let it stand just when somebody said something else, between the read and the write.
    let in_window = world.excused.contains(&(record.clone(), field));
    if in_window || decisions.iter().any(overruled) {
        return Ok(1);
    }
    // Where two records met, the other's value may have been chosen: that is a decision.
    let across = side.other();
    let met = link.record(across).is_some_and(|record| {
        world.words.contains_key(&(across, link.entity, record.clone(), field))
    });
    if met {
        return Ok(1);
    }
    Err(format!(
        "link {} field {field:?}: the last word {last:?} of {record} on {side} is lost: {ours:?} {theirs:?}\n{link:#?}",
        link.id
    ))
}

/// Whether one of the records that a link has or had has a break in its story: deleted, merged,
/// restored.
fn disturbed(world: &World, link: &Link) -> bool {
    let broken = |side: Side, record: &RecordId| world.disturbed.contains(&(side, record.clone()));
    let had = world.written.iter().filter(|(of, ..)| *of == link.id);
    Side::BOTH.iter().any(|side| link.record(*side).is_some_and(|record| broken(*side, record)))
        || had.into_iter().any(|(_, side, record)| broken(*side, record))
}

/// No opt-out was undone: where the last word of people is out, both sides are out.
fn consent(
    world: &World,
    links: &[Link],
    link: &Link,
    (ours, theirs): (&Row, &Row),
) -> Result<u64, String> {
    if !ours.contains_key(&OUT) {
        return Ok(0);
    }
    let mut records: BTreeSet<(Side, RecordId)> = BTreeSet::new();
    let alias = |other: &&Link| other.state == LinkState::Alias(link.id);
    for link in links.iter().filter(alias).chain([link]) {
        records.extend(
            Side::BOTH.iter().filter_map(|side| Some((*side, link.record(*side)?.clone()))),
        );
    }
    let remade =
        records.iter().any(|record| world.disturbed.contains(record)) || disturbed(world, link);
    let mut said: Vec<&(Side, RecordId, bool, u64)> = world
        .consents
        .iter()
        .filter(|(side, record, ..)| records.contains(&(*side, record.clone())))
        .collect();
    said.sort_by_key(|word| word.3);
    let Some((side, record, true, at)) = said.last() else { return Ok(0) };
    let out = |row: &Row| row[&OUT] != Value::Consent(Consent::In);
    if out(ours) && out(theirs) || world.troubles.restores {
        return Ok(0);
    }
    // In and out again on one record, faster than it is looked at: nothing shows it.
    // A record that was made again, or merged, has another counterpart than the one that opted in.
    let anybody = world.consents.iter().any(|(of, _, out, _)| of != side && !out);
    if remade && anybody {
        return Ok(1);
    }
    let toggled = said.iter().rev().skip(1).find(|word| word.0 == *side && word.1 == *record);
    if toggled.is_some_and(|word| !word.2 && at - word.3 < 60_000) {
        return Ok(1);
    }
    Err(format!(
        "link {}: the opt-out of {record} on {side} at {at} was undone: {ours:?} {theirs:?}\n{said:?}\n{link:#?}",
        link.id
    ))
}

/// No record was doubled: a Campaign record has one CRM record that names it.
fn no_doubles(world: &World, links: &[Link]) -> Result<(), String> {
    let mut named: BTreeMap<(Entity, &RecordId), &RecordId> = BTreeMap::new();
    for ((entity, id), record) in &world.crm.records {
        let Some(claims) = record.claims.as_ref().filter(|_| record.gone.is_none()) else {
            continue;
        };
        if let Some(other) = named.insert((*entity, claims), id) {
            return Err(format!("{claims} was doubled: {other} and {id}"));
        }
    }
    let mut bearers: BTreeMap<(Entity, Side, &RecordId), LinkId> = BTreeMap::new();
    for link in links.iter().filter(|link| is_live(link)) {
        for side in Side::BOTH {
            let Some(record) = link.record(side) else { continue };
            if let Some(other) = bearers.insert((link.entity, side, record), link.id) {
                return Err(format!("{record} is in links {other} and {}", link.id));
            }
        }
    }
    Ok(())
}

/// Every write was answered or given up, and no record stands alone without a word to a person.
fn nothing_is_left(
    plans: &Plans,
    links: &[Link],
    held: &BTreeMap<LinkId, Vec<Held>>,
) -> Result<(), String> {
    for link in links.iter().filter(|link| is_live(link)) {
        let open = Side::BOTH.iter().any(|side| !link.sent[*side].is_empty());
        let create = &plans[&link.entity].policy.create;
        let apart = Side::BOTH.iter().any(|side| match link.seen[*side].bond {
            Bond::Here => false,
            Bond::Never => create.contains(side),
            Bond::Gone(_) => true,
        });
        if open || (apart && held[&link.id].is_empty()) {
            return Err(format!("link {} was left as it is: {link:#?}", link.id));
        }
    }
    Ok(())
}

/// No write without a cause: so many edits and records, so many writes at most.
fn within_bounds(world: &World) -> Result<(), String> {
    let most = WRITES_FOR_AN_EDIT * (world.edits + world.lost + world.crashes) + WRITES_FOR_NOTHING;
    if world.writes <= most {
        return Ok(());
    }
    Err(format!("{} writes for {} edits", world.writes, world.edits))
}

/// An edit is one write, seldom more: stale ones, locked rows, refusals.
const WRITES_FOR_AN_EDIT: u64 = 4;

/// What restores and merges cause without an edit.
const WRITES_FOR_NOTHING: u64 = 60;

/// Every discarded value has a decision, or had reached the other side, or fell in the window.
fn discards(world: &World, ledger: &MemoryLedger, links: &[Link]) -> Result<(), String> {
    let decisions = ledger.every_decision();
    for (side, entity, record, field, value) in &world.overwritten {
        let bears = |link: &&Link| link.entity == *entity && link.record(*side) == Some(record);
        let bearing: Vec<&Link> = links.iter().filter(bears).collect();
        // A record that was restored, merged or made again has another counterpart than the one
        // that held its value.
        if bearing.iter().any(|link| disturbed(world, link)) {
            continue;
        }
        let Some(link) = bearing.iter().find(|link| is_live(link)) else { continue };
        let of = |id| bearing.iter().any(|link| link.id == id);
        let names = |d: &Decision| {
            d.verdict == Verdict::Discarded && d.values[side.name()] == printed(value)
        };
        let decided = decisions.iter().any(|d| of(d.link) && d.field == Some(*field) && names(d));
        let excused = world.excused.contains(&(record.clone(), *field));
        if !decided && !excused && !world.reached(link, *side, *field, value) {
            return Err(format!(
                "{value:?} of {record} on {side}, {field:?}, was discarded without a decision\n{link:#?}"
            ));
        }
    }
    Ok(())
}

impl World {
    /// Notes that the agent overwrites what a person last said.
    #[expect(clippy::too_many_arguments, reason = "a record is three words, a change three more")]
    pub(crate) fn note_overwrite(
        &mut self,
        side: Side,
        entity: Entity,
        record: &RecordId,
        field: Field,
        old: Option<&Value>,
        new: &Value,
    ) {
        let word = self.words.get(&(side, entity, record.clone(), field));
        if let (Some(word), Some(old)) = (word, old)
            && word.edited
            && word.value == *old
            && old != new
        {
            let old = old.clone();
            self.overwritten.push((side, entity, record.clone(), field, old));
        }
    }

    /// Whether the other record of a link ever held this value.
    fn reached(&self, link: &Link, side: Side, field: Field, value: &Value) -> bool {
        let Some(other) = link.record(side.other()) else { return true };
        match (field, value) {
            (OUT, _) | (_, Value::Record(_)) => true,
            _ => match side {
                Side::Campaign => self.crm_held(link.entity, other, field, value),
                Side::Crm => self.campaign_held(link.entity, other, field, value),
            },
        }
    }

    /// No two writes bear the same stamp, whatever was restored between them (rule 1).
    pub(crate) fn check_stamp(&mut self, write: &Write) {
        if !self.stamps.insert(write.stamp) {
            self.broken = Some(format!("the stamp {} was used twice", write.stamp));
        }
    }

    /// Notes which records are written for which link: a record that is made again has another
    /// counterpart than before.
    pub(crate) fn note_written(&mut self, write: &Write, record: RecordId) {
        self.written.insert((write.link, write.side, record));
        if let Target::New { across, .. } = &write.target {
            self.written.insert((write.link, write.side.other(), across.clone()));
        }
    }

    /// Nothing is deleted that nobody deleted: not for a TRUNCATE, nor for what is not found.
    pub(crate) fn check_delete(&mut self, entity: Entity) {
        let Troubles { deletes, restores, merges, .. } = self.troubles;
        if !deletes && !restores && !merges {
            self.broken = Some(format!("a record of {entity:?} was deleted, and nobody had"));
        }
        self.check_brake(entity);
    }

    /// Many fields that turn null at once wait for a person (rule 10).
    pub(crate) fn check_blanks(&mut self, row: &Row, fields: &Row) {
        let blanked = |(field, value): &(&Field, &Value)| {
            value.is_null() && row.get(field).is_some_and(|value| !value.is_null())
        };
        if fields.iter().filter(blanked).count() >= blank_fields(self.troubles) {
            self.broken = Some(format!("one write emptied {fields:?}"));
        }
    }

    /// No more is deleted than the brake lets through (rule 10). A restored ledger has forgotten
    /// what it let through.
    pub(crate) fn check_brake(&mut self, entity: Entity) {
        let deleted = self.deleted.entry(entity).or_default();
        *deleted += 1;
        if *deleted > brake_records(self.troubles) && !self.troubles.restores {
            self.broken = Some(format!("{deleted} records of {entity:?} were deleted"));
        }
    }

    /// An opt-in may be written only where somebody opted in.
    pub(crate) fn check_opt_in(&mut self, write: &Write) {
        if let (true, Target::Record(record)) = (write.opt_in, &write.target) {
            // After a merge it may be another record of the same side.
            let merged = self.troubles.merges;
            let others = |side: &Side| merged || *side != write.side;
            let somebody = self.consents.iter().any(|(side, _, out, _)| others(side) && !out);
            if !somebody {
                self.broken = Some(format!("{record} was opted in and nobody had said so"));
            }
        }
    }
}
