//! What happened on both sides, told by both sides: the CRM's own history, and in Campaign an audit
//! table that a trigger of the test's fills. The agent is asked for nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use truce::simulator::any::Kind;
use truce::simulator::people::{Stage, Where};

use crate::crm;

/// Who changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    Person,
    Agent,
}

/// One field of one person that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Milliseconds since 1970, by this machine's clock.
    pub(crate) at: i64,
    /// When readers could see it: a commit of the CRM may be held back for minutes.
    pub(crate) shown: i64,
    pub(crate) side: Where,
    pub(crate) author: Author,
    /// The e-mail address, which nobody edits.
    pub(crate) who: String,
    /// By its name in the CRM.
    pub(crate) field: String,
    /// Blank where there was nothing.
    pub(crate) old: String,
    pub(crate) new: String,
    /// The contact, and the request that wrote it.
    pub(crate) contact: Option<(String, u64)>,
}

/// Everything that happened, in the order of each side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histories {
    pub(crate) events: Vec<Event>,
    /// When each contact was read by its id: request and time.
    pub(crate) reads: BTreeMap<String, Vec<(u64, i64)>>,
    /// People whose contact was merged into another's.
    pub(crate) merged: BTreeSet<String>,
}

pub(crate) const CONSENT: &str = "HasOptedOutOfEmail";

/// The columns that hold what the CRM's fields hold.
const COLUMNS: [(&str, &str); 6] = [
    ("sfirstname", "FirstName"),
    ("slastname", "LastName"),
    ("sphone", "Phone"),
    ("smobilephone", "MobilePhone"),
    ("stext1", "Title"),
    ("scity", "MailingCity"),
];

const AUDIT: &str = "
create table people_audit (
  n bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  who text not null, old jsonb, new jsonb);
create function people_audit() returns trigger language plpgsql security definer as $$
begin
  insert into people_audit (who, old, new)
  values (session_user,
          case when tg_op <> 'INSERT' then to_jsonb(old) end,
          case when tg_op <> 'DELETE' then to_jsonb(new) end);
  return null;
end $$;
create trigger people_audit after insert or update or delete on nmsrecipient
  for each row execute function people_audit();";

/// Begins to write down what happens in Campaign.
pub(crate) async fn begin(stage: &Stage) {
    stage.desk.script(AUDIT).await.unwrap();
}

impl Histories {
    pub(crate) async fn read(kind: Kind, stage: &Stage) -> Self {
        let mut histories = Self::default();
        histories.read_campaign(stage).await;
        histories.read_crm(stage).await;
        histories.reads = crm::reads(kind, &stage.screen).await;
        histories
    }

    async fn read_campaign(&mut self, stage: &Stage) {
        let sql = "select (extract(epoch from at) * 1000)::bigint, who, old::text, new::text
                     from people_audit order by n";
        for row in stage.desk.read(sql, &[]).await.unwrap() {
            let json = |at: usize| -> Option<Map<String, Value>> {
                serde_json::from_str(&row.get::<_, Option<String>>(at)?).ok()
            };
            let (old, new) = (json(2), json(3));
            // A deletion takes the person, not a field.
            let Some(new) = new else { continue };
            let at = row.get(0);
            let author =
                if row.get::<_, &str>(1) == "truce" { Author::Agent } else { Author::Person };
            let who = text(&new["semail"]);
            let event = |field: &str, old: String, new: String| Event {
                at,
                shown: at,
                side: Where::Campaign,
                author,
                who: who.clone(),
                field: field.to_owned(),
                old,
                new,
                contact: None,
            };
            let was = |column: &str| old.as_ref().map(|old| text(&old[column])).unwrap_or_default();
            for (column, field) in COLUMNS {
                let (old, new) = (was(column), text(&new[column]));
                if old != new {
                    self.events.push(event(field, old, new));
                }
            }
            let (before, after) = (old.as_ref().is_some_and(is_out), is_out(&new));
            if before != after {
                self.events.push(event(CONSENT, before.to_string(), after.to_string()));
            }
        }
    }

    async fn read_crm(&mut self, stage: &Stage) {
        let all = stage.screen.ever("Contact", "Id,Email").await.unwrap();
        let who: BTreeMap<String, String> =
            all.iter().map(|record| (text(&record["Id"]), text(&record["Email"]))).collect();
        for change in stage.screen.history("Contact").await.unwrap() {
            let id = text(&change["id"]);
            let Some(who) = who.get(&id) else { continue };
            if change["deed"] == "merge" && change["fields"]["MasterRecordId"]["new"].is_string() {
                self.merged.insert(who.clone());
            }
            let author = if change["via"] == "api" { Author::Agent } else { Author::Person };
            let request = change["request"].as_u64().unwrap_or(0);
            for (field, values) in change["fields"].as_object().unwrap() {
                let known = COLUMNS.iter().any(|(_, name)| name == field) || field == CONSENT;
                let (old, new) = (text(&values["old"]), text(&values["new"]));
                if !known || (field == CONSENT && old.is_empty() && new == "false") {
                    continue;
                }
                self.events.push(Event {
                    at: change["at_ms"].as_i64().unwrap(),
                    shown: change["shown_at_ms"].as_i64().unwrap(),
                    side: Where::Crm,
                    author,
                    who: who.clone(),
                    field: field.clone(),
                    old,
                    new,
                    contact: Some((id.clone(), request)),
                });
            }
        }
    }
}

/// Out by its own flag, or by the one for every channel.
fn is_out(row: &Map<String, Value>) -> bool {
    ["iblacklistemail", "iblacklist"].iter().any(|flag| row[*flag].as_i64().unwrap_or(0) != 0)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
