//! The CRM's side: one HTTP client for every CRM, and what each of them says over it.
//!
//! A CRM is two doors to the agent, like Campaign: a feed of observations and a writer. What is
//! not Salesforce's own lives above `salesforce`: delays between tries, and the client that
//! keeps tokens, limits and repeats.

pub mod delays;
pub mod http;
pub mod salesforce;
