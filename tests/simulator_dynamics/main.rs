//! The simulated Dynamics 365, driven over https as clients would that were not written by us.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod batches;
mod changes;
mod definitions;
mod many;
mod queries;
mod records;
mod sign_ins;
mod trouble;
mod world;
