//! A look ahead for opt-outs, while a load or a poll has many pages to go.
//!
//! A delta tells rows in the order of their versions, so an opt-out that was made behind 200,000 other
//! changes would be seen forty pages later; most of these changes may be our own. Change tracking
//! takes no filter, so beside it the newest rows are asked for that say no, that somebody else
//! wrote, and that changed since about where the way has come to. They are observed like any others: a
//! CRM's observations are ordered by when their reads were asked for, and the way comes by them again.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::crm::dynamics::Account;
use crate::crm::dynamics::api::{PAGE_MAX, Read};
use crate::crm::dynamics::odata;
use crate::crm::dynamics::plan::{MODIFIED_ON, Plan, Sighting};
use crate::crm::dynamics::reads::ANNOTATED;
use crate::crm::http::{Call, Urgency};
use crate::peer::{Ask, PeerError};
use crate::reconcile::RecordId;

/// So many are remembered as given; more would only be given twice.
const GIVEN_MAX: usize = 20_000;

/// The rows that were given ahead on the way that is under way, each with its version.
#[derive(Debug, Default)]
pub(super) struct Given(BTreeMap<RecordId, Option<String>>);

impl Given {
    /// Whether a row is news.
    fn takes(&mut self, sighting: &Sighting) -> bool {
        let (id, version) = (&sighting.observation.record, &sighting.etag);
        if version.is_some() && self.0.get(id) == Some(version) {
            return false;
        }
        if GIVEN_MAX <= self.0.len() {
            self.0.clear();
        }
        self.0.insert(id.clone(), version.clone());
        true
    }

    /// The way has ended.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The newest opt-outs since then that were not given yet; nothing where no consent is mapped.
pub(super) async fn opt_outs(
    account: &Account,
    plan: &Plan,
    since: Timestamp,
    given: &mut Given,
    asked: &mut (dyn Ask + Send),
) -> Result<Vec<Sighting>, PeerError> {
    let says_no = plan.says_no();
    if says_no.is_empty() {
        return Ok(Vec::new());
    }
    let user = account.api.client.token().await?.user.clone();
    let since = format!("{MODIFIED_ON} ge {}", odata::instant(since));
    let said = format!("({})", says_no.join(" or "));
    let terms: Vec<String> =
        [Some(since), plan.not_by(&user), Some(said)].into_iter().flatten().collect();
    let filter = terms.join(" and ");
    let (select, order) = (plan.select(), format!("{MODIFIED_ON} desc,{} desc", plan.id));
    let top = account.settings.polling.page.clamp(1, PAGE_MAX).to_string();
    let options =
        [("$select", &*select), ("$filter", &filter), ("$orderby", &order), ("$top", &top)];
    let path = odata::query(&plan.set, &options);
    let mut tick = None;
    let mut about = || tick = Some(asked.tick());
    let (call, urgency) = (Call::Feed, Urgency::Feed);
    let query = Read { path: &path, prefer: ANNOTATED, call, urgency };
    let rows = account.api.rows(query, &mut about).await?;
    let tick = tick.expect("what was answered was sent");
    let mut sightings = Vec::new();
    for record in &rows.records {
        let sighting = plan.observe(record, tick)?;
        if given.takes(&sighting) {
            sightings.push(sighting);
        }
    }
    Ok(sightings)
}
