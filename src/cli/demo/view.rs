//! What is seen while the demo runs: on a terminal a live line for each side, elsewhere a line of text
//! every two seconds.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use crate::cli::progress::Span;
use crate::simulator::people::{Agent, Stage};

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
    pub(super) async fn show(&self, what: &str, stage: &Stage, agent: &Agent) {
        let is_early = self.told.get().is_some_and(|told| told.elapsed() < PLAIN_EVERY);
        if self.bar.is_none() && is_early {
            return;
        }
        self.told.set(Some(Instant::now()));
        let page = agent.metrics().await.unwrap_or_default();
        match &self.bar {
            Some(bar) => bar.set_message(lines(what, stage, &page)),
            None => self.say(&line(what, stage, &page)),
        }
    }

    /// Takes the live lines away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What the agent has done for one CRM, by its metrics.
pub(super) struct Done {
    pub(super) pairs: f64,
    /// Writes that landed.
    pub(super) to_crm: f64,
    pub(super) to_campaign: f64,
    pub(super) due: f64,
}

impl Done {
    /// For the CRM at this place.
    pub(super) fn of(stage: &Stage, at: usize, page: &str) -> Self {
        let mappings = ["accounts", "contacts"].map(|of| stage.roster.mapping(at, of));
        let sum = |name: &str, more: &str| -> f64 {
            let of = |mapping: &String| {
                Agent::sum(page, name, &format!("mapping=\"{mapping}\"{more}")).unwrap_or(0.0)
            };
            mappings.iter().map(of).sum()
        };
        Self {
            pairs: sum("truce_links", ""),
            to_crm: sum("truce_writes_total", ",side=\"crm\",outcome=\"done\""),
            to_campaign: sum("truce_writes_total", ",side=\"campaign\",outcome=\"done\""),
            due: sum("truce_links_due", ""),
        }
    }
}

/// All of it in one line.
fn line(what: &str, stage: &Stage, page: &str) -> String {
    let all = all(stage, page);
    let campaign: f64 = all.iter().map(|(_, done)| done.to_campaign).sum();
    let mut text = format!("{what} | written: Campaign {campaign}");
    for (name, done) in &all {
        write!(text, ", {name} {}", done.to_crm).expect("a text takes what is written to it");
    }
    let due: f64 = all.iter().map(|(_, done)| done.due).sum();
    let pairs: f64 = all.iter().map(|(_, done)| done.pairs).sum();
    format!("{text} | pairs {pairs}, due {due}, {}", rest(page))
}

/// A line for each side.
fn lines(what: &str, stage: &Stage, page: &str) -> String {
    let all = all(stage, page);
    let campaign: f64 = all.iter().map(|(_, done)| done.to_campaign).sum();
    let mut text = format!("{what}; {}", rest(page));
    let mut side = |name: &str, written: f64, more: String| {
        write!(text, "\n    {name:<14}{written:>7} written{more}")
            .expect("a text takes what is written to it");
    };
    side("Campaign", campaign, String::new());
    for (name, done) in &all {
        side(name, done.to_crm, format!("{:>7} pairs{:>7} due", done.pairs, done.due));
    }
    text
}

fn all(stage: &Stage, page: &str) -> Vec<(&'static str, Done)> {
    let offices = stage.offices.iter().enumerate();
    offices.map(|(at, office)| (office.kind.name(), Done::of(stage, at, page))).collect()
}

/// What is of no side alone.
fn rest(page: &str) -> String {
    let sum = |name: &str| Agent::sum(page, name, "").unwrap_or(0.0);
    format!(
        "conflicts {}, held {}, log lag {} kB",
        sum("truce_conflicts_total"),
        sum("truce_held"),
        (sum("truce_campaign_wal_lag_bytes") / 1024.0).round()
    )
}
