//! The query language: filters, orders and what of a record is asked for.

pub(super) mod aggregate;
pub(super) mod bind;
pub(super) mod filter;
pub(super) mod lex;
pub(super) mod narrow;
pub(super) mod run;
