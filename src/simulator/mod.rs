//! Simulated systems that serve clients we did not write.

pub mod salesforce;
