//! The agent as its users have it: the program, with a config file, as a process of its own.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use super::PeopleError;

/// The agent, running.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    log: PathBuf,
    port: u16,
    http: reqwest::Client,
}

/// Between two looks at a process or at its metrics.
const POLL: Duration = Duration::from_millis(50);
/// Its own drain is shorter; then it is killed.
const STOP_MAX: Duration = Duration::from_secs(40);
/// A standby may have to wait for the lease of the one that was killed.
const LEAD_MAX: Duration = Duration::from_mins(2);
/// Its endpoints answer from memory.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Lines of the log that are shown when it is not there.
const LOG_LINES: usize = 12;

impl Agent {
    /// Starts it; what it says goes to the end of this log.
    pub fn start(truce: &Path, config: &Path, log: &Path, port: u16) -> Result<Self, PeopleError> {
        let opened = File::options().create(true).append(true).open(log);
        let output = opened.map_err(failed("opening", log))?;
        let errors = output.try_clone().map_err(failed("opening", log))?;
        let mut command = Command::new(truce);
        command.args(["run", "--config"]).arg(config);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn().map_err(failed("starting", truce))?;
        let http = reqwest::Client::new();
        Ok(Self { child, log: log.to_owned(), port, http })
    }

    /// Waits until it leads.
    pub async fn leads(&mut self) -> Result<(), PeopleError> {
        let deadline = Instant::now() + LEAD_MAX;
        while self.metric("truce_leader", "").await != Some(1.0) {
            self.must_live()?;
            if deadline < Instant::now() {
                return Err(self.missing("did not lead in time"));
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// That it has not ended by itself.
    pub fn must_live(&mut self) -> Result<(), PeopleError> {
        match self.child.try_wait().map_err(failed("waiting for", &self.log))? {
            None => Ok(()),
            Some(status) => Err(self.missing(&format!("ended with {status}"))),
        }
    }

    /// What it tells of itself; nothing where it does not answer.
    pub async fn metrics(&self) -> Option<String> {
        let url = format!("http://127.0.0.1:{}/metrics", self.port);
        let answer = self.http.get(url).timeout(ANSWER_MAX).send().await.ok()?;
        answer.text().await.ok()
    }

    /// The sum of a metric over those of its lines that hold this text.
    pub async fn metric(&self, name: &str, with: &str) -> Option<f64> {
        Self::sum(&self.metrics().await?, name, with)
    }

    /// The sum of a metric of this page over those of its lines that hold this text.
    pub fn sum(page: &str, name: &str, with: &str) -> Option<f64> {
        sum(page, name, with)
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it in order.
    pub async fn stop(mut self) -> Result<ExitStatus, PeopleError> {
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + STOP_MAX;
        loop {
            if let Some(status) = self.child.try_wait().map_err(failed("waiting for", &self.log))? {
                return Ok(status);
            }
            if deadline < Instant::now() {
                return Err(self.missing("did not end in time after SIGTERM"));
            }
            sleep(POLL).await;
        }
    }

    /// Ends it as a fall of the machine would.
    pub fn kill(mut self) -> Result<(), PeopleError> {
        self.child.kill().map_err(failed("killing", &self.log))?;
        self.child.wait().map_err(failed("waiting for", &self.log)).map(drop)
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("process ids are positive and fit");
        // It may have ended already, which is what we want.
        let _sent: nix::Result<()> = kill(Pid::from_raw(pid), signal);
    }

    fn missing(&self, what: &str) -> PeopleError {
        let log = self.log();
        let skip = log.lines().count().saturating_sub(LOG_LINES);
        let log = log.lines().skip(skip).collect::<Vec<_>>().join("\n");
        PeopleError::Agent { what: what.to_owned(), log }
    }
}

impl Drop for Agent {
    /// No process may be left behind, whatever went wrong.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _killed: std::io::Result<()> = self.child.kill();
            let _reaped: std::io::Result<ExitStatus> = self.child.wait();
        }
    }
}

/// Runs a command of ours to its end; what it printed.
pub(super) async fn command(
    truce: &Path,
    arguments: &[&str],
    config: &Path,
) -> Result<String, PeopleError> {
    let mut command = tokio::process::Command::new(truce);
    let words = arguments.iter().take_while(|word| !word.starts_with('-')).count();
    command.args(&arguments[..words]).arg("--config").arg(config).args(&arguments[words..]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(failed("running", truce))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    Err(PeopleError::Command {
        command: arguments.join(" "),
        status: output.status.to_string(),
        output: said + &String::from_utf8_lossy(&output.stderr),
    })
}

/// The sum of a metric over those of its lines that hold this text.
fn sum(page: &str, name: &str, with: &str) -> Option<f64> {
    let values: Vec<f64> = page
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .filter(|(series, _)| series.split('{').next() == Some(name) && series.contains(with))
        .filter_map(|(_, value)| value.parse().ok())
        .collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// A port that nobody has just now.
pub(super) fn free_port(directory: &Path) -> Result<u16, PeopleError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    Ok(address.map_err(failed("choosing a port for", directory))?.port())
}

pub(super) fn failed(
    doing: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> PeopleError + use<> {
    let path = path.to_owned();
    move |source| PeopleError::File { doing, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_the_lines_that_are_meant() {
        let page = "# HELP truce_held x\ntruce_held{mapping=\"a\",reason=\"parent\"} 2\n\
                    truce_held{mapping=\"b\",reason=\"refused\"} 1\ntruce_held_not 9\n";
        assert_eq!(sum(page, "truce_held", ""), Some(3.0));
        assert_eq!(sum(page, "truce_held", "refused"), Some(1.0));
        assert_eq!(sum(page, "truce_links", ""), None);
    }
}
