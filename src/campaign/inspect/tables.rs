//! A mapped table: its shape, how its changes are told apart, and what our role may do with it.

use tokio_postgres::Client;

use super::{Expectations, Finding, Health, MappingNeeds, flags, keys};
use crate::campaign::catalog::{Form, Identity, Persistence, Table};
use crate::campaign::setup::{Chosen, no_index};
use crate::campaign::table::{CREATED, MODIFIED, MODIFIED_BY};
use crate::campaign::{peer_error, quoted};
use crate::peer::PeerError;

pub(super) async fn look(
    client: &Client,
    wanted: &Expectations,
    mapping: &MappingNeeds,
) -> Result<Vec<Finding>, PeerError> {
    let (name, schema) = (&mapping.name, &wanted.schema);
    let what = format!("mapping.{name}: table {schema}.{}", mapping.table);
    let Some(table) = Table::read(client, schema, &mapping.table).await? else {
        let cause = "there is no such table; names are in lower case in PostgreSQL";
        return Ok(vec![Finding::fail(what, cause, "see campaign.schema and mapping.table")]);
    };
    let mut findings = vec![shape(what, &table)];
    findings.extend(columns(&table, mapping));
    findings.push(identity(&table, mapping));
    if mapping.identity == Chosen::Full {
        findings.push(price_of_full(client, &table).await?);
    }
    let rights = rights(client, &table, mapping).await?;
    if rights.iter().all(|finding| finding.health == Health::Good) {
        findings.extend(flags::look(client, &table, mapping).await?);
    }
    findings.extend(rights);
    if mapping.creates {
        findings.extend(unindexed(&table, mapping));
        findings.extend(keys::look(client, &table, mapping).await?);
    }
    Ok(findings)
}

fn shape(what: String, table: &Table) -> Finding {
    let name = format!("{}.{}", table.schema, table.name);
    match (table.form, table.persistence) {
        (Form::Other, _) => Finding::fail(
            what,
            "it is a view or a foreign table, so its changes are not logged",
            "map the table that it shows",
        ),
        (_, Persistence::Unlogged | Persistence::Temporary) => Finding::fail(
            what,
            "it is not logged, so nobody can follow it",
            format!("alter table {name} set logged"),
        ),
        (Form::Table | Form::Partitioned, Persistence::Logged) if table.inherits => Finding::warn(
            what,
            "it has partitions, or inherits: only its own rows are followed",
            "map its parts one by one",
        ),
        (Form::Table | Form::Partitioned, Persistence::Logged) => Finding::good(what, "is there"),
    }
}

fn columns(table: &Table, mapping: &MappingNeeds) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in mapping.columns.iter().chain([&mapping.key]) {
        if table.column(name).is_none() {
            let folded = name.to_lowercase();
            let remedy = match table.column(&folded) {
                Some(known) => format!("write `{}`", known.column.name),
                None => format!("see \\d {}.{}", table.schema, table.name),
            };
            let what = format!("mapping.{}: column {name}", mapping.name);
            findings.push(Finding::fail(what, "there is no such column", remedy));
        }
    }
    if table.column(MODIFIED).is_none() {
        findings.push(Finding::warn(
            format!("mapping.{}: {MODIFIED}", mapping.name),
            "the table has none: Campaign's incremental workflows will not see what we write",
            "add the auditTrail element to the table's schema in Campaign",
        ));
    }
    if mapping.misses_blacklist && table.column("iblacklist").is_some() {
        findings.push(Finding::warn(
            format!("mapping.{}: iblacklist", mapping.name),
            "it is not mapped, and Campaign's own unsubscribe sets it and nothing else",
            "campaign = [\"iblacklistemail\", \"iblacklist\"] for the consent field",
        ));
    }
    findings
}

/// Before a row is made it is looked for by what it would be known by.
fn unindexed(table: &Table, mapping: &MappingNeeds) -> Vec<Finding> {
    let name = format!("{}.{}", quoted(&table.schema), quoted(&table.name));
    let missing = mapping.matched.iter().filter(|column| !table.is_indexed(column));
    let told = missing.map(|column| {
        Finding::warn(
            format!("mapping.{}: match_on column {column}", mapping.name),
            "no index begins with it: each batch of new rows takes a pass over the whole table to see \
             whether they are there; make one, and declare it as a dbindex in the table's schema in \
             Campaign too, so that a structure update keeps it",
            format!("create index concurrently on {name} ({})", quoted(column)),
        )
    });
    told.collect()
}

fn identity(table: &Table, mapping: &MappingNeeds) -> Finding {
    let what = format!("mapping.{}: replica identity", mapping.name);
    let name = format!("{}.{}", quoted(&table.schema), quoted(&table.name));
    let best = table.identity_index(&mapping.key);
    let sql = match (mapping.identity, best) {
        (Chosen::Index, Some(index)) => {
            format!("alter table {name} replica identity using index {}", quoted(&index.name))
        }
        (Chosen::Full, _) => format!("alter table {name} replica identity full"),
        (Chosen::Index, None) => {
            let cause = no_index(table, &mapping.key);
            return Finding::fail(what, cause, format!("alter table {name} replica identity full"));
        }
    };
    match &table.identity {
        Identity::Full => Finding::good(what, "the whole old row"),
        Identity::Index(index) if mapping.identity == Chosen::Index => {
            Finding::good(what, format!("the index {index}; it must not be dropped"))
        }
        Identity::IndexGone => Finding::fail(
            what,
            "its index was dropped: once published, Campaign's own updates fail",
            sql,
        ),
        Identity::Default { .. } | Identity::Nothing | Identity::Index(_) => {
            Finding::fail(what, "it is not set; `truce setup` sets it", sql)
        }
    }
}

/// Every memo is logged again at each update of its row.
async fn price_of_full(client: &Client, table: &Table) -> Result<Finding, PeerError> {
    let query = "select pg_size_pretty(pg_table_size(c.oid)),
                        pg_size_pretty(coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0))
                   from pg_class c where c.oid = $1::oid";
    let row = client.query_one(query, &[&table.oid]).await;
    let row = row.map_err(|error| peer_error("measuring a table", error))?;
    let (size, toasted): (&str, &str) = (row.get(0), row.get(1));
    Ok(Finding::warn(
        format!("{}: identity = \"full\"", table.name),
        format!(
            "each update logs the old row whole, its memos too: the table has {size}, {toasted} \
             of it in memos"
        ),
        "identity = \"index\" where the key has a unique index",
    ))
}

async fn rights(
    client: &Client,
    table: &Table,
    mapping: &MappingNeeds,
) -> Result<Vec<Finding>, PeerError> {
    let failed = |error| peer_error("asking for our rights", error);
    let mut lacking = Vec::new();
    for (right, columns) in needed(table, mapping) {
        let row = client.query_one(COLUMN_RIGHTS, &[&table.oid, &right, &columns]).await;
        if row.map_err(failed)?.get::<_, Option<bool>>(0) == Some(false) {
            lacking.push(right);
        }
    }
    let query = "select has_table_privilege($1::oid, 'delete'),
                        has_schema_privilege($2::text, 'usage'), current_user::text,
                        has_any_column_privilege($1::oid, 'update'),
                        row_security_active($1::oid)";
    let row = client.query_one(query, &[&table.oid, &&*table.schema]).await.map_err(failed)?;
    // A row is locked before it is deleted, and to lock it takes the right to update some of it.
    if mapping.deletes && !row.get::<_, bool>(3) && !lacking.contains(&"update") {
        lacking.push("update");
    }
    if mapping.deletes && !row.get::<_, bool>(0) {
        lacking.push("delete");
    }
    let (role, schema) = (quoted(row.get(2)), quoted(&table.schema));
    let what = format!("mapping.{}: rights", mapping.name);
    let mut findings = Vec::new();
    if !row.get::<_, bool>(1) {
        let sql = format!("grant usage on schema {schema} to {role}");
        findings.push(Finding::fail(what.clone(), format!("{role} may not use the schema"), sql));
    }
    if row.get::<_, bool>(4) {
        findings.push(Finding::fail(
            what.clone(),
            format!("row security hides rows from {role}: what it hides would seem deleted"),
            format!("alter role {role} bypassrls"),
        ));
    }
    findings.push(if lacking.is_empty() {
        Finding::good(what, "all that the mapping needs")
    } else {
        let rights = lacking.join(", ");
        let sql = format!("grant {rights} on {schema}.{} to {role}", quoted(&table.name));
        Finding::fail(what, format!("{role} may not {rights}"), sql)
    });
    Ok(findings)
}

const COLUMN_RIGHTS: &str = "
    select bool_and(has_column_privilege($1::oid, c, $2::text)) from unnest($3::text[]) c";

/// Each right, with the columns that it is needed for.
fn needed(table: &Table, mapping: &MappingNeeds) -> [(&'static str, Vec<String>); 3] {
    let there = |names: &mut dyn Iterator<Item = &str>| -> Vec<String> {
        names.filter(|name| table.column(name).is_some()).map(str::to_owned).collect()
    };
    let key = [&*mapping.key];
    let columns = mapping.columns.iter().map(AsRef::as_ref);
    let read = there(&mut columns.chain(key).chain([MODIFIED, MODIFIED_BY]));
    let written = if mapping.written.is_empty() {
        Vec::new()
    } else {
        there(&mut mapping.written.iter().map(AsRef::as_ref).chain([MODIFIED]))
    };
    let made = if mapping.creates {
        let audit = key.into_iter().chain([MODIFIED, CREATED]);
        there(&mut mapping.written.iter().map(AsRef::as_ref).chain(audit))
    } else {
        Vec::new()
    };
    [("select", read), ("update", written), ("insert", made)]
}
