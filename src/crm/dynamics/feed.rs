//! The change feed of one table, by change tracking.
//!
//! A poll tells each row that changed since the last, as it is now, then the ids of those that were
//! deleted. It does not tell what changed of a row, so that is found by comparing. A row that was
//! made and deleted between two polls comes as a deletion of an id that nobody knows, which changes
//! nothing. Between two of many pages it looks ahead for opt-outs (`peek`). When the service no longer
//! has what happened since (seven days by default), it says so, and everything is loaded and compared.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;
use tokio::time::Instant;

use crate::crm::delays::poll_interval;
use crate::crm::dynamics::Account;
use crate::crm::dynamics::api::{PAGE_MAX, Read, Record, Rows, followed};
use crate::crm::dynamics::odata;
use crate::crm::dynamics::peek::{self, Given};
use crate::crm::dynamics::plan::{MODIFIED_ON, Plan};
use crate::crm::dynamics::progress::{AGAIN_MAX, Links, Place, Progress};
use crate::crm::http::{Call, Urgency, skew};
use crate::crm::lookout::Lookout;
use crate::crm::sightings::Asked;
use crate::peer::{Ask, Cursor, Feed, Page, PeerError};
use crate::reconcile::{Entity, Gone, Observation, RecordId};

/// What a load is for may have happened since the service forgot the last delta link: it keeps them
/// for seven days by default, and kept them for 30.
const LOAD_LOOKS_BACK: Duration = Duration::from_hours(30 * 24);

/// The change feed of one mapping's table.
pub struct TableFeed {
    account: Arc<Account>,
    plan: Arc<Plan>,
    org: String,
    /// Whether it has begun.
    begun: bool,
    /// Where it goes on from this cursor, which is a page back.
    resumed: Option<(Cursor, Progress)>,
    /// Ignored sightings that are to be read again.
    again: BTreeSet<RecordId>,
    /// Whether that was done since the last poll; what is ignored again waits for the next.
    read_again: bool,
    idle_polls: u32,
    next_poll: Option<Instant>,
    /// When to look ahead of a long way for opt-outs, from where, and what was given so.
    lookout: Lookout,
    reached: Option<Timestamp>,
    given: Given,
}

impl TableFeed {
    pub(super) fn new(account: Arc<Account>, plan: Arc<Plan>, org: String) -> Self {
        Self {
            account,
            plan,
            org,
            begun: false,
            resumed: None,
            again: BTreeSet::new(),
            read_again: false,
            idle_polls: 0,
            next_poll: None,
            lookout: Lookout::default(),
            reached: None,
            given: Given::default(),
        }
    }

    /// The mapping whose records it gives.
    pub fn entity(&self) -> Entity {
        self.plan.mapping.entity
    }

    /// Tells that these sightings were ignored (a write of their link was answered after they
    /// were asked for), so that the records are read again.
    pub fn forget(&mut self, records: &[RecordId]) {
        self.again.extend(records.iter().cloned());
    }

    /// Waits until the next poll is due, for at most `patience`; says whether it is.
    async fn due(&self, patience: Duration) -> bool {
        let Some(next) = self.next_poll else { return true };
        let give_up = Instant::now() + patience;
        tokio::time::sleep_until(next.min(give_up)).await;
        next <= Instant::now()
    }

    /// Reads what was ignored; the cursor stays where it is.
    async fn read_again(
        &mut self,
        after: &Cursor,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Page, PeerError> {
        let records: Vec<&RecordId> = self.again.iter().collect();
        let sightings = self.plan.read(&self.account, Urgency::Feed, &records, asked).await?;
        self.again.clear();
        self.read_again = true;
        let observations = sightings.into_iter().map(|sighting| sighting.observation);
        Ok(page(observations.collect(), after.clone()))
    }

    /// Looks ahead of a way that has more than a page to go, no more often than polls come.
    async fn peek(
        &mut self,
        after: &Cursor,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Option<Page>, PeerError> {
        let polling = self.account.settings.polling;
        let Some(reached) = self.reached else { return Ok(None) };
        if !self.lookout.is_due(Instant::now(), polling.interval) {
            return Ok(None);
        }
        // Versions are drawn before their commit, and stamps are those of the server that wrote.
        let since = earlier(reached, polling.overlap);
        let seen = peek::opt_outs(&self.account, &self.plan, since, &mut self.given, asked).await;
        match seen {
            Ok(seen) if seen.is_empty() => Ok(None),
            Ok(seen) => {
                let seen = seen.into_iter().map(|sighting| sighting.observation).collect();
                Ok(Some(page(seen, after.clone())))
            }
            // The way comes by all of them.
            Err(PeerError::Transient { source, .. }) => {
                tracing::debug!(error = %source, "did not look ahead for opt-outs");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// How far the way has come, by the stamps of its rows. A load has no order of time.
    fn note(&mut self, from: &Progress, to: &Progress, seen: &[Observation]) {
        let polling = self.account.settings.polling;
        if !from.under_way() {
            self.lookout.set_out(Instant::now(), polling.interval);
        }
        self.lookout.goes_on();
        let newest = seen.iter().filter_map(|one| one.modified).map(|at| at.after).max();
        self.reached = match &to.place {
            Place::Load { begun, .. } => begun.map(|begun| earlier(begun, LOAD_LOOKS_BACK)),
            Place::Overlap { since, .. } => Some(*since),
            Place::Changes { under_way: true, .. } => newest.max(self.reached),
            Place::Changes { under_way: false, .. } => None,
        };
        if !to.under_way() {
            self.given.clear();
        }
    }

    /// The path of the place's page, and what it prefers.
    fn request(&self, place: &Place) -> Result<(String, String), PeerError> {
        let select = self.plan.select();
        let page = self.account.settings.polling.page.clamp(1, PAGE_MAX);
        let sized = format!("odata.maxpagesize={page}");
        let tracked = format!("odata.track-changes,{sized}");
        Ok(match place {
            Place::Load { link: None, .. } => {
                (odata::query(&self.plan.set, &[("$select", &select)]), tracked)
            }
            Place::Load { link: Some(link), .. } => (followed(link)?, tracked),
            Place::Overlap { link: None, since, .. } => {
                let filter = format!("{MODIFIED_ON} ge {}", odata::instant(*since));
                let options = [("$select", select.as_str()), ("$filter", &filter)];
                (odata::query(&self.plan.set, &options), sized)
            }
            Place::Overlap { link: Some(link), .. } | Place::Changes { link, .. } => {
                (followed(link)?, sized)
            }
        })
    }

    async fn poll(
        &mut self,
        progress: &Progress,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Page, PeerError> {
        self.plan.stands()?;
        let (path, prefer) = self.request(&progress.place)?;
        let mut tick = None;
        let mut about = || tick = Some(asked.tick());
        // Feeds may use half of the reserve: an opt-out in the CRM is seen by no other way.
        let (call, urgency) = (Call::Feed, Urgency::Feed);
        let query = Read { path: &path, prefer: &prefer, call, urgency };
        let rows = self.account.api.rows(query, &mut about).await?;
        let tick: Asked = tick.expect("what was answered was sent");
        let incomplete = |what: &'static str| PeerError::Transient {
            doing: "reading the change feed",
            source: what.into(),
        };
        let date = rows.date.ok_or_else(|| incomplete("an answer without a Date header"))?;
        let link = |link: &Option<String>| link.as_deref().map(followed).transpose();
        let links = Links { next: link(&rows.next)?, delta: link(&rows.delta)?, date };
        let skew = skew(rows.date, rows.took, tick.1);
        let observations = self.observations(rows, tick, asked).await?;
        let overlap = self.account.settings.polling.overlap;
        let next = progress.after(links, overlap, &self.again).ok_or_else(|| {
            incomplete("a page that says neither that it is the last nor what follows")
        })?;
        (self.read_again, self.resumed) = (false, None);
        self.note(progress, &next, &observations);
        if !next.under_way() {
            self.rest(observations.is_empty());
        }
        let compare = if next.has_loaded() { vec![self.entity()] } else { Vec::new() };
        let (cursor, more) = (next.cursor(), next.under_way());
        Ok(Page { observations, cursor, more, skew, compare })
    }

    async fn observations(
        &self,
        rows: Rows,
        tick: Asked,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Observation>, PeerError> {
        let mut observations = Vec::with_capacity(rows.records.len());
        for record in &rows.records {
            observations.push(match deleted(record) {
                Some(id) => {
                    let id = odata::record_id(id).ok_or_else(|| PeerError::Transient {
                        doing: "reading the change feed",
                        source: "a deletion of something that is no row".into(),
                    })?;
                    self.plan.absent(&id, Gone::Deleted, tick)
                }
                None => self.plan.observe(record, tick)?.observation,
            });
        }
        if self.plan.polymorphic {
            self.tell_apart(&mut observations, asked).await?;
        }
        Ok(observations)
    }

    /// Tracked rows do not say which table a lookup's value is of: they are read once more, by a
    /// query that does.
    async fn tell_apart(
        &self,
        observations: &mut [Observation],
        asked: &mut (dyn Ask + Send),
    ) -> Result<(), PeerError> {
        let here: Vec<usize> =
            (0..observations.len()).filter(|n| observations[*n].row().is_some()).collect();
        let ids: Vec<RecordId> = here.iter().map(|n| observations[*n].record.clone()).collect();
        let ids: Vec<&RecordId> = ids.iter().collect();
        let (read, _) = self.plan.read_live(&self.account, Urgency::Feed, &ids, asked).await?;
        for (place, sighting) in here.into_iter().zip(read) {
            // One that went meanwhile is told by the next poll.
            if let Some(sighting) = sighting {
                observations[place] = sighting.observation;
            }
        }
        Ok(())
    }

    /// Sets the time of the next poll.
    fn rest(&mut self, idle: bool) {
        self.idle_polls = if idle { self.idle_polls.saturating_add(1) } else { 0 };
        let polling = &self.account.settings.polling;
        let bounds = (polling.interval, polling.interval_max);
        let interval =
            poll_interval(bounds, self.idle_polls, self.account.api.client.left_for(Urgency::Feed));
        self.next_poll = Some(Instant::now() + interval);
    }
}

fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

/// The id in an entry that tells of a deletion.
fn deleted(record: &Record) -> Option<&str> {
    let deletion = record.contains_key("reason") || record.contains_key("@odata.context");
    record.get("id").filter(|_| deletion).and_then(Json::as_str)
}

/// A page beside the changes.
fn page(observations: Vec<Observation>, cursor: Cursor) -> Page {
    Page { observations, cursor, more: true, skew: None, compare: Vec::new() }
}

impl Feed for TableFeed {
    /// Cursors are documented in `progress`; at [`Cursor::start`] the feed gives every row there is.
    async fn page(
        &mut self,
        after: &Cursor,
        patience: Duration,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Page, PeerError> {
        let known = Progress::of(after, &self.org, &self.plan.select())?;
        if !self.begun {
            let (progress, again) = known.clone().resumed();
            self.again.extend(again);
            (self.begun, self.resumed) = (true, Some((after.clone(), progress)));
        }
        let resumed = self.resumed.take().filter(|(cursor, _)| cursor == after);
        self.resumed.clone_from(&resumed);
        let progress = resumed.map_or(known, |(_, progress)| progress);
        if self.resumed.is_none() && !progress.under_way() && !self.due(patience).await {
            // Nothing was asked, so what there is now was not seen to its end.
            return Ok(page(Vec::new(), after.clone()));
        }
        if AGAIN_MAX < self.again.len() {
            self.again.clear();
            return Err(PeerError::CursorLost {
                why: format!("more than {AGAIN_MAX} records changed while writes were under way"),
            });
        }
        if !self.read_again && !self.again.is_empty() {
            return self.read_again(after, asked).await;
        }
        if progress.under_way()
            && let Some(page) = self.peek(after, asked).await?
        {
            return Ok(page);
        }
        self.poll(&progress, asked).await
    }

    /// The link that was followed is kept in the cursor: nothing is held back over there.
    async fn confirm(&mut self, _durable: &Cursor) -> Result<(), PeerError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_an_entry_of_its_own_context_or_with_a_reason_is_a_deletion() {
        let entry = |json: Json| json.as_object().unwrap().clone();
        let gone = entry(json!({ "@odata.context": "…/$deletedEntity", "id": "91aa" }));
        assert_eq!(deleted(&gone), Some("91aa"));
        assert_eq!(deleted(&entry(json!({ "id": "91aa", "reason": "deleted" }))), Some("91aa"));
        assert_eq!(deleted(&entry(json!({ "@odata.etag": "W/\"9\"", "id": "column" }))), None);
    }
}
