//! The simulated Salesforce, driven by clients that others wrote: the tests of `tests/clients` by
//! simple-salesforce, against the real binary. `tests/run` prepares the Python that they need.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Fewer tests than this were not found, rather than passed.
const TESTS_MIN: usize = 45;

#[test]
fn clients_that_others_wrote_find_what_they_expect() {
    let python = python();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    let (mut simulator, told) = simulator(&ca_file);
    let done = Command::new(&python)
        .args(["-m", "unittest", "discover", "--pattern", "*_test.py", "--start-directory"])
        .arg(here("tests/clients"))
        .env("TRUCE_SIMULATOR", told)
        .env("TRUCE_CA_FILE", &ca_file)
        .env("TRUCE_JWT_KEY", here("tests/keys/app.key"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    kill(Pid::from_raw(i32::try_from(simulator.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(simulator.wait().unwrap().code(), Some(0));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    assert!(!said.contains("skipped="), "{said}");
    let ran = said.split_once("\nRan ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    assert!(ran.is_some_and(|ran: usize| TESTS_MIN <= ran), "{said}");
}

/// The Python that `tests/run` names, or that it prepared before.
fn python() -> PathBuf {
    let prepared = || {
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| here("target"), Into::into);
        target.join("clients/bin/python3")
    };
    let python = std::env::var_os("TRUCE_PYTHON").map_or_else(prepared, PathBuf::from);
    assert!(
        python.exists(),
        "there is no {}, and without it these clients cannot be run; prepare it by: . deploy/prepare; \
         . tests/clients/prepare; prepare_clients",
        python.display()
    );
    python
}

fn simulator(ca_file: &Path) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_truce"))
        .args(["simulate", "salesforce", "--jwt-certificate"])
        .arg(here("tests/keys/app.crt"))
        .arg("--ca-file")
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
