//! What writes would cost, in calls: the same sorting and packing as writing them, and nothing sent.

use std::collections::BTreeMap;

use crate::crm::salesforce::api::READS_MAX;
use crate::crm::salesforce::bulk::INGEST_CALLS;
use crate::crm::salesforce::create::count_questions;
use crate::crm::salesforce::writer::RecordWriter;
use crate::crm::writes::{Cost, Kind};
use crate::peer::PeerError;
use crate::reconcile::{Entity, Write};

impl RecordWriter {
    /// What these writes would cost, were they written together and nothing in their way.
    pub fn cost(&self, writes: &[Write]) -> Result<Cost, PeerError> {
        let mut jobs: BTreeMap<(Kind, Entity), Vec<&Write>> = BTreeMap::new();
        for write in writes {
            jobs.entry((Kind::of(write), write.entity)).or_default().push(write);
        }
        let mut cost = Cost::default();
        for ((kind, entity), writes) in jobs {
            let plan = self.plans.of(entity)?;
            if self.wants_job(kind, writes.len()) {
                cost.writes += INGEST_CALLS as u64;
                cost.reads += match kind {
                    Kind::CreateOut | Kind::Create => count_questions(plan, &writes) as u64,
                    Kind::OptOut | Kind::OptIn | Kind::Update | Kind::Delete => {
                        writes.len().div_ceil(READS_MAX) as u64
                    }
                };
                continue;
            }
            for batch in writes.chunks(kind.batch(READS_MAX, self.in_a_call())) {
                cost.writes += batch.len().div_ceil(self.in_a_call()) as u64;
                cost.reads += match kind {
                    Kind::OptOut | Kind::OptIn | Kind::Update | Kind::Delete => 1,
                    Kind::CreateOut | Kind::Create => count_questions(plan, batch) as u64,
                };
            }
        }
        Ok(cost)
    }
}
