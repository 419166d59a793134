//! A commit in Campaign to the CRM's requests: the program as it is, idle, one edit at a time.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use truce::simulator::people::{Agent, Both, Draw, Mappings, Stage, StageOptions, address};

const RECORDS: usize = 200;
/// Edits that only warm the connections.
const WARM_UP: u64 = 5;
const AGREE_MAX: Duration = Duration::from_mins(2);
const ARRIVE_MAX: Duration = Duration::from_secs(20);
/// Between two looks at the request log, whose own times are what counts.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(crate) async fn run(edits: u64) {
    let mappings = Mappings { poll_seconds: 2.0, ..Mappings::default() };
    let settings = crate::server_settings();
    let options = StageOptions { mappings, settings, ..StageOptions::default() };
    let stage = Stage::set(Path::new(env!("CARGO_BIN_EXE_truce")), options).await.unwrap();
    let cast = stage.fill(RECORDS, &mut Draw::new(7)).await.unwrap();
    stage.truce(&["setup"]).await.unwrap();
    let mut agent = stage.agent().unwrap();
    agent.leads().await.unwrap();
    agree(&stage, &mut agent).await;
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    for edit in 0..edits + WARM_UP {
        let at = usize::try_from(edit).unwrap() % cast.both.len();
        let (read, write) = one(&stage, &address(cast.both[at].0), &format!("edit {edit}")).await;
        if WARM_UP <= edit {
            reads.push(read);
            writes.push(write);
        }
        // Idle in between, and out of step with every timer of the agent.
        tokio::time::sleep(Duration::from_millis(150 + edit * 37 % 300)).await;
    }
    println!("commit in Campaign to the CRM's request: {edits} edits, one at a time, agent idle");
    println!("  {:24} {:>8} {:>8} {:>8}", "ms", "p50", "p99", "most");
    for (name, mut figures) in [("to the read", reads), ("to the write", writes)] {
        figures.sort_by(f64::total_cmp);
        // The nearest rank.
        let at = |percent: usize| figures[(figures.len() * percent).div_ceil(100).max(1) - 1];
        println!("  {name:24} {:>8.1} {:>8.1} {:>8.1}", at(50), at(99), at(100));
    }
    assert!(agent.stop().await.unwrap().success());
}

/// Waits until both sides hold the same and nothing is due, twice in a row.
async fn agree(stage: &Stage, agent: &mut Agent) {
    let deadline = Instant::now() + AGREE_MAX;
    let mut quiet = 0;
    while quiet < 2 {
        agent.must_live().unwrap();
        assert!(Instant::now() < deadline, "no agreement");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let due = agent.metric("truce_links_due", "").await.unwrap_or(1.0);
        let both = Both::read(&stage.desk, &stage.screen).await.unwrap();
        quiet = if both.differences().is_empty() && due < 1.0 { quiet + 1 } else { 0 };
    }
}

/// Makes one edit; milliseconds from its commit to the read and to the write.
async fn one(stage: &Stage, who: &str, value: &str) -> (f64, f64) {
    let before = stage.screen.look("requests?limit=1").await.unwrap()["next"].clone();
    assert_eq!(stage.desk.edit(who, "sphone", value).await.unwrap(), 1);
    let committed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let committed = committed.as_secs_f64() * 1e3;
    let deadline = Instant::now() + ARRIVE_MAX;
    loop {
        assert!(Instant::now() < deadline, "the edit does not go over");
        tokio::time::sleep(LOOK_EVERY).await;
        let log = stage.screen.look(&format!("requests?since={before}")).await.unwrap();
        let requests = log["requests"].as_array().unwrap();
        let read = requests.iter().find(|request| is_of(request, "POST"));
        let write = requests.iter().find(|request| is_of(request, "PATCH"));
        if let (Some(read), Some(write)) = (read, write) {
            // The log keeps whole milliseconds.
            let since = |request: &Value| request["at_ms"].as_f64().unwrap() + 0.5 - committed;
            return (since(read), since(write));
        }
    }
}

/// Whether a request is about records: `POST` retrieves a collection, `PATCH` updates one.
fn is_of(request: &Value, method: &str) -> bool {
    let path = request["path"].as_str().unwrap();
    request["method"] == method && path.contains("/composite/sobjects")
}
