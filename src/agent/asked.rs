//! Which records a round has read before it can decide, and when it looks at the link again.
//!
//! A read that brought nothing new brings nothing the next time either: a field that the CRM hides is
//! in no answer. So a record that was just read is left alone for a while; whatever is seen of it
//! meanwhile makes its link due at once. Else some pairs with a hidden field would use up a day's
//! calls.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::reconcile::{Link, RecordId, Side, Sides};

use super::settle::READ_AGAIN;

/// A record that was read within this and still lacks something is not read again before.
const READ_LATER: Duration = Duration::from_mins(10);

/// What is to be read of a link, as it must be or as it lacks a field; and when it is to be looked at
/// again, if a read is wanted at all. `epoch` is the CRM's life of now.
pub(super) fn wanted_reads(
    link: &Link,
    (read, lacks): (Sides<bool>, Sides<bool>),
    (now, epoch): (Timestamp, u32),
) -> (Vec<(Side, RecordId)>, Option<Duration>) {
    let (mut records, mut again) = (Vec::new(), None::<Duration>);
    for side in Side::BOTH.into_iter().filter(|side| read[*side] || lacks[*side]) {
        let wait = match side {
            Side::Crm if !read.crm => just_read(link, now, epoch),
            Side::Campaign | Side::Crm => None,
        };
        if let (None, Some(record)) = (wait, link.record(side)) {
            records.push((side, record.clone()));
        }
        let next = wait.unwrap_or(READ_AGAIN);
        again = Some(again.map_or(next, |again| again.min(next)));
    }
    (records, again)
}

/// For how long a CRM record is left alone, as a read of it was just taken in and nothing that was
/// written waits for another.
fn just_read(link: &Link, now: Timestamp, epoch: u32) -> Option<Duration> {
    let seen = &link.seen.crm;
    // Of a record that we made and nobody has read yet only what we wrote is known.
    let was_read = seen.modified.is_some() && seen.at.epoch == epoch;
    let asked = seen.asked.filter(|_| was_read && link.sent.crm.is_empty())?;
    let since = now.duration_since(asked);
    let left = SignedDuration::try_from(READ_LATER).ok()?.checked_sub(since)?;
    // A clock that went back tells nothing.
    let fits = SignedDuration::ZERO <= since && SignedDuration::ZERO < left;
    left.try_into().ok().filter(|_| fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::{Entity, LinkId};

    #[test]
    fn a_record_that_was_just_read_is_left_alone_for_a_while() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut link = Link::new(LinkId(1), Entity(1));
        link.seen.crm.record = Some("003".into());
        let (none, crm) = (Sides::default(), Sides { campaign: false, crm: true });
        let wanted = |link: &Link, second| {
            let (records, again) = wanted_reads(link, (none, crm), (at(second), 0));
            (records.len(), again.map(|again| again.as_secs()))
        };
        assert_eq!(wanted(&link, 1000), (1, Some(10)), "never read");
        link.seen.crm.asked = Some(at(900));
        assert_eq!(wanted(&link, 1000), (1, Some(10)), "made by us, and not read yet");
        link.seen.crm.modified = Some(at(890));
        assert_eq!(wanted(&link, 1000), (0, Some(500)));
        assert_eq!(wanted(&link, 1500), (1, Some(10)), "that was long ago");
        assert_eq!(wanted(&link, 800), (1, Some(10)), "the clock went back");
        link.seen.crm.at.epoch = 1;
        assert_eq!(wanted(&link, 1000), (1, Some(10)), "in another life");
        assert_eq!(wanted_reads(&link, (none, none), (at(1000), 0)), (Vec::new(), None));
        link.seen.crm.at.epoch = 0;
        let (records, again) = wanted_reads(&link, (crm, crm), (at(1000), 0));
        assert_eq!((records.len(), again), (1, Some(READ_AGAIN)), "it must be known");
    }
}
