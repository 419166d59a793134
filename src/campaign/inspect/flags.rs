//! Columns that stand for a checkbox over there: whether they hold anything but 0 and 1.
//!
//! Campaign's flags, its enumerations and its small numbers are of one type, so that only the rows
//! tell them apart. A 2 would be a tick on the other side, and a tick that comes back would be a 1.

use tokio_postgres::Client;

use super::{Finding, MappingNeeds};
use crate::campaign::catalog::Table;
use crate::campaign::{peer_error, quoted};
use crate::peer::PeerError;

/// So many rows are looked at: what an enumeration is shows in any of them, and a look at all the
/// rows of a large table is not worth its reading.
const ROWS_MAX: i64 = 50_000;

pub(super) async fn look(
    client: &Client,
    table: &Table,
    mapping: &MappingNeeds,
) -> Result<Vec<Finding>, PeerError> {
    let mut findings = Vec::new();
    for column in &mapping.flags {
        if table.column(column).is_none() {
            continue;
        }
        let query = format!(
            "select count(*) filter (where known.value not in ('0', '1', 'true', 'false'))
               from (select {}::text as value from {}.{} limit $1::bigint) known",
            quoted(column),
            quoted(&table.schema),
            quoted(&table.name)
        );
        let row = client.query_one(&query, &[&ROWS_MAX]).await;
        let row = row.map_err(|error| peer_error("looking for more than flags", error))?;
        let others: i64 = row.get(0);
        if 0 < others {
            findings.push(Finding::warn(
                format!("mapping.{}: column {column}", mapping.name),
                format!(
                    "it is mapped to a checkbox, and {others} rows of the first {ROWS_MAX} hold \
                     neither 0 nor 1: an enumeration, or a number. Each of them is a tick over \
                     there, and a change over there makes it 0 or 1"
                ),
                "map it to a picklist or a number, or give the field direction = \"to_crm\"",
            ));
        }
    }
    Ok(findings)
}
