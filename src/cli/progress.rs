//! How far long work has come: bars below the log on a terminal, plain lines elsewhere.
//!
//! Bars and log lines share one terminal, so the log is written through the bars: they step aside
//! for a line and come back below it.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::time::Instant;
use tracing_subscriber::fmt::MakeWriter;

/// The bars of a process, on standard error.
#[derive(Clone, Debug)]
pub(super) struct Bars(Option<MultiProgress>);

/// How far something has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// What was done before we looked: it says nothing about the rate.
    pub(super) before: u64,
    /// What is done.
    pub(super) done: u64,
    /// What there is to do, where that is known.
    pub(super) total: Option<u64>,
    /// Since when we look.
    pub(super) elapsed: Duration,
}

/// Between two frames of a turning sign.
const TURN: Duration = Duration::from_millis(120);

/// Work that ends sooner is not worth a word.
const PATIENCE: Duration = Duration::from_millis(400);

/// Between two lines about one piece of work, where there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

impl Bars {
    /// There are bars where a person looks at standard error.
    pub(super) fn on_stderr() -> Self {
        Self(io::stderr().is_terminal().then(MultiProgress::new))
    }

    /// Whether anybody sees them.
    pub(super) fn are_shown(&self) -> bool {
        self.0.is_some()
    }

    /// A bar for work of this name; to be told its `Way`.
    pub(super) fn add(&self, name: String) -> Bar {
        let bar = match &self.0 {
            Some(bars) => bars.add(ProgressBar::new_spinner()),
            None => ProgressBar::hidden(),
        };
        bar.set_prefix(name);
        bar.set_style(style("{spinner} {prefix}  {msg}"));
        bar.enable_steady_tick(TURN);
        Bar { bar, bounded: false }
    }

    /// Takes all of them away.
    pub(super) fn clear(&self) {
        if let Some(bars) = &self.0 {
            // A terminal that is gone shows nothing anyway.
            drop(bars.clear());
        }
    }

    /// Carries out a piece of work, and tells of it while it lasts: by a turning sign on a
    /// terminal, elsewhere by a line now and then.
    pub(super) async fn during<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        tokio::pin!(work);
        if let Ok(done) = tokio::time::timeout(PATIENCE, &mut work).await {
            return done;
        }
        let shown = self.are_shown().then(|| self.add(what.to_owned()));
        let every = if self.are_shown() { TURN } else { PLAIN_EVERY };
        let done = loop {
            if let Ok(done) = tokio::time::timeout(every, &mut work).await {
                break done;
            }
            let so_far = Span(begun.elapsed());
            match &shown {
                Some(shown) => shown.bar.set_message(format!("{so_far}")),
                // A closed standard error takes nothing away from the work.
                None => drop(writeln!(io::stderr(), "still at it after {so_far}: {what}")),
            }
        };
        if let Some(shown) = shown {
            shown.end();
        }
        done
    }
}

/// One of the bars.
#[derive(Debug)]
pub(super) struct Bar {
    bar: ProgressBar,
    /// Whether it has an end yet.
    bounded: bool,
}

impl Bar {
    /// Shows how far it has come.
    pub(super) fn tell(&mut self, way: &Way) {
        if let Some(total) = way.end() {
            self.bar.set_length(total);
            if !self.bounded {
                self.bounded = true;
                self.bar.set_style(style("{spinner} {prefix} [{bar:24}] {msg}"));
            }
        }
        self.bar.set_position(way.done);
        self.bar.set_message(way.to_string());
    }

    /// Takes it away.
    pub(super) fn end(self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("our own templates are right");
    style.progress_chars("=> ")
}

impl Way {
    /// The total, as long as it is not shown to be too small: estimates are.
    fn end(&self) -> Option<u64> {
        self.total.filter(|total| self.done <= *total && 0 < *total)
    }

    /// Done a second; nothing where nothing can be said yet.
    fn rate(&self) -> Option<u64> {
        let millis = u64::try_from(self.elapsed.as_millis()).ok()?;
        let moved = self.done.checked_sub(self.before).filter(|moved| 0 < *moved)?;
        moved.saturating_mul(1000).checked_div(millis)
    }

    /// What is left, at the rate so far.
    fn left(&self) -> Option<Duration> {
        let (end, rate) = (self.end()?, self.rate().filter(|rate| 0 < *rate)?);
        Some(Duration::from_secs((end - self.done).div_ceil(rate)))
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Count(self.done))?;
        if let Some(end) = self.end() {
            write!(f, " of {}", Count(end))?;
        }
        let is_over = self.end() == Some(self.done);
        if let Some(rate) = self.rate().filter(|_| !is_over) {
            write!(f, ", {} a second", Count(rate))?;
        }
        write!(f, ", {} so far", Span(self.elapsed))?;
        match self.left().filter(|_| !is_over) {
            Some(left) => write!(f, ", {} to go", Span(left)),
            None => Ok(()),
        }
    }
}

/// A number as people read it: `12,000`.
struct Count(u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if 0 < at && (digits.len() - at).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// A span of time as people say it, in whole seconds: `9 s`, `2 min 5 s`, `3 h 20 min`.
pub(super) struct Span(pub(super) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
            (0, 0, seconds) => write!(f, "{seconds} s"),
            (0, minutes, seconds) => write!(f, "{minutes} min {seconds} s"),
            (hours, minutes, _) => write!(f, "{hours} h {minutes} min"),
        }
    }
}

/// Writes log lines above the bars.
#[derive(Clone, Debug)]
pub(super) struct Above(Bars);

impl Write for Above {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &self.0.0 {
            Some(bars) => bars.suspend(|| io::stderr().write(line)),
            None => io::stderr().write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl MakeWriter<'_> for Bars {
    type Writer = Above;

    fn make_writer(&self) -> Above {
        Above(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check((before, done): (u64, u64), total: Option<u64>, seconds: u64, expected: &str) {
        let way = Way { before, done, total, elapsed: Duration::from_secs(seconds) };
        assert_eq!(way.to_string(), expected);
    }

    #[test]
    fn a_way_tells_what_is_known_and_no_more() {
        check((0, 0), None, 0, "0, 0 s so far");
        check((0, 900), Some(900), 3, "900 of 900, 3 s so far");
        check((0, 12_000), None, 6, "12,000, 2,000 a second, 6 s so far");
        check(
            (0, 12_000),
            Some(40_000),
            6,
            "12,000 of 40,000, 2,000 a second, 6 s so far, 14 s to go",
        );
        check(
            (0, 1_234_567),
            Some(10_000_000),
            600,
            "1,234,567 of 10,000,000, 2,057 a second, 10 min 0 s so far, 1 h 11 min to go",
        );
    }

    #[test]
    fn what_an_earlier_run_did_is_not_counted_into_the_rate() {
        check(
            (9_000, 10_000),
            Some(12_000),
            10,
            "10,000 of 12,000, 100 a second, 10 s so far, 20 s to go",
        );
    }

    #[test]
    fn an_estimate_that_was_too_small_is_no_longer_shown() {
        check((0, 500), Some(400), 5, "500, 100 a second, 5 s so far");
        check((0, 5), Some(0), 5, "5, 1 a second, 5 s so far");
    }
}
