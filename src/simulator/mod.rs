//! Simulated systems that serve clients we did not write.

pub mod database;

mod database_binaries;
pub mod database_campaign;

pub mod any;
pub mod dynamics;
pub mod salesforce;

mod clock;
mod draw;
mod fault;
mod https;
mod line;
mod tls;
mod wire;

pub mod people;
