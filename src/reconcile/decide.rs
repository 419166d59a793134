//! What would bring the two sides to agree: a pure function of a link, its policy and the moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::reconcile::absence::{decide_absent, decide_create};
use crate::reconcile::consent::decide_consent;
use crate::reconcile::fields::decide_fields;
use crate::reconcile::link::{BlockReason, Release};
use crate::reconcile::observe::passed;
use crate::reconcile::{
    Answer, Bond, Change, Clocks, Expected, Field, Gone, Lane, Link, LinkId, LinkState, Policy,
    RecordId, Row, Sent, Side, Sides, Stamp, Target, Value, Write,
};

/// What a decision needs to know beside the link and its policy.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Our clock.
    pub now: Timestamp,
    /// The clocks of the sides.
    pub clocks: Clocks,
    /// The current epoch of each side.
    pub epochs: Sides<u32>,
    /// The ledger's own epoch, for stamps.
    pub ledger_epoch: u32,
    /// Whether records may be created now.
    pub creates: Gate,
    /// Whether deletions may go over now.
    pub deletes: Gate,
    /// The records of the links that fields refer to, of each that there is.
    pub parents: BTreeMap<LinkId, Sides<Option<RecordId>>>,
}

/// Whether something may be done at all at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It may.
    Open,
    /// Not yet: both sides have not been scanned to their ends.
    Later,
    /// Not before a person releases it: a side began a new epoch.
    Held,
}

/// What a decision comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// What to write: at most one a side and lane.
    pub writes: Vec<Write>,
    /// What is left for a person.
    pub held: Vec<Held>,
    /// Which sides must be read before anything can be said.
    pub read: Sides<bool>,
    /// Which sides have not shown a field yet: read too, and where that brings nothing seldom.
    pub lacks: Sides<bool>,
    /// Which records must be known first (parents, a merge's survivor), by the side that named them.
    pub waits: Vec<(Side, Wait)>,
    /// Campaign transactions whose end must be asked for.
    pub unsettled: Vec<u64>,
    /// Each field in which a value was discarded, and why the other stands.
    pub ruled: Vec<Ruled>,
    /// Whether both records are gone, so that a tombstone is all that remains.
    pub retire: bool,
    /// Whether the record that is left is to be left alone from now on.
    pub sever: bool,
}

/// What a link waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A parent that no link is known for.
    Parent(Field, RecordId),
    /// A parent's link that has no record on the side to be written.
    Counterpart(Field, LinkId),
    /// The record into which this one was merged.
    Survivor(RecordId),
}

/// Something that a person must decide or mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The field; `None` is the whole record.
    pub field: Option<Field>,
    /// Why.
    pub reason: HeldReason,
}

/// Why something is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldReason {
    /// Both sides changed the field, and the policy leaves it to a person.
    Conflict,
    /// The two sides met with different values, and the pairing policy leaves it to a person.
    Pairing,
    /// One side deleted the record.
    Deleted(Side),
    /// One side deleted the record, the other changed it.
    DeletedAndChanged(Side),
    /// A sweep no longer finds the record there, which is not a deletion.
    Missing(Side),
    /// The table was truncated.
    Truncated(Side),
    /// The CRM merged the record into one that never showed.
    Merged,
    /// The lead was converted into something that no other mapping keeps in step with its record, or
    /// that stands for another one.
    Converted,
    /// Many fields turned null at once there, as when a column is secured.
    Blanked(Side),
    /// A side's value has no form that both can hold.
    Unfit(Side, Arc<str>),
    /// The side cannot hold a record without a value here.
    Required(Side),
    /// The side refused: code and words.
    Refused(Side, Arc<str>, Arc<str>),
    /// Each write found the record changed, and no news came.
    Stale(Side),
    /// The field goes back and forth.
    Flapping,
    /// An opt-in of the CRM, while a wider opt-out of the other side stands.
    WiderOptOut(Side),
    /// A parent did not come in time.
    Parent,
    /// A side began a new epoch; deletes and creates wait for a person.
    Epoch,
    /// Over the mapping's brake.
    Braked,
    /// Several records match, or the one that does is taken.
    Ambiguous,
}

/// A value that was discarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruled {
    /// The field.
    pub field: Field,
    /// The rule that decided, in a word.
    pub rule: &'static str,
    /// The side whose value stands.
    pub winner: Side,
    /// The base, Campaign's value and the CRM's.
    pub values: (Option<Value>, Value, Value),
}

/// An echo comes within milliseconds; after this long the record is read, in case the table's
/// changes do not come through the log.
pub const ECHO_WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// After so many stale writes without news a person is asked.
pub const STALE_MAX: u8 = 3;

impl Link {
    /// Decides what would bring the two sides to agree.
    pub fn decide(&self, policy: &Policy, moment: &Moment) -> Decision {
        let mut decision = Decision::default();
        match self.state {
            LinkState::Severed | LinkState::Tombstone => return decision,
            LinkState::Live | LinkState::Alias(_) => (),
        }
        for side in Side::BOTH {
            if self.behind(side, moment)
                || self.unanswered(side, policy, moment)
                || self.unechoed(side, moment)
            {
                decision.read[side] = true;
            }
        }
        let unsettled = |sent: &Sent| match sent.answer {
            Answer::Lost(_) => sent.xid,
            Answer::Pending | Answer::Committed(_) => None,
        };
        decision.unsettled = self.sent.campaign.iter().filter_map(unsettled).collect();
        if self.behind(Side::Campaign, moment) || self.behind(Side::Crm, moment) {
            return decision;
        }
        if matches!(self.state, LinkState::Alias(_)) {
            // Consent is all that an alias keeps, for as long as both records are there.
            decision.retire = Side::BOTH.iter().any(|side| self.seen[*side].bond != Bond::Here);
            if !decision.retire {
                decide_consent(self, policy, moment, &mut decision);
            }
            return decision;
        }
        match (&self.seen.campaign.bond, &self.seen.crm.bond) {
            (Bond::Here, Bond::Here) => {
                decide_consent(self, policy, moment, &mut decision);
                decide_fields(self, policy, moment, &mut decision);
            }
            (Bond::Here, Bond::Never) => {
                decide_create(self, Side::Crm, policy, moment, &mut decision);
            }
            (Bond::Never, Bond::Here) => {
                decide_create(self, Side::Campaign, policy, moment, &mut decision);
            }
            (_, Bond::Gone(Gone::Merged(into))) if self.told_of_absence().is_none() => {
                decision.waits.push((Side::Crm, Wait::Survivor(into.clone())));
            }
            (Bond::Here, Bond::Gone(gone)) => {
                decide_absent(self, (Side::Crm, gone), policy, moment, &mut decision);
            }
            (Bond::Gone(gone), Bond::Here) => {
                decide_absent(self, (Side::Campaign, gone), policy, moment, &mut decision);
            }
            (Bond::Gone(_), Bond::Gone(_) | Bond::Never) | (Bond::Never, Bond::Gone(_)) => {
                decision.retire = !self.is_making();
            }
            (Bond::Never, Bond::Never) => (),
        }
        decision
    }

    /// Whether a side began a new epoch since this record was last seen there.
    fn behind(&self, side: Side, moment: &Moment) -> bool {
        self.seen[side].bond == Bond::Here && self.seen[side].at.epoch < moment.epochs[side]
    }

    /// Whether a record may yet come of a create that is under way: ended before, the link would not
    /// know it, and it would be taken for a stranger's.
    fn is_making(&self) -> bool {
        let creates = |sent: &Sent| matches!(sent.write.target, Target::New { .. });
        Side::BOTH.into_iter().any(|side| self.sent[side].iter().any(creates))
    }

    /// Whether a write's answer was lost and the record was not read since, or not since it can
    /// no longer land.
    fn unanswered(&self, side: Side, policy: &Policy, moment: &Moment) -> bool {
        let seen = &self.seen[side];
        let limit = policy.write_limit + policy.late_commit;
        side == Side::Crm
            && seen.record.is_some()
            && self.sent[side].iter().any(|sent| match sent.answer {
                Answer::Lost(since) => seen.asked.is_none_or(|asked| {
                    let over = passed(sent.at, limit, moment.now);
                    asked <= since || (over && !passed(sent.at, limit, asked))
                }),
                Answer::Pending | Answer::Committed(_) => false,
            })
    }

    /// Whether a committed write's echo is so late that the record is better read.
    fn unechoed(&self, side: Side, moment: &Moment) -> bool {
        self.sent[side].iter().any(|sent| {
            matches!(sent.answer, Answer::Committed(_)) && passed(sent.at, ECHO_WAIT, moment.now)
        })
    }

    /// Whether a lane is free for another write. A lost opt-in never stands in an opt-out's way.
    pub(super) fn free(&self, side: Side, lane: Lane, opt_out: OptOut) -> bool {
        self.sent[side].iter().filter(|sent| sent.write.lane == lane).all(|sent| {
            let lost = matches!(sent.answer, Answer::Lost(_));
            opt_out == OptOut::Yes && sent.write.opt_in && lost
        })
    }

    /// The write that makes `change`; its stamp is its own once it is sent.
    pub(super) fn write(
        &self,
        to: (Side, Lane),
        target: Target,
        change: Change,
        moment: &Moment,
    ) -> Write {
        let (side, lane) = to;
        Write {
            link: self.id,
            entity: self.entity,
            side,
            lane,
            target,
            change,
            expect: BTreeMap::new(),
            stamp: Stamp { epoch: moment.ledger_epoch, link: self.id, sequence: self.sequence + 1 },
            unmodified_since: self.seen[side].modified,
            opt_in: false,
        }
    }

    /// What a guard on these fields must compare with.
    pub(super) fn expected(&self, side: Side, row: &Row) -> BTreeMap<Field, Expected> {
        let seen = &self.seen[side].fields;
        let expected = |field: &Field| {
            let seen = seen.get(field)?;
            Some((*field, Expected { value: seen.value.clone(), raw: seen.raw.clone() }))
        };
        row.keys().filter_map(expected).collect()
    }

    /// Whether a person must be asked before this field is written to `side`, or at all.
    pub(super) fn blocked(&self, side: Side, field: Field, value: &Value) -> Option<HeldReason> {
        self.blocks.iter().filter(|block| block.field == Some(field)).find_map(|block| match &block
            .reason
        {
            BlockReason::Refused { refusal, change } if block.side == side => {
                let unchanged = change.get(&field) == Some(value);
                let held = || {
                    HeldReason::Refused(
                        side,
                        Arc::clone(&refusal.code),
                        Arc::clone(&refusal.message),
                    )
                };
                unchanged.then(held)
            }
            BlockReason::Flapping => Some(HeldReason::Flapping),
            BlockReason::Refused { .. }
            | BlockReason::Stale(_)
            | BlockReason::Braked
            | BlockReason::Swapping
            | BlockReason::PutOff(_)
            | BlockReason::Released(_) => None,
        })
    }

    /// Whether the whole record is blocked for a change on `side`.
    pub(super) fn blocked_whole(&self, side: Side, change: &Change) -> Option<HeldReason> {
        self.refused_whole(side, change).or_else(|| {
            self.blocks_whole(side).find_map(|block| match &block.reason {
                BlockReason::Stale(times) if *times >= STALE_MAX => Some(HeldReason::Stale(side)),
                BlockReason::Braked => Some(HeldReason::Braked),
                BlockReason::Refused { .. }
                | BlockReason::Stale(_)
                | BlockReason::Flapping
                | BlockReason::Swapping
                | BlockReason::PutOff(_)
                | BlockReason::Released(_) => None,
            })
        })
    }

    /// Whether `side` refused this very change, which is all that stops an opt-out.
    pub(super) fn refused_whole(&self, side: Side, change: &Change) -> Option<HeldReason> {
        self.blocks_whole(side).find_map(|block| match &block.reason {
            BlockReason::Refused { refusal, change: refused } => {
                let same = match change {
                    Change::Set(row) => row == refused,
                    Change::Delete => refused.is_empty(),
                };
                same.then(|| {
                    HeldReason::Refused(
                        side,
                        Arc::clone(&refusal.code),
                        Arc::clone(&refusal.message),
                    )
                })
            }
            BlockReason::Stale(_)
            | BlockReason::Braked
            | BlockReason::Flapping
            | BlockReason::Swapping
            | BlockReason::PutOff(_)
            | BlockReason::Released(_) => None,
        })
    }

    fn blocks_whole(&self, side: Side) -> impl Iterator<Item = &crate::reconcile::Block> {
        self.blocks.iter().filter(move |block| block.field.is_none() && block.side == side)
    }

    /// What a person said of this link, if it was let go of what the brake, a new epoch or a
    /// deletion held.
    pub fn released(&self) -> Option<Release> {
        self.blocks.iter().find_map(|block| match block.reason {
            BlockReason::Released(how) => Some(how),
            BlockReason::Refused { .. }
            | BlockReason::Stale(_)
            | BlockReason::Flapping
            | BlockReason::Braked
            | BlockReason::Swapping
            | BlockReason::PutOff(_) => None,
        })
    }
}

impl Link {
    /// Forgets what a person let go.
    pub fn forget_release(&mut self) {
        self.blocks.retain(|block| !matches!(block.reason, BlockReason::Released(_)));
    }
}

/// Whether a write is an opt-out, which goes before everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OptOut {
    /// It is.
    Yes,
    /// It is not.
    No,
}

impl Decision {
    /// Leaves something to a person.
    pub(super) fn hold(&mut self, field: Option<Field>, reason: HeldReason) {
        self.held.push(Held { field, reason });
    }
}

impl HeldReason {
    /// One word for lists, filters and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Pairing => "pairing",
            Self::Deleted(_) => "deleted",
            Self::DeletedAndChanged(_) => "deleted_and_changed",
            Self::Missing(_) => "missing",
            Self::Truncated(_) => "truncated",
            Self::Merged => "merged",
            Self::Converted => "converted",
            Self::Blanked(_) => "blanked",
            Self::Unfit(..) => "unfit",
            Self::Required(_) => "required",
            Self::Refused(..) => "refused",
            Self::Stale(_) => "stale",
            Self::Flapping => "flapping",
            Self::WiderOptOut(_) => "wider_opt_out",
            Self::Parent => "parent",
            Self::Epoch => "epoch",
            Self::Braked => "braked",
            Self::Ambiguous => "ambiguous",
        }
    }

    /// The side it is about, where it is about one.
    pub fn side(&self) -> Option<Side> {
        match self {
            Self::Deleted(side)
            | Self::DeletedAndChanged(side)
            | Self::Missing(side)
            | Self::Truncated(side)
            | Self::Blanked(side)
            | Self::Unfit(side, _)
            | Self::Required(side)
            | Self::Refused(side, ..)
            | Self::Stale(side)
            | Self::WiderOptOut(side) => Some(*side),
            Self::Merged | Self::Converted => Some(Side::Crm),
            Self::Conflict
            | Self::Pairing
            | Self::Flapping
            | Self::Parent
            | Self::Epoch
            | Self::Braked
            | Self::Ambiguous => None,
        }
    }

    /// The other side's words, where it refused or a value does not fit.
    pub fn words(&self) -> Option<String> {
        match self {
            Self::Refused(_, code, message) => Some(format!("{code}: {message}")),
            Self::Unfit(_, why) => Some(format!("the value {why}")),
            Self::Conflict
            | Self::Pairing
            | Self::Deleted(_)
            | Self::DeletedAndChanged(_)
            | Self::Missing(_)
            | Self::Truncated(_)
            | Self::Merged
            | Self::Converted
            | Self::Blanked(_)
            | Self::Required(_)
            | Self::Stale(_)
            | Self::Flapping
            | Self::WiderOptOut(_)
            | Self::Parent
            | Self::Epoch
            | Self::Braked
            | Self::Ambiguous => None,
        }
    }
}
