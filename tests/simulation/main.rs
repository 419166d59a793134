//! Two systems are edited at random by people while the agent's own steps run between them, crash
//! at any await, lose answers and read late, stale and repeated pages. Once people stop, both sides
//! must hold the same wherever nothing is held, and nobody's last word may be lost.
//!
//! `TRUCE_SEEDS=a..b` runs other seeds, `TRUCE_SEED=n` runs one and prints what happened.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a world's story is for people")]

mod campaign;
mod checks;
mod crm;
mod operator;
mod people;
mod schema;
mod steps;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use world::{CrmFeed, Kind};

#[test]
fn complete_and_stamped() {
    check(Kind { feed: CrmFeed::Complete, stamped: true });
}

#[test]
fn complete_without_stamps() {
    check(Kind { feed: CrmFeed::Complete, stamped: false });
}

#[test]
fn latest_only_and_stamped() {
    check(Kind { feed: CrmFeed::Latest, stamped: true });
}

#[test]
fn latest_only_without_stamps() {
    check(Kind { feed: CrmFeed::Latest, stamped: false });
}

/// Fewer in a debug build, which is some thirty times slower.
const SEEDS: u64 = if cfg!(debug_assertions) { 300 } else { 20_000 };

fn check(kind: Kind) {
    let (from, to) = match (std::env::var("TRUCE_SEED"), std::env::var("TRUCE_SEEDS")) {
        (Ok(seed), _) => (seed.parse().unwrap(), seed.parse::<u64>().unwrap() + 1),
        (_, Ok(range)) => {
            let (from, to) = range.split_once("..").unwrap();
            (from.parse().unwrap(), to.parse().unwrap())
        }
        _ => (0, SEEDS),
    };
    let totals = [const { AtomicU64::new(0) }; 6];
    for seed in from..to {
        let outcome = std::panic::catch_unwind(|| steps::run(seed, kind));
        match outcome {
            Ok(Ok(tally)) => {
                for (total, count) in totals.iter().zip(tally) {
                    total.fetch_add(count, Ordering::Relaxed);
                }
            }
            Ok(Err(broken)) => panic!("seed {seed}, {kind:?}: {broken}"),
            Err(panic) => {
                let words = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                panic!("seed {seed}, {kind:?}: {words}");
            }
        }
    }
    let names = ["people's edits", "writes", "crashes", "lost answers", "decisions", "excused"];
    let told: Vec<String> = (names.iter().zip(&totals))
        .map(|(name, total)| format!("{} {name}", total.load(Ordering::Relaxed)))
        .collect();
    println!("{kind:?}, {} worlds: {}", to - from, told.join(", "));
}
