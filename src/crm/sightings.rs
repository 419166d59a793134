//! What every CRM's records are observed by: when they were asked for, their stamps, the external ids
//! that they bear.

use jiff::{SignedDuration, Timestamp};

use crate::peer::PeerError;
use crate::reconcile::{Entity, Gone, Interval, Observation, Position, Presence, Read, RecordId};

/// When a read was asked for: the tick that orders it, and our clock.
pub(super) type Asked = (Position, Timestamp);

/// A record that is not there.
pub(super) fn missing(entity: Entity, id: &RecordId, how: Gone, asked: Asked) -> Observation {
    Observation {
        entity,
        record: id.clone(),
        was: None,
        at: asked.0,
        read: Read::Asked(asked.1),
        presence: Presence::Gone(how),
        modified: None,
        by: None,
        stamp: None,
        claims: None,
    }
}

/// What stands before and behind Campaign's key in an external id of this format.
pub(super) fn around_key(
    format: &str,
    instance: &str,
    mapping: &str,
) -> Result<(String, String), PeerError> {
    let format = format.replace("{instance}", instance);
    let format = format.replace("{mapping}", mapping);
    let (before, behind) = format.split_once("{key}").ok_or_else(|| PeerError::Unfit {
        why: "external_id_format has no {key}; write {instance}:{key}".to_owned(),
    })?;
    Ok((before.to_owned(), behind.to_owned()))
}

/// The second that a stamp stands for.
pub(super) fn second_of(stamp: Timestamp) -> Interval {
    let until = stamp.saturating_add(SignedDuration::from_secs(1)).unwrap_or(stamp);
    Interval { after: stamp, until }
}
