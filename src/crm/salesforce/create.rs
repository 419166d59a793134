//! Creates: by upsert on the external id, after asking whether the record is there already.
//!
//! A create whose answer was lost may be sent again, as it names the record across: Salesforce
//! finds what the first one made. It is asked for first all the same, by external id and by
//! what the mapping matches on, because an upsert that finds a live record overwrites it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;
use tokio::time::Instant;

use crate::crm::http::{Call, Urgency};
use crate::crm::salesforce::api::{Query, READS_MAX, Record, Rows};
use crate::crm::salesforce::errors::{self, ApiError};
use crate::crm::salesforce::plan::Plan;
use crate::crm::salesforce::save::{self, Age, Answered, Batch};
use crate::crm::salesforce::soql;
use crate::crm::salesforce::writer::{Ready, RecordWriter};
use crate::crm::writes::{AGAIN, row, stands_already, stands_for, whole};
use crate::peer::{Ask, PeerError};
use crate::reconcile::{Observation, Outcome, Refusal, RefusalKind, Target, Write};

/// A value that so many records hold is nothing to match by.
const MATCH_PAGES_MAX: usize = 5;
/// A literal in a condition may be 4,000 characters long.
const LITERAL_CHARS_MAX: usize = 4000;

/// Some creates whose questions fit one address.
#[derive(Default)]
struct Question {
    places: Vec<usize>,
    literals: BTreeMap<Arc<str>, BTreeSet<String>>,
    encoded_bytes: usize,
}

/// What stands for the same thing already, by the create's place; `None` where nobody can tell.
type Known = Vec<Option<Vec<Observation>>>;

impl RecordWriter {
    pub(super) async fn create(
        &self,
        plan: &Plan,
        writes: &[&Write],
        urgency: Urgency,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Outcome>, PeerError> {
        let Some(external_id) = &plan.mapping.external_id else {
            return Ok(vec![Outcome::Refused(no_external_id()); writes.len()]);
        };
        let prepared = self.prepare_creates(plan, (external_id, urgency), writes, asked).await?;
        let Ready { mut outcomes, records, places, read_at } = prepared;
        let batch = Batch::Upsert(&records, external_id, urgency);
        let answered = save::save(&self.account.api, plan, batch).await?;
        if !records.is_empty() {
            self.account.count_window(read_at.elapsed());
        }
        for (place, answered) in places.into_iter().zip(answered) {
            outcomes[place] = Some(self.created(plan, writes[place], answered, external_id));
        }
        Ok(whole(outcomes))
    }

    /// What came of a create that was sent.
    pub(super) fn created(
        &self,
        plan: &Plan,
        write: &Write,
        answered: Answered,
        external_id: &str,
    ) -> Outcome {
        match answered.error() {
            // Another create of the same key was under way.
            Some(error) if takes(error, external_id) => Outcome::Later(error.delay(AGAIN)),
            Some(_) | None => self.outcome(plan, write, answered, Age::New),
        }
    }

    /// Asks what is there already, and says the rest in Salesforce's words.
    pub(super) async fn prepare_creates(
        &self,
        plan: &Plan,
        (external_id, urgency): (&Arc<str>, Urgency),
        writes: &[&Write],
        asked: &mut (dyn Ask + Send),
    ) -> Result<Ready, PeerError> {
        let read_at = Instant::now();
        let known = self.known(plan, (external_id, urgency), writes, asked).await?;
        let mut outcomes: Vec<Option<Outcome>> = known.into_iter().map(stands_already).collect();
        let (mut records, mut places) = (Vec::new(), Vec::new());
        for (place, write) in writes.iter().enumerate() {
            if outcomes[place].is_some() {
                continue;
            }
            match create_body(plan, external_id, write) {
                Ok(record) => {
                    records.push(record);
                    places.push(place);
                }
                Err(refusal) => outcomes[place] = Some(Outcome::Refused(refusal)),
            }
        }
        Ok(Ready { outcomes, records, places, read_at })
    }

    /// Asks for what stands for the same things already.
    async fn known(
        &self,
        plan: &Plan,
        (external_id, urgency): (&Arc<str>, Urgency),
        writes: &[&Write],
        asked: &mut (dyn Ask + Send),
    ) -> Result<Known, PeerError> {
        let mut known: Known = writes.iter().map(|_| Some(Vec::new())).collect();
        let all: Vec<usize> = (0..writes.len()).collect();
        let mut open = questions(plan, external_id, writes, &all);
        while let Some(question) = open.pop() {
            let found = match self.answers(plan, &question, urgency, asked).await {
                Err(error) if 1 < question.places.len() && errors::timed_out(&error) => None,
                found => found?,
            };
            if found.is_none() && 1 < question.places.len() {
                // One value that thousands hold, or that takes long to look for, is nothing against
                // its neighbours.
                for half in question.places.chunks(question.places.len().div_ceil(2)) {
                    open.extend(questions(plan, external_id, writes, half));
                }
                continue;
            }
            for place in question.places {
                known[place] = found.as_ref().map(|found| {
                    let same = found.iter().filter(|found| stands_for(found, writes[place]));
                    same.cloned().collect()
                });
            }
        }
        Ok(known)
    }

    async fn answers(
        &self,
        plan: &Plan,
        question: &Question,
        urgency: Urgency,
        asked: &mut (dyn Ask + Send),
    ) -> Result<Option<Vec<Observation>>, PeerError> {
        let any: Vec<String> =
            question.literals.iter().map(|(column, list)| soql::within(column, list)).collect();
        let any = any.join(" OR ");
        let mut found: Vec<Observation> = Vec::new();
        for _ in 0..MATCH_PAGES_MAX {
            let behind =
                found.last().map(|last| format!(" AND Id > {}", soql::text(&last.record.0)));
            let statement = format!(
                "{} WHERE ({any}){} ORDER BY Id LIMIT {READS_MAX}",
                plan.select(),
                behind.unwrap_or_default()
            );
            let mut tick = None;
            let mut about = || tick = Some(asked.tick());
            let query =
                Query { rows: Rows::Live, statement: &statement, call: Call::Read, urgency };
            let selected = self.account.api.query(query, &mut about).await?;
            let tick = tick.expect("what was answered was sent");
            for record in &selected.records {
                found.push(plan.observe(record, tick)?.observation);
            }
            if selected.done && selected.records.len() < READS_MAX {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// How many questions come before these creates.
pub(super) fn count_questions(plan: &Plan, writes: &[&Write]) -> usize {
    let Some(external_id) = &plan.mapping.external_id else { return 0 };
    let all: Vec<usize> = (0..writes.len()).collect();
    questions(plan, external_id, writes, &all).len()
}

/// Packs the questions of the creates at these places into as few statements as fit an address each.
fn questions(
    plan: &Plan,
    external_id: &Arc<str>,
    writes: &[&Write],
    places: &[usize],
) -> Vec<Question> {
    let room = soql::ENCODED_BYTES_MAX.saturating_sub(soql::encode(&plan.select()).len());
    let mut questions: Vec<Question> = Vec::new();
    for place in places.iter().copied() {
        let Target::New { across, unless, .. } = &writes[place].target else { continue };
        let own = (Arc::clone(external_id), soql::text(&plan.external_id(across)));
        let matches = unless.iter().filter_map(|(field, value)| plan.condition(*field, value));
        let matches = matches.map(|(column, literal)| (Arc::clone(column), literal));
        let terms: Vec<(Arc<str>, String)> = std::iter::once(own)
            .chain(matches)
            .filter(|(_, literal)| literal.chars().count() <= LITERAL_CHARS_MAX)
            .collect();
        // Each literal with its comma.
        let bytes: usize = terms.iter().map(|(_, literal)| soql::encode(literal).len() + 3).sum();
        if questions.last().is_none_or(|last| last.encoded_bytes + bytes > room) {
            questions.push(Question::default());
        }
        let question = questions.last_mut().expect("one was pushed where there was none");
        question.encoded_bytes += bytes;
        question.places.push(place);
        for (column, literal) in terms {
            question.literals.entry(column).or_default().insert(literal);
        }
    }
    questions
}

fn create_body(plan: &Plan, external_id: &str, write: &Write) -> Result<Record, Refusal> {
    let mut record = Record::new();
    record.insert("attributes".to_owned(), json!({ "type": &*plan.mapping.table }));
    record.extend(plan.fields(row(write), true, &write.stamp.to_string())?);
    if let Target::New { across, .. } = &write.target {
        record.insert(external_id.to_owned(), json!(plan.external_id(across)));
    }
    Ok(record)
}

/// Whether the external id itself was taken while we asked: the next try finds who holds it.
fn takes(error: &ApiError, external_id: &str) -> bool {
    let told = error.message.strip_prefix("duplicate value found: ");
    let named = told.and_then(|rest| rest.split_whitespace().next());
    error.code == "DUPLICATE_VALUE" && named.is_some_and(|n| n.eq_ignore_ascii_case(external_id))
}

pub(super) fn no_external_id() -> Refusal {
    Refusal {
        kind: RefusalKind::Mapping,
        code: "TRUCE_NO_EXTERNAL_ID".into(),
        message: "records are created by an external id, so that a lost answer doubles nothing; \
                  set external_id in the mapping"
            .into(),
        fields: Vec::new(),
    }
}
