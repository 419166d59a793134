//! How writes are sorted and guarded, whichever CRM they go to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::peer::PeerError;
use crate::reconcile::{
    Change, Delay, Expected, Field, Lane, Observation, Outcome, Presence, RecordId, Refusal,
    RefusalKind, Row, Target, Value, Write,
};

/// What is sent together, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    OptOut,
    /// Makes records that say that somebody is opted out.
    CreateOut,
    OptIn,
    Update,
    Create,
    Delete,
}

impl Kind {
    pub(super) fn of(write: &Write) -> Self {
        match (&write.change, &write.target, write.lane) {
            (Change::Delete, _, _) => Self::Delete,
            (Change::Set(_), Target::New { .. }, _) if opts_out(write) => Self::CreateOut,
            (Change::Set(_), Target::New { .. }, _) => Self::Create,
            (Change::Set(_), Target::Record(_), _) if write.opt_in => Self::OptIn,
            (Change::Set(_), Target::Record(_), Lane::Consent) => Self::OptOut,
            (Change::Set(_), Target::Record(_), Lane::Ordinary) => Self::Update,
        }
    }

    /// How many go together: what is there is read by as many as one read takes, and saved right
    /// after in calls side by side; an opt-in has a precondition of its own.
    pub(super) fn batch(self, reads: usize, creates: usize) -> usize {
        match self {
            Self::OptIn => 1,
            Self::OptOut | Self::Update | Self::Delete => reads,
            Self::CreateOut | Self::Create => creates,
        }
    }
}

/// What was under way at the same moment has ended after this long.
pub(super) const AGAIN: Duration = Duration::from_secs(2);

/// How soon writes to an object that cannot be read are tried again.
pub(super) const BLOCKED: Duration = Duration::from_mins(1);

/// The record, or of a new one that across.
pub(super) fn known_by(write: &Write) -> &RecordId {
    match &write.target {
        Target::Record(id) => id,
        Target::New { across, .. } => across,
    }
}

/// The record that is written, where it is there already.
pub(super) fn target(write: &Write) -> Option<&RecordId> {
    match &write.target {
        Target::Record(id) => Some(id),
        Target::New { .. } => None,
    }
}

/// What is set.
pub(super) fn row(write: &Write) -> &Row {
    const NOTHING: &Row = &Row::new();
    match &write.change {
        Change::Set(row) => row,
        Change::Delete => NOTHING,
    }
}

/// Whether what is written says that somebody is opted out.
fn opts_out(write: &Write) -> bool {
    row(write).values().any(|value| matches!(value, Value::Consent(consent) if consent.is_out()))
}

/// Whether the fields that the decision used hold what it saw: their canonical values, or the
/// side's own text where there is no canonical one.
pub(super) fn as_expected(expect: &BTreeMap<Field, Expected>, observation: &Observation) -> bool {
    let Presence::Here { row, raw, .. } = &observation.presence else { return false };
    expect.iter().all(|(field, expected)| match row.get(field) {
        Some(value) => *value == expected.value,
        None => expected.raw.is_some() && raw.get(field) == expected.raw.as_ref(),
    })
}

/// Whether a record stands for what a create would make: a CRM compares without case, we compare
/// what is canonical.
pub(super) fn stands_for(found: &Observation, write: &Write) -> bool {
    let Target::New { across, unless, .. } = &write.target else { return false };
    found.claims.as_ref() == Some(across)
        || unless
            .iter()
            .any(|(field, value)| !value.is_null() && found.value(*field) == Some(value))
}

/// Why a record is not to be made, by what stands for it already; `None` where it is to be made, and
/// nothing known where thousands do.
pub(super) fn stands_already(known: Option<Vec<Observation>>) -> Option<Outcome> {
    match known {
        Some(found) if found.is_empty() => None,
        Some(found) => Some(Outcome::Found(found)),
        None => Some(Outcome::Refused(Refusal {
            kind: RefusalKind::Record,
            code: "TRUCE_MATCHES_TOO_MANY".into(),
            message: "thousands of records hold one of the values that this one is matched by"
                .into(),
            fields: Vec::new(),
        })),
    }
}

/// What came of each write; of one that nothing is known of, the answer was lost.
pub(super) fn whole(outcomes: Vec<Option<Outcome>>) -> Vec<Outcome> {
    outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::Lost)).collect()
}

/// The places of writes that are told as gone or moved, of which only a read can tell how.
pub(super) fn unexplained(outcomes: &[Outcome]) -> Vec<usize> {
    let open = |n: &usize| matches!(outcomes[*n], Outcome::Gone(None) | Outcome::Stale(None));
    (0..outcomes.len()).filter(open).collect()
}

/// Tells by what was read of them how they are gone or moved. A record that is there, although its
/// write was told that something is gone, refers to something that is: `missing` says so.
pub(super) fn explained(
    outcomes: &mut [Outcome],
    places: Vec<usize>,
    read: Result<Vec<Observation>, PeerError>,
    missing: impl Fn() -> Refusal,
) {
    // The writes are done: an error of this read must not say that they were not.
    let Ok(read) = read else {
        // Nobody knows what is gone, the record or its parent.
        for outcome in outcomes.iter_mut().filter(|one| **one == Outcome::Gone(None)) {
            *outcome = Outcome::Later(AGAIN.into());
        }
        return;
    };
    for (place, seen) in places.into_iter().zip(read) {
        let seen = Box::new(seen);
        outcomes[place] = match (&seen.presence, &outcomes[place]) {
            (Presence::Gone(_), _) => Outcome::Gone(Some(seen)),
            (Presence::Here { .. }, Outcome::Gone(_)) => Outcome::Refused(missing()),
            (Presence::Here { .. }, _) => Outcome::Stale(Some(seen)),
        };
    }
}

/// A refusal because of a record that is referred to and is not there.
pub(super) fn missing_parent(code: impl Into<Arc<str>>, message: &str) -> Refusal {
    Refusal {
        kind: RefusalKind::Dependency,
        code: code.into(),
        message: message.into(),
        fields: Vec::new(),
    }
}

/// What came of parts that were sent side by side, one after the other: each with how many records it
/// has. What was not sent is told by `undone`; an error means that nothing was sent at all.
pub(super) fn together<T>(
    parts: impl Iterator<Item = (usize, Result<Vec<T>, PeerError>)>,
    undone: impl Fn(Delay) -> T,
) -> Result<Vec<T>, PeerError> {
    let (mut answered, mut sent, mut failed) = (Vec::new(), false, None);
    for (records, part) in parts {
        match part {
            Ok(answers) => {
                sent = true;
                answered.extend(answers);
            }
            Err(error) => {
                answered.extend((0..records).map(|_| undone(delay(&error))));
                failed = failed.or(Some(error));
            }
        }
    }
    match failed {
        Some(error) if !sent => Err(error),
        Some(_) | None => Ok(answered),
    }
}

/// When what was not done may be tried again.
pub(super) fn delay(error: &PeerError) -> Delay {
    let after = match error {
        PeerError::Throttled { after, .. } => *after,
        PeerError::Transient { .. }
        | PeerError::Denied { .. }
        | PeerError::CursorLost { .. }
        | PeerError::NewEpoch { .. }
        | PeerError::Unfit { .. } => Duration::from_secs(5),
    };
    Delay::of(after, error.reason())
}

/// Says that the answer to writes was lost.
pub(super) fn lost(error: &(dyn std::error::Error + Send + Sync), writes: usize) {
    tracing::warn!(error = %error, writes, "the answer to a write was lost, its records will be read");
}

/// Calls to the CRM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// That read what is about to be written, or ask whether it is there.
    pub reads: u64,
    /// That write.
    pub writes: u64,
}
