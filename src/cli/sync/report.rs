//! What came of a comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use anyhow::Result;
use jiff::Timestamp;
use serde_json::json;

use crate::agent::Plan;
use crate::agent::status::MappingStatus;
use crate::cli::visit::Visit;
use crate::ledger::{HeldFilter, HeldPage, Kept, Ledger as _, Verdict};
use crate::reconcile::{Bond, LinkId, LinkState, RecordId, Side};

/// How a record stands after it was compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stands {
    /// Both sides hold the same.
    Agrees,
    /// They do now: these fields went over.
    Repaired(Vec<String>),
    /// It is there on one side alone.
    Alone(Side),
    /// Something of it waits for a person.
    Held(Vec<String>),
    /// It waits for the other side, or for another record, and is looked at then.
    Waits(Timestamp),
    /// It was deleted, or one record of two was.
    Gone,
    /// Neither side has it.
    Unknown,
}

impl Stands {
    fn word(&self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Repaired(_) => "repaired",
            Self::Alone(_) => "alone",
            Self::Held(_) => "held",
            Self::Waits(_) => "waits",
            Self::Gone => "gone",
            Self::Unknown => "unknown",
        }
    }

    fn details(&self) -> String {
        match self {
            Self::Agrees => String::new(),
            Self::Repaired(what) | Self::Held(what) => what.join(", "),
            Self::Alone(side) => format!("in {side}"),
            Self::Waits(until) => format!("until {until}"),
            Self::Gone => "deleted, or left alone after the other was".to_owned(),
            Self::Unknown => "no such record on either side, or it is filtered out".to_owned(),
        }
    }
}

struct Line {
    key: RecordId,
    records: [Option<RecordId>; 2],
    stands: Stands,
}

/// What came of each key.
pub(super) struct Report<'a> {
    visit: &'a Visit,
    plan: &'a Plan,
    since: Timestamp,
    /// Whether a person named the records, and wants to see each.
    named: bool,
    lines: Vec<Line>,
    /// Pairs that are told: of those that nobody named, each once.
    told: BTreeSet<LinkId>,
}

/// So many of a link's newest decisions are looked through.
const DECISIONS: usize = 50;

/// Of records that nobody named, those that do not agree are listed up to this many.
const LISTED_MAX: usize = 100;

impl<'a> Report<'a> {
    pub(super) fn new(visit: &'a Visit, plan: &'a Plan, since: Timestamp, named: bool) -> Self {
        Self { visit, plan, since, named, lines: Vec::new(), told: BTreeSet::new() }
    }

    /// Takes in how these keys stand by these links.
    pub(super) async fn add(&mut self, keys: &[RecordId], links: Vec<Kept>) -> Result<()> {
        for key in keys {
            let bears = |kept: &&Kept| {
                Side::BOTH.into_iter().any(|side| kept.link.record(side) == Some(key))
            };
            let live = |kept: &&Kept| kept.link.state == LinkState::Live;
            let of_key = || links.iter().filter(bears);
            let found = of_key().find(live).or_else(|| of_key().next());
            let again = found.is_some_and(|kept| !self.told.insert(kept.link.id));
            if again && !self.named {
                continue;
            }
            let stands = match found {
                None => Stands::Unknown,
                Some(kept) => self.stands(kept).await?,
            };
            let records =
                Side::BOTH.map(|side| found.and_then(|kept| kept.link.record(side)).cloned());
            self.lines.push(Line { key: key.clone(), records, stands });
        }
        Ok(())
    }

    async fn stands(&self, kept: &Kept) -> Result<Stands> {
        let link = &kept.link;
        if link.state != LinkState::Live {
            return Ok(Stands::Gone);
        }
        let ledger = &self.visit.ledger;
        let filter = HeldFilter { link: Some(link.id), ..HeldFilter::default() };
        let page = HeldPage { after: None, limit: 1 };
        let field = |field| self.visit.field_name(self.plan.policy.entity, field);
        if let Some(held) = ledger.held(&filter, page).await?.first() {
            let told = held.held.iter().map(|one| match one.field {
                Some(of) => format!("{} {}", field(of), one.reason),
                None => one.reason.clone(),
            });
            return Ok(Stands::Held(told.collect()));
        }
        if let Some(due) = kept.mark.due() {
            return Ok(Stands::Waits(due.at));
        }
        let here = |side: Side| link.seen[side].bond == Bond::Here;
        if let Some(side) = Side::BOTH.into_iter().find(|side| here(*side) && !here(side.other())) {
            return Ok(Stands::Alone(side));
        }
        let decisions = ledger.decisions(link.id, DECISIONS).await?;
        let written: Vec<String> = decisions
            .iter()
            .filter(|decision| self.since <= decision.at)
            .filter(|one| matches!(one.verdict, Verdict::Written | Verdict::Discarded))
            .map(|decision| decision.field.map_or("the record".to_owned(), field))
            .collect();
        Ok(if written.is_empty() { Stands::Agrees } else { Stands::Repaired(written) })
    }

    pub(super) fn print(self, as_json: bool) -> Result<()> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for line in &self.lines {
            *counts.entry(line.stands.word()).or_default() += 1;
        }
        let mut out = std::io::stdout().lock();
        if as_json {
            let records = self.lines.iter().map(|line| {
                let [campaign, crm] = &line.records;
                let text = |record: &Option<RecordId>| record.as_ref().map(ToString::to_string);
                json!({
                    "key": line.key.to_string(),
                    "campaign": text(campaign),
                    "crm": text(crm),
                    "stands": line.stands.word(),
                    "details": line.stands.details(),
                })
            });
            let records: Vec<_> = records.collect();
            let asked = self.lines.len();
            let line = json!({
                "mapping": &*self.plan.name, "asked": asked, "done": true, "counts": counts,
                "records": records,
            });
            return Ok(writeln!(out, "{line}")?);
        }
        let told: Vec<String> =
            counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
        let told = if told.is_empty() { "nothing".to_owned() } else { told.join(", ") };
        writeln!(out, "{} compared: {told}", records(self.lines.len()))?;
        let shown = self.lines.iter().filter(|line| self.named || line.stands != Stands::Agrees);
        let most = if self.named { usize::MAX } else { LISTED_MAX };
        for line in shown.clone().take(most) {
            let [campaign, crm] = line.records.each_ref().map(|record| match record {
                Some(record) => record.to_string(),
                None => "-".to_owned(),
            });
            let (word, details) = (line.stands.word(), line.stands.details());
            let line = format!("{:<20} {campaign:<12} {crm:<20} {word:<9} {details}", line.key.0);
            writeln!(out, "{}", line.trim_end())?;
        }
        match shown.count().saturating_sub(most) {
            0 => Ok(()),
            more => Ok(writeln!(out, "and {more} more; --json has them all")?),
        }
    }
}

/// What came of a comparison of everything.
pub(super) fn all(
    one: &MappingStatus,
    decided: &BTreeMap<Verdict, u64>,
    as_json: bool,
) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let decided: BTreeMap<&str, u64> =
        decided.iter().map(|(verdict, count)| (verdict.name(), *count)).collect();
    if as_json {
        let line = json!({
            "mapping": one.mapping, "done": true, "campaign": one.scan.campaign,
            "crm": one.scan.crm, "decided": decided, "held": one.held,
        });
        return Ok(writeln!(out, "{line}")?);
    }
    let (campaign, crm) = (one.scan.campaign, one.scan.crm);
    writeln!(out, "{}: {campaign} records of campaign and {crm} of the crm compared", one.mapping)?;
    for (verdict, count) in &decided {
        writeln!(out, "{count:>10}  {verdict} meanwhile")?;
    }
    for (reason, count) in &one.held {
        writeln!(out, "{count:>10}  held: {reason}")?;
    }
    Ok(())
}

/// A number of records, in words.
pub(super) fn records(count: usize) -> String {
    let noun = if count == 1 { "record" } else { "records" };
    format!("{count} {noun}")
}
