//! The signals that a running command hears.

use std::io;

use tokio::signal::unix::{self, SignalKind, signal};

/// SIGTERM and SIGINT end a command in order; at SIGHUP `run` reads its config again.
pub(super) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hang_up: unix::Signal,
}

/// What a signal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// To end in order.
    Stop,
    /// To read the config again.
    Reload,
}

impl Signals {
    /// From here on the process does not end by these signals on its own.
    pub(super) fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The next one; cancel-safe: one that nobody waited for is told to the next who does.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hang_up.recv() => Signal::Reload,
        }
    }

    /// Waits until the command is told to end. What else it is told meanwhile stands over.
    pub(super) async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => (),
            _ = self.interrupt.recv() => (),
        }
    }
}
