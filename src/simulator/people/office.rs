//! A CRM on the stage: its simulator, and who works there.

use std::collections::BTreeMap;

use super::terms::Terms;
use super::{PeopleError, Screen};
use crate::simulator::any::{Kind, Options, Running};

/// The CRMs of a stage, the first of them being where people come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster(Vec<Kind>);

impl Roster {
    /// Those, each once; at least one.
    pub fn of(kinds: impl IntoIterator<Item = Kind>) -> Self {
        let mut all = Vec::new();
        for kind in kinds {
            if !all.contains(&kind) {
                all.push(kind);
            }
        }
        assert!(!all.is_empty(), "a stage without a CRM has nobody to agree with");
        Self(all)
    }

    /// In their order.
    pub fn kinds(&self) -> &[Kind] {
        &self.0
    }

    /// Who of them has the say on a field of people, by its name in the CRM: one column of Campaign
    /// is written by one mapping. The second one has it on numbers to call, the first on all else.
    pub fn says(&self, field: &str) -> usize {
        usize::from(1 < self.0.len() && ["Phone", "MobilePhone"].contains(&field))
    }

    /// The mapping of a kind of record with one of them: `contacts`, or `dynamics_contacts` where
    /// there are several.
    pub fn mapping(&self, at: usize, of: &str) -> String {
        if self.0.len() == 1 { of.to_owned() } else { format!("{}_{of}", self.0[at].word()) }
    }
}

impl Default for Roster {
    fn default() -> Self {
        Self::of([Kind::Salesforce])
    }
}

/// One of them.
#[derive(Debug)]
pub struct Office {
    /// Which CRM it is.
    pub kind: Kind,
    /// The simulator.
    pub running: Running,
    /// Who works there.
    pub screen: Screen,
}

impl Office {
    pub(super) async fn open(kind: Kind) -> Result<Self, PeopleError> {
        let running = kind.start(Options::default()).await?;
        let screen = Screen::of(kind, running.access().control_url);
        Ok(Self { kind, running, screen })
    }

    pub(super) fn terms(&self) -> &'static Terms {
        Terms::of(self.kind)
    }
}

/// The ids of people or accounts in one CRM, by their numbers.
pub type Ids = BTreeMap<usize, String>;
