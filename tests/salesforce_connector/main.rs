//! Proves that the connector keeps its promises against the simulated Salesforce, over https.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod account;
mod budget;
mod crowding;
mod drift;
mod feed;
mod lost;
mod stage;
mod tokens;
mod writes;
