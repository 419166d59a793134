//! A batch turned into columns: what each statement is given.

use std::collections::BTreeMap;
use std::time::SystemTime;

use tokio_postgres::types::ToSql;

use super::line::moment;
use super::store::{clean, integer, lane_number, number};
use crate::ledger::stored::encode;
use crate::ledger::{Batch, Due, Keep, LedgerError, State};
use crate::reconcile::{Entity, LinkId, LinkState, RecordId, Side};

type Parameter<'a> = &'a (dyn ToSql + Sync);

/// Rows of the table `link`.
#[derive(Default)]
pub(super) struct LinkRows<'a> {
    pub(super) id: Vec<i64>,
    entity: Vec<i16>,
    state: Vec<&'static str>,
    alias_of: Vec<Option<i64>>,
    campaign: Vec<Option<&'a str>>,
    crm: Vec<Option<&'a str>>,
    version: Vec<i64>,
    extras: Vec<i64>,
    due_lane: Vec<Option<i16>>,
    due_at: Vec<Option<SystemTime>>,
    body: Vec<String>,
}

impl<'a> LinkRows<'a> {
    pub(super) fn of(keeps: &[&'a Keep]) -> Result<Self, LedgerError> {
        let mut rows = Self::default();
        for keep in keeps {
            let (link, after) = (&keep.link, keep.mark_after());
            rows.id.push(number(link.id));
            rows.entity.push(integer(link.entity.0)?);
            rows.state.push(after.state.name());
            rows.alias_of.push(match link.state {
                LinkState::Alias(of) => Some(number(of)),
                LinkState::Live | LinkState::Severed | LinkState::Tombstone => None,
            });
            rows.campaign.push(record(link.record(Side::Campaign))?);
            rows.crm.push(record(link.record(Side::Crm))?);
            rows.version.push(keep.mark.version.cast_signed());
            rows.extras.push(after.extras.cast_signed());
            rows.due_lane.push(keep.due.map(|due| lane_number(due.lane)));
            rows.due_at.push(keep.due.map(|due| moment(due.at)));
            rows.body.push(encode(link));
        }
        Ok(rows)
    }

    pub(super) fn given(&self) -> [Parameter<'_>; 11] {
        [
            &self.id,
            &self.entity,
            &self.state,
            &self.alias_of,
            &self.campaign,
            &self.crm,
            &self.version,
            &self.extras,
            &self.due_lane,
            &self.due_at,
            &self.body,
        ]
    }
}

/// A record is looked for by its very key, so it is not mended, as texts for people are.
fn record(record: Option<&RecordId>) -> Result<Option<&str>, LedgerError> {
    match record {
        Some(RecordId(key)) if key.contains('\0') => {
            Err(LedgerError::Unstorable { what: format!("the record key {key:?}") })
        }
        Some(RecordId(key)) => Ok(Some(key)),
        None => Ok(None),
    }
}

/// Texts of a side, by which links are found: match keys, or records.
#[derive(Default)]
pub(super) struct TextRows {
    pub(super) entity: Vec<i16>,
    pub(super) side: Vec<&'static str>,
    pub(super) text: Vec<String>,
    pub(super) link: Vec<i64>,
}

impl TextRows {
    fn push(
        &mut self,
        (entity, side): (Entity, Side),
        text: String,
        link: LinkId,
    ) -> Result<(), LedgerError> {
        self.entity.push(integer(entity.0)?);
        self.side.push(side.name());
        self.text.push(text);
        self.link.push(number(link));
        Ok(())
    }

    pub(super) fn given(&self) -> [Parameter<'_>; 4] {
        [&self.entity, &self.side, &self.text, &self.link]
    }
}

/// Rows of the table `held`.
#[derive(Default)]
pub(super) struct HeldRows {
    pub(super) link: Vec<i64>,
    ordinal: Vec<i32>,
    entity: Vec<i16>,
    field: Vec<Option<i16>>,
    reason: Vec<String>,
    since: Vec<SystemTime>,
    detail: Vec<String>,
}

impl HeldRows {
    fn push(&mut self, keep: &Keep) -> Result<(), LedgerError> {
        for (ordinal, held) in (0..).zip(&keep.held) {
            self.link.push(number(keep.link.id));
            self.ordinal.push(ordinal);
            self.entity.push(integer(keep.link.entity.0)?);
            self.field.push(held.field.map(|field| integer(field.0)).transpose()?);
            self.reason.push(clean(&held.reason));
            self.since.push(moment(held.since));
            self.detail.push(held.detail.to_string());
        }
        Ok(())
    }

    pub(super) fn given(&self) -> [Parameter<'_>; 7] {
        [
            &self.link,
            &self.ordinal,
            &self.entity,
            &self.field,
            &self.reason,
            &self.since,
            &self.detail,
        ]
    }
}

/// What is beside the links where it changed.
#[derive(Default)]
pub(super) struct Extras {
    /// Links that had something beside them.
    pub(super) replaced: Vec<i64>,
    pub(super) keys: TextRows,
    pub(super) waits: TextRows,
    pub(super) held: HeldRows,
}

impl Extras {
    pub(super) fn of(batch: &Batch) -> Result<Self, LedgerError> {
        let mut extras = Self::default();
        for keep in &batch.links {
            let after = keep.mark_after();
            if keep.mark.extras == after.extras {
                continue;
            }
            let id = keep.link.id;
            if keep.mark.extras != 0 {
                extras.replaced.push(number(id));
            }
            for side in Side::BOTH {
                for key in &keep.keys[side] {
                    extras.keys.push((keep.link.entity, side), clean(key), id)?;
                }
            }
            for awaited in &keep.waits_for {
                let (entity, side, record) = &awaited.bearer;
                extras.waits.push((*entity, *side), clean(&record.0), id)?;
            }
            extras.held.push(keep)?;
        }
        Ok(extras)
    }
}

/// All that the batch's links wait for, also where it is as before: what a link knew of the record
/// may be older than the wake-up that it was loaded after.
#[derive(Default)]
pub(super) struct Waits {
    pub(super) rows: TextRows,
    /// For each, the version that was known.
    pub(super) versions: Vec<i64>,
}

impl Waits {
    pub(super) fn of(batch: &Batch) -> Result<Self, LedgerError> {
        let mut waits = Self::default();
        for keep in &batch.links {
            for awaited in &keep.waits_for {
                let (entity, side, record) = &awaited.bearer;
                waits.rows.push((*entity, *side), clean(&record.0), keep.link.id)?;
                waits.versions.push(awaited.version.cast_signed());
            }
        }
        Ok(waits)
    }
}

/// Rows of the table `due`.
#[derive(Default)]
pub(super) struct DueRows {
    entity: Vec<i16>,
    lane: Vec<i16>,
    at: Vec<SystemTime>,
    pub(super) link: Vec<i64>,
}

impl DueRows {
    fn push(&mut self, entity: i16, due: Due, link: LinkId) {
        self.entity.push(entity);
        self.lane.push(lane_number(due.lane));
        self.at.push(moment(due.at));
        self.link.push(number(link));
    }

    pub(super) fn given(&self) -> [Parameter<'_>; 4] {
        [&self.entity, &self.lane, &self.at, &self.link]
    }
}

/// What moves between queues and states.
#[derive(Default)]
pub(super) struct Moves {
    pub(super) due_out: DueRows,
    pub(super) due_in: DueRows,
    tally: BTreeMap<(i16, &'static str), i64>,
}

impl Moves {
    pub(super) fn of(batch: &Batch) -> Result<Self, LedgerError> {
        let mut moves = Self::default();
        for keep in &batch.links {
            let entity = integer(keep.link.entity.0)?;
            let (was, is) = (keep.mark, keep.mark_after());
            if was.due != is.due {
                moves.due(entity, keep.link.id, (was.due, is.due));
            }
            let was = (was.version != 0).then_some(was.state);
            moves.count(entity, (was, Some(is.state)));
        }
        for (id, mark) in &batch.removed {
            let entity = integer(mark.entity.0)?;
            moves.due(entity, *id, (mark.due, None));
            moves.count(entity, (Some(mark.state), None));
        }
        Ok(moves)
    }

    fn due(&mut self, entity: i16, link: LinkId, (was, is): (Option<Due>, Option<Due>)) {
        if let Some(due) = was {
            self.due_out.push(entity, due, link);
        }
        if let Some(due) = is {
            self.due_in.push(entity, due, link);
        }
    }

    fn count(&mut self, entity: i16, (was, is): (Option<State>, Option<State>)) {
        if was == is {
            return;
        }
        for (state, by) in [(was, -1), (is, 1)] {
            if let Some(state) = state {
                *self.tally.entry((entity, state.name())).or_default() += by;
            }
        }
    }

    pub(super) fn tally(&self) -> (Vec<i16>, Vec<&'static str>, Vec<i64>) {
        let moved = self.tally.iter().filter(|(_, by)| **by != 0);
        let mut columns = (Vec::new(), Vec::new(), Vec::new());
        for ((entity, state), by) in moved {
            columns.0.push(*entity);
            columns.1.push(*state);
            columns.2.push(*by);
        }
        columns
    }

    /// The records of links that are another thing than they were.
    pub(super) fn identities(batch: &Batch) -> Result<TextRows, LedgerError> {
        let mut records = TextRows::default();
        for keep in &batch.links {
            if keep.mark.version != 0 && keep.mark.identity == keep.mark_after().identity {
                continue;
            }
            for side in Side::BOTH {
                if let Some(record) = keep.link.record(side) {
                    let of = (keep.link.entity, side);
                    records.push(of, clean(&record.0), keep.link.id)?;
                }
            }
        }
        Ok(records)
    }
}
