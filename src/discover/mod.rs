//! From an object of a CRM and the tables of Campaign to a mapping, its schemas and their SQL.
//!
//! Nothing in here does I/O: what both sides look like comes in as values ([`object`]), what would be
//! mapped how and why goes out as values ([`propose`]) and as texts: the config file ([`config_text`]),
//! the schemas for Campaign's console ([`schema`], [`view`]) and what its structure wizard would run
//! ([`sql`]). `cli::discover` reads and writes.

mod columns;
pub mod config_text;
pub mod names;
pub mod object;
pub mod propose;
pub mod schema;
pub mod sql;
pub mod view;
pub mod xml;
