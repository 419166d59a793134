//! How far scans and comparisons have come, as it is kept; and which mapping waits for which.

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::ledger::Ledger;
use crate::peer::Cursor;
use crate::reconcile::{Entity, RecordId, Side};

use super::AgentError;
use super::plan::{Plan, Plans};

/// How far a scan has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) generation: u64,
    pub(super) after: Option<RecordId>,
    pub(super) count: u64,
    pub(super) done: bool,
}

impl Progress {
    /// What was kept, if it is of this scan and not of an earlier one.
    pub(super) fn of(cursor: &Cursor, generation: u64) -> Self {
        let kept = &cursor.0;
        if kept["generation"].as_u64() != Some(generation) {
            return Self { generation, ..Self::default() };
        }
        Self {
            generation,
            after: kept["after"].as_str().map(RecordId::from),
            count: kept["count"].as_u64().unwrap_or(0),
            done: kept["done"].as_bool().unwrap_or(false),
        }
    }

    pub(super) fn cursor(&self) -> Cursor {
        Cursor(json!({
            "generation": self.generation,
            "after": self.after.as_ref().map(ToString::to_string),
            "count": self.count,
            "done": self.done,
        }))
    }
}

/// Which comparison of a mapping is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Its number; 0 before the first scan is done.
    pub generation: u64,
    /// Whether the links that stood alone were looked at again since.
    pub woken: bool,
}

impl Compared {
    pub(super) fn fact(self) -> Json {
        json!({ "generation": self.generation, "woken": self.woken })
    }
}

pub(super) fn compared_fact(plan: &Plan) -> String {
    format!("compared/{}", plan.name)
}

/// Which comparison of a mapping is done.
pub async fn compared<L: Ledger>(ledger: &L, plan: &Plan) -> Result<Compared, AgentError> {
    let fact = ledger.fact(&compared_fact(plan)).await?.unwrap_or(Json::Null);
    Ok(Compared {
        generation: fact["generation"].as_u64().unwrap_or(0),
        woken: fact["woken"].as_bool().unwrap_or(false),
    })
}

pub(super) fn scan_cursor(plan: &Plan, side: Side) -> String {
    format!("scan/{}/{side}", plan.name)
}

/// How many records of a side the last scan has read.
pub async fn scanned<L: Ledger>(ledger: &L, plan: &Plan, side: Side) -> Result<u64, AgentError> {
    let cursor = ledger.cursor(&scan_cursor(plan, side)).await?;
    Ok(cursor.0["count"].as_u64().unwrap_or(0))
}

/// Whether a mapping and those it refers to were scanned to their ends.
pub async fn is_open<L: Ledger>(
    ledger: &L,
    plans: &Plans,
    plan: &Plan,
) -> Result<bool, AgentError> {
    let parents = parents(plan).filter_map(|entity| plans.get(&entity));
    for plan in parents.chain([plan]) {
        if compared(ledger, plan).await?.generation == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A mapping that has come to refer to one which is not scanned yet makes no records until that is
/// done; then all that stand alone are looked at once more.
pub async fn shut<L: Ledger>(
    ledger: &L,
    plans: &Plans,
    plan: &Plan,
    now: Timestamp,
) -> Result<(), AgentError> {
    let done = compared(ledger, plan).await?;
    if !done.woken || is_open(ledger, plans, plan).await? {
        return Ok(());
    }
    let fact = Compared { woken: false, ..done }.fact();
    super::held::store_fact(ledger, (compared_fact(plan), fact), now).await
}

fn parents(plan: &Plan) -> impl Iterator<Item = Entity> {
    plan.policy.fields.keys().filter_map(|field| plan.refers_to(*field))
}

/// An account's mappings, those first that others refer to.
pub(super) fn in_order(plans: &Plans, account: usize) -> Vec<Entity> {
    let mut order: Vec<Entity> = Vec::new();
    let mut rest: Vec<&Plan> = plans.values().filter(|plan| plan.account == account).collect();
    while !rest.is_empty() {
        let waits = |plan: &&&Plan| {
            parents(plan).any(|parent| {
                parent != plan.policy.entity && rest.iter().any(|o| o.policy.entity == parent)
            })
        };
        // A circle has no first: any of it will do, as references that wait are looked at again.
        let next = rest.iter().position(|plan| !waits(&plan)).unwrap_or(0);
        order.push(rest.remove(next).policy.entity);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_as_it_was_kept_and_only_by_the_same_scan() {
        let progress =
            Progress { generation: 3, after: Some("17".into()), count: 4000, done: false };
        assert_eq!(Progress::of(&progress.cursor(), 3), progress);
        let anew = Progress { generation: 4, ..Progress::default() };
        assert_eq!(Progress::of(&progress.cursor(), 4), anew);
        let begun = Progress { generation: 1, ..Progress::default() };
        assert_eq!(Progress::of(&Cursor::start(), 1), begun);
    }
}
