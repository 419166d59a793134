//! How a command ends: what is told, and the exit code.

use std::error::Error;
use std::fmt::Write as _;

use crate::config::ConfigError;

/// Arguments or a config that cannot be used: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct Unusable {
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Unusable {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), source: None }
    }

    pub(super) fn caused(
        what: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { what: what.into(), source: Some(source.into()) }
    }
}

/// The world is not as it must be, and all that was to be said of it was said: exit code 1.
#[derive(Debug, thiserror::Error)]
#[error("it would not run as things are")]
pub(super) struct Said;

/// The exit code for an error.
pub(super) fn code(error: &anyhow::Error) -> u8 {
    let unusable = error.chain().any(|cause| cause.is::<ConfigError>() || cause.is::<Unusable>());
    if unusable { 2 } else { 1 }
}

/// An error as it is told: `error: …`, then each cause on a line of its own.
pub(super) fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    let mut last = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let words = cause.to_string();
        // A transparent wrapper says what its cause says.
        if words == last {
            continue;
        }
        let head = if depth == 0 { "error: " } else { "  because: " };
        writeln!(text, "{head}{words}").expect("a text takes what is written to it");
        last = words;
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn causes_stand_below_and_are_not_repeated() {
        let error = anyhow!("the file is gone").context("the config cannot be read");
        assert_eq!(told(&error), "error: the config cannot be read\n  because: the file is gone\n");
        assert_eq!(code(&error), 1);
    }

    #[test]
    fn what_cannot_be_used_is_another_exit_code() {
        let error: anyhow::Result<()> = Err(Unusable::new("no such mapping").into());
        assert_eq!(code(&error.context("looking").unwrap_err()), 2);
    }
}
