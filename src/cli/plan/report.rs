//! What a plan comes to, for people and for machines.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use crate::agent::Plans;
use crate::agent::rehearse::Intended;
use crate::crm::Cost;
use crate::ledger::HeldLink;
use crate::reconcile::{Change, Lane, LinkId, Row, Side, Sides, Target, Value};

use super::Counts;

/// What a plan comes to.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// By mapping.
    mappings: BTreeMap<String, Mapping>,
    /// By account.
    accounts: BTreeMap<String, Calls>,
    #[serde(skip)]
    samples: usize,
    /// What is counted already: a record that takes two writes, for one because its parent is found
    /// only after the first, is one record.
    #[serde(skip)]
    counted: BTreeSet<(LinkId, Side, &'static str)>,
}

#[derive(Debug, Default, Serialize)]
struct Mapping {
    /// How many records each side has.
    campaign_records: u64,
    crm_records: u64,
    /// What would be done on each side.
    campaign: Counts,
    crm: Counts,
    /// What would be left to a person, by reason.
    held: Counts,
    samples: Vec<Json>,
}

/// What an account would be asked.
#[derive(Debug, Default, Serialize)]
struct Calls {
    /// To read everything once, as this plan did and a first scan does.
    to_scan: u64,
    /// To read what is about to be written.
    to_read: u64,
    /// To write it.
    to_write: u64,
    /// What is left of the day for ordinary work, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_today: Option<u64>,
}

impl Report {
    pub(super) fn new(samples: usize) -> Self {
        Self { samples, ..Self::default() }
    }

    fn mapping(&mut self, name: &str) -> &mut Mapping {
        self.mappings.entry(name.to_owned()).or_default()
    }

    fn account(&mut self, name: &str) -> &mut Calls {
        self.accounts.entry(name.to_owned()).or_default()
    }

    pub(super) fn read(&mut self, mapping: &str, records: Sides<u64>) {
        let mapping = self.mapping(mapping);
        (mapping.campaign_records, mapping.crm_records) = (records.campaign, records.crm);
    }

    pub(super) fn records(&self) -> u64 {
        self.mappings.values().map(|one| one.campaign_records + one.crm_records).sum()
    }

    pub(super) fn calls(&mut self, account: &str, to_scan: u64) {
        self.account(account).to_scan = to_scan;
    }

    pub(super) fn cost(&mut self, account: &str, cost: Cost) {
        let calls = self.account(account);
        calls.to_read += cost.reads;
        calls.to_write += cost.writes;
    }

    pub(super) fn budget(&mut self, account: &str, left: Option<u64>) {
        self.account(account).left_today = left;
    }

    pub(super) fn intend(&mut self, plans: &Plans, one: &Intended) {
        let Some(plan) = plans.get(&one.write.entity) else { return };
        let (kind, samples) = (kind(one), self.samples);
        if !self.counted.insert((one.write.link, one.write.side, kind)) {
            return;
        }
        let mapping = self.mapping(&plan.name);
        let counts = match one.write.side {
            Side::Campaign => &mut mapping.campaign,
            Side::Crm => &mut mapping.crm,
        };
        let count = counts.entry(kind.to_owned()).or_default();
        *count += 1;
        if *count <= samples as u64 {
            let name = |row: &Row| -> Map<String, Json> {
                let named =
                    row.iter().map(|(f, value)| (plan.field_name(*f).to_string(), told(value)));
                named.collect()
            };
            let after = match &one.write.change {
                Change::Set(row) => name(row),
                Change::Delete => Map::new(),
            };
            let record = |side: Side| one.records[side].as_ref().map(ToString::to_string);
            mapping.samples.push(json!({
                "side": one.write.side.name(), "kind": kind,
                "campaign": record(Side::Campaign), "crm": record(Side::Crm),
                "from": name(&one.before), "to": after,
            }));
        }
    }

    pub(super) fn held(&mut self, plans: &Plans, link: &HeldLink) {
        let Some(plan) = plans.get(&link.entity) else { return };
        let mapping = self.mapping(&plan.name);
        for held in &link.held {
            *mapping.held.entry(held.reason.clone()).or_default() += 1;
        }
    }

    pub(super) fn print(&self, as_json: bool) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if as_json {
            return Ok(writeln!(out, "{}", serde_json::to_string(self)?)?);
        }
        for (name, mapping) in &self.mappings {
            mapping.print(name, &mut out)?;
        }
        for (name, calls) in &self.accounts {
            let Calls { to_scan, to_read, to_write, left_today } = calls;
            writeln!(
                out,
                "crm.{name}: {to_scan} calls to read everything once, {to_read} to read what is to be \
                 written, {to_write} to write it{}",
                left_today.map(|left| format!("; {left} are left today")).unwrap_or_default()
            )?;
        }
        writeln!(out, "nothing was written")?;
        Ok(())
    }
}

impl Mapping {
    fn print(&self, name: &str, out: &mut impl std::io::Write) -> Result<()> {
        let (ours, theirs) = (self.campaign_records, self.crm_records);
        writeln!(out, "mapping.{name}: {ours} records in Campaign, {theirs} in the CRM")?;
        for (side, counts) in [("Campaign", &self.campaign), ("the CRM", &self.crm)] {
            let told: Vec<String> =
                counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
            let told = if told.is_empty() { "nothing".to_owned() } else { told.join(", ") };
            writeln!(out, "  in {side}: {told}")?;
        }
        for (reason, count) in &self.held {
            writeln!(out, "  left to a person: {reason} {count}")?;
        }
        for sample in &self.samples {
            let text = |key: &str| sample[key].as_str().unwrap_or("-").to_owned();
            writeln!(
                out,
                "  for example {} {} in {} ({} / {}): {} -> {}",
                text("kind"),
                name,
                text("side"),
                text("campaign"),
                text("crm"),
                sample["from"],
                sample["to"]
            )?;
        }
        Ok(())
    }
}

/// What is done, in a word.
fn kind(one: &Intended) -> &'static str {
    match (&one.write.change, &one.write.target, one.write.lane) {
        (Change::Delete, _, _) => "delete",
        (Change::Set(_), Target::New { .. }, _) => "create",
        (Change::Set(_), Target::Record(_), Lane::Consent) if one.write.opt_in => "opt_in",
        (Change::Set(_), Target::Record(_), Lane::Consent) => "opt_out",
        (Change::Set(_), Target::Record(_), Lane::Ordinary) => "update",
    }
}

/// A value for people.
fn told(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => json!(flag),
        Value::Int(number) => json!(number),
        Value::Decimal(number) => json!(number.to_string()),
        Value::Text(text) => json!(&**text),
        Value::Date(date) => json!(date.to_string()),
        Value::Time(time) => json!(time.to_string()),
        Value::Instant(at) => json!(at.to_string()),
        Value::Uuid(id) => json!(format!("{id:032x}")),
        Value::Set(names) => json!(names.iter().map(|name| &**name).collect::<Vec<&str>>()),
        Value::Record(record) => json!(record.to_string()),
        Value::Link(link) => json!(format!("link {link}")),
        Value::Consent(consent) => json!(if consent.is_out() { "out" } else { "in" }),
    }
}
