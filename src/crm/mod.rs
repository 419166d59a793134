//! The CRM's side: one HTTP client for every CRM, and what each of them says over it.
//!
//! A CRM is two doors to the agent, like Campaign: a feed of observations and a writer. What is
//! not one CRM's own lives above `salesforce` and `dynamics`: delays between tries, the client that
//! keeps tokens, limits and repeats, keys to sign with, how writes are sorted and guarded, when
//! a feed looks ahead, how fields stand that drift. [`any`] is the one place that names them all.

pub mod any;
mod class;
pub mod delays;
mod drift;
pub mod dynamics;
pub mod http;
mod lookout;
pub mod salesforce;
mod secret;
mod sightings;
mod signer;
mod standing;
mod told;
mod wanted;
mod writes;

pub use drift::Drift;
pub use secret::Secret;
pub use signer::{Algorithm, KeyError, Signer};
pub use told::{Listed, Told, ToldChoice, ToldField};
pub use wanted::{Rights, Wanted};
pub use writes::Cost;
