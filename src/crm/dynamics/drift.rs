//! Watching what tables look like: described again every while, and at once when Dataverse refuses
//! what it took before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::crm::drift::{self, Drift, turn};
use crate::crm::dynamics::describe::Described;
use crate::crm::dynamics::plan::Plan;
use crate::crm::dynamics::{Account, Plans, WORDS};
use crate::crm::standing::{Looks, Standing};
use crate::peer::PeerError;

/// Watches the tables of an account's mappings.
pub struct DriftWatch {
    account: Arc<Account>,
    plans: Plans,
    every: Duration,
    /// What each table looked like last.
    looked: BTreeMap<Arc<str>, Option<Described>>,
    last: Option<Instant>,
}

impl DriftWatch {
    pub(super) fn new(account: Arc<Account>, plans: Plans) -> Self {
        let every = account.settings.describe_every;
        Self { account, plans, every, looked: BTreeMap::new(), last: None }
    }

    /// Waits until the next look is due: the first is at once.
    pub async fn due(&mut self) {
        drift::due(self.last, self.every, self.account.api.doubted()).await;
    }

    /// Looks at all tables once; tells of each mapping of a table that looks otherwise.
    pub async fn look(&mut self) -> Result<Vec<Drift>, PeerError> {
        self.last = Some(Instant::now());
        let plans: Vec<Arc<Plan>> = self.plans.0.values().map(Arc::clone).collect();
        let tables: BTreeSet<Arc<str>> =
            plans.iter().map(|plan| Arc::clone(&plan.mapping.table)).collect();
        let mut drifts = Vec::new();
        for name in tables {
            let described = self.account.look_at(&name).await?;
            if self.looked.get(&name) == Some(&described) {
                continue;
            }
            let table = described.as_ref().map(Described::table);
            for plan in plans.iter().filter(|plan| plan.mapping.table == name) {
                let looks = table.as_ref().map(|table| table as &dyn Looks);
                let standing = Standing::of(&plan.mapping, looks, &WORDS);
                drifts.push(turn(&plan.mapping, &plan.standing, standing));
            }
            self.looked.insert(name, described);
        }
        Ok(drifts)
    }
}
