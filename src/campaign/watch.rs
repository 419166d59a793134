//! Watching what can come undone while the agent runs: a table rebuilt by copy and rename is no
//! longer published, an identity whose index was dropped makes Campaign's next update fail, a
//! mapped column that is gone pauses its fields.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio_postgres::Client;

use crate::campaign::carry_out::{Patience, carry_out};
use crate::campaign::catalog::Table;
use crate::campaign::chain;
use crate::campaign::setup::{Chosen, Found, Step, Wanted, WantedTable, plan_tables};
use crate::campaign::table::Tables;
use crate::peer::PeerError;
use crate::reconcile::Entity;

/// Something that an operator must hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// What is wrong, and what follows from it.
    pub what: String,
    /// What mends it.
    pub sql: String,
    /// Whether it was mended already.
    pub mended: bool,
}

/// What a look at the tables found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// What is wrong.
    pub alarms: Vec<Alarm>,
    /// Entities of tables that are others than they were, so that they must be compared.
    pub compare: BTreeSet<Entity>,
    /// Entities with a column that is back: what was refused for it may be tried again.
    pub back: BTreeSet<Entity>,
    /// What was found before anything was mended, for the record of setup.
    pub found: Vec<Found>,
}

/// Remembers which tables it saw.
#[derive(Clone, Debug, Default)]
pub struct TableWatch {
    oids: BTreeMap<Entity, u32>,
    /// Entities of tables that were not published at the last look.
    unseen: BTreeSet<Entity>,
}

impl TableWatch {
    /// Begins with the tables as they were mapped.
    pub fn new(tables: &Tables) -> Self {
        let oids = tables.iter().map(|(entity, mapped)| (*entity, mapped.table.oid)).collect();
        Self { oids, unseen: BTreeSet::new() }
    }

    /// Looks once, and mends what its role may.
    pub async fn look(
        &mut self,
        client: &Client,
        wanted: &Wanted,
        tables: &Tables,
        patience: Patience,
    ) -> Result<Watched, PeerError> {
        let mut watched = Watched::default();
        let mut there = Wanted { tables: Vec::new(), ..wanted.clone() };
        for one in &wanted.tables {
            let table = Table::read(client, &wanted.schema, &one.name).await?;
            stand(&one.name, table.as_ref(), tables, &mut watched);
            match table {
                Some(table) => {
                    self.compare_rebuilt(&table, tables, &mut watched);
                    there.tables.push(urgent(&table, one));
                }
                None => watched.alarms.push(Alarm {
                    what: format!("there is no table {} any more", one.name),
                    sql: String::new(),
                    mended: false,
                }),
            }
        }
        let (steps, unfit) = fit_steps(client, there, &mut watched).await?;
        let before = std::mem::take(&mut self.unseen);
        let unfit: BTreeSet<Entity> =
            unfit.iter().flat_map(|name| of_table(name, tables)).collect();
        let mut published: BTreeSet<Entity> = before.difference(&unfit).copied().collect();
        self.unseen.extend(before.intersection(&unfit));
        for step in steps {
            let outcome = carry_out(client, std::slice::from_ref(&step), patience, |_| {}).await;
            let mended = outcome.is_ok();
            let unseen = unpublished(&step, tables);
            if !mended {
                self.unseen.extend(&unseen);
            }
            published.extend(unseen);
            let what = match outcome {
                Ok(found) => {
                    watched.found.extend(found);
                    format!("mended: {}", step.why)
                }
                Err(error) => format!("{}; {}", step.why, chain(&error)),
            };
            watched.alarms.push(Alarm { what, sql: step.sql, mended });
        }
        // What was changed while a table was not published is in no log.
        watched.compare.extend(published.difference(&self.unseen));
        Ok(watched)
    }

    fn compare_rebuilt(&mut self, table: &Table, tables: &Tables, watched: &mut Watched) {
        let mapped = tables.iter().filter(|(_, mapped)| mapped.table.name == table.name);
        for (entity, _) in mapped {
            if self.oids.insert(*entity, table.oid) != Some(table.oid) {
                watched.compare.insert(*entity);
            }
        }
    }
}

/// What must be done to the tables that can be followed, and the names of the others: what is wrong
/// with those is told, and does not keep these from being mended.
async fn fit_steps(
    client: &Client,
    mut wanted: Wanted,
    watched: &mut Watched,
) -> Result<(Vec<Step>, Vec<Arc<str>>), PeerError> {
    let mut unfit = Vec::new();
    match plan_tables(client, &wanted).await {
        Err(PeerError::Unfit { .. }) => {}
        steps => return Ok((steps?, unfit)),
    }
    for table in std::mem::take(&mut wanted.tables) {
        let alone = Wanted { tables: vec![table.clone()], ..wanted.clone() };
        match plan_tables(client, &alone).await {
            Ok(_) => wanted.tables.push(table),
            Err(PeerError::Unfit { why }) => {
                watched.alarms.push(Alarm { what: why, sql: String::new(), mended: false });
                unfit.push(table.name);
            }
            Err(error) => return Err(error),
        }
    }
    if wanted.tables.is_empty() {
        return Ok((Vec::new(), unfit));
    }
    Ok((plan_tables(client, &wanted).await?, unfit))
}

/// The entities of a table.
fn of_table(name: &str, tables: &Tables) -> BTreeSet<Entity> {
    let named = tables.iter().filter(move |(_, mapped)| *mapped.table.name == *name);
    named.map(|(entity, _)| *entity).collect()
}

/// The entities whose changes are not logged for us until this step is carried out.
fn unpublished(step: &Step, tables: &Tables) -> BTreeSet<Entity> {
    match &step.found {
        Some(Found::NotPublished { table, .. }) => of_table(table, tables),
        Some(Found::NoPublication { .. }) => tables.keys().copied().collect(),
        // Without its identity a table's updates fail, so there is nothing to miss.
        Some(Found::Identity { .. } | Found::NoSlot { .. } | Found::NoDatabase { .. }) | None => {
            BTreeSet::new()
        }
    }
}

/// Alarms about each column that is not as it was mapped.
fn stand(name: &str, table: Option<&Table>, tables: &Tables, watched: &mut Watched) {
    for (entity, mapped) in tables.iter().filter(|(_, mapped)| *mapped.table.name == *name) {
        let standing = mapped.stand(table);
        if mapped.came_back() {
            watched.back.insert(*entity);
        }
        let alarm = |(column, why): (&str, &str)| Alarm {
            what: format!(
                "the column `{column}` of {} {why}; paused fields of mapping {}: {}; make it as it \
                 was, or change the mapping",
                mapped.sql_name(),
                mapped.mapping.name,
                mapped.names_of(column)
            ),
            sql: String::new(),
            mended: false,
        };
        // That there is no such table is an alarm of its own.
        watched.alarms.extend(standing.all_paused().filter(|_| table.is_some()).map(alarm));
    }
}

/// Where no index is left that could be the identity, the whole row is: until the index is back,
/// nothing else lets Campaign's own updates pass.
fn urgent(table: &Table, one: &WantedTable) -> WantedTable {
    let identity = match table.identity_index(&one.key) {
        Some(_) => one.identity,
        None => Chosen::Full,
    };
    WantedTable { identity, ..one.clone() }
}
