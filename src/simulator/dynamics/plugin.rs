//! What a customer's own logic does to a write that comes by the API.

use serde::Deserialize;

use super::refusal::Refusal;
use super::value::Value;

/// How a plug-in rewrites a text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Rewrite {
    Upper,
    Lower,
    Set(String),
    Append(String),
    /// The text, then how often it fired: a value that never comes to rest.
    Count(String),
    /// None: the write is refused with these words.
    Refuse(String),
}

/// A plug-in on one column of one table.
#[derive(Clone, Debug)]
pub(super) struct Plugin {
    pub(super) table: usize,
    pub(super) column: usize,
    pub(super) rewrite: Rewrite,
    pub(super) fired: u64,
}

impl Plugin {
    /// What becomes of a value, unless the write is refused.
    pub(super) fn fire(&mut self, value: &Value) -> Result<Value, Refusal> {
        self.fired += 1;
        let old = value.as_text().unwrap_or_default();
        Ok(match &self.rewrite {
            Rewrite::Upper => Value::text(&old.to_uppercase()),
            Rewrite::Lower => Value::text(&old.to_lowercase()),
            Rewrite::Set(text) => Value::text(text),
            Rewrite::Append(end) if old.ends_with(end.as_str()) => value.clone(),
            Rewrite::Append(end) => Value::text(&format!("{old}{end}")),
            Rewrite::Count(text) => Value::text(&format!("{text}{}", self.fired)),
            Rewrite::Refuse(words) => return Err(Refusal::new(400, "0x80040265", words)),
        })
    }
}
