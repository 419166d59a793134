//! Sending what is to be saved, and what its answer says of each row.

use std::ops::Range;

use futures_util::future::join_all;

use crate::crm::dynamics::Account;
use crate::crm::dynamics::api::{Done, Record};
use crate::crm::dynamics::batch::{Operation, Part};
use crate::crm::dynamics::codes::Action;
use crate::crm::dynamics::errors::ApiError;
use crate::crm::dynamics::plan::Plan;
use crate::crm::http::{Call, Failure, Urgency};
use crate::crm::writes::{self, AGAIN, delay, lost, together};
use crate::peer::PeerError;
use crate::reconcile::{Delay, Outcome, RecordId, Refusal};

/// What came of one operation.
#[derive(Clone, Debug)]
pub(super) enum Answered {
    Done,
    Refused(ApiError),
    Undone(Delay),
    Lost,
}

impl Answered {
    /// What a part of a batch's answer says.
    fn of(account: &Account, part: &Part) -> Self {
        match part.error() {
            None => Self::Done,
            // A limit may be met in the middle of a batch.
            Some(error) if error.action() == Action::FewerWorkers => {
                account.api.client.crowded();
                Self::Undone(Delay::of(AGAIN, error.code_word()))
            }
            Some(error) => {
                account.api.doubt_by(&error);
                Self::Refused(error)
            }
        }
    }

    /// Why it was refused, where it was.
    pub(super) fn error(&self) -> Option<&ApiError> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Done | Self::Undone(_) | Self::Lost => None,
        }
    }

    /// The outcome of a write of which this came; `created` is the row that it was to make.
    pub(super) fn outcome(self, plan: &Plan, created: Option<&RecordId>) -> Outcome {
        match self {
            Self::Done => Outcome::Done { created: created.cloned(), xid: None },
            Self::Undone(after) => Outcome::Later(after),
            Self::Lost => Outcome::Lost,
            Self::Refused(error) => {
                let outcome = error.outcome(&plan.mapping);
                // What is new cannot be gone: what it refers to is.
                if created.is_some() && outcome == Outcome::Gone(None) {
                    return Outcome::Refused(missing_parent(&error));
                }
                outcome
            }
        }
    }
}

/// A refusal because of a row that is referred to and is not there.
pub(super) fn missing_parent(error: &ApiError) -> Refusal {
    writes::missing_parent(error.code_word(), "a row that it refers to is not there")
}

/// Sends operations in batches of at most so many, side by side: the account's own limits say how
/// many go at once.
///
/// An error means that nothing was sent at all.
pub(super) async fn save_all(
    account: &Account,
    operations: &[Operation],
    most: usize,
    urgency: Urgency,
) -> Result<Vec<Answered>, PeerError> {
    let parts: Vec<&[Operation]> = operations.chunks(most.max(1)).collect();
    let calls = parts.iter().map(|part| save(account, part, urgency));
    let answers = join_all(calls).await.into_iter();
    together(parts.iter().map(|part| part.len()).zip(answers), Answered::Undone)
}

/// Sends one batch; in halves, where it is too large.
async fn save(
    account: &Account,
    operations: &[Operation],
    urgency: Urgency,
) -> Result<Vec<Answered>, PeerError> {
    let save = async |range: Range<usize>| {
        let some = &operations[range];
        account.api.batch(some, Call::Write, urgency, &mut || ()).await
    };
    let mut answered = Vec::with_capacity(operations.len());
    let mut rest: Vec<Range<usize>> = Vec::new();
    rest.push(0..operations.len());
    let mut begun = false;
    while let Some(range) = rest.pop() {
        match save(range.clone()).await {
            Ok(parts) => {
                let large = |part: &Part| {
                    part.error().is_some_and(|error| error.action() == Action::SplitBody)
                };
                if 1 < range.len() && parts.iter().all(large) {
                    rest.extend(halves(range));
                    continue;
                }
                answered.extend(parts.iter().map(|part| Answered::of(account, part)));
            }
            Err(Failure::Undone(error)) if !begun => return Err(error),
            Err(Failure::Undone(error)) => {
                answered.extend(range.map(|_| Answered::Undone(delay(&error))));
            }
            Err(Failure::Lost(error)) => {
                lost(&*error, range.len());
                answered.extend(range.map(|_| Answered::Lost));
            }
        }
        begun = true;
    }
    Ok(answered)
}

/// The second half first, as the last is taken first.
fn halves(range: Range<usize>) -> [Range<usize>; 2] {
    let middle = range.start + range.len() / 2;
    [middle..range.end, range.start..middle]
}

/// What came of rows that one action was to write.
pub(super) enum Massed {
    /// Each has its own answer.
    Each(Vec<Answered>),
    /// The table has no such action.
    Unsupported,
}

/// Writes rows by one action, which takes all or none: a part that is refused is halved until the
/// guilty row is alone, as the error does not say which it was.
///
/// An error means that nothing was sent at all.
pub(super) async fn save_massed(
    account: &Account,
    set: &str,
    action: &str,
    targets: &[Record],
) -> Result<Massed, PeerError> {
    let mut answered = Vec::with_capacity(targets.len());
    let mut rest: Vec<Range<usize>> = Vec::new();
    rest.push(0..targets.len());
    let mut begun = false;
    while let Some(range) = rest.pop() {
        match account.api.multiple(set, action, &targets[range.clone()]).await {
            Ok(Done::Yes) => answered.extend(range.map(|_| Answered::Done)),
            Ok(Done::Refused(error)) if !begun && is_unsupported(&error) => {
                return Ok(Massed::Unsupported);
            }
            Ok(Done::Refused(_)) if 1 < range.len() => rest.extend(halves(range)),
            Ok(Done::Refused(error)) => {
                account.api.doubt_by(&error);
                answered.push(Answered::Refused(error));
            }
            Err(Failure::Undone(error)) if !begun => return Err(error),
            Err(Failure::Undone(error)) => {
                answered.extend(range.map(|_| Answered::Undone(delay(&error))));
            }
            Err(Failure::Lost(error)) => {
                lost(&*error, range.len());
                answered.extend(range.map(|_| Answered::Lost));
            }
        }
        begun = true;
    }
    Ok(Massed::Each(answered))
}

/// Whether the action itself is not there.
fn is_unsupported(error: &ApiError) -> bool {
    matches!(error.status, 404 | 405 | 501) && error.action() == Action::DescribeAnew
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_taken_in_the_order_of_the_rows() {
        let (mut rest, all) = (Vec::new(), 0..5);
        rest.push(all);
        let mut order = Vec::new();
        while let Some(range) = rest.pop() {
            if 1 < range.len() { rest.extend(halves(range)) } else { order.push(range.start) }
        }
        assert_eq!(order, [0, 1, 2, 3, 4]);
    }
}
