//! What a person reads: help with examples, and the commands that need nothing but the binary.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value as Json;

fn truce(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_truce"))
        .args(arguments)
        .env("COLUMNS", "100")
        .env_remove("TRUCE_CONFIG")
        .output()
        .unwrap();
    let mut told = String::from_utf8(output.stdout).unwrap();
    told.push_str(&String::from_utf8(output.stderr).unwrap());
    (output.status.code(), told)
}

#[test]
fn every_help_text_has_examples() {
    let commands: [&[&str]; 20] = [
        &[],
        &["demo"],
        &["run"],
        &["check"],
        &["discover"],
        &["plan"],
        &["setup"],
        &["status"],
        &["explain"],
        &["sync"],
        &["held"],
        &["held", "list"],
        &["held", "show"],
        &["held", "resolve"],
        &["held", "retry"],
        &["held", "release"],
        &["simulate"],
        &["simulate", "salesforce"],
        &["simulate", "dynamics"],
        &["config", "schema"],
    ];
    let mut all = String::new();
    for command in commands {
        let (code, help) = truce(&[command, &["--help"]].concat());
        assert_eq!(code, Some(0), "{command:?}");
        let group = matches!(command, ["held" | "simulate"]);
        assert!(group || help.contains("Example"), "{command:?}: {help}");
        writeln!(all, "$ truce {} --help\n{help}", command.join(" ")).unwrap();
    }
    insta::assert_snapshot!(all);
}

#[test]
fn unusable_arguments_are_exit_code_2() {
    assert_eq!(truce(&["walk"]).0, Some(2));
    assert_eq!(truce(&["check"]).0, Some(2), "a config is needed");
    let (code, told) = truce(&["check", "--config", "nowhere.toml"]);
    assert_eq!(code, Some(2));
    assert!(told.starts_with("error: config file nowhere.toml cannot be read"), "{told}");
}

#[test]
fn the_schema_of_the_config_is_json() {
    let (code, schema) = truce(&["config", "schema"]);
    let schema: Json = serde_json::from_str(&schema).unwrap();
    assert_eq!((code, &schema["title"]), (Some(0), &"truce.toml".into()));
}

#[test]
fn a_simulator_announces_itself_and_ends_by_sigterm() {
    for crm in ["salesforce", "dynamics"] {
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        let mut child = Command::new(env!("CARGO_BIN_EXE_truce"))
            .args(["simulate", crm, "--seed", "7", "--ca-file"])
            .arg(&ca_file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: Json = serde_json::from_str(&line).unwrap();
        assert_eq!(told["kind"], crm);
        assert!(told["base_url"].as_str().unwrap().starts_with("https://localhost:"), "{told}");
        assert!(std::fs::read_to_string(&ca_file).unwrap().contains("BEGIN CERTIFICATE"));
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}
