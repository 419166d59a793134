//! Watching what objects look like: described again every while, and at once when Salesforce refuses
//! what it took before.
//!
//! Mostly a description is asked for under `If-Modified-Since`. Whether a field's permissions count as
//! a change of it is not documented, so now and then it is asked for whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::crm::salesforce::api::Looked;
use crate::crm::salesforce::plan::Plan;
use crate::crm::salesforce::standing::Standing;
use crate::crm::salesforce::{Account, Plans};
use crate::peer::PeerError;
use crate::reconcile::Entity;

/// Every so many looks a description is asked for whole.
const WHOLE_EVERY: u32 = 6;

/// Between two looks, however much is refused.
const GAP: Duration = Duration::from_secs(30);

/// Watches the objects of an account's mappings.
pub struct DriftWatch {
    account: Arc<Account>,
    plans: Plans,
    every: Duration,
    /// When each object was described last, by the server's clock.
    described: BTreeMap<Arc<str>, Timestamp>,
    looks: u32,
    last: Option<Instant>,
}

/// What a look at the objects found of one mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The mapping.
    pub entity: Entity,
    /// Its fields that are paused, by name, each with why.
    pub paused: BTreeMap<Arc<str>, String>,
    /// Why all of it is, where that is so.
    pub blocked: Option<Arc<str>>,
    /// Whether something came back: what was missed is to be compared, what was refused tried again.
    pub back: bool,
}

impl DriftWatch {
    pub(super) fn new(account: Arc<Account>, plans: Plans) -> Self {
        let every = account.settings.describe_every;
        Self { account, plans, every, described: BTreeMap::new(), looks: 0, last: None }
    }

    /// Waits until the next look is due: the first is at once.
    pub async fn due(&mut self) {
        let Some(last) = self.last else { return };
        let doubted = async {
            self.account.api.doubted().await;
            tokio::time::sleep_until(last + GAP.min(self.every)).await;
        };
        tokio::select! {
            () = tokio::time::sleep_until(last + self.every) => (),
            () = doubted => self.described.clear(),
        }
    }

    /// Looks at all objects once; tells of each mapping of an object that looks otherwise.
    pub async fn look(&mut self) -> Result<Vec<Drift>, PeerError> {
        self.last = Some(Instant::now());
        if self.looks.is_multiple_of(WHOLE_EVERY) {
            self.described.clear();
        }
        self.looks = self.looks.wrapping_add(1);
        let plans: Vec<Arc<Plan>> = self.plans.0.values().map(Arc::clone).collect();
        let objects: BTreeSet<Arc<str>> =
            plans.iter().map(|plan| Arc::clone(&plan.mapping.table)).collect();
        let mut drifts = Vec::new();
        for object in objects {
            let since = self.described.get(&object).copied();
            let described = match self.account.api.describe_since(&object, since).await? {
                Looked::Same => continue,
                Looked::Gone => None,
                Looked::Is(described, date) => {
                    if let Some(date) = date {
                        self.described.insert(Arc::clone(&object), date);
                    }
                    Some(described.object())
                }
            };
            for plan in plans.iter().filter(|plan| plan.mapping.table == object) {
                drifts.push(turn(plan, Standing::of(&plan.mapping, described.as_ref())));
            }
        }
        Ok(drifts)
    }
}

/// Puts a mapping's standing in its place, and says aloud what is paused by it and what is no longer.
fn turn(plan: &Plan, next: Standing) -> Drift {
    let before = plan.standing.turn(next);
    let after = plan.standing.now();
    let (mapping, object) = (&plan.mapping.name, &plan.mapping.table);
    let mut paused = BTreeMap::new();
    let mut back = before.blocked.is_some() && after.blocked.is_none();
    if let Some(why) = after.blocked.as_ref().filter(|why| before.blocked.as_ref() != Some(*why)) {
        tracing::error!(%mapping, %object, %why, "an object is not as it was: its mapping is paused");
    }
    for field in &plan.mapping.fields {
        let name = &field.name;
        match (before.pauses(field), after.pauses(field)) {
            (was, Some((column, pause))) => {
                let why = &pause.why;
                if was != Some((column, pause)) {
                    tracing::error!(
                        %mapping, field = %name, %column, %why,
                        "a mapped field is not as it was: it is paused, and no other"
                    );
                }
                paused.insert(Arc::clone(name), format!("`{column}` {why}"));
            }
            (Some((column, _)), None) => {
                tracing::warn!(%mapping, field = %name, %column, "a mapped field is back: it goes on");
                back = true;
            }
            (None, None) => {}
        }
    }
    Drift { entity: plan.mapping.entity, paused, blocked: after.blocked.clone(), back }
}
