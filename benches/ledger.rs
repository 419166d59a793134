//! How fast a ledger takes observations, and by which form of a link's body.
//!
//! A plain program that prints a table: `cargo bench --bench ledger`. Times differ from machine to
//! machine; the forms take turns, in seven rounds, so that their ratios can be told.
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

use forms::{FORMS, Figures};
use truce::postgres::Session;
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
    compare(&mut session, links).await;
}

/// Each form has its table; they take turns, so that what else the machine does hits all alike.
async fn compare(session: &mut Session, links: u64) {
    for form in FORMS {
        form.make(session, links).await;
    }
    println!(
        "{:18} {:>10} {:>9} {:>19} {:>5} {:>8} {:>5} {:>10}",
        "form", "order", "rows/s", "(least, most)", "load", "WAL/row", "HOT", "bytes/link"
    );
    let rows = links / (2 * ROUNDS);
    for (half, order) in [(0, "in order"), (1, "scattered")] {
        let mut figures: [Vec<Figures>; FORMS.len()] = Default::default();
        for round in 0..ROUNDS {
            let first = 1 + (half * ROUNDS + round) * rows;
            let batches = batches(first, rows, links, (2000, order));
            for (form, figures) in FORMS.into_iter().zip(&mut figures) {
                figures.push(form.round(session, &batches).await);
            }
        }
        for (form, mut figures) in FORMS.into_iter().zip(figures) {
            figures.sort_by(|a, b| a.rows_per_second.total_cmp(&b.rows_per_second));
            let median = &figures[figures.len() / 2];
            let spread = (figures[0].rows_per_second, figures[figures.len() - 1].rows_per_second);
            let size = "select pg_total_relation_size($1::text::regclass)";
            let size: i64 = session.query_one(size, &[&form.table]).await.unwrap().get(0);
            println!(
                "{:18} {order:>10} {:>9.0} ({:>8.0}, {:>7.0}) {:>4.0}% {:>8.0} {:>4.0}% {:>10.0}",
                form.name,
                median.rows_per_second,
                spread.0,
                spread.1,
                median.load_share * 100.0,
                median.wal_per_row,
                median.hot_share * 100.0,
                size as f64 / links as f64,
            );
        }
    }
}

/// Odd, for the median.
const ROUNDS: u64 = 7;

fn body() -> usize {
    truce::ledger::stored::encode(&people::link(1)).len()
}

/// Numbers of links, each once: side by side, or strewn by a step that shares no factor.
fn batches(first: u64, rows: u64, links: u64, (size, order): (u64, &str)) -> Vec<Vec<u64>> {
    let step = if order == "in order" { 1 } else { 7919 };
    let numbers: Vec<u64> = (0..rows).map(|n| ((first + n) * step) % links + 1).collect();
    numbers.chunks(usize::try_from(size).unwrap()).map(<[u64]>::to_vec).collect()
}
