//! Trouble on request: which of the next answers fail, how, and whether the effect happens.

use serde::{Deserialize, Serialize};

/// How an answer fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Failing {
    /// With an error in the service's own form.
    #[default]
    Answer,
    /// The connection breaks instead.
    Reset,
    /// With a page of the edge: HTML.
    Html,
    /// The request is kept, and carried out when the test releases it.
    Late,
    /// Not at all: it is only slow.
    Delay,
}

/// Whether the request takes effect before its answer fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Effect {
    /// The answer fails before anything happened.
    #[default]
    Before,
    /// Everything happened; only the answer is lost.
    After,
}

/// What is to fail.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    /// How many answers; one if it is not said.
    #[serde(default = "one")]
    pub(super) count: u64,
    #[serde(default)]
    pub(super) kind: Failing,
    #[serde(default)]
    pub(super) effect: Effect,
    #[serde(default)]
    pub(super) status: Option<u16>,
    #[serde(default)]
    pub(super) code: Option<String>,
    #[serde(default)]
    pub(super) message: Option<String>,
    /// Only requests of this method.
    #[serde(default)]
    pub(super) method: Option<String>,
    /// Only requests whose path contains this; requests for tokens only where it says so.
    #[serde(default)]
    pub(super) path_contains: Option<String>,
    /// Milliseconds of real time that the answer takes longer.
    #[serde(default)]
    pub(super) delay_ms: u64,
    /// How many answers it has spoilt.
    #[serde(default, skip_deserializing)]
    pub(super) hits: u64,
}

pub(super) fn one() -> u64 {
    1
}

impl Fault {
    /// Whether a request is one of those that are to fail; `unless_named` begins the paths that
    /// fail where an order names none.
    fn concerns(&self, (method, target): (&str, &str), unless_named: &str) -> bool {
        self.count > self.hits
            && self.method.as_ref().is_none_or(|m| m.eq_ignore_ascii_case(method))
            && match &self.path_contains {
                Some(part) => target.contains(part.as_str()),
                None => target.starts_with(unless_named),
            }
    }
}

/// What happens to one request.
#[derive(Debug, Default)]
pub(super) struct Fate {
    pub(super) delay_ms: u64,
    pub(super) fault: Option<Fault>,
}

/// Adds trouble; what has had its say is forgotten.
pub(super) fn order(faults: &mut Vec<Fault>, fault: Fault) {
    faults.retain(|old| old.hits < old.count);
    faults.push(fault);
}

/// What is to happen to a request, by its method and target; counts it.
pub(super) fn fate(faults: &mut [Fault], asked: (&str, &str), unless_named: &str) -> Fate {
    let mut fate = Fate::default();
    for fault in faults {
        let is_delay = fault.kind == Failing::Delay;
        if (is_delay || fate.fault.is_none()) && fault.concerns(asked, unless_named) {
            fault.hits += 1;
            fate.delay_ms += fault.delay_ms;
            if !is_delay {
                fate.fault = Some(fault.clone());
            }
        }
    }
    fate
}
