//! A scan of a whole object in the order of its ids, and reads of single records.
//!
//! An object that is so large that it costs fewer calls is read as one job (`bulk`).
//!
//! Ids are in the order of creation only within one object and one instance, so a scan is no
//! change feed: records that are made while it runs are the feed's.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::crm::http::{Call, Urgency};
use crate::crm::salesforce::Account;
use crate::crm::salesforce::Plans;
use crate::crm::salesforce::api::{Query, READS_MAX, Rows};
use crate::crm::salesforce::bulk::{Extract, Jobs};
use crate::crm::salesforce::errors;
use crate::crm::salesforce::ids::record_id;
use crate::crm::salesforce::plan::{Plan, identity};
use crate::crm::salesforce::portion::Portion;
use crate::crm::salesforce::soql;
use crate::crm::sightings::second_of;
use crate::peer::{Ask, Listed, Outline, PeerError, Scan};
use crate::reconcile::{Entity, Observation, RecordId};

/// Scans of the mappings' objects.
pub struct ObjectScan {
    account: Arc<Account>,
    plans: Plans,
    /// The job that is being read.
    extract: Option<Extract>,
    /// The mappings that were asked whether a job is worth it: once each.
    asked: BTreeSet<Entity>,
    portion: Portion,
    /// Of reads of single records.
    urgency: Urgency,
}

impl ObjectScan {
    pub(super) fn new(account: Arc<Account>, plans: Plans) -> Self {
        let portion = Portion::of(READS_MAX);
        let urgency = Urgency::Ordinary;
        Self { account, plans, extract: None, asked: BTreeSet::new(), portion, urgency }
    }

    /// It reads single records also out of what is kept for opt-outs.
    #[must_use]
    pub fn urgent(mut self) -> Self {
        self.urgency = Urgency::Urgent;
        self
    }

    /// Begins a job where what follows is so much that it costs fewer calls.
    async fn begin(
        &mut self,
        entity: Entity,
        after: Option<&RecordId>,
        asked: &mut (dyn Ask + Send),
    ) -> Result<(), PeerError> {
        let bulk = &self.account.settings.bulk;
        let rests = self.account.api.rests.hold(Jobs::Query, Instant::now());
        if bulk.from_records.is_none() || rests || !self.asked.insert(entity) {
            return Ok(());
        }
        let plan: &Plan = self.plans.of(entity)?;
        let condition = plan.standing(after);
        let statement = format!("SELECT COUNT() FROM {}{condition}", plan.mapping.table);
        let query = Query {
            rows: Rows::Live,
            statement: &statement,
            call: Call::Scan,
            urgency: Urgency::Ordinary,
        };
        let records = match self.account.api.query(query, &mut || ()).await {
            Ok(counted) => counted.total,
            // Pages need no number.
            Err(error) if errors::timed_out(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        if !bulk.reads(records, READS_MAX) {
            return Ok(());
        }
        let mapping = &plan.mapping.name;
        tracing::info!(%mapping, records, "reading as a bulk job");
        match Extract::begin(&self.account, plan, after, &condition, asked).await {
            Ok(extract) => self.extract = Some(extract),
            Err(PeerError::Throttled { after, why }) => {
                return Err(PeerError::Throttled { after, why });
            }
            Err(error) => {
                tracing::warn!(%mapping, %error, "no bulk job came about: reading by calls");
            }
        }
        Ok(())
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
        if !self.extract.as_ref().is_some_and(|extract| extract.goes_on(entity, after)) {
            self.extract = None;
            self.begin(entity, after, asked).await?;
        }
        let plan: &Plan = self.plans.of(entity)?;
        plan.stands()?;
        if let Some(extract) = &mut self.extract {
            return extract.page(&self.account, plan, limit).await;
        }
        let condition = plan.standing(after);
        let statement = format!("{}{condition} ORDER BY Id", plan.select());
        let mut tick = None;
        let mut about = || tick = Some(asked.tick());
        let query = Query {
            rows: Rows::Live,
            statement: &statement,
            call: Call::Scan,
            urgency: Urgency::Ordinary,
        };
        let page = (&mut self.portion, limit);
        let selected = self.account.api.page(query, page, &mut about).await?;
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
        let plan = self.plans.of(entity)?;
        // What is no id is surely not there, and would have the whole call refused.
        let (ids, others): (Vec<&RecordId>, Vec<&RecordId>) =
            records.iter().partition(|record| record_id(&record.0).as_ref() == Some(*record));
        let tick = asked.tick();
        let mut seen: Vec<Observation> =
            others.into_iter().map(|record| plan.missing(record, tick)).collect();
        if !ids.is_empty() {
            let sightings = plan.read(&self.account, self.urgency, &ids, asked).await?;
            seen.extend(sightings.into_iter().map(|sighting| sighting.observation));
        }
        Ok(seen)
    }
}

impl ObjectScan {
    /// Which records follow `after` in the order of their ids and changed since then by their own
    /// stamp, deleted ones included; an empty list is the end.
    pub async fn changed_since(
        &self,
        entity: Entity,
        since: Timestamp,
        after: Option<&RecordId>,
    ) -> Result<Vec<RecordId>, PeerError> {
        let plan: &Plan = self.plans.of(entity)?;
        let object = &plan.mapping.table;
        let since = soql::instant(since);
        let behind = after.map(|id| format!(" AND Id > {}", soql::text(&id.0))).unwrap_or_default();
        let statement = format!(
            "SELECT Id, SystemModstamp FROM {object} WHERE SystemModstamp >= {since}{behind} \
             ORDER BY Id"
        );
        let query = Query {
            rows: Rows::All,
            statement: &statement,
            call: Call::Scan,
            urgency: Urgency::Ordinary,
        };
        let page = (&mut Portion::of(READS_MAX), READS_MAX);
        let selected = self.account.api.page(query, page, &mut || ()).await?;
        selected.records.iter().map(|record| Ok(identity(record)?.0)).collect()
    }
}

impl Outline for ObjectScan {
    async fn outline(
        &mut self,
        entity: Entity,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<Vec<Listed>, PeerError> {
        let plan: &Plan = self.plans.of(entity)?;
        let (object, condition) = (&plan.mapping.table, plan.standing(after));
        let statement = format!("SELECT Id, SystemModstamp FROM {object}{condition} ORDER BY Id");
        let query = Query {
            rows: Rows::Live,
            statement: &statement,
            call: Call::Scan,
            urgency: Urgency::Ordinary,
        };
        let page = (&mut self.portion, limit);
        let selected = self.account.api.page(query, page, &mut || ()).await?;
        let listed = |record| {
            let (record, modified) = identity(record)?;
            Ok(Listed { record, modified: Some(second_of(modified).until) })
        };
        selected.records.iter().map(listed).collect()
    }
}
