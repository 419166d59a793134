//! A terminal for a test: what a process is shown there.

use std::fs::File;
use std::io::Read as _;

use nix::pty::{OpenptyResult, Winsize, openpty};
use tokio::sync::watch;

/// A terminal that is wide enough for everything.
pub fn open() -> OpenptyResult {
    let size = Winsize { ws_row: 40, ws_col: 160, ws_xpixel: 0, ws_ypixel: 0 };
    openpty(&size, None).unwrap()
}

/// What a terminal was sent, whole after the process has ended.
pub fn shown(mut terminal: File) -> watch::Receiver<String> {
    let (sender, receiver) = watch::channel(String::new());
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        // A terminal that nobody writes to any more answers with an error on Linux.
        while let Ok(read @ 1..) = terminal.read(&mut piece) {
            let text = String::from_utf8_lossy(&piece[..read]).into_owned();
            sender.send_modify(|all| all.push_str(&text));
        }
    });
    receiver
}
