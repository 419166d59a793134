//! Where the keys of new rows come from: Campaign's own functions, never our own counting.
//!
//! Several tables share a sequence, sequences wrap around, and negative keys exist; so a key is
//! drawn as Campaign draws it, and only looked over.

use std::sync::Arc;

use tokio_postgres::Client;

use crate::campaign::catalog::Table;
use crate::campaign::table::Mapped;
use crate::campaign::{peer_error, quoted};
use crate::peer::PeerError;
use crate::reconcile::RecordId;

/// What gives new keys for a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A function that is called with how many, and answers with a list, separated by commas.
    Function(Arc<str>),
    /// A sequence.
    Sequence(Arc<str>),
}

impl KeySource {
    /// Finds the table's source: the configured function, or what Campaign's naming leads to.
    pub async fn find(
        client: &Client,
        of: &Table,
        configured: Option<&str>,
    ) -> Result<Self, PeerError> {
        let schema: &str = &of.schema;
        let table = &of.name;
        let guessed = [format!("getnew{table}ids"), "getnewids".to_owned()];
        let functions: Vec<String> =
            configured.map_or_else(|| guessed.to_vec(), |name| vec![name.to_lowercase()]);
        let sequences = [format!("auto_{table}_seq"), "xtknewid".to_owned()];
        let failed = |error| peer_error("looking for the function that gives new keys", error);
        let known = client.query(FUNCTIONS, &[&schema, &functions]).await.map_err(failed)?;
        let known: Vec<&str> = known.iter().map(|row| row.get(0)).collect();
        let there = client.query(SEQUENCES, &[&schema, &sequences.to_vec()]).await;
        let there = there.map_err(failed)?;
        let there: Vec<&str> = there.iter().map(|row| row.get(0)).collect();
        let sql_name =
            |name: &str| -> Arc<str> { format!("{}.{}", quoted(schema), quoted(name)).into() };
        if let Some(name) = configured {
            let name = name.to_lowercase();
            return if known.contains(&&*name) {
                Ok(Self::Function(sql_name(&name)))
            } else {
                let why = format!("id_function: there is no function {schema}.{name}(integer)");
                Err(PeerError::Unfit { why })
            };
        }
        // A sequence of the table's own goes before the function that all tables share.
        let own = |source: &String, there: &[&str]| there.contains(&source.as_str());
        if own(&functions[0], &known) {
            Ok(Self::Function(sql_name(&functions[0])))
        } else if own(&sequences[0], &there) {
            Ok(Self::Sequence(sql_name(&sequences[0])))
        } else if own(&functions[1], &known) {
            Ok(Self::Function(sql_name(&functions[1])))
        } else if own(&sequences[1], &there) {
            Ok(Self::Sequence(sql_name(&sequences[1])))
        } else {
            let why = format!(
                "nothing gives keys for new rows of {schema}.{table}; name the function in \
                 id_function (it takes how many and answers with a list, as getnewids does)"
            );
            Err(PeerError::Unfit { why })
        }
    }

    /// The source's name as SQL text.
    pub fn sql_name(&self) -> &str {
        match self {
            Self::Function(name) | Self::Sequence(name) => name,
        }
    }

    /// Draws keys; all of them can be keys of the table, and none is there twice.
    pub async fn draw(
        &self,
        client: &Client,
        mapped: &Mapped,
        count: usize,
    ) -> Result<Vec<RecordId>, PeerError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let query = match self {
            Self::Function(name) => format!("select {name}($1::integer)::text"),
            Self::Sequence(name) => format!(
                "select string_agg(nextval({}::regclass)::text, ',')
                   from generate_series(1, $1::integer)",
                crate::campaign::literal(name)
            ),
        };
        let many = i32::try_from(count).unwrap_or(i32::MAX);
        let drawn = client.query_one(&query, &[&many]).await;
        let drawn = drawn.map_err(|error| peer_error("drawing keys for new records", error))?;
        let list: Option<&str> = drawn.get(0);
        let keys: Vec<&str> = list.unwrap_or("").split(',').map(str::trim).collect();
        let distinct: std::collections::BTreeSet<&str> = keys.iter().copied().collect();
        if keys.len() != count
            || distinct.len() != count
            || keys.iter().any(|key| !mapped.is_key(key))
        {
            let source = self.sql_name();
            let why = format!("{source}({count}) did not answer with {count} keys in a list");
            return Err(PeerError::Unfit { why });
        }
        Ok(keys.into_iter().map(RecordId::from).collect())
    }
}

const FUNCTIONS: &str = "
    select distinct p.proname::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where n.nspname = $1::text and p.proname = any($2::text[]) and p.pronargs = 1
       and p.proargtypes[0] in ('int4'::regtype, 'int8'::regtype, 'int2'::regtype)";

const SEQUENCES: &str = "
    select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = $1::text and c.relname = any($2::text[]) and c.relkind = 'S'";
