//! Campaign's side: what its database says, and writing to it.
//!
//! In reading order: what the database is ([`catalog`], [`identity`]), how its text becomes values
//! and back ([`values`], [`table`]), which columns are still as they were mapped ([`standing`]),
//! what must be there before anything runs ([`setup`], [`inspect`]), and the three doors of `peer`:
//! [`scan`] reads rows by key, [`capture`] follows the log, [`apply`] writes.
//!
//! Two rules hold everywhere: Campaign's own statements never fail or wait because of ours, and
//! row 0 of a table is not a record.

pub mod catalog;
pub mod identity;
pub mod listing;

pub mod standing;
pub mod table;
pub mod values;

pub mod carry_out;
pub mod inspect;
pub mod setup;
pub mod watch;

pub mod changed;
pub mod scan;

pub mod pgoutput;
pub mod skew;
pub mod slot;
pub mod stream;
mod wire;
pub use wire::WireError;

pub mod capture;
pub mod cursor;
mod gather;
mod projection;

pub mod apply;
pub mod keys;
pub mod lead;
mod settle;
mod statement;
mod verdict;

mod failure;
pub(crate) use failure::{chain, peer_error};

use crate::postgres::Settings;

/// What each of our sessions in Campaign's database sets for itself.
///
/// Campaign's id functions name their sequences without a schema, so its schema must be in the path;
/// the system's own comes before it, unnamed, so that nothing there can stand for a function of it.
pub fn settings(schema: &str) -> Settings {
    Settings::default().with("search_path", quoted(schema))
}

/// A name as SQL text: quoted, because a table may be called `order`.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as an SQL literal, for statements that take no parameters.
pub(crate) fn literal(text: &str) -> String {
    let body = text.replace('\'', "''");
    if body.contains('\\') {
        format!(" E'{}'", body.replace('\\', "\\\\"))
    } else {
        format!("'{body}'")
    }
}
