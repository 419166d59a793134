//! The story of one link: what each side holds and why, what waits, and how it came to be.
//!
//! Told from the ledger alone, its decision log included; it holds values of records, for the person
//! who asked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::ledger::{
    Bearer, Decision, HeldFilter, HeldPage, Kept, Ledger, PUT_OFF, Receipt, Verdict,
};
use crate::reconcile::{
    Answer, Bond, Change, Entity, Field, Gone, Link, LinkId, LinkState, Lsn, RecordId, Sent, Side,
    Value,
};

use super::AgentError;
use super::kept::printed;
use super::plan::Plan;
use super::reasons::{self, Reason};

/// One link.
#[derive(Clone, Debug, Serialize)]
pub struct Story {
    /// Its mapping.
    pub mapping: String,
    /// Its number.
    pub link: u64,
    /// What it stands for.
    pub state: String,
    /// Campaign's record.
    pub campaign: SideStory,
    /// The CRM's record.
    pub crm: SideStory,
    /// The mapped fields.
    pub fields: Vec<FieldStory>,
    /// What waits for a person.
    pub held: Vec<HeldStory>,
    /// Writes under way.
    pub writes: Vec<WriteStory>,
    /// Sides to which what differs is written later, as they said.
    pub put_off: Vec<PutOffStory>,
    /// When it is looked at next.
    pub due: Option<Timestamp>,
    /// Since when it waits for another record.
    pub waiting_since: Option<Timestamp>,
    /// What was decided and answered, the oldest first.
    pub log: Vec<Event>,
}

/// One side of it.
#[derive(Clone, Debug, Serialize)]
pub struct SideStory {
    /// The record's key.
    pub record: Option<String>,
    /// Whether it is there.
    pub bond: String,
    /// When it changed last, by that side's clock.
    pub modified: Option<Timestamp>,
    /// When it was read last, by ours; a CRM's.
    pub read: Option<Timestamp>,
    /// Up to where in the log it was seen; Campaign's.
    pub position: Option<String>,
}

/// A field on both sides.
#[derive(Clone, Debug, Serialize)]
pub struct FieldStory {
    /// Its name.
    pub field: String,
    /// Campaign's value; absent where it was never seen, like those below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign: Option<Json>,
    /// The CRM's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crm: Option<Json>,
    /// What both agreed on last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Json>,
    /// Why it holds what it holds.
    pub why: String,
}

/// Something that waits for a person.
#[derive(Clone, Debug, Serialize)]
pub struct HeldStory {
    /// The field; nothing is the whole record.
    pub field: Option<String>,
    /// One word.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// What the word means, what it keeps from going on, and the ways out.
    #[serde(flatten)]
    pub told: Reason,
    /// The side that it is about.
    pub side: Option<String>,
    /// That side's words.
    pub words: Option<String>,
    /// The field as both sides hold it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<FieldStory>,
    /// When each side's value came to be: after the first, not later than the second moment.
    pub changed: Both<Option<[Option<Timestamp>; 2]>>,
    /// Who had changed each side's record last when the value was first read, by that side's name
    /// for its users.
    pub by: Both<Option<String>>,
}

/// Something of both sides, by name.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Both<T> {
    /// Campaign's.
    pub campaign: T,
    /// The CRM's.
    pub crm: T,
}

/// A write that was kept and is not concluded.
#[derive(Clone, Debug, Serialize)]
pub struct WriteStory {
    /// Where to.
    pub to: &'static str,
    /// The number of its stamp.
    pub write: u32,
    /// Since when it is kept.
    pub kept_at: Timestamp,
    /// How far it has come.
    pub answer: &'static str,
    /// The values that it sets, by field; nothing is a deletion.
    pub sets: Option<BTreeMap<String, Json>>,
}

/// What was put off, and is tried again.
#[derive(Clone, Debug, Serialize)]
pub struct PutOffStory {
    /// Where to.
    pub to: &'static str,
    /// How many times in a row; 0 where that side was not reached.
    pub times: u8,
    /// Until when.
    pub until: Timestamp,
    /// For what, where that was said and is kept still.
    pub reason: Option<String>,
}

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub enum Event {
    /// A decision.
    Decided {
        /// When.
        at: Timestamp,
        /// The field; nothing is the whole record.
        field: Option<String>,
        /// What decided.
        rule: String,
        /// What it came to.
        verdict: &'static str,
        /// Whose value stands.
        winner: Option<&'static str>,
        /// Where it was written, and the number of the write.
        write: Option<(&'static str, u32)>,
        /// The inputs.
        values: Json,
    },
    /// An answer.
    Answered {
        /// When.
        at: Timestamp,
        /// By whom.
        side: &'static str,
        /// To which write.
        write: u32,
        /// One word.
        answer: String,
        /// What was said beside it.
        words: Option<String>,
    },
}

/// So many answers are looked at for what a side put off last.
const RECENT: usize = 16;

/// The links that bear a record of this key, on either side.
pub async fn find<L: Ledger>(
    ledger: &L,
    entity: Entity,
    keys: &[RecordId],
) -> Result<Vec<Kept>, AgentError> {
    let of = |key: &RecordId| Side::BOTH.map(|side| (entity, side, key.clone()));
    let bearers: Vec<Bearer> = keys.iter().flat_map(of).collect();
    Ok(ledger.links_of(&bearers).await?)
}

/// Tells a link's story, with at most so many decisions and answers.
pub async fn tell<L: Ledger>(
    ledger: &L,
    plan: &Plan,
    kept: Kept,
    most: usize,
) -> Result<Story, AgentError> {
    let link = &kept.link;
    let filter = HeldFilter { link: Some(link.id), ..HeldFilter::default() };
    let held = ledger.held(&filter, HeldPage { after: None, limit: 1 }).await?;
    let decisions = ledger.decisions(link.id, most).await?;
    let mut receipts = ledger.receipts(link.id, most.max(RECENT)).await?;
    let ids: Vec<LinkId> = link.parents().collect();
    let parents = if ids.is_empty() { Vec::new() } else { ledger.links(&ids).await? };
    let parents = parents.into_iter().map(|kept| (kept.link.id, kept.link)).collect();
    let put_off = |side| put_off(link, side, &receipts, kept.mark.due()?.at);
    let put_off: Vec<PutOffStory> = Side::BOTH.into_iter().filter_map(put_off).collect();
    receipts.truncate(most);
    let teller = Teller { link, plan, parents, decisions: &decisions, put_off: &put_off };
    let held: Vec<_> = held.into_iter().flat_map(|one| one.held).collect();
    let held: Vec<HeldStory> = held.iter().map(|held| teller.held(held)).collect();
    let sent = Side::BOTH.into_iter().flat_map(|side| &link.sent[side]);
    Ok(Story {
        mapping: plan.name.to_string(),
        link: link.id.0,
        state: state(&link.state),
        campaign: side(link, Side::Campaign),
        crm: side(link, Side::Crm),
        fields: plan.field_names.keys().map(|field| teller.field(*field, &held)).collect(),
        writes: sent.map(|sent| teller.write(sent)).collect(),
        due: kept.mark.due().map(|due| due.at),
        waiting_since: link.waiting_since,
        log: teller.log(receipts),
        held,
        put_off: put_off.clone(),
    })
}

struct Teller<'a> {
    link: &'a Link,
    plan: &'a Plan,
    parents: BTreeMap<LinkId, Link>,
    /// The newest first.
    decisions: &'a [Decision],
    put_off: &'a [PutOffStory],
}

impl Teller<'_> {
    fn name(&self, field: Field) -> String {
        self.plan.field_name(field).to_string()
    }

    /// A value as it stands on a side: of a reference, that side's record.
    fn value(&self, value: &Value, side: Side) -> Json {
        if let Value::Link(parent) = value
            && let Some(record) = self.parents.get(parent).and_then(|link| link.record(side))
        {
            return record.to_string().into();
        }
        printed(value)
    }

    fn values(&self, field: Field) -> FieldStory {
        let of = |side: Side| self.link.seen[side].value(field).map(|v| self.value(v, side));
        let base = self.link.base.get(&field).map(|base| self.value(base, Side::Campaign));
        let (campaign, crm) = (of(Side::Campaign), of(Side::Crm));
        FieldStory { field: self.name(field), campaign, crm, base, why: String::new() }
    }

    fn field(&self, field: Field, held: &[HeldStory]) -> FieldStory {
        let mut told = self.values(field);
        told.why = self.why(field, &told.field, held);
        told
    }

    /// Why a field holds what it holds, in a sentence.
    fn why(&self, field: Field, name: &str, held: &[HeldStory]) -> String {
        if let Some(held) = held.iter().find(|held| held.field.as_deref() == Some(name)) {
            return format!("held: {}", held.told.why);
        }
        let sets = |sent: &&Sent| match &sent.write.change {
            Change::Set(row) => row.contains_key(&field),
            Change::Delete => false,
        };
        let mut under_way = Side::BOTH.into_iter().flat_map(|side| &self.link.sent[side]);
        if let Some(sent) = under_way.find(sets) {
            return format!("being written to {}", sent.write.side);
        }
        let value = |side: Side| self.link.seen[side].value(field);
        let (Some(ours), Some(theirs)) = (value(Side::Campaign), value(Side::Crm)) else {
            return "not seen on both sides".to_owned();
        };
        let consents = matches!((ours, theirs), (Value::Consent(a), Value::Consent(b)) if a.is_out() == b.is_out());
        if ours == theirs || consents {
            return self.agreed(field);
        }
        if self.link.is_ignored(field) {
            return "left as it is by a person, until either side moves".to_owned();
        }
        let rule = self.plan.policy.fields.get(&field);
        let one_way =
            rule.and_then(|rule| Side::BOTH.into_iter().find(|side| !rule.direction.allows(*side)));
        let goes = |to: Side| rule.is_none_or(|rule| rule.direction.allows(to));
        let waits = |to: &Side| goes(*to) && self.put_off.iter().any(|one| one.to == to.name());
        if let Some(to) = Side::BOTH.into_iter().find(waits) {
            return format!("its write to {to} is put off");
        }
        match one_way {
            Some(source) => format!("goes over from {source} only"),
            None if self.link.waiting_since.is_some() => "waits for another record".to_owned(),
            None => "differs, and is to be decided".to_owned(),
        }
    }

    /// How two sides came to hold the same.
    fn agreed(&self, field: Field) -> String {
        let of = |decision: &&Decision| match decision.verdict {
            Verdict::Written | Verdict::Discarded => {
                decision.field == Some(field) || sets(decision, field)
            }
            Verdict::Held | Verdict::Parked | Verdict::Changed | Verdict::Told => false,
        };
        let Some(decision) = self.decisions.iter().find(of) else {
            return "both sides hold it, and nothing had to be decided".to_owned();
        };
        let whose = match decision.winner {
            Some(side) => format!("{side}'s value went over"),
            None => "the value went over that a person or a merge named".to_owned(),
        };
        format!("{whose} at {} by `{}`", decision.at, decision.rule)
    }

    fn held(&self, held: &crate::ledger::Held) -> HeldStory {
        let changed = |side: Side| {
            let seen = held.field.and_then(|field| self.link.seen[side].fields.get(&field))?;
            let interval = seen.changed?;
            let known = (interval.after != Timestamp::MIN).then_some(interval.after);
            Some([known, Some(interval.until)])
        };
        let by = |side: Side| {
            let seen = held.field.and_then(|field| self.link.seen[side].fields.get(&field))?;
            seen.by.as_deref().map(ToOwned::to_owned)
        };
        let text = |name: &str| held.detail[name].as_str().map(ToOwned::to_owned);
        HeldStory {
            field: held.field.map(|field| self.name(field)),
            reason: held.reason.clone(),
            since: held.since,
            told: reasons::told(&held.reason, held.field),
            side: text("side"),
            words: text("words"),
            values: held.field.map(|field| self.values(field)),
            changed: Both { campaign: changed(Side::Campaign), crm: changed(Side::Crm) },
            by: Both { campaign: by(Side::Campaign), crm: by(Side::Crm) },
        }
    }

    fn write(&self, sent: &Sent) -> WriteStory {
        let side = sent.write.side;
        let sets = match &sent.write.change {
            Change::Set(row) => Some(
                row.iter().map(|(field, v)| (self.name(*field), self.value(v, side))).collect(),
            ),
            Change::Delete => None,
        };
        let answer = match sent.answer {
            Answer::Pending => "awaited",
            Answer::Lost(_) => "lost",
            Answer::Committed(_) => "committed",
        };
        let write = sent.write.stamp.sequence;
        WriteStory { to: side.name(), write, kept_at: sent.at, answer, sets }
    }

    fn log(&self, receipts: Vec<Receipt>) -> Vec<Event> {
        let decided = self.decisions.iter().rev().map(|decision| Event::Decided {
            at: decision.at,
            field: decision.field.map(|field| self.name(field)),
            rule: decision.rule.clone(),
            verdict: decision.verdict.name(),
            winner: decision.winner.map(Side::name),
            write: decision.write.map(|(side, number)| (side.name(), number)),
            values: self.named(&decision.values),
        });
        let answered = receipts.into_iter().rev().map(|receipt| Event::Answered {
            at: receipt.at,
            side: receipt.side.name(),
            write: receipt.sequence,
            answer: receipt.answer,
            words: receipt.words,
        });
        let mut log: Vec<Event> = decided.chain(answered).collect();
        log.sort_by_key(Event::at);
        log
    }

    /// The inputs, with the fields of a new record by their names.
    fn named(&self, values: &Json) -> Json {
        let mut values = values.clone();
        if let Some(set) = values.get_mut("set").and_then(Json::as_object_mut) {
            let name = |number: String| match number.parse() {
                Ok(number) => self.name(Field(number)),
                Err(_) => number,
            };
            let named = std::mem::take(set).into_iter().map(|(number, v)| (name(number), v));
            *set = named.collect::<Map<_, _>>();
        }
        values
    }
}

impl Event {
    /// When.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Decided { at, .. } | Self::Answered { at, .. } => *at,
        }
    }
}

/// What a side was told to be written later, for the newest of its answers.
fn put_off(link: &Link, side: Side, receipts: &[Receipt], until: Timestamp) -> Option<PutOffStory> {
    let times = link.times_put_off(side);
    let newest = receipts.iter().find(|receipt| receipt.side == side);
    let reason = newest.filter(|newest| newest.answer == PUT_OFF);
    if times == 0 && reason.is_none() {
        return None;
    }
    let reason = reason.and_then(|receipt| receipt.words.clone());
    Some(PutOffStory { to: side.name(), times, until, reason })
}

/// Whether a decision made a record with this field.
fn sets(decision: &Decision, field: Field) -> bool {
    decision.values["set"].get(field.0.to_string()).is_some()
}

fn side(link: &Link, side: Side) -> SideStory {
    let seen = &link.seen[side];
    let bond = match &seen.bond {
        Bond::Never => "never seen".to_owned(),
        Bond::Here => "there".to_owned(),
        Bond::Gone(Gone::Deleted) => "deleted".to_owned(),
        Bond::Gone(Gone::Converted(None)) => "a lead that was converted".to_owned(),
        Bond::Gone(Gone::Converted(Some((_, into)))) => {
            format!("a lead that was converted into {into}")
        }
        Bond::Gone(Gone::Truncated) => "gone with its table's rows".to_owned(),
        Bond::Gone(Gone::Missing) => "not found".to_owned(),
        Bond::Gone(Gone::Merged(into)) => format!("merged into {into}"),
    };
    let logged = side == Side::Campaign && 0 < seen.at.major;
    SideStory {
        record: seen.record.as_ref().map(ToString::to_string),
        bond,
        modified: seen.modified,
        read: seen.asked,
        position: logged.then(|| Lsn(seen.at.major).to_string()),
    }
}

fn state(state: &LinkState) -> String {
    match state {
        LinkState::Live => "live".to_owned(),
        LinkState::Alias(of) => {
            format!("alias of link {of}: its CRM record was merged into that one's")
        }
        LinkState::Severed => "severed: the record that is left is left alone".to_owned(),
        LinkState::Tombstone => "tombstone: no record is left".to_owned(),
    }
}
