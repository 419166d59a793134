//! Which lives of the two sides and of the ledger we are in (rule 4).
//!
//! What identifies a side is kept as a fact, and compared at every start. Where another answers
//! (restored, cloned, refreshed from a sandbox), that side begins a new epoch: its bases are void,
//! its mappings are compared, and creates and deletes wait until a person releases them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::ledger::{Batch, Ledger};

use super::AgentError;
use super::error::unless_conflict;
use super::plan::{Plan, Plans};

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
    /// The organisation of each account, by the account's name in the config.
    pub crms: Vec<(Arc<str>, Identity)>,
    /// Why Campaign's log cannot be followed from where the ledger stands, where that is so.
    pub gap: Option<String>,
}

/// Something that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Another system answers.
    NewEpoch {
        /// Which: `campaign`, or the account's name.
        side: String,
        /// What of it.
        what: String,
        /// What that was.
        was: String,
        /// What it is.
        is: String,
    },
    /// Campaign's log has a gap for us.
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
    let mut turns = Vec::new();
    let campaign =
        enter(ledger, "campaign", &answering.campaign, &mut (&mut batch, &mut turns)).await?;
    let mut touched: Vec<&Plan> = Vec::new();
    if !turns.is_empty() {
        touched.extend(plans.values());
    }
    let mut crms = Vec::new();
    for (account, (name, identity)) in answering.crms.iter().enumerate() {
        let before = turns.len();
        let side = format!("crm/{name}");
        crms.push(enter(ledger, &side, identity, &mut (&mut batch, &mut turns)).await?);
        if before < turns.len() {
            touched.extend(plans.values().filter(|plan| plan.account == account));
        }
    }
    let known = ledger.fact(LEDGER_EPOCH).await?;
    let mut epoch = known.as_ref().map_or(1, epoch_of);
    for plan in touched {
        batch.facts.insert(gate_fact(plan), json!({ "since": now.to_string() }));
    }
    let mut compared: Vec<&Plan> = Vec::new();
    if let Some(why) = &answering.gap {
        // The ledger may have been restored: stamps must not be given twice.
        epoch += 1;
        turns.push(Turn::Gap(why.clone()));
        compared.extend(plans.values());
    }
    compared.extend(plans.values().filter(|plan| batch.facts.contains_key(&gate_fact(plan))));
    for plan in compared {
        let wanted = wanted_generation(ledger, plan).await? + 1;
        batch.facts.insert(compare_fact(plan), json!({ "generation": wanted }));
    }
    batch.facts.insert(LEDGER_EPOCH.to_owned(), json!({ "epoch": epoch }));
    if let Err(error) = ledger.store(batch).await {
        unless_conflict(error)?;
    }
    Ok((Epochs { ledger: epoch, campaign, crms }, turns))
}

const LEDGER_EPOCH: &str = "epoch/ledger";

/// A side's epoch, begun anew where another answers.
async fn enter<L: Ledger>(
    ledger: &L,
    side: &str,
    identity: &Identity,
    (batch, turns): &mut (&mut Batch, &mut Vec<Turn>),
) -> Result<u32, AgentError> {
    let name = format!("epoch/{side}");
    let known = ledger.fact(&name).await?;
    let mut epoch = known.as_ref().map_or(1, epoch_of);
    let before = |what: &str| known.as_ref().and_then(|known| known["identity"][what].as_str());
    let changed = identity.iter().find_map(|(what, is)| {
        let was = before(what)?;
        (was != is).then(|| (what.clone(), was.to_owned(), is.clone()))
    });
    if let Some((what, was, is)) = changed {
        epoch += 1;
        turns.push(Turn::NewEpoch { side: side.to_owned(), what, was, is });
    }
    let fact = json!({ "epoch": epoch, "identity": identity });
    if known.as_ref() != Some(&fact) {
        batch.facts.insert(name, fact);
    }
    Ok(epoch)
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
        Answering { campaign: identity(campaign), crms, gap: gap.map(str::to_owned) }
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
        assert_eq!(start(&ledger, &answering("2", "b", Some("slot"))).await, (epochs(2, 2, 2), 1));
    }
}
