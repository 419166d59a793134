//! Proves that the connector keeps its promises against the simulated Dynamics, over https.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod account;
mod consent;
mod creates;
mod drift;
mod feed;
mod limits;
mod scan;
mod stage;
mod writes;
