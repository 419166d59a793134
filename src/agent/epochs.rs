//! Which lives of the two sides and of the ledger we are in (rule 4).
//!
//! What identifies a side is kept as a fact, and compared at every start. Where another answers
//! (restored, cloned, refreshed from a sandbox), that side begins a new epoch: its bases are void,
//! its mappings are compared, and creates and deletes wait until a person releases them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::ledger::{Batch, Ledger};
use crate::peer::Cursor;
use crate::reconcile::Entity;

use super::AgentError;
use super::error::unless_conflict;
use super::plan::{Plan, Plans};
use super::run::{CAMPAIGN_FEED, crm_feed};

/// What identifies a side: each of its names with its value.
pub type Identity = BTreeMap<String, String>;

/// The epoch of everything, CRMs by the number of their account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epochs {
    /// The ledger's.
    pub ledger: u32,
    /// Campaign's.
    pub campaign: u32,
    /// Each account's.
    pub crms: Vec<u32>,
}

/// Who answered at this start.
#[derive(Clone, Debug, Default)]
pub struct Answering {
    /// Campaign's database.
    pub campaign: Identity,
    /// What of Campaign has gone back, what that was and what it is, where something has: the same
    /// database, at an earlier time.
    pub rewound: Option<(String, String, String)>,
    /// The organisation of each account, by the account's name in the config.
    pub crms: Vec<(Arc<str>, Identity)>,
    /// The ledger's epoch, and why it has just begun, where it has.
    pub ledger: (u32, Option<String>),
    /// Why Campaign's log cannot be followed from where the ledger stands, where that is so.
    pub gap: Option<String>,
}

/// Something that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Another system answers: creates and deletes wait for a person.
    NewEpoch {
        /// Which: `campaign`, or `crm/` and the account's name.
        side: String,
        /// What of it.
        what: String,
        /// What that was.
        was: String,
        /// What it is.
        is: String,
    },
    /// The ledger has forgotten something, and with it how both sides stand: a new epoch of each.
    Restored(String),
    /// Campaign's log has a gap for us: everything is compared.
    Gap(String),
}

/// Compares who answers with who did, and keeps what follows from it.
pub async fn compare<L: Ledger>(
    ledger: &L,
    answering: &Answering,
    plans: &Plans,
    now: Timestamp,
) -> Result<(Epochs, Vec<Turn>), AgentError> {
    let mut batch = Batch::new(now);
    let mut anew: BTreeSet<Entity> = BTreeSet::new();
    let ledger_epoch = answering.ledger.0;
    let restored = forgotten(ledger, answering, &mut batch).await?;
    let mut turns: Vec<Turn> = restored.iter().cloned().map(Turn::Restored).collect();
    let (identity, rewound) = (&answering.campaign, answering.rewound.clone());
    let side =
        Side { name: "campaign".to_owned(), identity, rewound, forgotten: restored.is_some() };
    let (campaign, is_new, turn) = side.enter(ledger, &mut batch).await?;
    turns.extend(turn);
    if is_new || answering.gap.is_some() {
        batch.cursors.insert(CAMPAIGN_FEED.to_owned(), Cursor::start());
    }
    if is_new {
        anew.extend(plans.keys());
    }
    let mut crms = Vec::new();
    for (account, (name, identity)) in answering.crms.iter().enumerate() {
        let side = Side {
            name: format!("crm/{name}"),
            identity,
            rewound: None,
            forgotten: restored.is_some(),
        };
        let (epoch, is_new, turn) = side.enter(ledger, &mut batch).await?;
        crms.push(epoch);
        turns.extend(turn);
        for plan in plans.values().filter(|plan| is_new && plan.account == account) {
            batch.cursors.insert(crm_feed(name, &plan.name), Cursor::start());
            anew.insert(plan.policy.entity);
        }
    }
    turns.extend(answering.gap.iter().cloned().map(Turn::Gap));
    for (entity, plan) in plans {
        let new_epoch = anew.contains(entity);
        if new_epoch {
            batch.facts.insert(gate_fact(plan), json!({ "since": now.to_string() }));
        }
        if new_epoch || answering.gap.is_some() {
            let wanted = wanted_generation(ledger, plan).await? + 1;
            batch.facts.insert(compare_fact(plan), json!({ "generation": wanted }));
        }
    }
    if !batch.is_empty()
        && let Err(error) = ledger.store(batch).await
    {
        unless_conflict(error)?;
    }
    Ok((Epochs { ledger: ledger_epoch, campaign, crms }, turns))
}

/// Why the ledger has forgotten something, where it has. A start that was cut off after the ledger's
/// epoch rose, and before anything followed from it, is made good by the next.
async fn forgotten<L: Ledger>(
    ledger: &L,
    answering: &Answering,
    batch: &mut Batch,
) -> Result<Option<String>, AgentError> {
    let (epoch, because) = &answering.ledger;
    let known = ledger.fact(LEDGER_EPOCH).await?;
    let fact = json!({ "epoch": epoch });
    if known.as_ref() == Some(&fact) && because.is_none() {
        return Ok(None);
    }
    batch.facts.insert(LEDGER_EPOCH.to_owned(), fact);
    let risen = known.map(|was| format!("its epoch was {} and is {epoch}", was["epoch"]));
    Ok(because.clone().or(risen))
}

/// The fact that keeps of which life of the ledger both sides' epochs are.
const LEDGER_EPOCH: &str = "epoch/ledger";

/// A side, as it answers now.
struct Side<'a> {
    name: String,
    identity: &'a Identity,
    rewound: Option<(String, String, String)>,
    /// Whether the ledger has forgotten how it stood.
    forgotten: bool,
}

impl Side<'_> {
    /// The side's epoch, begun anew where another answers; whether it is new, and why where that
    /// is for the side's own sake.
    async fn enter<L: Ledger>(
        self,
        ledger: &L,
        batch: &mut Batch,
    ) -> Result<(u32, bool, Option<Turn>), AgentError> {
        let name = format!("epoch/{}", self.name);
        let known = ledger.fact(&name).await?;
        let epoch = known.as_ref().map_or(1, epoch_of);
        let before = |what: &str| known.as_ref().and_then(|known| known["identity"][what].as_str());
        let other = self.identity.iter().find_map(|(what, is)| {
            let was = before(what).filter(|was| was != is)?;
            Some((what.clone(), was.to_owned(), is.clone()))
        });
        let side = self.name;
        let turn = other.or(self.rewound);
        let turn = turn.map(|(what, was, is)| Turn::NewEpoch { side, what, was, is });
        let is_new = turn.is_some() || self.forgotten;
        let epoch = epoch + u32::from(is_new);
        let fact = json!({ "epoch": epoch, "identity": self.identity });
        if known.as_ref() != Some(&fact) {
            batch.facts.insert(name, fact);
        }
        Ok((epoch, is_new, turn))
    }
}

fn epoch_of(fact: &Json) -> u32 {
    fact["epoch"].as_u64().and_then(|epoch| u32::try_from(epoch).ok()).unwrap_or(1)
}

/// The fact that holds a mapping's creates and deletes until a person releases them.
pub fn gate_fact(plan: &Plan) -> String {
    format!("gate/{}", plan.name)
}

/// The fact that says which comparison of a mapping is wanted.
pub fn compare_fact(plan: &Plan) -> String {
    format!("compare/{}", plan.name)
}

/// Which comparison of a mapping is wanted: the first is the first scan.
pub async fn wanted_generation<L: Ledger>(ledger: &L, plan: &Plan) -> Result<u64, AgentError> {
    let fact = ledger.fact(&compare_fact(plan)).await?;
    Ok(fact.and_then(|fact| fact["generation"].as_u64()).unwrap_or(1))
}

/// Asks for a mapping to be compared, once more where that is under way.
pub async fn demand_compare<L: Ledger>(
    ledger: &L,
    plan: &Plan,
    now: Timestamp,
) -> Result<(), AgentError> {
    let wanted = wanted_generation(ledger, plan).await? + 1;
    let mut batch = Batch::new(now);
    batch.facts.insert(compare_fact(plan), json!({ "generation": wanted }));
    match ledger.store(batch).await {
        Ok(()) => Ok(()),
        Err(error) => unless_conflict(error).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::MemoryLedger;

    fn identity(number: &str) -> Identity {
        BTreeMap::from([("the system identifier".to_owned(), number.to_owned())])
    }

    fn answering(campaign: &str, org: &str, gap: Option<&str>) -> Answering {
        let crms = vec![("sales".into(), identity(org))];
        let ledger = (1, None);
        let gap = gap.map(str::to_owned);
        Answering { campaign: identity(campaign), crms, ledger, gap, rewound: None }
    }

    async fn start(ledger: &MemoryLedger, answering: &Answering) -> (Epochs, usize) {
        let plans = Plans::new();
        let (epochs, turns) =
            compare(ledger, answering, &plans, Timestamp::UNIX_EPOCH).await.unwrap();
        (epochs, turns.len())
    }

    #[tokio::test]
    async fn another_system_begins_a_new_epoch_and_the_same_one_does_not() {
        let ledger = MemoryLedger::default();
        let epochs = |ledger, campaign, crm| Epochs { ledger, campaign, crms: vec![crm] };
        assert_eq!(start(&ledger, &answering("1", "a", None)).await, (epochs(1, 1, 1), 0));
        assert_eq!(start(&ledger, &answering("1", "a", None)).await, (epochs(1, 1, 1), 0));
        assert_eq!(start(&ledger, &answering("2", "a", None)).await, (epochs(1, 2, 1), 1));
        assert_eq!(start(&ledger, &answering("2", "b", None)).await, (epochs(1, 2, 2), 1));
        assert_eq!(start(&ledger, &answering("2", "b", Some("slot"))).await, (epochs(1, 2, 2), 1));
    }

    #[tokio::test]
    async fn a_ledger_that_forgot_and_a_log_that_went_back_begin_new_epochs() {
        let ledger = MemoryLedger::default();
        start(&ledger, &answering("1", "a", None)).await;
        let forgot = Answering {
            ledger: (9, Some("the slot is ahead".to_owned())),
            ..answering("1", "a", None)
        };
        let epochs = Epochs { ledger: 9, campaign: 2, crms: vec![2] };
        assert_eq!(start(&ledger, &forgot).await, (epochs, 1));
        let back = ("the end of the log".to_owned(), "0/9".to_owned(), "0/8".to_owned());
        let life = (9, None);
        let rewound = Answering { rewound: Some(back), ledger: life, ..answering("1", "a", None) };
        let epochs = Epochs { ledger: 9, campaign: 3, crms: vec![2] };
        assert_eq!(start(&ledger, &rewound).await, (epochs, 1));
        // The epoch rose at a start that was cut off before it came here.
        let cut_off = Answering { ledger: (10, None), ..answering("1", "a", None) };
        let epochs = Epochs { ledger: 10, campaign: 4, crms: vec![3] };
        assert_eq!(start(&ledger, &cut_off).await, (epochs.clone(), 1));
        assert_eq!(start(&ledger, &cut_off).await, (epochs, 0));
    }
}
