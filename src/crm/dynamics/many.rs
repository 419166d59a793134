//! Large loads: many rows by one action, `CreateMultiple` or `UpdateMultiple`.
//!
//! One call for hundreds of rows, and none of its own guards: `UpdateMultiple` ignores versions. So it is
//! used only where more waits than batches could carry in good time, never for consent, and right
//! behind the read that compared; the window between the two is measured. All rows of a call carry
//! the same columns, as logic over there sees their union.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde_json::json;
use tokio::time::Instant;

use crate::crm::dynamics::api::Record;
use crate::crm::dynamics::plan::{Plan, Sighting};
use crate::crm::dynamics::save::{Answered, Massed, save_massed};
use crate::crm::dynamics::writer::RowWriter;
use crate::crm::writes::{AGAIN, Kind, delay};
use crate::peer::PeerError;

/// So many are taken at once from what waits: some twenty calls, and half a minute.
const MASSED_MAX: usize = 10_000;

/// A row that is ready to be written: its write's place, as it was read, what is set.
pub(super) type Ready = (usize, Box<Sighting>, Record);

impl RowWriter {
    /// Whether so many writes of a kind go by one action for many.
    pub(super) fn goes_massed(&self, kind: Kind, writes: usize) -> bool {
        let enough = self.account.settings.multiple_from.is_some_and(|from| from <= writes);
        let apt = match kind {
            Kind::Update | Kind::Create => true,
            Kind::OptOut | Kind::CreateOut | Kind::OptIn | Kind::Delete => false,
        };
        apt && enough && self.account.takes_multiples()
    }

    /// How many writes are best handed over at once, while so many wait; 0 is as many as come.
    pub(super) fn massed_size(&self, waiting: usize) -> usize {
        match self.account.settings.multiple_from {
            Some(from) if from <= waiting && self.account.takes_multiples() => {
                waiting.min(MASSED_MAX.max(from))
            }
            Some(_) | None => 0,
        }
    }

    /// Updates rows by one action for many.
    pub(super) async fn update_massed(
        &self,
        plan: &Plan,
        ready: &[Ready],
        read_at: Instant,
    ) -> Result<Vec<Answered>, PeerError> {
        let targets: Vec<Record> = ready
            .iter()
            .map(|(_, sighting, body)| target(plan, &sighting.observation.record.0, body))
            .collect();
        let answered = self.act_on(plan, "UpdateMultiple", &targets).await?;
        self.account.count_window(read_at);
        Ok(answered)
    }

    /// Writes rows by an action, in parts of the same columns; where there is no such action, they
    /// are told as undone, and go by batches from then on.
    pub(super) async fn act_on(
        &self,
        plan: &Plan,
        action: &str,
        targets: &[Record],
    ) -> Result<Vec<Answered>, PeerError> {
        let mut alike: BTreeMap<Vec<&str>, Vec<usize>> = BTreeMap::new();
        for (place, target) in targets.iter().enumerate() {
            let mut columns: Vec<&str> = target.keys().map(String::as_str).collect();
            columns.sort_unstable();
            alike.entry(columns).or_default().push(place);
        }
        let mut answered = vec![Answered::Undone(AGAIN.into()); targets.len()];
        let mut sent = false;
        for places in alike.values().flat_map(|places| places.chunks(self.in_a_call())) {
            let some: Vec<Record> = places.iter().map(|place| targets[*place].clone()).collect();
            match save_massed(&self.account, &plan.set, action, &some).await {
                Ok(Massed::Each(answers)) => {
                    for (place, answer) in places.iter().zip(answers) {
                        answered[*place] = answer;
                    }
                }
                Ok(Massed::Unsupported) => {
                    let mapping = &plan.mapping.name;
                    tracing::warn!(%mapping, action, "the table has no such action: writing in batches");
                    self.account.no_multiples.store(true, Ordering::Relaxed);
                    return Ok(answered);
                }
                Err(error) if !sent => return Err(error),
                Err(error) => {
                    for place in places {
                        answered[*place] = Answered::Undone(delay(&error));
                    }
                }
            }
            sent = true;
        }
        Ok(answered)
    }
}

/// A row as an action takes it.
pub(super) fn target(plan: &Plan, id: &str, body: &Record) -> Record {
    let mut target = Record::new();
    let kind = format!("Microsoft.Dynamics.CRM.{}", plan.mapping.table);
    target.insert("@odata.type".to_owned(), json!(kind));
    target.insert(plan.id.to_string(), json!(id));
    target.extend(body.clone());
    target
}
