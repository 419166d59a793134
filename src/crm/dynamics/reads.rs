//! Reading rows by their ids.
//!
//! Rows that are there are asked for together, by a filter. One that is not in the answer is asked for by
//! itself: only then the service says whether it is gone, or not for us to see.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::crm::dynamics::Account;
use crate::crm::dynamics::api::{PAGE_MAX, Read};
use crate::crm::dynamics::batch::Operation;
use crate::crm::dynamics::codes::Action;
use crate::crm::dynamics::odata;
use crate::crm::dynamics::plan::{Plan, Sighting};
use crate::crm::http::{Call, Urgency};
use crate::peer::{Ask, PeerError};
use crate::reconcile::{Gone, RecordId};

/// So many ids fit an address, beside the widest selection.
const IDS_IN_QUERY: usize = 150;

/// So many rows are asked for one by one in a batch.
const ROWS_IN_BATCH: usize = 100;

/// The most records that are read together just before they are written.
pub(super) const READS_MAX: usize = 600;

/// What tells which table a lookup's value is of; never together with change tracking, under which
/// some versions then forget to say where the changes go on.
pub(super) const ANNOTATED: &str =
    "odata.include-annotations=\"Microsoft.Dynamics.CRM.lookuplogicalname\"";

impl Plan {
    /// Reads rows afresh, in the order asked: one that is gone says so.
    pub(super) async fn read(
        &self,
        account: &Account,
        urgency: Urgency,
        records: &[&RecordId],
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Sighting>, PeerError> {
        let (live, _) = self.read_live(account, urgency, records, asked).await?;
        let pairs = || records.iter().zip(&live);
        let absent: Vec<&RecordId> =
            pairs().filter(|(_, live)| live.is_none()).map(|(id, _)| *id).collect();
        let mut gone = self.read_gone(account, &absent, asked).await?.into_iter();
        Ok(live.into_iter().filter_map(|live| live.or_else(|| gone.next())).collect())
    }

    /// Reads rows by id; what is not there is `None`. Also tells how long it took.
    pub(super) async fn read_live(
        &self,
        account: &Account,
        urgency: Urgency,
        records: &[&RecordId],
        asked: &mut (dyn Ask + Send),
    ) -> Result<(Vec<Option<Sighting>>, Duration), PeerError> {
        let (mut found, mut took) = (BTreeMap::new(), Duration::ZERO);
        let select = self.select();
        for chunk in records.chunks(IDS_IN_QUERY) {
            let filter = odata::any_of(&self.id, chunk.iter().map(|id| &*id.0));
            let options = [("$select", select.as_str()), ("$filter", &filter)];
            let path = odata::query(&self.set, &options);
            let mut tick = None;
            let mut about = || tick = Some(asked.tick());
            let query = Read { path: &path, prefer: ANNOTATED, call: Call::Read, urgency };
            let rows = account.api.rows(query, &mut about).await?;
            let tick = tick.expect("what was answered was sent");
            took += rows.took;
            for record in &rows.records {
                let sighting = self.observe(record, tick)?;
                found.insert(sighting.observation.record.clone(), sighting);
            }
        }
        Ok((records.iter().map(|id| found.remove(*id)).collect(), took))
    }

    /// Asks one by one for rows that were not found.
    async fn read_gone(
        &self,
        account: &Account,
        records: &[&RecordId],
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Sighting>, PeerError> {
        let doing = "reading rows that are gone";
        let (mut sightings, select) = (Vec::with_capacity(records.len()), self.select());
        for chunk in records.chunks(ROWS_IN_BATCH) {
            let operation = |id: &&RecordId| Operation {
                method: reqwest::Method::GET,
                path: format!(
                    "{}?$select={}",
                    odata::row(&self.set, id),
                    crate::crm::http::encode(&select)
                ),
                headers: Vec::new(),
                body: None,
            };
            let operations: Vec<Operation> = chunk.iter().map(operation).collect();
            let mut tick = None;
            let mut about = || tick = Some(asked.tick());
            let (call, urgency) = (Call::Read, Urgency::Urgent);
            let parts = account.api.batch(&operations, call, urgency, &mut about).await;
            let parts = parts.map_err(|failure| failure.into_error(doing))?;
            let tick = tick.expect("what was answered was sent");
            for (id, part) in chunk.iter().zip(parts) {
                let how = match part.error() {
                    None => {
                        let record = serde_json::from_slice(&part.body).map_err(|error| {
                            PeerError::Transient { doing, source: Box::new(error) }
                        })?;
                        sightings.push(self.observe(&record, tick)?);
                        continue;
                    }
                    // Who may not read a row is told so, and who asks for none is told that.
                    Some(error) if error.action() == Action::ReadGone => Gone::Deleted,
                    Some(error) if error.action() == Action::DenyRequest => Gone::Missing,
                    Some(error) => {
                        let source = error.code_word().into();
                        return Err(PeerError::Transient { doing, source });
                    }
                };
                let observation = self.absent(id, how, tick);
                sightings.push(Sighting { observation, modified: None, etag: None });
            }
        }
        Ok(sightings)
    }

    /// Which rows hold any of these, at most so many; `None` where there are more.
    pub(super) async fn find(
        &self,
        account: &Account,
        filter: &str,
        most: usize,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Option<Vec<Sighting>>, PeerError> {
        let path =
            odata::query(&self.set, &[("$select", self.select().as_str()), ("$filter", filter)]);
        let mut tick = None;
        // The first tick counts: what a later page tells may be as old.
        let mut about = || {
            let now = asked.tick();
            tick.get_or_insert(now);
        };
        let prefer = format!("{ANNOTATED},odata.maxpagesize={PAGE_MAX}");
        let urgency = Urgency::Ordinary;
        let query = Read { path: &path, prefer: &prefer, call: Call::Read, urgency };
        let Some(records) = account.api.all_rows(query, most, &mut about).await? else {
            return Ok(None);
        };
        let tick = tick.expect("what was answered was sent");
        records.iter().map(|record| self.observe(record, tick)).collect::<Result<_, _>>().map(Some)
    }
}
