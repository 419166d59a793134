//! Pairs of people in both systems, an agent that comes and goes, and records of who wrote what.
//!
//! Both systems keep their own history of each write, the CRM in the simulator and Campaign by a
//! trigger of this stage: what must not have happened is asked of them, not of the agent.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value as Json, json};
use truce::postgres::Session;

use crate::cli_world::{Agent, PATIENCE, World};

/// Every change of a recipient, with who made it, column by column. A tslastmodified that moves
/// with the others says nothing more.
const DIARY: &str = "
    create table diary (n serial, who text, deed text, key integer, old jsonb, new jsonb);
    create function note() returns trigger language plpgsql security definer as $$
    begin
      insert into diary (who, deed, key, old, new) values (session_user, lower(tg_op),
        coalesce(new.irecipientid, old.irecipientid),
        coalesce(to_jsonb(old), '{}') - 'tslastmodified',
        coalesce(to_jsonb(new), '{}') - 'tslastmodified');
      return null;
    end $$;
    create trigger diary after insert or update or delete on nmsrecipient
      for each row execute function note()";

/// The agent's updates and deletions of one recipient, a line a write.
const WRITES: &str = "
    select d.deed || coalesce((
        select string_agg(' ' || n.key || '=' || coalesce(n.value, ''), '' order by n.key)
          from jsonb_each_text(d.new) n
         where d.deed = 'update' and n.value is distinct from d.old ->> n.key), '')
      from diary d where d.who = 'truce' and d.key = $1 order by d.n";

/// Which values were discarded; what moved, and that two records are a pair, is kept there too.
const DECISIONS: &str = "
    select concat_ws(' ', f.name, d.rule, d.winner) from truce.decision d
      join truce.field f using (field) where d.verdict = 'discarded' order by d.number";

/// What is looked at within a minute; a tombstone is in years.
const DUE: &str =
    "select count(*)::text from truce.due where at < clock_timestamp() + interval '1 minute'";

/// The person whose edits mark how far both feeds have come; nobody looks at this one.
const MARK: i32 = 9000;

pub(crate) struct Stage {
    pub(crate) world: World,
    agent: Option<Agent>,
    /// The contact of the recipient with the key 1, and so on.
    pub(crate) ids: Vec<String>,
    mark: String,
    marks: usize,
}

/// What a person looks like on one side: `p1@x.org|Pat|0|0`, that is e-mail, first name, phone and
/// whether opted out.
pub(crate) type People = Vec<String>;

impl Stage {
    /// So many pairs that hold the same, with a config that this makes of the usual one.
    pub(crate) async fn set(pairs: usize, config: impl FnOnce(&str) -> String) -> Self {
        let world = World::start().await;
        world.sql(DIARY).await;
        let fields = r#"phone = { campaign = "sphone", crm = "Phone" }
note = { campaign = "mdata", crm = "Description", direction = "to_crm" }
member = { campaign = "smember", crm = "Member_Number__c" }
"#;
        // A write whose answer was lost is waited for as long as the CRM may take to carry it out.
        let limits = "timeout_seconds = 5\nlate_commit_seconds = 2\nwrite_time_limit_seconds = 3";
        let usual = world.config().replace("timeout_seconds = 5", limits) + fields;
        world.configure(&config(&usual));
        world
            .sql(&format!(
                "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname, sphone)
                 select n, 'p' || n || '@x.org', 'Pat', 'Roe', '0' from generate_series(1, {pairs}) n;
                 insert into nmsrecipient (irecipientid, semail, sfirstname, slastname)
                 values ({MARK}, 'mark@x.org', 'mark', 'mark')"
            ))
            .await;
        let person = |n: usize| {
            let email = format!("p{n}@x.org");
            json!({"Email": email, "FirstName": "Pat", "LastName": "Roe", "Phone": "0"})
        };
        let mut contacts: Vec<Json> = (1..=pairs).map(person).collect();
        contacts.push(json!({"Email": "mark@x.org", "FirstName": "mark", "LastName": "mark"}));
        let mut ids = world.contacts_made(Json::Array(contacts)).await;
        let mark = ids.pop().unwrap();
        world.done(&["setup"]).await;
        let mut stage = Self { world, agent: None, ids, mark, marks: 0 };
        stage.resume().await;
        stage.paired(pairs + 1).await;
        stage
    }

    /// Waits until so many pairs have met and are agreed on.
    async fn paired(&self, pairs: usize) {
        const PAIRS: &str =
            "select count(*)::text from truce.link where campaign is not null and crm is not null";
        let ledger = self.ledger().await;
        self.wait("the pairs to meet", async || {
            read(&ledger, PAIRS).await == [pairs.to_string()] && read(&ledger, DUE).await == ["0"]
        })
        .await;
    }

    pub(crate) async fn resume(&mut self) {
        self.agent = Some(self.world.run().await);
    }

    /// Ends the agent, so that what both sides do next is done without knowing of each other.
    pub(crate) async fn pause(&mut self) {
        let (code, log) = self.agent.take().unwrap().end().await;
        assert_eq!(code, Some(0), "{log}");
    }

    /// Stops the agent where it stands; it keeps its connections, and reads no answer.
    pub(crate) fn freeze(&self) {
        self.agent.as_ref().unwrap().signal(Signal::SIGSTOP);
    }

    pub(crate) async fn kill(&mut self) {
        self.agent.take().unwrap().kill().await;
    }

    pub(crate) async fn sql(&self, statements: &str) {
        self.world.sql(statements).await;
    }

    /// Edits the contact of this recipient as a person would.
    pub(crate) async fn edit(&self, key: usize, fields: Json) {
        self.world.edit(&self.ids[key - 1], fields).await;
    }

    /// Waits until both feeds have brought what was done before this.
    pub(crate) async fn pass(&mut self) {
        self.marks += 1;
        let mark = format!("mark {}", self.marks);
        let ours =
            format!("update nmsrecipient set sfirstname = '{mark}' where irecipientid = {MARK}");
        self.sql(&ours).await;
        self.world.edit(&self.mark, json!({"LastName": mark})).await;
        let theirs = format!("select slastname from nmsrecipient where irecipientid = {MARK}");
        self.wait("both feeds to pass", async || {
            let there = self.contact(&self.mark, "FirstName").await;
            there == json!(mark) && self.world.rows(&theirs).await == [&*mark]
        })
        .await;
    }

    /// Waits until that, and until nothing is left to be done.
    pub(crate) async fn quiet(&mut self) {
        self.pass().await;
        let ledger = self.ledger().await;
        self.wait("nothing to be due", async || read(&ledger, DUE).await == ["0"]).await;
    }

    /// Waits until something is to be done about this recipient.
    pub(crate) async fn due(&self, key: usize) {
        let due = format!(
            "select count(*)::text from truce.due d join truce.link l on l.id = d.link
              where l.campaign = '{key}'"
        );
        let ledger = self.ledger().await;
        self.wait("the edit to be seen", async || read(&ledger, &due).await == ["1"]).await;
    }

    pub(crate) async fn wait(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        let waiting = async {
            while !holds().await {
                tick.tick().await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            let people = (self.campaign().await, self.crm().await);
            panic!("no end of waiting for {what}: {people:#?}, held: {:#?}", self.held().await);
        }
    }

    /// Waits until both sides hold these.
    pub(crate) async fn agree(&self, wanted: &[&str]) {
        self.wait("both sides to agree", async || {
            self.campaign().await == wanted && self.crm().await == wanted
        })
        .await;
    }

    pub(crate) async fn campaign(&self) -> People {
        let people = format!(
            "select concat_ws('|', semail, sfirstname, coalesce(sphone, ''),
                    greatest(iblacklistemail, iblacklist)::text)
               from nmsrecipient where irecipientid not in (0, {MARK}) order by semail"
        );
        self.world.rows(&people).await
    }

    pub(crate) async fn crm(&self) -> People {
        let contacts = self.contacts().await;
        let others = contacts.iter().filter(|contact| contact["Id"] != *self.mark);
        let line = |contact: &Json| {
            let text = |field: &str| contact[field].as_str().unwrap_or("").to_owned();
            let out = u8::from(contact["HasOptedOutOfEmail"] == json!(true)).to_string();
            [text("Email"), text("FirstName"), text("Phone"), out].join("|")
        };
        let mut people: People = others.map(line).collect();
        people.sort();
        people
    }

    async fn contacts(&self) -> Vec<Json> {
        let answer = self.world.look("records/Contact?deleted=false").await;
        answer["records"].as_array().unwrap().clone()
    }

    /// A field of one contact.
    pub(crate) async fn contact(&self, id: &str, field: &str) -> Json {
        let contacts = self.contacts().await;
        let contact = contacts.into_iter().find(|contact| contact["Id"] == *id);
        contact.map_or(Json::Null, |contact| contact[field].clone())
    }

    /// A column of one recipient.
    pub(crate) async fn recipient(&self, key: usize, column: &str) -> String {
        let query = format!("select {column}::text from nmsrecipient where irecipientid = {key}");
        self.world.rows(&query).await.concat()
    }

    /// What the agent wrote to this recipient, a line a write: `update sphone=1`.
    pub(crate) async fn written(&self, key: usize) -> Vec<String> {
        let key = i32::try_from(key).unwrap();
        let rows = self.world.owner.query(WRITES, &[&key]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// What the agent wrote to this contact, a line a write: `update Phone=1`.
    pub(crate) async fn sent(&self, id: &str) -> Vec<String> {
        let answer = self.world.look(&format!("history?object=Contact&id={id}")).await;
        let changes = answer["changes"].as_array().unwrap();
        changes.iter().filter(|change| change["via"] == "api").map(line).collect()
    }

    pub(crate) async fn decisions(&self) -> Vec<String> {
        read(&self.ledger().await, DECISIONS).await
    }

    /// What waits for a person: `conflict phone 1`, the reason, the field and Campaign's key.
    pub(crate) async fn held(&self) -> Vec<String> {
        let list = self.world.done(&["held", "list", "--json"]).await;
        let line = |line: &str| {
            let held: Json = serde_json::from_str(line).unwrap();
            let words =
                ["reason", "field", "campaign"].map(|key| held[key].as_str().unwrap_or("-"));
            words.join(" ")
        };
        let mut lines: Vec<String> = list.lines().map(line).collect();
        lines.sort();
        lines
    }

    /// Waits until exactly these wait for a person.
    pub(crate) async fn holds(&self, wanted: &[&str]) {
        self.wait(&format!("{wanted:?} to be held"), async || self.held().await == wanted).await;
    }

    pub(crate) async fn ledger(&self) -> Session {
        self.world.database.session("truce").await.unwrap()
    }

    /// Waits until so many requests have met the trouble that was ordered last.
    pub(crate) async fn met(&self, requests: u64) {
        self.wait("a request to meet the trouble", async || {
            let faults = self.world.look("faults").await;
            faults["answers"].as_array().unwrap().last().unwrap()["hits"] == json!(requests)
        })
        .await;
    }
}

async fn read(session: &Session, query: &str) -> Vec<String> {
    let rows = session.query(query, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// A change, without what every write changes.
fn line(change: &Json) -> String {
    let kept = |field: &str| {
        let by_itself = ["Name", "SystemModstamp", "LastModifiedDate", "LastModifiedById"];
        !field.starts_with("Truce_") && !by_itself.contains(&field)
    };
    let fields = change["fields"].as_object().unwrap().iter().filter(|(field, _)| kept(field));
    let value = |(field, value): (&String, &Json)| {
        let new = value["new"].as_str().map_or_else(|| value["new"].to_string(), ToOwned::to_owned);
        format!(" {field}={new}")
    };
    let deed = change["deed"].as_str().unwrap();
    let fields = if deed == "update" { fields.map(value).collect() } else { String::new() };
    format!("{deed}{fields}")
}
