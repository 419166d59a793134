//! Keeps the records of an Adobe Campaign Classic database and of a CRM in agreement, both ways.
//!
//! The house has floors, and imports go down only (`tests/floors.rs` keeps it): `reconcile` is
//! pure; `peer`, `config`, `discover` and `telemetry` are the words; `postgres`, `campaign`, `crm`, `ledger`
//! and `simulator` touch the world; `agent` runs the loops; `cli` is the door.

pub mod reconcile;

pub mod config;
pub mod discover;
pub mod peer;
pub mod telemetry;

pub mod postgres;

pub mod campaign;
pub mod crm;
pub mod ledger;
pub mod simulator;

pub mod agent;

pub mod cli;
