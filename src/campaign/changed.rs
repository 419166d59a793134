//! Which rows changed since a moment, by their own time of change: for what the log does not tell, or
//! tells only later. SQL that does not move that column is not seen.

use jiff::Timestamp;

use crate::campaign::scan::{CampaignScan, mapped, not_zero};
use crate::campaign::table::{MODIFIED, Mapped};
use crate::campaign::values::instant_text;
use crate::campaign::{peer_error, quoted};
use crate::peer::{Ahead, PeerError};
use crate::reconcile::{Entity, RecordId, Shape};

impl CampaignScan {
    /// Which rows follow `after` in the order of their keys and changed since then; an empty list is
    /// the end.
    pub async fn changed_since(
        &mut self,
        entity: Entity,
        since: Timestamp,
        after: Option<&RecordId>,
    ) -> Result<Vec<RecordId>, PeerError> {
        let mapped = mapped(&self.tables, entity)?;
        if mapped.table.column(MODIFIED).is_none() {
            let table = mapped.sql_name();
            return Err(PeerError::Unfit { why: format!("{table} has no column `{MODIFIED}`") });
        }
        self.list(&mapped, "true", (since, after)).await
    }

    async fn list(
        &mut self,
        mapped: &Mapped,
        condition: &str,
        (since, after): (Timestamp, Option<&RecordId>),
    ) -> Result<Vec<RecordId>, PeerError> {
        let Some(modified) = mapped.table.column(MODIFIED) else { return Ok(Vec::new()) };
        let goes_on = after.is_some();
        let (table, key) = (mapped.sql_name(), quoted(&mapped.mapping.key));
        let (cast, kind) = (mapped.cast(&mapped.mapping.key), &modified.cast);
        let follows =
            if goes_on { format!("t.{key} > $1::text::{cast}") } else { "$1::text = ''".into() };
        let query = format!(
            "select t.{key}::text from {table} t
              where {follows} and t.{} >= $2::text::{kind} and {} and {condition}
              order by t.{key} limit $3::bigint",
            quoted(MODIFIED),
            not_zero(mapped, "t"),
        );
        let after = after.map_or("", |key| &key.0);
        let since = instant_text(since, &modified.column, &mapped.zone);
        let limit = i64::try_from(self.options.rows).unwrap_or(i64::MAX);
        let rows = self.session().await?.query(&query, &[&after, &since, &limit]).await;
        let rows = rows.map_err(|error| peer_error("listing what changed", error))?;
        Ok(rows.iter().map(|row| RecordId::from(row.get::<_, &str>(0))).collect())
    }
}

impl Ahead for CampaignScan {
    async fn opted_out_since(
        &mut self,
        entity: Entity,
        since: Timestamp,
        after: Option<&RecordId>,
    ) -> Result<Vec<RecordId>, PeerError> {
        let mapped = mapped(&self.tables, entity)?;
        let fields = mapped.mapping.fields.iter().filter(|field| field.shape == Shape::Consent);
        let columns = fields.flat_map(|field| &field.columns);
        let out: Vec<String> = columns
            .filter(|column| mapped.table.column(&column.name).is_some())
            .map(|column| {
                let name = quoted(&column.name);
                format!("t.{name}::text not in ('0', 'f', 'false')")
            })
            .collect();
        if out.is_empty() {
            return Ok(Vec::new());
        }
        self.list(&mapped, &format!("({})", out.join(" or ")), (since, after)).await
    }
}
