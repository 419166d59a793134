//! Simulated systems that serve clients we did not write.

pub mod database;

mod database_binaries;
pub mod database_campaign;

pub mod salesforce;

pub mod people;
