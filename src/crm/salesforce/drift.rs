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

use crate::crm::drift::{self, Drift, Due, turn};
use crate::crm::salesforce::api::Looked;
use crate::crm::salesforce::plan::Plan;
use crate::crm::salesforce::{Account, Plans, WORDS};
use crate::crm::standing::{Looks, Standing};
use crate::peer::PeerError;

/// Every so many looks a description is asked for whole.
const WHOLE_EVERY: u32 = 6;

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

impl DriftWatch {
    pub(super) fn new(account: Arc<Account>, plans: Plans) -> Self {
        let every = account.settings.describe_every;
        Self { account, plans, every, described: BTreeMap::new(), looks: 0, last: None }
    }

    /// Waits until the next look is due: the first is at once.
    pub async fn due(&mut self) {
        let due = drift::due(self.last, self.every, self.account.api.doubted()).await;
        if due == Due::Doubt {
            self.described.clear();
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
                let object = described.as_ref().map(|object| object as &dyn Looks);
                let standing = Standing::of(&plan.mapping, object, &WORDS);
                drifts.push(turn(&plan.mapping, &plan.standing, standing));
            }
        }
        Ok(drifts)
    }
}
