//! The memory of the program while very large transactions pass: one that brings records that it
//! never saw, one that changes a mapped column of all of them.

use std::path::Path;
use std::time::{Duration, Instant};

use truce::simulator::people::{Agent, Desk, Stage, StageOptions};

use crate::{process, recipients};

/// A million rows take their minutes.
const PASS_MAX: Duration = Duration::from_mins(10);
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub(crate) async fn run(rows: u64) {
    let settings = crate::server_settings();
    let options = StageOptions { settings, ..StageOptions::default() };
    let stage = Stage::set(Path::new(env!("CARGO_BIN_EXE_truce")), options).await.unwrap();
    keep_apart(&stage);
    stage.truce(&["setup"]).await.unwrap();
    let mut agent = stage.agent().unwrap();
    agent.leads().await.unwrap();
    let pid = process::child("truce");
    println!("memory: {rows} recipients without contacts (nothing is created in the CRM)");
    println!("  MiB, leading, nothing to do        {:>8.1}", process::mib(pid, "VmRSS"));
    let change = "update nmsrecipient set scity = 'Elsewhere', tslastmodified = now()
                  where irecipientid <> 0";
    let transactions = [
        ("one transaction that inserts them all", recipients::fill(rows)),
        ("one transaction that changes a mapped column of all", change.to_owned()),
    ];
    for (name, statements) in transactions {
        process::forget_peak(pid);
        stage.desk.script(&statements).await.unwrap();
        let end = "select (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint";
        let end: i64 = stage.desk.read(end, &[]).await.unwrap()[0].get(0);
        let begun = Instant::now();
        passed(&stage, &mut agent, end).await;
        let took = begun.elapsed().as_secs_f64();
        println!("{name}");
        println!("  durable {took:.1} s after its commit, {:.0} rows a second", rows as f64 / took);
        println!("  MiB at the most                    {:>8.1}", process::mib(pid, "VmHWM"));
    }
    println!("  MiB afterwards                     {:>8.1}", process::mib(pid, "VmRSS"));
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
