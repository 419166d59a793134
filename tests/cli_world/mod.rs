//! A Campaign database on a private server, a simulated Salesforce, a config, and the real binary.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::unwrap_used,
    unused_imports,
    reason = "each test file uses a part of this"
)]

mod environment;
pub mod terminal;

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use truce::postgres::{Session, Settings, connect};
use truce::simulator::database::{Database, DatabaseOptions};
use truce::simulator::database_campaign::CampaignDatabase;
use truce::simulator::salesforce::{self, Options, Running, Validity};

pub use environment::Environment;

/// Longer than anything here takes on a slow and busy machine.
pub const PATIENCE: Duration = Duration::from_mins(2);

const CONTACTS: &str = r#"
[mapping.contacts]
crm = "sales"
table = "nmsrecipient"
key = "irecipientid"
object = "Contact"
external_id = "Truce_Id__c"
stamp = "Truce_Stamp__c"
match_on = ["email"]
conflict = "crm"
pairing = "crm"
create = ["campaign", "crm"]

[mapping.contacts.create_with]
crm = { LastName = "unknown" }
campaign = { ifolderid = 1182 }

[mapping.contacts.fields]
email = { campaign = "semail", crm = "Email" }
first_name = { campaign = "sfirstname", crm = "FirstName" }
last_name = { campaign = "slastname", crm = "LastName" }
opted_out = { campaign = ["iblacklistemail", "iblacklist"], crm = "HasOptedOutOfEmail", conflict = "most_restrictive" }
"#;

pub struct World {
    pub database: Database,
    pub campaign: CampaignDatabase,
    pub owner: Session,
    pub org: Running,
    pub folder: TempDir,
    http: reqwest::Client,
}

/// An agent that was started.
pub struct Agent {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub endpoints: String,
    pub log: tokio::task::JoinHandle<String>,
    /// What was logged so far.
    told: Arc<Mutex<String>>,
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let options =
            DatabaseOptions { settings: settings.collect(), ..DatabaseOptions::default() };
        Self::start_of(options, Validity::Current).await
    }

    /// With such a server, and with such a certificate of the CRM.
    pub async fn start_of(options: DatabaseOptions, certificate: Validity) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let database = Database::start(options).await.unwrap();
        let campaign = database.create_campaign("campaign").await.unwrap();
        database.grant_setup(&campaign).await.unwrap();
        let owner = connect(&campaign.owner, &Settings::default()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ca_file = Some(folder.path().join("ca.pem"));
        let org = salesforce::start(Options { ca_file, certificate, ..Options::default() });
        let org = org.await.unwrap();
        let world = Self { database, campaign, owner, org, folder, http: reqwest::Client::new() };
        std::fs::write(world.file("password"), world.database.password()).unwrap();
        std::fs::write(world.file("secret"), &world.org.client_secret).unwrap();
        world.configure(&world.config());
        world
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn configure(&self, config: &str) {
        std::fs::write(self.file("truce.toml"), config).unwrap();
    }

    /// One mapping of recipients and contacts, polled fast.
    pub fn config(&self) -> String {
        self.house() + &self.sales() + CONTACTS
    }

    /// What a config says of everything but the CRM.
    pub fn house(&self) -> String {
        let port = self.database.port();
        format!(
            r#"
[campaign]
url = "postgresql://truce@127.0.0.1:{port}/campaign?sslmode=disable"
password_file = "password"

[ledger]
lease_seconds = 5

[agent]
listen = "127.0.0.1:0"
log_format = "json"
"#
        )
    }

    /// What it says of the account of the CRM.
    pub fn sales(&self) -> String {
        let (url, id) = (&self.org.base_url, &self.org.client_id);
        format!(
            r#"
[crm.sales]
kind = "salesforce"
url = "{url}"
ca_file = "ca.pem"
client_id = "{id}"
client_secret_file = "secret"
poll_seconds = 0.1
poll_idle_seconds = 0.2
timeout_seconds = 5
"#
        )
    }

    /// The binary with these arguments and the config.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_truce"));
        command.args(arguments).arg("--config").arg(self.file("truce.toml"));
        command.env_remove("TRUCE_LOG").kill_on_drop(true);
        command
    }

    pub async fn truce(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).stdin(Stdio::null()).output();
        tokio::time::timeout(PATIENCE, output).await.expect("a command that ends").unwrap()
    }

    /// What a command tells that must come to this exit code, on both outputs together.
    pub async fn ends(&self, arguments: &[&str], code: i32) -> String {
        let output = self.truce(arguments).await;
        let mut told = String::from_utf8(output.stdout).unwrap();
        told.push_str(&String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        told
    }

    /// The output of a command that must succeed.
    pub async fn done(&self, arguments: &[&str]) -> String {
        let output = self.truce(arguments).await;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}{told}");
        said
    }

    /// Starts the agent and waits for its endpoints.
    pub async fn run(&self) -> Agent {
        let mut child = self.command(&["run"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (send, receive) = oneshot::channel();
        let told = Arc::new(Mutex::new(String::new()));
        let kept_too = Arc::clone(&told);
        let log = tokio::spawn(async move {
            let (mut send, mut kept) = (Some(send), String::new());
            while let Ok(Some(line)) = lines.next_line().await {
                let address = serde_json::from_str::<Json>(&line).ok().and_then(|line| {
                    line["address"].as_str().map(|address| format!("http://{address}"))
                });
                if let (Some(address), true) = (address, send.is_some()) {
                    drop(send.take().unwrap().send(address));
                }
                kept.push_str(&line);
                kept.push('\n');
                kept_too.lock().unwrap().clone_from(&kept);
            }
            kept
        });
        let Ok(endpoints) = tokio::time::timeout(PATIENCE, receive).await.unwrap() else {
            panic!("the agent ended: {}", log.await.unwrap())
        };
        Agent { child, endpoints, log, told }
    }

    pub async fn sql(&self, statements: &str) {
        self.owner.batch_execute(statements).await.unwrap();
    }

    /// What a query answers with, rows by line and columns by bar.
    pub async fn rows(&self, query: &str) -> Vec<String> {
        let rows = self.owner.query(query, &[]).await.unwrap();
        rows.iter().map(|row| row.get::<_, Option<String>>(0).unwrap_or_default()).collect()
    }

    pub async fn recipients(&self) -> Vec<String> {
        self.rows(
            "select concat_ws('|', semail, sfirstname, slastname, iblacklistemail::text)
               from nmsrecipient where irecipientid <> 0 order by semail",
        )
        .await
    }

    pub async fn contacts(&self) -> Vec<String> {
        let path =
            "records/Contact?deleted=false&fields=Email,FirstName,LastName,HasOptedOutOfEmail";
        let answer = self.look(path).await;
        let text = |value: &Json| match value {
            Json::Bool(flag) => u8::from(*flag).to_string(),
            Json::String(text) => text.clone(),
            Json::Null | Json::Number(_) | Json::Array(_) | Json::Object(_) => String::new(),
        };
        let records = answer["records"].as_array().unwrap().iter().map(|record| {
            let fields = ["Email", "FirstName", "LastName", "HasOptedOutOfEmail"];
            fields.map(|field| text(&record[field])).join("|")
        });
        let mut records: Vec<String> = records.collect();
        records.sort();
        records
    }

    pub async fn look(&self, path: &str) -> Json {
        let url = format!("{}/{path}", self.org.control_url);
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    pub async fn order(&self, path: &str, body: Json) -> Json {
        let url = format!("{}/{path}", self.org.control_url);
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        let status = answer.status();
        let body: Json = answer.json().await.unwrap();
        assert!(status.is_success(), "{path}: {body}");
        body
    }

    /// Makes contacts as a person would; their ids.
    pub async fn contacts_made(&self, records: Json) -> Vec<String> {
        let answer = self.order("create", json!({"object": "Contact", "records": records})).await;
        answer["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }

    pub async fn edit(&self, id: &str, fields: Json) {
        self.order("edit", json!({"object": "Contact", "id": id, "fields": fields})).await;
    }

    /// Waits until both sides hold these.
    pub async fn agree_on(&self, agent: &Agent, wanted: &[&str]) {
        let mut seen = (Vec::new(), Vec::new());
        let agreed = async {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            while seen.0 != wanted || seen.1 != wanted {
                tick.tick().await;
                seen = (self.recipients().await, self.contacts().await);
            }
        };
        if tokio::time::timeout(PATIENCE, agreed).await.is_err() {
            let ready = agent.get("readyz").await;
            let held = self.truce(&["held", "list"]).await;
            let held = String::from_utf8_lossy(&held.stdout);
            let log = agent.told.lock().unwrap();
            panic!("wanted {wanted:#?}, and there are {seen:#?}; {ready:?}\nheld:\n{held}\n{log}");
        }
    }
}

impl Agent {
    pub async fn get(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("{}/{path}", self.endpoints)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Waits until an endpoint answers so.
    pub async fn until(&self, path: &str, told: &str) {
        let mut last = (0, String::new());
        let answered = async {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            while !last.1.contains(told) {
                tick.tick().await;
                last = self.get(path).await;
            }
        };
        let late = tokio::time::timeout(PATIENCE, answered).await.is_err();
        assert!(!late, "{path} answers {last:?}, without {told}");
    }

    /// Waits until its log says so.
    pub async fn until_logged(&self, words: &str) {
        let logged = async {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            while !self.told.lock().unwrap().contains(words) {
                tick.tick().await;
            }
        };
        let late = tokio::time::timeout(PATIENCE, logged).await.is_err();
        assert!(!late, "nothing said `{words}`: {}", self.told.lock().unwrap());
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Lets it end by SIGTERM; its exit code and its log.
    pub async fn end(mut self) -> (Option<i32>, String) {
        self.signal(Signal::SIGTERM);
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        (status.code(), self.log.await.unwrap())
    }

    pub async fn kill(mut self) -> String {
        self.child.kill().await.unwrap();
        self.log.await.unwrap()
    }
}
