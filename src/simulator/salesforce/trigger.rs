//! What an organisation's own automation does to a record that the API writes.

use serde::Deserialize;

use super::model::Object;
use super::table::Row;
use super::value::Value;

/// What the trigger does to the text of its field.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Rewrite {
    /// Sets a text.
    Set(String),
    /// Puts a text behind what is there, unless it ends so already.
    Append(String),
    /// Makes capitals.
    Upper,
    /// Makes small letters.
    Lower,
    /// Sets a text and a number that grows with every write.
    Count(String),
}

/// A before-save trigger of one field of one object.
#[derive(Clone, Debug)]
pub(super) struct Trigger {
    pub(super) object: usize,
    pub(super) field: usize,
    pub(super) rewrite: Rewrite,
    /// How often it has fired.
    pub(super) fired: u64,
}

impl Trigger {
    pub(super) fn fire(&mut self, object: &Object, row: &mut Row) {
        self.fired += 1;
        let now = row.value(self.field).as_text().unwrap_or_default().to_owned();
        let new = match &self.rewrite {
            Rewrite::Set(text) => text.clone(),
            Rewrite::Append(text) if now.ends_with(text.as_str()) => now,
            Rewrite::Append(text) => format!("{now}{text}"),
            Rewrite::Upper => now.to_uppercase(),
            Rewrite::Lower => now.to_lowercase(),
            Rewrite::Count(text) => format!("{text}{}", self.fired),
        };
        let length = usize::try_from(object.field(self.field).length).unwrap_or(usize::MAX);
        row.set(self.field, Value::text(&new.chars().take(length).collect::<String>()));
    }
}
