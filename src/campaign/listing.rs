//! Which tables a database has, for somebody who looks for one to map.

use std::sync::Arc;

use tokio_postgres::Client;

use crate::campaign::catalog::Table;
use crate::campaign::{peer_error, quoted};
use crate::peer::PeerError;

/// The names of a schema's own tables, in their order: no partitions, no work tables that no log
/// tells of.
pub async fn table_names(client: &Client, schema: &str) -> Result<Vec<String>, PeerError> {
    let rows = client.query(NAMES, &[&schema]).await;
    let rows = rows.map_err(|error| peer_error("listing the tables", error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

const NAMES: &str = "
    select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = $1::text and c.relkind in ('r', 'p') and c.relpersistence = 'p'
       and not c.relispartition
     order by 1";

/// The folder that new rows of this model go into unless somebody says otherwise: Campaign's own
/// function tells. `None` where there is none, or no such function.
pub async fn default_folder(
    client: &Client,
    schema: &str,
    model: &str,
) -> Result<Option<i64>, PeerError> {
    let failed = |error| peer_error("looking for a folder", error);
    let known = client.query_opt(KNOWN, &[&schema]).await.map_err(failed)?;
    if known.is_none() {
        return Ok(None);
    }
    let query = format!("select {}.defaultfolder($1::varchar)::bigint", quoted(schema));
    let folder = client.query_one(&query, &[&model]).await.map_err(failed)?;
    Ok(folder.get::<_, Option<i64>>(0).filter(|folder| *folder != 0))
}

const KNOWN: &str = "
    select 1 from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where n.nspname = $1::text and p.proname = 'defaultfolder' and p.pronargs = 1 limit 1";

impl Table {
    /// The column by which records of the table can be told apart in the log: the one that Campaign's
    /// own key index is over, or another with such an index.
    pub fn key(&self) -> Option<&Arc<str>> {
        let fit = self.indexes.iter().filter(|index| self.unfit_as_identity(index).is_none());
        let mut single: Vec<_> = fit.filter(|index| index.columns.len() == 1).collect();
        single.sort_by_key(|index| !index.name.ends_with("_id"));
        single.first()?.columns.first()?.as_ref()
    }
}
