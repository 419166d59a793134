//! A scan of a whole table in the order of its ids, and reads of single rows.
//!
//! While it goes on it follows the links that the service gives; who begins again in the middle asks for
//! what follows the last id in the service's own order, which is the same.

use std::sync::Arc;

use jiff::Timestamp;

use crate::crm::dynamics::api::{PAGE_MAX, Read, followed};
use crate::crm::dynamics::outline::outline;
use crate::crm::dynamics::plan::{MODIFIED_ON, Plan};
use crate::crm::dynamics::reads::ANNOTATED;
use crate::crm::dynamics::{Account, Plans, odata};
use crate::crm::http::{Call, Urgency};
use crate::peer::{Ask, Listed, Outline, PeerError, Scan};
use crate::reconcile::{Entity, Gone, Observation, RecordId};

/// Scans of the mappings' tables.
pub struct TableScan {
    account: Arc<Account>,
    plans: Plans,
    /// Where it goes on behind this row; without a link, at the end.
    walk: Option<(Entity, RecordId, Option<String>)>,
    /// Of reads of single rows.
    urgency: Urgency,
}

impl TableScan {
    pub(super) fn new(account: Arc<Account>, plans: Plans) -> Self {
        Self { account, plans, walk: None, urgency: Urgency::Ordinary }
    }

    /// It reads single rows also out of what is kept for opt-outs.
    #[must_use]
    pub fn urgent(mut self) -> Self {
        self.urgency = Urgency::Urgent;
        self
    }

    /// Which records follow `after` in the order of their ids and changed since then by their own
    /// stamp; an empty list is the end. Deleted ones have no stamp any more.
    pub async fn changed_since(
        &self,
        entity: Entity,
        since: Timestamp,
        after: Option<&RecordId>,
    ) -> Result<Vec<RecordId>, PeerError> {
        let plan = self.plans.of(entity)?;
        let since = format!("{MODIFIED_ON} ge {}", odata::instant(since));
        let filter = match after {
            Some(after) => format!("{since} and {} gt {after}", plan.id),
            None => since,
        };
        let order = format!("{} asc", plan.id);
        let top = PAGE_MAX.to_string();
        let options = [
            ("$select", &*plan.id),
            ("$filter", filter.as_str()),
            ("$orderby", &order),
            ("$top", &top),
        ];
        let path = odata::query(&plan.set, &options);
        let urgency = Urgency::Ordinary;
        let query = Read { path: &path, prefer: "", call: Call::Scan, urgency };
        let rows = self.account.api.rows(query, &mut || ()).await?;
        let id = |record: &super::api::Record| {
            record.get(&*plan.id).and_then(serde_json::Value::as_str).and_then(odata::record_id)
        };
        Ok(rows.records.iter().filter_map(id).collect())
    }

    /// The path of the page behind a row; `None` where there is none.
    fn path(&self, plan: &Plan, after: Option<&RecordId>) -> Result<Option<String>, PeerError> {
        let known = self
            .walk
            .as_ref()
            .filter(|(entity, last, _)| *entity == plan.mapping.entity && Some(last) == after);
        if let Some((_, _, link)) = known {
            return link.as_deref().map(followed).transpose();
        }
        let (select, order) = (plan.select(), format!("{} asc", plan.id));
        let behind = after.map(|after| format!("{} gt {after}", plan.id));
        let mut options = vec![("$select", select.as_str()), ("$orderby", &order)];
        options.extend(behind.as_deref().map(|filter| ("$filter", filter)));
        Ok(Some(odata::query(&plan.set, &options)))
    }
}

impl Scan for TableScan {
    async fn scan(
        &mut self,
        entity: Entity,
        after: Option<&RecordId>,
        limit: usize,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Observation>, PeerError> {
        let plan = Arc::clone(self.plans.of(entity)?);
        plan.stands()?;
        let page = limit.clamp(1, self.account.settings.polling.page.clamp(1, PAGE_MAX));
        let prefer = format!("{ANNOTATED},odata.maxpagesize={page}");
        let mut next = self.path(&plan, after)?;
        // A page may be empty although others follow.
        while let Some(path) = next {
            let mut tick = None;
            let mut about = || tick = Some(asked.tick());
            let urgency = Urgency::Ordinary;
            let query = Read { path: &path, prefer: &prefer, call: Call::Scan, urgency };
            let rows = self.account.api.rows(query, &mut about).await?;
            let tick = tick.expect("what was answered was sent");
            let seen =
                rows.records.iter().map(|record| Ok(plan.observe(record, tick)?.observation));
            let seen = seen.collect::<Result<Vec<_>, PeerError>>()?;
            if let Some(last) = seen.last() {
                self.walk = Some((entity, last.record.clone(), rows.next));
                return Ok(seen);
            }
            next = rows.next.as_deref().map(followed).transpose()?;
        }
        self.walk = None;
        Ok(Vec::new())
    }

    async fn read(
        &mut self,
        entity: Entity,
        records: &[RecordId],
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Observation>, PeerError> {
        let plan = self.plans.of(entity)?;
        // What is no id is surely not there, and would have the whole call refused.
        let (ids, others): (Vec<&RecordId>, Vec<&RecordId>) = records
            .iter()
            .partition(|record| odata::record_id(&record.0).as_ref() == Some(*record));
        let tick = asked.tick();
        let mut seen: Vec<Observation> =
            others.into_iter().map(|record| plan.absent(record, Gone::Missing, tick)).collect();
        if !ids.is_empty() {
            let sightings = plan.read(&self.account, self.urgency, &ids, asked).await?;
            seen.extend(sightings.into_iter().map(|sighting| sighting.observation));
        }
        Ok(seen)
    }
}

impl Outline for TableScan {
    async fn outline(
        &mut self,
        entity: Entity,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<Vec<Listed>, PeerError> {
        outline(&self.account, self.plans.of(entity)?, after, limit).await
    }
}
