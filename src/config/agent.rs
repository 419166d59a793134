//! `[agent]`: the process itself.

use std::net::{Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::Seconds;

/// The process: where it answers, how it logs, how it stops.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Agent {
    /// The address of `/metrics`, `/livez` and `/readyz`. They have no password, so the default is
    /// for this machine only. Port 0 takes any free one, and logs it.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// How long work that is under way may take to end after SIGTERM. Keep it below the patience of
    /// what sends the signal; Kubernetes' is 30 seconds.
    pub drain_seconds: Seconds<0, 20_000, 3_600_000>,
    /// How log lines look: for people (`text`), for machines (`json`), or by whether a terminal
    /// reads them (`auto`).
    pub log_format: LogFormat,
    /// Which log lines are written: a level, or levels by module such as
    /// `info,truce::campaign=debug`. The environment variable `TRUCE_LOG` goes before it.
    pub log: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9640)),
            drain_seconds: Seconds::default(),
            log_format: LogFormat::Auto,
            log: "info".to_owned(),
        }
    }
}
