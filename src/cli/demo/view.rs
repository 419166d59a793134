//! What is seen while the demo runs: one live line on a terminal, a line every two seconds elsewhere.

use std::cell::Cell;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use crate::cli::progress::Span;
use crate::simulator::people::Agent;

/// Where it is shown.
pub(super) struct View {
    bar: Option<ProgressBar>,
    begun: Instant,
    told: Cell<Option<Instant>>,
}

const PLAIN_EVERY: Duration = Duration::from_secs(2);
const TURN: Duration = Duration::from_millis(120);

impl View {
    pub(super) fn new() -> Self {
        let bar = std::io::stdout().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            // The steps go there, and standard error may be elsewhere.
            bar.set_draw_target(ProgressDrawTarget::stdout());
            bar.set_style(ProgressStyle::default_spinner());
            bar.enable_steady_tick(TURN);
            bar
        });
        Self { bar, begun: Instant::now(), told: Cell::new(None) }
    }

    /// A step that is worth a line of its own.
    pub(super) fn say(&self, what: &str) {
        let line = format!("[{:5.1} s] {what}", self.begun.elapsed().as_secs_f64());
        match &self.bar {
            Some(bar) => bar.println(line),
            // A closed standard output ends nothing: the exit code is what counts.
            None => drop(writeln!(std::io::stdout(), "{line}")),
        }
    }

    /// Carries out a step that says nothing of itself, and tells how long it takes so far.
    pub(super) async fn during<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        self.say(what);
        let begun = Instant::now();
        tokio::pin!(work);
        loop {
            let every = if self.bar.is_some() { TURN } else { PLAIN_EVERY };
            if let Ok(done) = tokio::time::timeout(every, &mut work).await {
                return done;
            }
            let so_far = Span(begun.elapsed());
            match &self.bar {
                Some(bar) => bar.set_message(format!("{what}, {so_far} so far")),
                None => self.say(&format!("still {what}, {so_far} so far")),
            }
        }
    }

    /// Where things stand.
    pub(super) async fn show(&self, what: &str, agent: &Agent) {
        let is_early = self.told.get().is_some_and(|told| told.elapsed() < PLAIN_EVERY);
        if self.bar.is_none() && is_early {
            return;
        }
        self.told.set(Some(Instant::now()));
        let page = agent.metrics().await.unwrap_or_default();
        let sum = |name: &str, with: &str| Agent::sum(&page, name, with).unwrap_or(0.0);
        let line = format!(
            "{what} | pairs {}  to CRM {}  to Campaign {}  conflicts {}  due {}  held {}  log lag {} kB",
            sum("truce_links", ""),
            written(&sum, "crm"),
            written(&sum, "campaign"),
            sum("truce_conflicts_total", ""),
            sum("truce_links_due", ""),
            sum("truce_held", ""),
            (sum("truce_campaign_wal_lag_bytes", "") / 1024.0).round(),
        );
        match &self.bar {
            Some(bar) => bar.set_message(line),
            None => self.say(&line),
        }
    }

    /// Takes the live line away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Writes that landed on a side.
fn written(sum: &impl Fn(&str, &str) -> f64, side: &str) -> f64 {
    let both = |outcome: &str| format!("side=\"{side}\",outcome=\"{outcome}\"");
    sum("truce_writes_total", &both("done"))
}
