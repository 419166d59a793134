//! How fast a ledger takes observations, and by which form of a link's body.
//!
//! A plain program that prints a table: `cargo bench --bench ledger`. Times differ from machine to
//! machine; the forms run in turn, in several rounds, so that their ratios can be told.
#![expect(clippy::unwrap_used, reason = "a bench may fail by panicking")]
#![expect(clippy::print_stdout, reason = "the table is what it is for")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]
#![expect(clippy::cast_precision_loss, reason = "ratios")]
#![allow(missing_docs, reason = "a program, not a library")]

#[path = "ledger/forms.rs"]
mod forms;
#[path = "ledger/people.rs"]
mod people;
#[path = "ledger/whole.rs"]
mod whole;

use forms::FORMS;
use truce::simulator::database::{Database, DatabaseOptions, Durability};

#[tokio::main]
async fn main() {
    let number = |name: &str, usual: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
    };
    let links = number("TRUCE_BENCH_LINKS", 300_000);
    let settings = [
        ("wal_level", "logical"),
        ("max_wal_size", "20GB"),
        ("checkpoint_timeout", "1h"),
        ("shared_buffers", "1GB"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let options =
        DatabaseOptions { durability: Durability::Full, settings, ..DatabaseOptions::default() };
    let database = Database::start(options).await.unwrap();
    let mut session = database.session("postgres").await.unwrap();
    println!("{links} links; a body in agreement has {} bytes", body());
    whole::run(&database, links).await;
    if std::env::var_os("TRUCE_BENCH_WHOLE").is_some() {
        return;
    }
    println!(
        "{:18} {:>6} {:>10} {:>9} {:>6} {:>8} {:>5} {:>9}",
        "form", "batch", "order", "rows/s", "load", "WAL/row", "HOT", "bytes/link"
    );
    for form in FORMS {
        form.make(&session, links).await;
        let size = "select pg_total_relation_size('link')";
        let size: i64 = session.query_one(size, &[]).await.unwrap().get(0);
        let mut first = 1;
        for batch in [500, 2000, 5000] {
            for order in ["in order", "scattered"] {
                let rows = links / 8;
                let batches = batches(first, rows, links, (batch, order));
                first += rows;
                let figures = form.round(&mut session, &batches).await;
                println!(
                    "{:18} {batch:>6} {order:>10} {:>9.0} {:>5.0}% {:>8.0} {:>4.0}% {:>9.0}",
                    form.name,
                    figures.rows_per_second,
                    figures.load_share * 100.0,
                    figures.wal_per_row,
                    figures.hot_share * 100.0,
                    size as f64 / links as f64,
                );
            }
        }
    }
}

fn body() -> usize {
    truce::ledger::stored::encode(&people::link(1)).len()
}

/// Numbers of links, each once: side by side, or strewn by a step that shares no factor.
fn batches(first: u64, rows: u64, links: u64, (size, order): (u64, &str)) -> Vec<Vec<u64>> {
    let step = if order == "in order" { 1 } else { 7919 };
    let numbers: Vec<u64> = (0..rows).map(|n| ((first + n) * step) % links + 1).collect();
    numbers.chunks(usize::try_from(size).unwrap()).map(<[u64]>::to_vec).collect()
}
