//! The decision log: what was decided of a link and by what, and what the other side answered.
//!
//! A decision and a receipt are rows that are only ever added, and pruned by age. A decision that is
//! taken again unchanged, as after an outage, is not stored again; an echo decides nothing.

use jiff::Timestamp;

use crate::reconcile::{Field, LinkId, Side};

/// Why a field holds what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The link.
    pub link: LinkId,
    /// When.
    pub at: Timestamp,
    /// The field; `None` is the whole record.
    pub field: Option<Field>,
    /// What decided, in one word that stays: a policy, a rule of the link, or why it is held.
    pub rule: String,
    /// What it came to.
    pub verdict: Verdict,
    /// Whose value stands.
    pub winner: Option<Side>,
    /// The write that it became, by which a [`Receipt`] is found: where, and its stamp's number.
    pub write: Option<(Side, u32)>,
    /// The inputs.
    pub values: serde_json::Value,
}

/// What a decision came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// A value goes over, and no other gives way to it.
    Written,
    /// A value goes over, and one that somebody gave the field gives way to it.
    Discarded,
    /// It is left to a person.
    Held,
    /// It waits for another record.
    Parked,
    /// What the link stands for changed.
    Changed,
    /// A person said so.
    Told,
}

/// What a side answered to a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The link.
    pub link: LinkId,
    /// Where it was written.
    pub side: Side,
    /// The number of the write's stamp.
    pub sequence: u32,
    /// When the answer was known.
    pub at: Timestamp,
    /// One word.
    pub answer: String,
    /// What the side said beside it: a code and words, a transaction. May hold values.
    pub words: Option<String>,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Written, Self::Discarded, Self::Held, Self::Parked, Self::Changed, Self::Told];

    /// Its name in the ledger and for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Discarded => "discarded",
            Self::Held => "held",
            Self::Parked => "parked",
            Self::Changed => "changed",
            Self::Told => "told",
        }
    }
}

impl Decision {
    /// Whether it says nothing that an earlier one of its link and field has not said. What a
    /// person says is kept each time.
    pub(super) fn repeats(&self, earlier: &Self) -> bool {
        self.verdict != Verdict::Told
            && (self.verdict, &self.rule, self.winner, &self.values)
                == (earlier.verdict, &earlier.rule, earlier.winner, &earlier.values)
    }
}

/// The answer that says that a write is put off.
pub const PUT_OFF: &str = "later";

impl Receipt {
    /// Whether it says that a write is put off, after the newest answer of its link and side said so
    /// for the same.
    pub(super) fn repeats(&self, newest: &Self) -> bool {
        self.answer == PUT_OFF && (&self.answer, &self.words) == (&newest.answer, &newest.words)
    }
}

/// So many of a link's newest decisions are looked through for the one that is repeated.
pub(super) const LOOKED_BACK: usize = 32;
