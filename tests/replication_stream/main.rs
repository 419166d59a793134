//! The stream against a real server: what happened in the database arrives, whole, in order and
//! once, over every kind of connection, and what was confirmed is all that is forgotten.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod changes;
mod described;
mod feedback;
mod login;
mod slots;
mod support;
mod tls;
