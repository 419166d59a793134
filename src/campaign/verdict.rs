//! What a failed write statement means for the writes in it.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::error::{DbError, Severity};

use crate::campaign::statement::{Form, Item, Unsayable};
use crate::campaign::table::Mapped;
use crate::reconcile::mapping::Kind;
use crate::reconcile::{Outcome, Refusal, RefusalKind};

/// What to do about a statement that failed and left nothing behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Somebody else is in the way; all of its writes may be tried again.
    Later,
    /// A lock was not to be had in time: that of one row's unique value, or that of the table.
    Waited,
    /// The server refuses one of its writes.
    Record(RefusalKind),
    /// The server refuses any such write.
    Mapping,
}

/// For what writes are put off that failed so.
pub(crate) fn named(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{}: {}", said.code().code(), said.message()),
        None => "the connection was lost".to_owned(),
    }
}

/// Sorts a failure by its SQLSTATE, the same on every version and in every language.
pub(crate) fn verdict(error: &tokio_postgres::Error) -> Verdict {
    let Some(said) = error.as_db_error() else { return Verdict::Later };
    let code = said.code().code();
    match code {
        "55P03" => Verdict::Waited,
        "23505" => Verdict::Record(RefusalKind::Unique(None)),
        "23503" => Verdict::Record(RefusalKind::Dependency),
        // A column, a table, a function or a right is missing: no row would pass.
        "42501" | "42P01" | "42703" | "42883" | "42804" | "25006" => Verdict::Mapping,
        // Deadlocks, serialization, cancelled, out of something, shutting down, connection trouble.
        _ if ["40", "53", "57", "58", "08", "55", "25"]
            .iter()
            .any(|class| code.starts_with(class)) =>
        {
            Verdict::Later
        }
        // Whatever else it is: it is this record's, and an operator sees it.
        _ => Verdict::Record(RefusalKind::Record),
    }
}

/// Whether the answer leaves open if a `commit` took effect.
pub(crate) fn leaves_open(error: &tokio_postgres::Error) -> bool {
    let Some(said) = error.as_db_error() else { return true };
    let fatal = matches!(said.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
    fatal || said.code().code().starts_with("57") || said.code().code().starts_with("08")
}

/// The refusal of one write, with the fields that the server's words are about.
pub(crate) fn refused(
    kind: RefusalKind,
    error: &tokio_postgres::Error,
    mapped: &Mapped,
    written: (&Form, &Item),
) -> Outcome {
    let Some(said) = error.as_db_error() else { return Outcome::Lost };
    let columns = named_columns(said, mapped, written);
    let fields =
        columns.iter().flat_map(|column| mapped.fields_of(column).map(|known| known.field));
    let message = match said.detail() {
        Some(detail) => format!("{}: {detail}", said.message()),
        None => said.message().to_owned(),
    };
    let mut fields: Vec<_> = fields.collect();
    fields.sort();
    fields.dedup();
    Outcome::Refused(Refusal {
        kind,
        code: said.code().code().into(),
        message: message.into(),
        fields,
    })
}

/// A write that could not be said in SQL.
pub(crate) fn unsayable(why: Unsayable) -> Outcome {
    Outcome::Refused(Refusal {
        kind: if why.field.is_some() { RefusalKind::Record } else { RefusalKind::Mapping },
        code: "unwritable".into(),
        message: why.why.into(),
        fields: why.field.into_iter().collect(),
    })
}

/// The columns of the unique index that was violated.
pub(crate) fn violated<'a>(error: &tokio_postgres::Error, mapped: &'a Mapped) -> Vec<&'a Arc<str>> {
    let name = error.as_db_error().and_then(DbError::constraint);
    let index = mapped.table.indexes.iter().find(|index| Some(&*index.name) == name);
    index.map(|index| index.columns.iter().flatten().collect()).unwrap_or_default()
}

fn named_columns(said: &DbError, mapped: &Mapped, (form, item): (&Form, &Item)) -> Vec<Arc<str>> {
    if let Some(column) = said.column() {
        return vec![column.into()];
    }
    if let Some(name) = said.constraint() {
        let index = mapped.table.indexes.iter().find(|index| &*index.name == name);
        return index
            .map(|index| index.columns.iter().flatten().cloned().collect())
            .unwrap_or_default();
    }
    if said.code().code() != "22001" {
        return Vec::new();
    }
    // The server does not say which text was too long, so we look.
    let too_long = |(name, text): (&Arc<str>, &Option<String>)| {
        let max = match mapped.table.column(name).map(|known| &known.column.kind) {
            Some(Kind::Text { max, .. }) => (*max)?,
            _ => return None,
        };
        let length = text.as_deref().map_or(0, |text| text.chars().count());
        (max < length).then(|| Arc::clone(name))
    };
    form.sets.iter().zip(&item.sets).filter_map(too_long).collect()
}

/// After this long what was in the way has often gone: one lock timeout and a bit.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);
