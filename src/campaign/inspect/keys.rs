//! What gives a mapping's new records their keys: whether it is there, and whether we may draw.
//!
//! Campaign's functions run with the rights of who calls them, so the sequence that one draws from
//! must be ours to draw from too. Which one that is stands in the function's own text, unless the
//! text puts the name together.

use tokio_postgres::Client;

use super::{Finding, MappingNeeds};
use crate::campaign::catalog::Table;
use crate::campaign::keys::KeySource;
use crate::campaign::{peer_error, quoted};
use crate::peer::PeerError;

pub(super) async fn look(
    client: &Client,
    table: &Table,
    mapping: &MappingNeeds,
) -> Result<Vec<Finding>, PeerError> {
    let what = format!("mapping.{}: keys for new records", mapping.name);
    match KeySource::find(client, table, mapping.id_function.as_deref()).await {
        Ok(source) => rights(client, &source, what).await,
        Err(PeerError::Unfit { why }) => {
            let remedy = "id_function = \"…\", as the table's schema in Campaign names it";
            Ok(vec![Finding::fail(what, why, remedy)])
        }
        Err(error) => Err(error),
    }
}

/// Each thing that is called or drawn from, and whether we may.
async fn rights(
    client: &Client,
    source: &KeySource,
    what: String,
) -> Result<Vec<Finding>, PeerError> {
    let query = match source {
        KeySource::Function(_) => FUNCTION,
        KeySource::Sequence(_) => SEQUENCE,
    };
    let rows = client.query(query, &[&source.sql_name()]).await;
    let rows = rows.map_err(|error| peer_error("asking for our rights", error))?;
    let lacking = rows.iter().filter(|row| !row.get::<_, bool>("may")).map(|row| {
        let (role, name): (&str, &str) = (row.get("role"), row.get("name"));
        let (may_not, grant) = match row.get("kind") {
            "function" => ("call", "execute on function"),
            _ => ("draw from", "usage on sequence"),
        };
        let cause = format!("{role} may not {may_not} {name}");
        Finding::fail(what.clone(), cause, format!("grant {grant} {name} to {}", quoted(role)))
    });
    let lacking: Vec<Finding> = lacking.collect();
    Ok(if lacking.is_empty() { vec![Finding::good(what, source.sql_name())] } else { lacking })
}

/// The function, and each sequence that its text names, or that a body in standard SQL depends on.
/// One that runs with its owner's rights needs no others of ours.
const FUNCTION: &str = r#"
    with f as (
        select p.oid, p.prosrc, p.prosecdef
          from pg_proc p join pg_namespace n on n.oid = p.pronamespace
         where format('"%s"."%s"', n.nspname, p.proname) = $1::text and p.pronargs = 1
    ), drawn as (
        select to_regclass(named[1])::oid as oid
          from f, regexp_matches(f.prosrc, $re$nextval\s*\(\s*'+([\w."$]+)'$re$, 'gi') named
         where not f.prosecdef
        union
        select d.refobjid from f join pg_depend d on d.objid = f.oid
         where not f.prosecdef and d.classid = 'pg_proc'::regclass
           and d.refclassid = 'pg_class'::regclass
    )
    select 'function' as kind, oid::regprocedure::text as name, current_user::text as role,
           has_function_privilege(oid, 'execute') as may
      from f
    union all
    select 'sequence', format('%I.%I', n.nspname, c.relname), current_user::text,
           has_sequence_privilege(c.oid, 'usage') or has_sequence_privilege(c.oid, 'update')
      from drawn join pg_class c on c.oid = drawn.oid and c.relkind = 'S'
      join pg_namespace n on n.oid = c.relnamespace
     order by 1, 2"#;

const SEQUENCE: &str = "
    select 'sequence' as kind, $1::text as name, current_user::text as role,
           has_sequence_privilege($1::text, 'usage')
           or has_sequence_privilege($1::text, 'update') as may";
