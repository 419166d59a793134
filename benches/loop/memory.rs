//! The memory of the program while a very large transaction passes.

use std::path::Path;
use std::time::{Duration, Instant};

use truce::simulator::people::{Agent, Desk, Stage, StageOptions};

use crate::{process, recipients};

/// A first scan of a million links takes its minutes.
const SCAN_MAX: Duration = Duration::from_mins(5);
const PASS_MAX: Duration = Duration::from_mins(5);
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub(crate) async fn run(rows: u64) {
    let settings = crate::server_settings();
    let options = StageOptions { settings, ..StageOptions::default() };
    let stage = Stage::set(Path::new(env!("CARGO_BIN_EXE_truce")), options).await.unwrap();
    keep_apart(&stage);
    stage.desk.script(&recipients::fill(rows)).await.unwrap();
    stage.truce(&["setup"]).await.unwrap();
    let mut agent = stage.agent().unwrap();
    agent.leads().await.unwrap();
    let pid = process::child("truce");
    let begun = Instant::now();
    settled(&mut agent, rows).await;
    println!("memory: {rows} recipients that are links without a contact (nothing is created)");
    println!("  scanned and settled in {:.1} s", begun.elapsed().as_secs_f64());
    println!("  MiB at the most until then   {:>8.1}", process::mib(pid, "VmHWM"));
    println!("  MiB then, idle               {:>8.1}", process::mib(pid, "VmRSS"));
    process::forget_peak(pid);
    let update = "update nmsrecipient set scity = 'Elsewhere', tslastmodified = now()
                  where irecipientid <> 0";
    assert_eq!(stage.desk.run(update, &[]).await.unwrap(), rows);
    let end = "select (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint";
    let end: i64 = stage.desk.read(end, &[]).await.unwrap()[0].get(0);
    let begun = Instant::now();
    passed(&stage, &mut agent, end).await;
    let took = begun.elapsed().as_secs_f64();
    println!("one transaction that changes a mapped column of all of them");
    println!("  durable {took:.1} s after its commit, {:.0} rows a second", rows as f64 / took);
    println!("  MiB at the most              {:>8.1}", process::mib(pid, "VmHWM"));
    println!("  MiB then                     {:>8.1}", process::mib(pid, "VmRSS"));
    assert!(agent.stop().await.unwrap().success());
}

/// Nothing is created on either side, so that what is seen is not the CRM's pace.
fn keep_apart(stage: &Stage) {
    let path = stage.config();
    let config = std::fs::read_to_string(&path).unwrap();
    let apart = config.replace("create = [\"campaign\", \"crm\"]", "create = []");
    assert_ne!(config, apart, "the stage's config lets records be created");
    std::fs::write(&path, apart).unwrap();
}

/// Waits until every recipient has its link and none is due.
async fn settled(agent: &mut Agent, rows: u64) {
    let deadline = Instant::now() + SCAN_MAX;
    loop {
        agent.must_live().unwrap();
        let page = agent.metrics().await.unwrap_or_default();
        let links = Agent::sum(&page, "truce_links", "").unwrap_or(0.0);
        let due = Agent::sum(&page, "truce_links_due", "").unwrap_or(1.0);
        if rows as f64 <= links && due < 1.0 {
            return;
        }
        assert!(Instant::now() < deadline, "{links} links, {due} due");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until the server is told that everything up to there is durable.
async fn passed(stage: &Stage, agent: &mut Agent, end: i64) {
    let superuser = Desk::open(&stage.campaign.superuser).await.unwrap();
    let sql = "select (confirmed_flush_lsn - '0/0'::pg_lsn)::bigint from pg_replication_slots";
    let deadline = Instant::now() + PASS_MAX;
    loop {
        agent.must_live().unwrap();
        let confirmed: i64 = superuser.read(sql, &[]).await.unwrap()[0].get(0);
        if end <= confirmed {
            return;
        }
        assert!(Instant::now() < deadline, "the slot stands still");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
