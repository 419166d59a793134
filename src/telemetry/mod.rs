//! Logs and metrics, declared in one place.
//!
//! The rest of the code calls functions and knows no metric's name. There is no listener here: the
//! agent serves the [`Page`] beside its other endpoints.

mod catalogue;
mod labels;
pub mod logs;
pub mod metrics;

pub use labels::{ApiCall, BulkEnd, BulkJob, BulkKind, Scan};
pub use metrics::{MetricsError, Page};
