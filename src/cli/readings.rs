//! The bars of `truce run`: one for each side of a mapping that is being read whole.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use crate::agent::run::{Come, Health, Pass, Reads};
use crate::config::{Config, Label};
use crate::postgres::{ServerUrl, Settings, connect};
use crate::reconcile::Side;

use super::progress::{Bar, Bars, Way};

/// Between two looks at how far they have come.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// About how many rows Campaign's tables have, asked when the first bar is to be shown.
pub(super) struct Estimates {
    url: ServerUrl,
    schema: String,
    tables: BTreeMap<Label, String>,
    known: Option<BTreeMap<String, u64>>,
}

impl Estimates {
    /// Of the tables of a config.
    pub(super) fn of(config: &Config, url: &ServerUrl) -> Self {
        let table = |(name, mapping): (&Label, &crate::config::Mapping)| {
            (name.clone(), mapping.table.to_string())
        };
        Self {
            url: url.clone(),
            schema: config.campaign.schema.to_string(),
            tables: config.mappings.iter().map(table).collect(),
            known: None,
        }
    }

    /// The total of a reading: what the agent knows, or for Campaign's side what its server says.
    async fn total(&mut self, what: &Reads, come: Come) -> Option<u64> {
        if come.total.is_some() || what.side == Side::Crm {
            return come.total;
        }
        if self.known.is_none() {
            let read = self.read().await;
            if let Err(error) = &read {
                tracing::debug!(error = format!("{error:#}"), "the tables' sizes are not known");
            }
            self.known = Some(read.unwrap_or_default());
        }
        self.known.as_ref()?.get(&*what.mapping).copied()
    }

    async fn read(&self) -> Result<BTreeMap<String, u64>> {
        let session = connect(&self.url, &Settings::default()).await?;
        let mut known = BTreeMap::new();
        for (mapping, table) in &self.tables {
            // Less than one where the table was never analysed.
            let rows = "select greatest(c.reltuples, 0)::bigint from pg_class c
                          join pg_namespace n on n.oid = c.relnamespace
                         where n.nspname = $1::text and c.relname = $2::text";
            let row = session.query_opt(rows, &[&self.schema, table]).await?;
            let rows = row.map_or(0, |row| row.get::<_, i64>(0));
            known.insert(mapping.to_string(), u64::try_from(rows)?);
        }
        session.close().await;
        Ok(known)
    }
}

/// Shows what is being read for as long as it is let; does nothing where nobody looks.
pub(super) async fn show(bars: &Bars, health: &Health, mut estimates: Estimates) -> Infallible {
    let mut shown: BTreeMap<Reads, (Bar, Instant, u64)> = BTreeMap::new();
    if !bars.are_shown() {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let under_way = health.under_way();
        let over = shown.extract_if(.., |what, _| !under_way.contains_key(what));
        over.for_each(|(_, (bar, ..))| bar.end());
        for (what, come) in under_way {
            let total = estimates.total(&what, come).await;
            let (bar, begun, before) = shown
                .entry(what.clone())
                .or_insert_with(|| (bars.add(name(&what)), Instant::now(), come.done));
            let elapsed = begun.elapsed();
            bar.tell(&Way { before: *before, done: come.done, total, elapsed });
        }
    }
}

fn name(what: &Reads) -> String {
    let pass = match what.pass {
        Pass::Scan => "reading",
        Pass::Sweep => "looking up",
    };
    format!("{}: {pass} {}", what.mapping, what.side)
}
