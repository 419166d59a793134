//! Salesforce: a feed by `SystemModstamp`, scans by `Id`, writes by sObject Collections.
//!
//! Its traps, each with its answer where it is met: time stamps of whole seconds that become visible
//! late ([`feed`]); no compare-and-set for many records ([`writer`]); a record id in two forms;
//! upserts that resurrect what was deleted, so that they only ever create; texts that are trimmed
//! and e-mail addresses that lose their case ([`values`]); one code for two meanings.
//!
//! [`Salesforce`] is one account with its mappings, and gives the agent's doors: a feed for each
//! mapping, a scan, a writer. They share one client: its token, its limits, its counters.

mod account;
mod api;
mod auth;
mod describe;
mod errors;
mod ids;
mod settings;
mod soql;

pub use account::{Account, Org, Windows};
pub use describe::{Object, Rights, Wanted};
pub use settings::{Polling, Secret, Settings};
