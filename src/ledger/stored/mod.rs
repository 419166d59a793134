//! How a link is written down: a form of its own, apart from the words of the core.
//!
//! What is looked for (mapping, state, records) are columns; all else is one JSON text, the *body*.
//! It is kept small, since every observation writes it anew and the log carries it whole:
//!
//! - a field that a side holds just as the base does is a number in `same`, and its value stands
//!   once, in `base`;
//! - moments stand once, in `times`, and are named by their place there;
//! - what is as it is by default is left out.
//!
//! A body of a recipient with 12 fields in agreement takes 619 bytes. `"v"` is the form's
//! version; a member that this release does not know is an error and never dropped in silence.
//!
//! Why a text column, and pages half empty: `benches/ledger.rs`, 200,000 links, batches of 2,000
//! in the table's order (each loaded by record, decoded, changed, encoded and stored with a cursor
//! under `wal_level = logical`, synced), on two cores that others used as well. Between two runs of
//! one form a fifth is noise; `jsonb` lost by three times and by bytes, which are not noise.
//!
//! | body | way | observations/s | WAL bytes a row | bytes a link | updates in place |
//! | --- | --- | --- | --- | --- | --- |
//! | text | arrays | 35,900 | 873 | 1,734 | 100 % |
//! | text, full pages | arrays | 22,100 | 1,177 | 840 | 4 % |
//! | json | arrays | 23,500 | 873 | 1,734 | 100 % |
//! | jsonb | arrays | 12,900 | 1,496 | 2,827 | 97 % |
//! | bytea of the same text | arrays | 25,900 | 873 | 1,734 | 100 % |
//! | text | copy and merge | 28,000 | 909 | 1,734 | 100 % |
//!
//! Batches of 500 and of 5,000 are within a tenth of that; rows strewn over the table cost a fifth
//! more. What a server checks of a body (`json`) or takes apart (`jsonb`) is work that every store
//! would pay for and no statement of ours uses; people write `body::json`. A column of bytes saves
//! nothing and cannot be read.

mod body;
mod seen;
mod times;
mod value;
mod write;

pub use body::{Columns, NotBody, decode, encode};
