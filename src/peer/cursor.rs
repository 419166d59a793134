//! Where a feed goes on: opaque to the agent, kept by the ledger as JSON.

use serde::{Deserialize, Serialize};

/// A feed's own note of how far it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub serde_json::Value);

impl Cursor {
    /// Before everything: a feed that starts here says what that means.
    pub fn start() -> Self {
        Self(serde_json::Value::Null)
    }

    /// Whether nothing was ever read.
    pub fn is_start(&self) -> bool {
        self.0.is_null()
    }
}
