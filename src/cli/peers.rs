//! The concrete systems behind the agent's doors: the one place that knows which they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::agent::run::{Doors, Watch, told};
use crate::campaign::apply::CampaignWriter;
use crate::campaign::capture::CampaignFeed;
use crate::campaign::scan::{CampaignScan, ScanOptions};
use crate::campaign::table::{Mapped as MappedTable, Tables};
use crate::crm::any::{Feed, Peer, Scan, Writer};
use crate::postgres::ServerUrl;
use crate::reconcile::RecordId;

use super::mapped::Mapped;
use super::schemas::Schemas;

/// Campaign's doors.
pub(super) struct CampaignDoors {
    pub(super) url: ServerUrl,
    pub(super) schema: Arc<str>,
    pub(super) tables: Tables,
    pub(super) scan: ScanOptions,
    pub(super) writer: CampaignWriter,
}

impl Doors for CampaignDoors {
    type Scan = CampaignScan;
    type Writer = CampaignWriter;

    fn scan(&self) -> CampaignScan {
        CampaignScan::new(self.url.clone(), &self.schema, self.tables.clone(), self.scan)
    }

    fn writer(&self) -> &CampaignWriter {
        &self.writer
    }
}

/// The doors of an account of a CRM.
pub(super) struct CrmDoors {
    peer: Peer,
    writer: Writer,
}

impl CrmDoors {
    pub(super) fn new(peer: Peer) -> Self {
        let writer = peer.writer();
        Self { peer, writer }
    }
}

impl Doors for CrmDoors {
    type Scan = Scan;
    type Writer = Writer;

    fn scan(&self) -> Scan {
        self.peer.scan()
    }

    fn reader(&self) -> Scan {
        self.peer.scan().urgent()
    }

    fn writer(&self) -> &Writer {
        &self.writer
    }
}

impl Watch for CampaignFeed {
    /// The log tells each change once, and none of them is ever asked for too early.
    fn forget(&mut self, _records: &[RecordId]) {}

    async fn stop(&mut self) {
        if let Err(error) = Self::stop(self).await {
            tracing::warn!(error = told(&error), "the slot was not let go in order");
        }
    }
}

impl Watch for Feed {
    fn forget(&mut self, records: &[RecordId]) {
        Self::forget(self, records);
    }

    /// Nothing is kept over there for us.
    async fn stop(&mut self) {}
}

/// The mapped tables, ready to be read and written.
pub(super) fn tables(mapped: &[Mapped], schemas: &Schemas) -> Result<Tables, String> {
    let mut tables = BTreeMap::new();
    for one in mapped {
        let Some(Some(table)) = schemas.tables.get(&one.name) else { continue };
        let mapping = one.sides.campaign.clone();
        let entity = mapping.entity;
        let ready = MappedTable::new(table.clone(), mapping, schemas.zone.clone())?;
        tables.insert(entity, Arc::new(ready));
    }
    Ok(tables)
}
