//! The house has floors: a module may import from its own and those below it, and no others.
//! ARCHITECTURE.md says why; change both together.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const EVERYTHING: &[&str] = &[
    "reconcile",
    "config",
    "discover",
    "peer",
    "telemetry",
    "postgres",
    "campaign",
    "crm",
    "ledger",
    "simulator",
    "agent",
];

/// Each module, from the ground up, with what it may import besides itself.
const FLOORS: [(&str, &[&str]); 12] = [
    ("reconcile", &[]),
    ("config", &["reconcile"]),
    // What it proposes is text: it knows neither server.
    ("discover", &["reconcile"]),
    ("peer", &["reconcile"]),
    ("telemetry", &["reconcile"]),
    ("postgres", &[]),
    ("campaign", &["reconcile", "config", "peer", "telemetry", "postgres"]),
    ("crm", &["reconcile", "config", "peer", "telemetry", "postgres"]),
    ("ledger", &["reconcile", "config", "peer", "telemetry", "postgres"]),
    // It stands for a system that others made: it shares nothing with our side of the wire.
    ("simulator", &["postgres"]),
    ("agent", &["reconcile", "config", "peer", "telemetry", "ledger"]),
    ("cli", EVERYTHING),
];

/// What the pure floor may use of others: the standard library and a calendar.
const PURE: [&str; 7] = ["std", "core", "jiff", "crate", "self", "super", "thiserror"];

/// Longer files are read by nobody.
const LINES_MAX: usize = 500;

#[test]
fn imports_go_down_only() {
    let mut wrong = Vec::new();
    for (module, below) in FLOORS {
        for file in rust_files(&source().join(module)) {
            let code = code(&fs::read_to_string(&file).unwrap());
            let climbs = climbs_out(&code, depth(&file)).then(|| "super".to_owned());
            for import in imports(&code).into_iter().chain(climbs) {
                if import != module && !below.contains(&import.as_str()) {
                    wrong.push(format!("{} imports {import}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports that do not go down:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_has_its_floor() {
    let known: BTreeSet<_> = FLOORS.iter().map(|(module, _)| (*module).to_owned()).collect();
    let modules: BTreeSet<_> = fs::read_dir(source())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(modules, known);
    let loose: BTreeSet<_> = fs::read_dir(source())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(loose, BTreeSet::from(["lib.rs".to_owned(), "main.rs".to_owned()]));
}

#[test]
fn the_ground_floor_is_pure() {
    for file in rust_files(&source().join("reconcile")) {
        let text = fs::read_to_string(&file).unwrap();
        let code = code(before_tests(&text));
        for line in code.lines() {
            let line = line.trim_start().trim_start_matches("pub ");
            let Some(path) = line.strip_prefix("use ") else { continue };
            let from = path.split([':', ';', ' ']).find(|part| !part.is_empty()).unwrap();
            // A lower-case module of its own, brought in by name.
            let own = code.contains(&format!("mod {from};"));
            assert!(own || PURE.contains(&from), "{} uses {from}", file.display());
        }
        for clock in ["Instant::now", "SystemTime::now", "Timestamp::now", "std::fs", "std::net"] {
            assert!(!code.contains(clock), "{} uses {clock}", file.display());
        }
    }
}

#[test]
fn no_file_is_longer_than_a_reader() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src", "tests", "benches"].map(|folder| root.join(folder));
    let files =
        folders.iter().filter(|folder| folder.is_dir()).flat_map(|folder| rust_files(folder));
    let long: Vec<_> = files
        .map(|file| (fs::read_to_string(&file).unwrap().lines().count(), file))
        .filter(|(lines, _)| LINES_MAX < *lines)
        .collect();
    assert!(long.is_empty(), "longer than {LINES_MAX} lines: {long:?}");
}

#[test]
fn imports_are_found_in_every_form() {
    let code = code(
        "use crate::peer::{Feed, Page}; // crate::comment\n\
         //! [`crate::doc`]\n\
         use crate::{config, ledger::{Due, keep::Kept}, telemetry as t};\n\
         let x = crate::agent::run(crate :: campaign::now());\n\
         use crate::{\n    crm::Http,\n    simulator,\n};",
    );
    let found: Vec<_> = imports(&code).into_iter().collect();
    let expected =
        ["agent", "campaign", "config", "crm", "ledger", "peer", "simulator", "telemetry"];
    assert_eq!(found, expected);
}

#[test]
fn climbing_out_of_a_module_is_an_import() {
    assert!(climbs_out("use super::peer;", 1));
    assert!(!climbs_out("use super::peer;", 2));
    assert!(climbs_out("use super::super::peer::Feed;", 2));
    assert!(!climbs_out("pub(super) fn f() {}\n#[cfg(test)]\nmod tests { use super::*; }", 1));
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All files below a folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The text without its line comments and without spaces around `::`.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or(""));
    let mut code = lines.collect::<Vec<_>>().join("\n");
    for spaced in [" ::", ":: "] {
        code = code.replace(spaced, "::");
    }
    code
}

fn before_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

/// The first names of all paths that begin at `crate`.
fn imports(code: &str) -> BTreeSet<String> {
    code.split("crate::").skip(1).flat_map(first_names).collect()
}

fn first_names(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else { return vec![leading_name(path)] };
    let mut depth = 1;
    let mut names = Vec::new();
    let mut start = 0;
    for (at, one) in group.char_indices() {
        match one {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        let ends = (one == ',' && depth == 1) || depth == 0;
        if ends {
            names.push(leading_name(&group[start..at]));
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn leading_name(path: &str) -> String {
    path.trim_start().chars().take_while(|one| one.is_alphanumeric() || *one == '_').collect()
}

/// How many modules a file is below the crate's root: `src/a/mod.rs` one, `src/a/b.rs` two.
fn depth(file: &Path) -> usize {
    let below = file.strip_prefix(source()).unwrap().components().count();
    if file.ends_with("mod.rs") { below - 1 } else { below }
}

/// Whether a path of `super`s leaves the module, so that it names another floor.
fn climbs_out(code: &str, depth: usize) -> bool {
    let path = "super::".repeat(depth);
    before_tests(code).match_indices(&path).any(|(at, _)| {
        // Not the tail of a name such as `mysuper::`.
        !code[..at].ends_with(|one: char| one.is_alphanumeric() || one == '_')
    })
}
