//! What an observation tells of a write under way (rules 1 and 2).

use jiff::Timestamp;

use crate::reconcile::observe::{passed, same};
use crate::reconcile::{Answer, Change, Lane, Observation, Policy, Read, Sent, Target};

/// What became of a write, as far as an observation tells.
pub(super) enum Fate {
    Landed,
    GivenUp,
    NeverWill,
    Open,
}

pub(super) fn fate(sent: &Sent, seen: &Observation, policy: &Policy) -> Fate {
    match (&seen.read, sent.answer) {
        (Read::Logged { xid }, _) if sent.xid == Some(*xid) => Fate::Landed,
        (Read::Selected(snapshot), Answer::Committed(xid)) if snapshot.sees(xid) => Fate::Landed,
        (Read::Asked(asked), Answer::Lost(_)) => crm_fate(sent, seen, policy, *asked),
        (Read::Logged { .. } | Read::Selected(_) | Read::Asked(_), _) => Fate::Open,
    }
}

/// A stamp proves that a write landed; its absence proves nothing (rule 1).
fn crm_fate(sent: &Sent, seen: &Observation, policy: &Policy, asked: Timestamp) -> Fate {
    let expired = passed(sent.at, policy.write_limit + policy.late_commit, asked);
    let (row, gone) = match &sent.write.change {
        Change::Set(row) => (Some(row), false),
        Change::Delete => (None, seen.row().is_none()),
    };
    let bears = seen.stamp == Some(sent.write.stamp);
    let holds = row.is_some_and(|row| {
        row.iter().all(|(field, value)| seen.value(*field).is_some_and(|seen| same(seen, value)))
    });
    // A new record that names our record as its counterpart is one that we made, but perhaps by an
    // earlier try, with other values: what it holds is not known to have been agreed on.
    let (creates, ours) = match &sent.write.target {
        // The one that it takes the place of names it too, and is gone.
        Target::New { across, .. } => {
            (true, seen.row().is_some() && seen.claims.as_ref() == Some(across))
        }
        Target::Record(_) => (false, false),
    };
    if bears || gone || (!policy.stamped && holds) {
        return Fate::Landed;
    }
    if ours {
        return Fate::GivenUp;
    }
    let repeatable = !creates && !sent.write.opt_in;
    let opt_out = sent.write.lane == Lane::Consent && !sent.write.opt_in;
    if expired {
        Fate::NeverWill
    } else if repeatable && (policy.stamped || opt_out || row.is_none()) {
        Fate::GivenUp
    } else {
        Fate::Open
    }
}
