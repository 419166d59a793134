//! The simulated Salesforce, driven over https as clients would that were not written by us.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod bulk;
mod composites;
mod conditions;
mod logins;
mod metadata;
mod old_bulk;
mod records;
mod rights;
mod searches;
mod trouble;
mod world;
