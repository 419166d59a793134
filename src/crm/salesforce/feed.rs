//! The change feed of one object: `queryAll` on `SystemModstamp`, deletes and merges in the same call;
//! now and then, what Salesforce's log says besides (`review`).
//!
//! Pages go on by keyset and never by Salesforce's own query locator. It costs the same calls, a
//! page can be asked for again after a restart, and each page has its own moment at which it was
//! asked for: a locator's later pages may tell what the rows held when the query began.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::crm::http::{Call, Urgency, skew};
use crate::crm::lookout::Lookout;
use crate::crm::salesforce::Account;
use crate::crm::salesforce::api::{Query, READS_MAX, Rows};
use crate::crm::salesforce::errors;
use crate::crm::salesforce::peek;
use crate::crm::salesforce::plan::{Plan, Sighting};
use crate::crm::salesforce::portion::Portion;
use crate::crm::salesforce::progress::{self, Deep, Pass, Progress};
use crate::crm::salesforce::review::{Logged, Review};
use crate::crm::salesforce::seen::{Print, Seen};
use crate::crm::sightings::Asked;
use crate::peer::{Ask, Cursor, Feed, Page, PeerError};
use crate::reconcile::{Entity, Observation, RecordId};

/// The change feed of one mapping's object.
pub struct ObjectFeed {
    account: Arc<Account>,
    plan: Arc<Plan>,
    org: String,
    seen: Seen,
    /// Ignored sightings that are to be read again, with the stamps they had.
    again: BTreeMap<RecordId, Option<Timestamp>>,
    /// Whether that was done since the last poll; what is ignored again waits for the next.
    read_again: bool,
    /// How late commits are found in the end: by stamps, where the log is not for us to read.
    deep: Deep,
    /// What the log said of the review that is under way.
    logged: Option<(Review, Logged)>,
    idle_polls: u32,
    next_poll: Option<Instant>,
    /// When to look ahead of a long pass for opt-outs.
    lookout: Lookout,
    portion: Portion,
}

impl ObjectFeed {
    pub(super) fn new(account: Arc<Account>, plan: Arc<Plan>, org: String) -> Self {
        Self {
            deep: plan.deep,
            portion: Portion::of(account.settings.polling.page),
            account,
            plan,
            org,
            seen: Seen::default(),
            again: BTreeMap::new(),
            read_again: false,
            logged: None,
            idle_polls: 0,
            next_poll: None,
            lookout: Lookout::default(),
        }
    }

    /// The mapping whose records it gives.
    pub fn entity(&self) -> Entity {
        self.plan.mapping.entity
    }

    /// Tells that these sightings were ignored (a write of their link was answered after they
    /// were asked for), so that the records are read again.
    pub fn forget(&mut self, records: &[RecordId]) {
        for record in records {
            let stamp = self.seen.forget(record);
            self.again.insert(record.clone(), stamp);
        }
    }

    /// Waits until the next poll is due, for at most `patience`; says whether it is.
    async fn due(&self, patience: Duration) -> bool {
        let Some(next) = self.next_poll else { return true };
        let give_up = Instant::now() + patience;
        tokio::time::sleep_until(next.min(give_up)).await;
        next <= Instant::now()
    }

    /// Reads the ignored ones that the pass will not come by.
    async fn read_again(
        &mut self,
        after: &Cursor,
        pass: &Pass,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Option<Page>, PeerError> {
        self.again.retain(|_, stamp| stamp.is_none_or(|stamp| stamp < pass.from));
        if self.again.is_empty() {
            return Ok(None);
        }
        let records: Vec<&RecordId> = self.again.keys().collect();
        let sightings = self.plan.read(&self.account, Urgency::Feed, &records, asked).await?;
        self.again.clear();
        self.read_again = true;
        Ok(Some(Self::aside(after, sightings)))
    }

    /// Looks ahead of a pass that has more than a page to go, no more often than polls come.
    async fn peek(
        &mut self,
        after: &Cursor,
        pass: &Pass,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Option<Page>, PeerError> {
        if !self.lookout.is_due(Instant::now(), self.account.settings.polling.interval) {
            return Ok(None);
        }
        let sightings =
            match peek::opt_outs(&self.account, (&self.plan, &self.seen), pass, asked).await {
                // The pass comes by all of them.
                Err(error) if errors::timed_out(&error) => return Ok(None),
                sightings => sightings?,
            };
        Ok((!sightings.is_empty()).then(|| Self::aside(after, sightings)))
    }

    /// A page beside the pass: the cursor stays where it is.
    fn aside(after: &Cursor, sightings: Vec<Sighting>) -> Page {
        Page {
            observations: sightings.into_iter().map(|sighting| sighting.observation).collect(),
            cursor: after.clone(),
            more: true,
            skew: None,
            compare: Vec::new(),
        }
    }

    async fn poll(
        &mut self,
        progress: &Progress,
        pass: &Pass,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Page, PeerError> {
        self.plan.stands()?;
        let polling = &self.account.settings.polling;
        self.lookout.goes_on();
        if !progress.under_way() {
            self.lookout.set_out(Instant::now(), polling.interval);
        }
        let statement = format!("{} {}", self.plan.select(), pass.condition());
        let mut tick = None;
        let mut about = || tick = Some(asked.tick());
        // Feeds may use some of the reserve: an opt-out in the CRM is seen by no other way.
        let query = Query {
            rows: Rows::All,
            statement: &statement,
            call: Call::Feed,
            urgency: Urgency::Feed,
        };
        let page = (&mut self.portion, polling.page);
        let selected = self.account.api.page(query, page, &mut about).await?;
        let tick: Asked = tick.expect("what was answered was sent");
        // What the query saw may be as old as its start.
        let now = selected.date.map(|date| {
            let took = SignedDuration::try_from(selected.took).unwrap_or(SignedDuration::MAX);
            date.saturating_sub(took).unwrap_or(date)
        });
        let now = now.ok_or_else(|| PeerError::Transient {
            doing: "reading the change feed",
            source: "an answer without a Date header".into(),
        })?;
        let sightings = selected.records.iter().map(|record| self.plan.observe(record, tick));
        let sightings = sightings.collect::<Result<Vec<_>, _>>()?;
        let last =
            sightings.last().map(|last| (last.modified, last.observation.record.to_string()));
        let (observations, prints) = self.fresh(sightings);
        let next = match last {
            Some(last) if !selected.done => progress.went_on(pass, last),
            Some(_) | None => progress.ended(pass, now),
        };
        self.read_again = false;
        self.seen.give(next.cursor(), &prints);
        if !next.under_way() {
            self.seen.drop_before(next.floor(polling, self.deep));
            self.rest(observations.is_empty());
        }
        Ok(Page {
            observations,
            cursor: next.cursor(),
            more: next.under_way(),
            skew: skew(selected.date, selected.took, tick.1),
            compare: Vec::new(),
        })
    }

    /// A page of the records that Salesforce's log names.
    async fn review(
        &mut self,
        progress: &Progress,
        review: Review,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Page, PeerError> {
        let (review, logged) = match self.logged.take() {
            Some((of, logged)) if of.from == review.from && of.begun == review.begun => {
                (review, logged)
            }
            Some(_) | None => review.ask(&self.account.api, &self.plan.mapping.table).await?,
        };
        let (records, more) = logged.after(review.at.as_deref(), READS_MAX);
        let records: Vec<&RecordId> = records.iter().collect();
        let sightings = match records.as_slice() {
            [] => Vec::new(),
            some => self.plan.read(&self.account, Urgency::Ordinary, some, asked).await?,
        };
        let (observations, prints) = self.fresh(sightings);
        let mut next = match records.last() {
            Some(last) if more => progress.reviewed_until(&review, &last.0),
            Some(_) | None => progress.reviewed(&review),
        };
        let mut compare = Vec::new();
        if logged.gap
            && let Some(compared) = next.compared(review.begun)
        {
            tracing::warn!(
                mapping = %self.plan.mapping.name,
                "Salesforce's log does not tell everything since the last look: comparing"
            );
            compare.push(self.plan.mapping.entity);
            next = compared;
        }
        if next.under_way() {
            self.logged = Some((review, logged));
        }
        self.seen.give(next.cursor(), &prints);
        // Nothing was asked for what lies behind the log.
        Ok(Page { observations, cursor: next.cursor(), more: true, skew: None, compare })
    }

    /// Leaves out what was given already.
    fn fresh(&self, sightings: Vec<Sighting>) -> (Vec<Observation>, Vec<(RecordId, Print)>) {
        let new = |seen: &Sighting| !self.seen.knows(&seen.observation.record, seen.print);
        let fresh: Vec<Sighting> = sightings.into_iter().filter(new).collect();
        let prints = fresh.iter().map(|seen| (seen.observation.record.clone(), seen.print));
        let prints = prints.collect();
        (fresh.into_iter().map(|seen| seen.observation).collect(), prints)
    }

    /// Sets the time of the next poll.
    fn rest(&mut self, idle: bool) {
        self.idle_polls = if idle { self.idle_polls.saturating_add(1) } else { 0 };
        let polling = &self.account.settings.polling;
        let left = self.account.api.client.left_for(Urgency::Feed);
        let interval = progress::interval(polling, self.idle_polls, left);
        self.next_poll = Some(Instant::now() + interval);
    }
}

impl Feed for ObjectFeed {
    /// Cursors are documented in `progress`; at [`Cursor::start`] the feed begins a late commit's
    /// time before now, and a scan covers the rest.
    async fn page(
        &mut self,
        after: &Cursor,
        patience: Duration,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Page, PeerError> {
        self.seen.resume(after);
        let server_now = self.account.server_now().await?;
        let polling = self.account.settings.polling;
        let progress = Progress::of(after, &self.org, server_now, &polling)?;
        if !progress.under_way() && !self.due(patience).await {
            return Ok(Page {
                observations: Vec::new(),
                cursor: after.clone(),
                // Nothing was asked, so what there is now was not seen to its end.
                more: true,
                skew: None,
                compare: Vec::new(),
            });
        }
        let server_now = self.account.server_now().await?;
        if self.deep == Deep::Log
            && let Some(review) = progress.review(server_now, &polling)
        {
            match self.review(&progress, review, asked).await {
                Err(PeerError::Unfit { why }) => {
                    let mapping = &self.plan.mapping.name;
                    tracing::warn!(%mapping, why, "looking back by stamps instead of by the log");
                    self.deep = Deep::Stamps;
                }
                // It waits for calls; the polls that tell of opt-outs do not wait with it. What it had
                // read is read again.
                Err(PeerError::Throttled { why, .. }) => {
                    tracing::debug!(mapping = %self.plan.mapping.name, why, "the look back waits");
                }
                page => return page,
            }
        }
        let pass = progress.pass(server_now, &polling, self.deep);
        if !progress.under_way()
            && !self.read_again
            && let Some(page) = self.read_again(after, &pass, asked).await?
        {
            return Ok(page);
        }
        if progress.under_way()
            && let Some(page) = self.peek(after, &pass, asked).await?
        {
            return Ok(page);
        }
        self.poll(&progress, &pass, asked).await
    }

    async fn confirm(&mut self, durable: &Cursor) -> Result<(), PeerError> {
        self.seen.confirm(durable);
        Ok(())
    }
}
