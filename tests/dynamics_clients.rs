//! The simulated Dynamics 365, driven by a client that others wrote: the stories of
//! `tests/clients/dynamics` by dynamics-web-api, against the real binary. `tests/run` prepares the
//! packages that they need.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Fewer stories than this were not found, rather than passed.
const STORIES_MIN: usize = 12;

#[test]
fn a_client_that_others_wrote_finds_what_it_expects() {
    let home = home();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    let (mut simulator, told) = simulator(&ca_file);
    let done = Command::new("node")
        .arg("--test-reporter=tap")
        .arg(here("tests/clients/dynamics/stories.mjs"))
        .env("TRUCE_SIMULATOR", told)
        .env("TRUCE_NODE_HOME", &home)
        .env("NODE_EXTRA_CA_CERTS", &ca_file)
        .output();
    kill(Pid::from_raw(i32::try_from(simulator.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(simulator.wait().unwrap().code(), Some(0));
    let done = done.expect("node was there when its packages were installed");
    let said = String::from_utf8_lossy(&done.stdout);
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}\n{complaint}");
    assert_eq!(count(&said, "# skipped "), Some(0), "{said}\n{complaint}");
    let passed = count(&said, "# pass ");
    assert!(passed.is_some_and(|passed| STORIES_MIN <= passed), "{said}\n{complaint}");
}

fn count(said: &str, what: &str) -> Option<usize> {
    said.lines().find_map(|line| line.strip_prefix(what)?.trim().parse().ok())
}

/// The folder with the packages, as `tests/run` names it or prepared it before.
fn home() -> PathBuf {
    let prepared = || {
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| here("target"), Into::into);
        target.join("clients-node")
    };
    let home = std::env::var_os("TRUCE_NODE_HOME").map_or_else(prepared, PathBuf::from);
    assert!(
        home.join("node_modules/dynamics-web-api").exists(),
        "there is no client in {}, and without it these stories cannot be told; prepare it by: \
         . deploy/prepare; . tests/clients/prepare; prepare_clients",
        home.display()
    );
    home
}

fn simulator(ca_file: &Path) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_truce"))
        .args(["simulate", "dynamics", "--ca-file"])
        .arg(ca_file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut told).unwrap();
    assert!(told.starts_with('{'), "the simulator said: {told}");
    (child, told)
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
