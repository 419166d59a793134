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
//! Why a text column, pages half empty and arrays: `benches/ledger.rs`, 140,000 links, batches of
//! 2,000 (loaded by record, decoded, changed, encoded, stored with a cursor, synced) under
//! `wal_level = logical`. The forms took turns, seven rounds, on two cores that others kept busy:
//! the spread of each form is from 0.7 to 1.6 of its median, so only ratios count, and only large
//! ones.
//!
//! | body | way | rate, in the table's order | strewn | WAL bytes a row | bytes a link | in place |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | text | arrays | 1 (18,100 a second) | 1 (14,100) | 867 | 1,734 | 100 % |
//! | text, full pages | arrays | 0.79 | 0.94 | 1,200 | 1,342 and growing | 0 % |
//! | json | arrays | 0.93 | 1.10 | 867 | 1,734 | 100 % |
//! | jsonb | arrays | 0.75 | 0.79 | 1,460 | 2,827 | 100 % |
//! | bytea of the same text | arrays | 1.06 | 1.19 | 867 | 1,734 | 100 % |
//! | text | copy and merge | 0.88 | 0.69 | 900 | 1,734 | 100 % |
//!
//! Text, json and bytes are one within the noise; text is what a person reads, and `body::json`
//! takes it apart. `jsonb` costs 1.7 times the WAL and the space, and no statement of ours looks
//! inside. Half-empty pages cost space once and save a quarter of the WAL at each update. On a
//! quieter machine an earlier run had 36,000 a second for text in batches of 2,000, and within a
//! tenth of that for 500 and 5,000.

mod body;
mod seen;
mod times;
mod value;
mod write;

pub use body::{Columns, NotBody, decode, encode};
