//! The publication and the slot: exactly the mapped tables, whole, and a slot that still has its
//! log.

use std::collections::BTreeSet;

use tokio_postgres::{Client, Row};

use super::{Expectations, Finding};
use crate::campaign::setup::{Touches, plan, plan_tables};
use crate::campaign::slot::{self, WalStatus};
use crate::campaign::{chain, peer_error, quoted};
use crate::peer::PeerError;

pub(super) async fn look(
    client: &Client,
    wanted: &Expectations,
) -> Result<Vec<Finding>, PeerError> {
    let mut findings = missing(client, wanted).await?;
    findings.extend(publication(client, wanted).await?);
    findings.extend(other_publications(client, wanted).await?);
    findings.extend(slot_health(client, wanted).await?);
    Ok(findings)
}

/// That there is a publication at all, and a slot that still has its log.
pub(super) async fn source(
    client: &Client,
    wanted: &Expectations,
) -> Result<Vec<Finding>, PeerError> {
    let mut findings = slot_health(client, wanted).await?;
    let query = "select exists (select from pg_publication where pubname = $1::text),
                        exists (select from pg_replication_slots where slot_name = $2::text)";
    let row = client.query_one(query, &[&&*wanted.publication, &&*wanted.slot]).await;
    let row = row.map_err(|error| peer_error("looking for publication and slot", error))?;
    for (there, what) in [
        (row.get::<_, bool>(0), format!("publication {}", wanted.publication)),
        (row.get::<_, bool>(1), format!("slot {}", wanted.slot)),
    ] {
        if !there {
            findings.push(Finding::fail(what, "missing", "truce setup"));
        }
    }
    Ok(findings)
}

/// What setup would do, but for identities: each has a finding of its own.
async fn missing(client: &Client, wanted: &Expectations) -> Result<Vec<Finding>, PeerError> {
    let steps = match plan(client, &wanted.wanted()).await {
        Ok(steps) => steps,
        // Said of its table already, or of the slot below.
        Err(PeerError::Unfit { why }) => {
            let remedy = "mend what is said above, then `truce setup`";
            return Ok(vec![Finding::fail("setup", why, remedy)]);
        }
        Err(error) => return Err(error),
    };
    let identities = plan_tables(client, &wanted.wanted()).await?;
    let is_identity = |sql: &str| sql.contains(" replica identity ");
    let left = steps.iter().filter(|step| !is_identity(&step.sql));
    let what = |touches: &Touches| match touches {
        Touches::Transactions => format!("slot {}", wanted.slot),
        Touches::Tables(_) | Touches::Nothing => format!("publication {}", wanted.publication),
    };
    let mut findings: Vec<Finding> = left
        .map(|step| {
            let cause = format!("missing, and made by `truce setup`: {}", step.why);
            Finding::fail(what(&step.touches), cause, step.sql.clone())
        })
        .collect();
    if findings.is_empty() && identities.is_empty() {
        let cause = "identities, publication and slot are there";
        findings.push(Finding::good("setup", cause));
    }
    Ok(findings)
}

/// Column lists and row filters came with version 15, so they are asked for in a way that older
/// versions understand.
const MEMBERS: &str = "
    select n.nspname::text, c.relname::text,
           to_jsonb(r) ->> 'prattrs' is not null as has_columns,
           to_jsonb(r) ->> 'prqual' is not null as has_filter,
           c.relreplident = 'f' or exists (
               select from pg_index i where i.indrelid = c.oid
                  and (i.indisreplident or (c.relreplident = 'd' and i.indisprimary)))
               as has_identity
      from pg_publication_rel r join pg_class c on c.oid = r.prrelid
      join pg_namespace n on n.oid = c.relnamespace
      join pg_publication p on p.oid = r.prpubid
     where p.pubname = $1::text";

async fn publication(client: &Client, wanted: &Expectations) -> Result<Vec<Finding>, PeerError> {
    let failed = |error| peer_error("looking at the publication", error);
    let query = "select puballtables, pubinsert and pubupdate and pubdelete and pubtruncate,
                        to_regclass('pg_catalog.pg_publication_namespace') is not null, oid
                   from pg_publication where pubname = $1::text";
    let known = client.query_opt(query, &[&&*wanted.publication]).await.map_err(failed)?;
    let Some(known) = known else { return Ok(Vec::new()) };
    let (what, name) = (format!("publication {}", wanted.publication), quoted(&wanted.publication));
    let mut findings = Vec::new();
    let again = format!("drop publication {name}; then `truce setup`");
    let mut schemas = false;
    if known.get::<_, bool>(2) {
        let query = "select exists (select from pg_publication_namespace where pnpubid = $1::oid)";
        let oid: u32 = known.get(3);
        schemas = client.query_one(query, &[&oid]).await.map_err(failed)?.get(0);
    }
    if known.get::<_, bool>(0) || schemas {
        findings.push(Finding::fail(
            what.clone(),
            "it takes in tables by itself: an update of one without identity fails in Campaign",
            again.clone(),
        ));
    }
    if !known.get::<_, bool>(1) {
        findings.push(Finding::fail(
            what.clone(),
            "it leaves out some kinds of change",
            format!("alter publication {name} set (publish = 'insert, update, delete, truncate')"),
        ));
    }
    let members = client.query(MEMBERS, &[&&*wanted.publication]).await.map_err(failed)?;
    let mapped: BTreeSet<&str> = wanted.mappings.iter().map(|mapping| &*mapping.table).collect();
    for member in &members {
        findings.extend(one_member(member, &what, &name, &mapped));
    }
    Ok(findings)
}

fn one_member(
    member: &Row,
    what: &str,
    publication: &str,
    mapped: &BTreeSet<&str>,
) -> Option<Finding> {
    let (schema, table): (&str, &str) = (member.get(0), member.get(1));
    let name = format!("{}.{}", quoted(schema), quoted(table));
    let drop = format!("alter publication {publication} drop table {name}");
    if !mapped.contains(table) {
        let cause = format!("it has {table}, which is not mapped");
        return Some(if member.get("has_identity") {
            Finding::warn(what, format!("{cause}: its changes are sent for nothing"), drop)
        } else {
            Finding::fail(what, format!("{cause} and has no identity: its updates fail"), drop)
        });
    }
    let limited = match (member.get("has_columns"), member.get("has_filter")) {
        (true, _) => "a column list: Campaign's structure changes fail on it",
        (false, true) => "a row filter: Campaign's updates fail on it, and rows seem deleted",
        (false, false) => return None,
    };
    let remedy = format!("{drop}; alter publication {publication} add table only {name}");
    Some(Finding::fail(what, format!("{table} has {limited}"), remedy))
}

/// Another's publication asks the same of the table's identity, and breaks the same way: where it
/// leaves out a column or a row by what the identity does not name, Campaign's updates fail.
async fn other_publications(
    client: &Client,
    wanted: &Expectations,
) -> Result<Vec<Finding>, PeerError> {
    let query = "
        select distinct t.pubname::text, t.tablename::text,
               coalesce(to_jsonb(r) ->> 'prattrs' is not null, false) as has_columns,
               coalesce(to_jsonb(r) ->> 'prqual' is not null, false) as has_filter
          from pg_publication_tables t
          join pg_publication p on p.pubname = t.pubname
          left join pg_publication_rel r on r.prpubid = p.oid
               and r.prrelid = format('%I.%I', t.schemaname, t.tablename)::regclass
         where t.pubname <> $1::text and t.schemaname = $2::text
           and t.tablename = any($3::text[]) order by 1, 2";
    let tables: Vec<&str> = wanted.mappings.iter().map(|mapping| &*mapping.table).collect();
    let rows = client.query(query, &[&&*wanted.publication, &&*wanted.schema, &tables]).await;
    let rows = rows.map_err(|error| peer_error("looking at other publications", error))?;
    Ok(rows.iter().map(|row| another(row, &wanted.schema)).collect())
}

fn another(row: &Row, schema: &str) -> Finding {
    let (publication, table): (&str, &str) = (row.get(0), row.get(1));
    let what = format!("publication {publication}");
    let limited = match (row.get("has_columns"), row.get("has_filter")) {
        (true, _) => "a column list: Campaign's structure changes fail on it",
        (false, true) => "a row filter: Campaign's updates fail on it",
        (false, false) => {
            return Finding::warn(
                what,
                format!(
                    "another's, and it has {table} too; it needs the identity as much as we do"
                ),
                "tell its owner before `truce setup --undo`",
            );
        }
    };
    let (publication, name) =
        (quoted(publication), format!("{}.{}", quoted(schema), quoted(table)));
    let remedy = format!(
        "alter publication {publication} drop table {name}; alter publication {publication} add \
         table only {name}"
    );
    Finding::fail(what, format!("another's, and in it {table} has {limited}"), remedy)
}

async fn slot_health(client: &Client, wanted: &Expectations) -> Result<Vec<Finding>, PeerError> {
    let what = format!("slot {}", wanted.slot);
    let found = slot::find(client, &wanted.slot)
        .await
        .map_err(|error| PeerError::Unfit { why: chain(&error) })?;
    let Some(slot) = found else { return Ok(Vec::new()) };
    let mut findings = Vec::new();
    match slot.wal_status {
        Some(WalStatus::Lost) => {
            findings.push(Finding::warn(
                &*what,
                "it has lost log that we would need: the agent makes it anew, and compares all \
                 records once",
                "raise max_slot_wal_keep_size, so that it does not happen again",
            ));
        }
        Some(WalStatus::Unreserved) => findings.push(Finding::warn(
            &*what,
            "what it needs is no longer kept, and goes at the next checkpoint",
            "raise max_slot_wal_keep_size, and start the agent",
        )),
        Some(WalStatus::Reserved | WalStatus::Extended) | None => {
            let kept = slot.retained_bytes.unwrap_or(0) >> 20;
            findings.push(Finding::good(&*what, format!("keeps {kept} MB of log")));
        }
    }
    if let Some(pid) = slot.active_pid {
        findings.push(Finding::warn(
            what,
            format!("process {pid} of the server streams from it: an agent runs already"),
            "stop that one, unless this one is to stand by",
        ));
    }
    Ok(findings)
}
