//! Salesforce: a feed by `SystemModstamp`, scans by `Id`, writes by sObject Collections.
//!
//! Its traps, each with its answer where it is met: time stamps of whole seconds that become visible
//! late (`progress`, `review`); no compare-and-set for many records (`writer`); a record id in two forms
//! (`ids`); upserts that resurrect what was deleted, so that they only ever create (`create`); texts
//! that are trimmed and e-mail addresses that lose their case (`values`); one code for two meanings
//! (`errors`).
//!
//! [`Salesforce`] is one account with its mappings, and gives the agent's doors: a feed for each
//! mapping, a scan, a writer. They share one client: its token, its limits, its counters. What is too much for
//! calls goes as jobs (`bulk`, `massed`).

mod account;
mod api;
mod assertion;
mod auth;
mod bulk;
mod codes;
mod contention;
mod cost;
mod create;
mod describe;
mod drift;
mod errors;
mod feed;
mod ids;
mod massed;
mod peek;
mod plan;
mod portion;
mod progress;
mod review;
mod save;
mod scan;
mod seen;
mod settings;
mod soql;
mod telling;
mod values;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::crm::standing::Words;
use crate::peer::PeerError;
use crate::reconcile::Entity;
use crate::reconcile::mapping::SideMapping;
use plan::Plan;

pub use account::{Account, Org, Windows};
pub use bulk::Bulk;
pub use describe::{Described, Object};
pub use drift::DriftWatch;
pub use feed::ObjectFeed;
pub use ids::record_id;
pub use plan::RECORD_TYPE;
pub use scan::ObjectScan;
pub use settings::{Credentials, Polling, Settings};
pub use writer::RecordWriter;

/// An account with its mappings.
pub struct Salesforce {
    account: Arc<Account>,
    plans: Plans,
    org: String,
}

/// The mappings made ready, by entity.
#[derive(Clone)]
pub(crate) struct Plans(BTreeMap<Entity, Arc<Plan>>);

impl Salesforce {
    /// Makes the mappings ready by how their objects are described, on this organisation.
    pub fn with(
        account: Arc<Account>,
        org: &str,
        mappings: Vec<(SideMapping, &Object)>,
    ) -> Result<Self, PeerError> {
        let mut plans = BTreeMap::new();
        for (mapping, object) in mappings {
            let plan = Plan::new(mapping, object, &account.settings)?;
            plans.insert(plan.mapping.entity, Arc::new(plan));
        }
        Ok(Self { account, plans: Plans(plans), org: org.to_owned() })
    }

    /// The account: its counters, its usage, its windows.
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// The change feeds, one for each mapping.
    pub fn feeds(&self) -> Vec<ObjectFeed> {
        let plans = self.plans.0.values();
        plans
            .map(|plan| {
                ObjectFeed::new(Arc::clone(&self.account), Arc::clone(plan), self.org.clone())
            })
            .collect()
    }

    /// The writer of all mappings.
    pub fn writer(&self) -> RecordWriter {
        RecordWriter::new(Arc::clone(&self.account), self.plans.clone())
    }

    /// Watches what the mappings' objects look like.
    pub fn drift(&self) -> DriftWatch {
        DriftWatch::new(Arc::clone(&self.account), self.plans.clone())
    }

    /// Scans of the mappings' objects.
    pub fn scan(&self) -> ObjectScan {
        ObjectScan::new(Arc::clone(&self.account), self.plans.clone())
    }
}

/// What is said of its objects that are not as they were.
pub(in crate::crm) const WORDS: Words = Words {
    always: "SystemModstamp",
    object_back: "bring it back, or grant Read on it in a permission set",
    column_back: "bring it back, grant it in a permission set",
    writable: "grant Edit on the field in a permission set",
};

impl Plans {
    fn of(&self, entity: Entity) -> Result<&Arc<Plan>, PeerError> {
        self.0.get(&entity).ok_or_else(|| PeerError::Unfit {
            why: format!("mapping {} is not of this account", entity.0),
        })
    }
}
