//! All sides, two by two: what they hold, told by reading each, and by nothing that the agent says.

use anyhow::Result;

use crate::simulator::people::{Both, Difference, Person, Stage};

/// What all sides hold.
pub(super) struct Sides {
    /// Each CRM by its name, read together with Campaign.
    crms: Vec<(&'static str, Both)>,
}

/// Two of them.
pub(super) struct Pair {
    pub(super) names: [&'static str; 2],
    pub(super) both: Both,
}

impl Sides {
    /// Reads them all, one after the other.
    pub(super) async fn read(stage: &Stage) -> Result<Self> {
        let mut crms = Vec::new();
        for office in &stage.offices {
            crms.push((office.kind.name(), Both::read(&stage.desk, &office.screen).await?));
        }
        Ok(Self { crms })
    }

    /// Campaign with each CRM, then the CRMs with each other.
    pub(super) fn pairs(&self) -> Vec<Pair> {
        let with = |(name, both): &(&'static str, Both)| Pair {
            names: ["Campaign", name],
            both: both.clone(),
        };
        let mut pairs: Vec<Pair> = self.crms.iter().map(with).collect();
        for (at, (name, both)) in self.crms.iter().enumerate() {
            for (other, others) in &self.crms[at + 1..] {
                pairs.push(Pair { names: [name, other], both: Both::across(both, others) });
            }
        }
        pairs
    }

    /// How many there are, for people.
    pub(super) fn counted(&self) -> String {
        match self.crms.len() {
            1 => "Both sides".to_owned(),
            2 => "All three sides".to_owned(),
            more => format!("All {} sides", more + 1),
        }
    }

    /// A person as Campaign has them.
    pub(super) fn in_campaign(&self, who: &str) -> Option<&Person> {
        self.crms.first()?.1.person(who).0
    }

    /// Whether Campaign has an account.
    pub(super) fn has_firm(&self, name: &str) -> bool {
        self.crms.first().is_some_and(|(_, both)| both.firms.contains_key(name))
    }

    /// A person as each CRM has them, with its name.
    pub(super) fn in_crms<'a>(
        &'a self,
        who: &'a str,
    ) -> impl Iterator<Item = (&'static str, Option<&'a Person>)> {
        self.crms.iter().map(move |(name, both)| (*name, both.person(who).1))
    }

    /// How many records of people each side has: Campaign first, then the CRMs by their names.
    pub(super) fn people(&self) -> (usize, Vec<(&'static str, usize)>) {
        let campaign = self.crms.first().map_or(0, |(_, both)| both.recipients.len());
        (campaign, self.crms.iter().map(|(name, both)| (*name, both.contacts.len())).collect())
    }
}

impl Pair {
    /// How many people are on both sides.
    pub(super) fn people_in_both(&self) -> usize {
        let Both { recipients, contacts, .. } = &self.both;
        recipients.keys().filter(|who| contacts.contains_key(*who)).count()
    }

    /// How many accounts are on both sides.
    pub(super) fn firms_in_both(&self) -> usize {
        let Both { firms, accounts, .. } = &self.both;
        firms.keys().filter(|name| accounts.contains_key(*name)).count()
    }

    /// In what they differ although nobody has to decide it; `held` are those who wait for a person
    /// because we made them.
    pub(super) fn unexpected(&self, held: &[String]) -> Vec<Difference> {
        let mut all = self.both.differences();
        all.retain(|difference| {
            let is_value = difference.field == "LeadSource";
            let is_record = difference.field.is_empty() && !difference.who.contains('@');
            !(held.contains(&difference.who) && (is_value || is_record))
        });
        all
    }
}
