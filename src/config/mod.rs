//! The config file, typed.
