//! Pairs of people in both systems, an agent that comes and goes, and records of who wrote what.
//!
//! Both systems keep their own history of each write, the CRM in the simulator and Campaign by a
//! trigger of this stage: what must not have happened is asked of them, not of the agent.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value as Json, json};
use truce::postgres::Session;

use crate::cli_world::{Agent, PATIENCE, World};
use crate::crm::{Control, Crm, people, with};

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

pub(crate) struct Stage<C> {
    pub(crate) world: World,
    pub(crate) control: Control,
    _crm: C,
    agent: Option<Agent>,
    /// The contact of the recipient with the key 1, and so on.
    pub(crate) ids: Vec<String>,
    mark: String,
    marks: usize,
}

/// What a person looks like on one side: `p1@x.org|Pat|0|0`, that is e-mail, first name, phone and
/// whether opted out.
pub(crate) type People = Vec<String>;

impl<C: Crm> Stage<C> {
    /// So many pairs that hold the same, with a config that this makes of the usual one.
    pub(crate) async fn set(pairs: usize, config: impl FnOnce(&str) -> String) -> Self {
        let world = World::start().await;
        let crm = C::start(&world).await;
        let control = Control::of(crm.control(&world));
        world.sql(DIARY).await;
        // A write whose answer was lost is waited for as long as the CRM may take to carry it out.
        let limits = "late_commit_seconds = 2\nwrite_time_limit_seconds = 3\n";
        let usual = world.house() + &crm.account(&world) + limits + &people::<C>();
        world.configure(&config(&usual));
        world
            .sql(&format!(
                "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname, sphone)
                 select n, 'p' || n || '@x.org', 'Pat', 'Roe', '0' from generate_series(1, {pairs}) n;
                 insert into nmsrecipient (irecipientid, semail, sfirstname, slastname)
                 values ({MARK}, 'mark@x.org', 'mark', 'mark')"
            ))
            .await;
        let mut stage = Self {
            world,
            control,
            _crm: crm,
            agent: None,
            ids: Vec::new(),
            mark: String::new(),
            marks: 0,
        };
        let person = |n: usize| {
            let email = format!("p{n}@x.org");
            json!({"email": email, "first_name": "Pat", "last_name": "Roe", "phone": "0"})
        };
        let people: Vec<Json> = (1..=pairs).map(person).collect();
        stage.ids = stage.make(&people).await;
        let mark = json!({"email": "mark@x.org", "first_name": "mark", "last_name": "mark"});
        stage.mark = stage.make(&[mark]).await.remove(0);
        stage.world.done(&["setup"]).await;
        stage.resume().await;
        stage.paired(pairs + 1).await;
        stage
    }

    /// Makes contacts as a person would; their ids.
    pub(crate) async fn make(&self, people: &[Json]) -> Vec<String> {
        let records: Vec<Json> = people.iter().map(C::told).collect();
        let order = json!({C::TABLE: C::PERSON, "records": records});
        let made = self.control.order("create", order).await;
        let ids = made["ids"].as_array().unwrap().iter();
        ids.map(|id| id.as_str().unwrap().to_owned()).collect()
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
        self.edit_contact(&self.ids[key - 1], &fields).await;
    }

    async fn edit_contact(&self, id: &str, fields: &Json) {
        let order = json!({C::TABLE: C::PERSON, "id": id, "fields": C::told(fields)});
        self.control.order("edit", order).await;
    }

    /// Has the next write fail, or be slow, in this way.
    pub(crate) async fn trouble(&self, route: &str, order: Json) {
        self.control.order(route, with(order, C::writes())).await;
    }

    /// Waits until Campaign's feed has brought what was done before this.
    pub(crate) async fn campaign_passes(&mut self) {
        self.marks += 1;
        let mark = format!("mark {}", self.marks);
        let ours =
            format!("update nmsrecipient set sfirstname = '{mark}' where irecipientid = {MARK}");
        self.sql(&ours).await;
        self.wait("Campaign's feed to pass", async || {
            self.contact(&self.mark, "first_name").await == json!(mark)
        })
        .await;
    }

    /// Waits until both feeds have brought what was done before this.
    pub(crate) async fn pass(&mut self) {
        let mark = format!("mark {}", self.marks + 1);
        self.edit_contact(&self.mark, &json!({"last_name": mark})).await;
        self.campaign_passes().await;
        let theirs = format!("select slastname from nmsrecipient where irecipientid = {MARK}");
        self.wait("both feeds to pass", async || self.world.rows(&theirs).await == [&*mark]).await;
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
        let others = contacts.iter().filter(|contact| contact[C::KEYS[0]] != *self.mark);
        let line = |contact: &Json| {
            let text = |field: &str| contact[C::name(field)].as_str().unwrap_or("").to_owned();
            let out = u8::from(C::is_out(contact)).to_string();
            [text("email"), text("first_name"), text("phone"), out].join("|")
        };
        let mut people: People = others.map(line).collect();
        people.sort();
        people
    }

    pub(crate) async fn contacts(&self) -> Vec<Json> {
        let answer = self.control.look(&format!("records/{}", C::PERSON)).await;
        let records = answer["records"].as_array().unwrap().iter();
        records.filter(|record| C::is_here(record)).cloned().collect()
    }

    /// A field of one contact.
    pub(crate) async fn contact(&self, id: &str, field: &str) -> Json {
        let contacts = self.contacts().await;
        let contact = contacts.into_iter().find(|contact| contact[C::KEYS[0]] == *id);
        contact.map_or(Json::Null, |contact| contact[C::name(field)].clone())
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

    /// What the agent wrote to this contact, a line a write: `update phone=1`.
    pub(crate) async fn sent(&self, id: &str) -> Vec<String> {
        let route = format!("history?{}={}&id={id}", C::TABLE, C::PERSON);
        let answer = self.control.look(&route).await;
        let changes = answer["changes"].as_array().unwrap();
        changes.iter().filter(|change| change["via"] == "api").map(line::<C>).collect()
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
            let faults = self.control.look("faults").await;
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
fn line<C: Crm>(change: &Json) -> String {
    let kept = |field: &str| !C::KEYS.contains(&field) && !C::BY_ITSELF.contains(&field);
    let fields = change["fields"].as_object().unwrap().iter().filter(|(field, _)| kept(field));
    let value = |(field, values): (&String, &Json)| {
        let new = C::new_value(values);
        let new = new.as_str().map_or_else(|| new.to_string(), ToOwned::to_owned);
        format!(" {}={new}", C::field(field))
    };
    let deed = change["deed"].as_str().unwrap();
    let fields = if deed == "update" { fields.map(value).collect() } else { String::new() };
    format!("{deed}{fields}")
}
