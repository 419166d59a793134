//! Simulated systems that serve clients we did not write.

pub mod database;
pub mod salesforce;

mod database_binaries;
pub mod database_campaign;
