//! Long work shows how far it has come: by bars on a terminal, which log lines do not tear.

mod cli_world;

use std::fs::File;
use std::process::Stdio;

use cli_world::{PATIENCE, World, terminal};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn a_first_scan_is_a_bar_on_a_terminal_and_each_log_line_stays_whole() {
    let world = World::start().await;
    world
        .sql(
            "insert into nmsrecipient (irecipientid, semail, slastname)
             select n, 'p' || n || '@x.org', 'Roe' from generate_series(1, 10000) n;
             analyze nmsrecipient",
        )
        .await;
    // A rate is known from the second page on.
    world.configure(&world.config().replace("[campaign]", "[campaign]\nscan_rows = 500"));
    world.done(&["setup"]).await;

    let terminal = terminal::open();
    let mut command = world.command(&["run"]);
    let mut child = command.stderr(Stdio::from(terminal.slave)).spawn().unwrap();
    drop(command);
    let mut screen = terminal::shown(File::from(terminal.master));
    let scanned = screen.wait_for(|text| text.contains("both sides are scanned"));
    drop(tokio::time::timeout(PATIENCE, scanned).await.unwrap().unwrap());
    kill(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()), Signal::SIGTERM).unwrap();
    assert!(tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap().success());
    // The sender goes when the terminal does.
    while screen.changed().await.is_ok() {}

    let text = screen.borrow().clone();
    assert!(text.contains("contacts: reading campaign ["), "{text}");
    assert!(text.contains(" of 10,001, ") && text.contains(" a second, "), "{text}");
    let lines: Vec<&str> = text.split(['\r', '\n']).filter(|l| l.contains("\"level\"")).collect();
    assert!(5 < lines.len(), "{text}");
    for line in lines {
        let from = line.find('{').unwrap();
        let parsed: Result<Value, _> = serde_json::from_str(&line[from..]);
        assert!(parsed.is_ok(), "{line:?}");
    }
}
