//! Values as cells of CSV: everything is text, an empty cell leaves a field alone, `#N/A` clears it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::crm::salesforce::api::Record;
use crate::crm::salesforce::describe::Object;
use crate::reconcile::mapping::Kind;

/// What clears a field, so that no text can say it.
const NOTHING: &str = "#N/A";
/// The most characters of a cell.
const CELL_MAX: usize = 32_000;

/// How an object's cells are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::crm::salesforce) struct Cells(BTreeMap<Arc<str>, Told>);

/// What a cell's text stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Flag,
    Number,
    Text,
}

impl Cells {
    pub(in crate::crm::salesforce) fn of(object: &Object) -> Self {
        let told = |kind: &Kind| match kind {
            Kind::Bool => Told::Flag,
            Kind::Int { .. } | Kind::Decimal { .. } => Told::Number,
            Kind::Text { .. }
            | Kind::Date
            | Kind::Time
            | Kind::Instant
            | Kind::Uuid
            | Kind::Set { .. }
            | Kind::Reference(_)
            | Kind::Other => Told::Text,
        };
        let columns = object.columns.iter();
        Self(columns.map(|(name, column)| (Arc::clone(name), told(&column.kind))).collect())
    }

    /// A row as a query would have told it.
    pub(super) fn record<'a>(&self, row: impl Iterator<Item = (&'a str, &'a str)>) -> Record {
        row.map(|(name, cell)| (name.to_owned(), self.read(name, cell))).collect()
    }

    fn read(&self, name: &str, cell: &str) -> Json {
        match self.0.get(name) {
            _ if cell.is_empty() => Json::Null,
            Some(Told::Flag) => match cell {
                "true" => Json::Bool(true),
                "false" => Json::Bool(false),
                other => Json::from(other),
            },
            Some(Told::Number) => {
                serde_json::from_str(cell).map_or_else(|_| Json::from(cell), Json::Number)
            }
            Some(Told::Text) | None => Json::from(cell),
        }
    }
}

/// What a cell holds for a value; `None` where no cell can say it.
pub(super) fn print(value: &Json) -> Option<String> {
    match value {
        Json::Null => Some(NOTHING.to_owned()),
        Json::Bool(flag) => Some(flag.to_string()),
        Json::Number(n) => Some(n.to_string()),
        Json::String(text) => {
            let sayable = !text.is_empty() && text != NOTHING && text.len() <= CELL_MAX;
            sayable.then(|| text.clone())
        }
        Json::Array(_) | Json::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_no_cell_can_say_is_not_said() {
        assert_eq!(print(&json!(null)).as_deref(), Some("#N/A"));
        assert_eq!(print(&json!("#N/A")), None);
        assert_eq!(print(&json!("")), None);
        assert_eq!(print(&json!("x".repeat(32_001))), None);
        assert_eq!(print(&json!(true)).as_deref(), Some("true"));
        assert_eq!(print(&json!("a \"quoted\"\nline")).as_deref(), Some("a \"quoted\"\nline"));
    }

    #[test]
    fn cells_are_read_as_a_query_tells_them() {
        let kinds = [("Flag", Told::Flag), ("Score", Told::Number), ("Name", Told::Text)];
        let cells = Cells(kinds.map(|(name, told)| (name.into(), told)).into());
        let row = [("Flag", "true"), ("Score", "12.50"), ("Name", "7"), ("Other", "")];
        let record = cells.record(row.into_iter());
        let number: Json = serde_json::from_str("12.50").unwrap();
        assert_eq!(record["Flag"], json!(true));
        assert_eq!(record["Score"], number);
        assert_eq!((&record["Name"], &record["Other"]), (&json!("7"), &Json::Null));
    }
}
