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

/// What is to be read of a link, and when it is to be looked at again, if a read is wanted at all.
/// `epoch` is the CRM's life of now.
pub(super) fn wanted_reads(
    link: &Link,
    read: Sides<bool>,
    (now, epoch): (Timestamp, u32),
) -> (Vec<(Side, RecordId)>, Option<Duration>) {
    let (mut records, mut again) = (Vec::new(), None::<Duration>);
    for side in Side::BOTH.into_iter().filter(|side| read[*side]) {
        let wait = match side {
            Side::Campaign => None,
            Side::Crm => just_read(link, now, epoch),
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
    let asked = seen.asked.filter(|_| link.sent.crm.is_empty() && seen.at.epoch == epoch)?;
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
        let read = Sides { campaign: false, crm: true };
        let wanted = |link: &Link, second| {
            let (records, again) = wanted_reads(link, read, (at(second), 0));
            (records.len(), again.map(|again| again.as_secs()))
        };
        assert_eq!(wanted(&link, 1000), (1, Some(10)), "never read");
        link.seen.crm.asked = Some(at(900));
        assert_eq!(wanted(&link, 1000), (0, Some(500)));
        assert_eq!(wanted(&link, 1500), (1, Some(10)), "that was long ago");
        assert_eq!(wanted(&link, 800), (1, Some(10)), "the clock went back");
        link.seen.crm.at.epoch = 1;
        assert_eq!(wanted(&link, 1000), (1, Some(10)), "in another life");
        let none = wanted_reads(&link, Sides::default(), (at(1000), 0));
        assert_eq!(none, (Vec::new(), None));
    }
}
