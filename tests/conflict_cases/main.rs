//! What Truce does where two sides edit the same people: one named case a test, as
//! docs/conflicts.md lists them, over the real binary, a PostgreSQL and a simulated CRM: each case for
//! each CRM (`salesforce::…`, `dynamics::…`).
//!
//! Each case checks the right answer and what must not have happened on the way to it: edits
//! lost, opt-outs undone, writes without a cause.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[path = "../cli_world/mod.rs"]
mod cli_world;

mod salesforce;

mod dynamics;

mod consent;
mod edits;
mod flight;
mod people;

mod crm;
mod stage;
