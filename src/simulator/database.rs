//! A private PostgreSQL server, for the demo, the tests and the benches: made in a directory of its
//! own, listening on this machine only, gone when dropped.
//!
//! A server refuses to run as root, so as root it is run as `postgres`, else as `nobody`.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::postgres::{ConnectError, ServerUrl, Session, Settings, connect};

use super::database_binaries::{Binaries, run};

/// How to make one.
#[derive(Clone, Debug, Default)]
pub struct DatabaseOptions {
    /// Where; a temporary directory that goes with the server when nothing is said.
    pub directory: Option<PathBuf>,
    /// Whether commits survive the machine's fall. They cost a sync each; tests do without.
    pub durability: Durability,
    /// Further settings, as in `postgresql.conf`.
    pub settings: Vec<(String, String)>,
    /// Lines of `pg_hba.conf` that stand before ours.
    pub hba: Vec<String>,
    /// A certificate and its key, both PEM: the server then offers TLS.
    pub tls: Option<ServerTls>,
}

/// Whether commits are synced to disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// `fsync = off`.
    #[default]
    None,
    /// As a server of one's own.
    Full,
}

/// What a server shows of itself.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// The certificate, and those between it and a root.
    pub certificate_pem: String,
    /// Its private key.
    pub key_pem: String,
}

/// A running server, or one that was stopped and can be started again.
#[derive(Debug)]
pub struct Database {
    binaries: Binaries,
    root: PathBuf,
    port: u16,
    password: String,
    child: Option<Child>,
    /// Last, so that the server is gone before its files are.
    _temporary: Option<TempDir>,
}

/// Why there is no private server.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// PostgreSQL is not installed here.
    #[error(
        "found no PostgreSQL server on this machine (initdb and postgres, in PATH or \
         /usr/lib/postgresql/*/bin); install it: apt-get install postgresql"
    )]
    NotInstalled,
    /// We are root and there is nobody to run it as.
    #[error("a server does not run as root, and there is neither a user postgres nor nobody")]
    NoUser,
    /// The file system said no.
    #[error("{doing} `{}`", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// One of PostgreSQL's programs ended badly.
    #[error("{program} ended with {status}: {output}")]
    Program {
        /// Which.
        program: String,
        /// How.
        status: String,
        /// What it printed last.
        output: String,
    },
    /// It runs and does not answer.
    #[error("the server in `{}` did not answer within {} s", directory.display(), START_MAX.as_secs())]
    Silent {
        /// Where.
        directory: PathBuf,
        /// What the last attempt to connect said.
        source: ConnectError,
    },
    /// It answers and we cannot get in.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A statement failed.
    #[error("could not {doing}")]
    Statement {
        /// What it was for.
        doing: &'static str,
        /// The server's words.
        source: tokio_postgres::Error,
    },
}

/// A cold start with a crash to recover from, on a slow and busy machine.
const START_MAX: Duration = Duration::from_mins(1);
/// After that it is killed: nothing in a private server is worth a longer wait.
const STOP_MAX: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);
/// Another process may take the port that we chose, before the server does.
const PORTS_MAX: u32 = 5;
const SUPERUSER: &str = "postgres";

impl Database {
    /// Makes a server and starts it. A directory that holds one already is started as it is.
    pub async fn start(options: DatabaseOptions) -> Result<Self, DatabaseError> {
        let temporary = match &options.directory {
            Some(_) => None,
            None => Some(temporary_directory()?),
        };
        let root = match (&temporary, &options.directory) {
            (Some(temporary), _) => temporary.path().to_owned(),
            (None, Some(given)) => absolute(given)?,
            (None, None) => unreachable!("one of the two is there"),
        };
        let binaries = Binaries::find()?;
        let password = init(&binaries, &root, &options).await?;
        let mut database =
            Self { binaries, root, port: 0, password, child: None, _temporary: temporary };
        database.start_on_a_free_port().await?;
        Ok(database)
    }

    /// Its address over TCP, as the superuser with the password.
    pub fn url(&self) -> ServerUrl {
        let url = format!("postgresql://{SUPERUSER}@127.0.0.1:{}/postgres", self.port);
        parsed(&url).with_password(self.password.clone())
    }

    /// Its address over the Unix socket, as the superuser, whom nobody asks for a password there:
    /// the directory is closed to others.
    pub fn socket_url(&self) -> ServerUrl {
        let host = self.root.display();
        parsed(&format!("postgresql://{SUPERUSER}@/postgres?host={host}&port={}", self.port))
    }

    /// The port of 127.0.0.1 it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The superuser's password, which roles made by [`super::database_campaign`] share.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Where its data, its socket and its log are.
    pub fn directory(&self) -> &Path {
        &self.root
    }

    /// The process of the server, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// One of PostgreSQL's client programs of the same version, such as `pg_recvlogical`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.binaries.path(name)
    }

    /// A session of the superuser in this database.
    pub async fn session(&self, database: &str) -> Result<Session, DatabaseError> {
        let url = self.socket_url().with_database(database);
        Ok(connect(&url, &Settings::default()).await?)
    }

    /// Replaces the certificate that it shows, and has it read anew.
    pub async fn show_certificate(&self, tls: &ServerTls) -> Result<(), DatabaseError> {
        give_certificate(&self.binaries, &self.root.join("data"), tls)?;
        let session = self.session("postgres").await?;
        let reloaded = session.simple_query("select pg_reload_conf()").await;
        reloaded
            .map_err(|source| DatabaseError::Statement { doing: "reload the server", source })?;
        session.close().await;
        Ok(())
    }

    /// Stops it in order: sessions are ended, everything is written.
    pub async fn stop(&mut self) -> Result<(), DatabaseError> {
        self.end(Signal::SIGINT).await
    }

    /// Stops it as a fall of the machine would: nothing is written, it recovers when started.
    pub async fn kill(&mut self) -> Result<(), DatabaseError> {
        self.end(Signal::SIGQUIT).await
    }

    /// Stops it in order if it runs, and starts it on the same port.
    pub async fn restart(&mut self) -> Result<(), DatabaseError> {
        self.stop().await?;
        self.launch().await
    }

    async fn start_on_a_free_port(&mut self) -> Result<(), DatabaseError> {
        for _ in 1..PORTS_MAX {
            self.port = free_port().map_err(failed("choosing a port for", &self.root))?;
            match self.launch().await {
                Err(DatabaseError::Program { output, .. }) if output.contains("could not bind") => {
                }
                outcome => return outcome,
            }
        }
        self.launch().await
    }

    async fn launch(&mut self) -> Result<(), DatabaseError> {
        let log = self.root.join("server.log");
        let opened = fs::File::options().create(true).append(true).open(&log);
        let output = opened.map_err(failed("opening", &log))?;
        let errors = output.try_clone().map_err(failed("opening", &log))?;
        let mut command = self.binaries.command("postgres", &self.root);
        command.arg("-D").arg(self.root.join("data"));
        command.arg("-p").arg(self.port.to_string());
        command.arg("-k").arg(&self.root);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        self.child = Some(command.spawn().map_err(failed("starting a server in", &self.root))?);
        self.answers(&log).await
    }

    /// Polls until the server lets us in, or has ended.
    async fn answers(&mut self, log: &Path) -> Result<(), DatabaseError> {
        let deadline = Instant::now() + START_MAX;
        loop {
            match connect(&self.socket_url(), &Settings::default()).await {
                Ok(session) => {
                    session.close().await;
                    return Ok(());
                }
                Err(source) if deadline < Instant::now() => {
                    self.end(Signal::SIGQUIT).await?;
                    return Err(DatabaseError::Silent { directory: self.root.clone(), source });
                }
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error.into()),
            }
            let child = self.child.as_mut().expect("it was spawned just before");
            if let Some(status) = child.try_wait().map_err(failed("waiting for", &self.root))? {
                self.child = None;
                return Err(DatabaseError::Program {
                    program: "postgres".to_owned(),
                    status: status.to_string(),
                    output: tail(log),
                });
            }
            sleep(POLL).await;
        }
    }

    async fn end(&mut self, signal: Signal) -> Result<(), DatabaseError> {
        let Some(child) = self.child.as_mut() else { return Ok(()) };
        signal_child(child, signal);
        let deadline = Instant::now() + STOP_MAX;
        while child.try_wait().map_err(failed("waiting for", &self.root))?.is_none() {
            if deadline < Instant::now() {
                child.kill().map_err(failed("killing the server in", &self.root))?;
            }
            sleep(POLL).await;
        }
        self.child = None;
        Ok(())
    }
}

impl Drop for Database {
    /// Blocks for the moment that an immediate shutdown takes: no process may be left behind, and
    /// the directory is removed next.
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        signal_child(&child, Signal::SIGQUIT);
        let polls = STOP_MAX.as_millis() / POLL.as_millis();
        for _ in 0..polls {
            match child.try_wait() {
                Ok(None) => std::thread::sleep(POLL),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        let _killed: io::Result<()> = child.kill();
        let _reaped: io::Result<std::process::ExitStatus> = child.wait();
    }
}

/// The child is ours and not yet waited for, so its id cannot be another's.
fn signal_child(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).expect("process ids are positive and fit");
    // It may have ended already, which is what we want.
    let _sent: nix::Result<()> = kill(Pid::from_raw(pid), signal);
}

fn parsed(url: &str) -> ServerUrl {
    url.parse().expect("an address made of plain parts")
}

/// In `/tmp`, whatever `TMPDIR` says: the path of a Unix socket must be short.
fn temporary_directory() -> Result<TempDir, DatabaseError> {
    let parent = Path::new("/tmp");
    tempfile::Builder::new()
        .prefix("truce-pg-")
        .tempdir_in(parent)
        .map_err(failed("making a directory in", parent))
}

fn absolute(directory: &Path) -> Result<PathBuf, DatabaseError> {
    fs::create_dir_all(directory).map_err(failed("making", directory))?;
    fs::canonicalize(directory).map_err(failed("finding", directory))
}

/// Makes the files of a server, unless they are there; returns the superuser's password.
async fn init(
    binaries: &Binaries,
    root: &Path,
    options: &DatabaseOptions,
) -> Result<String, DatabaseError> {
    let secret = root.join("password");
    if let Ok(password) = fs::read_to_string(&secret) {
        configure(binaries, root, options)?;
        return Ok(password);
    }
    fs::set_permissions(root, fs::Permissions::from_mode(0o700))
        .map_err(failed("closing", root))?;
    let password = random_password().map_err(failed("reading", Path::new("/dev/urandom")))?;
    write_private(&secret, &password)?;
    binaries.give(root)?;
    binaries.give(&secret)?;
    let mut command = binaries.command("initdb", root);
    command.args([
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
        "--no-instructions",
    ]);
    command.args(["--username", SUPERUSER, "--pwfile"]).arg(&secret);
    command.arg("--pgdata").arg(root.join("data"));
    run("initdb", command).await?;
    configure(binaries, root, options)?;
    Ok(password)
}

fn configure(
    binaries: &Binaries,
    root: &Path,
    options: &DatabaseOptions,
) -> Result<(), DatabaseError> {
    let data = root.join("data");
    let mut lines = vec![
        "listen_addresses = '127.0.0.1'".to_owned(),
        "wal_level = logical".to_owned(),
        "password_encryption = 'scram-sha-256'".to_owned(),
        "log_line_prefix = '%m [%p] %q%u@%d '".to_owned(),
        "max_wal_senders = 20".to_owned(),
        "max_replication_slots = 20".to_owned(),
    ];
    if options.durability == Durability::None {
        // Commits still reach the log file at once: they survive a kill, and replication sees them.
        lines.extend(["fsync", "full_page_writes"].map(|name| format!("{name} = off")));
    }
    if let Some(tls) = &options.tls {
        give_certificate(binaries, &data, tls)?;
        lines.push("ssl = on".to_owned());
    }
    for (name, value) in &options.settings {
        lines.push(format!("{name} = '{}'", value.replace('\'', "''")));
    }
    write(&data.join("postgresql.conf"), &(lines.join("\n") + "\n"))?;
    let ours = ["local all all trust", "host all all 127.0.0.1/32 scram-sha-256"];
    let hba: Vec<&str> = options.hba.iter().map(String::as_str).chain(ours).collect();
    write(&data.join("pg_hba.conf"), &(hba.join("\n") + "\n"))
}

fn give_certificate(
    binaries: &Binaries,
    data: &Path,
    tls: &ServerTls,
) -> Result<(), DatabaseError> {
    for (name, text) in [("server.crt", &tls.certificate_pem), ("server.key", &tls.key_pem)] {
        write_private(&data.join(name), text)?;
        binaries.give(&data.join(name))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), DatabaseError> {
    fs::write(path, text).map_err(failed("writing", path))
}

fn write_private(path: &Path, text: &str) -> Result<(), DatabaseError> {
    write(path, text)?;
    let closed = fs::Permissions::from_mode(0o600);
    fs::set_permissions(path, closed).map_err(failed("closing", path))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn random_password() -> io::Result<String> {
    use std::io::Read as _;
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// The end of a log, enough to see why a server did not start.
fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(8).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

pub(super) fn failed(
    doing: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> DatabaseError + use<> {
    let path = path.to_owned();
    move |source| DatabaseError::File { doing, path, source }
}

/// Whom a server runs as when we are root.
pub(super) fn stand_in() -> Result<Option<User>, DatabaseError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let known = |name| User::from_name(name).ok().flatten();
    known("postgres").or_else(|| known("nobody")).map(Some).ok_or(DatabaseError::NoUser)
}
