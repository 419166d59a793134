//! What `check` finds: each thing once, named by mapping and field, with what would mend it.

use std::fmt;

use serde::Serialize;

use crate::config::Label;

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Whether it keeps the agent from running.
    pub(super) level: Level,
    /// Where: `campaign`, `crm.sales`, `mapping.contacts`.
    pub(super) place: String,
    /// The field, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) field: Option<String>,
    /// What is so, and what would be right.
    pub(super) what: String,
    /// The statement that mends it, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sql: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// It would not run.
    Problem,
    /// It would run, and an operator should know.
    Warning,
    /// It is as it should be.
    Good,
}

/// Everything that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Finding {
    /// Of a mapping.
    pub(super) fn of(mapping: &Label, what: String) -> Self {
        Self::at(format!("mapping.{mapping}"), what)
    }

    /// Of a place.
    pub(super) fn at(place: impl Into<String>, what: impl Into<String>) -> Self {
        let (place, what) = (place.into(), what.into());
        Self { level: Level::Problem, place, field: None, what, sql: None }
    }

    /// Of this field.
    pub(super) fn field(mut self, field: &Label) -> Self {
        self.field = Some(field.to_string());
        self
    }

    /// The place, down to the field where it is one.
    pub(super) fn path(&self) -> String {
        match &self.field {
            Some(field) => format!("{}.fields.{field}", self.place),
            None => self.place.clone(),
        }
    }

    /// Mended by this.
    pub(super) fn sql(mut self, sql: impl Into<String>) -> Self {
        self.sql = Some(sql.into());
        self
    }
}

impl Findings {
    /// Something that keeps the agent from running.
    pub(super) fn problem(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    /// Something to know.
    pub(super) fn warning(&mut self, finding: Finding) {
        self.0.push(Finding { level: Level::Warning, ..finding });
    }

    /// Something that was looked at and is as it should be.
    pub(super) fn good(&mut self, finding: Finding) {
        self.0.push(Finding { level: Level::Good, ..finding });
    }

    /// How many of the first kind.
    pub(super) fn problems(&self) -> usize {
        self.0.iter().filter(|finding| finding.level == Level::Problem).count()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Problem => "problem",
            Level::Warning => "warning",
            Level::Good => "ok     ",
        };
        write!(f, "{level}  {}: {}", self.path(), self.what)?;
        match &self.sql {
            Some(sql) => write!(f, "\n         to mend it: {sql}"),
            None => Ok(()),
        }
    }
}
