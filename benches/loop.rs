//! The loop as a whole: Campaign's log to the durable ledger, a commit to the CRM's request, memory.
//!
//! A plain program that prints tables: `cargo bench --bench loop`. PostgreSQL is real and syncs its
//! commits, the CRM is the simulator, the agent of the last two parts is the program as its users
//! have it. Absolute times differ from machine to machine; the load of this one is printed first.
//!
//! `TRUCE_BENCH_PARTS` (`ledger,crm,memory,opt_out`), `TRUCE_BENCH_ROWS` (100000),
//! `TRUCE_BENCH_ROWS_PER_COMMIT` (100), `TRUCE_BENCH_EDITS` (100), `TRUCE_BENCH_BIG_ROWS` (300000),
//! `TRUCE_BENCH_PAIRS` (200000), `TRUCE_BENCH_OPT_OUTS` (20).
#![expect(clippy::unwrap_used, reason = "a bench may fail by panicking")]
#![expect(clippy::print_stdout, reason = "the tables are what it is for")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]
#![allow(missing_docs, reason = "a program, not a library")]

#[path = "loop/memory.rs"]
mod memory;
#[path = "loop/opt_out.rs"]
mod opt_out;
#[path = "loop/process.rs"]
mod process;
#[path = "loop/recipients.rs"]
mod recipients;
#[path = "loop/to_crm.rs"]
mod to_crm;
#[path = "loop/to_ledger.rs"]
mod to_ledger;

#[tokio::main]
async fn main() {
    let parts = std::env::var("TRUCE_BENCH_PARTS");
    let parts = parts.unwrap_or_else(|_| "ledger,crm,memory,opt_out".to_owned());
    println!("load of the machine before: {}", process::load());
    for part in parts.split(',') {
        match part {
            "ledger" => {
                let per_commit = number("TRUCE_BENCH_ROWS_PER_COMMIT", 100);
                to_ledger::run(number("TRUCE_BENCH_ROWS", 100_000), per_commit).await;
            }
            "crm" => to_crm::run(number("TRUCE_BENCH_EDITS", 100)).await,
            "memory" => memory::run(number("TRUCE_BENCH_BIG_ROWS", 300_000)).await,
            "opt_out" => {
                let opt_outs = number("TRUCE_BENCH_OPT_OUTS", 20);
                opt_out::run(number("TRUCE_BENCH_PAIRS", 200_000), opt_outs).await;
            }
            other => panic!("TRUCE_BENCH_PARTS: `{other}` is none of ledger, crm, memory, opt_out"),
        }
        println!("load of the machine after: {}\n", process::load());
    }
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

/// Settings of a server that is not checkpointing all the time and syncs its commits.
fn server_settings() -> Vec<(String, String)> {
    let settings = [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("shared_buffers", "1GB"),
        ("max_wal_size", "20GB"),
        ("checkpoint_timeout", "1h"),
    ];
    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}
