//! An opt-out behind a backlog: every pair was changed in Campaign a moment ago, the CRM takes
//! minutes to be told, and somebody opts out meanwhile, on one side and on the other.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use truce::simulator::people::{Agent, Mappings, Stage, StageOptions};

const POLL: f64 = 0.5;
const PAIRED_MAX: Duration = Duration::from_mins(20);
const ARRIVE_MAX: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// One order of the simulator's control address.
const SEEDED: usize = 5_000;

pub(crate) async fn run(pairs: u64, opt_outs: u64) {
    let mappings = Mappings { poll_seconds: POLL, ..Mappings::default() };
    let settings = crate::server_settings();
    let options = StageOptions { mappings, settings, ..StageOptions::default() };
    let stage = Stage::set(Path::new(env!("CARGO_BIN_EXE_truce")), options).await.unwrap();
    // So that a backlog stands: unhindered, what is read is written as fast.
    let config = std::fs::read_to_string(stage.config()).unwrap();
    let slow = config.replace("requests_per_second = 200", "requests_per_second = 10");
    assert_ne!(slow, config, "the CRM is slow");
    std::fs::write(stage.config(), slow).unwrap();
    let contacts = fill(&stage, pairs).await;
    stage.truce(&["setup"]).await.unwrap();
    let mut agent = stage.agent().unwrap();
    agent.leads().await.unwrap();
    let begun = Instant::now();
    wait(&mut agent, "pairing", |links, due| links >= pairs && due == 0).await;
    println!("opt-outs behind a backlog: {pairs} pairs, paired in {:.0?}", begun.elapsed());

    stage.desk.script(&change("one")).await.unwrap();
    wait(&mut agent, "the backlog", |_, due| due * 4 >= pairs).await;
    read(&mut agent).await;
    let (mut to_crm, mut to_campaign) = (Vec::new(), Vec::new());
    println!("  waiting to be written, before     {:>8}", due(&agent).await);
    for number in 0..opt_outs {
        let at = usize::try_from(number).unwrap() * 2;
        to_crm.push(in_campaign(&stage, 1 + at, &contacts[at]).await);
        to_campaign.push(in_crm(&stage, 2 + at, &contacts[at + 1]).await);
    }
    println!("  waiting to be written, after      {:>8}", due(&agent).await);
    print("Campaign's commit to the CRM", to_crm);
    print("the CRM's edit to Campaign (poll 0.5 s)", to_campaign);

    wait(&mut agent, "quiet", |_, due| due == 0).await;
    stage.desk.script(&change("two")).await.unwrap();
    let last = contacts.len() - 1;
    let behind_the_log = in_campaign(&stage, last + 1, &contacts[last]).await;
    print("committed right behind all of them in the log", vec![behind_the_log]);
    assert!(agent.stop().await.unwrap().success());
}

/// As many recipients as contacts, in agreement; the contacts' ids.
async fn fill(stage: &Stage, pairs: u64) -> Vec<String> {
    let insert = format!(
        "insert into nmsrecipient (irecipientid, ifolderid, semail, slastname, tscreated, \
                tslastmodified) \
         select i, 1182, 'person' || i || '@example.com', 'Person ' || i, now(), now() \
           from generate_series(1, {pairs}) as i; analyze nmsrecipient"
    );
    stage.desk.script(&insert).await.unwrap();
    let contact = |number: &u64| {
        json!({
            "LastName": format!("Person {number}"), "Email": format!("person{number}@example.com"),
            "SystemModstamp": "2026-01-01T00:00:00Z",
        })
    };
    let mut ids = Vec::new();
    for some in (1..=pairs).collect::<Vec<_>>().chunks(SEEDED) {
        ids.extend(stage.screen.seed("Contact", some.iter().map(contact).collect()).await.unwrap());
    }
    ids
}

/// A workflow of Campaign that changes everybody.
fn change(word: &str) -> String {
    format!(
        "update nmsrecipient set sphone = '{word} ' || irecipientid, tslastmodified = now() \
          where irecipientid <> 0"
    )
}

async fn due(agent: &Agent) -> u64 {
    figure(agent.metric("truce_links_due", "").await)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a count")]
fn figure(metric: Option<f64>) -> u64 {
    metric.unwrap_or(0.0) as u64
}

async fn wait(agent: &mut Agent, what: &str, over: impl Fn(u64, u64) -> bool) {
    let deadline = Instant::now() + PAIRED_MAX;
    let mut quiet = 0;
    while quiet < 2 {
        agent.must_live().unwrap();
        assert!(Instant::now() < deadline, "{what} takes too long");
        tokio::time::sleep(Duration::from_millis(500)).await;
        let links = figure(agent.metric("truce_links", "contacts").await);
        quiet = if over(links, due(agent).await) { quiet + 1 } else { 0 };
    }
}

/// Waits until Campaign's log is read: what is left is to be written.
async fn read(agent: &mut Agent) {
    let deadline = Instant::now() + PAIRED_MAX;
    while agent.metric("truce_campaign_wal_lag_bytes", "").await.is_none_or(|lag| 1e6 < lag) {
        agent.must_live().unwrap();
        assert!(Instant::now() < deadline, "the log is not read");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Opts out in Campaign; how long it takes until the contact says so.
async fn in_campaign(stage: &Stage, key: usize, contact: &str) -> Duration {
    let sql = format!(
        "update nmsrecipient set iblacklistemail = 1, tslastmodified = now() \
          where irecipientid = {key}"
    );
    stage.desk.script(&sql).await.unwrap();
    let begun = Instant::now();
    let route = format!("history?object=Contact&id={contact}");
    let is_out = |change: &Value| change["fields"]["HasOptedOutOfEmail"]["new"] == json!(true);
    loop {
        let history = stage.screen.look(&route).await.unwrap();
        if history["changes"].as_array().unwrap().iter().any(is_out) {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < ARRIVE_MAX, "the opt-out of {key} does not arrive");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Opts out in the CRM; how long it takes until the recipient says so.
async fn in_crm(stage: &Stage, key: usize, contact: &str) -> Duration {
    stage.screen.edit("Contact", contact, ("HasOptedOutOfEmail", &json!(true))).await.unwrap();
    let begun = Instant::now();
    let sql = format!("select iblacklistemail from nmsrecipient where irecipientid = {key}");
    loop {
        if stage.desk.read(&sql, &[]).await.unwrap()[0].get::<_, i16>(0) == 1 {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < ARRIVE_MAX, "the opt-out of {contact} does not arrive");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn print(name: &str, mut took: Vec<Duration>) {
    took.sort();
    let (middle, most) = (took[took.len() / 2], took[took.len() - 1]);
    println!("  {name:46} p50 {middle:>8.0?}  at the most {most:>8.0?}");
}
