//! Which records can meet a condition at all, where ids or keys say so: a client that asks for a
//! hundred records by their ids must not make the simulator look at all of them.

use std::collections::BTreeSet;

use super::super::data::Data;
use super::super::guid::Guid;
use super::super::model::ID;
use super::super::value::Value;
use super::bind::{Condition, Path, Side};
use super::filter::Comparison;

/// The records that can meet a condition; nothing where all may.
pub(in super::super) fn candidates(
    data: &Data,
    table: usize,
    condition: &Condition,
) -> Option<BTreeSet<Guid>> {
    match condition {
        Condition::All(parts) => parts.iter().find_map(|part| candidates(data, table, part)),
        Condition::Any(parts) => {
            let each = parts.iter().map(|part| candidates(data, table, part));
            let all: Option<Vec<_>> = each.collect();
            Some(all?.into_iter().flatten().collect())
        }
        Condition::Compare(Side::Column(path), Comparison::Eq, Side::Value(value)) => {
            of_value(data, table, path, value)
        }
        Condition::In(path, values) => {
            let each = values.iter().map(|value| of_value(data, table, path, value));
            let all: Option<Vec<_>> = each.collect();
            Some(all?.into_iter().flatten().collect())
        }
        Condition::Not(_)
        | Condition::Compare(..)
        | Condition::Text(..)
        | Condition::Chosen(..)
        | Condition::Between(..)
        | Condition::Last(..)
        | Condition::Children { .. } => None,
    }
}

fn of_value(data: &Data, table: usize, path: &Path, value: &Value) -> Option<BTreeSet<Guid>> {
    if !path.steps.is_empty() || path.table != table {
        return None;
    }
    if path.column == ID {
        return Some(value.as_id().into_iter().collect());
    }
    // An inactive key is not unique, and so knows one record of several.
    let mut keys = data.model.table(table).keys.iter();
    let key = keys.position(|key| key.is_active() && key.columns == [path.column])?;
    let found = data.records(table).with_key(key, &value.key()?);
    Some(found.into_iter().collect())
}
