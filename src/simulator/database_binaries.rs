//! PostgreSQL's programs on this machine, and running them as somebody who may.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::User;

use super::database::{DatabaseError, failed, stand_in};

/// Where the programs are, and whom they run as.
#[derive(Clone, Debug)]
pub(super) struct Binaries {
    directory: PathBuf,
    user: Option<User>,
}

impl Binaries {
    /// Those in PATH, else the newest that the system's packages installed.
    pub(super) fn find() -> Result<Self, DatabaseError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let in_path = std::env::split_paths(&path).find(|directory| is_server(directory));
        let directory = in_path.or_else(packaged).ok_or(DatabaseError::NotInstalled)?;
        Ok(Self { directory, user: stand_in()? })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A program, to be run in this directory. PostgreSQL's own variables would lead it astray.
    pub(super) fn command(&self, name: &str, directory: &Path) -> Command {
        let mut command = Command::new(self.path(name));
        command.current_dir(directory);
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("PG") {
                command.env_remove(variable);
            }
        }
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    /// Makes the user of the server the owner of a file.
    pub(super) fn give(&self, path: &Path) -> Result<(), DatabaseError> {
        let Some(user) = &self.user else { return Ok(()) };
        chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
            .map_err(failed("giving away", path))
    }
}

fn is_server(directory: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|name| directory.join(name).is_file())
}

/// Debian keeps versions side by side, outside of PATH.
fn packaged() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    versions
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, directory)| is_server(directory))
        .max_by_key(|(version, _)| *version)
        .map(|(_, directory)| directory)
}

/// Runs a program to its end.
pub(super) async fn run(program: &str, mut command: Command) -> Result<(), DatabaseError> {
    command.stdin(Stdio::null());
    let path = PathBuf::from(command.get_program());
    let output =
        tokio::process::Command::from(command).output().await.map_err(failed("running", &path))?;
    if output.status.success() {
        return Ok(());
    }
    Err(DatabaseError::Program {
        program: program.to_owned(),
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
