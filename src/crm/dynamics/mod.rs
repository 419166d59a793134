//! Microsoft Dynamics 365, by the Web API of its Dataverse: a feed by change tracking, scans by id,
//! writes by `$batch` under the version of each row.
//!
//! Its traps, each with its answer where it is met: a token that does not say of which organisation it
//! is (`auth`); rows that change, or go, between the first page of a load and the last (`progress`); a
//! feed that tells rows and not columns, lookups without their table (`feed`), and the last change last
//! (`peek`); GUIDs in an order of their own (`outline`); an update that would make what was deleted
//! (`writer`: every one has a precondition); names of relationships whose case counts, columns with
//! column security that are read as empty (`describe`); flags that allow where others forbid, choices
//! that do either, money with more digits than it has (`values`); one code for a row that is gone and
//! for one that it refers to (`writer`), and one for whatever a plug-in throws (`patience`).
//!
//! [`Dynamics`] is one account with its mappings, and gives the agent's doors: a feed for each
//! mapping, a scan, a writer. They share one client: its token, its limits, its counters.

mod account;
mod api;
mod auth;
mod batch;
mod codes;
mod create;
mod describe;
mod drift;
mod errors;
mod feed;
mod many;
mod odata;
mod outline;
mod owner;
mod patience;
mod peek;
mod plan;
mod progress;
mod reads;
mod save;
mod scan;
mod settings;
mod telling;
mod values;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::crm::standing::Words;
use crate::peer::PeerError;
use crate::reconcile::Entity;
use crate::reconcile::mapping::SideMapping;
use plan::{Plan, Targets};

pub use account::{Account, Org};
pub use describe::{Described, Table};
pub use drift::DriftWatch;
pub use feed::TableFeed;
pub use odata::record_id;
pub use scan::TableScan;
pub use settings::{ConsentOptions, Credentials, Polling, Settings};
pub use writer::RowWriter;

/// An account with its mappings.
pub struct Dynamics {
    account: Arc<Account>,
    plans: Plans,
    org: String,
}

/// The mappings made ready, by entity.
#[derive(Clone)]
pub(crate) struct Plans(BTreeMap<Entity, Arc<Plan>>);

impl Dynamics {
    /// Makes the mappings ready by how their tables are described, on this organisation.
    pub fn with(
        account: Arc<Account>,
        org: &str,
        mappings: Vec<(SideMapping, &Table)>,
    ) -> Result<Self, PeerError> {
        let target = |(mapping, table): &(SideMapping, &Table)| {
            (mapping.entity, (Arc::clone(&table.name), Arc::clone(&table.set)))
        };
        let targets: Arc<Targets> = Arc::new(mappings.iter().map(target).collect());
        let mut plans = BTreeMap::new();
        for (mapping, table) in mappings {
            let plan = Plan::new(mapping, table, Arc::clone(&targets), &account.settings)?;
            plans.insert(plan.mapping.entity, Arc::new(plan));
        }
        Ok(Self { account, plans: Plans(plans), org: org.to_owned() })
    }

    /// The account: its counters, its usage.
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// The change feeds, one for each mapping.
    pub fn feeds(&self) -> Vec<TableFeed> {
        let plans = self.plans.0.values();
        plans
            .map(|plan| {
                TableFeed::new(Arc::clone(&self.account), Arc::clone(plan), self.org.clone())
            })
            .collect()
    }

    /// The writer of all mappings.
    pub fn writer(&self) -> RowWriter {
        RowWriter::new(Arc::clone(&self.account), self.plans.clone())
    }

    /// Watches what the mappings' tables look like.
    pub fn drift(&self) -> DriftWatch {
        DriftWatch::new(Arc::clone(&self.account), self.plans.clone())
    }

    /// Scans of the mappings' tables.
    pub fn scan(&self) -> TableScan {
        TableScan::new(Arc::clone(&self.account), self.plans.clone())
    }
}

/// What is said of its tables that are not as they were.
const WORDS: Words = Words {
    always: plan::MODIFIED_ON,
    object_back: "bring it back, or give the application user a role that reads it",
    column_back: "bring it back, or let the application user's column security profile read it",
    writable: "let the application user write it",
};

impl Plans {
    fn of(&self, entity: Entity) -> Result<&Arc<Plan>, PeerError> {
        self.0.get(&entity).ok_or_else(|| PeerError::Unfit {
            why: format!("mapping {} is not of this account", entity.0),
        })
    }
}
