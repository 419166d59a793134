//! What to do about a pair of records, given what we have seen of each.
//!
//! Nothing in here does I/O, reads a clock or draws a random number.
//!
//! We keep *observations*, never pending work. A [`Link`] holds what was last seen on each side, a
//! `base` (for every field, the last value on which both sides are known to have agreed) and the
//! writes that were sent and are not answered yet. All else is derived from those:
//!
//! - an **echo** of our own write is an observation that changes nothing;
//! - a **conflict** is a field in which both sides have left the base for different values;
//! - a **retry** is the same decision taken again;
//! - **recovery** is reading the feeds again, since seeing a thing twice is seeing it once.
//!
//! In reading order: the words ([`record`], [`value`], [`shape`], [`position`], [`clock`]), what
//! is seen and written ([`observation`], [`mod@write`]), the rules ([`policy`]), the [`link`] itself,
//! and the verbs that move it: `observe`, `decide`, `send`, `conclude`.

pub mod brake;
pub mod clock;
pub mod conclude;
pub mod decide;
pub mod join;
pub mod link;
pub mod mapping;
pub mod matching;
pub mod merge;
pub mod observation;
pub mod observe;
pub mod policy;
pub mod position;
pub mod record;
pub mod shape;
pub mod swap;
pub mod value;
pub mod write;

mod absence;
mod consent;
mod fate;
mod fields;

pub use clock::{Clocks, Interval, Skew};
pub use link::{Block, Bond, Link, LinkState, Seen, SeenField, Sent};
pub use observation::{Gone, Observation, Presence, Read};
pub use policy::{DeleteConflict, DeletePolicy, Direction, FieldRule, Policy, Rule};
pub use position::{Lsn, Position, Snapshot};
pub use record::{Entity, Field, LinkId, RecordId, Row, Side, Sides};
pub use shape::Shape;
pub use value::{Consent, Decimal, Value};
pub use write::{
    Answer, Change, Delay, Expected, Lane, Outcome, Refusal, RefusalKind, Stamp, Target, Write,
};
