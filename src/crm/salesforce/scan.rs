//! A scan of a whole object in the order of its ids, and reads of single records.
//!
//! Ids are in the order of creation only within one object and one instance, so a scan is no
//! change feed: records that are made while it runs are the feed's.

use std::sync::Arc;

use crate::crm::http::{Call, Urgency};
use crate::crm::salesforce::Account;
use crate::crm::salesforce::api::{Query, READS_MAX, Rows};
use crate::crm::salesforce::plan::Plan;
use crate::crm::salesforce::{Plans, soql};
use crate::peer::{Ask, PeerError, Scan};
use crate::reconcile::{Entity, Observation, RecordId};

/// Scans of the mappings' objects.
pub struct ObjectScan {
    account: Arc<Account>,
    plans: Plans,
}

impl ObjectScan {
    pub(super) fn new(account: Arc<Account>, plans: Plans) -> Self {
        Self { account, plans }
    }
}

impl Scan for ObjectScan {
    async fn scan(
        &mut self,
        entity: Entity,
        after: Option<&RecordId>,
        limit: usize,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Observation>, PeerError> {
        let plan: &Plan = self.plans.of(entity)?;
        plan.stands()?;
        let condition = match after {
            Some(id) => format!(" WHERE Id > {}", soql::text(&id.0)),
            None => String::new(),
        };
        let limit = limit.clamp(1, READS_MAX);
        let statement = format!("{}{condition} ORDER BY Id LIMIT {limit}", plan.select());
        let mut tick = None;
        let mut about = || tick = Some(asked.tick());
        let query = Query {
            rows: Rows::Live,
            statement: &statement,
            call: Call::Scan,
            urgency: Urgency::Ordinary,
        };
        let selected = self.account.api.query(query, &mut about).await?;
        let tick = tick.expect("what was answered was sent");
        let sightings = selected.records.iter().map(|record| plan.observe(record, tick));
        sightings.map(|sighting| Ok(sighting?.observation)).collect()
    }

    async fn read(
        &mut self,
        entity: Entity,
        records: &[RecordId],
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Observation>, PeerError> {
        let records: Vec<&RecordId> = records.iter().collect();
        let sightings = self.plans.of(entity)?.read(&self.account, &records, asked).await?;
        Ok(sightings.into_iter().map(|sighting| sighting.observation).collect())
    }
}
