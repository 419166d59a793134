//! Sending what is to be saved, and what its answer says of each record.

use std::ops::Range;

use futures_util::future::join_all;

use crate::crm::http::{Failure, Urgency};
use crate::crm::salesforce::api::{Api, Record, SaveResult, Saved};
use crate::crm::salesforce::codes::Action;
use crate::crm::salesforce::errors::ApiError;
use crate::crm::salesforce::ids;
use crate::crm::salesforce::plan::Plan;
use crate::crm::writes::{self, delay, lost, together};
use crate::peer::PeerError;
use crate::reconcile::{Delay, Outcome, RecordId, Refusal};

/// Records of one object, to be saved in one way.
#[derive(Clone, Copy)]
pub(super) enum Batch<'a> {
    /// By their own ids.
    Update(&'a [Record], Urgency),
    /// By this external id.
    Upsert(&'a [Record], &'a str, Urgency),
    /// Away with these.
    Delete(&'a [&'a RecordId]),
}

impl<'a> Batch<'a> {
    /// The same in parts of at most so many.
    fn parts(self, most: usize) -> Vec<Batch<'a>> {
        match self {
            Self::Update(records, urgency) => {
                records.chunks(most).map(|part| Self::Update(part, urgency)).collect()
            }
            Self::Upsert(records, key, urgency) => {
                records.chunks(most).map(|part| Self::Upsert(part, key, urgency)).collect()
            }
            Self::Delete(ids) => ids.chunks(most).map(Self::Delete).collect(),
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Update(records, _) | Self::Upsert(records, _, _) => records.len(),
            Self::Delete(ids) => ids.len(),
        }
    }

    async fn send(self, api: &Api, plan: &Plan, part: Range<usize>) -> Result<Saved, Failure> {
        match self {
            Self::Update(records, urgency) => api.update(&records[part], urgency).await,
            Self::Upsert(records, key, urgency) => {
                api.upsert(&plan.mapping.table, key, &records[part], urgency).await
            }
            Self::Delete(ids) => api.delete(&ids[part]).await,
        }
    }
}

/// What came of one record of a call.
#[derive(Debug)]
pub(super) enum Answered {
    Saved(SaveResult),
    Refused(ApiError),
    Undone(Delay),
    Lost,
}

impl Answered {
    /// Why it was refused, where it was.
    pub(super) fn error(&self) -> Option<&ApiError> {
        match self {
            Self::Saved(result) => result.errors.first(),
            Self::Refused(error) => Some(error),
            Self::Undone(_) | Self::Lost => None,
        }
    }
}

/// Whether a record was there before its write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    New,
    Known,
}

/// Sends what is to be saved in calls of at most so many, side by side: the account's own limits
/// say how many go at once. One read comes before all of them, and their window ends with the last.
///
/// An error means that nothing was sent at all.
pub(super) async fn save_all(
    api: &Api,
    plan: &Plan,
    batch: Batch<'_>,
    most: usize,
) -> Result<Vec<Answered>, PeerError> {
    let parts = batch.parts(most);
    let calls = parts.iter().map(|part| save(api, plan, *part));
    let answers = join_all(calls).await.into_iter();
    together(parts.iter().map(|part| part.len()).zip(answers), Answered::Undone)
}

/// Sends what is to be saved; in halves, where one record makes the whole body unreadable.
///
/// An error means that nothing was sent at all.
pub(super) async fn save(
    api: &Api,
    plan: &Plan,
    batch: Batch<'_>,
) -> Result<Vec<Answered>, PeerError> {
    let mut answered = Vec::with_capacity(batch.len());
    let mut parts: Vec<Range<usize>> = Vec::new();
    parts.push(0..batch.len());
    let mut sent = false;
    while let Some(part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        match batch.send(api, plan, part.clone()).await {
            Ok(Saved::Each(results)) => answered.extend(results.into_iter().map(Answered::Saved)),
            Ok(Saved::Refused(errors)) => {
                let error = errors.into_iter().next().unwrap_or_else(unexplained);
                if error.action() == Action::SplitBody && part.len() > 1 {
                    let middle = part.start + part.len() / 2;
                    parts.extend([middle..part.end, part.start..middle]);
                } else {
                    answered.extend(part.map(|_| Answered::Refused(error.clone())));
                }
            }
            Err(Failure::Undone(error)) if !sent => return Err(error),
            Err(Failure::Undone(error)) => {
                answered.extend(part.map(|_| Answered::Undone(delay(&error))));
            }
            Err(Failure::Lost(error)) => {
                lost(&*error, part.len());
                answered.extend(part.map(|_| Answered::Lost));
            }
        }
        sent = true;
    }
    Ok(answered)
}

/// The outcome of a write that was sent.
pub(super) fn outcome(answered: Answered, plan: &Plan, age: Age) -> Outcome {
    match (answered, age) {
        (Answered::Saved(result), Age::Known) if result.success => {
            Outcome::Done { created: None, xid: None }
        }
        (Answered::Saved(result), Age::New) if result.success => {
            match result.id.and_then(|id| ids::record_id(&id)) {
                Some(id) => Outcome::Done { created: Some(id), xid: None },
                // Made, and nobody knows which one it is.
                None => Outcome::Lost,
            }
        }
        (Answered::Saved(result), age) => refused(result.errors, plan, age),
        (Answered::Refused(error), age) => refused(vec![error], plan, age),
        (Answered::Undone(delay), _) => Outcome::Later(delay),
        (Answered::Lost, _) => Outcome::Lost,
    }
}

/// The outcome of a write that was refused with these errors, of which the first counts.
fn refused(errors: Vec<ApiError>, plan: &Plan, age: Age) -> Outcome {
    let outcome = errors.into_iter().next().unwrap_or_else(unexplained).outcome(&plan.mapping);
    // A new record cannot be gone: what it refers to is.
    if age == Age::New && outcome == Outcome::Gone(None) {
        return Outcome::Refused(missing_parent());
    }
    outcome
}

pub(super) fn unexplained() -> ApiError {
    ApiError::new("NO_ERROR_GIVEN", "refused without a word")
}

pub(super) fn missing_parent() -> Refusal {
    writes::missing_parent("ENTITY_IS_DELETED", "a record that it refers to is deleted")
}
