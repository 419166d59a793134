//! Logs and metrics, declared in one place.
