//! The doors of an account, whichever CRM it is of.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::crm::any::{Account, Object};
use crate::crm::{Cost, Drift, dynamics, salesforce};
use crate::peer::{self, Ask, Cursor, Ended, Listed, Notes, Page, PeerError};
use crate::reconcile::mapping::SideMapping;
use crate::reconcile::{Entity, Observation, Outcome, RecordId, Write};

/// An account with its mappings.
pub enum Peer {
    /// Of Salesforce.
    Salesforce(salesforce::Salesforce),
    /// Of Dynamics.
    Dynamics(dynamics::Dynamics),
}

impl Peer {
    /// Makes the mappings ready by how their objects are described, on this organisation.
    pub fn with(
        account: &Account,
        org: &str,
        mappings: Vec<(SideMapping, &Object)>,
    ) -> Result<Self, PeerError> {
        match account {
            Account::Salesforce(account) => {
                let own = mappings.into_iter().map(|(mapping, object)| match object {
                    Object::Salesforce(object) => Ok((mapping, object)),
                    Object::Dynamics(_) => Err(foreign(object)),
                });
                let own = own.collect::<Result<Vec<_>, _>>()?;
                salesforce::Salesforce::with(Arc::clone(account), org, own).map(Self::Salesforce)
            }
            Account::Dynamics(account) => {
                let own = mappings.into_iter().map(|(mapping, object)| match object {
                    Object::Dynamics(table) => Ok((mapping, table)),
                    Object::Salesforce(_) => Err(foreign(object)),
                });
                let own = own.collect::<Result<Vec<_>, _>>()?;
                dynamics::Dynamics::with(Arc::clone(account), org, own).map(Self::Dynamics)
            }
        }
    }

    /// The change feeds, one for each mapping.
    pub fn feeds(&self) -> Vec<Feed> {
        match self {
            Self::Salesforce(crm) => {
                crm.feeds().into_iter().map(|feed| Feed::Salesforce(Box::new(feed))).collect()
            }
            Self::Dynamics(crm) => {
                crm.feeds().into_iter().map(|feed| Feed::Dynamics(Box::new(feed))).collect()
            }
        }
    }

    /// The writer of all mappings.
    pub fn writer(&self) -> Writer {
        match self {
            Self::Salesforce(crm) => Writer::Salesforce(crm.writer()),
            Self::Dynamics(crm) => Writer::Dynamics(crm.writer()),
        }
    }

    /// Watches what the mappings' objects look like.
    pub fn drift(&self) -> DriftWatch {
        match self {
            Self::Salesforce(crm) => DriftWatch::Salesforce(crm.drift()),
            Self::Dynamics(crm) => DriftWatch::Dynamics(crm.drift()),
        }
    }

    /// Scans of the mappings' objects.
    pub fn scan(&self) -> Scan {
        match self {
            Self::Salesforce(crm) => Scan::Salesforce(crm.scan()),
            Self::Dynamics(crm) => Scan::Dynamics(crm.scan()),
        }
    }
}

/// The kind of an account was changed in the config, and what is remembered is of the other.
fn foreign(object: &Object) -> PeerError {
    let name = object.name();
    PeerError::Unfit { why: format!("what is remembered of `{name}` is another CRM's") }
}

/// A change feed.
pub enum Feed {
    /// Of Salesforce.
    Salesforce(Box<salesforce::ObjectFeed>),
    /// Of Dynamics.
    Dynamics(Box<dynamics::TableFeed>),
}

impl Feed {
    /// The mapping whose records it gives.
    pub fn entity(&self) -> Entity {
        match self {
            Self::Salesforce(feed) => feed.entity(),
            Self::Dynamics(feed) => feed.entity(),
        }
    }

    /// Tells that these sightings were ignored, so that the records are read again.
    pub fn forget(&mut self, records: &[RecordId]) {
        match self {
            Self::Salesforce(feed) => feed.forget(records),
            Self::Dynamics(feed) => feed.forget(records),
        }
    }
}

impl peer::Feed for Feed {
    async fn page(
        &mut self,
        after: &Cursor,
        patience: Duration,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Page, PeerError> {
        match self {
            Self::Salesforce(feed) => feed.page(after, patience, asked).await,
            Self::Dynamics(feed) => feed.page(after, patience, asked).await,
        }
    }

    async fn confirm(&mut self, durable: &Cursor) -> Result<(), PeerError> {
        match self {
            Self::Salesforce(feed) => feed.confirm(durable).await,
            Self::Dynamics(feed) => feed.confirm(durable).await,
        }
    }
}

/// A scan.
pub enum Scan {
    /// Of Salesforce.
    Salesforce(salesforce::ObjectScan),
    /// Of Dynamics.
    Dynamics(dynamics::TableScan),
}

impl Scan {
    /// It reads single records also out of what is kept for opt-outs.
    pub fn urgent(self) -> Self {
        match self {
            Self::Salesforce(scan) => Self::Salesforce(scan.urgent()),
            Self::Dynamics(scan) => Self::Dynamics(scan.urgent()),
        }
    }

    /// Which records follow `after` in the order of their ids and changed since then by their own
    /// stamp; an empty list is the end.
    pub async fn changed_since(
        &self,
        entity: Entity,
        since: Timestamp,
        after: Option<&RecordId>,
    ) -> Result<Vec<RecordId>, PeerError> {
        match self {
            Self::Salesforce(scan) => scan.changed_since(entity, since, after).await,
            Self::Dynamics(scan) => scan.changed_since(entity, since, after).await,
        }
    }
}

impl peer::Scan for Scan {
    async fn scan(
        &mut self,
        entity: Entity,
        after: Option<&RecordId>,
        limit: usize,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Observation>, PeerError> {
        match self {
            Self::Salesforce(scan) => scan.scan(entity, after, limit, asked).await,
            Self::Dynamics(scan) => scan.scan(entity, after, limit, asked).await,
        }
    }

    async fn read(
        &mut self,
        entity: Entity,
        records: &[RecordId],
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Observation>, PeerError> {
        match self {
            Self::Salesforce(scan) => scan.read(entity, records, asked).await,
            Self::Dynamics(scan) => scan.read(entity, records, asked).await,
        }
    }
}

impl peer::Outline for Scan {
    async fn outline(
        &mut self,
        entity: Entity,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<Vec<Listed>, PeerError> {
        match self {
            Self::Salesforce(scan) => scan.outline(entity, after, limit).await,
            Self::Dynamics(scan) => scan.outline(entity, after, limit).await,
        }
    }
}

/// A writer.
pub enum Writer {
    /// Of Salesforce.
    Salesforce(salesforce::RecordWriter),
    /// Of Dynamics.
    Dynamics(dynamics::RowWriter),
}

impl Writer {
    /// What these writes would cost, were they written together and nothing in their way.
    pub fn cost(&self, writes: &[Write]) -> Result<Cost, PeerError> {
        match self {
            Self::Salesforce(door) => door.cost(writes),
            Self::Dynamics(door) => door.cost(writes),
        }
    }
}

impl peer::Writer for Writer {
    async fn write(
        &self,
        writes: Vec<Write>,
        notes: &(impl Notes + Sync),
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Outcome>, PeerError> {
        match self {
            Self::Salesforce(door) => door.write(writes, notes, asked).await,
            Self::Dynamics(door) => door.write(writes, notes, asked).await,
        }
    }

    async fn draw_keys(&self, entity: Entity, count: usize) -> Result<Vec<RecordId>, PeerError> {
        match self {
            Self::Salesforce(door) => door.draw_keys(entity, count).await,
            Self::Dynamics(door) => door.draw_keys(entity, count).await,
        }
    }

    fn appetite(&self, waiting: u64) -> usize {
        match self {
            Self::Salesforce(door) => door.appetite(waiting),
            Self::Dynamics(door) => door.appetite(waiting),
        }
    }

    async fn end_job(&self, job: &str) -> Result<(), PeerError> {
        match self {
            Self::Salesforce(door) => door.end_job(job).await,
            Self::Dynamics(door) => door.end_job(job).await,
        }
    }

    async fn transaction(&self, xid: u64) -> Result<Option<Ended>, PeerError> {
        match self {
            Self::Salesforce(door) => door.transaction(xid).await,
            Self::Dynamics(door) => door.transaction(xid).await,
        }
    }
}

/// Watches the objects of an account's mappings.
pub enum DriftWatch {
    /// Of Salesforce.
    Salesforce(salesforce::DriftWatch),
    /// Of Dynamics.
    Dynamics(dynamics::DriftWatch),
}

impl DriftWatch {
    /// Waits until the next look is due: the first is at once.
    pub async fn due(&mut self) {
        match self {
            Self::Salesforce(watch) => watch.due().await,
            Self::Dynamics(watch) => watch.due().await,
        }
    }

    /// Looks at all objects once; tells of each mapping of an object that looks otherwise.
    pub async fn look(&mut self) -> Result<Vec<Drift>, PeerError> {
        match self {
            Self::Salesforce(watch) => watch.look().await,
            Self::Dynamics(watch) => watch.look().await,
        }
    }
}
