//! Proves that the connector keeps its promises against the simulated Salesforce, over https.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod account;
mod budget;
mod bulk;
mod crowding;
mod drift;
mod feed;
mod leads;
mod lost;
mod review;
mod stage;
mod tokens;
mod writes;
